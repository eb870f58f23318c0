"""Superficial alignment, revisited: what more and more fine-tuning examples change, form or reasoning.

Paper    Raghavendra, Nath and Hendryx, Revisiting the Superficial Alignment Hypothesis, 2024, arXiv 2410.03717
         (dossier 047).
Claim    Post-training does not teach form alone. Accuracy of mathematics, multi-hop questions, code and instructions
         grows as a power of the number D of fine-tuning examples, P = a D^(1/b); form is learned from the first
         hundred, and it is mistakes of reasoning that go on to vanish. A model tuned for multi-hop reasoning makes
         better use of facts that are new to it than the base model does.
Method   A small decoder, pre-trained once: articles; portraits of the residents of a made-up town, by their relations;
         sums in words; stories with numbers; list programs, none of a test, and what their statements are called;
         things and their kinds. Nothing is asked in it, and no text has the form of an answer. Then supervised
         fine-tuning of all weights, loss on the answers alone, always from this base, one model for each task, D and
         seed: D different examples, each set within the next larger one, 3 epochs. Tasks: word problems of 1 to 4
         operations, step by step (for GSM8K); questions in two hops about residents, fact by fact (SubQA), in tests
         over facts that no example speaks of; list programs, which hidden cases judge (HumanEval+); lists under four
         constraints (IFEval). A program judges them all: an answer is right, or lacks the form of its task, or has it
         and reasons wrongly. Control: as many updates for each D, of word problems and two hops. New knowledge: 100
         facts about newcomers, taught by questions in one hop, 6 epochs, to the base, to the models of most examples of
         two hops and of word problems, and to that of 100 two hops; to the first three also with 100 old two hops
         beside, as answers in one hop do not show the form of two. Asked are these facts, and two hops over one of them
         and an old fact that no example has, in either order; also, with nothing taught, with both facts in prose in
         front of the question. Rates are chosen by the first seed: of a task by the loss on development answers with
         100 examples, for all D; of each start of new facts by right answers to them and to two hops over them and
         other old facts.
Run      stagejax run superficial_alignment                   laptop: 14 minutes on two busy cores
         stagejax run superficial_alignment --preset smoke    seconds
         stagejax plan superficial_alignment --preset pod --mesh data=8,fsdp=16
Holds if in means over three seeds, on test questions: (1) in 3 of 4 tasks accuracy never falls from one D to the next,
         and the line of log accuracy over log D, from 30 examples on, has an R² of 0.9 or more; a task does not count
         with an accuracy below 1 % there, or if with the most examples it is not 10 points above what needs no
         reasoning: the commonest answer, and the answer of the likest question; (2) with 100 examples of word problems,
         and of two hops, 5 % of the answers or fewer lack the form, while accuracy is below 60 % of what it is with the
         most examples, and this counts as in (1); (3) once new facts are taught, the model of two hops is right in two
         hops over them 10 points more often than the base, and than the model of word problems. How much of that lead
         is form, the starts with it beside tell.
Ours     nothing holds. Test questions, %, mean ± standard deviation of seeds 0, 1, 2; in brackets answers without form;
         chance: what needs no reasoning:
         D              10               30               100              300               1000              chance
         word problems  0.0 ± 0.0 (100)  0.2 ± 0.3 (100)  5.0 ± 0.6 (1.3)   9.8 ± 3.6 (0.9)  28.9 ± 4.5 (0.2)     9.4
         two hops       0.0 ± 0.0 (100)  0.0 ± 0.0 (73)   1.3 ± 0.8 (4.8)  10.7 ± 7.3 (2.8)   4.4 ± 2.8 (0.7)     2.2
         programs       0.0 ± 0.0 (100)  0.0 ± 0.0 (43)   0.2 ± 0.3 (0.0)   5.2 ± 0.8 (0.2)  55.6 ± 2.4 (0.0)    10.6
         lists          0.0 ± 0.0 (100)  0.0 ± 0.0 (85)   0.0 ± 0.0 (90)    0.6 ± 0.0 (83)   15.0 ± 1.5 (85)      0.0
         (1) does not hold: with 30 examples, 11 updates, no task has 1 % right, so no law is fitted; word problems,
         programs and lists never fall. With 150 updates for each D, one seed, 1/b is 0.22 of word problems (R² 0.78)
         and 0.65 of two hops (0.68). (2) does not hold, for two hops alone: with 100 examples form is there in both and
         accuracy is 17 % and 29 % of the last, but two hops end 2.2 points above the commonest answer. (3) does not
         hold: of two hops over new facts the model of two hops has 1.2 ± 0.6 right, the base 0.4 ± 0.3, that of word
         problems 1.0 ± 0.3; with form beside 3.7 ± 1.4, 0.0, 1.0. Of new facts alone it has 61 ± 1, the base 8 ± 1.
         Two hops and (3) are no evidence against the paper: the base recalls only 62 % and 80 % of its facts (two ways
         to begin them), and the one rate, 0.004 as 100 examples chose, wipes out those that no example speaks of. Not
         in the report, seed 0: of these the base recalls 60 % and 78 %, the model of 1000 two hops 16 % and
         18 %; tuned at 0.002 it has 38 % and 46 %, and 42 % of two hops right. Rates of new facts end at the largest
         tried for two hops; past it, on another CPU, no verdict turned. A list that repeats a thing is without form.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import BPE, TFDS, CausalText, Dataset, Mixture, Portion, Source, Stdlib, Tokenizer
from stagejax.data.knowledge.town import WAYS, Town, TownProse
from stagejax.data.language.articles import Articles
from stagejax.data.prompts.answers import Answers
from stagejax.data.prompts.enumerations import ThingProse
from stagejax.data.prompts.questions import Worked
from stagejax.data.published import C4
from stagejax.data.reasoning.first_reading import first_reading, known_words
from stagejax.data.reasoning.mistakes import HOPS, KINDS, MATH, TASKS
from stagejax.data.reasoning.prose import CodeProse
from stagejax.data.together import Together
from stagejax.data.vocabulary.common_words import CommonWords
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference.knowledge.newcomers import CHAINED, DEV, FRONT, NEW, about_newcomers
from stagejax.inference.knowledge.recalling import recalled
from stagejax.inference.prompts.quizzes import Examiner, Quiz, Task, commonest, drawn_tasks, nearest, preferred, share
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.learning_curves import LearningCurves
from stagejax.search.lowest import Lowest
from stagejax.search.peak import best_peak

BASE, EPOCHS, UPDATES = "base", "3 epochs", "equal updates"
NEAREST, COMMONEST = PLAIN = ("nearest question", "commonest answer")  # what needs no reasoning
SHARES = ("right", "formless", "wrong", "reasoning", *KINDS)  # of answers
WHEN = ("before: ", "")  # new facts are taught, and behind it
POINTS = 0.1 - 1e-9


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    town: Town
    tasks: tuple[Task, ...]
    read: tuple[tuple[Source, float], ...]  # texts of pre-training, with weights
    tokenizer: Tokenizer
    length: int = 63  # tokens in a row of pre-training
    base_steps: int = 1800
    base_batch: int = 8
    base_peak: float = 4e-3
    batch: int = 8  # of fine-tuning
    epochs: int = 3
    sizes: tuple[int, ...] = (10, 30, 100, 300, 1000)
    early: int = 100  # by which form is learned
    fitted: int = 30  # the fewest examples that a law is fitted to
    updates: int = 150  # of the control
    controlled: tuple[str, ...] = (MATH, HOPS)
    injected: int = 6  # epochs of new facts
    injected_rates: tuple[float, ...] = (1e-3, 2e-3, 4e-3)
    rates: tuple[float, ...] = (2e-3, 4e-3, 8e-3, 1.6e-2)
    at_once: int = 100  # questions that are answered together
    seeds: tuple[int, ...] = (0, 1, 2)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "pod":
        town = Town(residents=3000, newcomers=100)
        gsm8k = Worked(TFDS("gsm8k"))
        quiz = Quiz(MATH, Portion(gsm8k.of_split("test"), stop=1024), 1024, 1024, 400)
        math = Task(MATH, Portion(gsm8k, stop=7000), Portion(gsm8k, 7000, 7256), quiz)
        others = drawn_tasks(town, 7000, (64, 200), (1024,) * 4, (96,) * 4, statements=(3, 4))[1:]
        read = ((C4, 94.0), (TownProse(town, 40_000), 4.0), (CodeProse(40_000), 1.0), (ThingProse(4000), 1.0))
        net = llama(vocab=32_000, embed=4096, layers=32, heads=32, kv_heads=8, mlp=14_336, length=2048,
                    rotary_theta=5e5, scan=True, remat="full")  # fmt: skip
        return Config(net, town, (math, *others), read, LearnedFrom(BPE(32_000), C4), length=2047, base_steps=20_000,
                      base_batch=512, base_peak=3e-4, batch=128, sizes=(10, 30, 100, 300, 1000, 3000, 7000), updates=70,
                      rates=(3e-6, 1e-5, 3e-5), injected_rates=(3e-6, 1e-5, 3e-5), at_once=256, seeds=(0,))  # fmt: skip
    smoke = name == "smoke"
    town = Town(40, 8) if smoke else Town()
    text = Stdlib(limit=20_000) if smoke else Articles(Dataset("wikitext2"))
    read = first_reading(town, text, 100 if smoke else 1000)
    words = LearnedFrom(CommonWords(60 if smoke else 500, known_words(town)), text)
    llama_of = functools.partial(llama, vocab=words.vocab, length=96, tied=True)  # init_std: 0.02 at a width of 768
    if smoke:
        small = drawn_tasks(town, 80, (8, 16), (54, 32, 54, 32), (32, 18, 18, 16))
        net = llama_of(embed=32, layers=1, heads=2, mlp=64, init_std=0.098)
        return Config(net, town, small, read, words, base_steps=60, sizes=(10, 20, 40, 80), early=20, fitted=10,
                      controlled=(HOPS,), updates=12, injected=4, rates=(5e-3, 1e-2), injected_rates=(1e-2,),
                      at_once=16, seeds=(0,))  # fmt: skip
    net = llama_of(embed=64, layers=3, heads=4, mlp=192, init_std=0.069)
    tasks = drawn_tasks(town, 1000, (60, 180), (54, 32, 46, 32), (32, 18, 18, 16))
    return Config(net, town, tasks, read, words)


# --- stages ---


def pretraining(cfg: Config) -> Stage:
    """What stands for the published model: it knows words, facts, sums and programs, and no form of an answer."""
    sources, weights = zip(*cfg.read, strict=True)
    rows = functools.partial(CausalText, tokenizer=cfg.tokenizer, batch=cfg.base_batch, length=cfg.length)
    data = Mixture(parts=tuple(rows(source=source) for source in sources), weights=weights)
    return Stage(BASE, cfg.net, causal_lm, adamw(cfg.base_peak, warmup=0.05, clip=1.0), data, cfg.base_steps)


class Tuned(NamedTuple):
    """A model of the first part: which task, how many examples, in 3 epochs or in equally many updates, which seed."""

    task: str
    size: int
    protocol: str
    seed: int

    @property
    def stage(self) -> str:
        return "/".join((slug(self.protocol), slug(self.task), str(self.size), str(self.seed)))


def subset(task: Task, size: int, seed: int) -> Source:
    """The first examples in an order of the seed's own: those of a smaller size are among them."""
    return Portion(task.train, stop=size, seed=100 + seed)


