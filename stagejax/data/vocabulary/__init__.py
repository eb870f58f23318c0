"""Tokenizers beside those of `data.tokenizers`: for closed languages, for common words, learned from one source."""
