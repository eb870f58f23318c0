"""What the commands of `stagejax.cli` do: those on experiments and their runs, `grow` on checkpoints, `new`."""
