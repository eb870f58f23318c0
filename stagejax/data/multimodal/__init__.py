"""Pictures, speech and words together."""
