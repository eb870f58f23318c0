"""Letters, lines and pages of ink."""
