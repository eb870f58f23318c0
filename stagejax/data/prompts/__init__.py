"""Prompts and the answers that are wanted to them, with what judges them."""
