"""JiuZhang: solved problems in continued pre-training, four ways to write more of them, and the same ones in SFT.

Paper    Chen et al., Advancing Math Reasoning in Language Models: The Impact of Problem-Solving Data, Data Synthesis
         Methods, and Training Stages, ICLR 2025, arXiv 2501.14002 (dossier 039).
Claim    Problems with solutions in continued pre-training (CPT) teach more than mathematical text at equal tokens; of
         four operators that write more of them, tutorship amplification is best; the same problems teach more in CPT
         than in supervised fine-tuning (SFT), most where a problem has many steps.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import CLS, SEP, Dataset, Mixture, Source, Stdlib, Tokenizer
from stagejax.data.answers import Answers, token_rows
from stagejax.data.articles import Articles
from stagejax.data.common_words import CommonWords
from stagejax.data.expository import WORDS, Expository
from stagejax.data.learned import LearnedFrom
from stagejax.data.packed_answers import PackedAnswers
from stagejax.data.packing import Packed, documents
from stagejax.data.pipeline import Data
from stagejax.data.portion import Portion
from stagejax.data.problems import ITEMS, NAMES, Problems, Wording, answer_of
from stagejax.data.questions import Marked
from stagejax.data.synthesis import (
    MARKS,
    Solved,
    Written,
    diversified,
    expanded,
    retrospective,
    solved,
    spoiled,
    tutored,
)
from stagejax.data.together import Together
from stagejax.data.text import PackedText
from stagejax.data.tokenizers import codec
from stagejax.decode import Prompts, completions, sample
from stagejax.inference import Frozen
from stagejax.inference.answering import ask
from stagejax.inference.frozen import flops_of_one
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means

MONEY = Wording(
    "{name} has {n} .",
    (("+", "earns {n} ."), ("+", "gets {n} ."), ("-", "pays {n} ."), ("-", "loses {n} .")),
    (),
    "how much ?",
)
RATES = Wording(
    "{name} makes {n} .",
    (("*", "times {n} ."), ("*", "fold {n} ."), ("/", "parts {n} ."), ("/", "over {n} ."), ("+", "plus {n} .")),
    (),
    "how many ?",
)
KINDS = {"money": MONEY, "rates": RATES}
DIVERSE, EXPANDED, RETRO, TUTOR = "diversification", "expansion", "retrospection", "tutorship"
OPERATORS = (DIVERSE, EXPANDED, RETRO, TUTOR)
AGAIN, SPOILED = "seed problems again", "tutorship, errors of no student"
SFT, UNMASKED = "text, SFT", "text, SFT on prompts too"


def with_problems(share: float) -> str:
    return f"{share:.0%} problems" if share else "text"


@dataclass(frozen=True)
class Lot:
    """Which problems are trained on: all, those of one kind, or those of some numbers of steps."""

    name: str = "all"
    kinds: tuple[str, ...] = tuple(KINDS)
    steps: tuple[int, ...] = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    text: Source  # general text
    words: Tokenizer
    largest: int = 9  # of all numbers
    size: int = 4000  # problems of a lot
    length: int = 96  # tokens of a row of pre-training
    row: int = 58  # of a row of fine-tuning: the longest problem with its solution
    batch: tuple[int, int] = (8, 16)  # rows of a step of pre-training and of fine-tuning
    base: int = 300  # steps on general text
    steps: int = 600  # of continued pre-training
    general: float = 0.2  # share of general text in it; the rest is mathematics
    shares: tuple[float, ...] = (0.0, 0.5, 0.3, 0.7)  # of problems in the mathematics; first two with all seeds
    added: int = 150  # steps with an operator's texts
    seeded: int = 2000  # seed problems of the operators: the first ones
    format: tuple[int, int] = (80, 30)  # problems of the small fine-tuning, and its steps
    rates: tuple[float, float, float] = (3e-3, 3e-3, 1e-3)  # of pre-training, fine-tuning, the small fine-tuning
    controls: tuple[str, ...] = (AGAIN, SPOILED)
    lots: tuple[Lot, ...] = ()  # beside all: each in CPT and in SFT, with the first seed
    asked: tuple[int, int] = (16, 40)  # questions of each kind and number of steps, for development and tests
    at_once: int = 200  # questions that are answered together
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def main(self) -> float:
        """The share of problems that operators and fine-tuning are compared at."""
        return self.shares[1]

    @property
    def limit(self) -> int:
        """Tokens of an answer: the longest solution and its end."""
        return 6 * max(Lot().steps) + 3


def vocabulary(largest: int, common: int) -> CommonWords:
    """One token for every word of problems, solutions and prose, for every number, and for common words of text."""
    told = [s for own in KINDS.values() for s in (own.start, *(s for _, s in own.clauses), own.question)]
    words = {word for s in told for word in s.split() if not word.startswith("{")}
    words |= {*NAMES, *ITEMS, *MARKS, *WORDS, "ans", *";=+-*/"}
    return CommonWords(common, (*sorted(words), *map(str, range(largest + 1))))


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    text: Source = Stdlib(limit=60_000) if name == "smoke" else Articles(Dataset("wikitext2"))
    words = LearnedFrom(vocabulary(9, 100 if name == "smoke" else 250), text)
    net = llama(vocab=words.vocab, embed=64, layers=2, heads=4, mlp=176, length=96, tied=True)
    return Config(net, text, words)


# --- data ---


def problems(cfg: Config, lot: Lot, seed: int) -> Source:
    """The problems of a lot; each seed has its own. No program of a test is among them."""
    size = cfg.size // len(lot.kinds)
    how = {"size": size, "steps": lot.steps, "largest": cfg.largest, "seed": 11 + seed}
    return Together(tuple(Problems(wording=KINDS[kind], **how) for kind in lot.kinds))


def questions(cfg: Config, split: str) -> Source:
    """As many of each kind and number of steps, of programs that are in no training set."""
    size, seed = cfg.asked[split == "test"], {"dev": 901, "test": 902}[split]
    how = {"split": "test", "size": size, "largest": cfg.largest, "seed": seed}
    return Together(tuple(Problems(wording=own, steps=(n,), **how) for own in KINDS.values() for n in Lot().steps))


def rows(cfg: Config, source: Source, seed: int) -> Data:
    """Documents packed into rows, every token learned: what pre-training reads."""
    how = {"batch": cfg.batch[0], "length": cfg.length, "fields": ("text",)}
    return PackedAnswers(source=source, tokenizer=cfg.words, seed=seed, **how)


def general(cfg: Config, seed: int = 0) -> Data:
    return PackedText(source=cfg.text, tokenizer=cfg.words, batch=cfg.batch[0], length=cfg.length, seed=seed)


def mixture(cfg: Config, lot: Lot, share: float, seed: int, more: Data | None = None) -> Mixture:
    """General text, prose and problems, the last two as 1 - share to share; half of all is `more`, where it is given."""
    prose = Expository(cfg.largest, size=cfg.size, seed=seed)
    math, rest = 1 - cfg.general, 0.0 if more is None else 1.0
    parts = (
        (general(cfg, seed), cfg.general),
        (rows(cfg, prose, seed), round(math * (1 - share), 6)),
        (rows(cfg, Solved(problems(cfg, lot, seed)), seed), round(math * share, 6)),
        (more, rest),
    )
    return Mixture(parts=tuple(p for p, w in parts if w), weights=tuple(w for _, w in parts if w))  # type: ignore[misc]


def answers(cfg: Config, source: Source, seed: int, prompts: bool = False) -> Answers:
    """One problem a row, of which the solution is learned: what fine-tuning reads."""
    how = {"batch": cfg.batch[1], "length": cfg.row, "prompts": prompts}
    return Answers(source=Marked(source), tokenizer=cfg.words, seed=seed, **how)


# --- stages ---


def stage(cfg: Config, name: str, data: Data, steps: int, peak: float, seed: int = 0) -> Stage:
    """What all stages share: AdamW, warm-up, a cosine to a tenth; watched is the loss on answers for development."""
    dev = replace(answers(cfg, questions(cfg, "dev"), 0), batch=cfg.batch[1])
    size = 2 * len(Lot().steps) * cfg.asked[0] // cfg.batch[1]
    optimizer = adamw(peak, warmup=0.05, end=peak / 10, clip=1.0)
    return Stage(name, cfg.net, causal_lm, optimizer, data, steps, evaluate=Evaluation(dev, size), seed=seed)


def tuning(cfg: Config, name: str, lot: Lot, seed: int, prompts: bool = False) -> Stage:
    """SFT on a lot, in as many turns of every problem as CPT with the main share of problems has."""
    read = rows(cfg, Solved(problems(cfg, lot, seed)), seed)
    turns = cfg.steps * cfg.batch[0] * (1 - cfg.general) * cfg.main / read.size()
    data = answers(cfg, problems(cfg, lot, seed), seed, prompts)
    return stage(cfg, name, data, round(turns * data.size() / cfg.batch[1]), cfg.rates[1], seed)


def formatting(cfg: Config, name: str, seed: int) -> Stage:
    """The small SFT behind every CPT, on the first problems of all: it brings the form of questions and answers."""
    few, steps = cfg.format
    data = answers(cfg, Portion(problems(cfg, Lot(), seed), stop=few, seed=5), seed)
    return stage(cfg, name, data, steps, cfg.rates[2], seed)


def pipeline(run: Any, cfg: Config) -> Report:
    """The base; CPT with each share, a small SFT or all of it; CPT that goes on with each operator's texts; lots."""
    base = run.train(stage(cfg, "base", general(cfg), cfg.base, cfg.rates[0]))
    found = Found(cfg, base, {}, {}, {}, {}, {})
    for seed in cfg.seeds:
        first = seed == cfg.seeds[0]
        for share in cfg.shares if first else cfg.shares[:2]:
            read = run.train(reading(cfg, Lot(), share, seed), base)
            found.add(run, seed, with_problems(share), read, run.train(formatting(cfg, f"{read.name}/format", seed), read))
            if not share:
                for label in (SFT, UNMASKED):
                    own = tuning(cfg, f"{seed}/{slug(label)}", Lot(), seed, label == UNMASKED)
                    found.add(run, seed, label, read, run.train(own, read))
        synthesis(run, cfg, found, seed)
    for lot in cfg.lots:
        seed = cfg.seeds[0]
        read = run.train(reading(cfg, lot, cfg.main, seed), base)
        found.add(run, seed, f"{lot.name}, CPT", read, run.train(formatting(cfg, f"{read.name}/format", seed), read))
        text = found.nets[with_problems(0.0), seed][0]
        own = run.train(tuning(cfg, f"{seed}/{slug(lot.name)}/sft", lot, seed), text)
        found.add(run, seed, f"{lot.name}, SFT", text, own)
    return report(found)


