"""Learning from rewards and preferences."""
