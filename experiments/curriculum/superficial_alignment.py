"""Superficial alignment, revisited: what more and more fine-tuning examples change, form or reasoning.

Paper    Raghavendra, Nath and Hendryx, Revisiting the Superficial Alignment Hypothesis, 2024, arXiv 2410.03717
         (dossier 047).
Claim    Post-training does not teach form alone. Accuracy of mathematics, multi-hop questions, code and instructions
         grows as a power of the number D of fine-tuning examples, P = a D^(1/b); form is learned from the first
         hundred, and it is mistakes of reasoning that go on to vanish. A model tuned for multi-hop reasoning makes
         better use of facts that are new to it than the base model does.
Method   A small decoder, pre-trained once: articles; portraits of the residents of a made-up town, one sentence for
         each of their relations to others; sums in words; stories with numbers, of which nothing is asked; list
         programs as they stand, none of a test, and what their statements are called; things and their kinds. No
         question is answered in it, and no text has the form of an answer. Then supervised fine-tuning of all weights,
         loss on the answers alone, always from this base, one model for each task, D and seed: D different examples,
         each set within the next larger one, 3 epochs. Tasks: word problems of 1 to 4 operations, step by step (for
         GSM8K); questions in two hops about residents, fact by fact (SubQA), in tests over facts that no example speaks
         of; list programs, which hidden cases judge (HumanEval+); lists under four constraints (IFEval). A program
         judges them all: an answer is right, or lacks the form of its task, or has it and reasons wrongly. Control: as
         many updates for each D, of word problems and two hops. New knowledge: 100 facts about newcomers, taught by
         questions in one hop, 6 epochs, to the base, to the models of most examples of two hops and of word problems,
         and to that of 100 two hops. Asked are these facts, and two hops over one of them and an old fact that no
         example has, in either order; also, with nothing taught, with both facts in prose in front of the question.
         One-hop answers do not show the base the form of two hops; so the first three are also taught with 100 old two
         hops beside the new facts. Rates are chosen by the first seed: of a task by the loss on development answers
         with 100 examples, for all D; of each start of new facts by right answers to them and to two hops over them and
         other old facts.
Run      stagejax run superficial_alignment                   laptop
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
Ours     Nothing holds. With 10, 30, 100, 300 and 1000 examples 0.0, 0.2, 5.0, 9.8 and 28.9 % of word problems are right
         (what needs no reasoning: 9.4), 0, 0, 1.3, 10.7 and 4.4 % of two hops (2.2), 0, 0, 0.2, 5.2 and 55.6 % of
         programs (10.6), 0, 0, 0, 0.6 and 15.0 % of lists (0): up to 100 examples no model is above what needs no
         reasoning, so (1) has no line to fit, and lists keep lacking their form. (2) Form is there with 100 examples
         (1.3 % of word problems and 4.8 % of two hops lack it) while accuracy is at 17 and 29 % of the last one, as the
         claim has it; but two hops never get 10 points above what needs no reasoning. (3) The model of two hops says
         61.0 % of the new facts it was taught, the base 7.7, but only 1.2 and 0.4 % of two hops over them. The base
         remembers 62 to 80 % of what it read, and hardly puts two facts together: at this size (3) is not tested.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import TFDS, CausalText, Dataset, Mixture, Portion, Source, Stdlib, Tokenizer, enumerations, prose
from stagejax.data.answers import Answers
from stagejax.data.articles import Articles
from stagejax.data.common_words import CommonWords
from stagejax.data.enumerations import ThingProse
from stagejax.data.learned import LearnedFrom
from stagejax.data.list_programs import ListPrograms
from stagejax.data.mistakes import HOPS, KINDS, MATH, TASKS
from stagejax.data.problems import Problems
from stagejax.data.prose import CodeProse, StoryProse, SumProse
from stagejax.data.published import C4
from stagejax.data.questions import Worked
from stagejax.data.together import Together
from stagejax.data.tokenizers import BPE
from stagejax.data.town import WAYS, Town, TownProse, TownQuestions
from stagejax.data.written import BRIEF, words_of
from stagejax.inference.continuing import continuing_flops
from stagejax.inference.quizzes import Quiz, Task, answered, commonest, drawn_tasks, nearest, preferred, share
from stagejax.inference.recalling import recalled
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Figure, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.paired import lines
from stagejax.report.rising import Rising, fit_rising
from stagejax.search.peak import Peak, best_peak

BASE, EPOCHS, UPDATES = "base", "3 epochs", "equal updates"
NEAREST, COMMONEST = PLAIN = ("nearest question", "commonest answer")  # what needs no reasoning
WHEN = ("before: ", "")  # new facts are taught, and behind it
NEW, CHAINED, FRONT, DEV = "new fact", "two hops over it", "in front", "dev"  # what is asked about newcomers


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
    smoke, largest = name == "smoke", 20
    town = Town(40, 8) if smoke else Town()
    text = Stdlib(limit=20_000) if smoke else Articles(Dataset("wikitext2"))
    n = 100 if smoke else 1000  # documents
    told = replace(Problems(steps=(1, 2, 3, 4), largest=largest, wording=BRIEF), seed=5)
    read = ((text, 1.0), (TownProse(town, 2 * n), 8.0), (SumProse(4 * n, largest=largest), 2.0),
            (StoryProse(n, problems=told), 1.0), (CodeProse(n, programs=ListPrograms(seed=5)), 1.5),
            (ThingProse(n), 0.5))  # fmt: skip
    known = (*town.words(), *words_of((BRIEF,), largest).words, *prose.words(largest), *enumerations.words())
    words = LearnedFrom(CommonWords(60 if smoke else 500, tuple(dict.fromkeys(known))), text)
    if smoke:
        small = drawn_tasks(town, 80, (8, 16), (54,) * 4, (32,) * 4)
        net = decoder(words.vocab, embed=32, layers=1, heads=2, mlp=64, length=96)
        return Config(net, town, small, read, words, base_steps=60, sizes=(10, 20, 40, 80), early=20, fitted=10,
                      controlled=(HOPS,), updates=12, injected=4, rates=(5e-3, 1e-2), injected_rates=(5e-3, 1e-2),
                      at_once=16,
                      seeds=(0,))  # fmt: skip
    net = decoder(words.vocab, embed=64, layers=3, heads=4, mlp=192, length=96)
    tasks = drawn_tasks(town, 1000, (60, 180), (54, 32, 46, 32), (32, 18, 18, 16))
    return Config(net, town, tasks, read, words)


def decoder(vocab: int, embed: int, **fields: Any) -> Transformer:
    """Llama with one table for inputs and outputs, whose initial values grow as its width shrinks: 0.02 at 768."""
    return llama(vocab=vocab, embed=embed, tied=True, init_std=round(0.02 * (768 / embed) ** 0.5, 3), **fields)


# --- stages ---


def pretraining(cfg: Config) -> Stage:
    """What stands for the published model: it knows words, facts, sums and programs, and no form of an answer."""
    parts = tuple(
        CausalText(source=source, tokenizer=cfg.tokenizer, batch=cfg.base_batch, length=cfg.length)
        for source, _ in cfg.read
    )
    data = Mixture(parts=parts, weights=tuple(weight for _, weight in cfg.read))
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
    return supervised(
        cfg, own.stage, subset(task, own.size, own.seed), task.dev, task.test.length, steps, peak, own.seed
    )


def supervised(
    cfg: Config, name: str, source: Source, dev: Source, length: int, steps: int, peak: float, seed: int
) -> Stage:
    """The recipe of all stages of tuning: loss on answers, each weight, moments and schedule anew."""
    data = Answers(source=source, tokenizer=cfg.tokenizer, batch=cfg.batch, length=length, seed=seed)
    held = replace(data, source=dev, seed=0)
    return Stage(
        name=name,
        model=cfg.net,
        objective=causal_lm,
        optimizer=adamw(peak, warmup=0.1, decay="linear", clip=1.0),
        data=data,
        steps=steps,
        evaluate=Evaluation(held, batches=8),
        seed=seed,
    )


def pipeline(run: Any, cfg: Config) -> Report:
    """Pre-training once; every task, size, protocol and seed; then new facts to some of these models."""
    base = run.train(pretraining(cfg))
    found = Found(cfg, base, run.make("recall", recalled, cfg.tokenizer, cfg.town, base), {}, {}, {}, {}, {}, {})
    for task in cfg.tasks:
        most = subset(task, max(cfg.sizes), cfg.seeds[0])
        found.plain[task.name] = {
            BASE: examined(run, cfg, task.test, base, "test"),
            NEAREST: run.make(f"nearest/{slug(task.name)}", nearest, cfg.tokenizer, most, task.test),
            COMMONEST: run.make(f"commonest/{slug(task.name)}", commonest, most, task.test),
        }
        tuned(run, cfg, task, found)
    for start in starts(cfg):
        taught(run, cfg, start, found)
    return report(found)


def protocols(cfg: Config, task: str) -> tuple[str, ...]:
    """The control is of some tasks, and of the first seed."""
    return (EPOCHS, UPDATES) if task in cfg.controlled else (EPOCHS,)


def tuned(run: Any, cfg: Config, task: Task, found: Found) -> None:
    """The models of a task, all at the rate that development answers choose with few examples; and what they answer."""
    early = tuning(cfg, Tuned(task.name, cfg.early, EPOCHS, cfg.seeds[0]), cfg.rates[0])
    search = best_peak(run, early, cfg.rates, start=found.base)
    found.searches[task.name] = search
    for protocol, size in itertools.product(protocols(cfg, task.name), cfg.sizes):
        for seed in cfg.seeds[: 1 if protocol == UPDATES else None]:
            own = Tuned(task.name, size, protocol, seed)
            net = run.train(tuning(cfg, own, search.peak), found.base)
            found.nets[own] = net
            found.said[own] = examined(run, cfg, task.test, net, "test")


# --- new knowledge ---


class Start(NamedTuple):
    """What new facts are taught to, but for the seed, and whether some old two hops stand beside them."""

    net: Tuned | None = None  # None: the base
    beside: bool = False

    @property
    def name(self) -> str:
        own = f"{self.net.size} of {self.net.task}" if self.net else BASE
        return own + (", form beside" if self.beside else "")


def starts(cfg: Config) -> tuple[Start, ...]:
    """The base, two hops, word problems: those of the claim; then few two hops, and the first three once more."""
    most = max(cfg.sizes)
    nets = (None, Tuned(HOPS, most, EPOCHS, 0), Tuned(MATH, most, EPOCHS, 0))
    few = Start(Tuned(HOPS, cfg.early, EPOCHS, 0))
    return (*map(Start, nets), few, *(Start(net, beside=True) for net in nets))


def quizzes(cfg: Config) -> dict[str, Quiz]:
    """What is asked about newcomers: new facts, two hops over them; these with both facts in front; to choose by."""
    own = next(task.test for task in cfg.tasks if task.name == HOPS)

    def quiz(source: Source, more: int = 0) -> Quiz:
        return replace(own, source=source, questions=len(source), length=own.length + more)

    kinds = ("new",), ("new-old", "old-new"), ("familiar new-old", "familiar old-new")
    new, chained, familiar = (TownQuestions(cfg.town, own) for own in kinds)
    half = min(60, len(new), len(familiar))
    return {
        NEW: quiz(new),
        CHAINED: quiz(chained),
        FRONT: quiz(replace(chained, context=True), more=22),
        DEV: quiz(Together((Portion(new, stop=half), Portion(familiar, stop=half)))),
    }


def teaching(cfg: Config, start: Start, seed: int, peak: float) -> Stage:
    """New facts, by questions in one hop: the same for every start; beside them, or not, as many old two hops as have
    shown a model their form."""
    asked = quizzes(cfg)
    source, count = asked[NEW].source, asked[NEW].questions
    if start.beside:
        hops = next(task for task in cfg.tasks if task.name == HOPS)
        source, count = Together((source, subset(hops, cfg.early, seed))), count + cfg.early
    steps = max(1, round(cfg.injected * count / cfg.batch))
    name = f"new-facts/{slug(start.name)}/{seed}"
    return supervised(cfg, name, source, asked[DEV].source, asked[NEW].length, steps, peak, seed)


def taught(run: Any, cfg: Config, start: Start, found: Found) -> None:
    """One start with every seed: asked before and behind the teaching, at the rate that other questions choose."""
    asked, first, paid = quizzes(cfg), cfg.seeds[0], []
    nets = {seed: found.nets[start.net._replace(seed=seed)] if start.net else found.base for seed in cfg.seeds}

    def score(net: Any) -> float:
        """Minus the share of right answers to new facts and to two hops over them and familiar facts."""
        paid.append(examined(run, cfg, asked[DEV], net, DEV))
        return -share(paid[-1].value, "right") if paid[-1].value else float("nan")

    search = best_peak(
        run, teaching(cfg, start, first, cfg.injected_rates[0]), cfg.injected_rates, start=nets[first], score=score
    )
    found.searches[start.name] = search._replace(spent=(*search.spent, *paid))
    for seed, before in nets.items():
        net = run.train(teaching(cfg, start, seed, search.peak), before)
        made = {which: examined(run, cfg, asked[which], net, which) for which in (NEW, CHAINED)}
        for which in (CHAINED, FRONT):
            if (which, before.name) not in found.before:  # several starts begin at one model
                found.before[which, before.name] = examined(run, cfg, asked[which], before, which)
            made[f"before: {which}"] = found.before[which, before.name]
        found.taught[start.name, seed] = {"net": net, "start": before} | made


# --- answers ---


@functools.cache
def answer_flops(net: Transformer, length: int, limit: int) -> float:
    """FLOPs of one answer, as if it had all tokens that it may have."""
    return continuing_flops(net, length, limit)


def examined(run: Any, cfg: Config, quiz: Quiz, net: Any, label: str) -> Any:
    """A model's answers, judged; durable, and paid for."""
    flops = quiz.questions * answer_flops(cfg.net, quiz.length, quiz.limit)
    name = f"{slug(label)}/{slug(quiz.task)}/{net.name}"
    return run.make(name, answered, cfg.tokenizer, cfg.at_once, quiz, net, flops=flops)