def tuning(cfg: Config, own: Tuned, peak: float) -> Stage:
    """Supervised fine-tuning: models differ in their examples, and in updates as the protocol says, in nothing else."""
    task = next(task for task in cfg.tasks if task.name == own.task)
    steps = cfg.updates if own.protocol == UPDATES else max(1, round(cfg.epochs * own.size / cfg.batch))
    dev = replace(task.test, source=task.dev)
    return supervised(cfg, own.stage, subset(task, own.size, own.seed), dev, steps, peak, own.seed)


def supervised(cfg: Config, name: str, source: Source, dev: Quiz, steps: int, peak: float, seed: int) -> Stage:
    """The recipe of all stages of tuning: loss on answers, each weight, moments and schedule anew."""
    data = Answers(source=source, tokenizer=cfg.tokenizer, batch=cfg.batch, length=dev.length, seed=seed)
    held = Evaluation(replace(data, source=dev.source, seed=0), batches=8)
    how = adamw(peak, warmup=0.1, decay="linear", clip=1.0)
    return Stage(name, cfg.net, causal_lm, how, data, steps, evaluate=held, seed=seed)


def pipeline(run: Any, cfg: Config) -> Report:
    """Pre-training once; every task, size, protocol and seed; then new facts to some of these models."""
    base = run.train(pretraining(cfg))
    found = Found(cfg, base, run.make("recall", recalled, cfg.tokenizer, cfg.town, base), {}, {}, {}, {}, {})
    ask = Examiner(run, cfg.tokenizer, cfg.at_once)
    for task in cfg.tasks:
        most = subset(task, max(cfg.sizes), cfg.seeds[0])
        found.plain[task.name] = {
            BASE: ask(base, task.test),
            NEAREST: run.make(f"nearest/{slug(task.name)}", nearest, cfg.tokenizer, most, task.test),
            COMMONEST: run.make(f"commonest/{slug(task.name)}", commonest, most, task.test),
        }
        tuned(run, ask, task, found)
    for start in starts(cfg):
        taught(run, ask, start, found)
    return report(found)


