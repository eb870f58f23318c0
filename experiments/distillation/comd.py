"""CoMD: what a student answers worse than its teacher decides what the teacher is asked next.

Paper    Chen et al., Unlock the Power: Competitive Distillation for Multi-Modal Large Language Models, 2023, arXiv
         2311.08213 (dossier 020: abstract, tables and part of the text; the loop as in Lion, arXiv 2305.12870).
Claim    One-way distillation lets a teacher answer fixed instructions. In competitive distillation an assessor compares
         the answers of both after each round, and an augmentor writes new instructions like those on which the student
         is clearly worse. After four rounds a student of 7B passes its teacher of 13B on ScienceQA (91.94).
Method   Pictures: two to four real objects (MNIST, Fashion-MNIST) in four colours and four cells. Instructions of six
         types with a verifier: caption, object in a cell, colour of an object, count, what lies on a side of an object,
         which other object has its colour. Teacher and student are decoders that read, in LLaVA's manner, a linear map
         of frozen ConvNet features in four slots of a row:
         0 language     true answers about other scenes, words in the slots: what an LLM can do with texts
         1 alignment    the map alone, on captions of pictures
         2 teacher      whole model, on the truth of many instructions about other pictures; then frozen
         3 student      four rounds, whole model, on the teacher's greedy answers D_r to 400 instructions each. After a
                        round both answer the whole pool; s = log p_T(answer) (assessor `judge`), or whether the
                        verifier finds it right (`oracle`); difficult are H = {s_T - s_S >= 1}. The augmentor, a
                        template engine that reads captions, writes new instructions of the same type with other
                        objects about pictures with at least as many; near-duplicates are rejected. Half of D_{r+1} have
                        parents in H, half among the easy ones.
         Arms of equal teacher answers and student steps: one-shot (all at once, types at random); again, with other
         instructions (how far luck reaches); random augmentation (four rounds, parents at random); difficult only;
         CoMD's types (as many of each in each round, drawn afresh); ground truth (one-shot, true answers). Learning
         rates are chosen on validation instructions for one-shot and random augmentation, with the first seed; all
         other arms in rounds take that of the latter.
Run      stagejax run comd                  laptop: 15 minutes on two busy cores
         stagejax run comd --preset smoke   a minute, most of it compilation
         stagejax plan comd --preset pod --mesh data=16,fsdp=16
Holds if by right answers to test instructions, as many of each type, means over seeds, (1) CoMD is 1.5 points or more
         above one-shot, and more so than one-shot differs from itself with other instructions; (2) it is 1.5 points or
         more above random augmentation; (3) it falls by no more than 1 point in any round, and rises from the first to
         the last; (4) it is above CoMD's types: it matters which instructions of a type are difficult; (5) it is above
         difficult only: easy ones are needed; (6) of every type that the student is 80 % right on in the end a smaller
         share of the pool is difficult at the last assessment than at the first; (7) the student passes its teacher.
Ours     Three seeds, right answers to 1,500 test instructions in %, ± over seeds: teacher 82.7, student before 51.7;
         one-shot 67.5 ± 2.4, again 67.1 ± 0.7, ground truth 65.7 ± 3.0; random augmentation 56.4 ± 3.4, CoMD 55.9 ±
         2.0, with the oracle 55.8 ± 1.8, CoMD's types 56.6 ± 1.1, difficult only 56.2 ± 0.7. (3) holds, 52.7 to 55.9,
         all others do not: CoMD less one-shot is -11.6 ± 0.4 points, less random augmentation -0.5 ± 5.0, less CoMD's
         types -0.7 ± 2.9, less difficult only -0.3 ± 2.6; of objects, 82 % right, 0.5 % of the pool are difficult at
         first and 8.7 in the end. All arms in rounds are about eleven points behind. It seems that 400 instructions
         seen eight times are remembered: 5 % of them are difficult at first, 22 % of the pool at the last assessment.
         The rates are inside their grids, 4.5e-3 of one-shot behind which 1.35e-2 was tried as well, 1.5e-3 of rounds.
         The run before, on another CPU, had the same rates, (4) and (5) by 0.1 ± 3.2 and 1.5 ± 4.4 points, and no type
         at 80 %: these three say nothing at this size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import numpy as np

from stagejax import Evaluation, Experiment, Handover, Precision, Stage
from stagejax.data import TFDS, Dataset, Digits, Images, Source
from stagejax.data.multimodal.composites import CLOTHES, Objects
from stagejax.data.multimodal.scene_instructions import TYPES, Augmentor, Pictures
from stagejax.data.multimodal.scene_questions import CELLS, SceneCells, SceneQuestions
from stagejax.inference.frozen import flops_of_one
from stagejax.inference.pictures import picture_answers as answers
from stagejax.inference.pictures.picture_answers import Form, data_of, said_tokens, width_of
from stagejax.inference.prompts import competing
from stagejax.inference.prompts.competing import JUDGE, LOOP, ORACLE, Pool, Split, percent
from stagejax.inference.reasoning.rationales import features_of_cells
from stagejax.models import Transformer, gpt, llama
from stagejax.models.text.slots import SlotReader, into_reader
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.names import slug
from stagejax.objectives.classification import classification
from stagejax.objectives.language import causal_lm
from stagejax.objectives.sound.multimodal import behind_pictures
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.search.lowest import Lowest, lowest
from stagejax.transforms.parts import parts

ONE_SHOT, AGAIN, TRUTH = "one-shot", "one-shot again", "ground truth"
RANDOM, COMD, VERIFIED = "random augmentation", "CoMD", "CoMD, oracle"
HARD, KINDS = "difficult only", "CoMD's types"
TEACHER, BEFORE, COMMON = "teacher", "student before", "most frequent answers"


@dataclass(frozen=True)
class Way:
    """What tells an arm from the others."""

    rounds: bool = True  # or all at once
    assessor: str | None = None  # None: parents are drawn at random
    hard: float = 0.5  # share of new instructions whose parents are difficult
    like: str | None = None  # the arm whose types it has
    truth: bool = False  # learned in place of the teacher's answers
    other: int = 0  # added to the seed of instructions


#: One after those that it is like.
WAYS = {
    ONE_SHOT: Way(rounds=False),
    AGAIN: Way(rounds=False, other=100),
    TRUTH: Way(rounds=False, truth=True),
    RANDOM: Way(),
    COMD: Way(assessor=JUDGE),
    VERIFIED: Way(assessor=ORACLE),
    HARD: Way(assessor=JUDGE, hard=1.0),
    KINDS: Way(like=COMD),
}


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    world: SceneQuestions  # objects, names and colours
    eyes: CNN  # the classifier of cells, whose features are what is seen
    teacher: Transformer
    student: Transformer
    seeing: tuple[int, int, float] = (500, 128, 3e-3)  # steps, batch and learning rate of the eyes
    pictures: tuple[int, int, int, int] = (4000, 4000, 500, 1000)  # teacher's, student's, of validation, of the test
    texts: tuple[int, int] = (12_000, 4000)  # instructions of stage 0, and scenes that they are about
    language: tuple[int, int, float] = (2000, 300, 3e-3)  # steps of stage 0, teacher's and student's, and rate
    alignment: tuple[int, float] = (250, 1e-2)  # steps and rate of stage 1
    taught: int = 12_000  # instructions that the teacher learns
    teaching: tuple[int, int, float] = (1500, 32, 2e-3)  # steps, batch and rate of that
    rounds: int = 4
    each: int = 400  # instructions of a round
    steps: int = 100  # of a round
    batch: int = 32
    rates: tuple[float, ...] = (5e-4, 1.5e-3, 4.5e-3)  # of the student
    threshold: float = 1.0  # of s_T - s_S
    augmentor: Augmentor = field(default_factory=Augmentor)
    held: tuple[int, int] = (600, 1500)  # instructions of validation, of the test
    at_once: int = 300  # rows that are answered or tested together
    precision: Precision = field(default_factory=Precision)
    seeds: tuple[int, ...] = (0, 1, 2)

    def source(self, part: str) -> Pictures:
        """The pictures of a part."""
        place = PARTS.index(part)
        split = {"valid": "valid", "test": "test"}.get(part, "train")
        return Pictures(self.world, self.pictures[place], seed=place, split=split)

    @property
    def form(self) -> Form:
        """How rows are written."""
        return Form(self.source("own").words())

    @property
    def width(self) -> int:
        """What stands in a slot."""
        return width_of(self.eyes.hidden[-1])

    def reader(self, net: Transformer) -> SlotReader:
        """A decoder that sees."""
        return SlotReader(net, self.form.marker, self.width)


PARTS = ("taught", "own", "valid", "test")
MODELS = ("teacher", "student")


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        names = ("ring", "1", "2", "3", "4", "5", "hook", "7", "8", "9")
        world = SceneQuestions((Objects(Digits(), names),), ("ring", "hook"), glyph=8)
        net = gpt(vocab=Pictures(world).words().vocab, embed=16, heads=2, mlp=32, layers=1, length=22, init_std=0.1)
        return Config(
            world, eyes_of(world, (4, 4), 8), replace(net, embed=24), net, seeing=(20, 25, 1e-2),
            pictures=(90, 90, 40, 40), texts=(60, 60), language=(6, 6, 5e-3), alignment=(6, 1e-2), taught=90,
            teaching=(20, 15, 5e-3), rounds=3, each=24, steps=4, batch=12, rates=(3e-3, 6e-3), held=(30, 30),
            at_once=30, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        world = world_of(TFDS("mnist"), TFDS("fashion_mnist"))
        how = {"vocab": 32_000, "length": 2048, "scan": True, "remat": "full"}
        return Config(
            world, eyes_of(world, (64, 128), 1024),
            llama(layers=40, embed=5120, heads=40, mlp=13_824, **how),
            llama(layers=32, embed=4096, heads=32, mlp=11_008, **how),
            seeing=(1000, 256, 1e-3), pictures=(100_000, 100_000, 2000, 6000),
            texts=(100_000, 100_000), language=(2000, 2000, 2e-5),
            alignment=(2000, 2e-3), taught=500_000, teaching=(2000, 256, 2e-5), each=60_000, steps=700, batch=256,
            rates=(1e-5, 2e-5, 4e-5), held=(1536, 6144), at_once=256, precision=Precision(compute="bfloat16"),
            seeds=(0,),
        )  # fmt: skip
    world = world_of(Dataset("mnist"), Dataset("fashion_mnist"), image="x", label="y")
    net = gpt(vocab=Pictures(world).words().vocab, embed=64, heads=4, mlp=256, layers=2, length=22, init_std=0.1)
    large = replace(net, embed=96, mlp=384, layers=3)
    return Config(world, eyes_of(world, (12, 24), 32), large, net)


def world_of(digits: Source, clothes: Source, **fields: str) -> SceneQuestions:
    """MNIST's digits from 1 to 5 and three of Fashion-MNIST's things."""
    objects = Objects(digits, tuple("0123456789"), **fields), Objects(clothes, CLOTHES, **fields)
    return SceneQuestions(objects, ("bag", "boot", "trousers"))


def eyes_of(world: SceneQuestions, channels: tuple[int, int], hidden: int) -> CNN:
    layers = tuple(ConvLayer(size, pool=True) for size in channels)
    return CNN((world.cell, world.cell, 3), layers, (hidden,), (("label", (len(world.kinds) + 1,)),))


# --- stages ---


@dataclass(frozen=True)
class Given:
    """What all arms begin with."""

    seen: dict[str, Any]  # features of all pictures, by part
    teacher: Any
    start: Any  # the student before its first round
    asked: dict[str, Any]  # instructions of validation and of the test
    rows: dict[str, Any]  # of these, with the truth
    spent: tuple[Any, ...]


def pipeline(run: Any, cfg: Config) -> Report:
    """What all begin with; two rates by the first seed; every arm with all seeds."""
    found = Found(cfg, given := prepared(run, cfg))
    for name, net in ((TEACHER, given.teacher), (BEFORE, given.start)):
        found.fixed[name] = run.make(f"{slug(name)}/right", answers.checked, net, given.rows["test"], cfg.at_once)
    for label in (ONE_SHOT, RANDOM):
        found.rates[label] = searched(run, cfg, given, label)
    for seed in cfg.seeds:
        for label in WAYS:
            found.arms.setdefault(label, {})[seed] = distilled(run, found, label, seed)
    return report(found)


def prepared(run: Any, cfg: Config) -> Given:
    """Eyes, what they see, the teacher, and the student before its first round."""
    eyes = run.train(seeing(cfg))
    cell = jax.ShapeDtypeStruct(cfg.eyes.shape, np.float32)
    one = float(flops_of_one(features_of_cells, cfg.eyes, cell) * len(CELLS))
    seen = {
        part: run.make(f"seen/{part}", answers.seen, eyes, cfg.source(part), flops=one * len(cfg.source(part)))
        for part in PARTS
    }
    asked, rows = {}, {}
    for part, count in (("valid", cfg.held[0]), ("test", cfg.held[1])):
        asked[part] = run.make(f"{part}/asked", answers.opened, cfg.source(part), cfg.form, count, 1000, True)
        rows[part] = run.make(f"{part}/rows", answers.rows, seen[part], cfg.form, asked[part])
    teacher, student = (beginning(run, cfg, name, seen, rows["valid"]) for name in MODELS)
    taught = run.make("teacher/asked", answers.opened, cfg.source("taught"), cfg.form, cfg.taught, 0)
    made = run.make("teacher/rows", answers.rows, seen["taught"], cfg.form, taught)
    (steps, batch, rate), first = cfg.teaching, teacher[-1]
    master = run.train(tuning(cfg, "teacher/tuned", cfg.teacher, made, rows["valid"], steps, rate, batch=batch), first)
    spent = (eyes, *seen.values(), *teacher, *student, master)
    return Given(seen, master, student[-1], asked, rows, spent)


def seeing(cfg: Config) -> Stage:
    """The classifier of single cells, whose features stand for those of a CLIP."""
    (steps, batch, rate), cells = cfg.seeing, SceneCells(cfg.world)
    data, held = (Images(source=own, batch=batch, shape=cfg.eyes.shape) for own in (cells, cells.of_split("valid")))
    optimizer = adamw(rate, warmup=0.1, decay="linear")
    return Stage("eyes", cfg.eyes, classification, optimizer, data, steps, evaluate=Evaluation(held, 8))


def beginning(run: Any, cfg: Config, name: str, seen: dict[str, Any], held: Any) -> tuple[Any, Any]:
    """Stages 0 and 1 of a model: language, and what is seen in terms of it."""
    place, (count, scenes) = MODELS.index(name), cfg.texts
    net, part = (cfg.teacher, cfg.student)[place], PARTS[place]
    source = Pictures(cfg.world, scenes, seed=len(PARTS) + place)  # whose pictures are never seen
    asked = run.make(f"{name}/texts", answers.opened, source, cfg.form, count, 2000 + place)
    texts = run.make(f"{name}/text-rows", answers.language, source, cfg.form, asked)
    steps, data = cfg.language[place], data_of(texts, cfg.form, 0, cfg.batch)
    stage = Stage(f"{name}/language", net, causal_lm, recipe(cfg.language[2]), data, steps, precision=cfg.precision)
    spoken = run.train(stage)
    asked = run.make(f"{name}/captions", answers.captions, cfg.source(part), cfg.form)
    made = run.make(f"{name}/captioned", answers.rows, seen[part], cfg.form, asked)
    stage = tuning(cfg, f"{name}/alignment", net, made, held, *cfg.alignment)
    return spoken, run.train(replace(stage, trainable=parts("inject"), handover=Handover(params=into_reader)), spoken)


def tuning(
    cfg: Config, name: str, net: Transformer, made: Any, held: Any, steps: int, rate: float, seed: int = 0,
    batch: int | None = None,
) -> Stage:  # fmt: skip
    """The recipe of all stages on answers about pictures."""
    test = data_of(held, cfg.form, cfg.width, cfg.at_once)
    return Stage(
        name, cfg.reader(net), behind_pictures, recipe(rate),
        data_of(made, cfg.form, cfg.width, batch or cfg.batch, seed), steps,
        evaluate=Evaluation(test, max(1, cfg.held[0] // cfg.at_once)), precision=cfg.precision, seed=seed,
    )  # fmt: skip


def recipe(rate: float) -> Any:
    return adamw(rate, warmup=0.1, decay="linear", clip=1.0)


def searched(run: Any, cfg: Config, given: Given, label: str) -> Lowest:
    """The rate with which an arm's student is wrong on fewest validation instructions, first seed."""

    def wrong(rate: float) -> tuple[float, tuple[Any, ...]]:
        tried = Found(cfg, given, rates={label: Lowest(rate, (rate,), (0.0,), ())})
        arm = distilled(run, tried, label, cfg.seeds[0], f"rates/{rate:g}/")
        return 1 - float(np.mean(arm.results[-1].history.last("exact"))), arm.results + arm.charged[len(given.spent) :]

    return lowest(cfg.rates, wrong, beyond=2)


