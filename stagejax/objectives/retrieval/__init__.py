"""Ranking what belongs to a query, and how well that is done."""
