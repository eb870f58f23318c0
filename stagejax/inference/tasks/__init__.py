"""Labels, tags, answers and translations of texts."""
