"""The eight tasks of GLUE, as TensorFlow Datasets prepares them, tested on their validation splits."""

from __future__ import annotations

from stagejax.data.named import TFDS
from stagejax.data.text_tasks import TextTask

#: Tasks that GLUE scores by a correlation: Matthews' and Pearson's.
CORRELATED = ("cola", "stsb")


def glue() -> tuple[TextTask, ...]:
    """The tasks, large ones first; WNLI is left out, as nearly everywhere.

    Reference: Wang et al. 2019, https://arxiv.org/abs/1804.07461.

    >>> [task.name for task in glue()]
    ['mnli', 'qqp', 'qnli', 'sst2', 'cola', 'stsb', 'mrpc', 'rte']
    """

    def task(name: str, classes: int, *texts: str, test: str = "validation", unit: float = 1.0) -> TextTask:
        return TextTask(name, TFDS(f"glue/{name}", test=test), classes, *texts, unit=unit)

    pair = ("sentence1", "sentence2")
    return (
        task("mnli", 3, "premise", "hypothesis", test="validation_matched"),
        task("qqp", 2, "question1", "question2"),
        task("qnli", 2, "question", "sentence"),
        task("sst2", 2, "sentence"),
        task("cola", 2, "sentence"),
        task("stsb", 1, *pair, unit=5.0),
        task("mrpc", 2, *pair),
        task("rte", 2, *pair),
    )
