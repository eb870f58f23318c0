"""What is learned from predictions: whose labels stay, which are taken, how even they are."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stagejax.data import Bytes, Images, Stdlib
from stagejax.data.joined import Row
from stagejax.data.selection.predicted import Hidden, Predicted, predict
from stagejax.data.tasks.labelled_text import LabelledText
from stagejax.data.tasks.text_tasks import synonym_tasks
from stagejax.inference.selection.pool_tasks import of_words_alone
from stagejax.inference.selection.predictions import evenly, human_and_pseudo, labelled_by_hand, truth_of

DATA = Images(batch=8)
RNG = np.random.default_rng(0)
N, C = DATA.size(), 10
SAID = {
    "rows": np.arange(N),
    "label": RNG.integers(0, C, N).astype(np.int32),
    "logits": RNG.normal(size=(N, C)).astype(np.float32),
    "confidence": RNG.uniform(size=N),
}
FIELDS = Row("label", dtype="int32"), Row("logits", (C,))


def made(value: Any) -> Any:
    return SimpleNamespace(fingerprint="a1", value=value)


def test_labels_by_hand_are_true_and_others_for_another_seed() -> None:
    own, other = (labelled_by_hand("label", DATA, 50, seed) for seed in (0, 1))
    assert len(set(own["rows"].tolist())) == 50
    assert own["label"].tolist() == [DATA.source[row]["label"] for row in own["rows"].tolist()]
    assert own["rows"].tolist() != other["rows"].tolist()


def test_pseudo_labels_are_confident_equally_many_of_each_class_and_of_no_labelled_record() -> None:
    labelled = labelled_by_hand("label", DATA, 50, 0)
    found = human_and_pseudo("label", 0.8, 12, 0, made(labelled), made(SAID))
    assert found["rows"][:50].tolist() == labelled["rows"].tolist()
    assert found["label"][:50].tolist() == labelled["label"].tolist()
    taken = found["rows"][found["pseudo"]]
    assert not set(taken.tolist()) & set(labelled["rows"].tolist())
    assert (SAID["confidence"][taken] > 0.8).all()
    assert found["label"][50:].tolist() == SAID["label"][taken].tolist()
    assert np.bincount(SAID["label"][taken]).tolist() == [12] * C
    truth = truth_of("label", DATA, made(labelled), made(SAID))["accuracy"]
    rest = np.setdiff1d(np.arange(N), labelled["rows"])
    assert truth == pytest.approx((DATA.take_records(rest)["label"] == SAID["label"][rest]).mean())


def test_the_rarest_class_says_how_many() -> None:
    kinds, sure = np.repeat([0, 1, 2], [9, 4, 7]), np.ones(20)
    items = evenly(sure, kinds, np.ones(20, bool), 0.5, 6, np.random.default_rng(0))
    assert np.bincount(kinds[items]).tolist() == [4, 4, 4]
    assert len(evenly(sure, kinds, np.ones(20, bool), 2.0, 6, np.random.default_rng(0))) == 0


def test_predicted_fields_follow_their_records_and_replace_true_labels() -> None:
    rows = np.array([7, 3, 900, 11])
    data = predict(DATA, made({name: SAID[name][rows] for name in SAID} | {"rows": rows}), *FIELDS, seed=3)
    batch, records = data.take(np.arange(8)), data.records(np.arange(8))
    assert sorted(records[:4].tolist()) == sorted(records[4:].tolist()) == sorted(rows.tolist())
    np.testing.assert_array_equal(batch["image"], DATA.take_records(records)["image"])
    np.testing.assert_array_equal(batch["label"], SAID["label"][records])
    np.testing.assert_array_equal(batch["logits"], SAID["logits"][records])
    assert {name: (leaf.shape[1:], leaf.dtype) for name, leaf in batch.items()} == {
        name: (leaf.shape, leaf.dtype) for name, leaf in data.sample_spec().items()
    }


def test_what_is_missing_or_of_another_shape_is_said() -> None:
    with pytest.raises(ValueError, match="holds nothing as 'rows'"):
        Predicted(data=DATA, fields=FIELDS, of="a1").size()
    wrong = predict(DATA, made({"rows": np.arange(3), "label": np.arange(2)}), FIELDS[0])
    with pytest.raises(ValueError, match=r"holds \[2\] as 'label', but \[3\]"):
        wrong.take(np.arange(2))


def test_unlabelled_samples_hide_their_labels_alone() -> None:
    data = Hidden(data=DATA)
    np.testing.assert_array_equal(data.take(np.arange(4))["image"], DATA.take(np.arange(4))["image"])
    assert list(data.spec()) == list(data.take(np.arange(4))) == ["image"]
    assert data.size() == DATA.size()


def test_words_alone_are_tested_on_all_rows_of_the_test_and_learned_from_labelled_rows() -> None:
    task = synonym_tasks(120)[0]
    pool = LabelledText(task=task, tokenizer=Bytes(), learned_from=Stdlib(), batch=20, length=16)
    own = pool.take_records(np.arange(60))["label"]
    of_two = np.flatnonzero(np.isin(own, np.unique(own)[:2]))
    labelled = {"rows": of_two, "label": own[of_two]}
    test = pool.held_out(6)
    share = np.isin(test.take(np.arange(120))["label"], np.unique(own)[:2]).mean()
    assert 0.3 * share < of_words_alone(pool, test, labelled) <= share  # other classes are never said
    with pytest.raises(ValueError, match="endless"):
        of_words_alone(pool, pool, labelled)
