"""Talks of several turns, and the customers of a service."""