# --- rounds ---


def distilled(run: Any, found: Found, label: str, seed: int, prefix: str = "") -> Arm:
    """One arm with a seed: its rounds, each with new instructions and the teacher's answers, and what they cost."""
    cfg, given, way, form = found.cfg, found.given, WAYS[label], found.cfg.form
    at, count = f"{prefix}{seed}/{slug(label)}", cfg.rounds if way.rounds else 1
    peak, net, see = found.rates[RANDOM if way.rounds else ONE_SHOT], given.start, given.seen["own"]
    answer, other = (answers.reply_flops(cfg.reader(own), form, cfg.width) for own in (cfg.teacher, cfg.student))
    score = answers.score_flops(cfg.reader(cfg.teacher), form, cfg.width)
    results, asked, answered, judged = [], [], [], []
    for number in range(count):
        own = f"{at}/{number}"
        asked.append(ask(run, found, label, seed, f"{own}/asked", asked, judged))
        if not way.truth:
            how = {"flops": answer * cfg.rounds * cfg.each / count, "sampled_tokens": said_tokens}
            sizes = (given.teacher, see, asked[-1], form, cfg.at_once)
            answered.append(run.make(f"{own}/answers", answers.replies, *sizes, **how))
        made = run.make(f"{own}/rows", answers.rows, see, form, asked[-1], *answered[-1:])
        steps, order = cfg.steps * cfg.rounds // count, 10 * seed + number
        net = run.train(tuning(cfg, own, cfg.student, made, given.rows["valid"], steps, peak.best, order), net)
        results.append(net)
        if way.assessor and number + 1 < count:
            how = {"flops": (other + 2 * score) * cfg.each * len(asked), "sampled_tokens": said_tokens}
            sizes = (net, given.teacher, see, form, cfg.at_once)
            pool = [one for pair in zip(asked, answered, strict=True) for one in pair]
            judged.append(run.make(f"{own}/assessed", competing.assessed, *sizes, *pool, **how))
    if not prefix:
        sizes = (given.rows["test"], cfg.at_once)
        right = [run.make(f"{at}/{k}/right", answers.checked, one, *sizes) for k, one in enumerate(results)]
        split = Split(way.assessor or JUDGE, cfg.threshold, way.hard)
        found.pools.setdefault(label, {})[seed] = Pool(tuple(asked), tuple(judged), tuple(right), split)
    charged = {one.fingerprint: one for one in (*given.spent, *answered, *judged, *peak.spent)}  # each once
    own = {one.fingerprint for one in results}
    return Arm("", tuple(results), tuple(one for mark, one in charged.items() if mark not in own))


