"""Images: tasks, scenes and people, and what is done to images before a model sees them."""
