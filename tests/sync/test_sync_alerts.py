"""Words of strangers stay words in every alert: no HTML, no link, no call to everybody (reliability G28)."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message

import pytest

from nurture.hand_off import safe
from sync.alerts import Text, deliver, inert
from tests.helpers.receiver import receiver

NAMES = [
    "<script>alert(1)</script>",
    '<img src="https://evil.example/x.png">',
    "<!channel> <!here>",
    "<https://evil.example|your invoice>",
    "[your invoice](https://evil.example)",
    "@everyone look",
    "ann@Here",
]
MARKUP = ("<", ">", "](", "@everyone", "@here", "@channel")


class _Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as a sender needs."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            if line[:4].upper() == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    body += line
                self.server.letters.append(message_from_bytes(body))  # type: ignore[attr-defined]
            if line[:4].upper() == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


@contextmanager
def mail_server() -> Iterator[tuple[str, list[Message]]]:
    """Address of a mailbox for apprise, and the letters that came."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mail) as server:
        server.letters = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
        port = server.server_address[1]
        yield f"mailto://127.0.0.1:{port}?from=lb@acme.example&to=ops@acme.example", server.letters  # type: ignore[attr-defined]
        server.shutdown()


@pytest.mark.parametrize("name", NAMES)
def test_a_letter_is_plain_text_whatever_a_lead_is_called(name: str) -> None:
    with mail_server() as (address, letters):
        assert deliver(address, Text(f"Ready: {name}", f"Why: {name}\nline two"), ["127.0.0.1"]) == ("E-Mail", "")
    (letter,) = letters
    assert [part.get_content_type() for part in letter.walk()] == ["text/plain"]
    body = letter.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert [line.strip() for line in body.decode().splitlines()] == [f"Why: {inert(name)}", "line two"]


@pytest.mark.parametrize("name", NAMES)
def test_no_chat_draws_a_link_or_calls_everybody_by_a_leads_name(name: str) -> None:
    with receiver() as chat:
        where = deliver(chat.url, Text(safe(f"Ready: {name}", 160), safe(f"Why: {name}", 300)), ["127.0.0.1"])
    assert where == ("JSON", "")
    (told,) = chat.told
    shown = f"{told['title']} {told['message']}".lower()
    assert [mark for mark in MARKUP if mark in shown] == []


def test_what_is_no_markup_is_told_as_it_is() -> None:
    plain = "Ann O'Neil & Söhne (ann@acme.example), score 82 A: asked for a price [2] 50 % *new*"
    assert inert(plain) == plain
