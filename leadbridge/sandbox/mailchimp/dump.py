"""The account as something two runs can be compared by."""

from collections import Counter
from typing import Any

from leadbridge.sandbox.mailchimp.state import Audience, Campaign, State


def dump(state: State) -> dict[str, Any]:
    """Sorted by what people know things by; no instants, no made-up ids, no batches."""
    titles = Counter(campaign.title for campaign in state.campaigns.values())
    return {
        "audiences": {key: _audience(audience) for key, audience in sorted(state.audiences.items())},
        "journeys": {str(key): _entries(state, key) for key in sorted(state.journeys)},
        "mail": {
            campaign.title if titles[campaign.title] == 1 else f"{campaign.title} ({campaign.id})": _mail(
                state, campaign
            )
            for campaign in sorted(state.campaigns.values(), key=lambda c: c.title)
        },
    }


def _audience(audience: Audience) -> dict[str, Any]:
    return {
        "forgotten": sorted(audience.forgotten),
        "merge_fields": {
            field.tag: field.type for field in sorted(audience.merge_fields.values(), key=lambda f: f.tag)
        },
        "webhooks": sorted(hook.url for hook in audience.webhooks.values()),
        "members": {
            member.email: {
                "status": member.status,
                "compliance": member.compliance,
                "merge_fields": {tag: value for tag, value in sorted(member.merge_fields.items()) if value != ""},
                "tags": sorted(audience.tags[tag].name for tag in member.tags),
                "events": sorted([event.name, sorted(event.properties.items())] for event in member.events),
            }
            for member in sorted(audience.members.values(), key=lambda member: member.email)
        },
    }


def _entries(state: State, journey_id: int) -> dict[str, int]:
    journey = state.journeys[journey_id]
    contacts = state.audiences[journey.list_id].by_contact
    named = {contacts[key].email: len(times) for key, times in journey.entries.items() if key in contacts}
    return dict(sorted(named.items()))


def _mail(state: State, campaign: Campaign) -> dict[str, dict[str, int]]:
    """How often each kind of thing happened to each contact."""
    contacts = state.audiences[campaign.list_id].by_contact
    counts: dict[str, dict[str, int]] = {}
    for key, activity in campaign.activity.items():
        if key in contacts:
            actions = sorted(one.action for one in activity)
            counts[contacts[key].email] = {action: actions.count(action) for action in actions}
    return dict(sorted(counts.items()))
