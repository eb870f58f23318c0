"""Objectives on texts: spans, tags, pairs, corruptions, votes."""
