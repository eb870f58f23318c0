"""Several tasks at once, or one after the other."""
