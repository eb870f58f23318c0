"""stagejax: staged training in JAX."""
