"""Everything that speaks the Segment HTTP tracking API: web analytics, products, shops, social and survey tools."""
