"""The status page: figures from the store, lead text as data, not for strangers (reliability G26, G28, G30)."""

from base64 import b64encode
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from leadbridge import clock
from leadbridge.store.engine import Store
from leadbridge.store.tables import persons, scores, standings
from tests.helpers.signers import hubspot_body, hubspot_change
from tests.webhooks.conftest import Door, OpenDoor, on_sqlite
from webhooks.dashboard.page import FRESH_FOR

HOSTILE = '<script>alert("x")</script>{{ 7191*7 }}<img src=x onerror=alert(1)>\u202e'
HERE: dict[str, str] = {}  # a `web:` section without a public address
PASSWORD = "a long password of the page"


@pytest.fixture
def home(open_door: OpenDoor) -> Door:
    return open_door(web=HERE)


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += " " + data.strip()


def add_lead(store: Store, value: int, *, grade: str = "A", stage: str = "mql", reasons: str = "", **who: str) -> None:
    now = clock.now()
    email = who.pop("email", None)
    with store.writing() as tx:
        (person,) = tx.execute(
            persons.insert().values(created_at=now, changed_at=now, email=email, attributes=who).returning(persons.c.id)
        ).scalars()
        tx.execute(
            scores.insert().values(
                person_id=person, name="lead", value=value, grade=grade, categories={}, model="m", at=now, version=1
            )
        )
        tx.execute(
            standings.insert().values(
                person_id=person,
                stage=stage,
                segments=[],
                reasons={"lead": reasons, "customer": "another score"},
                at=now,
                version=1,
            )
        )


def test_an_empty_store_has_a_page_too(home: Door) -> None:
    answer = home.ask("GET", "/")
    page = Page(answer.body)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Nobody has a score yet" in page.text
    assert home.ask("HEAD", "/").status == 200


def test_people_grades_stages_top_leads_and_webhooks_are_shown(home: Door, store: Store) -> None:
    for number in range(25):
        add_lead(
            store, number, grade="A" if number > 20 else "B", stage="sql" if number > 20 else "lead",
            reasons=f"decision maker +{number}", email=f"lead{number}@acme.example",
        )  # fmt: skip
    add_lead(store, 99, first_name="Ada", last_name="Lovelace", email="ada@acme.example", reasons="pricing page +8")
    home.hubspot(hubspot_body(hubspot_change(1), 17), public=home.server.url)
    home.count()
    text = Page(home.ask("GET", "/").body).text
    for said in (
        "26",
        "Ada Lovelace",
        "ada@acme.example",
        "pricing page +8",
        "decision maker +24",
        "hubspot",
        "waiting",
    ):
        assert said in text
    assert "lead5@acme.example" not in text  # not among the twenty highest
    assert "another score" not in text
    assert text.index("ada@acme.example") < text.index("lead24@acme.example") < text.index("lead23@acme.example")


@on_sqlite
def test_lead_text_is_shown_and_never_run(home: Door, store: Store) -> None:
    add_lead(store, 50, name=HOSTILE, email=f'"{HOSTILE}"@acme.example', reasons=HOSTILE, grade=HOSTILE, stage=HOSTILE)
    answer = home.ask("GET", "/")
    page = Page(answer.body)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
    assert "{{ 7191*7 }}" in page.text
    assert "50337" not in page.text
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")


@on_sqlite
def test_the_style_sheet_is_served_from_here(home: Door) -> None:
    answer = home.ask("GET", "/status.css")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert b"http" not in answer.body
    assert home.ask("GET", "/static/../page.py").status == 404


@on_sqlite
def test_the_page_is_closed_once_the_server_has_a_public_address(door: Door) -> None:
    answer = door.ask("GET", "/")
    assert (answer.status, answer.error) == (403, "status_page_closed")


@on_sqlite
def test_the_page_is_closed_to_names_that_are_pointed_here(home: Door) -> None:
    for host, status in {
        "evil.example": 403, "127.0.0.1.evil.example": 403, "hooks.acme.example:8080": 403, "": 403,
        "localhost:8080": 200, "127.0.0.1": 200, "[::1]:8080": 200,
    }.items():  # fmt: skip
        assert home.ask("GET", "/", headers={"Host": host}).status == status, host


@on_sqlite
def test_a_password_opens_the_page_and_nothing_else_does(open_door: OpenDoor) -> None:
    for web in ({"public_url": "https://hooks.acme.example"}, HERE):
        door = open_door(web={**web, "status_password": PASSWORD})

        def with_password(password: str, door: Door = door) -> int:
            given = b64encode(f"anyone:{password}".encode()).decode()
            return door.ask("GET", "/", headers={"Authorization": f"Basic {given}"}).status

        assert with_password(PASSWORD) == 200
        for wrong in ("", PASSWORD[:-1], PASSWORD + "x", PASSWORD.upper(), "\0", "é"):
            assert with_password(wrong) == 401
        for header in ("Basic", "Basic !!!", "Basic OjpA", "Bearer x", "Digest x=y", "Basic " + "A" * 5000):
            assert door.ask("GET", "/", headers={"Authorization": header}).status == 401
        bare = door.ask("GET", "/")
        assert (bare.status, bare.headers["WWW-Authenticate"].split(" ")[0]) == (401, "Basic")


def test_the_page_is_read_anew_after_a_moment(home: Door, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert timedelta(seconds=FRESH_FOR) <= timedelta(seconds=5)
    home.ask("GET", "/")
    add_lead(store, 77, email="late@acme.example")
    monkeypatch.setattr("webhooks.dashboard.page.FRESH_FOR", 0.0)
    assert "late@acme.example" in Page(home.ask("GET", "/").body).text
