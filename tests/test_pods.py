"""What the pod presets read, from stand-ins for the datasets: splits, fields and sizes as TFDS documents them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stagejax import Plan
from stagejax.data import Bytes, MissingDataset, named, tokenizers
from stagejax.data.dialogue.customer_service import ServiceTexts
from stagejax.data.knowledge.town import TownProse
from stagejax.data.prompts.compositions import Compositions
from stagejax.data.prompts.number_words import NumberTasks
from stagejax.data.reasoning.dialogues import Dialogues
from stagejax.data.reasoning.prose import CodeProse
from stagejax.data.selection.apart import Apart
from stagejax.data.selection.distinct import Distinct
from stagejax.data.sound.talks import NumberTalks, NumberTexts
from stagejax.data.tasks.abilities import Ability
from stagejax.data.tokenizers import SPECIAL
from stagejax.data.vocabulary.wordpiece import WordPiece, WordPieceCodec
from stagejax.experiment import find, modules

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set: some presets read it too"),
]

RANDOM = np.random.default_rng(0)


def text(words: int) -> bytes:
    return b" ".join(RANDOM.choice([b"alpha", b"beta", b"the", b"of", b"and"], words).tolist())


def image(height: int = 0, width: int = 0, channels: int = 3) -> np.ndarray:
    """Pixels; photographs have sizes of their own."""
    height, width = height or int(RANDOM.integers(300, 500)), width or int(RANDOM.integers(300, 500))
    return RANDOM.integers(0, 256, (height, width, channels), np.uint8)


#: For each builder: how many records each split has, and what a record is.
BUILDERS: dict[str, tuple[dict[str, int], Callable[[int], dict[str, Any]]]] = {
    "wikipedia": ({"train": 400}, lambda i: {"title": b"", "text": text(6000)}),
    "c4/en": ({"train": 400, "validation": 40}, lambda i: {"url": b"", "text": text(6000)}),
    "c4/multilingual": (
        {"en": 400, "en-validation": 40, "zh": 400, "zh-validation": 40},
        lambda i: {"url": b"", "text": text(6000)},
    ),
    "wiki40b": ({"train": 400, "validation": 40, "test": 40}, lambda i: {"text": text(6000)}),
    "lm1b": ({"train": 4000, "test": 400}, lambda i: {"text": text(600)}),
    "imagenet2012": (
        {"train": 1_281_167, "validation": 50_000, "test": 100_000},
        lambda i: {"file_name": b"", "image": image(), "label": i % 1000},
    ),
    "i_naturalist2018": (
        {"train": 437_513, "validation": 24_426, "test": 149_394},
        lambda i: {"id": b"", "image": image(), "label": i % 8142},
    ),
    "coco_captions": ({"train": 82_783, "val": 5000, "test": 40_775}, lambda i: {"image": image(), "image/id": i}),
    "cityscapes": (
        {"train": 2975, "validation": 500, "test": 1525},
        lambda i: {"image_left": image(1024, 2048), "segmentation_label": image(1024, 2048, 1) % 34},
    ),
    "laion400m": ({"train": 413_871_335}, lambda i: {"image": image(), "caption": text(9), "nsfw": 0}),
    "afhq": ({"train": 14_630, "test": 1500}, lambda i: {"image": image(512, 512), "label": i % 3}),
    "gsm8k": (
        {"train": 7473, "test": 1319, "train_socratic": 7473, "test_socratic": 1319},
        lambda i: {
            "question": f"Tim has {i + 2} figs and buys 4 boxes of 6.",
            "answer": f"He buys <<4*6=24>>24 and has <<{i + 2}+24={i + 26}>>{i + 26}.\n#### {i + 26}",
            "annotation": "",
            "short_answer": str(i + 26),
        },
    ),
    "esnli": (
        {"train": 549_367, "validation": 9842, "test": 9824},
        lambda i: {"premise": text(14), "hypothesis": text(8), "label": i % 3, "explanation_1": text(13)},
    ),
    "snli": (
        {"train": 1000, "validation": 100, "test": 100},
        lambda i: {"premise": text(14), "hypothesis": text(8), "label": i % 3},
    ),
    "mnist": ({"train": 60_000, "test": 10_000}, lambda i: {"image": image(28, 28, 1), "label": i // 10 % 10}),
    "fashion_mnist": ({"train": 60_000, "test": 10_000}, lambda i: {"image": image(28, 28, 1), "label": i // 10 % 10}),
    "kmnist": ({"train": 60_000, "test": 10_000}, lambda i: {"image": image(28, 28, 1), "label": i // 10 % 10}),
    "emnist": ({"train": 112_800, "test": 18_800}, lambda i: {"image": image(28, 28, 1), "label": i // 10 % 47}),
    "omniglot": (
        {"train": 19_280, "test": 13_180},
        lambda i: {"image": image(105, 105), "alphabet": 0, "alphabet_char_id": 0, "label": i // 20},
    ),
    "svhn_cropped": ({"train": 73_257, "test": 26_032}, lambda i: {"image": image(32, 32), "label": i // 10 % 10}),
    "cifar10": (
        {"train": 50_000, "test": 10_000},
        lambda i: {"id": b"", "image": image(32, 32), "label": i // 10 % 10},
    ),
    "cifar100": ({"train": 50_000, "test": 10_000}, lambda i: {"id": b"", "image": image(32, 32), "label": i % 100}),
    "wmt19_translate/zh-en": ({"train": 4000, "validation": 400}, lambda i: {"en": text(9), "zh": text(9)}),
    "wmt19_translate/de-en": ({"train": 4000, "validation": 400}, lambda i: {"de": text(9), "en": text(9)}),
    "xsum": (
        {"train": 400, "validation": 40, "test": 40},
        lambda i: {"document": text(600), "summary": text(20)},
    ),
    "cnn_dailymail": (
        {"train": 400, "validation": 40, "test": 40},
        lambda i: {"article": text(100), "highlights": text(20), "id": b"", "publisher": b""},
    ),
    "scientific_papers/pubmed": (
        {"train": 400, "validation": 400, "test": 400},
        lambda i: {"article": text(600), "abstract": text(200), "section_names": text(9)},
    ),
    "scicite": (
        {"train": 8194, "validation": 916, "test": 1859},
        lambda i: {"string": text(30), "sectionName": b"", "label": i % 3},
    ),
    "ag_news_subset": (
        {"train": 120_000, "test": 7600},
        lambda i: {"title": text(6), "description": text(30), "label": i % 4},
    ),
    "trec": ({"train": 5452, "test": 500}, lambda i: {"text": text(9), "label-coarse": i % 6, "label-fine": i % 47}),
    "imdb_reviews": (
        {"train": 25_000, "test": 25_000, "unsupervised": 50_000},
        lambda i: {"text": text(200), "label": i % 2},
    ),
    "glue/sst2": ({"train": 400, "validation": 40, "test": 40}, lambda i: {"sentence": text(9), "label": i % 2}),
    "glue/stsb": (
        {"train": 400, "validation": 40, "test": 40},
        lambda i: {"sentence1": text(9), "sentence2": text(9), "label": np.float32(i % 6)},
    ),
    "glue/mrpc": (
        {"train": 400, "validation": 40, "test": 40},
        lambda i: {"sentence1": text(9), "sentence2": text(9), "label": i % 2},
    ),
    "squad": (
        {"train": 400, "validation": 40},
        lambda i: {"question": text(9), "context": text(90), "answers": {"text": [text(2)], "answer_start": [0]}},
    ),
    "orkg": (  # prepared by its user
        {"train": 400},
        lambda i: {"text": text(90), "predicate": f"predicate {i % 9}", "object": "alpha"},
    ),
    "uniref50": (  # prepared by its user
        {"train": 400},
        lambda i: {"id": f"P{i}".encode(), "sequence": protein(i), "family": f"family {i % 5}".encode()},
    ),
    "phoenix14t": (  # prepared by its user
        {"train": 7096, "validation": 519, "test": 642},
        lambda i: {"video": RANDOM.integers(0, 256, (i % 40 + 9, 260, 210, 3), np.uint8), "text": text(12)},
    ),
    "esc50": (  # prepared by its user
        {"train": 2000},
        lambda i: {"audio": RANDOM.integers(-9000, 9000, 220_500, np.int16), "label": i % 50, "fold": i // 50 % 5 + 1},
    ),
    "flan_5m_chatgpt": (  # prepared by its user, as are these four
        {"train": 400},
        lambda i: {"prompt": text(9 + i % 5), "response": text(30 + i % 50)},
    ),
    "flan_1m_gpt4": ({"train": 400}, lambda i: {"prompt": text(9 + i % 5), "response": text(40 + i % 50)}),
    "flan_v2": ({"train": 400}, lambda i: {"prompt": text(9 + i % 5), "response": text(1 + i % 9)}),
    "orca2_erased": ({"train": 400}, lambda i: {"prompt": text(9 + i % 5), "response": text(40 + i % 50)}),
    "bbh_queries": (
        {"test": 40},
        lambda i: {"family": b"sports", "prompt": text(20), "label": b"yes", "length": i % 3},
    ),
    "pubchem10m": ({"train": 400}, lambda i: {"smiles": b"C" * (i % 50 + 9) + b"c1ccccc1"}),  # as are these three
    "moses": ({"train": 400, "test": 40}, lambda i: {"smiles": b"C" * (i % 50 + 9) + b"c1ccccc1"}),
    "bindingdb": (
        {"train": 400},
        lambda i: (
            {"protein": f"P{i // 4}".encode(), "family": f"F{i // 8}".encode(), "sequence": b"MKVLAAGHRD" * 30}
            | {"smiles": b"C" * (i % 4 + 1), "measure": (b"Ki", b"IC50")[i % 2], "nanomolar": np.float32(10 + i % 30)}
        ),
    ),
    "stages_of_decay": (  # prepared by its user, one for each region and scheme
        {"train": 900, "validation": 600, "test": 1200},
        lambda i: {"image": image(), "label": i % 4, "ratings": np.full(3, i % 4)},
    ),
    "domain_dialogues": (  # prepared by its user, one for each domain
        {"train": 40, "validation": 40, "test": 40},
        lambda i: {
            "json": json.dumps(
                {
                    "turns": [
                        {"text": text(9 + i % 5).decode(), "facts": [["alpha", "kind", f"beta {i}"]]} for _ in range(4)
                    ]
                }
            ).encode()
        },
    ),
    "web_tables": (  # prepared by its user
        {"train": 40, "dev": 40, "test": 40},
        lambda i: {
            "json": json.dumps(
                {
                    "table": f"t{i}",
                    "header": ["Club", "Goals", "Year"],
                    "rows": [["Ajax", "3", "1990"], ["Celtic", "10", "1991"], ["Genoa", "7", "1994"]],
                    "asked": [{"question": "Which club had most goals?", "answers": ["Celtic"]}],
                }
            ).encode()
        },
    ),
    "glue/rte": (
        {"train": 400, "validation": 40, "test": 40},
        lambda i: {"sentence1": text(9), "sentence2": text(9), "label": i % 2},
    ),
    "glue/cola": ({"train": 400, "validation": 40, "test": 40}, lambda i: {"sentence": text(9), "label": i % 2}),
    "glue/qqp": (
        {"train": 400, "validation": 40, "test": 40},
        lambda i: {"question1": text(9), "question2": text(9), "label": i % 2},
    ),
    "glue/qnli": (
        {"train": 400, "validation": 40, "test": 40},
        lambda i: {"question": text(9), "sentence": text(9), "label": i % 2},
    ),
    "glue/mnli": (
        {"train": 400, "validation_matched": 40, "validation_mismatched": 40},
        lambda i: {"premise": text(9), "hypothesis": text(9), "label": i % 3},
    ),
}

#: Datasets that TFDS does not have: the module says how they are to be prepared.
OF_ONES_OWN = ("bdd100k", "msmarco")


class OwnDataset(Exception):
    """Nobody but its user knows what is in it."""


def protein(index: int) -> bytes:
    """300 residues, others for each: a test window that a training sequence has would be left out."""
    return bytes(np.random.default_rng(index).choice(np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8), 300))


class Records:
    def __init__(self, size: int, make: Callable[[int], dict[str, Any]]) -> None:
        self.size, self.make = size, make

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.size:
            raise IndexError(index)
        return self.make(int(index))


def opened(source: named.TFDS) -> tuple[Any, Any]:
    """What `TFDS._open` gives of a prepared dataset."""
    if source.name.startswith(OF_ONES_OWN):
        raise OwnDataset(source.name)
    splits, make = BUILDERS.get(source.name) or BUILDERS[source.name.split("/")[0]]
    parts = [part.partition("[")[0] for part in source.part.split("+")]
    if not set(parts) <= set(splits):
        raise MissingDataset(f"{source.name} has the splits {sorted(splits)}, not {source.part}")
    return SimpleNamespace(full_name=source.name, splits={}), Records(sum(splits[part] for part in parts), make)


def pieces(vocab: int) -> WordPieceCodec:
    """The words of `text`, and pieces that it does not have."""
    known = ["[UNK]", "alpha", "beta", "the", "of", "and"]
    rest = [f"##{i}" for i in range(vocab - SPECIAL - len(known))]
    return WordPieceCodec({piece: i for i, piece in enumerate(known + rest)})


#: They make hundreds of thousands of problems of their own, for minutes, and read nothing.
OF_ITS_OWN = {
    "tulu3_sft_dpo_rlvr",
    "per_step_negative_dpo",
    "qwen25_math_self_improvement",
    "qwen25_offline_online_rl",
    "cpl_plan_mcts_step_apo",
}


@pytest.mark.parametrize("name", [n for n in modules() if "pod" in find(n).presets and n not in OF_ITS_OWN])
def test_every_stage_reads_its_batches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named.TFDS, "_open", opened)
    monkeypatch.setattr(tokenizers.BPE, "train", lambda self, texts: Bytes())
    monkeypatch.setattr(WordPiece, "train", lambda self, texts: pieces(self.vocab))
    for cls, own in ((Compositions, "ks"), (Dialogues, "steps")):  # whose texts are written when they are read
        monkeypatch.setattr(cls, "__len__", lambda self, own=own: 128 * len(getattr(self, own)))
    sizes = ((NumberTasks, 128), (NumberTexts, 128), (NumberTalks, 3), (TownProse, 400), (CodeProse, 400))
    for cls, size in (*sizes, (ServiceTexts, 400)):
        monkeypatch.setattr(cls, "__len__", lambda self, size=size: size)
    monkeypatch.setattr(Distinct, "__getitem__", lambda self, index: self.source[index])  # it looks at five times more
    monkeypatch.setattr(Apart, "_rows", lambda self: range(min(400, len(self.source))))  # it reads two sources
    part = Ability.part  # thousands of examples, that every arm reads
    monkeypatch.setattr(Ability, "part", lambda self, n, s: part(replace(self, size=min(self.size, 256)), n, s))
    experiment, plan = find(name), Plan.on("data=1", price=False)
    experiment.pipeline(plan, experiment.config("pod"))
    stages = [result.stage for result in plan.results if result.kind == "train"]
    declared = {stage.data for stage in stages} | {stage.evaluate.data for stage in stages if stage.evaluate}
    for data in declared:
        try:
            size, batch = data.size(), data.take(np.arange(2))
            assert size > 0
        except OwnDataset:
            continue
        except ValueError as error:
            if "holds nothing as" in str(error):  # rows that the run computes before
                continue
            raise
        spec = data.sample_spec()
        assert {key: (leaf.shape[1:], leaf.dtype) for key, leaf in batch.items()} == {
            key: (leaf.shape, leaf.dtype) for key, leaf in spec.items()
        }
