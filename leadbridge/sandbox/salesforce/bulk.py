"""Bulk API 2.0: query and ingest jobs (vendor page, sections 3.5 and 4.6).

The work is done when a job is ready to run; its states are then shown one poll after another.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from leadbridge.sandbox.salesforce.answers import Refused, Reply, RowError, not_found, stamp
from leadbridge.sandbox.salesforce.call import ApiCall
from leadbridge.sandbox.salesforce.kinds import Kind, kind_of
from leadbridge.sandbox.salesforce.records import key_field
from leadbridge.sandbox.salesforce.saving import same_key
from leadbridge.sandbox.salesforce.soql import Query, parse
from leadbridge.sandbox.salesforce.store import Job
from leadbridge.sandbox.salesforce.values import accept, from_cell

_DELIMITERS = {"COMMA": ",", "TAB": "\t", "PIPE": "|", "SEMICOLON": ";", "CARET": "^", "BACKQUOTE": "`"}
_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
_OPERATIONS = {"insert", "update", "upsert", "delete"}
_CSV = "text/csv"
_MOST_BYTES = 150_000_000
Table = tuple[tuple[str, ...], ...]


# Query jobs


def create_query(call: ApiCall) -> Reply:
    body = call.json()
    operation, text = body.get("operation"), str(body.get("query", ""))
    if operation not in ("query", "queryAll"):
        raise _bad(f"Unsupported operation: {operation}")
    reader, asked = call.reader(), parse(text)
    if asked.offset or asked.count or asked.wide:
        what = "OFFSET" if asked.offset else "aggregates" if asked.count else "FIELDS()"
        raise _bad(f"Bulk query does not support {what}")
    kind = reader.kind(asked)
    table = _answer(call, asked, deleted=operation == "queryAll")
    job = _job(call, "query", body, {"operation": operation, "query": text, "object": kind}, "UploadComplete")
    call.state.jobs[job.id] = replace(job, results={"results": table})
    facts = {name: value for name, value in job.facts.items() if name != "query"}
    return Reply(body={**facts, "state": job.state})


def _answer(call: ApiCall, asked: Query, *, deleted: bool) -> Table:
    reader = call.reader()
    columns = reader.columns(asked)
    head = tuple(path.text for path in asked.select)
    rows = reader.select(asked, deleted=deleted)
    return (head, *(tuple(_cell(reader.value(row, column)) for column in columns) for row in rows))


def query_status(call: ApiCall, job_id: str) -> Reply:
    job = _polled(call, "query", job_id)
    more = {
        "jobType": "V2Query",
        "numberRecordsProcessed": len(job.results["results"]) - 1 if job.state == "JobComplete" else 0,
        "retries": 0,
        "totalProcessingTime": 0,
        "isPkChunkingSupported": True,
    }
    return Reply(body={**{n: v for n, v in job.facts.items() if n != "query"}, "state": job.state, **more})


def query_results(call: ApiCall, job_id: str) -> Reply:
    job = _need(call, "query", job_id)
    if float(call.version[1:]) != job.facts["apiVersion"]:
        raise Refused(409, "INVALIDVERSION", "results must be read with the version that created the job")
    if job.state != "JobComplete":
        shown = {"UploadComplete": "UPLOAD_COMPLETE", "InProgress": "IN_PROGRESS", "Aborted": "ABORTED"}[job.state]
        message = (
            "can only download query results of successfully completed bulk job with status: JOB_COMPLETE. "
            f"Current status: {shown}"
        )
        raise Refused(412, "JOB_NOT_COMPLETE", message)
    head, *rows = job.results["results"]
    start = _locator(call.query.get("locator", ""))
    wish = call.query.get("maxRecords", "")
    size = min(int(wish), call.org.settings.bulk_page) if wish.isdigit() and int(wish) else call.org.settings.bulk_page
    page = rows[start : start + size]
    more = start + size < len(rows)
    headers = {
        "Sforce-NumberOfRecords": str(len(page)),
        "Sforce-Locator": f"MT{start + size:06d}" if more else "null",
    }
    return Reply(body=_write((head, *page), job.facts), headers=headers, content_type=_CSV)


def _locator(text: str) -> int:
    if not text or text == "null":
        return 0
    if not (text.startswith("MT") and text[2:].isdigit()):
        raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return int(text[2:])


# Ingest jobs


def create_ingest(call: ApiCall) -> Reply:
    body = call.json()
    operation, kind = str(body.get("operation")), kind_of(str(body.get("object", "")))
    if operation not in _OPERATIONS:
        raise _bad(f"Unsupported operation: {operation}")
    if kind is None or not kind.recycles:
        raise Refused(400, "INVALIDENTITY", f"Entity '{body.get('object')}' is not supported by the Bulk API.")
    key = str(body.get("externalIdFieldName") or "")
    if operation == "upsert":
        key_field(call, kind, key)
    facts = {"operation": operation, "object": kind.name, **({"externalIdFieldName": key} if key else {})}
    job = _job(call, "ingest", body, facts, "Open")
    url = f"{call.base.lstrip('/')}/jobs/ingest/{job.id}/batches"
    job = replace(job, facts={**job.facts, "contentUrl": url})
    call.state.jobs[job.id] = job
    return Reply(body={**job.facts, "state": job.state})


def upload(call: ApiCall, job_id: str) -> Reply:
    """One PUT per job."""
    job = _need(call, "ingest", job_id)
    if job.state != "Open" or job.data:
        raise Refused(400, "INVALIDJOBSTATE", f"Cannot add data to a job with state: {job.state}")
    if len(call.body) * 4 / 3 > _MOST_BYTES:
        raise _bad("the file is larger than 150 MB")
    call.state.jobs[job.id] = replace(job, data=call.body)
    return Reply(201)


def set_state(call: ApiCall, family: str, job_id: str) -> Reply:
    """Close an upload so that it runs, or abort a job."""
    job, wanted = _need(call, family, job_id), call.json().get("state")
    if wanted == "Aborted" and job.state not in ("JobComplete", "Failed"):
        job = replace(job, state="Aborted")
    elif wanted == "UploadComplete" and family == "ingest" and job.state == "Open":
        job = _run(call, job)
    else:
        raise Refused(400, "INVALIDJOBSTATE", f"Cannot set state {wanted} on a job with state: {job.state}")
    call.state.jobs[job.id] = job
    return Reply(body={**job.facts, "state": job.state})


def ingest_status(call: ApiCall, job_id: str) -> Reply:
    job = _polled(call, "ingest", job_id)
    done = job.state == "JobComplete"
    bad = len(job.results["failedresults"]) - 1 if done else 0
    good = len(job.results["successfulresults"]) - 1 if done else 0
    more = {
        "jobType": "V2Ingest",
        "numberRecordsProcessed": good + bad,
        "numberRecordsFailed": bad,
        "retries": 0,
        "totalProcessingTime": 0,
        "apexProcessingTime": 0,
    }
    return Reply(body={**job.facts, "state": job.state, **more})


def ingest_results(call: ApiCall, job_id: str, which: str) -> Reply:
    """Successful, failed or unprocessed rows; the name in any case."""
    job, name = _need(call, "ingest", job_id), which.lower()
    if name not in ("successfulresults", "failedresults", "unprocessedrecords"):
        raise not_found()
    if job.state != "JobComplete":
        raise Refused(400, "INVALIDJOBSTATE", f"Job is not complete: {job.state}")
    return Reply(body=_write(job.results[name], job.facts), content_type=_CSV)


def delete_job(call: ApiCall, family: str, job_id: str) -> Reply:
    job = _need(call, family, job_id)
    if job.state not in ("JobComplete", "Failed", "Aborted"):
        raise Refused(400, "INVALIDJOBSTATE", f"Cannot delete a job with state: {job.state}")
    del call.state.jobs[job.id]
    return Reply(204)


def _run(call: ApiCall, job: Job) -> Job:
    """Save row by row. No assignment rule runs: a bulk job names its own, and ours never does."""
    kind = call.kind(str(job.facts["object"]))
    text = job.data.decode("utf-8-sig", "replace")
    lines = list(csv.reader(io.StringIO(text), delimiter=_DELIMITERS[str(job.facts["columnDelimiter"])]))
    if not lines:
        return replace(job, state="Failed", facts={**job.facts, "errorMessage": "InvalidBatch : Field name not found"})
    head, *rows = lines
    call.items, call.act.auto_assign = len(rows), False
    good: list[tuple[str, ...]] = [("sf__Id", "sf__Created", *head)]
    bad: list[tuple[str, ...]] = [("sf__Id", "sf__Error", *head)]
    for row in rows:
        given = dict(zip(head, row, strict=False))
        if len(row) != len(head):
            shape = RowError("INVALID_FIELD", "the row has another number of columns than the header")
            bad.append(("", shape.as_cell(), *row))
            continue
        try:
            record_id, created = _save(call, kind, job, given)
            good.append((record_id, str(created).lower(), *row))
        except RowError as error:
            bad.append((given.get("Id", ""), error.as_cell(), *row))
        except Refused as error:  # of another type than the field: one bad row, not a bad job
            bad.append((given.get("Id", ""), f"INVALID_TYPE_ON_FIELD_IN_RECORD:{error}:--", *row))
    results: dict[str, Table] = {
        "successfulresults": tuple(good),
        "failedresults": tuple(bad),
        "unprocessedrecords": (tuple(head),),
    }
    return replace(job, state="UploadComplete", results=results)


def _save(call: ApiCall, kind: Kind, job: Job, given: Mapping[str, str]) -> tuple[str, bool]:
    saver, operation = call.org.saver, job.facts["operation"]
    fields = {name.lower(): field for name, field in call.org.store.visible(kind.name, call.user_id).items()}
    # An empty cell leaves its field alone; #N/A clears it.
    values = {n: from_cell(cell) for n, cell in given.items() if cell != "" and n.lower() != "id"}
    record_id = next((cell for n, cell in given.items() if n.lower() == "id"), "")
    if operation == "insert":
        return saver.create(kind.name, values, call.act).id, True
    if operation == "delete":
        saver.delete(kind.name, record_id, call.act)
        return record_id, False
    if operation == "update":
        return saver.update(kind.name, record_id, values, call.act).id, False
    key = fields[str(job.facts["externalIdFieldName"]).lower()]
    raw = record_id if key.type == "id" else next((c for n, c in given.items() if n.lower() == key.name.lower()), "")
    wanted = raw if key.type == "id" else accept(key, raw)
    rows = [row for row in call.state.live(kind.name) if same_key(key, row.get(key.name), wanted)]
    if len(rows) > 1:
        raise RowError("DUPLICATE_EXTERNAL_ID", f"{key.name}: more than one record found for external id field")
    if rows:
        changes = {n: v for n, v in values.items() if n.lower() != key.name.lower()}
        return saver.update(kind.name, rows[0].id, changes, call.act).id, False
    return saver.create(kind.name, values, call.act).id, True


# What both have


def _job(call: ApiCall, family: str, body: Mapping[str, Any], facts: Mapping[str, Any], state: str) -> Job:
    delimiter, ending = str(body.get("columnDelimiter", "COMMA")), str(body.get("lineEnding", "LF"))
    if delimiter not in _DELIMITERS or ending not in _ENDINGS or body.get("contentType", "CSV") != "CSV":
        raise _bad("Unsupported contentType, columnDelimiter or lineEnding")
    job_id = call.state.new_id("750")
    whole = {
        "id": job_id,
        **facts,
        "createdById": call.user_id,
        "createdDate": stamp(call.now),
        "systemModstamp": stamp(call.now),
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(call.version[1:]),
        "lineEnding": ending,
        "columnDelimiter": delimiter,
    }
    return Job(job_id, family, whole, state, call.user_id)


def _need(call: ApiCall, family: str, job_id: str) -> Job:
    job = call.state.jobs.get(job_id)
    if job is None or job.kind != family:
        raise not_found()
    return job


def _polled(call: ApiCall, family: str, job_id: str) -> Job:
    """The job after one more look: UploadComplete, InProgress for some polls, then JobComplete."""
    job = _need(call, family, job_id)
    if job.state in ("UploadComplete", "InProgress"):
        state = "InProgress" if job.polls < call.org.settings.bulk_polls else "JobComplete"
        job = replace(job, state=state, polls=job.polls + 1)
        call.state.jobs[job.id] = job
    return job


def _write(table: Sequence[Sequence[str]], facts: Mapping[str, Any]) -> str:
    out = io.StringIO()
    delimiter, ending = _DELIMITERS[str(facts["columnDelimiter"])], _ENDINGS[str(facts["lineEnding"])]
    csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows(table)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bad(message: str) -> Refused:
    return Refused(400, "INVALIDJOB", message)
