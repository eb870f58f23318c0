"""Continual learning of language models: one vertical chain, one stream of tasks, three families of methods.

Paper    Shi et al., Continual Learning of Large Language Models: A Comprehensive Survey, ACM Computing Surveys 2025,
         arXiv 2404.16789 (dossier 079). It has no experiments of its own: this is a protocol for what it reports.
Claim    Language models forget along two directions: vertically, when a general model is adapted to a domain, and
         horizontally, over a stream of corpora or tasks. Replay, regularisation and parts of their own for each task
         forget less than training in sequence, in different measures; parts of their own are the safest way to update
         facts; a small share of general data keeps what a domain would take away.
Method   A small decoder, one recipe: Adam at a constant rate, every stage at equal steps and tokens, replayed ones
         counted, nothing trained longer because of its method.
         vertical    general text (PT), then three corpora one after the other (CPT: other contents, another language,
                     another style), then the documents of a domain (DAP). CPT in sequence, with replay, and jointly;
                     DAP, behind CPT with replay, without and with 10 % general text.
         horizontal  behind DAP with 10 %: tasks one after the other as instructions (CFT), in two orders. Answers are
                     free, greedy over the whole vocabulary: no method is told the task by more than the question's
                     words. In sequence; replay of a buffer of 5 % of each old task's rows as a quarter of each batch;
                     EWC, the diagonal Fisher information of 200 rows a task, added up; LoRA for each task beside the
                     frozen model, the adapter chosen row by row by the nearest prototype of prompts, no task id;
                     jointly on all tasks (the upper bound). Preset full: LwF at temperature 2, replay of 1 % and 20 %.
         facts       behind PT: a made-up town is read, then two episodes in which some people have changed and some
                     are new. In sequence, with replay, and by an adapter for each episode beside the frozen rest.
                     Every fact is asked for as a cloze: lost, updated, acquired, and their ratio FUAR are exact.
         At each border all tasks and all held-out corpora are scored: R[i, j] after i stages. OP, forgetting (best
         score so far less the last), BWT and FWT, as in `objectives.transfer`. FWT is also taken among the names of a
         task, as nobody can name a class that it has not seen. Learning rates (of a grid of three: full training, and
         LoRA) and EWC's strength are chosen once on the first two tasks, by validation rows, with the first seed's
         model; on a town of their own for facts.
Run      stagejax run llm_continual_learning_survey                   laptop: about 5 minutes on two idle cores
         stagejax run llm_continual_learning_survey --preset smoke    a minute, most of it compilation
         stagejax run llm_continual_learning_survey --preset full     hours: two sizes, more arms
         stagejax plan llm_continual_learning_survey --preset pod --mesh data=16,fsdp=16
Holds if, over six streams (three seeds, two orders; paired differences with 95 % intervals by Student's t): forgetting
         in sequence is above EWC's and EWC's above that of replay, each with an interval above 0; the mean OP of EWC
         and of replay lies between those in sequence and jointly; LoRA for each task forgets 2 points or less, and has
         a lower mean FWT among the names of a task than training in sequence; and over three seeds, in means: FUAR of
         adapters is below that in sequence; and 10 % of general text takes away half or more of the rise of the general
         loss in DAP, for 10 % or less of the domain's gain.
Ours     Not run yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import BPE, TFDS, Dataset, Stdlib
from stagejax.data.articles import Articles
from stagejax.data.changed_facts import Episodes
from stagejax.data.documentation import Documentation
from stagejax.data.field_text import FieldText
from stagejax.data.instructed import drawn_instructions, names_of, published_instructions, small_instructions
from stagejax.data.language_stream import LanguageStream
from stagejax.data.learned import LearnedFrom
from stagejax.data.portion import Portion
from stagejax.data.published import C4
from stagejax.data.rehearsal import Equal, FixedBudget, Rehearsal
from stagejax.data.successive import Successive
from stagejax.data.text_tasks import TaskText, TextTask
from stagejax.data.together import Together
from stagejax.data.whole_words import WholeWords
from stagejax.data.wordpiece import WordPiece
from stagejax.inference.frozen import flops_of_one
from stagejax.inference.likelihood import right_records, rows_right
from stagejax.inference.routed_adapters import answers_of_adapters, flops_of_answers, routed_scores
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.answered_tasks import AnsweredTasks
from stagejax.objectives.transfer import (
    KnowledgeChange,
    ability_change,
    forgetting_by_length,
    knowledge_change,
    summary,
)
from stagejax.optimizer import adam
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.report.continual import accuracy_matrix
from stagejax.report.paired import interval, lines, paired
from stagejax.steps import in_turn, regularised
from stagejax.transforms import LoRA

SEQUENCE, JOINT, EWC, LWF, LORA = "in sequence", "jointly", "EWC", "LwF", "LoRA for each task"
REPLAY, LESS, MORE, ADAPTER = "replay 5%", "replay 1%", "replay 20%", "adapter for each episode"
BUFFERS = {REPLAY: 0.05, LESS: 0.01, MORE: 0.2}
SCORED = {"free": "task", "among": "among"}  # and the names of their metrics


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    data: LanguageStream  # general text, the corpora of CPT, the domain; and the tasks
    town: Episodes = field(default_factory=lambda: Episodes(60, 10, 10, 2))
    told: int = 24  # tokens of a row about the town
    general: int = 1000  # steps of PT
    corpus: int = 150  # steps on each corpus of CPT, and of DAP
    phase: int = 200  # steps on each task of CFT
    read: tuple[int, int] = (600, 100)  # steps on the town as it was, and on each episode
    rate: float = 3e-3  # of PT, CPT and DAP
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)  # tried for full training
    low_rank: tuple[float, ...] = (3e-3, 1e-2, 3e-2)  # tried for LoRA
    strengths: tuple[float, ...] = (10.0, 100.0, 1000.0)  # tried for EWC
    kept: float = 1.0  # strength of LwF
    form: LoRA = field(default_factory=lambda: LoRA(rank=8))
    mixed: float = 0.25  # of a batch, replayed rows
    shares: tuple[float, float] = (0.0, 0.1)  # of general text in DAP; the second goes on to CFT
    fisher: int = 12  # batches of a task, of which EWC takes its Fisher information
    tested: int = 128  # rows of each task and of each corpus
    orders: tuple[tuple[int, ...], ...] = ((0, 1, 2, 3, 4, 5), (3, 5, 1, 4, 0, 2))
    arms: tuple[str, ...] = (SEQUENCE, EWC, REPLAY, LORA, JOINT)
    seeds: tuple[int, ...] = (0, 1, 2)


def preset(name: str) -> Config:
    """The laptop preset, the same with more arms and steps, or the same experiment smaller or at a large scale."""
    if name == "pod":
        words = LearnedFrom(WholeWords(BPE(32_000), names_of(published_instructions())), C4)
        net = llama(vocab=words.vocab, embed=2048, layers=24, heads=16, mlp=5632, length=1024, scan=True, remat="full")
        gsm = TaskText(TextTask("gsm8k", TFDS("gsm8k"), 1, "question", "answer"))
        corpora = (C4, TFDS("wiki40b/en"), TFDS("wiki40b/de"), TFDS("wiki40b/fr"), gsm)
        data = LanguageStream(words, corpora, published_instructions(), longest=800, length=256, batch=256)
        steps = {"general": 100_000, "corpus": 5000, "phase": 250, "read": (200, 20), "fisher": 1, "tested": 256}
        rates = {"rate": 3e-4, "rates": (3e-6, 1e-5, 3e-5), "low_rank": (3e-5, 1e-4, 3e-4), "form": LoRA(rank=16)}
        return Config(net, data, Episodes(300, 50, 50, 2), told=64, **steps, **rates)
    if name == "smoke":
        tasks, text = drawn_instructions(400), (Stdlib(limit=100_000), Documentation(Stdlib(limit=2_000_000)))
        words = LearnedFrom(WholeWords(WordPiece(400), names_of(tasks)), text[0])
        net = llama(vocab=words.vocab, embed=24, layers=1, heads=2, mlp=48, length=40, tied=True, init_std=0.07)
        data = LanguageStream(words, (*text, Stdlib(limit=200_000)), tasks, longest=40, length=32, batch=8)
        steps = {"general": 20, "corpus": 8, "phase": 40, "read": (200, 30), "fisher": 3, "tested": 24}
        rates = {"rate": 1e-2, "rates": (1e-2,), "low_rank": (3e-2,), "strengths": (100.0,)}
        more = {"arms": (SEQUENCE, EWC, REPLAY, LORA, JOINT, LWF), "orders": ((0, 1, 2), (2, 0, 1)), "seeds": (0, 1)}
        return Config(net, data, Episodes(6, 2, 2, 2), **steps, **rates, **more)
    read = Documentation(), FieldText(Portion(Dataset("multi30k"), stop=8000), "de"), Dataset("tinyshakespeare")
    corpora = (Articles(Dataset("wikitext2")), *read)
    words = LearnedFrom(WholeWords(WordPiece(1200), names_of(small_instructions())), Together(corpora))
    gsm = TaskText(TextTask("gsm8k", Dataset("gsm8k"), 1, "question", "solution"))
    net = llama(vocab=words.vocab, embed=48, layers=2, heads=4, mlp=128, length=48, tied=True, init_std=0.05)
    laptop = Config(net, LanguageStream(words, (*corpora, gsm), small_instructions(), longest=48, length=28, batch=16))
    every = (SEQUENCE, EWC, LWF, LESS, REPLAY, MORE, LORA, JOINT)
    return replace(laptop, arms=every, phase=400, corpus=400) if name == "full" else laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """A chain for every seed; rates on the first one; every arm of the stream in every order; the facts; the claims."""
    chains = {seed: chain(run, cfg, seed) for seed in cfg.seeds}
    first = chains[cfg.seeds[0]]
    best = chosen(run, cfg, first.adapted[cfg.shares[1]], first.general)
    found: Found = {label: {} for label in cfg.arms}
    known = {}
    for seed, own in chains.items():
        for label in cfg.arms:
            arm = routed if label == LORA else streams
            found[label] |= arm(run, cfg, best, label, own.adapted[cfg.shares[1]], seed)
        known[seed] = facts(run, cfg, f"{seed}/facts", own.general, cfg.town, best.town, seed)
    return report(cfg, Measures(cfg, chains, found, known), best)


# --- stages ---


def stage(cfg: Config, name: str, data: Any, steps: int, seed: int, **how: Any) -> Stage:
    """The one recipe: Adam at a constant rate, all tasks and corpora scored before and after; or as `how` says."""
    optimizer = adam(how.pop("rate", cfg.rate), decay="constant", clip=1.0)
    suite, scored = cfg.data.suite(how.pop("part", "test")), AnsweredTasks(cfg.data.names, len(cfg.data.corpora))
    evaluate = Evaluation(suite, cfg.tested // 8, how.pop("every", None), scored)
    own = {"model": cfg.net, "evaluate": evaluate, "seed": seed} | how
    return Stage(name, objective=causal_lm, optimizer=optimizer, data=data, steps=steps, **own)


def phases(cfg: Config, data: Successive, steps: int, label: str = SEQUENCE, **how: Any) -> Rehearsal:
    """Tasks one after the other for so many steps each, and replay of a buffer of a share of their rows."""
    rows, share = steps * cfg.data.batch, BUFFERS.get(label)
    plain = {"rows": rows, "rehearsed": 0, "seed": data.seed}
    if share is not None:
        old = round(cfg.mixed * rows)
        plain |= {"rows": rows - old, "rehearsed": old, "memory": max(1, round(share * rows))}
        plain |= {"budget": FixedBudget(Equal())}
    return Rehearsal(data=data, **plain | how)


class Chain(NamedTuple):
    """The vertical chain of a seed: what each stage left."""

    general: Any
    read: dict[str, Any]  # CPT by arm
    adapted: dict[float, Any]  # DAP by share of general text


def chain(run: Any, cfg: Config, seed: int) -> Chain:
    """PT; CPT in sequence, with replay, jointly; and behind replay DAP without and with general text."""
    at, count = f"{seed}/{{}}".format, len(cfg.data.corpora) - 1
    corpora, domain = (cfg.data.corpora_in(own, seed) for own in (range(count), (0, count)))
    general = run.train(stage(cfg, at("general"), phases(cfg, corpora, cfg.general), cfg.general, seed))
    read = {}
    for label in (SEQUENCE, REPLAY, JOINT):
        data = corpora if label == JOINT else phases(cfg, corpora, cfg.corpus, label, first=1)
        own = stage(cfg, at(f"corpora/{slug(label)}"), data, cfg.corpus * (count - 1), seed, every=cfg.corpus)
        read[label] = run.train(own, general)
    adapted = {}
    for share in cfg.shares:
        old = round(share * cfg.corpus * cfg.data.batch)
        how = {
            "rows": cfg.corpus * cfg.data.batch - old,
            "rehearsed": old,
            "budget": FixedBudget(Equal()) if old else None,
        }
        data = phases(cfg, domain, cfg.corpus, first=1, **how)  # all of the general text is there to be drawn from
        adapted[share] = run.train(stage(cfg, at(f"domain/{share:g}"), data, cfg.corpus, seed), read[REPLAY])
    return Chain(general, read, adapted)


class Scores(NamedTuple):
    """A stream of tasks: R in its order, free and among a task's names, and losses of texts before and after."""

    free: np.ndarray  # (1 + N, N)
    among: np.ndarray
    texts: np.ndarray  # (2, corpora)
    results: tuple[Any, ...]
    charged: tuple[Any, ...]


