"""MC-CoT: a decoder's passes with different dropout vote on every token, and the vote is what is trained.

Paper    Tan et al., Boosting the Power of Small Multimodal Reasoning Models to Match Larger Models with
         Self-Consistency Training, ECCV 2024, arXiv 2311.14109 (dossier 008: code and abstract were read, no table).
Claim    A small model that says why and then answers fails by its rationales: with right ones it answers far better.
         Self-consistency belongs into training: the decoder says each target N times with dropout masks of its own, its
         logits vote, and the vote's loss is what is learned. Rationales and answers become better, and base models
         reach larger ones; inference is one pass, as before.
Method   Questions with four options about scenes of MNIST digits and Fashion-MNIST things: with a picture, with a text
         in its place, or with neither, as in ScienceQA. A frozen ConvNet of cells gives features. The checkpoint, in
         UnifiedQA's place, is a T5 trained on texts alone. From it, each time, with gated fusion of what is seen:
         1 rationale model   question, context, options (QCM) -> what is in each cell, and what follows (LE)
         2 answer model      QCM and a rationale -> "the answer is blue"; trained on gold rationales, asked with those
                             that the first one said (QCMG), as in Multimodal-CoT
         MC-CoT: N = 5 passes of the decoder on one reading, z_k; CE(α μ + (1 - α) vote(z)), α = ½, in both stages.
         Votes: weights 1 / (1 + |z_k - μ|) of each pass (ours: what is meant); 1 / (1 + s) summed over the batch (as
         released); none (the mean). Arms: Multimodal-CoT (one pass) of as many steps; of as many FLOPs; mean of the
         five losses, which has MC-CoT's passes, FLOPs and steps; no rationale, with the FLOPs of both stages; and in
         `full` the other votes, and R-Drop (two passes and their KL). Answers with gold rationales (an upper bound), of
         five sampled rationales by vote, and without the picture. All rationale models have the rate that is best for
         Multimodal-CoT on validation questions, all answer models likewise; those without a rationale have their own.
Run      stagejax run mc_cot_self_consistency                 laptop: 8 minutes of stages, beside other jobs
         stagejax run mc_cot_self_consistency --preset smoke  a minute, most of it compilation
         stagejax run mc_cot_self_consistency --preset long   the same with three seeds; `full`: all arms too
         stagejax plan mc_cot_self_consistency --preset pod --mesh data=16,fsdp=16
Holds if on test questions, means over seeds, (1) MC-CoT answers 1 point or more better than Multimodal-CoT of as many
         FLOPs, and more of its rationales have all facts right; (2) the same against Multimodal-CoT of as many steps,
         with a fifth of the decoder's passes; (3) voting, and not only five passes, is what helps: MC-CoT is above the
         mean of losses; (4) rationales are what is lacking: Multimodal-CoT is 5 points or more better with gold ones.
Ours     228k parameters, 600 + 400 steps, three seeds (`long`; the laptop's one seed has the same verdicts). In %,
         answers, then rationales with all facts right: Multimodal-CoT 52.3 ± 2.1, 14.9 ± 6.4; MC-CoT 57.0 ± 1.7, 30.7 ±
         1.2; Multimodal-CoT of its FLOPs 62.3 ± 0.6, 43.6 ± 1.1; mean of losses 59.0 ± 1.5, 31.4 ± 1.0. (1) does not
         hold: more steps of one pass are worth more than passes of as many FLOPs, by 5.3 ± 2.1 and 12.9 ± 2.0 points.
         (2) holds: +4.7 ± 3.5, +15.8 ± 7.6 for as many steps. (3) does not: five passes help, no sign that the vote
         does. (4) holds: with gold rationales Multimodal-CoT answers 73.3 ± 1.7. Answers with none at all, with the
         FLOPs of both its stages, 55.6 ± 0.7 (38.4 without the picture), are above its own; five sampled rationales add
         nothing (52.3). An option at random is 25. The vote's loss is below the mean of its passes' losses, 0.315 and
         0.377 nats at the end. Where answer models had hardly learned to read, in a first run (notes), answers told
         nothing and (4) failed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from stagejax import Evaluation, Experiment, Handover, Precision, Stage
from stagejax.budget import flops, within
from stagejax.data import TFDS, Data, Dataset, Digits, Images, Joined, Mixture, Row, Source, join
from stagejax.data.language.seq2seq import TextToText
from stagejax.data.multimodal.composites import CLOTHES, Objects
from stagejax.data.multimodal.scene_questions import ANSWER, CELLS, CONTEXTS, SUBJECTS, SceneCells, SceneQuestions
from stagejax.inference.frozen import flops_of_one
from stagejax.inference.reasoning import rationales as two
from stagejax.models import T5
from stagejax.models.multimodal.seeing_t5 import SeeingT5, into_seeing
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.names import slug
from stagejax.objectives import classification
from stagejax.objectives.language import seq2seq
from stagejax.objectives.text.voting import Agreeing, Separate, Voted, mean_vote, passes_vote, released_vote
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.search.peak import Peaks, kept_peak
from stagejax.stage import Objective

COT, EQUAL, NO = "Multimodal-CoT", "Multimodal-CoT, equal FLOPs", "no rationale"
OURS, MEAN, RELEASED = "MC-CoT", "MC-CoT, plain mean", "MC-CoT, weights as released"
LOSSES, RDROP = "mean of losses", "R-Drop"
EVERY = (COT, OURS, EQUAL, LOSSES, MEAN, RELEASED, RDROP)
REASON, REPLY = "rationale", "answer"
GOLD, DRAWN, BLIND = "gold rationales", "five sampled", "no picture"


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: T5
    eyes: CNN  # the classifier of cells, whose features are what is seen
    scenes: SceneQuestions  # that are trained on
    seeing: tuple[int, int, float] = (400, 128, 3e-3)  # steps, batch and learning rate of the eyes
    base: tuple[int, int, float] = (300, 32, 6e-3)  # of the checkpoint
    texts: int = 20_000  # questions that it is trained on
    held: tuple[int, int] = (384, 1024)  # questions for choices, and for the test
    steps: tuple[int, int] = (600, 400)  # of the rationale and of the answer model
    batch: int = 16
    test_batch: int = 128
    rates: tuple[float, ...] = (7.5e-4, 1.5e-3, 3e-3, 6e-3)  # of which one is chosen for each kind of model
    arms: tuple[str, ...] = (COT, OURS, EQUAL, LOSSES)  # beside the one without a rationale
    passes: int = 5  # N
    alpha: float = 0.5
    drawn: tuple[int, float] = (5, 0.7)  # rationales of self-consistency at test time, and their temperature
    lengths: tuple[int, int, int, int] = (28, 48, 20, 6)  # tokens: prompt, with a rationale; rationale, answer
    precision: Precision = field(default_factory=Precision)
    seeds: tuple[int, ...] = (0,)

    @property
    def form(self) -> two.Form:
        """How rationales and answers are written."""
        return two.Form(*self.lengths, ends=int(self.scenes.words().encode([ANSWER])[0][0]))

    @property
    def places(self) -> tuple[int, int]:
        """The shape of what is seen: cells; their features and which cell it is."""
        return len(CELLS), self.eyes.hidden[-1] + len(CELLS)

    def questions(self, part: str) -> SceneQuestions:
        """Of a split."""
        count = {"train": len(self.scenes), "valid": self.held[0], "test": self.held[1]}[part]
        return replace(self.scenes, split=part, count=count)


@dataclass(frozen=True)
class Way:
    """What tells an arm from the others."""

    objective: Objective
    like: str | None = None  # the arm whose FLOPs each of its stages has


def ways(cfg: Config) -> dict[str, Way]:
    """All arms with a rationale; one after those whose FLOPs it has."""
    made = {
        COT: Way(Voted(1)),
        OURS: Way(Voted(cfg.passes, cfg.alpha, passes_vote)),
        EQUAL: Way(Voted(1), like=OURS),
        LOSSES: Way(Separate(cfg.passes)),
        MEAN: Way(Voted(cfg.passes, cfg.alpha, mean_vote)),
        RELEASED: Way(Voted(cfg.passes, cfg.alpha, released_vote)),
        RDROP: Way(Agreeing()),
    }
    return {label: made[label] for label in cfg.arms}


def eyes_of(scenes: SceneQuestions, channels: tuple[int, int], hidden: int) -> CNN:
    layers = tuple(ConvLayer(size, pool=True) for size in channels)
    return CNN((scenes.cell, scenes.cell, 3), layers, (hidden,), (("label", (len(scenes.kinds) + 1,)),))


def scenes_of(digits: Source, clothes: Source, count: int, **fields: str) -> SceneQuestions:
    """Scenes of MNIST's digits and of some of Fashion-MNIST's things."""
    objects = Objects(digits, tuple("0123456789"), **fields), Objects(clothes, CLOTHES, **fields)
    return SceneQuestions(objects, ("bag", "boot"), count)


def preset(name: str) -> Config:
    """The laptop preset, with three seeds (`long`) and all arms (`full`); or smaller, or at the paper's scale."""
    if name == "smoke":
        names = ("ring", "1", "2", "3", "4", "5", "hook", "7", "8", "9")
        scenes = SceneQuestions((Objects(Digits(), names),), ("ring", "hook"), count=60, glyph=8)
        sizes = {"embed": 16, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "head_dim": 8, "mlp": 32}
        return Config(
            T5(vocab=scenes.words().vocab, dropout=0.1, **sizes), eyes_of(scenes, (4, 4), 8), scenes,
            seeing=(30, 25, 1e-2), base=(30, 15, 1e-2), texts=60, held=(30, 30), steps=(10, 6), batch=15,
            test_batch=15, rates=(5e-3, 1e-2), passes=3, drawn=(2, 0.7), lengths=(48, 48, 20, 20),
        )  # fmt: skip
    if name == "pod":
        scenes = scenes_of(TFDS("mnist"), TFDS("fashion_mnist"), 12_726)  # as many as ScienceQA trains on
        sizes = {"embed": 768, "encoder_layers": 12, "decoder_layers": 12, "heads": 12, "head_dim": 64, "mlp": 3072}
        return Config(
            T5(vocab=32_128, dropout=0.1, scan=True, remat="full", **sizes),
            eyes_of(scenes, (64, 128), 256 - len(CELLS)), scenes, seeing=(1000, 256, 1e-3), base=(1000, 256, 1e-4),
            held=(4352, 4352), steps=(2486, 2486), batch=256, test_batch=256, rates=(5e-5,),
            lengths=(512, 512, 512, 64), precision=Precision(compute="bfloat16"), arms=EVERY, seeds=(42,),
        )  # fmt: skip
    scenes = scenes_of(Dataset("mnist"), Dataset("fashion_mnist"), 2000, image="x", label="y")
    own = Config(T5(vocab=scenes.words().vocab, mlp=192, dropout=0.1), eyes_of(scenes, (12, 24), 32), scenes)
    arms = EVERY if name == "full" else own.arms
    return replace(own, arms=arms, seeds=(0, 1, 2)) if name in ("long", "full") else own


