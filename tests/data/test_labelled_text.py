"""Texts of one task by record, and chosen ones of them with other labels and weights."""

from types import SimpleNamespace

import numpy as np
import pytest

from stagejax.data import Bytes, Stdlib
from stagejax.data.tasks.labelled_text import LabelledText, relabel
from stagejax.data.tasks.text_tasks import TaskBatches, synonym_tasks

TASK = synonym_tasks(50)[0]
TEXT = {"tokenizer": Bytes(), "learned_from": Stdlib(limit=50_000), "length": 40}
DATA = LabelledText(task=TASK, batch=8, **TEXT)


def test_rows_are_those_of_task_batches() -> None:
    batch = TaskBatches(tasks=(TASK,), rows=8, **TEXT).take(np.arange(8))
    own = DATA.take_records(DATA.records(np.arange(8)))
    np.testing.assert_array_equal(own["tokens"], batch["tokens"])
    np.testing.assert_array_equal(own["label"], batch["label"].astype(int))


def test_chosen_records_come_once_an_epoch_with_the_labels_they_were_given() -> None:
    found = {"rows": np.array([7, 3, 30]), "label": np.array([4, 0, 2]), "weight": np.array([1.5, 1.0, 0.5])}
    data = relabel(DATA, SimpleNamespace(fingerprint="a", value=found), seed=1)
    batch = data.take(np.arange(6))
    for epoch in (slice(0, 3), slice(3, 6)):
        pairs = zip(batch["label"][epoch].tolist(), batch["weights"][epoch].tolist(), strict=True)
        assert sorted(pairs) == [(0, 1.0), (2, 0.5), (4, 1.5)]
    at = int(np.flatnonzero(batch["label"] == 4)[0])
    np.testing.assert_array_equal(batch["tokens"][at], DATA.take_records(np.array([7]))["tokens"][0])
    assert data.spec()["tokens"].shape == (8, 40)


def test_nothing_is_read_in_planning() -> None:
    data = relabel(DATA, SimpleNamespace(fingerprint="a", value=None))
    assert data.spec()["weights"].shape == (8,)
    with pytest.raises(ValueError, match="holds nothing as 'rows'"):
        data.size()