def protocols(cfg: Config, task: str) -> tuple[str, ...]:
    """The control is of some tasks, and of the first seed."""
    return (EPOCHS, UPDATES) if task in cfg.controlled else (EPOCHS,)


def tuned(run: Any, ask: Examiner, task: Task, found: Found) -> None:
    """The models of a task, all at the rate that development answers choose with few examples; and what they answer."""
    cfg = found.cfg
    early = tuning(cfg, Tuned(task.name, cfg.early, EPOCHS, cfg.seeds[0]), cfg.rates[0])
    search = best_peak(run, early, cfg.rates, start=found.base)
    found.searches[task.name] = search
    for protocol, size in itertools.product(protocols(cfg, task.name), cfg.sizes):
        for seed in cfg.seeds[: 1 if protocol == UPDATES else None]:
            own = Tuned(task.name, size, protocol, seed)
            net = run.train(tuning(cfg, own, search.best), found.base)
            found.nets[own] = net
            found.said[own] = ask(net, task.test)


# --- new knowledge ---


class Start(NamedTuple):
    """What new facts are taught to, but for the seed, and whether some old two hops stand beside them."""

    name: str
    net: Tuned | None  # None: the base
    beside: bool = False


def starts(cfg: Config) -> tuple[Start, ...]:
    """The base, two hops, word problems: those of the claim; then few two hops, and the first three once more."""
    tuned = (HOPS, max(cfg.sizes)), (MATH, max(cfg.sizes)), (HOPS, cfg.early)
    alone = Start(BASE, None), *(Start(f"{size} of {task}", Tuned(task, size, EPOCHS, 0)) for task, size in tuned)
    return (*alone, *(Start(f"{own.name}, form beside", own.net, beside=True) for own in alone[:3]))


