"""The key: where it comes from, and what it keeps shut."""

import base64
import hashlib
import hmac
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from leadbridge.errors import StoreError
from leadbridge.store import open_store
from leadbridge.store.vault import Vault, load_key
from tests.helpers.databases import KEY

OTHER = bytes(32)


@given(st.binary(max_size=300), st.text(max_size=20))
def test_what_was_sealed_opens_in_its_own_place(plain: bytes, place: str) -> None:
    assert Vault(KEY).open(Vault(KEY).seal(plain, place), place) == plain


@given(st.text(max_size=200), st.binary(min_size=32, max_size=32))
def test_a_digest_is_the_hmac_of_the_text_under_a_key_of_its_own(text: str, key: bytes) -> None:
    own = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"leadbridge digest").derive(key)
    assert Vault(key).digest(text) == hmac.new(own, text.encode(), hashlib.sha256).hexdigest()


@given(st.binary(max_size=60), st.data())
def test_altered_bytes_do_not_open(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(Vault(KEY).seal(plain, "here"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StoreError):
        Vault(KEY).open(bytes(sealed), "here")


def test_sealed_bytes_do_not_open_elsewhere_or_under_another_key_or_cut_short() -> None:
    sealed = Vault(KEY).seal(b"body", "inbox:hubspot:1")
    for vault, given_bytes, place, words in [
        (Vault(KEY), sealed, "inbox:hubspot:2", "moved from another place"),
        (Vault(OTHER), sealed, "inbox:hubspot:1", "another key"),
        (Vault(KEY), sealed[:10], "inbox:hubspot:1", "not in a known form"),
        (Vault(KEY), b"", "inbox:hubspot:1", "not in a known form"),
    ]:
        with pytest.raises(StoreError, match=words):
            vault.open(given_bytes, place)


def test_sealing_twice_gives_different_bytes() -> None:
    assert Vault(KEY).seal(b"body", "here") != Vault(KEY).seal(b"body", "here")


def test_a_digest_is_the_same_for_the_same_text_and_key_only() -> None:
    digest = Vault(KEY).digest("email:ada@acme.example")
    assert digest == Vault(KEY).digest("email:ada@acme.example")
    assert (
        len({digest, Vault(OTHER).digest("email:ada@acme.example"), Vault(KEY).digest("email:bob@acme.example")}) == 3
    )
    assert "ada" not in digest
    assert len(digest) == 64


def test_the_key_does_not_show() -> None:
    assert KEY.hex() not in repr(vars(Vault(KEY)))
    assert repr(KEY) not in repr(vars(Vault(KEY)))


@pytest.mark.parametrize("spelling", [KEY.hex(), base64.b64encode(KEY).decode(), f"  {KEY.hex().upper()}\n"])
def test_a_key_is_read_from_the_environment_or_a_file_it_names(spelling: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(spelling)
    assert load_key(None, {"LEADBRIDGE_KEY": spelling}) == KEY
    assert load_key(tmp_path / "unused.key", {"LEADBRIDGE_KEY_FILE": str(file)}) == KEY
    assert not (tmp_path / "unused.key").exists()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "needs its key in LEADBRIDGE_KEY or LEADBRIDGE_KEY_FILE; make one with"),
        ({"LEADBRIDGE_KEY": "too short"}, "LEADBRIDGE_KEY does not hold a key"),
        ({"LEADBRIDGE_KEY": "ab" * 31}, "LEADBRIDGE_KEY does not hold a key"),
        ({"LEADBRIDGE_KEY_FILE": "/no/such/file"}, "/no/such/file cannot be read"),
    ],
)
def test_without_a_usable_key_the_error_says_what_to_do(environ: dict[str, str], words: str) -> None:
    with pytest.raises(StoreError) as refusal:
        load_key(None, environ)
    assert words in str(refusal.value)
    assert "too short" not in str(refusal.value)


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "leads.key"
    found: list[bytes] = []
    barrier = threading.Barrier(8)

    def load() -> None:
        barrier.wait()
        found.append(load_key(path, {}))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {load_key(path, {})}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_sqlite_store_has_its_key_file_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEADBRIDGE_KEY", raising=False)
    monkeypatch.delenv("LEADBRIDGE_KEY_FILE", raising=False)
    url = f"sqlite:///{tmp_path}/leads.db"
    for _ in range(2):
        store = open_store(url)
        store.migrate()
        with store.reading():
            pass
        store.close()
    key = tmp_path / "leads.key"
    assert store.vault.digest("x") == Vault(bytes.fromhex(key.read_text().strip())).digest("x")
    key.unlink()
    with pytest.raises(StoreError, match=r"its key file .*leads\.key is not: put it back"):
        open_store(url)
    assert not key.exists()


def test_a_store_is_not_opened_with_another_key(store_url: str) -> None:
    store = open_store(store_url, key=OTHER)
    with pytest.raises(StoreError, match="the key does not belong to this store"), store.writing():
        pytest.fail("opened")
    with pytest.raises(StoreError, match="the key does not belong to this store"):
        store.migrate()
    store.close()


def test_postgresql_needs_its_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEADBRIDGE_KEY", raising=False)
    monkeypatch.delenv("LEADBRIDGE_KEY_FILE", raising=False)
    with pytest.raises(StoreError, match="needs its key in LEADBRIDGE_KEY"):
        open_store("postgresql://ada@localhost/leads")