Found = dict[str, dict[tuple[int, int], Scores]]  # by arm, then by seed and order


def streams(run: Any, cfg: Config, best: Best, label: str, start: Any, seed: int) -> dict[tuple[int, int], Scores]:
    """An arm in every order; joint training has none."""
    found, tasks, corpora = {}, len(cfg.data.tasks), len(cfg.data.corpora)
    charged = (*best.spent[SEQUENCE], *best.spent.get(label, ()) * (label == EWC))
    for o, order in enumerate(cfg.orders[:1] if label == JOINT else cfg.orders):
        at = f"{seed}/{slug(label)}/{o}"
        results = stream(run, cfg, label, at, start, order, seed, best.rates[SEQUENCE], best.strength)
        score = {kind: accuracy_matrix(results, tasks, of)[:, list(order)] for kind, of in SCORED.items()}
        texts = accuracy_matrix(results, corpora, "text")[[0, -1]]
        found[seed, o] = Scores(**score, texts=texts, results=results, charged=charged)
    return found


def stream(
    run: Any, cfg: Config, label: str, at: str, start: Any, order: Sequence[int], seed: int,
    rate: float, strength: float = 0.0, **how: Any,
) -> tuple[Any, ...]:  # fmt: skip
    """An arm on tasks in an order: one stage of all, or one for each task where old networks stand beside."""
    tasks = cfg.data.tasks_in(order, seed)
    data = phases(cfg, tasks, cfg.phase, label)
    how |= {"rate": rate, "every": cfg.phase}
    if label not in (EWC, LWF):
        own = stage(cfg, at, tasks if label == JOINT else data, len(order) * cfg.phase, seed, **how)
        return (run.train(own, start),)
    says = regularised.of_answers
    loss = regularised.EWC(causal_lm, strength) if label == EWC else regularised.LwF(causal_lm, cfg.kept, says=says)
    own = tuple(replace(data, first=k) for k in range(len(order)))
    phase = stage(cfg, at, data, cfg.phase, seed, **how)
    return regularised.one_by_one(run, phase, loss, own, own, start, fisher=cfg.fisher, says=says)


