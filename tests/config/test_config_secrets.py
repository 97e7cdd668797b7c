"""Secrets come from the environment only, and are shown by nothing (reliability G26)."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from leadbridge.config.report import describe
from leadbridge.config.wording import secret_like, shown
from leadbridge.errors import ConfigError
from tests.helpers.config_files import ENVIRONMENT, changed, faults_of, loaded, refused

CANARIES = (
    "pat-na1-5f3c0b1e-91aa-4c0f-8d11-0a1b2c3d4e5f",
    "0123456789abcdef0123456789abcdef-us21",
    "https://acme:hunter22@hooks.example",
    "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==",
)
TOKEN = 'token: "${HUBSPOT_TOKEN}"'
KEY = 'api_key: "${MAILCHIMP_KEY}"'

SECRET_PLACES: dict[str, Callable[[str], tuple[str, str]]] = {
    "token": lambda text: (TOKEN, f"token: {text}"),
    "webhook_secret": lambda text: (TOKEN, f"{TOKEN}, webhook_secret: {text}"),
    "webhook_secret_previous": lambda text: (TOKEN, f"{TOKEN}, webhook_secret_previous: {text}"),
    "api_key": lambda text: (KEY, f"api_key: {text}"),
    "mailchimp webhook_secret": lambda text: (KEY, f"{KEY}, webhook_secret: {text}"),
    "mailchimp webhook_signing_secret": lambda text: (KEY, f"{KEY}, webhook_signing_secret: {text}"),
    "status_password": lambda text: ("nurture:\n", f"web: {{status_password: {text}}}\nnurture:\n"),
}


def everything(error: BaseException) -> str:
    """All that a log, a traceback or a debugger could show of an error and what led to it."""
    seen: list[str] = []
    queue: list[BaseException | None] = [error]
    while queue:
        one = queue.pop()
        if one is not None:
            seen += [str(one), repr(one), repr(one.args), repr(vars(one)), "".join(traceback.format_exception(one))]
            queue += [one.__cause__, one.__context__]
    return "\n".join(seen)


@pytest.mark.parametrize(
    "canary", [*CANARIES, "hunter2", "{hunter2: hunter2}", "[hunter2, hunter2]", "x${HUBSPOT_TOKEN}hunter2"]
)
@pytest.mark.parametrize("place", SECRET_PLACES)
def test_a_secret_written_into_the_file_is_refused_and_not_repeated(place: str, canary: str) -> None:
    written = canary if canary[0] in "{[" else f'"{canary}"'
    error = refused(changed(SECRET_PLACES[place](written)))
    (fault,) = [fault for fault in error.faults if "is a secret" in fault.problem]
    assert "write ${NAME} here, and set the variable NAME" in fault.problem
    told = everything(error)
    assert canary not in told
    assert "hunter2" not in told


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("points: 15", 'points: "CANARY"'),
        ("max: 40}, engagement", 'max: "CANARY"}, engagement'),
        ("type: boolean", 'type: "CANARY"'),
        ("category: fit", 'category: "CANARY"'),
        ("score: {hubspot", '"CANARY": {hubspot'),
        ("hubspot: country", 'hubspot: "CANARY"'),
        ("tag: lb-guides", 'trigger: "CANARY"'),
        ("activity: page_view", 'activity: "CANARY"'),
        ("connections:\n", 'store: "CANARY"\nconnections:\n'),
        ("nurture:\n", 'web: {public_url: "CANARY CANARY"}\nnurture:\n'),
        ("nurture:\n", '"CANARY": 5\nnurture:\n'),
        (TOKEN, f'{TOKEN}, "CANARY": 5'),
        (TOKEN, "token: &CANARY x"),
        (TOKEN, "token: *CANARY"),
        (TOKEN, "token: !CANARY x"),
        (TOKEN, "token: 'CANARY"),
        (TOKEN, "token: CANARY: x"),
        (TOKEN, 'token: "CANARY\\z"'),
        (TOKEN, "token: {CANARY: x"),
        (TOKEN, 'token: {"CANARY": 1, "CANARY": 2}'),
        ("segment: small", 'segment: "CANARY"'),
        ("small: {employees: {below: 50}}", 'small: {"CANARY": 5}'),
        ("small: {employees: {below: 50}}", 'small: {employees: "CANARY"}'),
        ("small: {employees: {below: 50}}", 'small: {renewal: {within: "CANARY"}}'),
        ("small: {employees: {below: 50}}", 'small: {email_domain: {in: "CANARY"}}'),
        ("small: {employees: {below: 50}}", 'small: {employees: {"CANARY": 5}}'),
    ],
)  # fmt: skip
def test_a_secret_pasted_into_the_wrong_place_is_not_repeated(
    old: str,
    new: str,
    canary: str,
) -> None:
    assert canary not in everything(refused(changed((old, new.replace("CANARY", canary)))))


@pytest.mark.parametrize("canary", [*CANARIES, "hunter2", "two\nlines"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (KEY, 'api_key: "${CANARY}"'),
        (KEY, f'{KEY}, webhook_secret: "${{CANARY}}"'),
        (KEY, f'{KEY}, base_url: "${{CANARY}}"'),
        (KEY, f'{KEY}, base_url: "http://${{CANARY}}"'),
        (KEY, f'{KEY}, base_url: "https://acme.example/${{CANARY}}?${{MISSING}}"'),
        ("connections:\n", 'store: "${CANARY}"\nconnections:\n'),
        ("connections:\n", 'store: "${CANARY}${MISSING}"\nconnections:\n'),
        ("nurture:\n", 'web: {public_url: "${CANARY}"}\nnurture:\n'),
    ],
)
def test_a_value_from_the_environment_that_does_not_fit_is_not_repeated(old: str, new: str, canary: str) -> None:
    try:
        config = loaded(changed((old, new)), {**ENVIRONMENT, "CANARY": canary})
    except ConfigError as error:
        told = everything(error)
    else:
        told = repr(config) + str(describe(config))
        if "base_url" in new or "public_url" in new:  # an address is no secret, once it is one
            return
    assert canary not in told


def test_a_sound_configuration_shows_no_secret() -> None:
    text = changed(
        ("connections:\n", 'store: "postgresql://app:${DB_PASSWORD}@db.acme.example/leads"\nconnections:\n'),
        (KEY, f'{KEY}, webhook_secret: "${{PATH_SECRET}}"'),
    )
    secrets = {**ENVIRONMENT, "DB_PASSWORD": "hunter2", "PATH_SECRET": "canary-canary-canary-canary"}
    config = loaded(text, secrets)
    assert config.store == "postgresql://app:hunter2@db.acme.example/leads"
    for told in (repr(config), str(config), repr(config.connections), str(describe(config)), f"{config!r}"):
        assert not [value for value in secrets.values() if value in told]


def test_every_missing_variable_is_told_at_once_with_its_line() -> None:
    text = changed(("connections:\n", 'store: "postgresql://${DB_USER}:${DB_PASSWORD}@db/leads"\nconnections:\n'))
    assert [(fault.line, fault.where, fault.problem) for fault in faults_of(text, {})] == [
        (1, "store", "variable DB_USER is not set; set it, or DB_USER_FILE; "
                     "variable DB_PASSWORD is not set; set it, or DB_PASSWORD_FILE"),
        (3, "connections.hubspot.token", "variable HUBSPOT_TOKEN is not set; set it, or HUBSPOT_TOKEN_FILE"),
        (4, "connections.mailchimp.api_key", "variable MAILCHIMP_KEY is not set; set it, or MAILCHIMP_KEY_FILE"),
    ]  # fmt: skip


def test_a_variable_nearly_of_that_name_is_suggested() -> None:
    (fault,) = faults_of(changed(), {"HUBSPOT_TOKN": "x", "MAILCHIMP_KEY": "k-us6"})
    assert fault.problem.endswith("(did you mean HUBSPOT_TOKN?)")


@pytest.mark.parametrize("content", ["the-token", "the-token\n", "\ufeffthe-token\r\n", "  the-token  "])
def test_a_secret_may_be_in_a_file_that_a_variable_names(tmp_path: Path, content: str) -> None:
    secret = tmp_path / "token"
    secret.write_text(content, encoding="utf-8", newline="")
    config = loaded(changed(), {"HUBSPOT_TOKEN_FILE": str(secret), "MAILCHIMP_KEY": "k-us6"})
    assert config.connections.hubspot.token.get_secret_value() == "the-token"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "names a file that cannot be read: No such file or directory"),
        (b"", "is set, but empty"),
        (b"\n", "is set, but empty"),
        (b"\xff\xfe", "names a file that is not text in UTF-8"),
        (b"one\ntwo", "holds a line end or an invisible character"),
        (b"x" * 70000, "names a file too large to hold one value"),
    ],
)
def test_a_file_that_holds_no_secret_is_told(tmp_path: Path, content: bytes | None, words: str) -> None:
    secret = tmp_path / "token"
    if content is not None:
        secret.write_bytes(content)
    (fault,) = faults_of(changed(), {"HUBSPOT_TOKEN_FILE": str(secret), "MAILCHIMP_KEY": "k-us6"})
    assert (fault.line, fault.where) == (2, "connections.hubspot.token")
    assert words in fault.problem


@pytest.mark.parametrize("path", ["/", "a\0b", "x" * 5000])
def test_a_file_name_that_is_none_is_told(path: str) -> None:
    (fault,) = faults_of(changed(), {"HUBSPOT_TOKEN_FILE": path, "MAILCHIMP_KEY": "k-us6"})
    assert "variable HUBSPOT_TOKEN_FILE names a file that cannot be read: " in fault.problem


def test_both_ways_at_once_are_a_fault() -> None:
    (fault,) = faults_of(changed(), {**ENVIRONMENT, "HUBSPOT_TOKEN_FILE": "/run/token"})
    assert fault.problem == "variables HUBSPOT_TOKEN and HUBSPOT_TOKEN_FILE are both set; keep one"


def test_a_set_but_empty_variable_is_a_fault() -> None:
    (fault,) = faults_of(changed(), {**ENVIRONMENT, "HUBSPOT_TOKEN": " "})
    assert fault.problem == "variable HUBSPOT_TOKEN is set, but empty"


@pytest.mark.parametrize(
    "written", ["$HUBSPOT_TOKEN", "${HUBSPOT_TOKEN:-x}", "${hubspot-token}", "%HUBSPOT_TOKEN%", ""]
)
def test_other_spellings_of_a_variable_are_told_the_right_one(written: str) -> None:
    (fault,) = faults_of(changed((TOKEN, f'token: "{written}"')))
    assert "write ${NAME} here" in fault.problem


@pytest.mark.parametrize("address", ["postgresql://app:hunter2@db/leads", "postgresql://app:hunter2${X}@db/leads"])
def test_a_password_in_the_address_of_the_store_is_refused(address: str) -> None:
    (fault,) = faults_of(changed(("connections:\n", f'store: "{address}"\nconnections:\n')), {
        "HUBSPOT_TOKEN": "t", "MAILCHIMP_KEY": "k-us6", "X": "x"})  # fmt: skip
    assert fault.problem == "holds a password, and secrets do not belong in a file; write ${NAME} in its place"


@pytest.mark.parametrize("text", CANARIES)
def test_what_looks_like_a_secret_is_not_shown(text: str) -> None:
    assert secret_like(text)
    assert text not in shown(f"say {text}")


@pytest.mark.parametrize(
    "text", ["pricing page", "marketing_consent_given_2024", "free_mail_domains", "2026-03-31", "12345678901"]
)
def test_plain_words_are_shown(text: str) -> None:
    assert shown(text) == repr(text)