def quizzes(cfg: Config) -> dict[str, Quiz]:
    """What is asked about newcomers."""
    return about_newcomers(cfg.town, next(task.test for task in cfg.tasks if task.name == HOPS))


def teaching(cfg: Config, start: Start, seed: int, peak: float) -> Stage:
    """New facts, by questions in one hop, the same for every start; beside them, or not, a few old two hops."""
    asked = quizzes(cfg)
    source, count = asked[NEW].source, asked[NEW].questions
    if start.beside:
        hops = next(task for task in cfg.tasks if task.name == HOPS)
        source, count = Together((source, subset(hops, cfg.early, seed))), count + cfg.early
    steps = max(1, round(cfg.injected * count / cfg.batch))
    return supervised(cfg, f"new-facts/{slug(start.name)}/{seed}", source, asked[DEV], steps, peak, seed)


def taught(run: Any, ask: Examiner, start: Start, found: Found) -> None:
    """One start with every seed: asked before and behind the teaching, at the rate that other questions choose."""
    cfg, asked, paid = found.cfg, quizzes(found.cfg), []
    nets = {seed: found.nets[start.net._replace(seed=seed)] if start.net else found.base for seed in cfg.seeds}

    def score(net: Any) -> float:
        """Minus the share of right answers to new facts and to two hops over them and familiar facts."""
        paid.append(ask(net, asked[DEV], DEV))
        return -share(paid[-1].value, "right") if paid[-1].value else float("nan")

    pilot = teaching(cfg, start, cfg.seeds[0], cfg.injected_rates[0])
    search = best_peak(run, pilot, cfg.injected_rates, start=nets[cfg.seeds[0]], score=score)
    found.searches[start.name] = search._replace(spent=(*search.spent, *paid))
    for seed, before in nets.items():
        net = run.train(teaching(cfg, start, seed, search.best), before)
        made = {which: ask(net, asked[which], which) for which in (NEW, CHAINED)}
        made |= {f"before: {which}": ask(before, asked[which], which) for which in (CHAINED, FRONT)}
        found.taught[start.name, seed] = {"net": net, "start": before} | made