def reading(cfg: Config, lot: Lot, share: float, seed: int) -> Stage:
    """CPT with a share of problems."""
    name = f"{seed}/{slug(lot.name)}/cpt-{round(100 * share)}"
    return stage(cfg, name, mixture(cfg, lot, share, seed), cfg.steps, cfg.rates[0], seed)


def synthesis(run: Any, cfg: Config, found: Found, seed: int) -> None:
    """The student's attempts, every operator's texts, and CPT that goes on with them."""
    read, student = found.nets[with_problems(cfg.main), seed][:2]
    price = {"flops": cfg.seeded * answer_flops(cfg), "sampled_tokens": said_tokens}
    tried = run.make(f"{seed}/attempts", attempted, cfg, student, seed, **price)
    found.attempts[seed] = tried
    for label in (*OPERATORS, *cfg.controls):
        made = run.make(f"{seed}/{slug(label)}/texts", written, cfg, label, tried, seed)
        found.texts[label, seed] = made
        own = Packed(of=made.fingerprint, arrays=made.value, batch=cfg.batch[0], length=cfg.length, seed=seed)
        data = mixture(cfg, Lot(), cfg.main, seed + 50, own)
        more = run.train(stage(cfg, f"{seed}/{slug(label)}/cpt", data, cfg.added, cfg.rates[0], seed), read)
        after = run.train(formatting(cfg, f"{seed}/{slug(label)}/format", seed), more)
        found.add(run, seed, label, read, more, after, charged=(tried,) if label in (TUTOR, SPOILED) else ())


