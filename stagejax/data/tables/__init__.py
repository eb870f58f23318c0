"""Tables: as numbers, as text, and queries to them."""
