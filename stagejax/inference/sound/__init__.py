"""Trained networks that hear and speak."""
