"""Only the real sender, unaltered, now (reliability G4, G5; vendors/hubspot.md 11.1, vendors/mailchimp.md 11)."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from leadbridge.errors import WebhookRefused
from tests.helpers import signers
from webhooks.signatures import same_secret, signed_address, verify_hubspot, verify_mailchimp

S = "3f9c1d52-8a6e-4c0b-b1d7-6e2f0a94c7aa"
T = 1795312800000
NOW = datetime.fromtimestamp(T / 1000, UTC)
U1 = "https://hooks.example.com/webhooks/hubspot"
U2 = "https://hooks.example.com/webhooks/hubspot?tenant=acme%3Aeu&next=%2Fin%2Fbox&note=100%25%20J%C3%BCrgen"
B1 = (
    '[{"eventId":3181526809,"subscriptionId":2740113,"portalId":62515,"appId":54321,"occurredAt":1795312799512,'
    '"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":512,"propertyName":"jobtitle",'
    '"propertyValue":"Geschäftsführer – 営業部","changeSource":"CRM_UI","sourceId":"userId:9586504"}]'
).encode()
B2 = (
    b'[{"eventId":11,"subscriptionId":2740114,"portalId":62515,"appId":54321,"occurredAt":1795312799000,'
    b'"subscriptionType":"contact.merge","attemptNumber":0,"changeSource":"CRM_UI","primaryObjectId":101,'
    b'"mergedObjectIds":[102],"newObjectId":903,"numberOfPropertiesMoved":4},{"eventId":12,"subscriptionId":2740115,'
    b'"portalId":62515,"appId":54321,"occurredAt":1795312799000,"subscriptionType":"contact.deletion",'
    b'"attemptNumber":0,"changeSource":"CRM_UI","objectId":102}]'
)
OFFICIAL = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
OFFICIAL_BODY = b"{'example_field':'example_value'}"
OFFICIAL_URI = "https://www.example.com/webhook_uri"


def check(
    method: str, uri: str, body: bytes, timestamp: int | str, signature: str, *secrets: str, now: datetime | None = None
) -> None:
    headers = {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": str(timestamp)}
    verify_hubspot(secrets or (S,), method, uri.encode(), headers, body, now or NOW)


def reason(*args: object, **kwargs: object) -> str:
    with pytest.raises(WebhookRefused) as refused:
        check(*args, **kwargs)  # type: ignore[arg-type]
    assert refused.value.status == 401
    return refused.value.reason


def test_the_bodies_here_are_those_of_the_vendor_page() -> None:
    assert hashlib.sha256(B1).hexdigest() == "b9419764e510627743b8ddeaf7d8ce4ef1b5a27143b062244bd57ce173fc255c"
    assert hashlib.sha256(B2).hexdigest() == "9c3a27dac2ebca6ddfbab627bdf7f33408a6d904de45757a72673f58abf50a03"


@pytest.mark.parametrize(
    ("method", "uri", "body", "signature"),
    [
        ("POST", U1, B1, "FxpRTDBdd8PCvqm0G56F+wGRnKCmMJPVvxMOsZRJVME="),
        ("POST", U1, B2, "hokb9wrOmBsVeg9j7qsoWUnYkCb1k9NI3l4L430lpEs="),
        ("POST", U2, B2, "zJe7Rws93cT3pPgJaISZKmeBfrMfMkrmgmp1mwXmnoA="),
        ("GET", U1, b"", "1oNHs4mjGb6zNA+CHVFec+GWAMq+25obNTpUVZ2KUaE="),
    ],
)
def test_the_vectors_of_the_vendor_page_pass(method: str, uri: str, body: bytes, signature: str) -> None:
    check(method, uri, body, T, signature)
    assert signers.hubspot_v3(S, method, uri, body, T) == signature  # the tests' own signer knows them too


def test_escapes_in_lower_case_are_undone_as_well() -> None:
    check("POST", U2.replace("%3A", "%3a").replace("%2F", "%2f"), B2, T, "zJe7Rws93cT3pPgJaISZKmeBfrMfMkrmgmp1mwXmnoA=")


@pytest.mark.parametrize(
    ("timestamp", "signature"),
    [
        (1693657560000, "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="),
        (1700000300000, "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw="),
    ],
)
def test_the_official_vectors_pass(timestamp: int, signature: str) -> None:
    now = datetime.fromtimestamp(timestamp / 1000, UTC)
    check("POST", OFFICIAL_URI, OFFICIAL_BODY, timestamp, signature, OFFICIAL, now=now)


@pytest.mark.parametrize(
    ("what", "uri", "body", "signature"),
    [
        ("re-serialised", U1, B1, "UCG3yclmQ3lQ0r4h82fJ804TmBMdNO4KQpXr3xqXeqo="),
        ("raw address", U2, B2, "92af/qymfNfOvFDeF2PStr36Rql6wz9Dm95RdztH/Lg="),
        ("fully unquoted", U2, B2, "IgKyPt+MNrHv7f+nYiZjH600HnwLKSvVk2gkqQ9Ei4w="),
        ("plain http", U1, B2, "oKSzeXTC9bZ9eS/xVU6uiimH/bT69QKUPi8ty7e9IJk="),
    ],
)
def test_the_vectors_that_must_fail_do(what: str, uri: str, body: bytes, signature: str) -> None:
    wrong = {  # what these signatures really are of, to be sure that they fail for the reason stated
        "re-serialised": (U1, json.dumps(json.loads(B1)).encode()),
        "plain http": (U1.replace("https", "http"), B2),
    }
    if what in wrong:
        assert signers.hubspot_v3(S, "POST", *wrong[what], T) == signature
    assert reason("POST", uri, body, T, signature) == "bad_signature"


def test_a_fully_unquoted_target_is_not_what_was_signed() -> None:
    signature = signers.hubspot_v3(S, "POST", U2, B2, T)
    assert reason("POST", unquote(U2), B2, T, signature) == "bad_signature"


def test_either_secret_passes_while_one_is_rotated_out_and_no_third_does() -> None:
    old, new = "old-secret-of-the-app", "new-secret-of-the-app"
    for secret in (old, new):
        check("POST", U1, B1, T, signers.hubspot_v3(secret, "POST", U1, B1, T), new, old)
    assert reason("POST", U1, B1, T, signers.hubspot_v3("a-third", "POST", U1, B1, T), new, old) == "bad_signature"


@pytest.mark.parametrize(
    ("age_ms", "expected"),
    [(0, None), (300_000, None), (-300_000, None), (300_001, "too_old"), (-300_001, "from_the_future"),
     (86_400_000, "too_old"), (-86_400_000, "from_the_future")],
)  # fmt: skip
def test_the_window_is_five_minutes_on_both_sides(age_ms: int, expected: str | None) -> None:
    signature = signers.hubspot_v3(S, "POST", U1, B1, T)
    now = NOW + timedelta(milliseconds=age_ms)
    if expected is None:
        check("POST", U1, B1, T, signature, now=now)
    else:
        assert reason("POST", U1, B1, T, signature, now=now) == expected


@pytest.mark.parametrize(
    "timestamp",
    ["", " ", "now", "1.8e12", "-5", "+1795312800000", "1_795_312_800_000", " 1795312800000", "1795312800000 ",
     "１７９５３１２８０００００", "0x1a2", "9" * 400, "1795312800000\n", "NaN", "1795312800000.0"],
)  # fmt: skip
def test_a_garbled_timestamp_is_refused_even_when_signed(timestamp: str) -> None:
    signature = signers.hubspot_v3(S, "POST", U1, B1, timestamp)
    assert reason("POST", U1, B1, timestamp, signature) == "bad_timestamp"


@pytest.mark.parametrize(
    "signature",
    ["", "=", "a" * 44, "é" * 44, "\udcff", "x" * 100_000, "zz zz", "FxpRTDBdd8PCvqm0G56F+wGRnKCmMJPVvxMOsZRJVME"],
)
def test_a_garbled_signature_is_refused(signature: str) -> None:
    assert reason("POST", U1, B1, T, signature) == "bad_signature"


def test_two_signatures_in_one_header_are_refused() -> None:
    signature = signers.hubspot_v3(S, "POST", U1, B1, T)
    assert reason("POST", U1, B1, T, f"{signature}, {signature}") == "bad_signature"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "missing_signature"),
        ({"X-HubSpot-Request-Timestamp": str(T)}, "missing_signature"),
        ({"X-HubSpot-Signature-v3": "FxpRTDBdd8PCvqm0G56F+wGRnKCmMJPVvxMOsZRJVME="}, "missing_timestamp"),
        ({"X-HubSpot-Signature": signers.hubspot_v1(S, B1), "X-HubSpot-Signature-Version": "v1"}, "old_scheme"),
        (
            {
                "X-HubSpot-Signature": signers.hubspot_v2(S, "POST", U1, B1),
                "X-HubSpot-Signature-Version": "v2",
                "X-HubSpot-Request-Timestamp": str(T),
            },
            "old_scheme",
        ),
    ],
)
def test_missing_headers_and_old_schemes_are_refused(headers: dict[str, str], expected: str) -> None:
    with pytest.raises(WebhookRefused) as refused:
        verify_hubspot((S,), "POST", U1.encode(), headers, B1, NOW)
    assert refused.value.reason == expected


def test_a_true_old_signature_does_not_save_a_false_new_one() -> None:
    headers = signers.hubspot_headers(S, U1, B1, T) | {"X-HubSpot-Signature-v3": "A" * 43 + "="}
    with pytest.raises(WebhookRefused):
        verify_hubspot((S,), "POST", U1.encode(), headers, B1, NOW)


def flipped(raw: bytes, bit: int) -> bytes:
    at = bit % (len(raw) * 8)
    return raw[: at // 8] + bytes([raw[at // 8] ^ (1 << at % 8)]) + raw[at // 8 + 1 :]


@given(
    where=st.sampled_from(["method", "address", "body", "time", "signature"]),
    bit=st.integers(0, 100_000),
    body=st.binary(min_size=1, max_size=300),
)
def test_one_flipped_bit_anywhere_is_refused(where: str, bit: int, body: bytes) -> None:
    parts = {
        "method": b"POST",
        "address": b"https://hooks.example.com/webhooks/hubspot?tenant=acme&note=100%25%20J",
        "body": body,
        "time": str(T).encode(),
    }
    parts["signature"] = signers.hubspot_v3(S, "POST", parts["address"].decode(), body, T).encode()
    parts[where] = flipped(parts[where], bit)
    headers = {
        "X-HubSpot-Signature-v3": parts["signature"].decode("latin-1"),
        "X-HubSpot-Request-Timestamp": parts["time"].decode("latin-1"),
    }
    with pytest.raises(WebhookRefused):
        verify_hubspot((S,), parts["method"].decode("latin-1"), parts["address"], headers, parts["body"], NOW)


@given(
    address=st.text(max_size=80), body=st.binary(max_size=80), signature=st.text(max_size=80),
    timestamp=st.one_of(st.text(max_size=20), st.integers(T - 10**6, T + 10**6).map(str)),
)  # fmt: skip
def test_no_input_raises_anything_but_a_refusal(address: str, body: bytes, signature: str, timestamp: str) -> None:
    headers = {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": timestamp}
    with pytest.raises(WebhookRefused):
        verify_hubspot((S,), "POST", address.encode(errors="surrogatepass"), headers, body, NOW)
    with pytest.raises(WebhookRefused):
        verify_mailchimp((S,), f"t={timestamp},v1={signature}", body, NOW)
    with pytest.raises(WebhookRefused):
        verify_mailchimp((S,), signature, body, NOW)


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="%"), max_size=60), st.binary(max_size=60))
def test_whatever_the_vendor_signs_passes(query: str, body: bytes) -> None:
    address = f"{U1}?{query}"
    check("POST", address, body, T, signers.hubspot_v3(S, "POST", address, body, T))


@pytest.mark.parametrize(
    ("base", "target", "address"),
    [
        ("https://hooks.acme.example", "/webhooks/hubspot?a=%2f", "https://hooks.acme.example/webhooks/hubspot?a=%2f"),
        ("https://hooks.acme.example/", "/webhooks/hubspot", "https://hooks.acme.example/webhooks/hubspot"),
        ("https://acme.example/lb", "/webhooks/hubspot", "https://acme.example/lb/webhooks/hubspot"),
        ("https://acme.example/lb", "/lb/webhooks/hubspot", "https://acme.example/lb/webhooks/hubspot"),
        ("https://acme.example/lb", "/lbx/webhooks/hubspot", "https://acme.example/lb/lbx/webhooks/hubspot"),
        ("https://acme.example:8443", "//webhooks/hubspot", "https://acme.example:8443//webhooks/hubspot"),
    ],
)
def test_the_address_is_the_configured_base_and_the_target_as_received(base: str, target: str, address: str) -> None:
    assert signed_address(base, target) == address.encode()


# --- Mailchimp -----------------------------------------------------------------------------------------------------

FORM = b"type=unsubscribe&fired_at=2026-01-06+21%3A40%3A57&data%5Bemail%5D=lead%40acme.example"
SECONDS = T // 1000


def mailchimp_reason(header: str | None, body: bytes = FORM, now: datetime = NOW) -> str:
    with pytest.raises(WebhookRefused) as refused:
        verify_mailchimp((S,), header, body, now)
    return refused.value.reason


def test_a_mailchimp_signature_passes_alone_and_among_others() -> None:
    true, false = signers.mailchimp_v1(S, FORM, SECONDS), "0" * 64
    for header in (f"t={SECONDS},v1={true}", f"t={SECONDS},v1={false},v1={true}", f"t={SECONDS}, v1={true},v0=old"):
        verify_mailchimp((S,), header, FORM, NOW)
    verify_mailchimp(("new", S), f"t={SECONDS},v1={true}", FORM, NOW)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "missing_signature"),
        ("", "bad_signature_header"),
        (f"t={SECONDS}", "bad_signature_header"),
        ("v1=" + "0" * 64, "bad_signature_header"),
        (f"t={SECONDS},t={SECONDS},v1=" + "0" * 64, "bad_signature_header"),
        (f"t={SECONDS}" + (",v1=" + "0" * 64) * 9, "bad_signature_header"),
        (f"t={SECONDS},v1=" + "0" * 63, "bad_signature_header"),
        ("t=now,v1=" + "0" * 64, "bad_timestamp"),
        (f"t={SECONDS},v1=" + "0" * 64, "bad_signature"),
        ("t=1,v1=" + "0" * 64, "too_old"),
        (f"t={SECONDS + 301},v1=" + "0" * 64, "from_the_future"),
        ("x" * 100_000, "bad_signature_header"),
    ],
)
def test_a_missing_or_garbled_mailchimp_signature_is_refused(header: str | None, expected: str) -> None:
    assert mailchimp_reason(header) == expected


def test_a_mailchimp_digest_in_upper_case_is_another_text() -> None:
    assert mailchimp_reason(signers.mailchimp_header(S, FORM, SECONDS).replace("v1=", "V1=")) == "bad_signature_header"
    assert (
        mailchimp_reason(f"t={SECONDS},v1={signers.mailchimp_v1(S, FORM, SECONDS).upper()}") == "bad_signature_header"
    )


@given(where=st.sampled_from(["header", "body"]), bit=st.integers(0, 100_000))
def test_one_flipped_bit_in_a_mailchimp_delivery_is_refused(where: str, bit: int) -> None:
    header, body = signers.mailchimp_header(S, FORM, SECONDS).encode(), FORM
    if where == "header":
        header = flipped(header, bit)
        assume(header.decode("latin-1") != signers.mailchimp_header(S, FORM, SECONDS))
    else:
        body = flipped(body, bit)
    mailchimp_reason(header.decode("latin-1"), body)


def test_a_path_secret_is_known_by_all_of_it_only() -> None:
    secret = "k3J9-random-part-of-our-path"
    assert same_secret(secret, [secret, "another"])
    assert same_secret(secret, ["another", secret])
    for wrong in ("", secret[:-1], secret + "a", secret.upper(), "é", "\udcff"):
        assert not same_secret(wrong, [secret])
    assert not same_secret(secret, [])
