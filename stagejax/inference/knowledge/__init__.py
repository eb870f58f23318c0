"""What a model knows, and where in it that is."""
