"""Networks that make images and videos: adversarial ones, diffusion transformers, autoencoders and codebooks."""
