"""DMT: specialised abilities are tuned first, general ones then with a few of the specialised examples again.

Paper    Dong et al., How Abilities in Large Language Models are Affected by Supervised Fine-tuning Data Composition,
         ACL 2024, arXiv 2310.05492 (dossier 033).
Claim    Tuned in sequence, a model forgets mathematics and code once it is tuned to general instructions. A replay of
         1/256 of their examples in that last stage (DMT) keeps most of both, and costs no general ability. Abilities
         grow with their own data in different ways: mathematics and code go on, general ability soon saturates. What
         matters in a mixture is how much there is of each, not the ratio.
Method   A small decoder, pre-trained once for all arms on articles, program text, equations and the questions of
         training, without answers. Then supervised fine-tuning of all weights, loss on the answer alone, 3 epochs a
         stage, moments and schedule anew in each. Mathematics: generated word problems of two and three operations,
         right if the number is. Code: programs over lists and words asked for in words, right if three hidden cases
         pass. General: topic, kind of question, sentiment and paraphrase as instructions, right if the answer's
         words are. Arms: multi-task, one stage of all; sequential, code, then mathematics, then general; mixed
         sequential, code with mathematics, then general; DMT(k), the same with round(k n) examples of either in the
         last stage, drawn once without replacement. Also each ability alone and all in a mixture, at 1, 1/4 and 1/16 of
         the examples; and with all of the general ones few of the others, and the reverse. Every model answers the
         tests of all three abilities, greedily, after every stage; one of a few examples of one ability alone, those
         of that one. The orders see as many examples in as many steps, but for rounding; DMT k more in its last stage.
Run      stagejax run dmt_sft_composition                   laptop: 26 minutes on two busy cores
         stagejax run dmt_sft_composition --preset smoke    seconds
         stagejax plan dmt_sft_composition --preset pod --mesh data=16,fsdp=16
Holds if in means over three seeds, on test questions: (a) the mean of mathematics and code falls by 20 % or more of
         its value before the general stage, both with sequential (each ability as it was behind its own stage) and
         with mixed sequential; (b) with a k of 1/256, 1/64 and 1/16 that development questions choose (the most of
         that loss recovered among those whose general accuracy is not more than 2 points below mixed sequential's),
         half of mixed sequential's loss or more is recovered and general is not more than 2 points below it; (c) the
         slope of accuracy over the logarithm of the examples, at 1/16, 1/4 and 1 of them alone, is smaller for
         general than for mathematics and for code. What the ratio changes is reported.
Ours     test questions, %, mean ± standard deviation of seeds 0, 1, 2:
                                            code          math          general
         multi-task                         28.6 ± 4.2    18.9 ± 1.3    47.5 ± 1.1
         sequential                          0.0 ± 0.0     0.0 ± 0.0    46.9 ± 1.3
         mixed sequential, before general   25.3 ± 1.7    13.3 ± 2.5     0.0 ± 0.0
         mixed sequential                    0.0 ± 0.0     0.0 ± 0.0    48.8 ± 2.5
         DMT, k = 1/256                      0.0 ± 0.0     6.7 ± 1.4    48.1 ± 3.0
         DMT, k = 1/64                       4.4 ± 1.0     9.2 ± 0.8    50.6 ± 1.5
         DMT, k = 1/16                      11.9 ± 1.3    10.6 ± 5.4    49.2 ± 1.1
         (a) holds: both lose all of it, far more than the paper's third: mixed sequential answers the questions of
         code and mathematics that the report shows with names of classes, and replay first of all brings the form of
         answers back. (b) holds, with k = 1/16, the largest of the grid: 58 % recovered, general 0.4 points above;
         1/256, four examples of each, recovers 17 %, and multi-task stays better than any DMT at both. (c) does not
         hold: points an e-fold are 5.1 ± 0.5 of code, 4.0 ± 1.1 of math, 15.5 ± 3.8 of general, which goes from 7.4 ±
         8.5 with 1/16 to 43.9 ± 2.4 with 1/4 and 50.4 ± 2.1 with all: what it jumps with lies in the range here. One
         seed: 1/16 of both beside all general gives 2.5 and 5.0, 1/16 of all 0.0 and 3.3; 1/16 of general beside all
         of both 17.9, beside 1/16 of them 6.7.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import BPE, TFDS, CausalText, Dataset, Mixture, Portion, Source, Stdlib, Tokenizer
from stagejax.data.language.articles import Articles
from stagejax.data.language.field_text import FieldText
from stagejax.data.prompts.answers import Answers
from stagejax.data.prompts.questions import Equations, Marked, Worked
from stagejax.data.tasks.abilities import ABILITIES, CODE, GENERAL, MATH, Ability, general, generated, judged
from stagejax.data.tasks.text_tasks import TextTask, synonym_tasks
from stagejax.data.together import Together
from stagejax.data.tokenizers import codec
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference import Frozen
from stagejax.inference.continuing import GREEDY, continued, continuing_flops
from stagejax.inference.knowledge.grouped import grouped_states
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.figures import Figure
from stagejax.report.groups import draw_groups

BASE, MULTI, SEQUENTIAL, MIXED = "pre-trained", "multi-task", "sequential", "mixed sequential"
#: What a stage is tuned on: abilities, and of each one of how many of its examples. A course is stages in order.
Phase = tuple[tuple[str, int], ...]
Course = tuple[Phase, ...]


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    abilities: tuple[Ability, ...]  # code, mathematics, general
    read: tuple[tuple[Source, int], ...]  # texts of pre-training, with weights
    tokenizer: Tokenizer
    length: int = 71  # tokens in a row
    limit: int = 28  # tokens of an answer
    base_steps: int = 700
    batch: int = 32
    epochs: int = 3  # of a stage
    base_peak: float = 3e-3
    peak: float = 2e-3  # learning rate of every stage of tuning
    ks: tuple[int, ...] = (256, 64, 16)  # 1 / k of DMT
    shares: tuple[int, ...] = (16, 4, 1)  # one of so many examples
    at_once: int = 120  # questions that are answered together
    drawn: int = 60  # questions of each ability whose hidden states are looked at
    seeds: tuple[int, ...] = (0, 1, 2)  # the first alone for arms with unequal shares, of which no claim speaks


def decoder(vocab: int, embed: int, **fields: Any) -> Transformer:
    """Llama with one table for inputs and outputs, whose initial values grow as its width shrinks: 0.02 at 768."""
    own = {"vocab": vocab, "tied": True, "init_std": round(0.02 * (768 / embed) ** 0.5, 3)}
    return llama(embed=embed, **{**own, **fields})


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    largest = 20
    if name == "smoke":
        two = generated(32, 8, 8, largest=9)
        text = Together((*(FieldText(own.train, "question") for own in two), Stdlib(limit=20_000)))
        words = LearnedFrom(BPE(384), text)
        tasks = {"trec": synonym_tasks()[0], "msrp": synonym_tasks()[2]}
        abilities = (*two, general(tasks, 60, (16, 4, 4)))
        net = decoder(384, 32, layers=1, heads=2, mlp=64, length=128)
        return Config(net, abilities, ((text, 1), (Equations(9), 1)), words, length=127, base_steps=30, batch=8,
                      epochs=2, base_peak=1e-2, peak=5e-3, ks=(8,), shares=(8, 1), at_once=8, drawn=8,
                      seeds=(0,))  # fmt: skip
    if name == "pod":
        tasks = {
            "agnews": TextTask("agnews", TFDS("ag_news_subset"), 4, "description"),
            "trec, TFDS": TextTask("trec", TFDS("trec"), 6, label="label-coarse"),
            "sst2": TextTask("sst2", TFDS("glue/sst2", test="validation"), 2, "sentence"),
            "msrp": TextTask("msrp", TFDS("glue/mrpc", test="validation"), 2, "sentence1", "sentence2"),
        }
        read = TFDS("c4/en", test="validation")
        words = LearnedFrom(BPE(32_000), read)
        gsm8k = Marked(Worked(TFDS("gsm8k")))
        parts = Portion(gsm8k, stop=7000), Portion(gsm8k, 7000, 7256), Portion(gsm8k.of_split("test"), stop=1024)
        math = Ability(MATH, *parts, size=7000, tests=(256, 1024))
        abilities = (generated(7000, 200, 400)[0], math, general(tasks, 1000, (360, 20, 30)))
        net = decoder(32_000, 4096, layers=32, heads=32, mlp=11_008, length=2048, tied=False, scan=True, remat="full")
        return Config(net, abilities, ((read, 1),), words, length=2047, limit=400, base_steps=1, batch=256,
                      base_peak=2e-5, peak=2e-5, at_once=256, seeds=(0,))  # fmt: skip
    names = {"agnews": 4, "trec": 6, "sst2": 2}
    tasks = {own: TextTask(own, Dataset(own), classes) for own, classes in names.items()}
    tasks["msrp"] = TextTask("msrp", Dataset("msrp"), 2, "s1", "s2")
    two = generated(1000, 60, 120, largest)
    read = Together((Articles(Dataset("wikitext2")), Stdlib(limit=600_000)))
    questions = Together(tuple(FieldText(own.train, "question") for own in two))
    words = LearnedFrom(BPE(1024, train_bytes=3_000_000), Together((questions, read)))
    three = general(tasks, 70, (250, 20, 60))
    known = ((read, 2), (Together((questions, FieldText(three.train, "question"))), 1), (Equations(largest), 1))
    return Config(decoder(1024, 64, layers=2, heads=4, mlp=176, length=72), (*two, three), known, words)


# --- arms ---


def dmt(n: int) -> str:
    return f"DMT, k = 1/{n}"


def alone(ability: str, n: int) -> str:
    return ability if n == 1 else f"1/{n} of {ability}"


def courses(cfg: Config) -> dict[str, Course]:
    """What every arm is tuned on, stage by stage; and each ability alone, with fewer and fewer examples."""
    both, last = ((CODE, 1), (MATH, 1)), ((GENERAL, 1),)
    found: dict[str, Course] = {
        MULTI: ((*both, *last),),
        SEQUENTIAL: (((CODE, 1),), ((MATH, 1),), last),
        MIXED: (both, last),
    }
    found |= {dmt(n): (both, (*last, (CODE, n), (MATH, n))) for n in cfg.ks}
    for n in cfg.shares:
        found |= {alone(own, n): (((own, n),),) for own in ABILITIES}
    return found


def mixtures(cfg: Config) -> dict[str, Course]:
    """Fewer examples of all abilities, and few of one side beside all of the other: of these no claim speaks."""
    least = max(cfg.shares)
    return {alone("all", n): (tuple((own, n) for own in ABILITIES),) for n in cfg.shares if n > 1} | {
        f"general, 1/{least} of both": (((GENERAL, 1), (CODE, least), (MATH, least)),),
        f"both, 1/{least} of general": (((CODE, 1), (MATH, 1), (GENERAL, least)),),
    }


def asked_of(course: Course) -> tuple[str, ...]:
    """The abilities that a model is asked for: all, or the one of which it saw a few examples and nothing else."""
    few = len(course) == 1 and len(course[0]) == 1 and course[0][0][1] > 1
    return (course[0][0][0],) if few else ABILITIES


def name_of(course: Course) -> str:
    """A stage's name: what it and those before it are tuned on."""
    return "-then-".join("-".join(slug(alone(*part)) for part in phase) for phase in course)


