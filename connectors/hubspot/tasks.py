"""Tasks for people in sales (vendors/hubspot.md sections 5, 7 and 10).

HubSpot takes no key of ours with a new task, and its search shows a new record only after a while. So a task bears its
key in its text, and an earlier one is looked for among the tasks associated with the contact, which are read without
that delay.
"""

import html
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.base import Made, Outcome, SalesTask, TaskState
from connectors.batches import in_batches
from connectors.hubspot.auth import Api
from connectors.hubspot.engagements import OUR_KEY
from connectors.hubspot.logged import AssociationRow
from connectors.hubspot.wire import BatchAnswer, ErrorItem, Record, Refused, row
from connectors.tasks import halved, make_once, refused
from connectors.values import clean, moment
from leadbridge.call import masked

BATCH = 100
DONE = "COMPLETED"
TO_CONTACT = 204
"""Association type of task to contact (section 7)."""

_COMPLETED = "hs_task_completion_date"


class Tasks:
    """The tasks of one account."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def create(self, tasks: Sequence[SalesTask]) -> Mapping[str, Made]:
        """See `Crm.create_tasks`."""
        return make_once(
            tasks,
            fits=lambda task: task.ref.record_id.isdecimal(),
            unfit="not a HubSpot record id",
            earlier=self._earlier,
            send=self._part,
            batch=BATCH,
        )

    def read(self, task_ids: Sequence[str]) -> Mapping[str, TaskState]:
        """See `Crm.read_tasks`."""
        found: dict[str, TaskState] = {}
        for record in self._records(task_ids, ("hs_task_status", _COMPLETED)):
            done = record.get("hs_task_status") == DONE
            found[record.id] = TaskState(_when(record) if done else None)
        return {one: found.get(one, TaskState(gone=True)) for one in task_ids}

    def _earlier(self, tasks: Sequence[SalesTask]) -> dict[str, str]:
        """The tasks among these that are there already: key to the vendor's id."""
        of_contact = self._of_contacts({task.ref.record_id for task in tasks})
        ids = sorted({one for known in of_contact.values() for one in known}, key=int)
        keys = {task.key for task in tasks}
        found: dict[str, str] = {}
        for record in self._records(ids, ("hs_task_body",)):
            for key in OUR_KEY.findall(record.get("hs_task_body")):
                if key in keys:
                    found.setdefault(key, record.id)
        return found

    def _of_contacts(self, contact_ids: set[str]) -> dict[str, list[str]]:
        """The tasks of each contact that has any."""
        found: dict[str, list[str]] = defaultdict(list)
        inputs: list[dict[str, str]] = [{"id": one} for one in sorted(contact_ids, key=int)]
        while inputs:
            answer = self._api.ask("contacts.tasks", BatchAnswer, body={"inputs": inputs[:BATCH]})
            inputs = inputs[BATCH:]
            for raw in answer.results:
                one = row(AssociationRow, raw)
                if one is None:
                    continue
                found[one.origin.id] += [end.to for end in one.to]
                if one.paging and one.paging.next:
                    inputs.append({"id": one.origin.id, "after": one.paging.next.after})
        return found

    def _records(self, ids: Sequence[str], properties: Sequence[str]) -> Iterator[Record]:
        for part in in_batches(ids, BATCH):
            body = {"inputs": [{"id": one} for one in part], "properties": list(properties)}
            answer = self._api.ask("tasks.batch.read", BatchAnswer, body=body)
            yield from (record for raw in answer.results if (record := row(Record, raw)) is not None)

    def _part(self, tasks: Sequence[SalesTask], made: dict[str, Made]) -> None:
        """Send these, halving them when HubSpot refuses them together."""
        try:
            answer = self._api.ask("tasks.batch.create", BatchAnswer, body={"inputs": [_wire(task) for task in tasks]})
        except Refused as refusal:
            halved(tasks, made, self._part, _fate(refusal.body))
            return
        for raw in answer.results:
            record = row(Record, raw)
            for key in OUR_KEY.findall(record.get("hs_task_body")) if record else ():
                made[key] = Made(Outcome.WRITTEN, record.id if record else "")
        for error in answer.errors:
            made |= {key: _fate(error) for key in error.context.get("objectWriteTraceId", ()) if key not in made}
        silence = Made(Outcome.UNANSWERED, reason="the answer does not mention it")
        made |= {task.key: silence for task in tasks if task.key not in made}


def _wire(task: SalesTask) -> dict[str, Any]:
    properties = {
        "hs_timestamp": task.due_at.isoformat(timespec="milliseconds"),
        "hs_task_subject": clean(task.subject),
        "hs_task_body": _rich(task.body, task.key),
        "hs_task_status": "NOT_STARTED",
        "hs_task_type": "TODO",
        "hs_task_priority": "HIGH",
    }
    if task.owner:
        properties["hubspot_owner_id"] = task.owner
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TO_CONTACT}]
    return {
        "objectWriteTraceId": task.key,
        "properties": properties,
        "associations": [{"to": {"id": task.ref.record_id}, "types": types}],
    }


def _rich(text: str, key: str) -> str:
    """HubSpot shows a task's text as HTML: every line becomes one, and nothing in it a tag (reliability G28)."""
    lines = [html.escape(line) for line in clean(text).splitlines()]
    return "<br>".join([*lines, f"leadbridge:{key}"])


def _when(record: Record) -> datetime | None:
    """When it was done, at the latest: some accounts do not say so, and then it is when it was last edited."""
    return moment(record.get(_COMPLETED) or record.updated_at)


def _fate(error: ErrorItem) -> Made:
    if error.category == "OBJECT_NOT_FOUND" or "association" in error.message.lower():
        return Made(Outcome.GONE, reason=masked(error.words()))
    return refused(error.words())
