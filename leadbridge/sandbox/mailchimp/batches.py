"""``/batches``: many calls in one, answered later as an archive (vendor page, 8).

Operations run through the same routes as calls of their own. They run when a poll finds the batch started or, polled
or not, `Settings.batch_seconds` after submission: a client that loses the batch's id has still changed the account.
"""

import io
import json
import math
import tarfile
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from leadbridge.sandbox.mailchimp.answers import MAX_COUNT, Answer, Body, Problem, listing, misshapen, not_found, stamp
from leadbridge.sandbox.mailchimp.core import VENDOR, Act, Ask, Core, Route, parsed
from leadbridge.sandbox.mailchimp.state import Batch, code_of
from leadbridge.sandbox.mailchimp.webhooks import announce_batch

PHASES = ("pending", "preprocessing", "started", "finalizing", "finished")
STARTED, FINISHED = PHASES.index("started"), PHASES.index("finished")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
UNFINISHED_MAX = 500
KEPT = timedelta(days=7)
LINK_VALID = timedelta(minutes=10)
FILES = 4  # an archive has about this many files with results, and one that is empty
DOWNLOAD = "/batch-results"
NOWHERE = "/no-such-path"


def _show(batch: Batch, link: str = "") -> Body:
    ran = batch.phase >= STARTED
    return {
        "id": batch.id,
        "status": PHASES[batch.phase],
        "total_operations": batch.total if ran else 0,
        "finished_operations": batch.finished if ran else 0,
        "errored_operations": batch.errored if ran else 0,
        "submitted_at": stamp(batch.submitted),
        "completed_at": stamp(batch.finished_at),
        "response_body_url": link,
        "_links": [],
    }


def _create(core: Core, ask: Ask) -> Body:
    operations = ask.fields("operations")["operations"]
    _check(operations)
    if sum(batch.phase < FINISHED for batch in core.state.batches.values()) >= UNFINISHED_MAX:
        detail = f"You have more than {UNFINISHED_MAX} pending batches. Please wait for some to complete before adding"
        raise Problem(429, "Too Many Requests", f"{detail} any more batches.")
    ask.items = len(operations)
    due = core.world.clock.ticks() + core.settings.batch_seconds
    batch = Batch(code_of("batch", core.state.next("batch"))[:10], operations, ask.act.at, due)
    core.state.batches[batch.id] = batch
    return _show(batch)


def _check(operations: Any) -> None:
    if not isinstance(operations, list):
        raise misshapen(("operations", "Schema describes array, another type found instead"))
    errors: list[tuple[str, str]] = []
    for index, one in enumerate(operations):
        at = f"operations.item:{index}"
        if not isinstance(one, dict):
            errors.append((at, "Schema describes object, another type found instead"))
            continue
        if one.get("method") not in METHODS:
            errors.append((f"{at}.method", "The value you selected is not a valid choice."))
        if not isinstance(one.get("path"), str):
            errors.append((f"{at}.path", "This value should not be blank."))
        if not isinstance(one.get("body", ""), str):  # a JSON string, not an object
            errors.append((f"{at}.body", "Schema describes string, object found instead"))
        if not isinstance(one.get("params", {}), dict):
            errors.append((f"{at}.params", "Schema describes object, another type found instead"))
    if errors:
        raise misshapen(*errors)


def _batch(core: Core, ask: Ask) -> Batch:
    batch = core.state.batches.get(ask.at["batch_id"])
    if batch is None or (batch.finished_at and ask.act.at - batch.finished_at > KEPT):
        raise not_found()
    return batch


def _get(core: Core, ask: Ask) -> Body:
    """Each look moves the batch on by one phase, and gives a finished one a fresh download address."""
    batch = _batch(core, ask)
    if batch.phase < FINISHED:
        batch.phase += 1
        if batch.phase == STARTED:
            run(core, batch)
        if batch.phase == FINISHED:
            _finish(core, batch)
    return _show(batch, _link(ask, batch))


def _finish(core: Core, batch: Batch) -> None:
    batch.finished_at = core.now()
    announce_batch(core, _show(batch))


def _link(ask: Ask, batch: Batch) -> str:
    if batch.phase < FINISHED:
        return ""
    batch.links += 1
    until = int((ask.act.at + LINK_VALID).timestamp())
    query = urlencode({"Expires": until, "n": batch.links, "Signature": _signature(batch, until, batch.links)})
    return f"{ask.root}{DOWNLOAD}/{batch.id}.tar.gz?{query}"


