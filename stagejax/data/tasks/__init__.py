"""Labels of texts, of pairs of texts and of words."""
