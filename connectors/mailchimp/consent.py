"""Being let in by somebody of the account: Mailchimp's OAuth by code (vendors/mailchimp.md, section 1).

Its token never ends and has nothing to renew it with; a dead one means that access was taken back.
"""

from urllib.parse import urlencode

from pydantic import Field

from connectors.grants import Grant
from connectors.mailchimp.auth import FIRST, at_login
from connectors.mailchimp.wire import VENDOR, Shape, Text, name_error, shaped
from leadbridge import logs
from leadbridge.call import Caller, Pace
from leadbridge.config.connections import MailchimpConnection
from leadbridge.errors import NeedsOperator


class TokenAnswer(Shape):
    access_token: Text = Field("", repr=False)
    error: Text = ""


class Consent:
    """One app's asking. Fulfils `connectors.consent.Consent`."""

    redirect_host = "127.0.0.1"
    first = FIRST

    def __init__(self, connection: MailchimpConnection, pace: Pace | None = None) -> None:
        self._connection = connection
        pace = pace or Pace()
        places = pace.budgets.places("mailchimp calls", connection.simultaneous)
        self._caller = Caller(VENDOR, name_error, {"calls": places}, pace=pace)

    def able(self) -> bool:
        return self._connection.client_id is not None

    def address(self, redirect: str, state: str) -> str:
        asked = {"response_type": "code", "client_id": self._connection.client_id or "", "redirect_uri": redirect}
        return f"{self._connection.login_url.rstrip('/')}/oauth2/authorize?{urlencode({**asked, 'state': state})}"

    def exchange(self, code: str, redirect: str) -> Grant:
        secret = self._connection.client_secret
        form = {
            "grant_type": "authorization_code",
            "client_id": self._connection.client_id or "",
            "client_secret": secret.get_secret_value() if secret else "",
            "redirect_uri": redirect,
            "code": code,
        }

        def send(seconds: float) -> TokenAnswer:
            url = f"{self._connection.login_url.rstrip('/')}/oauth2/token"
            return shaped(TokenAnswer, at_login("POST", url, seconds, form=form, refusals=(400, 401)))

        answer = self._caller("oauth.token", send, repeatable=False)
        if not answer.access_token:
            cure = "check client_id, client_secret and the redirect address in the app, and begin anew"
            raise NeedsOperator(VENDOR, "oauth.token", f"the consent is not accepted ({answer.error}); {cure}")
        logs.hide(answer.access_token)
        return Grant("", answer.access_token)