def routed(run: Any, cfg: Config, best: Best, label: str, start: Any, seed: int) -> dict[tuple[int, int], Scores]:
    """An adapter for each task beside the frozen model, and a router: orders are those of asking, not of training."""
    tasks, corpora, at = len(cfg.data.tasks), len(cfg.data.corpora), f"{seed}/{slug(label)}"
    nets = adapters(run, cfg, at, start, range(tasks), best.rates[LORA], seed)
    asked, names = cfg.data.suite("test"), cfg.data.names
    flops = flops_of_answers(cfg.net, nets[0].model, asked, names, cfg.tested)
    inputs = cfg.data.tasks_in(range(tasks), seed), asked, names, cfg.tested, start, *nets
    said = run.make(f"{at}/answers", answers_of_adapters, *inputs, flops=flops)
    texts = [accuracy_matrix((net,), corpora, "text") for net in nets]
    around, found = np.stack([texts[0][0], np.mean([own[-1] for own in texts], 0)]), {}
    for o, order in enumerate(cfg.orders):
        score = {kind: np.full((1 + tasks, tasks), np.nan) for kind in SCORED}
        if said.value:
            score = {kind: routed_scores(said.value[kind], said.value["distances"], order) for kind in SCORED}
        found[seed, o] = Scores(**score, texts=around, results=nets, charged=(said, *best.spent[LORA]))
    return found


