"""Running text: where it comes from, how it is cut, packed and corrupted."""
