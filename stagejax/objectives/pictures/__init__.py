"""Objectives on images, and of networks that make them."""