def adapters(
    run: Any, cfg: Config, at: str, start: Any, tasks: Sequence[int], rate: float, seed: int, part: str = "test"
) -> tuple[Any, ...]:
    """An adapter for each of some tasks, each put on the same frozen model."""
    data = phases(cfg, cfg.data.tasks_in(range(len(cfg.data.tasks)), seed), cfg.phase)
    phase = stage(cfg, at, data, cfg.phase, seed, rate=rate, part=part)
    return in_turn.adapter_each(run, phase, cfg.form, {str(j): replace(data, first=j) for j in tasks}, start)


class Known(NamedTuple):
    """Which facts an arm gives rightly, as they are in the end, before the episodes and behind them."""

    before: np.ndarray
    after: np.ndarray
    results: tuple[Any, ...]


def facts(
    run: Any, cfg: Config, at: str, start: Any, town: Episodes, rates: dict[str, float], seed: int
) -> dict[str, Known]:
    """The town is read as it was, then in episodes by every arm, at its rate."""
    how = cfg.data.tokenizer, cfg.data.batch, cfg.told
    data, asked, (first, steps) = town.reading(*how, seed), town.questions(*how), cfg.read

    def given(net: Any) -> np.ndarray:
        flops = asked.size() * flops_of_one(rows_right, net.model, asked.sample_spec())
        made = run.make(f"{net.name}/given", right_records, net, asked, flops=flops)
        return made.value["right"] if made.value else np.zeros(len(town.kinds()), bool)

    base = run.train(stage(cfg, f"{at}/town", phases(cfg, data, first), first, seed, evaluate=None), start)
    before, found = given(base), {}
    for label, rate in rates.items():
        name, episodes = f"{at}/{slug(label)}-{rate:g}", phases(cfg, data, steps, label, first=1)
        phase = stage(cfg, name, episodes, steps, seed, rate=rate, evaluate=None)
        if label == ADAPTER:
            own = tuple(replace(episodes, first=e) for e in range(1, town.count + 1))
            results = in_turn.adapters_on_top(run, phase, cfg.form, own, base)
        else:
            results = (run.train(replace(phase, steps=town.count * steps), base),)
        found[label] = Known(before, given(results[-1]), results)
    return found


