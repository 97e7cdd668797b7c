"""Logs carry our ids, never secrets or addresses, one object per line (reliability G26, G27, G28; faults 38, 41)."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadbridge import logs


@pytest.fixture(autouse=True)
def _logging_as_found() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hidden = list(root.handlers), root.level, set(logs._hidden)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logs._hidden.clear()
    logs._hidden.update(hidden)


def written(fields: dict[str, Any], *, as_json: bool = True) -> str:
    out = io.StringIO()
    logs.configure(json=as_json, stream=out)
    logs.logger("test").info("it happened", **fields)
    return out.getvalue()


def record(**fields: Any) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(written(fields))
    return line


def test_a_record_is_one_json_object_with_level_time_name_and_fields() -> None:
    line = record(rows=3, vendor="hubspot", share=0.5, more={"a": [1, None, True]})
    assert line["event"] == "it happened"
    assert (line["level"], line["logger"]) == ("info", "test")
    assert (line["rows"], line["vendor"], line["share"], line["more"]) == (3, "hubspot", 0.5, {"a": [1, None, True]})
    assert line["at"].endswith("Z")


@pytest.mark.parametrize(
    "text",
    [
        "lead@acme.example",
        "Jürgen.Müller+x@büro.example",
        "<lead@acme.example>",
        "email_address=lead%40acme.example&b=1",
        "GET /crm/v3/objects/contacts/ada.lovelace%2Blead%40acme.example?idProperty=email",
        "nobody knows lead.o'lead@acme.example",
        "Bearer abcDEF123.456",
        "basic bGVhZDpicmlkZ2U=",
        "pat-eu1-3f9c1d52-8a6e-4c0b-b1d7-6e2f0a94c7aa",
        "0123456789abcdef0123456789abcdef-us21",
        "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
        "postgresql://leadbridge:hunter2@db.acme.example/leads",
        "GET /webhooks/mailchimp/9f3c1e77d0a94c5f8b21 HTTP/1.1",
        "https://hooks.slack.com/services/T000/B000/abcdef",
        "(psycopg) boom [SQL: select 1] [parameters: ('lead@acme.example', 'hunter2')]",
    ],
)
def test_addresses_and_secrets_are_masked_wherever_they_stand(text: str) -> None:
    secret_parts = ("lead@", "lead%40", "Müller", "abcDEF", "bGVhZ", "3f9c1d52", "0123456789abcdef", "eyJzdWI",
                    "hunter2", "9f3c1e77d0a9", "T000", "lovelace", "lead.o")  # fmt: skip
    for line in (
        written({"said": text}), written({"nested": {"a": [text]}}), written({"as": ValueError(text)}),
        written({"said": text}, as_json=False), written({"key": {text: 1}}),
    ):  # fmt: skip
        assert not [part for part in secret_parts if part in line]


@pytest.mark.parametrize(
    "name",
    ["token", "client_secret", "Authorization", "api_key", "apikey", "password", "X-HubSpot-Signature", "cookie"],
)
def test_a_value_under_a_secret_name_is_masked_whatever_it_is(name: str) -> None:
    assert "canary" not in written({"headers": {name: "canary"}})
    assert "canary" not in written({name: ["canary"]})


def test_known_secrets_are_masked_even_inside_words_and_escaped() -> None:
    logs.hide("canary/ä secret", None, "")
    assert "canary" not in written({"said": "xcanary/ä secretx and canary%2F%C3%A4%20secret"})


def test_raw_bytes_and_long_texts_never_become_a_line() -> None:
    assert record(body=b"lead")["body"] == "<4 bytes>"
    assert len(written({"said": "x" * 10**6})) < 2 * logs.LONGEST


def test_an_exception_is_told_without_local_variables_and_masked() -> None:
    out = io.StringIO()
    logs.configure(json=True, stream=out)

    def fails() -> None:
        canary_local = "hunter2-local"
        raise ValueError("nobody@acme.example is wrong" + canary_local[:0])

    try:
        fails()
    except ValueError:
        logs.logger("test").exception("it failed")
        logging.getLogger("another.library").exception("it failed for %s", "lead@acme.example")
    ours, theirs = map(json.loads, out.getvalue().splitlines())
    for line in (ours, theirs):
        assert "ValueError" in line["exception"]
        assert "fails" in line["exception"]
        assert "acme.example" not in json.dumps(line)
        assert "hunter2" not in json.dumps(line)


def test_records_of_other_libraries_pass_the_same_mask() -> None:
    out = io.StringIO()
    logs.configure(json=True, stream=out)
    logging.getLogger("waitress").warning("Exception while serving %s", "/webhooks/mailchimp/9f3c1e77d0a94c5f8b21")
    assert json.loads(out.getvalue())["event"] == "Exception while serving /webhooks/mailchimp/***"


def test_a_request_that_waits_for_a_thread_is_no_warning() -> None:
    out = io.StringIO()
    logs.configure(json=True, stream=out)
    logging.getLogger("waitress.queue").warning("Task queue depth is %d", 1)
    assert out.getvalue() == ""


def test_nothing_leaks_before_logging_is_configured(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger().handlers[:] = [caplog.handler]
    logs.logger("test.unconfigured").warning("early", said="lead@acme.example")
    assert "early" in caplog.text
    assert "acme" not in caplog.text


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_starts_a_second_line(key_text: str, value: str) -> None:
    for as_json in (True, False):
        line = written({"said": value, "nested": {key_text: value}}, as_json=as_json)
        assert line.count("\n") == 1
        assert line.endswith("\n")
        assert not any(letter in line for letter in "\x1b\r\x08\u202e\u2066\u2028\x85")
        if as_json:
            json.loads(line)


def test_numbers_that_json_lacks_are_written_as_text() -> None:
    line = record(a=float("nan"), b=[float("-inf")])
    assert (line["a"], line["b"]) == ("nan", ["-inf"])
