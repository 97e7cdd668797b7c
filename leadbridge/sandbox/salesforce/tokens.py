"""Signing in and staying in: the OAuth token endpoint and the life of a session (vendor page, section 1)."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from leadbridge.sandbox.salesforce.answers import Refused, oauth_error
from leadbridge.sandbox.salesforce.settings import Settings
from leadbridge.sandbox.salesforce.store import INTEGRATION_USER, ORG_ID, Store
from leadbridge.sandbox.world import World

CLIENT_ID = "sandbox-salesforce-client"
CLIENT_SECRET = "sandbox-salesforce-secret"  # noqa: S105 - a pretended secret, printed in the documentation
REFRESH_TOKEN = "sandbox-salesforce-refresh"  # noqa: S105
_JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
_LONGEST_JWT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Session:
    user_id: str
    used: datetime


class Tokens:
    """Sessions by token, the app's secret and key, and refresh tokens."""

    def __init__(self, world: World, store: Store, settings: Settings) -> None:
        self._world = world
        self._store = store
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._refresh = {REFRESH_TOKEN: INTEGRATION_USER}
        self._key = b""
        self._made = 0

    def set_key(self, pem: str) -> None:
        """The public key, or the certificate, an admin uploads for JWT bearer; ValueError for anything else."""
        data = pem.encode()
        _public_key(data)
        self._key = data

    def issue(self, user_id: str) -> str:
        self._made += 1
        seal = hashlib.sha256(f"{user_id} {self._made}".encode()).hexdigest()
        token = f"{ORG_ID[:15]}!AQ{seal}"
        self._sessions[token] = Session(user_id, self._world.clock.now())
        return token

    def end_all(self) -> None:
        """An admin ends every session."""
        self._sessions.clear()

    def user_of(self, header: str) -> str:
        """The user behind an Authorization header; 401 or 403 as section 1.3 has them."""
        scheme, _, token = header.partition(" ")
        now = self._world.clock.now()
        session = self._sessions.get(token) if scheme in ("Bearer", "OAuth") else None
        if session is None or (now - session.used).total_seconds() > self._settings.session_seconds:
            self._sessions.pop(token, None)
            raise Refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if not self._settings.rest_scope:
            raise Refused(401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API")
        if not self._settings.api_enabled:
            raise Refused(403, "API_DISABLED_FOR_ORG", "The REST API is not enabled for this Organization.")
        self._sessions[token] = replace(session, used=now)
        return session.user_id

    def grant(self, form: Mapping[str, str], authorization: str, host: str, instance: str) -> dict[str, str]:
        """The answer of the token endpoint; 400 with an OAuth error object otherwise."""
        kind = form.get("grant_type", "")
        if kind == _JWT:
            return self._answer(self._jwt_user(form.get("assertion", "")), instance, signed=False)
        if kind == "client_credentials":
            self._client(form, authorization)
            if host.split(":")[0] in ("login.salesforce.com", "test.salesforce.com"):
                raise oauth_error("invalid_grant", "request not supported on this domain")
            if not self._settings.run_as_user:
                raise oauth_error("invalid_grant", "no client credentials user enabled")
            return self._answer(INTEGRATION_USER, instance)
        if kind == "refresh_token":
            return self._refreshed(form, authorization, instance)
        if kind == "password":  # blocked by default in newer orgs (section 1.1)
            self._client(form, authorization)
            if self._settings.password is not None and form.get("password") == self._settings.password:
                return self._answer(INTEGRATION_USER, instance)
            raise oauth_error("invalid_grant", "authentication failure")
        raise oauth_error("unsupported_grant_type", "grant type not supported")

    def _client(self, form: Mapping[str, str], authorization: str, *, secret_needed: bool = True) -> None:
        """Client id and secret, as a Basic header or as form fields."""
        given_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, encoded = authorization.partition(" ")
        if scheme == "Basic":
            try:
                given_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise oauth_error("invalid_client", "invalid client credentials") from None
        if given_id != CLIENT_ID:
            raise oauth_error("invalid_client_id", "client identifier invalid")
        if (secret_needed or secret) and not hmac.compare_digest(secret.encode(), CLIENT_SECRET.encode()):
            raise oauth_error("invalid_client", "invalid client credentials")

    def _refreshed(self, form: Mapping[str, str], authorization: str, instance: str) -> dict[str, str]:
        self._client(form, authorization, secret_needed=False)
        given = form.get("refresh_token", "")
        user_id = self._refresh.get(given)
        if user_id is None:
            raise oauth_error("invalid_grant", "expired access/refresh token")
        answer = self._answer(user_id, instance)
        if self._settings.rotate_refresh_tokens:
            del self._refresh[given]
            answer["refresh_token"] = f"{REFRESH_TOKEN}-{self._made}"
            self._refresh[answer["refresh_token"]] = user_id
        return answer

    def _jwt_user(self, assertion: str) -> str:
        claims = self._verified(assertion)
        if claims.get("iss") != CLIENT_ID:
            raise oauth_error("invalid_client_id", "client identifier invalid")
        if claims.get("aud") not in _AUDIENCES:
            raise oauth_error("invalid_grant", "Audience validation failed")
        now = self._world.clock.now()
        try:
            left = timedelta(seconds=float(claims.get("exp", "")) - now.timestamp())
        except (TypeError, ValueError):
            raise oauth_error("invalid_grant", "invalid assertion") from None
        if not timedelta(0) < left <= _LONGEST_JWT:
            raise oauth_error("invalid_grant", "expired authorization code")
        with self._store.lock:
            users = [r for r in self._store.state.live("User") if r.get("Username") == claims.get("sub")]
        if not users or not self._settings.preauthorised:
            raise oauth_error("invalid_grant", "user hasn't approved this consumer")
        if not users[0].get("IsActive"):
            raise oauth_error("invalid_grant", "inactive user")
        return users[0].id

    def _verified(self, assertion: str) -> dict[str, Any]:
        """The claims of a JWT that our app's key signed with RS256."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        bad = oauth_error("invalid_grant", "invalid assertion")
        try:
            head, body, seal = assertion.split(".")
            header, claims = json.loads(_unpadded(head)), json.loads(_unpadded(body))
            signature = _unpadded(seal)
        except (ValueError, binascii.Error):
            raise bad from None
        if not self._key or not isinstance(claims, dict) or header.get("alg") != "RS256":
            raise bad
        try:
            _public_key(self._key).verify(signature, f"{head}.{body}".encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            raise bad from None
        return claims

    def _answer(self, user_id: str, instance: str, *, signed: bool = True) -> dict[str, str]:
        token = self.issue(user_id)
        answer = {
            "access_token": token,
            "scope": "id api",
            "instance_url": self._settings.instance_url or instance,
            "id": f"https://login.salesforce.com/id/{ORG_ID}/{user_id}",
            "token_type": "Bearer",
        }
        if signed:
            issued = str(int(self._world.clock.now().timestamp() * 1000))
            seal = hmac.new(CLIENT_SECRET.encode(), f"{answer['id']}{issued}".encode(), hashlib.sha256).digest()
            answer |= {"issued_at": issued, "signature": base64.b64encode(seal).decode()}
        return answer

    def snapshot(self) -> tuple[dict[str, Session], dict[str, str], bytes, int]:
        return dict(self._sessions), dict(self._refresh), self._key, self._made

    def restore(self, snapshot: tuple[dict[str, Session], dict[str, str], bytes, int]) -> None:
        sessions, refresh, self._key, self._made = snapshot
        self._sessions, self._refresh = dict(sessions), dict(refresh)


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _public_key(pem: bytes) -> Any:
    """An RSA public key from PEM of a key or of a certificate."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    certified = b"BEGIN CERTIFICATE" in pem
    key = load_pem_x509_certificate(pem).public_key() if certified else load_pem_public_key(pem)
    if not isinstance(key, RSAPublicKey):
        raise TypeError("an RSA key is needed for RS256")
    return key
