"""What generated molecules and proteins are worth."""