# --- what was found ---


@dataclass(frozen=True)
class Found:
    """Everything that was trained and answered."""

    cfg: Config
    base: Any
    recall: Any  # of the facts that the base has read
    nets: dict[Tuned, Any]
    said: dict[Tuned, Any]
    searches: dict[str, Peak]  # by task, and by what new facts are taught to
    plain: dict[str, dict[str, Any]]  # of each task, what the base says, and the nearest example
    before: dict[tuple[str, str], Any]  # what is said about newcomers before they are taught, by quiz and model
    taught: dict[tuple[str, int], dict[str, Any]]  # of each start and seed

    def each(self, task: str, size: int, what: str, protocol: str = EPOCHS) -> list[float]:
        """A share of the answers to a task's questions, one for every seed; none in a plan."""
        made = [self.said.get(Tuned(task, size, protocol, seed)) for seed in self.cfg.seeds]
        return [share(own.value, what) for own in made if own and own.value]

    def means(self, task: str, what: str, protocol: str = EPOCHS) -> list[float]:
        """Over seeds, for every size."""
        return [mean(self.each(task, size, what, protocol)) for size in self.cfg.sizes]

    def plainly(self, task: str, which: str, what: str = "right") -> list[float]:
        """The share of answers of the base, or of who reasons about nothing; none in a plan."""
        value = self.plain[task][which].value
        return [share(value, what)] if value else []

    def learned(self, task: str) -> bool:
        """Whether right answers with the most examples are 10 points above what needs no reasoning."""
        floor = max(mean(self.plainly(task, which)) for which in PLAIN)
        return mean(self.each(task, max(self.cfg.sizes), "right")) >= floor + POINTS

    def law(self, task: str, protocol: str = EPOCHS) -> Rising | None:
        """The laws of the mean accuracy, from the fewest fitted examples on; none if one of them is below 1 %."""
        sizes = [size for size in self.cfg.sizes if size >= self.cfg.fitted]
        values = [mean(self.each(task, size, "right", protocol)) for size in sizes]
        return fit_rising(sizes, values) if all(value >= 0.01 - 1e-9 for value in values) else None

    def ratio(self, task: str, size: int) -> float:
        """Accuracy as a share of that with the most examples; not a number where that is nothing."""
        last = mean(self.each(task, max(self.cfg.sizes), "right"))
        return mean(self.each(task, size, "right")) / last if last else float("nan")

    def over_new(self, start: str, which: str, what: str = "right") -> list[float]:
        """A share of a start's answers to a quiz about newcomers, one for every seed."""
        made = [self.taught[start, seed][which].value for seed in self.cfg.seeds]
        return [share(value, what) for value in made if value]


