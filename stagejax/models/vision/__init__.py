"""Networks that look at images: classifiers, detectors, pyramids, autoencoders of patches."""
