"""Prompts as arrays, lessons of the language model, and the judge of what pictures show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data import Digits
from stagejax.data.multimodal.composites import DIGITS, Objects
from stagejax.data.multimodal.picture_prompts import COMBINE, COPY, DRAW, EDITS, PICTURE, REQUESTS, PicturePrompts
from stagejax.inference import Frozen
from stagejax.inference.pictures import prompted_pictures as drawing
from stagejax.inference.pictures.quarters import next_of_kind, quarters, real
from stagejax.models import ViT, llama
from stagejax.models.generative.condition_adapter import ConditionAdapter
from stagejax.models.generative.mmdit import MMDiT
from stagejax.models.multimodal.vision_language import VisionLanguage

PATCHES = 4
SOURCE = PicturePrompts((Objects(Digits(), DIGITS[:4]),), 28, side=8)
MADE = drawing.composed(SOURCE, PATCHES)
CODE = SOURCE.words


def of(request: str) -> np.ndarray:
    return np.flatnonzero(MADE["request"] == REQUESTS.index(request))


def frozen(config: Any) -> Frozen:
    params, rest = nnx.split(config.build(nnx.Rngs(0)), nnx.Param, ...)[1:]
    return Frozen(config, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))


def test_prompts_have_a_place_for_every_patch_and_say_their_task_first() -> None:
    assert MADE["tokens"].shape == (28, drawing.prompt_length(PATCHES))
    np.testing.assert_array_equal(MADE["seen"].sum(1), PATCHES * MADE["pictures"])
    np.testing.assert_array_equal(MADE["task"].sum(1), 4)
    said = {CODE.decode(row[task]) for row, task in zip(MADE["tokens"], MADE["task"], strict=True)}
    assert said == {"generate image :", "copy image :", "combine objects :", "edit image :"}
    assert (MADE["tokens"][:, 0] == 1).all()
    assert not MADE["tokens"][~MADE["there"]].any()
    (marker,) = CODE.encode([PICTURE])[0]
    assert marker == VisionLanguage(ViT(), llama()).marker


def test_the_target_is_not_among_what_an_edit_is_told() -> None:
    for row in np.concatenate([of(name) for name in EDITS]):
        assert not any(np.array_equal(own, MADE["target"][row]) for own in MADE["images"][row])


def test_captions_are_read_as_words() -> None:
    rows = drawing.captioned(MADE)
    assert not rows["task"].any()
    assert [CODE.decode(own) for own in rows["words"]] == [SOURCE[i]["caption"] for i in range(28)]
    other = np.zeros_like(rows["words"])
    assert not drawing.captioned(MADE, other)["there"].any()


def test_lessons_teach_answers_alone() -> None:
    rows = drawing.lessons(SOURCE, PATCHES)
    answers = [CODE.decode(own[w > 0]) for own, w in zip(rows["targets"], rows["weights"], strict=True)]
    prompts = [CODE.decode(own).replace(f"{PICTURE} ", "") for own in rows["tokens"]]
    for i in np.concatenate([of(DRAW), of(COMBINE), of("remove")]).tolist():
        assert answers[i] == SOURCE[i]["caption"]
        assert f"describe : {answers[i]}" in prompts[i]
    asked = [i for i in of(COPY).tolist() if "what" in prompts[i]]
    assert len(asked) == 2
    for i in asked:
        place = prompts[i].split("what ")[1].split()[0]
        assert answers[i] == "nothing" or f"{answers[i]} {place}" in SOURCE[i]["caption"]
        assert (answers[i] == "nothing") == (place not in SOURCE[i]["caption"])
    assert (rows["weights"].sum(1) >= 2).all()


def judge(monkeypatch: pytest.MonkeyPatch, said: np.ndarray, kept: float = 0.08) -> drawing.Judge:
    logits = np.eye(17)[said.reshape(-1)]
    monkeypatch.setattr(drawing, "apply", lambda *_: logits)
    return drawing.Judge(Frozen(None, None, None), kept)


def test_the_truth_is_right_and_the_truth_of_another_prompt_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = real(MADE["target"])
    own = judge(monkeypatch, MADE["asked"]).told("x", truth, MADE)
    for name in ("exact", "changed", "kept", "success"):
        assert own[f"x/{name}"].all()
    assert (own["x/things"] == 1).all()
    assert not own["x/l2"].any()
    assert own["x/luck"].mean() < 0.5


def test_an_edit_must_change_what_it_names_and_keep_the_pixels_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = of("replace")
    made = {name: x[rows] for name, x in MADE.items()}
    truth, source = real(made["target"]), real(made["images"][:, 0])
    before = np.where(made["about"], 0, made["asked"])
    same = judge(monkeypatch, before).verdicts(source, made)
    assert same["kept"].all()
    assert not same["changed"].any()
    worse = truth.copy()
    for picture, about in zip(worse, made["about"], strict=True):
        for place in np.flatnonzero(~about):
            picture[8 * (place // 2) :, 8 * (place % 2) :][:8, :8] += 0.1
    touched = judge(monkeypatch, made["asked"]).verdicts(worse, made)
    assert touched["changed"].all()
    assert touched["exact"].all()
    assert not touched["kept"].any()
    assert judge(monkeypatch, made["asked"], kept=0.11).verdicts(worse, made)["success"].all()


def test_kinds_and_colours_are_right_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = of(DRAW)
    made = {name: x[rows] for name, x in MADE.items()}
    things = made["asked"] > 0
    other_color = np.where(things, (made["asked"] - 1) // 4 * 4 + made["asked"] % 4 + 1, 0)
    own = judge(monkeypatch, other_color).verdicts(real(made["target"]), made)
    assert (own["kind"] == 1).all()
    assert not own["color"].any()
    assert not own["things"].any()


def test_other_prompts_are_of_the_same_request() -> None:
    other = next_of_kind(MADE, "request")
    np.testing.assert_array_equal(other["request"], MADE["request"])
    assert not any(np.array_equal(a, b) for a, b in zip(other["target"], MADE["target"], strict=True))


def test_every_second_quarter_of_a_judge_has_noise() -> None:
    rows = drawing.labelled(MADE)
    clean = real(quarters(MADE["target"]))
    np.testing.assert_array_equal(rows["image"][1::2], clean[1::2])
    assert np.abs(rows["image"][::2] - clean[::2]).mean() > 0.01
    np.testing.assert_array_equal(rows["label"].reshape(-1, 4), MADE["asked"])


LMM = VisionLanguage(
    ViT(image=16, channels=3, patch=8, embed=8, layers=1, heads=1, mlp=8),
    llama(vocab=CODE.vocab, embed=8, layers=1, heads=1, mlp=8, length=64),
)


@pytest.mark.slow
def test_states_of_a_task_are_the_same_whatever_comes_behind() -> None:
    rows = drawing.read(MADE, frozen(LMM))
    copies = rows["states"][of(COPY)][:, :4]
    np.testing.assert_array_equal(copies, np.broadcast_to(copies[:1], copies.shape))
    assert not rows["visual"][~MADE["seen"]].any()
    assert np.abs(rows["visual"][MADE["seen"]]).max() > 0
    two = of(COMBINE)[0]
    marked = np.flatnonzero(MADE["seen"][two])
    assert np.abs(rows["visual"][two][marked[:PATCHES]] - rows["visual"][two][marked[PATCHES:]]).max() > 0


@pytest.mark.slow
def test_captions_end_and_hold_words_only() -> None:
    words = drawing.described(MADE, frozen(LMM), SOURCE)
    assert words.shape == (28, drawing.CAPTION)
    assert ((words == 0) | (words > 3)).all()


@pytest.mark.slow
def test_pictures_depend_on_their_row_alone_and_on_the_ratio() -> None:
    rows = drawing.read(MADE, frozen(LMM))
    dit = MMDiT(width=8, embed=8, layers=1, heads=1, head_dim=8, mlp=8)
    rng = np.random.default_rng(0)  # as it is made, it gives the same whatever it is told
    params = jax.tree.map(lambda x: x + 0.1 * rng.normal(size=x.shape).astype(np.float32), frozen(dit).params)
    nets, painter = [frozen(ConditionAdapter(8, 8, 8)), replace(frozen(dit), params=params)], drawing.Painter(2)
    first = painter.draw(nets, rows, 0)
    assert first.shape == (28, 16, 16, 3)
    assert first.min() >= 0
    assert first.max() <= 1
    fewer = painter.draw(nets, {name: x[:5] for name, x in rows.items()}, 0)
    np.testing.assert_allclose(fewer, first[:5], atol=1e-5)
    blended, draws = painter.draw(nets, rows, 0, ratio=1.0), of(DRAW)
    np.testing.assert_array_equal(blended[draws], first[draws])
    assert np.abs(blended[of(COPY)] - first[of(COPY)]).max() > 0
    assert painter.flops(ConditionAdapter(8, 8, 8), dit, {name: jnp.asarray(x[0]) for name, x in rows.items()}) > 1e5