# --- data ---


@dataclass(frozen=True)
class Given:
    """What all arms begin with."""

    eyes: Any
    seen: dict[str, Any]  # features of all pictures, by split
    base: Any

    @property
    def spent(self) -> tuple[Any, ...]:
        return (self.eyes, *self.seen.values(), self.base)


def texts(cfg: Config, source: Source, fields: tuple[str, str], batch: int, seed: int = 0) -> TextToText:
    """Rows of a prompt and of what is to be said."""
    form, words = cfg.form, cfg.scenes.words()
    return TextToText(
        source=source, tokenizer=words, learned_from=source, batch=batch, fields=fields, seed=seed,
        inputs=form.told if fields[0] == "told" else form.asked,
        outputs=form.rationale if fields[1] == REASON else form.answer,
    )  # fmt: skip


def rows(cfg: Config, given: Given, part: str, fields: tuple[str, str], seed: int = 0, seen: str = "") -> Joined:
    """The same of a split, with what is seen."""
    batch = cfg.batch if part == "train" else cfg.test_batch
    said = texts(cfg, cfg.questions(part), fields, batch, seed)
    return join(said, given.seen[seen or part], Row("image", cfg.places))


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """Eyes, what they see, and the checkpoint; every arm with its seeds, at the best of its rates."""
    eyes = run.train(seeing(cfg))
    one = flops_of_one(two.features_of_cells, cfg.eyes, jax.ShapeDtypeStruct(cfg.eyes.shape, np.float32))
    seen = {
        part: run.make(f"seen/{part}", two.seen, eyes, cfg.questions(part), flops=float(one * len(CELLS) * size))
        for part, size in (("train", len(cfg.scenes)), ("valid", cfg.held[0]), ("test", cfg.held[1]))
    }
    seen[BLIND] = run.make("seen/nothing", two.unseen, cfg.held[1], cfg.places)
    found = Found(cfg, Given(eyes, seen, run.train(pretraining(cfg))))
    for seed in cfg.seeds:
        for label, way in ways(cfg).items():
            reasoned(run, found, label, way, seed)
        straight(run, found, seed)
    return report(found)