def _signature(batch: Batch, until: int, number: int) -> str:
    return code_of("download", batch.id, until, number)[:32]


def _list(core: Core, ask: Ask) -> Body:
    return listing("batches", list(core.state.batches.values()), ask.query, _show)


def _stop(core: Core, ask: Ask) -> None:
    """What ran stays done; its results are lost."""
    del core.state.batches[_batch(core, ask).id]


# --- running -----------------------------------------------------------------------------------------------------


def run_due(core: Core) -> None:
    """Run what was submitted long enough ago, whether or not anybody asked."""
    for batch in list(core.state.batches.values()):
        if batch.results is None and core.world.clock.ticks() >= batch.due:
            batch.phase = max(batch.phase, STARTED)
            run(core, batch)


def run(core: Core, batch: Batch) -> None:
    """Do the operations, once. One entry of the journal for all: operation "batches.run", by GET if all of them are."""
    if batch.results is not None:
        return
    batch.results = []
    act = core.act()
    for one in batch.operations:
        _run_one(core, batch, one, act)
    core.world.journal.record(
        vendor=VENDOR,
        operation="batches.run",
        method="GET" if all(one["method"] == "GET" for one in batch.operations) else "POST",
        path=f"/3.0/batches/{batch.id}",
        status=200,
        items=batch.total,
        effects=tuple(act.effects),
    )


def _run_one(core: Core, batch: Batch, one: Body, act: Act) -> None:
    path, _, text = str(one["path"]).partition("?")
    query = {**dict(parse_qsl(text)), **{key: str(value) for key, value in (one.get("params") or {}).items()}}
    path = NOWHERE if path.startswith("/batches") else path  # no batch within a batch
    body = parsed(str(one.get("body") or ""))
    paged = one["method"] == "GET" and "count" not in query
    offset = int(query.get("offset", 0) or 0) if paged else 0
    while True:
        if paged:
            query |= {"count": str(min(core.settings.batch_page, MAX_COUNT)), "offset": str(offset)}
        ask = Ask(one["method"], path, query, body, act)
        answer, _operation = core.dispatch(ask)
        _note(batch, one, answer)
        offset += core.settings.batch_page
        total = answer.body.get("total_items", 0) if isinstance(answer.body, dict) else 0
        if not paged or offset >= total:
            return


def _note(batch: Batch, one: Body, answer: Answer) -> None:
    assert batch.results is not None  # noqa: S101 - set by `run`
    batch.total += 1
    batch.finished += 1  # includes failures
    batch.errored += answer.status >= 400
    response = "" if answer.body is None else json.dumps(answer.body)
    batch.results.append({"status_code": answer.status, "operation_id": one.get("operation_id"), "response": response})


# --- download ----------------------------------------------------------------------------------------------------


def download(core: Core, name: str, query: dict[str, str], *, authorized: bool) -> Answer:
    """The archive, as a storage service would give it: no key wanted, and none accepted."""
    batch = core.state.batches.get(name.removesuffix(".tar.gz"))
    until, number = query.get("Expires", ""), query.get("n", "")
    known = batch is not None and until.isdigit() and number.isdigit()
    if batch is None or not known or query.get("Signature") != _signature(batch, int(until), int(number)):
        return _storage_error(403, "SignatureDoesNotMatch")
    if authorized:  # a signed address and a header are two credentials
        return _storage_error(400, "InvalidArgument")
    if core.now().timestamp() > int(until):
        return _storage_error(403, "ExpiredToken")
    return Answer(200, raw=archive(batch), content_type="application/x-gzip")


def _storage_error(status: int, code: str) -> Answer:
    xml = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>"
    return Answer(status, raw=xml.encode(), content_type="application/xml; charset=UTF-8")


def archive(batch: Batch) -> bytes:
    """A gzipped tar: a ``./`` entry, several files of results, one file with nothing in it."""
    results = batch.results or []
    size = max(1, math.ceil(len(results) / FILES))
    files = [json.dumps(results[start : start + size]).encode() for start in range(0, len(results), size)]
    files.insert(len(files) // 2, b"")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        root = tarfile.TarInfo("./")
        root.type, root.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(root)
        for number, content in enumerate(files):
            entry = tarfile.TarInfo(f"./{batch.id}-{number}.json")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


ROUTES = (
    Route("POST", "/batches", "batches.create", _create),
    Route("GET", "/batches", "batches.list", _list),
    Route("GET", "/batches/{batch_id}", "batches.status", _get),
    Route("DELETE", "/batches/{batch_id}", "batches.delete", _stop),
)
