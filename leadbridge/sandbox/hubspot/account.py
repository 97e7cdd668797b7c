"""The account itself over HTTP: owners, lists, consent, details, usage, tokens (vendor page, sections 3, 9 and 13)."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from leadbridge.sandbox.hubspot.answers import NOT_FOUND, Refused, Reply, iso, iso_ms, paging
from leadbridge.sandbox.hubspot.call import ApiCall, page_of
from leadbridge.sandbox.hubspot.kinds import KINDS, Kind
from leadbridge.sandbox.hubspot.tokens import introspected

_WRITABLE_LISTS = {"MANUAL", "SNAPSHOT"}
SUBSCRIPTION = {"id": "5478302", "name": "Marketing Information", "description": "Marketing offers and updates."}


def details(call: ApiCall) -> Reply:
    return Reply(
        200,
        {
            "portalId": call.account.portal_id,
            "accountType": call.account.settings.account_type,
            "timeZone": "UTC",
            "companyCurrency": "EUR",
            "additionalCurrencies": [],
            "utcOffset": "+00:00",
            "utcOffsetMilliseconds": 0,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        },
    )


def api_usage(call: ApiCall) -> Reply:
    """Calls of private apps today; those of service keys are not counted here."""
    midnight = call.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return Reply(
        200,
        {
            "results": [
                {
                    "name": "private-apps-api-calls-daily",
                    "usageLimit": call.account.settings.daily_limit,
                    "currentUsage": call.account.limits.today.get("private", 0),
                    "collectedAt": iso(call.now),
                    "fetchStatus": "SUCCESS",
                    "resetsAt": iso(midnight),
                }
            ]
        },
    )


def oauth_authorize(call: ApiCall) -> Reply:
    """The consent page, where somebody says yes at once, or no: back to the app with a code, or with the refusal."""
    to = call.text("redirect_uri")
    tokens = call.account.tokens
    local = urlsplit(to).hostname == "localhost"
    if call.text("client_id") != tokens.client_id or not (to.startswith("https://") or local):
        raise Refused(400, "missing or invalid client_id, or a redirect_uri that is neither https nor localhost")
    back = {"state": call.text("state")}
    if call.account.settings.consents:
        wanted = f"{call.text('scope')} {call.text('optional_scope')}".split()
        back["code"] = tokens.consented(wanted, to)
    else:
        back |= {"error": "access_denied", "error_description": "the user did not authorize the app"}
    return Reply(302, None, {"Location": f"{to}{'&' if '?' in to else '?'}{urlencode(back)}"})


def oauth_token(call: ApiCall) -> Reply:
    form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
    return Reply(200, call.account.tokens.grant(form, call.version))


def token_info(call: ApiCall) -> Reply:
    """The scopes of a private token or service key."""
    token = call.account.tokens.known.get(str(call.json().get("tokenKey", "")))
    if token is None or token.kind == "oauth":
        raise Refused(404, "The token does not exist", category=NOT_FOUND)
    return Reply(200, introspected(token, call.account.portal_id))


def owners(call: ApiCall) -> Reply:
    archived, email = call.flag("archived"), call.text("email").lower()
    found = [o for o in call.state.owners if o["archived"] == archived and email in ("", o["email"].lower())]
    rows, after = page_of(found, call.offset(), call.number("limit", 100, 500))
    return Reply(200, {"results": rows, **paging(after)})


def owner(call: ApiCall, owner_id: str) -> Reply:
    key = call.text("idProperty", "id")
    found = next((o for o in call.state.owners if str(o[key if key == "userId" else "id"]) == owner_id), None)
    if found is None:
        raise Refused(404, f"Owner {owner_id} does not exist", category=NOT_FOUND)
    return Reply(200, found)


# Lists


def _list(call: ApiCall, list_id: str) -> dict[str, Any]:
    found = call.state.lists.get(list_id)
    if found is None:
        raise Refused(404, f"List does not exist with ID {list_id}.", category=NOT_FOUND)
    return {**found, "size": len(call.state.members[list_id])}


def lists(call: ApiCall) -> Reply:
    ids = call.words("listIds")
    return Reply(200, {"lists": [_list(call, one) for one in ids or call.state.lists if one in call.state.lists]})


def lists_search(call: ApiCall) -> Reply:
    given = call.json()
    query = str(given.get("query") or "").lower()
    found = [_list(call, one) for one, row in call.state.lists.items() if query in row["name"].lower()]
    start, limit = int(given.get("offset") or 0), int(given.get("count") or 20)
    rows, after = page_of(found, start, limit)
    return Reply(
        200,
        {"lists": rows, "offset": start + len(rows), "hasMore": after is not None, "total": len(found)},
    )


def get_list(call: ApiCall, list_id: str) -> Reply:
    return Reply(200, {"list": _list(call, list_id)})


def memberships(call: ApiCall, list_id: str) -> Reply:
    return _memberships(call, list_id, by_join=False)


def memberships_by_join(call: ApiCall, list_id: str) -> Reply:
    return _memberships(call, list_id, by_join=True)


def _memberships(call: ApiCall, list_id: str, *, by_join: bool) -> Reply:
    """Members by record id, or by the instant they joined."""
    _list(call, list_id)
    members = call.state.members[list_id].items()
    ordered = sorted(members, key=lambda member: (member[1] if by_join else 0, int(member[0])))
    rows, after = page_of(ordered, call.offset(), call.number("limit", 100, 250))
    results = [{"recordId": record_id, "membershipTimestamp": iso_ms(ms)} for record_id, ms in rows]
    return Reply(200, {"results": results, "total": len(ordered), **paging(after)})


def lists_of_record(call: ApiCall, kind: Kind, record_id: str) -> Reply:
    results = [
        {
            "listId": list_id,
            "listVersion": 1,
            "firstAddedTimestamp": iso_ms(members[record_id]),
            "lastAddedTimestamp": iso_ms(members[record_id]),
        }
        for list_id, members in call.state.members.items()
        if record_id in members and call.state.lists[list_id]["objectTypeId"] == kind.type_id
    ]
    return Reply(200, {"results": results, "total": len(results)})


def change_members(call: ApiCall, list_id: str) -> Reply:
    """Add and remove by record id, in one call."""
    given = call.json()
    adding, removing = ([str(one) for one in given.get(f"recordIdsTo{verb}") or []] for verb in ("Add", "Remove"))
    return _changed(call, list_id, adding, removing)


def add_members(call: ApiCall, list_id: str) -> Reply:
    """Add the records whose ids are the body."""
    return _changed(call, list_id, call.ids(), [])


def remove_members(call: ApiCall, list_id: str) -> Reply:
    """Remove the records whose ids are the body."""
    return _changed(call, list_id, [], call.ids())


def _changed(call: ApiCall, list_id: str, adding: list[str], removing: list[str]) -> Reply:
    """What became of each record; only lists that are kept by hand can be changed."""
    if _list(call, list_id)["processingType"] not in _WRITABLE_LISTS:
        raise Refused(400, "Memberships of a DYNAMIC list cannot be changed")
    call.items = len(adding) + len(removing)
    members, table = call.state.members[list_id], call.table(KINDS["contacts"])
    missing = [one for one in adding if table.live(one) is None]
    added = [one for one in adding if one not in missing and one not in members]
    removed = [one for one in removing if one in members]
    members.update(dict.fromkeys(added, call.act.at_ms))
    for one in removed:
        del members[one]
    for kind, ids in (("list_joined", added), ("list_left", removed)):
        for one in ids:
            call.act.note(kind, list=list_id, id=one)
    # The odd spelling is theirs: the dated reference has it twice, the clients of v3 once.
    word = "recordIdsRemoved" if call.version == "v3" else "recordsIdsRemoved"
    return Reply(200, {"recordsIdsAdded": added, word: removed, "recordIdsMissing": missing})


# Consent


def _consent(call: ApiCall, email: str) -> tuple[str, str]:
    """The subscription status of an address, and where it comes from."""
    contact = call.table(KINDS["contacts"]).find("email", email)
    if contact is None:
        return "NOT_SPECIFIED", ""
    if contact.properties.get("hs_email_optout") == "true":
        return "UNSUBSCRIBED", "PUBLIC_STATUS"
    return ("SUBSCRIBED", "SUBSCRIPTION_STATUS") if contact.properties.get("hs_legal_basis") else ("NOT_SPECIFIED", "")


def consent_v3(call: ApiCall, email: str) -> Reply:
    """The older shape, in which nobody is "not specified"."""
    status, source = _consent(call, email)
    row = {
        **SUBSCRIPTION,
        "status": "NOT_SUBSCRIBED" if status == "UNSUBSCRIBED" else "SUBSCRIBED",
        "sourceOfStatus": source or "SUBSCRIPTION_STATUS",
        "preferenceGroupName": None,
        "legalBasis": None,
        "legalBasisExplanation": "",
    }
    return Reply(200, {"recipient": email, "subscriptionStatuses": [row]})


def consent(call: ApiCall, email: str) -> Reply:
    status, source = _consent(call, email)
    row = {
        "channel": "EMAIL",
        "subscriberIdString": email,
        "subscriptionId": int(SUBSCRIPTION["id"]),
        "subscriptionName": SUBSCRIPTION["name"],
        "status": status,
        "source": source,
        "timestamp": iso(call.now),
        "businessUnitId": 0,
    }
    return Reply(200, {"status": "COMPLETE", "results": [row]})


def opted_out_of_all(call: ApiCall, email: str) -> Reply:
    status, _ = _consent(call, email)
    row = {
        "channel": "EMAIL",
        "subscriberIdString": email,
        "wideStatusType": "PORTAL_WIDE",
        "status": status,
        "businessUnitId": 0,
    }
    return Reply(200, {"status": "COMPLETE", "results": [row]})
