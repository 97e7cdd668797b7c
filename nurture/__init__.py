"""Who should be in which journey, and may they be contacted now? Pure: no clock, no store, no vendor."""
