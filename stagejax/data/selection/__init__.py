"""Which records a stage sees, how often, and in which order."""
