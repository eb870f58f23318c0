"""Images drawn, read, judged and described by trained networks."""