# --- choices ---


@dataclass(frozen=True)
class Best:
    """What was chosen: rates of full training and of LoRA for tasks and by arm for facts, EWC's strength; and how."""

    rates: dict[str, float]
    town: dict[str, float]
    strength: float
    rows: tuple[tuple[Any, ...], ...]  # of the table
    spent: dict[str, tuple[Any, ...]]  # results by what was chosen


def chosen(run: Any, cfg: Config, start: Any, general: Any) -> Best:
    """Rates and EWC's strength on the first two tasks, by validation rows; rates for facts on another town."""
    seed, pair, tasks = cfg.seeds[0], cfg.orders[0][:2], len(cfg.data.tasks)
    rows: list[tuple[Any, ...]] = []
    spent: dict[str, tuple[Any, ...]] = {}

    def best(what: str, grid: Sequence[float], tried: Callable[[float], tuple[float, tuple[Any, ...]]]) -> float:
        found = [tried(value) for value in grid]
        scores = [score for score, _ in found]
        value = grid[0 if np.isnan(scores).any() else int(np.argmax(scores))]
        spent[what] = tuple(result for _, results in found for result in results)
        shown = [", ".join(map(form, of)) for form, of in (("{:g}".format, grid), ("{:.1%}".format, scores))]
        rows.append((what, *shown, value))
        return value

    def full(label: str, *of: float) -> tuple[float, tuple[Any, ...]]:
        at = f"choice/{slug(label)}-{of[-1]:g}"
        results = stream(run, cfg, label, at, start, pair, seed, *of, part="valid")
        return float(accuracy_matrix(results, tasks)[-1, list(pair)].mean()), results

    def low(rate: float) -> tuple[float, tuple[Any, ...]]:
        nets = adapters(run, cfg, f"choice/lora-{rate:g}", start, pair, rate, seed, part="valid")
        return mean([accuracy_matrix((net,), tasks)[-1, j] for net, j in zip(nets, pair, strict=True)]), nets

    def told(label: str, rate: float) -> tuple[float, tuple[Any, ...]]:
        at, town = f"choice/facts/{slug(label)}-{rate:g}", replace(cfg.town, seed=1000)
        own = facts(run, cfg, at, general, town, {label: rate}, seed)[label]
        return float(own.after.mean()), own.results

    rate = best(SEQUENCE, cfg.rates, partial(full, SEQUENCE))
    rates = {SEQUENCE: rate, LORA: best(LORA, cfg.low_rank, low)}
    strength = best(EWC, cfg.strengths, partial(full, EWC, rate))
    plain = best(f"facts, {SEQUENCE}", cfg.rates, partial(told, SEQUENCE))
    town = {SEQUENCE: plain, REPLAY: plain}
    town |= {ADAPTER: best(f"facts, {ADAPTER}", cfg.low_rank, partial(told, ADAPTER))}
    return Best(rates, town, strength, tuple(rows), spent)


