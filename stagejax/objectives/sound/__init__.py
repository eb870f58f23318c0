"""Objectives on speech, signs and sounds, and on words beside them."""