def explained(a: Sequence[float], b: Sequence[float]) -> float:
    """r² of two series; NaN of constant ones."""
    return float(np.corrcoef(a, b)[0, 1] ** 2) if np.std(a) and np.std(b) else float("nan")


# --- report ---


POINTS = 0.1 - 1e-9


def claims_of(found: Found) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring."""
    cfg, most = found.cfg, max(found.cfg.sizes)
    laws = {own.name: found.law(own.name) for own in cfg.tasks}
    rising = {task: bool(np.all(np.diff(found.means(task, "right")) >= -1e-9)) for task in laws}
    lawful = [
        task for task, law in laws.items() if law and rising[task] and law.r2 >= 0.9 - 1e-9 and found.learned(task)
    ]
    formless = {task: mean(found.each(task, cfg.early, "formless")) for task in (MATH, HOPS)}
    part = {task: found.ratio(task, cfg.early) for task in formless}
    names = [start.name for start in starts(cfg)]
    chained = {name: np.array(found.over_new(name, CHAINED)) for name in names}
    known, ours = bool(len(chained[BASE])), names[1]
    leads = {name: chained[ours] - chained[name] for name in (BASE, *names[2:4])}
    leads |= {f"base, both with {names[4].partition(', ')[2]}": chained[names[5]] - chained[names[4]]}

    def said(task: str) -> str:
        law, control = laws[task], found.law(task, UPDATES) if task in cfg.controlled else None
        fit = f"1/b {law.exponent:.2f}, R² {law.r2:.2f}" if law else "no law"
        return f"{task}: {fit}" + (f" ({control.exponent:.2f} with equal updates)" if control else "")

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
            measured="; ".join(f"{shown(100 * lead, '+.1f')} points to {name}" for name, lead in leads.items())
            if known else None,
            margin=f"10 points or more in two hops over new facts, to {BASE} and to {names[2]}",
            holds=known and all(mean(leads[name]) >= POINTS for name in (BASE, names[2])),
        ),
    )  # fmt: skip


def tables_of(found: Found) -> tuple[Table, ...]:
    """Right answers, form and mistakes over D; laws; what form alone would say; new facts; rates."""
    cfg, most, first = found.cfg, max(found.cfg.sizes), found.cfg.seeds[0]
    columns = [str(size) for size in cfg.sizes]
    rows = {
        f"{own.name}, {protocol}": (own.name, protocol) for own in cfg.tasks for protocol in protocols(cfg, own.name)
    }

    def over_sizes(title: str, what: str) -> Table:
        def measure(row: str, size: str) -> list[float]:
            return found.each(rows[row][0], int(size), what, rows[row][1])

        return table_of_means(
            title, list(rows), columns, measure, note="Of all answers, in %; one seed of the control."
        )

    def gone(task: str, protocol: str) -> tuple[float, ...]:
        """r² of wrong answers with each half of them."""
        wrong = found.means(task, "wrong", protocol)
        return tuple(explained(wrong, found.means(task, half, protocol)) for half in ("reasoning", "form"))

    laws = tuple(
        (row, law.scale, law.exponent, law.r2, law.limit, law.beta, law.saturating_aic - law.power_aic, *gone(*own))
        for row, own in rows.items() if (law := found.law(*own))
    )  # fmt: skip
    texts = {(own.name, size): found.said[Tuned(own.name, size, EPOCHS, first)].value
             for own in cfg.tasks for size in cfg.sizes}  # fmt: skip
    style = tuple(
        (task, size, preferred(value, texts[task, most]), found.ratio(task, size))
        for (task, size), value in texts.items() if value and size < most
    )  # fmt: skip
    before, names = ["before: " + which for which in (CHAINED, FRONT)], [start.name for start in starts(cfg)]
    return (
        over_sizes("Right answers", "right"),
        over_sizes("Answers without the form of their task", "formless"),
        *(over_sizes(f"Answers in form with another {kind}", kind) for kind in KINDS[1:]),
        table_of_means(
            "Without fine-tuning, and without reasoning", list(TASKS), [BASE, *PLAIN], found.plainly,
            note="Right answers in %: of the base model; of the example with the likest question; of the commonest "
            "answer of all examples.",
        ),
        Table(
            "Laws of right answers",
            ("task", "a", "1/b", "R²", "P_inf", "beta", "AIC more", "r² with reasoning", "r² with form"), laws,
            ("", ".3g", ".2f", ".3f", ".2f", ".2f", "+.1f", ".3f", ".3f"),
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
        Table(
            "Answers", ("task", "examples", "question", "answer"),
            tuple((*key, *text) for key, value in texts.items() if value for text in value["texts"][:1]),
        ),
    )  # fmt: skip


def arms_of(found: Found) -> tuple[Arm, ...]:
    """Each task with each number of examples, and each start behind new facts; the base and searches are charged."""
    cfg, arms = found.cfg, {}
    for own, net in found.nets.items():
        if own.protocol == EPOCHS:
            search = found.searches[own.task]
            arm = Arm("", (net,), charged=(found.base, *search.spent))
            arms.setdefault(f"{own.task}, {own.size}", {})[own.seed] = arm
    for start in starts(cfg):
        search = found.searches[start.name].spent
        if start.net:  # what it was tuned by
            search = (found.base, *found.searches[start.net.task].spent, *search)
        for seed in cfg.seeds:
            own = found.taught[start.name, seed]
            arm = Arm("", (own["start"], own["net"]), charged=search)
            arms.setdefault(f"new facts to {start.name}", {})[seed] = arm
    return by_seed(arms, f"new facts to {BASE}")


def report(found: Found) -> Report:
    """Everything that was measured, and the claims."""
    cfg = found.cfg
    x = np.log10(cfg.sizes)
    drawn = {what: {own.name: np.array(found.means(own.name, what)) for own in cfg.tasks} for what in ("right", "form")}
    figures: tuple[Figure, ...] = ()
    if not any(np.isnan(own).any() for series in drawn.values() for own in series.values()):
        figures = (
            lines("Right answers", drawn["right"], xlabel="log10 of examples", ylabel="share of answers", at=x),
            lines("No form", drawn["form"], xlabel="log10 of examples", ylabel="share of answers", at=x),
        )
    return EXPERIMENT.report(
        claims_of(found), link="https://arxiv.org/abs/2410.03717", arms=arms_of(found), tables=tables_of(found),
        figures=figures, baseline=f"new facts to {BASE}", seeds=cfg.seeds, notes=NOTES,
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