# --- report ---


@dataclass(frozen=True)
class Measures:
    """What came out, over streams or over seeds; scores from 0 to 1, losses in nats."""

    cfg: Config
    chains: dict[int, Chain]
    found: Found
    known: dict[int, dict[str, Known]]

    def over(self, label: str, what: str, kind: str = "free") -> np.ndarray:
        """A summary of each stream."""
        return np.array([summary(getattr(own, kind), what) for own in self.found[label].values()])

    def gap(self, label: str, other: str, what: str, kind: str = "free") -> tuple[float, float, float]:
        """The mean difference of a summary over the streams that both have, with its 95 % interval."""
        gap = paired(self.over(label, what, kind), self.over(other, what, kind))
        return gap.difference, *interval(gap, len(self.found[label]))

    def general(self, label: str) -> list[float]:
        """X-Delta of losses: how much those of general text and of the corpora of CPT rise over each stream."""
        return [ability_change(own.texts[0, :-1], own.texts[-1, :-1]) for own in self.found[label].values()]

    def corpora(self, label: str, what: str) -> list[float]:
        """A summary of PT and CPT for each seed, where a score is a loss with its sign changed."""
        count, pairs = len(self.cfg.data.corpora) - 1, [(own.general, own.read[label]) for own in self.chains.values()]
        return [summary(-accuracy_matrix(pair, count, "text"), what) for pair in pairs]

    def adapted(self, share: float) -> np.ndarray:
        """(seeds, 2): how much DAP raises the loss of general text, and how much it lowers that of the domain."""
        results = [(own.adapted[share],) for own in self.chains.values()]
        losses = [accuracy_matrix(own, len(self.cfg.data.corpora), "text") for own in results]
        return np.array([(own[-1, 0] - own[0, 0], own[0, -1] - own[-1, -1]) for own in losses])

    def changes(self, label: str) -> list[KnowledgeChange]:
        """What each seed's episodes did to facts."""
        kinds = self.cfg.town.kinds()
        return [knowledge_change(own[label].before, own[label].after, kinds) for own in self.known.values()]

    def fuar(self, label: str) -> float:
        """The mean over seeds; NaN where it is undefined for one."""
        return mean([float("nan") if own.fuar is None else own.fuar for own in self.changes(label)])


