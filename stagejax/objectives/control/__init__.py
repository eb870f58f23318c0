"""The operation of systems over time."""
