"""Figures to hold (DESIGN section 11): `python -m benchmarks.NAME [--quick] [--json]`."""