def claims(m: Measures) -> tuple[Claim, ...]:
    """The criterion of the docstring."""
    first, second = m.gap(SEQUENCE, EWC, "forgetting"), m.gap(EWC, REPLAY, "forgetting")
    reached = {label: float(m.over(label, "average").mean()) for label in (SEQUENCE, EWC, REPLAY, JOINT)}
    kept, ahead = float(m.over(LORA, "forgetting").mean()), m.gap(LORA, SEQUENCE, "forward", "among")
    price = {label: m.fuar(label) for label in (ADAPTER, SEQUENCE)}
    (rise, gain), (less, smaller) = (m.adapted(share).mean(0) for share in m.cfg.shares)
    saved, lost, planned = 1 - less / rise, 1 - smaller / gain, np.isnan([kept, rise]).any()

    def points(gap: tuple[float, float, float]) -> str:
        return "{:+.1f} [{:+.1f}, {:+.1f}] points".format(*(100 * x for x in gap))

    def judged(statement: str, paper: str, margin: str, measured: str, holds: bool) -> Claim:
        return claim(statement, paper=paper, measured=None if planned else measured, margin=margin, holds=holds)

    return (
        judged(
            "Training in sequence forgets more than EWC, and EWC more than replay", "replay is used most",
            "95 % intervals of both differences above 0",
            f"less EWC {points(first)}, EWC less {REPLAY} {points(second)}", first[1] > 0 and second[1] > 0,
        ),
        judged(
            "EWC and replay end between training in sequence and jointly", "the bounds of continual learning",
            "mean OP of both between those of the bounds", ", ".join(f"{x} {own:.1%}" for x, own in reached.items()),
            all(reached[SEQUENCE] <= reached[x] <= reached[JOINT] for x in (EWC, REPLAY)),
        ),
        judged(
            "LoRA for each task hardly forgets, and carries less forward", "parts of their own isolate tasks",
            "forgetting of 2 points or less, mean FWT among names below sequence's",
            f"forgetting {kept:.1%}; FWT less sequence's {points(ahead)}", kept <= 0.02 and ahead[0] < 0,
        ),
        judged(
            "An adapter for each episode updates facts at a lower price",
            "parameter expansion was the most reliable for updating facts",
            "mean FUAR below that in sequence; undefined does not hold",
            ", ".join(f"{label} {x:.2f}" for label, x in price.items()), price[ADAPTER] < price[SEQUENCE],
        ),
        judged(
            "A tenth of general text in DAP keeps most of what is general",
            "a small share of general data reduces vertical forgetting",
            "half or more of the rise of the general loss taken away, for 10 % or less of the domain's gain",
            f"rise {rise:+.3f} to {less:+.3f}, {saved:.0%} less; gain {gain:.3f} to {smaller:.3f} nats, {lost:.0%} less",
            saved >= 0.5 and lost <= 0.1,
        ),
    )  # fmt: skip


