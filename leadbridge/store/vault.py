"""The key of the store: sealing raw deliveries (AES-GCM) and hashing addresses (HMAC).

Sealed bytes carry the id of the key that sealed them, so that a later key can open old ones beside it (`rotation`).
Digests do not: a suppression must be found by its address alone, so the digest key stays for the life of the store.
"""

import base64
import binascii
import hmac
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from leadbridge.errors import StoreError

KEY_BYTES = 32
HOW_TO_MAKE = 'make one with: python -c "import secrets; print(secrets.token_hex(32))"'

_FORMAT = b"\x01"
_ID_BYTES = 4
_NONCE_BYTES = 12
_DIGEST_KEY = "facts:digest key"


class Vault:
    """Seals and hashes under one key, and opens what others sealed. Thread-safe; `repr` shows nothing of the keys."""

    def __init__(self, key: bytes, also: Sequence[bytes] = ()) -> None:
        """`also`: other keys that are good for opening, while one takes the place of another."""
        for one in (key, *also):
            if len(one) != KEY_BYTES:
                raise StoreError(f"the store's key must be {KEY_BYTES} bytes, not {len(one)}; {HOW_TO_MAKE}")
        self._hash_key = _derived(key, b"leadbridge digest")
        self._other_hash_keys = [_derived(one, b"leadbridge digest") for one in also]
        self._id = _key_id(key)
        self._ciphers = {_key_id(one): AESGCM(_derived(one, b"leadbridge seal")) for one in (key, *also)}

    @property
    def mark(self) -> bytes:
        """What bytes begin with that this vault seals."""
        return _FORMAT + self._id

    def digest(self, text: str) -> str:
        """Keyed hash (HMAC-SHA256, hex) of a text: the same for the same text, telling nothing without the key."""
        return _hashed(self._hash_key, text)

    def seal(self, plain: bytes, context: str) -> bytes:
        """Encrypt. `context` names the place the bytes are kept; opened elsewhere they do not open."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self.mark + nonce + self._ciphers[self._id].encrypt(nonce, plain, _place(context))

    def open(self, sealed: bytes, context: str) -> bytes:
        """Decrypt. Raises StoreError when altered, moved, or sealed under another key."""
        start = len(_FORMAT) + _ID_BYTES
        if sealed[: len(_FORMAT)] != _FORMAT or len(sealed) < start + _NONCE_BYTES:
            raise StoreError("sealed bytes are damaged: not in a known form")
        cipher = self._ciphers.get(bytes(sealed[len(_FORMAT) : start]))
        if cipher is None:
            raise StoreError("sealed bytes belong to another key; give LEADBRIDGE_KEY the key they were sealed with")
        try:
            return cipher.decrypt(sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :], _place(context))
        except InvalidTag:
            raise StoreError("sealed bytes are damaged, or were moved from another place") from None

    # --- the key of the digests, which outlives the key that seals

    def find_digest_key(self, text: str, digest: str) -> bool:
        """Make digests with that of our keys which gives `digest` for `text`; False when none does."""
        for hash_key in (self._hash_key, *self._other_hash_keys):
            if hmac.compare_digest(_hashed(hash_key, text), digest):
                self._hash_key = hash_key
                return True
        return False

    def sealed_digest_key(self) -> bytes:
        """The key digests are made with, sealed under the newest key."""
        return self.seal(self._hash_key, _DIGEST_KEY)

    def take_digest_key(self, sealed: bytes) -> None:
        """Make digests with this one from now on. Raises StoreError as `open`."""
        self._hash_key = self.open(sealed, _DIGEST_KEY)


def _hashed(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def _key_id(key: bytes) -> bytes:
    return _derived(key, b"leadbridge key id")[:_ID_BYTES]


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)


def _place(context: str) -> bytes:
    return context.encode("utf-8", "surrogatepass")


def load_key(path: Path | None, environ: Mapping[str, str]) -> bytes:
    """The store's key: from LEADBRIDGE_KEY, else from the file LEADBRIDGE_KEY_FILE names, else from `path`.

    A missing `path` is made, readable by its owner alone and on disk before this returns; of several processes that
    make it at once, one wins and all get its key. Raises StoreError when there is no key, or no usable one.
    """
    if text := environ.get("LEADBRIDGE_KEY"):
        return _read_key(text, "LEADBRIDGE_KEY")
    if named := environ.get("LEADBRIDGE_KEY_FILE"):
        try:
            return _read_key(Path(named).read_text(encoding="ascii"), f"LEADBRIDGE_KEY_FILE ({named})")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"LEADBRIDGE_KEY_FILE: {named} cannot be read: {error}") from error
    if path is None:
        raise StoreError(f"a PostgreSQL store needs its key in LEADBRIDGE_KEY or LEADBRIDGE_KEY_FILE; {HOW_TO_MAKE}")
    try:
        if not path.exists():
            _make_key_file(path)
        return _read_key(path.read_text(encoding="ascii"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"the key file {path} cannot be read or made: {error}") from error


def previous_keys(environ: Mapping[str, str]) -> list[bytes]:
    """A second key that opens, while keys are exchanged: from LEADBRIDGE_KEY_PREVIOUS, or the file that
    LEADBRIDGE_KEY_PREVIOUS_FILE names. Raises StoreError when it is no usable one."""
    if text := environ.get("LEADBRIDGE_KEY_PREVIOUS"):
        return [_read_key(text, "LEADBRIDGE_KEY_PREVIOUS")]
    if named := environ.get("LEADBRIDGE_KEY_PREVIOUS_FILE"):
        return [load_key(None, {"LEADBRIDGE_KEY_FILE": named})]
    return []


def _read_key(text: str, where: str) -> bytes:
    text = text.strip()
    for decode in (bytes.fromhex, lambda given: base64.b64decode(given, validate=True)):
        try:
            key: bytes = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_BYTES:
            return key
    raise StoreError(f"{where} does not hold a key: {KEY_BYTES} bytes as hex or base64; {HOW_TO_MAKE}")


def _make_key_file(path: Path) -> None:
    made = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(made, path)  # unlike a rename, this never replaces the key another process has just made
    finally:
        made.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