# --- operators ---


def attempted(cfg: Config, student: Any, seed: int) -> list[str]:
    """The student's attempts at the seed problems, drawn at temperature 1."""
    return said(cfg, student, seeds(cfg, seed), 1.0, seed)


def said_tokens(attempts: list[str]) -> int:
    return sum(len(text.split()) + 1 for text in attempts)


def seeds(cfg: Config, seed: int) -> Source:
    return Portion(problems(cfg, Lot(), seed), stop=cfg.seeded, seed=6)


def written(cfg: Config, label: str, tried: Any, seed: int) -> dict[str, np.ndarray]:
    """An operator's texts as documents, and how many problems, texts and refused drafts there were."""
    source, rng = seeds(cfg, seed), np.random.default_rng(1000 + seed)
    records = [source[i] for i in range(len(source))]
    made = [by(cfg, label, *pair, rng) for pair in zip(records, tried.value, strict=True)]
    texts = [text for own in made for text in own.texts]
    ids = codec(cfg.words, source, "question").encode(texts)
    ones = [np.concatenate([np.int32([CLS]), own, np.int32([SEP])]) for own in ids]
    arrays = documents([(own, np.ones(len(own) - 1, np.float32)) for own in ones if len(own) <= cfg.length + 1])
    return arrays | {"counts": np.array([len(records), len(texts), sum(own.refused for own in made)])}


def by(cfg: Config, label: str, record: Any, attempt: str, rng: np.random.Generator) -> Written:
    """What an operator, or a control, makes of a problem."""
    if label == DIVERSE:
        return diversified(record, cfg.largest, rng)
    if label == EXPANDED:
        (kind,) = (own for own in KINDS.values() if record["question"].endswith(own.question))
        return expanded(record, kind, max(Lot().steps), cfg.largest, rng)
    if label == RETRO:
        return retrospective(record, rng)
    if label == AGAIN:
        return Written((solved(record["question"], record["solution"]),))
    if label == SPOILED and answer_of(attempt) != record["answer"]:
        attempt = spoiled(record, cfg.largest, rng)
    return tutored(record, attempt)