# --- stages ---


def pretraining(cfg: Config) -> Stage:
    """What stands for the published model: it knows words, sums of numbers and how questions are put."""
    parts = tuple(
        CausalText(source=source, tokenizer=cfg.tokenizer, batch=cfg.batch, length=cfg.length) for source, _ in cfg.read
    )
    data = Mixture(parts=parts, weights=tuple(weight for _, weight in cfg.read))
    return Stage("base", cfg.net, causal_lm, adamw(cfg.base_peak, warmup=0.05, clip=1.0), data, cfg.base_steps)


def examples(cfg: Config, phase: Phase, seed: int) -> Source:
    of = {own.name: own for own in cfg.abilities}
    return Together(tuple(of[name].part(n, seed) for name, n in phase))


def count(cfg: Config, phase: Phase) -> int:
    """Examples of a stage, each once."""
    of = {own.name: own.size for own in cfg.abilities}
    return sum(round(of[name] / n) for name, n in phase)


def tuning(cfg: Config, name: str, phase: Phase, seed: int) -> Stage:
    """Supervised fine-tuning: stages differ in their examples alone, and in steps as they have more or less of them.

    Watched: the loss on development answers of all three abilities.
    """
    data = Answers(
        source=examples(cfg, phase, seed), tokenizer=cfg.tokenizer, batch=cfg.batch, length=cfg.length, seed=seed
    )
    new = replace(data, source=Together(tuple(own.dev for own in cfg.abilities)), seed=0)
    return Stage(
        name=name,
        model=cfg.net,
        objective=causal_lm,
        optimizer=adamw(cfg.peak, warmup=0.03, decay="cosine", clip=1.0),
        data=data,
        steps=max(1, round(cfg.epochs * count(cfg, phase) / cfg.batch)),
        evaluate=Evaluation(new, sum(own.tests[0] for own in cfg.abilities) // cfg.batch),
        seed=seed,
    )


def pipeline(run: Any, cfg: Config) -> Report:
    """Pre-training once, every course for every seed, and what each model answers behind every stage."""
    base = run.train(pretraining(cfg))
    nets: dict[Key, Any] = {((), cfg.seeds[0]): base}
    for seed in cfg.seeds:
        for course in (courses(cfg) | (mixtures(cfg) if seed == cfg.seeds[0] else {})).values():
            start = base
            for n in range(1, len(course) + 1):
                key = course[:n], seed
                if key not in nets:
                    nets[key] = run.train(tuning(cfg, f"{seed}/{name_of(course[:n])}", course[n - 1], seed), start)
                start = nets[key]
    found = Found(
        cfg, nets, {key: examined(run, cfg, net, "test", asked_of(key[0])) for key, net in nets.items()}, {}, {}
    )
    for label, course in courses(cfg).items():
        for seed in cfg.seeds if label in (MIXED, *map(dmt, cfg.ks)) else ():
            for own in (course[:1], course):
                found.dev[own, seed] = found.dev.get((own, seed)) or examined(run, cfg, nets[own, seed], "dev")
    for label in (BASE, MULTI, MIXED, dmt(cfg.ks[0])):
        net = nets[courses(cfg).get(label, ()), cfg.seeds[0]]
        found.hidden[label] = run.make(f"hidden/{slug(label)}", hidden, cfg, net)
    return report(found)


# --- answers ---

Key = tuple[Course, int]  # all stages up to some model, and the seed


@functools.cache
def answer_flops(cfg: Config) -> float:
    """FLOPs of one answer, as if it had all tokens that it may have."""
    return continuing_flops(cfg.net, cfg.length, cfg.limit)


def examined(run: Any, cfg: Config, net: Any, split: str, asked: tuple[str, ...] = ABILITIES) -> Any:
    """Answers of a model to all questions of a split on some abilities, and whether they are right."""
    questions = sum(own.tests[split == "test"] for own in cfg.abilities if own.name in asked)
    return run.make(f"{split}/{net.name}", answered, cfg, net, split, asked, flops=questions * answer_flops(cfg))


def answered(cfg: Config, net: Any, split: str, abilities: tuple[str, ...]) -> dict[str, dict[str, list[Any]]]:
    """{ability: {"right": 0 or 1 for every question, "texts": the first questions and answers}}, greedily."""
    frozen, found = Frozen.of(net), {}
    for own in (ability for ability in cfg.abilities if ability.name in abilities):
        source = own.dev if split == "dev" else own.test
        asked = [source[i] for i in range(len(source))]
        code = codec(cfg.tokenizer, source, "question")
        said = continued(
            frozen, code, [record["question"] for record in asked], GREEDY, length=cfg.length, limit=cfg.limit,
            batch=cfg.at_once, seed=0,
        )  # fmt: skip
        right = [int(judged(own.name, record, text)) for record, text in zip(asked, said, strict=True)]
        texts = [[record["question"], text] for record, text in zip(asked[:3], said, strict=False)]
        found[own.name] = {"right": right, "texts": texts}
    return found


def hidden(cfg: Config, net: Any) -> dict[str, np.ndarray]:
    """Where a model has the test questions of each ability: see `grouped_states`."""
    asked = {own.name: [own.test[i * own.tests[1] // cfg.drawn]["question"] for i in range(cfg.drawn)]
             for own in cfg.abilities}  # fmt: skip
    return grouped_states(net, codec(cfg.tokenizer, cfg.abilities[0].train, "question"), asked, length=cfg.length)


@dataclass(frozen=True)
class Found:
    """What was trained, answered and looked at, by course and seed."""

    cfg: Config
    nets: dict[Key, Any]
    test: dict[Key, Any]
    dev: dict[Key, Any]
    hidden: dict[str, Any]

    def right(self, course: Course, ability: str, split: str = "test") -> list[float]:
        """The share of right answers of an ability: one for every seed; none in planning."""
        made = [self.__dict__[split].get((course, seed)) for seed in self.cfg.seeds]
        known = [own.value[ability]["right"] for own in made if own is not None and ability in (own.value or ())]
        return [float(np.mean(right)) for right in known]

    def special(self, course: Course, split: str = "test") -> float:
        """Mean accuracy of mathematics and code, over seeds."""
        return mean([mean(self.right(course, own, split)) for own in (CODE, MATH)])

    def kept(self, n: int, split: str) -> tuple[float, float]:
        """Which share of mixed sequential's loss DMT recovers, and its general accuracy less mixed sequential's."""
        every = courses(self.cfg)
        ours, mixed = every[dmt(n)], every[MIXED]
        lost = self.special(mixed[:1], split) - self.special(mixed, split)
        gain = self.special(ours, split) - self.special(mixed, split)
        general = mean(self.right(ours, GENERAL, split)) - mean(self.right(mixed, GENERAL, split))
        return (gain / lost if lost > 0 else float("nan")), general

    def chosen(self) -> int:
        """1 / k by development questions; where general suffers with all, that with which it does least."""
        said = {n: self.kept(n, "dev") for n in self.cfg.ks}
        fine = [n for n, (_, general) in said.items() if general >= -POINTS]
        return max(fine, key=lambda n: said[n][0]) if fine else max(said, key=lambda n: said[n][1])

    def slope(self, ability: str) -> list[float]:
        """Accuracy an e-fold of the examples of an ability alone: least squares over the shares, for every seed."""
        every = courses(self.cfg)
        values = [self.right(every[alone(ability, n)], ability) for n in self.cfg.shares]
        x = -np.log(self.cfg.shares)
        return [float(np.polyfit(x, own, 1)[0]) for own in zip(*values, strict=True)]


# --- report ---

POINTS = 0.02 + 1e-9


def fallen(before: float, after: float) -> float:
    """Which share of an accuracy is lost; not a number where there was none."""
    return 1 - after / before if before else float("nan")


def claims_of(found: Found) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring."""
    every = courses(found.cfg)
    sequential, mixed = every[SEQUENTIAL], every[MIXED]
    before = mean([mean(found.right(sequential[:1], CODE)), mean(found.right(sequential[:2], MATH))])
    lost = [fallen(before, found.special(sequential)), fallen(found.special(mixed[:1]), found.special(mixed))]
    n = found.chosen()
    share, general = found.kept(n, "test")
    slopes = {own: found.slope(own) for own in ABILITIES}
    steep = {own: mean(values) for own, values in slopes.items()}
    known = bool(slopes[GENERAL])
    return (
        claim(
            "Tuned to general instructions last, a model forgets mathematics and code",
            paper="GSM8K, 7B: 47.53 multi-task, 31.39 sequential, 32.60 mixed sequential",
            measured=f"sequential loses {lost[0]:.1%}, mixed sequential {lost[1]:.1%}" if known else None,
            margin="the mean of both falls by 20 % or more of what it was before the general stage, with both",
            holds=all(share >= 0.2 for share in lost),
        ),
        claim(
            "A few specialised examples in the general stage keep them",
            paper="GSM8K 32.60 -> 41.92, HumanEval 15.24 -> 17.68, MT-Bench 6.02 -> 6.08 (7B, k = 1/256)",
            measured=f"k = 1/{n}: {share:.0%} of the loss recovered, general {100 * general:+.1f} points"
            if known else None,
            margin="half of mixed sequential's loss or more, general not more than 2 points below it; k by development "
            "questions",
            holds=share >= 0.5 and general >= -POINTS,
        ),
        claim(
            "General ability saturates where mathematics and code go on",
            paper="general jumps with about a thousand examples and then creeps",
            measured=", ".join(f"{own} {shown(100 * np.array(slopes[own]), '+.1f')}" for own in ABILITIES)
            if known else None,
            unit="points an e-fold",
            margin="slope of accuracy over log examples, 1/16 to 1, smaller for general than for either",
            holds=steep[GENERAL] < min(steep[CODE], steep[MATH]),
        ),
    )  # fmt: skip


def matrix(found: Found) -> dict[str, Course]:
    """Rows of the forgetting matrix: every arm behind every stage."""
    rows: dict[str, Course] = {BASE: ()}
    for label, course in courses(found.cfg).items():
        for n in range(1, len(course)):
            rows.setdefault(f"{label}, after {', '.join(name for name, _ in course[n - 1])}", course[:n])
        rows[label] = course
    return rows


def report(found: Found) -> Report:
    """Everything that was measured, and the claims."""
    cfg, every = found.cfg, courses(found.cfg)
    rows = matrix(found) | mixtures(cfg)
    base = found.nets[(), cfg.seeds[0]]
    arms = {
        label: {seed: Arm(label, tuple(found.nets[course[:n], seed] for n in range(1, len(course) + 1)), (base,))
                for seed in cfg.seeds if (course, seed) in found.nets}
        for label, course in (every | mixtures(cfg)).items()
    }  # fmt: skip

    def read(label: str) -> tuple[int, int, int]:
        phases = (every | mixtures(cfg))[label]
        steps = sum(tuning(cfg, "any", phase, 0).steps for phase in phases)
        return sum(count(cfg, phase) for phase in phases), cfg.epochs * sum(count(cfg, p) for p in phases), steps

    known = {label: own.value for label, own in found.hidden.items() if own.value}
    apart = tuple((label, *map(float, own["silhouette"])) for label, own in known.items())
    drawings = tuple(
        Figure(f"Hidden states of questions, {label}", draw_groups(dict(zip(ABILITIES, own["points"], strict=True))),
               "Means over tokens, in two dimensions by t-SNE.") for label, own in known.items()
    )  # fmt: skip
    first = found.test[every[MIXED], cfg.seeds[0]]
    texts = tuple(
        (label, own, question, said)
        for label in (MULTI, MIXED, dmt(cfg.ks[0])) for own in ABILITIES if first.value
        for question, said in found.test[every[label], cfg.seeds[0]].value[own]["texts"][:2]
    )  # fmt: skip
    return EXPERIMENT.report(
        claims_of(found),
        link="https://arxiv.org/abs/2310.05492",
        arms=by_seed(arms, MIXED),
        tables=(
            table_of_means(
                "Right answers after every stage", list(rows), list(ABILITIES),
                lambda label, own: found.right(rows[label], own),
                note="Test questions, in %: mean ± standard deviation over seeds. Shares: alone, of all three, or "
                "with one side whole (one seed).",
            ),
            table_of_means(
                "Right answers, development", [MIXED, *map(dmt, cfg.ks)], list(ABILITIES),
                lambda label, own: found.right(every[label], own, "dev"), note="In %; they choose k.",
            ),
            Table("Examples", ("arm", "different ones", "seen", "steps"),
                  tuple((label, *read(label)) for label in arms), note="Over all stages of tuning."),
            Table("How far apart abilities are", ("model", *ABILITIES), apart, ("", ".2f", ".2f", ".2f"),
                  "Mean silhouette of the hidden states of an ability's questions; 1: far from those of others."),
            Table("Answers", ("model", "ability", "question", "answer"), texts),
        ),
        figures=drawings,
        baseline=MIXED,
        seeds=cfg.seeds,
        notes=NOTES,
    )  # fmt: skip


NOTES = (
    "In place of a published model a small one, pre-trained once for all arms and seeds, on equations too; a seed has "
    "its own order of examples, its own replay and its own small shares.",
    "General ability is the accuracy over four text tasks asked for in one form; the paper's is MT-Bench, judged by a "
    "model. Code is a small language of lists and words; programs and problems of tests are in no example.",
    "No general question is about code or mathematics, so the paper's ablation without such queries has no place.",
    "The rate of tuning, 2e-3, is the first that was tried, the same for all arms and stages; there was no grid. "
    "Looked at before: the answers of multi-task to development questions after training on 2000 examples of each "
    "ability (code 72 %, mathematics 39 %, general 51 %); then examples became 1000 and tests fewer, for the time that "
    "a run takes, so that 1/256 is 4 of each. No other arm had answered, and no test question had been asked; of test "
    "examples the number of tokens was known, as rows hold the longest.",
    "The grid of k ends at 1/16. Stages of general ability alone leave nothing of the others, of which the form of "
    "answers is a part: what is recovered is that as well.",
    "Mixtures and ratios, of which no claim speaks, have one seed, and so have the hidden states: t-SNE is drawn once.",
    "The order of the sequential arm is that of a note on the paper: code, mathematics, general.",
    "pod: GSM8K, as many generated programs and 360 examples of each of the four text tasks; the paper's code and chat "
    "sets are not among the datasets here. Its first stage, of one step, stands for published weights.",
)

EXPERIMENT = Experiment(
    name="dmt_sft_composition",
    title="DMT: composition and order of fine-tuning data",
    reference="Dong et al., ACL 2024, arXiv 2310.05492",
    paper=33,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("dmt_sft_composition")