def ask(run: Any, found: Found, label: str, seed: int, name: str, asked: list[Any], judged: list[Any]) -> Any:
    """The instructions of a round: first at random, then as the arm has it."""
    cfg, way = found.cfg, WAYS[label]
    source, form, own = cfg.source("own"), cfg.form, seed + way.other + 1
    if not asked:
        return run.make(name, answers.opened, source, form, cfg.each if way.rounds else cfg.each * cfg.rounds, own)
    if way.like:
        model = found.pools[way.like][seed].asked[len(asked)]
        return run.make(name, competing.of_types, source, form, model, own, *asked)
    split = Split(way.assessor, cfg.threshold, way.hard) if way.assessor else None
    return run.make(name, competing.augmented, cfg.augmentor, source, form, cfg.each, own, split, *judged[-1:], *asked)


# --- measures ---


@dataclass(frozen=True)
class Found:
    """What was trained and measured, by arm and seed."""

    cfg: Config
    given: Given
    fixed: dict[str, Any] = field(default_factory=dict)  # on test instructions: of what no arm trains
    rates: dict[str, Lowest] = field(default_factory=dict)
    arms: dict[str, dict[int, Arm]] = field(default_factory=dict)
    pools: dict[str, dict[int, Pool]] = field(default_factory=dict)

    def over(self, label: str, measure: Callable[[Pool], float]) -> list[float]:
        """A measure of an arm's pools, one a seed; of what no arm trains the same for every seed."""
        if label in self.fixed:
            return [measure(Pool((), (), (self.fixed[label],)))] * len(self.cfg.seeds)
        return [measure(own) for own in self.pools[label].values()]

    def accuracy(self, label: str, type: str = "", after: int = -1) -> list[float]:
        """Right answers to test instructions in %, of all or of one type, after a round; one a seed."""
        test = self.given.asked["test"].value
        if label == COMMON:
            known = [own.asked[0].value for own in self.pools[ONE_SHOT].values()]
            return [percent(competing.guessed(own, test), test["type"], type) for own in known if own]
        return self.over(label, lambda pool: pool.accuracy(test, type, after))

    def lead(self, one: str, other: str) -> list[float]:
        """In points, seed by seed."""
        return [a - b for a, b in zip(self.accuracy(one), self.accuracy(other), strict=True)]


