"""A trained network made smaller, mixed with others, and served."""
