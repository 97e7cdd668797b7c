"""Queries and their pages, change feeds, limits (vendor page, sections 3.1, 3.3 and 7)."""

from datetime import datetime, timedelta
from typing import Any

from leadbridge.sandbox.salesforce.answers import Refused, Reply, read_instant, stamp
from leadbridge.sandbox.salesforce.call import ApiCall
from leadbridge.sandbox.salesforce.soql import malformed, parse
from leadbridge.sandbox.salesforce.store import Cursor, Row

_CURSOR_LIFE = timedelta(days=2)
_UPDATED_REACH = timedelta(days=30)
_DELETED_REACH = timedelta(days=15)


def query(call: ApiCall) -> Reply:
    return _answer(call, deleted=False)


def query_all(call: ApiCall) -> Reply:
    return _answer(call, deleted=True)


def _answer(call: ApiCall, *, deleted: bool) -> Reply:
    text = call.query.get("q", "")
    if not text:
        raise malformed("A query string has to be specified")
    reader, asked = call.reader(), parse(text)
    if asked.count:
        return Reply(body={"totalSize": len(reader.select(asked, deleted=deleted)), "done": True, "records": []})
    reader.columns(asked)  # a wrong column is refused also when no row is found
    rows = reader.select(asked, deleted=deleted)
    cursor_id = call.state.new_id("01g")
    cursor = Cursor(asked, tuple(row.id for row in rows), call.user_id, call.now)
    return _page(call, cursor_id, cursor, 0)


def next_page(call: ApiCall, locator: str) -> Reply:
    """A page of an older query: the ids are those of then, the values those of now."""
    cursor_id, _, place = locator.partition("-")
    cursor = call.state.cursors.get(cursor_id)
    dead = cursor is None or call.now - cursor.made > _CURSOR_LIFE or cursor.user_id != call.user_id
    if cursor is None or dead or not place.isdigit():
        raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return _page(call, cursor_id, cursor, int(place))


def _page(call: ApiCall, cursor_id: str, cursor: Cursor, start: int) -> Reply:
    end = start + call.page_size(call.org.settings.query_page)
    body: dict[str, Any] = {"totalSize": len(cursor.ids), "done": end >= len(cursor.ids)}
    if not body["done"]:
        call.state.cursors[cursor_id] = cursor
        body["nextRecordsUrl"] = f"{call.base}/query/{cursor_id}-{end}"
    reader = call.reader()
    columns = reader.columns(cursor.query)
    rows = [row for one in cursor.ids[start:end] if (row := call.state.row(one)) is not None]
    body["records"] = [reader.render(row, columns, call.version) for row in rows]
    return Reply(body=body)


# Change feeds


def updated(call: ApiCall, kind: str) -> Reply:
    """Ids of live rows whose stamp lies in the window; minutes only (section 3.3)."""
    name, start, end = _window(call, kind, _UPDATED_REACH)
    found = [row for row in call.state.live(name) if start <= _stamped(row) < end]
    found.sort(key=lambda row: (row.get("SystemModstamp"), row.id))
    return Reply(body={"ids": [row.id for row in found], "latestDateCovered": stamp(_covered(call, name, end))})


def deleted(call: ApiCall, kind: str) -> Reply:
    name, start, end = _window(call, kind, _DELETED_REACH)
    rows = call.state.rows[name].values()
    binned = [(row.deleted_at, row.id) for row in rows if row.deleted_at is not None]
    gone = sorted([*binned, *((at, record_id) for record_id, at in call.state.purged[name].items())])
    return Reply(
        body={
            "deletedRecords": [
                {"id": record_id, "deletedDate": at} for at, record_id in gone if start <= read_instant(at) < end
            ],
            "earliestDateAvailable": stamp(_minute(call.now - _DELETED_REACH)),
            "latestDateCovered": stamp(_covered(call, name, end)),
        }
    )


def _covered(call: ApiCall, kind: str, end: datetime) -> datetime:
    """The end of what is surely read: never after now, nor after the start of a transaction still open."""
    open_since = [held.at for held in call.state.held.values() if held.type == kind]
    return min([end, _minute(call.now), *map(_minute, open_since)])


def _window(call: ApiCall, kind: str, reach: timedelta) -> tuple[str, datetime, datetime]:
    found = call.kind(kind)
    if not found.replicates:
        raise Refused(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {found.name} does not support replication")
    start, end = (_given(call, name) for name in ("start", "end"))
    if end - start < timedelta(minutes=1):
        raise Refused(400, "INVALID_REPLICATION_DATE", "startDate must be at least one minute greater than endDate")
    if start < call.now - reach:
        raise Refused(400, "INVALID_REPLICATION_DATE", f"startDate cannot be more than {reach.days} days ago")
    return found.name, start, end


def _given(call: ApiCall, name: str) -> datetime:
    text = call.query.get(name, "")
    try:
        return _minute(read_instant(text))
    except ValueError:
        raise Refused(400, "INVALID_REPLICATION_DATE", f"{name} is not an ISO 8601 date with a zone: {text}") from None


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _stamped(row: Row) -> datetime:
    return read_instant(str(row.get("SystemModstamp")))


# Limits


def limits(call: ApiCall) -> Reply:
    most = call.org.settings.daily_limit
    bulk = sum(1 for job in call.state.jobs.values() if job.kind == "query")
    return Reply(
        body={
            "DailyApiRequests": {"Max": most, "Remaining": max(0, most - call.org.usage.used)},
            "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000 - (len(call.state.jobs) - bulk)},
            "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000 - bulk},
        }
    )


def record_count(call: ApiCall) -> Reply:
    """Approximate by nature; objects without rows may be left out (section 3.4), and are here."""
    wanted = {name.strip().lower() for name in call.query.get("sObjects", "").split(",") if name.strip()}
    counts = {name: sum(1 for _ in call.state.live(name)) for name in call.state.rows}
    found = [
        {"count": count, "name": name}
        for name, count in counts.items()
        if count and (not wanted or name.lower() in wanted)
    ]
    return Reply(body={"sObjects": found})
