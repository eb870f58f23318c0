"""A small TFDS builder, in a package of its own as TFDS asks; the test prepares it on disk."""

from tiny_lines.tiny_lines_dataset_builder import TinyLines as TinyLines
