"""Answers that take steps: drawn behind prefixes, searched in trees, taught, prompted and judged step by step."""
