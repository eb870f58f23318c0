"""Words, pictures, clips and devices together."""
