"""What networks say of a pool of records, and which of them to label or to learn from."""