# --- report ---


def judged(found: Found) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring."""
    path = [mean(found.accuracy(COMD, after=number)) for number in range(found.cfg.rounds)]
    luck, known = abs(mean(found.lead(AGAIN, ONE_SHOT))), not np.isnan(path).any()
    ends = []
    for type in (own for own in TYPES if mean(found.accuracy(COMD, own)) >= 80):
        first, last = (mean(found.over(COMD, partial(Pool.hard, number=at, type=type))) for at in (0, -1))
        ends.append((type, first, last))

    def leads(statement: str, other: str, margin: str, least: float = 0.0, paper: str = "not reported") -> Claim:
        own = found.lead(COMD, other)
        told = shown(own, "+.1f")
        return claim(statement, paper=paper, measured=told and f"CoMD less {other}: {told} points", margin=margin,
                     holds=mean(own) > 0 and mean(own) >= least)  # fmt: skip

    return (
        leads("Competitive distillation beats one-shot distillation", ONE_SHOT,
              f"1.5 points or more, and more than luck ({luck:.1f}); means over seeds", max(1.5, luck),
              "ScienceQA 91.94; no comparison at equal answers was read"),
        leads("It is the assessment that helps, and not new instructions in rounds", RANDOM,
              "1.5 points or more; mean over seeds", 1.5),
        claim("Every round makes the student better", paper="four distillations", measured=" → ".join(
                  f"{own:.1f} %" for own in path) if known else None,
              margin="no fall of more than 1 point, and a rise over all; means over seeds",
              holds=bool((np.diff(path) >= -1).all()) and path[-1] > path[0]),
        leads("It matters which instructions of a type are difficult", KINDS, "above; mean over seeds"),
        leads("Easy instructions beside difficult ones are needed", HARD, "above; mean over seeds", paper="1:1 (Lion)"),
        claim("Fewer instructions of mastered types are difficult", paper="not reported",
              measured=", ".join(f"{type} {first:.1f} → {last:.1f} %" for type, first, last in ends) or None,
              margin="a smaller share of the pool at the last assessment than at the first; means over seeds",
              holds=all(last < first for _, first, last in ends)),
        leads("The student passes its teacher", TEACHER, "above; mean over seeds",
              paper="7B passes 13B on ScienceQA (abstract)"),
    )  # fmt: skip


def report(found: Found) -> Report:
    """Answers of all arms, how the rounds went, what was chosen, and the claims."""
    cfg, every = found.cfg, [*found.fixed, *found.arms, COMMON]
    assessed, in_rounds = [own for own in WAYS if WAYS[own].assessor], [own for own in WAYS if WAYS[own].rounds]

    def measured(measure: Callable[[Pool, int, str], float], row: str, column: str) -> list[float]:
        label, number = row.rsplit(", ", 1)
        return found.over(label, lambda pool: measure(pool, int(number) - 1, "" if column == "all" else column))

    def numbered(labels: list[str], count: int) -> list[str]:
        return [f"{label}, {number + 1}" for label in labels for number in range(count)]

    how: dict[str, Any] = {"scale": 1.0, "note": "In %: mean ± standard deviation over seeds."}
    return EXPERIMENT.report(
        judged(found),
        link="https://arxiv.org/abs/2311.08213",
        arms=by_seed(found.arms, ONE_SHOT),
        tables=(
            table_of_means("Right answers to test instructions", every, ("all", *TYPES),
                           lambda label, column: found.accuracy(label, "" if column == "all" else column), **how),
            table_of_means("Right answers after each round", in_rounds, [str(own + 1) for own in range(cfg.rounds)],
                           lambda label, column: found.accuracy(label, after=int(column) - 1), **how),
            table_of_means("Difficult instructions of the pool, by assessment", numbered(assessed, cfg.rounds - 1),
                           ("all", *TYPES), partial(measured, Pool.hard), **how),
            table_of_means("What is asked, by round", numbered([RANDOM, *assessed], cfg.rounds), TYPES,
                           partial(measured, Pool.share), **how),
            table_of_means("The pool at the last assessment, and new instructions", assessed, LOOP,
                           lambda label, column: found.over(label, lambda pool: pool.looped()[column]), **how),
            Table("Learning rates", ("arm", "rates", "wrong answers to validation instructions", "chosen", "at an end"),
                  tuple((label, *own.cells) for label, own in found.rates.items()),
                  note="First seed. Ground truth and one-shot again take that of one-shot, all others that of random."),
        ),
        baseline=ONE_SHOT, metric="exact", rising=True, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


NOTES = (
    "The teacher, of three layers, is trained here and stands for LLaVA-13B, the student, of two, for a Vicuna with an "
    "image encoder; a frozen ConvNet of single cells for a CLIP. The augmentor is a template engine: it reads "
    "captions, as LLaVA's does, and knows which questions have an answer, but tells none. Assessor `judge` is the "
    "teacher's likelihood, not a rating from 1 to 10; its threshold, 1 nat, was fixed beforehand.",
    "What the paper leaves open is as in Lion: all instructions so far are assessed, a round trains on its new ones "
    "alone. Each round has its own warm-up and decay, one-shot has one for the same sum of steps; random augmentation "
    "shows what rounds do. One checkpoint serves all seeds; a seed draws instructions and the order of rows.",
    "Stage 0 tells true answers about scenes in words, of the training split but of no picture that is seen: models of "
    "this size have no ability of an LLM otherwise. A scene in words may be that of a student's picture by chance. "
    "Test scenes are in none, nor are the objects' images; questions are templates, so their texts are everywhere.",
    "A near-duplicate has more than nine tenths of the words of caption and question in common. CoMD's types draws "
    "instructions afresh, which may be in the pool already.",
    "Charged to an arm: what all begin with, its stages, answers, assessments, and the rates that were tried for it or "
    "for the arm whose rate it takes; in the laptop result answers that two rates share are counted twice. At equal "
    "answers and steps CoMD costs more FLOPs than one-shot, by its assessments.",
    "Before the run, on validation instructions: with two slots a cell and captions alone in stage 0 the teacher was "
    "right on 51 %, so scenes in words come first and a cell has one slot; then it was right on 75 %, the student on "
    "63 before and 69 after one-shot, so the teacher has 500 + 300 more steps and the student 500 fewer in stage 0.",
    "pod: on the same scenes with the paper's sizes; TFDS has neither ScienceQA nor LLaVA's instructions.",
)

EXPERIMENT = Experiment(
    name="comd",
    title="CoMD: what a student answers worse than its teacher decides what is asked next",
    reference="Chen et al., 2023, arXiv 2311.08213",
    paper=20,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("comd")