@dataclass(frozen=True)
class Found:
    """Everything that was trained and answered."""

    cfg: Config
    base: Any
    recall: Any  # of the facts that the base has read
    nets: dict[Tuned, Any]
    said: dict[Tuned, Any]
    searches: dict[str, Lowest]  # by task, and by what new facts are taught to
    plain: dict[str, dict[str, Any]]  # of each task, what the base says, and the nearest example
    taught: dict[tuple[str, int], dict[str, Any]]  # of each start and seed, what is said before it and behind it

    @functools.cached_property
    def curves(self) -> LearningCurves:
        """Shares of the answers of each task under each protocol."""
        shares = {
            (row_of(own.task, own.protocol), own.seed, own.size):
            {what: share(made.value, what) if made.value else float("nan") for what in SHARES}
            for own, made in self.said.items()
        }  # fmt: skip
        return LearningCurves(shares, self.cfg.sizes, self.cfg.fitted)

    def plainly(self, task: str, which: str, what: str = "right") -> list[float]:
        """The share of answers of the base, or of who reasons about nothing; none in a plan."""
        value = self.plain[task][which].value
        return [share(value, what)] if value else []

    def learned(self, task: str) -> bool:
        """Whether right answers with the most examples are 10 points above what needs no reasoning."""
        floor = max(mean(self.plainly(task, which)) for which in PLAIN)
        return self.curves.over_seeds(row_of(task), "right")[max(self.cfg.sizes)] >= floor + POINTS

    def over_new(self, start: str, which: str, what: str = "right") -> list[float]:
        """A share of a start's answers to a quiz about newcomers, one for every seed."""
        made = [self.taught[start, seed][which].value for seed in self.cfg.seeds]
        return [share(value, what) for value in made if value]


def row_of(task: str, protocol: str = EPOCHS) -> str:
    return f"{task}, {protocol}"


# --- report ---


