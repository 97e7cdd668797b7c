"""Mailchimp: who may be mailed, journeys, engagement, and merge fields."""
