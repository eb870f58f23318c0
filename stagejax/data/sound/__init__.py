"""Speech and other sounds."""
