"""Salesforce's outbound messages, read with suspicion: they are XML from anybody who knows the address.

Nothing outside the message is ever opened: no document type, no entity, no processing instruction; bytes, depth,
elements and attributes are bounded (reliability section 3). Source: vendors/salesforce.md section 6.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leadbridge.errors import WebhookRefused

MAX_DEPTH = 32
MAX_ELEMENTS = 20_000
MAX_ATTRIBUTES = 32
MAX_NOTIFICATIONS = 100

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
OUTBOUND = "http://soap.sforce.com/2005/09/outbound"
RECORDS = ("urn:sobject.enterprise.soap.sforce.com", "urn:sobject.partner.soap.sforce.com")
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"

_ENVELOPE, _BODY = f"{{{SOAP}}}Envelope", f"{{{SOAP}}}Body"
_MESSAGE, _ORGANIZATION = f"{{{OUTBOUND}}}notifications", f"{{{OUTBOUND}}}OrganizationId"
_NOTIFICATION, _ID, _RECORD = f"{{{OUTBOUND}}}Notification", f"{{{OUTBOUND}}}Id", f"{{{OUTBOUND}}}sObject"
_RECORD_IDS = tuple(f"{{{namespace}}}Id" for namespace in RECORDS)

ACKNOWLEDGED = (
    b'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">'
    b'<soapenv:Body><notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack>'
    b"</notificationsResponse></soapenv:Body></soapenv:Envelope>"
)
"""The only answer that is taken for success."""


@dataclass(slots=True)
class Message:
    """What is kept of a message: whose it is, and which records to look at. Not what it says of them, since that can
    be forged and is soon old, and not the session id that older orgs send along (reliability G26)."""

    organization: str = ""
    notifications: list[dict[str, str]] = field(default_factory=list)  # id, type, record


def read_message(body: bytes) -> Message:
    """The message in these bytes. Raises WebhookRefused (400): bad_xml, forbidden_xml, too_deep, not_a_message,
    too_many_events."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    reader = _Reader()
    try:
        parser = DefusedXMLParser(target=reader, forbid_dtd=True, forbid_entities=True, forbid_external=True)
        parser.feed(body)
        parser.close()
    except DefusedXmlException:
        raise WebhookRefused("forbidden_xml", 400) from None
    except (ParseError, ValueError, LookupError):  # LookupError: an encoding nobody knows
        raise WebhookRefused("bad_xml", 400) from None
    if not reader.found or not reader.message.notifications:
        raise WebhookRefused("not_a_message", 400)
    return reader.message


class _Reader:
    """Follows the parser through the message; builds no tree."""

    def __init__(self) -> None:
        self.message = Message()
        self.found = False  # the message itself, where it belongs
        self._path: list[str] = []
        self._elements = 0
        self._text: list[str] = []
        self._now: dict[str, str] = {}

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        self._path.append(tag)
        if len(self._path) > MAX_DEPTH or self._elements > MAX_ELEMENTS or len(attributes) > MAX_ATTRIBUTES:
            raise WebhookRefused("too_deep", 400)
        self._text = []
        match self._path[2:]:
            case [found] if found == _MESSAGE and self._path[:2] == [_ENVELOPE, _BODY]:
                self.found = True
            case [_, note] if note == _NOTIFICATION:
                self._now = {}
            case [_, note, record] if (note, record) == (_NOTIFICATION, _RECORD):
                self._now["type"] = attributes.get(_TYPE, "").rpartition(":")[2]

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, _tag: str) -> None:
        text = "".join(self._text).strip()
        self._text = []
        if self.found:
            match self._path[3:]:
                case [name] if name == _ORGANIZATION:
                    self.message.organization = text
                case [note, name] if (note, name) == (_NOTIFICATION, _ID):
                    self._now["id"] = text
                case [note, record, name] if (note, record) == (_NOTIFICATION, _RECORD) and name in _RECORD_IDS:
                    self._now["record"] = text
                case [note] if note == _NOTIFICATION:
                    self.message.notifications.append(self._now)
                    if len(self.message.notifications) > MAX_NOTIFICATIONS:
                        raise WebhookRefused("too_many_events", 400)
        self._path.pop()

    def pi(self, _target: str, _data: Any = None) -> None:
        raise WebhookRefused("forbidden_xml", 400)

    def close(self) -> None:
        """The end of the document."""