# --- answers ---


@functools.cache
def answer_flops(cfg: Config) -> float:
    """FLOPs of one answer, as if it had all tokens that it may have."""
    like, prompt = jax.ShapeDtypeStruct, cfg.row - cfg.limit
    batch = {"tokens": like((1, prompt), "int32"), "lengths": like((1,), "int32"), "temperature": like((), "float32")}
    batch["key"] = jax.eval_shape(lambda: jax.random.key(0))
    return float(flops_of_one(draw, cfg.net, batch, cfg.row, cfg.limit, while_trips=cfg.limit))


def said(cfg: Config, net: Any, source: Source, temperature: float, seed: int = 0) -> list[str]:
    """What a model says to questions."""
    asked = token_rows(Marked(source), cfg.words, "question", cfg.row - cfg.limit, ())
    code, frozen, texts, size = codec(cfg.words, source, "question"), Frozen.of(net), [], len(source)
    for at in range(0, size, cfg.at_once):
        places = np.arange(at, at + cfg.at_once) % size  # batches of one size
        batch = {name: column[places] for name, column in asked.items()}
        batch |= {"temperature": np.float32(temperature), "key": jax.random.fold_in(jax.random.key(seed), at)}
        drawn = completions(ask(draw, frozen, batch, cfg.row, cfg.limit))
        texts += [code.decode(own.tokens) for (own,) in drawn]
    return texts[:size]


def draw(model: Any, batch: Any, length: int, limit: int) -> Any:
    """One answer to each prompt of a batch."""
    prompts, how = Prompts(batch["tokens"], batch["lengths"]), {"length": length, "limit": limit, "stops": ((SEP,),)}
    return sample(model, prompts, batch["key"], temperature=batch["temperature"], **how)


def answered(cfg: Config, net: Any, split: str) -> dict[str, list[Any]]:
    """Of every question whether it is answered right, greedily; and the first answers."""
    source = questions(cfg, split)
    found = said(cfg, net, source, 0.0)
    return {"right": [int(answer_of(text) == source[i]["answer"]) for i, text in enumerate(found)], "texts": found[::97]}


@functools.cache
def asked(cfg: Config) -> dict[str, np.ndarray]:
    """Of the test questions: kind, steps, and whether their program is no development question's."""
    known = {record["program"] for record in (questions(cfg, "dev")[i] for i in range(len(questions(cfg, "dev"))))}
    test = [questions(cfg, "test")[i] for i in range(len(questions(cfg, "test")))]
    kinds = [next(k for k, own in KINDS.items() if record["question"].endswith(own.question)) for record in test]
    fresh = [record["program"] not in known for record in test]
    return {"kind": np.array(kinds), "steps": np.array([r["steps"] for r in test]), "fresh": np.array(fresh)}


# --- report ---

COLUMNS = ("all", "1-2 steps", "1-3 steps", "4-5 steps", "6 steps", "4-6 steps", *KINDS)


@dataclass(frozen=True)
class Found:
    """What was trained, written and answered, by label and seed."""

    cfg: Config
    base: Any
    nets: dict[tuple[str, int], tuple[Any, ...]]
    charged: dict[tuple[str, int], tuple[Any, ...]]
    scores: dict[tuple[str, int], Any]
    texts: dict[tuple[str, int], Any]
    attempts: dict[int, Any]

    def add(self, run: Any, seed: int, label: str, *results: Any, charged: tuple[Any, ...] = ()) -> None:
        """An arm: its stages behind the base, of which the last one's result answers the test."""
        self.nets[label, seed], self.charged[label, seed] = results, charged
        flops = len(questions(self.cfg, "test")) * answer_flops(self.cfg)
        made = run.make(f"{results[-1].name}/answers", answered, self.cfg, results[-1], "test", flops=flops)
        self.scores[label, seed] = made

    def right(self, label: str, column: str = "all") -> list[float]:
        """The share of right answers to the questions of a column: one for every seed; none in planning."""
        about = asked(self.cfg)
        mine = about["fresh"].copy()
        if column in KINDS:
            mine &= about["kind"] == column
        elif column != "all":
            low, *high = map(int, column.removesuffix(" steps").split("-"))
            mine &= (about["steps"] >= low) & (about["steps"] <= (*high, low)[0])
        own = (made.value for (arm, _), made in self.scores.items() if arm == label)
        return [float(np.array(value["right"])[mine].mean()) for value in own if value]

    def apart(self, more: str, less: str, column: str = "all") -> list[float]:
        """Differences of two arms, paired by seed."""
        return [a - b for a, b in zip(self.right(more, column), self.right(less, column), strict=True)]
