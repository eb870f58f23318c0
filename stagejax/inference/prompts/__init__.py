"""What a language model answers to prompts: drawn, held against each other, written for itself and for others."""
