"""Networks that join words with images, sounds, people and signs."""
