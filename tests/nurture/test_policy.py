"""What decides who is contacted is one value; a change of it begins as a canary."""

import pytest

from leadbridge.config.schema import Config
from nurture.policy import digest
from tests.helpers.config_files import SOUND, loaded

MORE = """
questions:
  budget: {ask: How much?, field: budget, enough: {budget: {at_least: 1000}}}
company: {by: partner, scores: {lead: best}}
catalogue:
  summer: {title: Summer offer, type: coupon, code: SUN27, expires: 2027-08-31, when: {country: Spain}}
  basics: {title: The basics, type: guide}
consent:
  given: {budget: {at_least: 7}}
  at: renewal
  source: the form on our site
  wording: I agree
"""
FILE = SOUND.replace("mailchimp: {tag: lb-guides}", "mailchimp: {tag: lb-guides}, offers: [summer]") + MORE


def config(old: str = "", new: str = "") -> Config:
    assert FILE.count(old) == 1 or not old
    found: Config = loaded(FILE.replace(old, new) if old else FILE)
    return found


@pytest.mark.parametrize(
    "change",
    [
        ("points: 15", "points: 16"),
        ("at_least: 35", "at_least: 34"),
        ("below: 50", "below: 51"),
        ("at_least: 1000", "at_least: 10"),
        ("lead: best", "lead: sum"),
        ("segment: small, ", ""),
        ("nurture:\n", "nurture:\n  pause_while: {partner: true}\n"),
        ("nurture:\n", "nurture:\n  pressure: {at_most: 9}\n"),
        ("country: Spain", "country: Italy"),
        ("2027-08-31", "2028-08-31"),
        ("country: {hubspot: country}", "country: {hubspot: state}"),
        ("{at_least: 7}", "{at_least: 8}"),
        ("  wording: I agree", "  wording: I agree\n  add_members: true"),
        ("  wording: I agree", "  wording: I agree\n  objection: {partner: true}"),
    ],
)
def test_whatever_decides_who_is_contacted_changes_it(change: tuple[str, str]) -> None:
    assert digest(config(*change)) != digest(config())


@pytest.mark.parametrize(
    "change",
    [
        ("title: Summer offer", "title: Offer of the summer"),
        ("  basics: {title: The basics, type: guide}\n", "  more: {title: More, type: guide, when: {partner: true}}\n"),
        ("hubspot: leadbridge_score", "hubspot: our_score"),
        ("I agree", "Yes, write to me"),
    ],
)
def test_what_contacts_nobody_does_not(change: tuple[str, str]) -> None:
    assert digest(config(*change)) == digest(config())
