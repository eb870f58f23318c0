"""Facts to be read, asked for, changed and linked."""
