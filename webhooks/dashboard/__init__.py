"""Read-only pages. They read the store, never a vendor."""
