"""Everything leadbridge keeps, in SQLite or PostgreSQL: one module per subject, functions over an open transaction.

with store.writing() as tx:
    claims = due.claim_due(tx, limit=100, owner="worker 1")
"""

from leadbridge.store.engine import Store, open_store

__all__ = ["Store", "open_store"]
