import numpy as np
import tensorflow_datasets as tfds


class TinyLines(tfds.core.GeneratorBasedBuilder):
    """Numbered lines of text with small images."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "text": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(num_classes=3),
                    "image": tfds.features.Tensor(shape=(4, 4, 1), dtype=np.uint8),
                }
            )
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 40), "test": self._generate_examples(40, 50)}

    def _generate_examples(self, start, stop):
        for n in range(start, stop):
            yield n, {"text": f"línea {n}", "label": n % 3, "image": np.full((4, 4, 1), n, np.uint8)}
