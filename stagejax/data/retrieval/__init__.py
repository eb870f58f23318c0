"""Queries and what is searched for them."""
