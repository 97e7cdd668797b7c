"""Secrets are compared in constant time everywhere, and guessing them leads nowhere (reliability G4, G26; fault 13).

How long a comparison takes cannot be measured on a machine that others use as well; that every comparison is made by
the function whose time does not depend on the content can be read in the code.
"""

import ast
import random
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadbridge import clock
from leadbridge.errors import WebhookRefused
from tests.helpers import signers
from tests.helpers.tally import Tally
from tests.webhooks.conftest import CANARY, HUBSPOT_SECRET, MAILCHIMP_PATH, PUBLIC, OpenDoor, on_sqlite
from webhooks.signatures import same_secret, signed_address, verify_hubspot, verify_mailchimp

ROOT = Path(__file__).parents[2]
WORDS = ("secret", "password", "signature", "digest", "write_key", "api_key", "hmac")


def compared_plainly(source: str) -> Iterator[str]:
    """Comparisons with `==`, `!=` or `in` of something that by its name is a secret or made with one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(
            isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops
        ):
            for side in (node.left, *node.comparators):
                inner = {part.id for part in ast.walk(side) if isinstance(part, ast.Name)}
                inner |= {part.attr for part in ast.walk(side) if isinstance(part, ast.Attribute)}
                measured = isinstance(side, ast.Call) and isinstance(side.func, ast.Name) and side.func.id == "len"
                if not measured and any(word in name.lower() for name in inner for word in WORDS):
                    yield ast.unparse(node)
                    break


def test_no_secret_and_no_digest_is_compared_but_in_constant_time() -> None:
    for caught in ("given == secret", "self._path_secrets[0] != x", "token in self.write_keys", "a.digest() == b"):
        assert list(compared_plainly(caught)) == [caught]
    doors = sorted((ROOT / "webhooks").rglob("*.py"))
    assert len(doors) > 10
    found = {path.name: list(compared_plainly(path.read_text(encoding="utf-8"))) for path in doors}
    assert {name: what for name, what in found.items() if what} == {}


def near_misses(secret: str, count: int) -> Iterator[str]:
    """Guesses of somebody who knows a prefix, all but the case, all but one character, or nothing but the length."""
    drawn = random.Random(20261128)
    letters = string.ascii_letters + string.digits + "-_"
    for number in range(count):
        place = drawn.randrange(len(secret))
        kinds = (
            secret[:place],
            secret + drawn.choice(letters),
            secret[:place] + drawn.choice(letters) + secret[place + 1 :],
            "".join(drawn.choices(letters, k=len(secret))),
            secret[:place] + secret[place:].swapcase(),
        )
        guess = kinds[number % len(kinds)]
        if guess != secret:
            yield guess


def test_a_hundred_thousand_guesses_open_nothing(tally: Tally) -> None:
    """At the path, and of both signatures: each guess is refused, and the refusal tells nothing of the secret."""
    now = clock.now()
    body, target = b"[]", "/webhooks/hubspot"
    address = signed_address(PUBLIC, target)
    refused = opened = 0
    for guess in near_misses(MAILCHIMP_PATH, 80_000):
        opened += same_secret(guess, [MAILCHIMP_PATH, HUBSPOT_SECRET])
        refused += 1
    for guess in near_misses(HUBSPOT_SECRET, 20_000):
        given = signers.hubspot_headers(guess, PUBLIC + target, body, int(now.timestamp() * 1000))
        with pytest.raises(WebhookRefused) as told:
            verify_hubspot([HUBSPOT_SECRET], "POST", address, _Headers(given), body, now)
        assert told.value.reason == "bad_signature"
        assert CANARY not in repr(told.value)
        header = signers.mailchimp_header(guess, body, int(now.timestamp()))
        with pytest.raises(WebhookRefused):
            verify_mailchimp([HUBSPOT_SECRET], header, body, now)
        refused += 1
    assert refused > 95_000
    tally(13, trials=refused, wrong=opened)


class _Headers(dict[str, str]):
    """Headers as a request has them."""


@on_sqlite
def test_whoever_guesses_at_the_door_learns_nothing_and_leaves_nothing(
    open_door: OpenDoor, capfd: pytest.CaptureFixture[str]
) -> None:
    door = open_door()
    answers = {
        (answer.status, answer.body)
        for guess in near_misses(MAILCHIMP_PATH, 300)
        if guess and not set(guess) & set("/?#%")
        for answer in [door.mailchimp({"type": "unsubscribe"}, path=guess)]
    }
    assert len(answers) == 1  # the same word whatever the guess shares with the secret
    ((status, body),) = answers
    assert status == 404
    assert CANARY.encode() not in body
    assert door.count() == 0
    said = capfd.readouterr()
    assert CANARY not in said.out + said.err