def report(cfg: Config, m: Measures, best: Best) -> Report:
    """All matrices in their summaries, vertical and horizontal, what was kept and chosen, and the claims."""
    arms, seeds = list(cfg.arms), "mean ± standard deviation over seeds"
    fields = {"OP": "average", "forgetting": "forgetting", "BWT": "backward", "FWT": "forward"}
    columns = {f"{name}{mark}": (what, kind) for kind, mark in (("free", ""), ("among", " among names"))
               for name, what in fields.items()}  # fmt: skip
    shares = {f"{share:.0%} general text": share for share in cfg.shares}
    facts = tuple(
        (label, *(mean([getattr(own, what) for own in m.changes(label)]) for what in ("lost", "updated", "acquired")),
         ", ".join("undefined" if own.fuar is None else f"{own.fuar:.2f}" for own in m.changes(label)))
        for label in best.town
    )  # fmt: skip
    longer = {label: 100 * np.mean([forgetting_by_length(own.free) for own in m.found[label].values()], 0)
              for label in arms if label != JOINT}  # fmt: skip
    by_arm = {label: {seed: Arm("", own.results, own.charged) for (seed, o), own in found.items() if o == 0}
              for label, found in m.found.items()}  # fmt: skip
    plain = {"scale": 1.0, "digits": 3}
    return EXPERIMENT.report(
        claims(m),
        arms=by_seed(by_arm, SEQUENCE),
        tables=(
            table_of_means(
                "Tasks in sequence", arms, list(columns), lambda label, name: m.over(label, *columns[name]).tolist(),
                note="In %: mean ± standard deviation over streams. Joint training has no order: its OP counts.",
            ),
            table_of_means(
                "X-Delta", arms, ["rise of losses of corpora"], lambda label, _: m.general(label), **plain,
                note="In nats: over a stream; of LoRA a mean over its adapters, none of which is for text.",
            ),
            table_of_means(
                "Corpora in sequence", [SEQUENCE, REPLAY, JOINT], list(fields), lambda label, name:
                m.corpora(label, fields[name]), note=f"Losses with their sign changed, in nats: {seeds}.", **plain,
            ),
            table_of_means(
                "Adapting to a domain", list(shares), ("rise of the general loss", "gain on the domain"),
                lambda row, column: m.adapted(shares[row])[:, int(column.startswith("gain"))].tolist(),
                note=f"In nats: {seeds}.", **plain,
            ),
            Table(
                "Facts", ("arm", "lost", "updated", "acquired", "FUAR of each seed"), facts, ("", *[".1f"] * 3, ""),
                "Means over seeds; {} facts stay, {} change, {} are new.".format(*np.bincount(cfg.town.kinds())),
            ),
            Table("What was chosen", ("of", "tried", "scores", "chosen"), best.rows, note="By validation rows."),
            Table("What is kept", ("arm", "stored rows", "numbers beside the model"), stored(cfg, m), ("", ",", "si")),
        ),
        figures=() if np.isnan([*longer.values()]).any() else (
            lines("Forgetting by the number of tasks", longer, xlabel="tasks learnt", ylabel="points",
                  at=range(2, len(cfg.data.tasks) + 1)),
        ),
        baseline=SEQUENCE, metric="accuracy", rising=True, seeds=cfg.seeds, notes=NOTES,
        link="https://arxiv.org/abs/2404.16789",
    )  # fmt: skip


def stored(cfg: Config, m: Measures) -> list[tuple[Any, ...]]:
    """For each arm: rows of old tasks that it keeps at the end, and numbers beside one model."""
    tasks, rows, found = len(cfg.data.tasks), cfg.phase * cfg.data.batch, []
    ends = {label: next(iter(m.found[label].values())).results[-1].parameters for label in cfg.arms}
    base = ends[SEQUENCE]
    more = {EWC: 2 * base, LWF: base, LORA: tasks * (ends[LORA] - base)}
    for label in cfg.arms:
        kept = round(BUFFERS.get(label, float(label == JOINT)) * rows) * (tasks - 1)
        found.append((label, kept, more.get(label, 0)))
    return found


NOTES = (
    "The survey's own index conventions could not be read: those of the papers on its metrics are used. It has no "
    "experiments; what it observes is tested as the dossier puts it.",
    "SVAMP's problems are asked for their operation, POS for the class of one word in its context. Refinement (CMR), "
    "alignment (CMA) and the recovery of old tasks are left out.",
    "A prompt begins with the question of its task, as instructions do: that is why prototypes find the adapter.",
    "Facts are asked for in a wording in which they were told. An arm's costs are those of its first order.",
)

EXPERIMENT = Experiment(
    name="llm_continual_learning_survey",
    title="Continual learning of language models: a vertical chain, a stream of tasks, three families of methods",
    reference="Shi et al., ACM Computing Surveys 2025, arXiv 2404.16789",
    paper=79,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("llm_continual_learning_survey")
