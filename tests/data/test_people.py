"""People and garments: what a picture shows is what its row says, splits share nothing, and texts say the row."""

from types import SimpleNamespace

import numpy as np
import pytest

from stagejax.data import Digits, Images
from stagejax.data.joined import Row, join
from stagejax.data.language.grammar import Grammar, product
from stagejax.data.language.masked_too import Flipped, MaskedToo, OtherView
from stagejax.data.multimodal.composites import CLOTHES, Objects, pools
from stagejax.data.multimodal.people_texts import ANNOTATORS, MACHINE, WORDS, written
from stagejax.data.pictures.people import ATTRIBUTES, PAINTS, SINGLE, Garments, People, Wardrobe, lay, phrase, phrases
from stagejax.data.tokenizers import MASK, PAD
from stagejax.inference.pictures.people import ASKED

WARDROBE = Wardrobe(Objects(Digits(), CLOTHES), 8, None)
PEOPLE = People(WARDROBE, identities=60, views=3, captions=2)


def test_views_of_an_identity_differ_and_captions_of_a_view_do_not() -> None:
    images = [PEOPLE[i]["image"] for i in range(6)]
    assert PEOPLE.column("label")[:8].tolist() == [0] * 6 + [1] * 2
    assert [PEOPLE[i]["label"] for i in (5, 6)] == [0, 1]
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[1], images[2])
    assert (PEOPLE.rows()[:6] == PEOPLE.rows()[0]).all()


def test_colours_of_pictures_are_those_of_rows() -> None:
    names = list(PAINTS)
    for i in range(0, len(PEOPLE), 6):
        row, found = PEOPLE.rows()[i], []
        for view in range(3):
            image = PEOPLE[i + 2 * view]["image"][8:18, 4:16].astype(np.float32).reshape(-1, 3)
            coloured = image[image.max(1) - image.min(1) > 60]
            found.append(coloured.mean(0) if len(coloured) else np.zeros(3))
        shown = np.max(found, 0)
        if row[6] < 0 and names[row[1]] != "white" and shown.max() > 0:
            unit = np.array([np.array(PAINTS[name]) / np.linalg.norm(PAINTS[name]) for name in names])
            likeness = unit @ (shown / np.linalg.norm(shown))
            assert likeness[row[1]] > 0.9, (names[row[1]], shown)


def test_rows_cover_all_values_and_two_of_five_have_a_bag() -> None:
    rows = People(WARDROBE, identities=2000, views=1).rows()
    for column, (name, size) in enumerate(ATTRIBUTES.items()):
        known = rows[rows[:, column] >= 0, column]
        assert set(known.tolist()) == set(range(size)), name
    assert (rows[:, 6] >= 0).mean() == pytest.approx(0.4, abs=0.03)
    assert ((rows[:, 6] >= 0) == (rows[:, 7] >= 0)).all()


def test_splits_share_no_garments_and_are_checked() -> None:
    shown = [pools((WARDROBE.clothes,), split, 8)["coat"] for split in ("train", "valid", "test")]
    rows = [{picture.tobytes() for picture in own} for own in shown]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]
    others = [People(WARDROBE, split=split).rows() for split in ("train", "valid", "test")]
    assert not np.array_equal(others[0], others[1])
    assert not np.array_equal(others[1], others[2])
    with pytest.raises(ValueError, match="split='dev'"):
        People(WARDROBE, split="dev")
    assert WARDROBE.garments("skirt", "train").shape[1:] == (4, 8)


def test_what_is_laid_over_an_edge_is_cut() -> None:
    canvas = np.zeros((4, 4, 3), np.float32)
    lay(canvas, np.ones((3, 3), np.float32), (1.0, 0.0, 0.5), 2, -1)
    assert canvas[..., 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    lay(canvas, np.ones((3, 3), np.float32), (0.0, 1.0, 0.0), 9, 9)  # not on it at all
    assert canvas[..., 1].max() == 0


def test_a_garment_is_alone_and_labelled_by_kind_and_colour() -> None:
    source = Garments(WARDROBE, count=300)
    rows = source.rows()
    assert set(rows[:, 0].tolist()) == set(range(len(SINGLE)))
    assert [source[i]["label"] for i in range(3)] == (rows[:3, 0] * len(PAINTS) + rows[:3, 1]).tolist()
    assert phrase(*rows[0].tolist()).split()[-1].rstrip("s") in {name.rstrip("s") for name in SINGLE}


def test_sentences_fill_blanks_by_synonyms_and_say_what_is_optional_only_where_it_is() -> None:
    said = [phrases([0, 0, 1, 2, 1, -1, bag, -1]) for bag in (0, -1)] * 40
    texts = MACHINE(said, seed=3)
    assert MACHINE(said, seed=3) == texts
    assert MACHINE(said, seed=4) != texts
    bags = [bool({"bag", "handbag"} & set(text.split())) for text in texts]
    assert bags == [True, False] * 40
    assert {word for text in texts for word in text.split()} >= {
        "red",
        "crimson",
        "blue",
        "azure",
        "skirt",
        "miniskirt",
    }
    assert not {"scarlet", "navy", "kilt"} & {word for text in texts for word in text.split()}
    assert set(Grammar(("a", "b", "c", "d")).some(2).templates) == {"a", "c"}
    assert product(("x", ""), ("y", "z")) == ("x y", "x z", "y", "z")
    with pytest.raises(ValueError, match="at least one"):
        Grammar(())


@pytest.mark.parametrize("grammar", [MACHINE, ANNOTATORS])
def test_every_sentence_is_of_known_words_and_fits(grammar: Grammar) -> None:
    rows = People(WARDROBE, identities=400, views=1).rows().tolist()
    tokens = written(grammar([phrases(row) for row in rows], seed=0), 30)["tokens"]
    assert tokens.max() < WORDS.vocab
    assert len(set(WORDS.words)) == len(WORDS.words)
    prompts = [prompt for attribute in ASKED for row in attribute.phrases for prompt in row]
    assert written(prompts, 12)["tokens"].shape == (5 + 40 + 2 + 16 + 3 + 2, 12)


def test_masks_lie_beside_the_texts_and_mirrors_are_of_some() -> None:
    tokens = np.zeros((20, 10), np.int32)
    tokens[:, :7] = 9
    base = Images(source=People(WARDROBE, identities=20, views=1), batch=4, shape=(40, 20, 3))
    texts = SimpleNamespace(fingerprint="t", value={"tokens": tokens})
    data = MaskedToo(data=join(base, texts, Row("tokens", (10,), "int32")), vocab=20)
    batch = data.take(np.arange(8))
    assert (batch["tokens"] == tokens[:8]).all()
    assert batch["weights"].sum(1).tolist() == [1.0] * 8
    assert (batch["masked"] == MASK).any()
    assert ((batch["masked"] == PAD) == (batch["tokens"] == PAD)).all()
    assert {key: leaf.shape for key, leaf in data.sample_spec().items()} == {
        key: leaf.shape[1:] for key, leaf in batch.items()
    }
    turned = Flipped(data=base).take(np.arange(8))["image"]
    plain = base.take(np.arange(8))["image"]
    mirrored = [not np.array_equal(a, b) for a, b in zip(turned, plain, strict=True)]
    assert 0 < sum(mirrored) < 8
    np.testing.assert_array_equal(turned[mirrored], plain[mirrored][:, :, ::-1])
    views = OtherView(data=base).take(np.arange(4))
    assert views["image"].shape == views["other"].shape == (4, 40, 20, 3)
    assert not np.array_equal(views["image"], views["other"])
    assert views["image"].min() >= 0
    assert views["image"].max() <= 1
