"""The configurations that leadbridge ships to start from: what `leadbridge init` writes, and the demo runs on."""

from pathlib import Path

EXAMPLES = {
    "hubspot": "hubspot-mailchimp.yaml",
    "salesforce": "salesforce-mailchimp.yaml",
    "both": "hubspot-salesforce-mailchimp.yaml",
}
"""Which CRM, and the file for it."""

_COPY = "# Copy this file to leadbridge.yaml, change what is yours"


def example(crm: str = "hubspot") -> Path:
    """A shipped configuration: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    inside = here / "examples" / EXAMPLES[crm]
    return inside if inside.exists() else here.parent / "examples" / EXAMPLES[crm]


def text(crm: str) -> str:
    """The same as the start of somebody's own file."""
    return example(crm).read_text(encoding="utf-8").replace(_COPY, "# Change what is yours")
