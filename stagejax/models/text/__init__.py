"""Networks that read and write texts: heads, pairs of networks, small ones of other kinds."""
