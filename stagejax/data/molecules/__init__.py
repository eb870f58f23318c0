"""Molecules and proteins as strings."""