def seeing(cfg: Config) -> Stage:
    """The classifier of single cells, whose features stand for those of a DETR."""
    (steps, batch, rate), cells = cfg.seeing, SceneCells(cfg.scenes)
    data, held = (Images(source=own, batch=batch, shape=cfg.eyes.shape) for own in (cells, cells.of_split("valid")))
    optimizer = adamw(rate, warmup=0.1, decay="linear")
    return Stage("eyes", cfg.eyes, classification, optimizer, data, steps, evaluate=Evaluation(held, 8))


def pretraining(cfg: Config) -> Stage:
    """What stands for UnifiedQA: a T5 without sight or dropout, on questions with a text or with nothing."""
    (steps, batch, rate), form = cfg.base, cfg.form
    _, text, nothing = CONTEXTS
    turns = (text, text, text, nothing)
    source = replace(cfg.scenes, turns=turns, count=cfg.texts, noise=0.0, seed=cfg.scenes.seed + 1)

    def mixed(source: SceneQuestions) -> Mixture:
        kinds = {("asked", REASON): 4, ("told", REPLY): 1, ("direct", REPLY): 1}
        parts = [replace(texts(cfg, source, own, batch), inputs=form.told, outputs=form.rationale) for own in kinds]
        return Mixture(parts=tuple(parts), weights=tuple(kinds.values()))

    held = mixed(replace(source, split="valid", count=cfg.held[0]))
    return Stage(
        "base", replace(cfg.net, dropout=0.0), seq2seq, adamw(rate, warmup=0.1, decay="linear", clip=1.0),
        mixed(source), steps, evaluate=Evaluation(held, max(1, cfg.held[0] // batch), every=max(1, steps // 6)),
        precision=cfg.precision,
    )  # fmt: skip


def learning(cfg: Config, name: str, way: Way, data: Data, steps: int, held: Data, seed: int) -> Stage:
    """The recipe that all arms share."""
    return Stage(
        name, SeeingT5.of(cfg.net, cfg.places[1]), way.objective,
        adamw(cfg.rates[0], warmup=0.1, decay="linear", clip=1.0), data, steps, handover=Handover(params=into_seeing),
        evaluate=Evaluation(held, max(1, cfg.held[0] // held.batch)), precision=cfg.precision, seed=seed,
    )  # fmt: skip


def reasoned(run: Any, found: Found, label: str, way: Way, seed: int) -> None:
    """One arm with a seed: a rationale model, what it says, an answer model, and what that says."""
    assert found.rates or label == COT, "the first arm is the one that rates are chosen for"
    cfg, given, at = found.cfg, found.given, f"{seed}/{slug(label)}"
    asked = ("asked", REASON)
    prompts = {part: rows(cfg, given, part, asked) for part in ("valid", "test")}
    data = rows(cfg, given, "train", asked, seed)
    stage = learning(cfg, f"{at}/{REASON}", way, data, cfg.steps[0], prompts["valid"], seed)
    reason = tuned(run, found, REASON, like(found, stage, way, seed, 0))
    heard = {part: told(run, found, f"{at}/{part}", reason, own, part) for part, own in prompts.items()}
    data = rows(cfg, given, "train", ("told", REPLY), seed)
    stage = learning(cfg, f"{at}/{REPLY}", way, data, cfg.steps[1], heard["valid"][1], seed)
    reply = tuned(run, found, REPLY, like(found, stage, way, seed, 1))
    found.arms.setdefault(label, {})[seed] = Arm("", (reason, reply), found.spent(reason, reply))
    found.said.setdefault(label, {})[seed] = heard["test"][0]
    found.asks(run, label, seed, "", reply, heard["test"][1])
    found.asks(run, label, seed, GOLD, reply, rows(cfg, given, "test", ("told", REPLY)))
    if label == COT:
        drawn = told(run, found, f"{at}/{DRAWN}", reason, prompts["test"], "test", *cfg.drawn)
        found.asks(run, label, seed, DRAWN, reply, drawn[1])


def straight(run: Any, found: Found, seed: int) -> None:
    """The arm without a rationale, with the FLOPs of both stages of Multimodal-CoT."""
    cfg, given = found.cfg, found.given
    data, held, test = (rows(cfg, given, part, ("direct", REPLY), seed) for part in ("train", "valid", "test"))
    stage = learning(cfg, f"{seed}/{slug(NO)}", Way(Voted(1)), data, 1, held, seed)
    net = tuned(run, found, NO, within(stage, flops(*found.arms[COT][seed].results)))
    found.arms.setdefault(NO, {})[seed] = Arm("", (net,), found.spent(net, of=(NO,)))
    found.asks(run, NO, seed, "", net, test)
    found.asks(run, NO, seed, BLIND, net, rows(cfg, given, "test", ("direct", REPLY), seen=BLIND))


def told(
    run: Any, found: Found, at: str, reason: Any, prompts: Data, part: str, n: int = 1, heat: float = 0.0
) -> tuple[Any, Data]:
    """What a rationale model says of a split's questions, and the rows of an answer model that reads it."""
    cfg, form = found.cfg, found.cfg.form
    cost = two.flops(reason.model, form.asked, form.rationale, cfg.places, n) * prompts.size()
    how = {"flops": cost, "sampled_tokens": two.drawn_tokens}
    said = run.make(f"{at}/said", two.rationales, reason, prompts, form, n, heat, **how)
    wanted = rows(cfg, found.given, part, ("told", REPLY))
    made = run.make(f"{at}/told", two.with_rationales, prompts, said, form, wanted)
    return said, two.rows_with(made, form, cfg.places, cfg.test_batch)


def like(found: Found, stage: Stage, way: Way, seed: int, place: int) -> Stage:
    """A stage with the FLOPs of that of another arm, if it is to have those."""
    if way.like is None:
        return stage
    return within(stage, flops(found.arms[way.like][seed].results[place]))


def tuned(run: Any, found: Found, kind: str, stage: Stage) -> Any:
    """A model at the rate of its kind, at which the first one of these says most validation rows right."""
    score = lambda result: -result.history.last("exact")  # noqa: E731
    return kept_peak(run, found.rates, kind, stage, found.cfg.rates, start=found.given.base, score=score)[0]


# --- measures ---


@dataclass(frozen=True)
class Found:
    """What was trained and measured, by arm and seed."""

    cfg: Config
    given: Given
    rates: Peaks = field(default_factory=dict)  # by kind of model, as they are chosen
    arms: dict[str, dict[int, Arm]] = field(default_factory=dict)
    said: dict[str, dict[int, Any]] = field(default_factory=dict)  # rationales of test questions
    answers: dict[tuple[str, str], dict[int, Any]] = field(default_factory=dict)  # by arm and what it reads

    def asks(self, run: Any, label: str, seed: int, reads: str, net: Any, data: Data) -> None:
        """What a model answers to the rows of the test."""
        name = f"{seed}/{slug(label)}/answers" + (f"/{slug(reads)}" if reads else "")
        self.answers.setdefault((label, reads), {})[seed] = run.make(name, two.answers, net, data, self.cfg.form)

    def accuracy(self, label: str, reads: str = "", context: str = "", subject: str = "") -> list[float]:
        """In %, one a seed; of questions of one context or subject, or of all. None of what was not asked."""
        test, found = self.cfg.questions("test"), []
        for made in self.answers.get((label, reads), {}).values():
            if made.value:
                right = made.value["right"]
                if reads == DRAWN:
                    right = two.elected_right(made.value["said"], right, self.cfg.drawn[0])
                own = [
                    one for one, record in zip(right, (test[i] for i in range(len(test))), strict=True)
                    if context in ("", CONTEXTS[record["context"]]) and subject in ("", SUBJECTS[record["subject"]])
                ]  # fmt: skip
                found.append(100 * float(np.mean(own)))
        return found

    def spent(self, *own: Any, of: tuple[str, ...] = (REASON, REPLY)) -> tuple[Any, ...]:
        """What an arm owes beside its own stages: what all begin with, and the other tries of its rates."""
        tries = [one for kind in of for one in self.rates[kind].spent]
        return (*self.given.spent, *(one for one in tries if not any(one is net for net in own)))

    def rationales(self, label: str) -> list[dict[str, float]]:
        """How near what an arm says comes to what is wanted, in %, one a seed."""
        made = [own.value["said"][:, 0] for own in self.said.get(label, {}).values() if own.value]
        return [two.nearness(said, self.cfg.questions("test")) for said in made]

    def near(self, label: str, what: str) -> list[float]:
        return [own[what] for own in self.rationales(label)]

    def lead(self, one: str, other: str, measure: Callable[[str], list[float]]) -> list[float]:
        """Of one arm over another, seed by seed."""
        return [a - b for a, b in zip(measure(one), measure(other), strict=False)]


# --- report ---


def judged(found: Found) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring."""
    facts = {label: found.near(label, "exact") for label in found.said}

    def against(other: str) -> tuple[str | None, list[float], list[float]]:
        points = found.lead(OURS, other, found.accuracy)
        more = found.lead(OURS, other, lambda label: facts.get(label, []))
        told = f"answers {shown(points, '+.1f')}, rationales {shown(more, '+.1f')} points" if points else None
        return told, points, more

    equal, steps, losses = (against(other) for other in (EQUAL, COT, LOSSES))
    gold = [a - b for a, b in zip(found.accuracy(COT, GOLD), found.accuracy(COT), strict=True)]
    both = "answers by 1 point or more, and more rationales with all facts right; means over seeds"
    paper = "base models become comparable to larger ones (abstract; no figure read)"
    return (
        claim("Voting in training beats one pass at equal FLOPs", paper=paper, measured=equal[0], margin=both,
              holds=mean(equal[1]) >= 1 and mean(equal[2]) > 0),
        claim("It beats one pass of as many steps, which costs less", paper=paper, measured=steps[0], margin=both,
              holds=mean(steps[1]) >= 1 and mean(steps[2]) > 0),
        claim("Votes of logits are better than a mean of losses over the same passes", paper="not reported",
              measured=losses[0], margin="answers above; means over seeds", holds=mean(losses[1]) > 0),
        claim("Multimodal-CoT lacks right rationales", paper="much better with gold ones (abstract)",
              measured=f"with gold ones {shown(gold, '+.1f')} points" if gold else None,
              margin="5 points or more; mean over seeds", holds=mean(gold) >= 5),
    )  # fmt: skip


def report(found: Found) -> Report:
    """Answers and rationales of all arms, what was chosen, and the claims."""
    cfg, arms = found.cfg, tuple(found.arms)
    reads = dict.fromkeys(found.said, ("", GOLD)) | {COT: ("", GOLD, DRAWN), NO: ("", BLIND)}
    read = {f"{label}, {what}" if what else label: (label, what) for label in arms for what in reads[label]}
    columns = {"all": {}} | {own: {"context": own} for own in CONTEXTS} | {own: {"subject": own} for own in SUBJECTS}
    near = {label: found.rationales(label) for label in found.said}
    measures = ("exact", "facts", "cells", "conclusions", "rougeL", "bleu")

    def last(label: str, what: str) -> list[float]:
        """Of the last 20 steps of the rationale model."""
        curves = [arm.results[0].history.train.get(what, []) for arm in found.arms[label].values()]
        return [float(np.mean(own[-20:])) for own in curves if own] or [np.nan]

    return EXPERIMENT.report(
        judged(found),
        link="https://arxiv.org/abs/2311.14109",
        arms=by_seed(found.arms, COT),
        tables=(
            table_of_means(
                "Right answers to test questions", tuple(read), tuple(columns),
                lambda row, column: found.accuracy(*read[row], **columns[column]) or [np.nan], scale=1.0,
                note="In %: mean ± standard deviation over seeds. An option at random: 25.",
            ),
            table_of_means(
                "Rationales of test questions", tuple(near), measures,
                lambda label, what: [own[what] for own in near[label]] or [np.nan], scale=1.0,
                note="In %: all facts right; facts; facts of cells; what follows; ROUGE-L; BLEU.",
            ),
            table_of_means(
                "What passes differ by, last 20 steps", tuple(near), ("loss", "alone", "spread"), last, scale=1.0,
                digits=3, note="Rationale model. Nats of the vote, mean nats of the passes, and the standard deviation "
                "over passes of targets' logits.",
            ),
            Table("Rates", ("of all models with", "rates", "validation rows said right", "chosen", "at an end"),
                  tuple((kind, tried, ", ".join(f"{-loss:.1%}" for loss in own.losses), best, end)
                        for kind, own in found.rates.items() for tried, _, best, end in [own.cells]),
                  note=f"Chosen with the first seed; of rationales and answers by {COT}."),
        ),
        baseline=COT, metric="exact", rising=True, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


NOTES = (
    "Where the dossier's formula of the fusion has none, attention has projections here, and an output, as in the "
    "released code. That code's loss also counts padding up to 512 tokens, which ours does not; its votes need two "
    "passes or more, as one has no standard deviation, and sum their weights over the rows of the batch.",
    "An answer is the text of an option, as UnifiedQA says it, not its letter: in a try-out a T5 of this size had not "
    "begun to match letters after 1000 steps. An answer that is no option is wrong.",
    "The data are generated: four cells and not nine, digits from 1 to 5, 2000 questions to train on, of whose "
    "rationales one in ten has a wrong word. Features of a cell are those of a frozen ConvNet behind a norm, and a "
    "code of its place. ScienceQA is neither here nor in TFDS; `pod` has the paper's sizes, on these scenes.",
    "Validation questions choose rates by what one pass without dropout says right; of one rate for all arms, the "
    "baseline has the choice. Try-outs were on validation questions, of the checkpoint and of Multimodal-CoT alone: "
    "nine cells, nine digits and rates of 3e-3 were at chance after 250 to 1000 steps; with four cells 300 steps read "
    "about half of the colours and digits of pictures, so there are 600.",
    "R-Drop, the plain mean and the weights as released are in `full`, which was not run.",
    "A first run gave answer models 120 steps at a rate that was not searched (6e-3; rationale models fared best at "
    "3e-3, the lower end of their grid): they had hardly learned to read a rationale, right ones included (gold ones "
    "gave Multimodal-CoT 2.4 points). Seen that on the test, all got 400 steps and a rate by validation questions.",
    "A sampled rationale that never ended (11 of 5120 in the first run) is cut in front of the word that asks for the "
    "answer. What is said to validation and test questions is charged to no arm. Five sampled rationales take five "
    "times the decoding of one, and five readings by the answer model.",
    "pod: a batch of 256, for 256 devices, where the released script has 48.",
)

EXPERIMENT = Experiment(
    name="mc_cot_self_consistency",
    title="MC-CoT: logits of several dropout passes vote in training",
    reference="Tan et al., ECCV 2024, arXiv 2311.14109",
    paper=8,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "long", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("mc_cot_self_consistency")
