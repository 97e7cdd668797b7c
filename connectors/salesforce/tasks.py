"""Tasks for people in sales (vendors/salesforce.md, sections 2.2 and 4.1).

Salesforce takes a field of ours as key only where an admin made one. So a task bears its key at the end of its
description, and an earlier one is looked for among the tasks of the same person, whose descriptions are read: long
text cannot be asked for (section 2.2).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.base import Made, Outcome, SalesTask, TaskState
from connectors.salesforce.activities import STAMP
from connectors.salesforce.auth import WRITES, Api
from connectors.salesforce.ids import long_id
from connectors.salesforce.mapping import ref_of
from connectors.salesforce.soql import Where
from connectors.salesforce.walk import Walks
from connectors.salesforce.wire import LOCKS, RowAnswer, rows_of
from connectors.tasks import halved, make_once, refused
from connectors.values import clean, moment
from leadbridge.call import masked
from leadbridge.errors import RecordRefused

BATCH = 200
LONGEST_SUBJECT, LONGEST_BODY = 255, 31_000
GONE = {"INVALID_CROSS_REFERENCE_KEY", "ENTITY_IS_DELETED", "CANNOT_UPDATE_CONVERTED_LEAD", "MALFORMED_ID"}

_NOT_DELETED = Where("IsDeleted", "=", False)


class Tasks:
    """The tasks of one org."""

    def __init__(self, api: Api, walks: Walks) -> None:
        self._api = api
        self._walks = walks

    def create(self, tasks: Sequence[SalesTask]) -> Mapping[str, Made]:
        """See `Crm.create_tasks`."""
        return make_once(
            tasks,
            fits=lambda task: ref_of(task.ref.record_id) == task.ref,
            unfit="not the id of a lead or contact",
            earlier=self._earlier,
            send=self._part,
            batch=BATCH,
        )

    def read(self, task_ids: Sequence[str]) -> Mapping[str, TaskState]:
        """See `Crm.read_tasks`."""
        found: dict[str, TaskState] = {}
        ids = [one for one in dict.fromkeys(task_ids) if long_id(one)]
        columns = ["Id", "IsClosed", "CompletedDateTime", "LastModifiedDate"]
        for rows in self._walks.of("tasks.read", "Task", columns, "Id", ids, _NOT_DELETED):
            for row in rows:
                done = row.get("CompletedDateTime") or row.get("LastModifiedDate")
                found[row["Id"]] = TaskState(moment(done) if row.get("IsClosed") == "true" else None)
        return {one: found.get(one, TaskState(gone=True)) for one in task_ids}

    def _earlier(self, tasks: Sequence[SalesTask]) -> dict[str, str]:
        """The tasks among these that are there already, done or deleted ones too: key to Salesforce's id."""
        keys = {task.key for task in tasks}
        people = sorted({task.ref.record_id for task in tasks})
        found: dict[str, str] = {}
        for rows in self._walks.of("tasks.find", "Task", ["Id", "Description"], "WhoId", people):
            for row in rows:
                for key in STAMP.findall(row.get("Description", "")):
                    if key in keys:
                        found.setdefault(key, row["Id"])
        return found

    def _part(self, tasks: Sequence[SalesTask], made: dict[str, Made]) -> None:
        """Send these, halving them when Salesforce refuses them together."""
        body = {"allOrNone": False, "records": [_wire(task) for task in tasks]}
        try:
            answers = self._api.ask(
                "tasks.create",
                lambda library: library.restful("composite/sobjects", method="POST", json=body),
                rows_of,
                repeatable=False,
                spend=WRITES,
            )
        except RecordRefused as refusal:
            halved(tasks, made, self._part, refused(refusal.problem))
            return
        for n, task in enumerate(tasks):
            made[task.key] = _fate(answers[n] if len(answers) == len(tasks) else None)


def _wire(task: SalesTask) -> dict[str, Any]:
    stamp = f"leadbridge:{task.key}"
    found = {
        "attributes": {"type": "Task"},
        "WhoId": task.ref.record_id,
        "Subject": clean(task.subject)[:LONGEST_SUBJECT],
        "Description": f"{clean(task.body)[:LONGEST_BODY]}\n\n{stamp}",
        "ActivityDate": task.due_at.date().isoformat(),
        "Status": "Not Started",
        "Priority": "High",
    }
    return found | ({"OwnerId": task.owner} if task.owner else {})


def _fate(answer: RowAnswer | None) -> Made:
    if answer is None:
        return Made(Outcome.UNANSWERED, reason="the answer does not mention it")
    if answer.success and answer.id:
        return Made(Outcome.WRITTEN, answer.id)
    problem = answer.errors[0] if answer.errors else None
    words = problem.words() if problem else "refused without a word"
    if problem and any(mark in words for mark in LOCKS):
        return Made(Outcome.UNANSWERED, reason=masked(words))
    if problem and problem.name in GONE:
        return Made(Outcome.GONE, reason=masked(words))
    return refused(words)
