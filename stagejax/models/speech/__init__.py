"""Networks that hear and speak."""