def claims_of(found: Found) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring."""
    cfg, most, curves = found.cfg, max(found.cfg.sizes), found.curves
    laws = {own.name: curves.law(row_of(own.name), "right") for own in cfg.tasks}
    lawful = [
        task for task, law in laws.items()
        if law and law.r2 >= 0.9 - 1e-9 and curves.never_falls(row_of(task), "right") and found.learned(task)
    ]  # fmt: skip
    formless = {task: curves.over_seeds(row_of(task), "formless")[cfg.early] for task in (MATH, HOPS)}
    part = {task: curves.part(row_of(task), "right", cfg.early) for task in formless}
    names = [start.name for start in starts(cfg)]
    chained = {name: np.array(found.over_new(name, CHAINED)) for name in names}
    known, ours = bool(len(chained[BASE])), names[1]
    leads = {name: (chained[ours] - chained[name]).tolist() for name in (BASE, *names[2:4])}
    leads |= {f"base, both with {names[4].partition(', ')[2]}": (chained[names[5]] - chained[names[4]]).tolist()}

    def said(task: str) -> str:
        control = curves.law(row_of(task, UPDATES), "right") if task in cfg.controlled else None
        more = f" ({control.exponent:.2f} with equal updates)" if control else ""
        return f"{task}: {laws[task] or 'no law'}{more}"

    return (
        claim(
            "Accuracy grows as a power of the number of examples",
            paper="in mathematics, multi-hop questions, code and instructions (curves)",
            measured="; ".join(said(task) for task in laws) if known else None,
            margin=f"never falls over D, R² of 0.9 or more from {cfg.fitted} examples on, with the most 10 points "
            "above what needs no reasoning, in 3 of 4 tasks",
            holds=len(lawful) >= 3,
        ),
        claim(
            "Form is learned from the first hundred examples, reasoning is not",
            paper="form and style saturate by about 100 examples (a note)",
            measured="; ".join(f"{task}: {formless[task]:.1%} without form, {part[task]:.0%} of the last accuracy"
                               for task in part) if known else None,
            margin=f"with {cfg.early} examples 5 % or less without form, accuracy below 60 % of that with {most}, "
            "which is 10 points above what needs no reasoning, in both",
            holds=all(formless[task] <= 0.05 + 1e-9 and part[task] < 0.6 and found.learned(task) for task in part),
        ),
        claim(
            "A model tuned for two hops puts new facts to better use",
            paper="65 % / 37 % direct / multi-hop of the base, 81 % / 55 % of the tuned model (a note)",
            measured="; ".join(f"{shown([100 * x for x in lead], '+.1f')} points to {name}"
                               for name, lead in leads.items()) if known else None,
            margin=f"10 points or more in two hops over new facts, to {BASE} and to {names[2]}",
            holds=known and all(mean(leads[name]) >= POINTS for name in (BASE, names[2])),
        ),
    )  # fmt: skip


def tables_of(found: Found) -> tuple[Table, ...]:
    """Right answers, form and mistakes over D; laws; what form alone would say; new facts; rates."""
    cfg, most, first, curves = found.cfg, max(found.cfg.sizes), found.cfg.seeds[0], found.curves
    rows = tuple(row_of(own.name, how) for own in cfg.tasks for how in protocols(cfg, own.name))
    over = {"Right answers": "right", "Answers without the form of their task": "formless"}
    over |= {f"Answers in form with another {kind}": kind for kind in KINDS[1:]}
    texts = {(own.task, own.size): made.value for own, made in found.said.items()
             if (own.protocol, own.seed) == (EPOCHS, first) and made.value}  # fmt: skip
    style = tuple((task, size, preferred(own, texts[task, most]), curves.part(row_of(task), "right", size))
                  for (task, size), own in texts.items() if size < most)  # fmt: skip
    before, names = ["before: " + which for which in (CHAINED, FRONT)], [start.name for start in starts(cfg)]
    return (
        *(curves.by_setting(title, rows, what, str, note="Of all answers, in %; one seed of the control.")
          for title, what in over.items()),
        table_of_means(
            "Without fine-tuning, and without reasoning", list(TASKS), [BASE, *PLAIN], found.plainly,
            note="Right answers in %: of the base model; of the example with the likest question; of the commonest "
            "answer of all examples.",
        ),
        curves.laws(
            "Laws of right answers", rows, "right",
            {f"r² with {half}": ("wrong", half) for half in ("reasoning", "form")},
            f"Of means over seeds from {cfg.fitted} examples on. AIC more: the saturating law's, over the power's. "
            "r²: of all wrong answers with each half of them, over all sizes.",
        ),
        Table(
            "What a judge of form alone would say", ("task", "examples", "win rate", "accuracy"), style,
            ("", "", ".1%", ".1%"), f"Against the model of {most}, first seed: a tie is half a win. Accuracy: a share "
            "of that model's, means.",
        ),
        table_of_means(
            "What the base remembers", ["facts about residents"], list(WAYS),
            lambda row, way: [float(np.mean(found.recall.value[way]))] if found.recall.value else [],
            note="In %, of all facts that it has read: the sentence is begun, and it names the last person.",
        ),
        table_of_means(
            "New facts", names, [*before, NEW, CHAINED], found.over_new, note="Right answers in %: mean ± standard "
            "deviation over seeds. In front: both facts in prose before the question, nothing taught. Form beside: "
            "some old two hops are taught together with the new facts.",
        ),
        table_of_means(
            "Two hops over new facts: what is wrong", names, [f"{when}{kind}" for when in WHEN for kind in KINDS],
            lambda name, what: found.over_new(name, what.replace(what.split()[-1], CHAINED), what.split()[-1]),
            note="In % of all answers, as above.",
        ),
        Table(
            "Rates", ("task, or start of new facts", "tried", "losses", "rate", "at an end"),
            tuple((name, *search.cells) for name, search in found.searches.items()),
            note=f"By the loss on development answers with {cfg.early} examples, first seed; of new facts by minus the "
            "share of right answers to them and to two hops over others.",
        ),
        Table("Answers", ("task", "examples", "question", "answer"),
              tuple((*key, *own["texts"][0]) for key, own in texts.items())),
    )  # fmt: skip


def arms_of(found: Found) -> tuple[Arm, ...]:
    """Each task with each number of examples, and each start behind new facts; the base and searches are charged."""
    cfg, arms = found.cfg, {}
    for own, net in found.nets.items():
        if own.protocol == EPOCHS:
            arm = Arm("", (net,), charged=(found.base, *found.searches[own.task].spent))
            arms.setdefault(f"{own.task}, {own.size}", {})[own.seed] = arm
    for start in starts(cfg):
        before = (found.base, *found.searches[start.net.task].spent) if start.net else ()  # what it was tuned by
        for seed in cfg.seeds:
            own = found.taught[start.name, seed]
            arm = Arm("", (own["start"], own["net"]), charged=(*before, *found.searches[start.name].spent))
            arms.setdefault(f"new facts to {start.name}", {})[seed] = arm
    return by_seed(arms, f"new facts to {BASE}")


def report(found: Found) -> Report:
    """Everything that was measured, and the claims."""
    cfg, named = found.cfg, {own.name: row_of(own.name) for own in found.cfg.tasks}
    drawn = {"Right answers": "right", "No form": "form"}
    figures = [found.curves.figure(title, named, what, "share of answers") for title, what in drawn.items()]
    return EXPERIMENT.report(
        claims_of(found), link="https://arxiv.org/abs/2410.03717", arms=arms_of(found), tables=tables_of(found),
        figures=tuple(itertools.chain(*figures)), baseline=f"new facts to {BASE}", seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


NOTES = (
    "One pre-trained base, one town and one test for all seeds: a seed draws other examples in another order. "
    "With the most of two hops nearly half are the same for two seeds. Spreads over seeds do not hold that of the "
    "test questions.",
    "Accuracy must be above what needs no reasoning to count in (1) and (2): a law can be fitted to models that "
    "have learned to say the commonest number.",
    "A task has one rate, chosen with a hundred examples; another may be better for ten of them, or for a "
    "thousand. The control tells how much of an exponent is the number of updates.",
    "Of word problems right is the last number, as in GSM8K: also where the form is missing. Its judge at the "
    "pod's scale does not tell mistakes of reasoning apart.",
    "GSM8K has a generated counterpart on a laptop; SubQA, HumanEval+ and IFEval have one in all presets, and the "
    "100 new facts are generated as well. The pod's base is pre-trained, not Llama's.",
    "Residents, portraits, batch and rate of pre-training were chosen so that the base recalls what it has read: "
    "of facts one by one in 1000 steps of 16 rows it had learned next to nothing, from portraits all in 900 steps "
    "of 8.",
)

EXPERIMENT = Experiment(
    name="superficial_alignment",
    title="Superficial alignment revisited: what more fine-tuning examples teach",
    reference="Raghavendra, Nath and Hendryx, 2024, arXiv 2410.03717",
    paper=47,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("superficial_alignment")
