"""Logic, cells and their timing."""
