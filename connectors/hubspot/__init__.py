"""HubSpot: leads, their activity, and the write-back of scores."""
