"""One canonical form for an e-mail address, so that one person's spellings meet."""

from functools import lru_cache

import email_validator
from email_validator import EmailNotValidError, validate_email

# Whether a domain can receive mail is the e-mail platform's business; here ".invalid" is a spelling like any other.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


@lru_cache(maxsize=65536)
def canonical(address: str | None) -> str | None:
    """The form used for matching: trimmed, whole address lower-cased, domain in ASCII (IDNA); None if unusable.

    The local part is lower-cased too: no large provider tells case apart, and both HubSpot and Mailchimp match
    without it. Dots and "+tags" stay: they are different mailboxes to some providers.
    """
    if not address or not (text := address.strip()):
        return None
    try:
        found = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        return None
    domain = found.ascii_domain
    return f"{found.local_part}@{domain}".lower()


def domain_of(address: str | None) -> str | None:
    """Domain of the canonical form, or None."""
    found = canonical(address)
    return found.rpartition("@")[2] if found else None
