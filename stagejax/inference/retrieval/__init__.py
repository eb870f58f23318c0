"""Queries and items by frozen encoders, and what is found for them."""
