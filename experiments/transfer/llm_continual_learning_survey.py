"""Continual learning of language models: one vertical chain, one stream of tasks, three families of methods.

Paper    Shi et al., Continual Learning of Large Language Models: A Comprehensive Survey, ACM Computing Surveys 2025,
         arXiv 2404.16789 (dossier 079). It has no experiments: this is a protocol for what it observes.
Claim    Language models forget vertically, from general to domain, and horizontally, over streams of corpora or tasks.
         Replay, regularisation and parts of their own for each task forget less, in different measures; such parts
         update facts most safely; a small share of general data keeps what a domain would take away.
Method   A small decoder, one recipe: Adam at a constant rate, equal steps and tokens for every arm, replay counted.
         vertical    PT on general text; CPT on three corpora (other contents, another language, another style), in
                     sequence, with replay, jointly; behind replay DAP on a domain, with 0 or 10 % of general text.
         horizontal  behind DAP with 10 %, CFT on five tasks as instructions, in two orders. Answers are free, over the
                     whole vocabulary: no arm is told the task but by the question's words. In sequence; replay of a
                     buffer of 5 % of each old task's rows, a quarter of each batch; EWC (192 rows a task); LoRA for
                     each task, with its own table of words, beside the frozen model, rows answered by the adapter with
                     the nearest prototype of prompts, no task id; jointly. Preset full: LwF, buffers of 1 % and 20 %.
         facts       behind PT a made-up town is read, then two episodes in which people have changed or are new: in
                     sequence, with replay, and by an adapter for each episode on top of the frozen rest. Each fact is
                     asked for as a cloze: lost, updated and acquired ones, and their ratio FUAR, are counted.
         All tasks and held-out corpora are scored at every border: R[i, j], its OP, forgetting (best so far less the
         last), BWT and FWT (`objectives.tasks.transfer`); FWT also among the names of a task, as nobody can name a
         class that was never named. Rates (full, LoRA) and EWC's strength are chosen once, on validation rows of the
         first two tasks with the first seed's model; for facts on another town.
Run      stagejax run llm_continual_learning_survey                   laptop: 13 minutes, beside other jobs
         stagejax run llm_continual_learning_survey --preset smoke    a minute, most of it compilation
         stagejax plan llm_continual_learning_survey --preset pod --mesh data=16,fsdp=16
Holds if over six streams (three seeds, two orders; paired differences of seeds, 95 % intervals by Student's t)
         forgetting in sequence is above EWC's and EWC's above replay's, both intervals above 0; mean OP of EWC and of
         replay is between those in sequence and jointly; LoRA for each task forgets 2 points or less, at a higher OP
         than saying each task's most frequent name, with a lower mean FWT among names than in sequence; and in means
         over three seeds FUAR of adapters is below that in sequence, and 10 % of general text takes away half or more
         of the rise of the general loss in DAP for 10 % or less of the domain's gain.
Ours     Two of five hold. In %, six streams, mean ± standard deviation (saying one name throughout scores 30.6):
                              OP           forgetting    when learned   OP among names
         in sequence          16.7 ± 3.5   54.9 ± 5.2    60.6 ± 3.8     40.4 ± 5.7
         EWC                  13.3 ± 3.0   42.4 ± 3.8    47.2 ± 3.9     45.9 ± 3.3
         replay 5 %           52.6 ± 3.7    9.9 ± 2.5    60.0 ± 1.9     54.3 ± 2.8
         LoRA for each task   41.7 ± 3.1    8.6 ± 2.9    48.5 ± 3.5     48.9 ± 2.6
         jointly              62.1 ± 3.6                                62.2 ± 3.7
         Forgetting differs by +12.5 [+8.7, +16.2] and +32.5 [+18.5, +46.5] points. EWC forgets less, as it learns
         less. LoRA forgets what the router sends to later adapters. 10 % of general text turns a rise of 0.29 nats into
         a fall of 0.04, for 1 % of the gain. FUAR is 1.33 of adapters, 0.64 in sequence, 0.47 of replay: an adapter, at
         the rate that was best on another town, loses 4 of 60 facts (19, 14) and learns 2 of 60 (30, 29).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data.knowledge.changed_facts import Episodes
from stagejax.data.language.language_stream import LanguageStream, drawn_stream, published_stream, small_stream
from stagejax.data.selection.rehearsal import Rehearsal, mixed_in
from stagejax.data.selection.successive import Successive, most_frequent
from stagejax.inference.frozen import flops_of_one
from stagejax.inference.likelihood import right_records, rows_right
from stagejax.inference.serving.routed_adapters import answers_of_adapters, flops_of_answers, routed_scores
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.tasks.transfer import KnowledgeChange, ability_change, knowledge_change, summary
from stagejax.objectives.text.answered_tasks import AnsweredTasks
from stagejax.optimizer import adam
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.report.continual import accuracy_matrix
from stagejax.report.paired import interval, paired
from stagejax.search.lowest import Lowest, lowest
from stagejax.steps import in_turn, regularised
from stagejax.transforms import LoRA

SEQUENCE, JOINT, EWC, LWF, LORA = "in sequence", "jointly", "EWC", "LwF", "LoRA for each task"
REPLAY, LESS, MORE, ADAPTER = "replay 5%", "replay 1%", "replay 20%", "adapter for each episode"
BUFFERS = {REPLAY: 0.05, LESS: 0.01, MORE: 0.2}
Results = tuple[Any, ...]
SCORED = {"free": "task", "among": "among"}  # by the names of their metrics


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    data: LanguageStream  # general text, the corpora of CPT, the domain; and the tasks
    town: Episodes = field(default_factory=lambda: Episodes(20, 5, 5, 2))
    told: int = 24  # tokens of a row about the town
    general: int = 800  # steps of PT
    corpus: int = 60  # steps on each corpus of CPT, and of DAP
    phase: int = 160  # steps on each task of CFT
    read: tuple[int, int] = (400, 60)  # steps on the town as it was, and on each episode
    rate: float = 4e-3  # of PT, CPT and DAP
    rates: tuple[float, ...] = (5e-4, 1e-3, 2e-3, 4e-3)  # tried for full training
    low_rank: tuple[float, ...] = (1e-3, 3e-3, 1e-2)  # tried for LoRA
    strengths: tuple[float, ...] = (1e2, 1e3, 1e4, 1e5)  # tried for EWC
    kept: float = 1.0  # strength of LwF
    form: LoRA = field(default_factory=lambda: LoRA(rank=16))
    whole: tuple[str, ...] = ("tokens",)  # trained in full beside the LoRA of a task, whose words are new to the model
    mixed: float = 0.25  # of a batch, replayed rows
    shares: tuple[float, float] = (0.0, 0.1)  # of general text in DAP; the second goes on to CFT
    fisher: int = 12  # batches of a task, of which EWC takes its Fisher information
    tested: tuple[int, int] = (96, 8)  # rows of each task and of each corpus, in all and in a batch
    orders: tuple[tuple[int, ...], ...] = ((0, 1, 2, 3, 4), (3, 1, 4, 0, 2))
    arms: tuple[str, ...] = (SEQUENCE, EWC, REPLAY, LORA, JOINT)
    seeds: tuple[int, ...] = (0, 1, 2)


def preset(name: str) -> Config:
    """The laptop preset, the same with more arms and steps, or the same experiment smaller or at a large scale."""
    if name == "pod":
        data = published_stream(32_000, length=256, batch=256)
        shape = {"layers": 24, "embed": 2048, "heads": 16, "mlp": 5632, "length": 256, "scan": True, "remat": "full"}
        steps = {"general": 100_000, "corpus": 5000, "phase": 250, "read": (200, 20), "fisher": 1, "tested": (256, 256)}
        rates = {"rate": 3e-4, "rates": (3e-6, 1e-5, 3e-5), "low_rank": (3e-5, 1e-4, 3e-4)}
        more = {"orders": ((0, 1, 2, 3, 4, 5), (3, 5, 1, 4, 0, 2)), "town": Episodes(300, 50, 50, 2), "told": 96}
        return Config(llama(vocab=data.tokenizer.vocab, **shape), data, whole=(), **steps, **rates, **more)
    if name == "smoke":
        data = drawn_stream(400, length=32, batch=8)
        shape = {"layers": 1, "embed": 24, "heads": 2, "mlp": 48, "length": 40, "tied": True, "init_std": 0.07}
        steps = {"general": 20, "corpus": 8, "phase": 40, "read": (150, 20), "fisher": 3, "tested": (24, 8)}
        rates = {"rate": 1e-2, "rates": (1e-2,), "low_rank": (3e-2,), "strengths": (100.0,), "form": LoRA(rank=4)}
        rates |= {"town": Episodes(6, 2, 2, 2), "told": 40, "orders": ((0, 1, 2), (2, 0, 1)), "seeds": (0,)}
        arms = (SEQUENCE, EWC, REPLAY, LORA, JOINT, LWF)
        return Config(llama(vocab=data.tokenizer.vocab, **shape), data, arms=arms, **steps, **rates)
    data = small_stream(800, length=32, batch=16)
    shape = {"layers": 2, "embed": 48, "heads": 4, "mlp": 128, "length": 48, "tied": True, "init_std": 0.05}
    laptop = Config(llama(vocab=data.tokenizer.vocab, **shape), data)
    every = (SEQUENCE, EWC, LWF, LESS, REPLAY, MORE, LORA, JOINT)
    return replace(laptop, arms=every, phase=300, corpus=300) if name == "full" else laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """A chain for every seed; rates on the first one; every arm of the stream in every order; the facts; the claims."""
    chains = {seed: chain(run, cfg, seed) for seed in cfg.seeds}
    best = chosen(run, cfg, chains[cfg.seeds[0]])
    found: Found = {label: {} for label in cfg.arms}
    known = {}
    for seed, own in chains.items():
        for label in cfg.arms:
            how = run, cfg, best, (own.general, own.read[REPLAY], own.adapted[cfg.shares[1]]), seed
            found[label] |= routed(*how) if label == LORA else streams(*how, label)
        known[seed] = facts(run, cfg, f"{seed}/facts", own.general, cfg.town, best.town, seed)
    tested = cfg.data.suite("test"), len(cfg.data.tasks), cfg.tested[0]
    luck = (run.make("luck", most_frequent, *tested).value or {"share": np.array([np.nan])})["share"].mean()
    return report(cfg, Measures(cfg, chains, found, known, float(luck)), best)


# --- stages ---


def stage(cfg: Config, name: str, data: Any, steps: int, seed: int, **how: Any) -> Stage:
    """The one recipe: Adam at a constant rate, all tasks and corpora scored before and after; or as `how` says."""
    optimizer = adam(how.pop("rate", cfg.rate), decay="constant", clip=1.0)
    (rows, each), scored = cfg.tested, AnsweredTasks(cfg.data.names, len(cfg.data.corpora))
    evaluate = Evaluation(cfg.data.suite(how.pop("part", "test"), each), rows // each, how.pop("every", steps), scored)
    own = {"model": cfg.net, "evaluate": evaluate, "seed": seed} | how
    return Stage(name, objective=causal_lm, optimizer=optimizer, data=data, steps=steps, **own)


def phases(cfg: Config, data: Successive, steps: int, label: str = SEQUENCE, first: int = 0) -> Rehearsal:
    """Tasks one after the other for so many steps each, and replay of a buffer of a share of their rows."""
    kept = BUFFERS.get(label)
    return mixed_in(data, steps * cfg.data.batch, cfg.mixed if kept else 0.0, kept, first)


class Chain(NamedTuple):
    """What the stages of a vertical chain left: PT, CPT by arm, DAP by share of general text."""

    general: Any
    read: dict[str, Any]
    adapted: dict[float, Any]


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
        data = mixed_in(domain, cfg.corpus * cfg.data.batch, share, first=1)  # all of the general text is there
        adapted[share] = run.train(stage(cfg, at(f"domain/{share:g}"), data, cfg.corpus, seed), read[REPLAY])
    return Chain(general, read, adapted)


class Scores(NamedTuple):
    """A stream of tasks: R (1 + N, N) in its order, free and among a task's names; losses of texts (2, corpora)."""

    free: np.ndarray
    among: np.ndarray
    texts: np.ndarray
    results: Results
    charged: Results


Found = dict[str, dict[tuple[int, int], Scores]]  # by arm, then by seed and order


def streams(run: Any, cfg: Config, best: Best, own: Results, seed: int, label: str) -> dict[tuple[int, int], Scores]:
    """An arm behind a chain, in every order; joint training has none."""
    found, tasks, corpora = {}, len(cfg.data.tasks), len(cfg.data.corpora)
    charged = (*own, *best.searches[SEQUENCE].spent, *best.searches[EWC].spent * (label == EWC))
    numbers = best.searches[SEQUENCE].best, best.searches[EWC].best
    for o, order in enumerate(cfg.orders[:1] if label == JOINT else cfg.orders):
        results = stream(run, cfg, label, f"{seed}/{slug(label)}/{o}", own[-1], order, seed, *numbers)
        score = {kind: accuracy_matrix(results, tasks, of)[:, list(order)] for kind, of in SCORED.items()}
        texts = accuracy_matrix(results, corpora, "text")[[0, -1]]
        found[seed, o] = Scores(**score, texts=texts, results=results, charged=charged)
    return found


def stream(
    run: Any, cfg: Config, label: str, at: str, start: Any, order: Sequence[int], seed: int,
    rate: float, strength: float = 0.0, **how: Any,
) -> Results:  # fmt: skip
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


def routed(run: Any, cfg: Config, best: Best, own: Results, seed: int) -> dict[tuple[int, int], Scores]:
    """An adapter for each task beside the frozen model, and a router: orders are those of asking, not of training."""
    tasks, corpora, at = len(cfg.data.tasks), len(cfg.data.corpora), f"{seed}/lora"
    nets = adapters(run, cfg, at, own[-1], range(tasks), seed, rate=best.searches[LORA].best)
    asked, names = cfg.data.suite("test"), cfg.data.names
    flops = flops_of_answers(cfg.net, nets[0].model, asked, names, cfg.tested[0])
    inputs = cfg.data.tasks_in(range(tasks), seed), asked, names, cfg.tested[0], own[-1], *nets
    said = run.make(f"{at}/answers", answers_of_adapters, *inputs, flops=flops)
    texts = [accuracy_matrix((net,), corpora, "text") for net in nets]
    around, found = np.stack([texts[0][0], np.mean([rows[-1] for rows in texts], 0)]), {}
    for o, order in enumerate(cfg.orders):
        score = {kind: np.full((1 + tasks, tasks), np.nan) for kind in SCORED}
        if said.value:
            score = {kind: routed_scores(said.value[kind], said.value["distances"], order) for kind in SCORED}
        found[seed, o] = Scores(**score, texts=around, results=nets, charged=(*own, said, *best.searches[LORA].spent))
    return found


def adapters(run: Any, cfg: Config, at: str, start: Any, tasks: Sequence[int], seed: int, **how: Any) -> Results:
    """An adapter for each of some tasks, each put on the same frozen model."""
    data = phases(cfg, cfg.data.tasks_in(range(len(cfg.data.tasks)), seed), cfg.phase)
    phase = stage(cfg, at, data, cfg.phase, seed, **how)
    return in_turn.adapter_each(run, phase, cfg.form, {str(j): replace(data, first=j) for j in tasks}, start, cfg.whole)


Facts = dict[str, tuple[KnowledgeChange, Results]]  # by arm: what the episodes did to facts


def facts(run: Any, cfg: Config, at: str, start: Any, town: Episodes, rates: dict[str, float], seed: int) -> Facts:
    """The town is read as it was, then in episodes by every arm at its rate."""
    how = cfg.data.tokenizer, cfg.data.batch, cfg.told
    data, asked, (first, steps), kinds = town.reading(*how, seed), town.questions(*how), cfg.read, town.kinds()

    def given(net: Any) -> np.ndarray:
        flops = float(asked.size()) * flops_of_one(rows_right, net.model, asked.sample_spec())
        made = run.make(f"{net.name}/given", right_records, net, asked, flops=flops)
        return made.value["right"] if made.value else np.zeros(len(kinds), bool)

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
        found[label] = knowledge_change(before, given(results[-1]), kinds), results
    return found


# --- choices ---


@dataclass(frozen=True)
class Best:
    """What was chosen: rates of full training and of LoRA for tasks and by arm for facts, EWC's strength; and how."""

    searches: dict[str, Lowest]
    town: dict[str, float]


def chosen(run: Any, cfg: Config, own: Chain) -> Best:
    """Rates and EWC's strength on the first two tasks, by validation rows; rates for facts on another town."""
    start, general = own.adapted[cfg.shares[1]], own.general
    seed, pair, tasks = cfg.seeds[0], cfg.orders[0][:2], len(cfg.data.tasks)

    def full(label: str, *of: float) -> tuple[float, Results]:
        at = f"choice/{slug(label)}-{of[-1]:g}"
        results = stream(run, cfg, label, at, start, pair, seed, *of, part="valid")
        return 1 - float(accuracy_matrix(results, tasks)[-1, list(pair)].mean()), results

    def low(rate: float) -> tuple[float, Results]:
        nets = adapters(run, cfg, f"choice/lora-{rate:g}", start, pair, seed, rate=rate, part="valid")
        return 1 - mean([accuracy_matrix((net,), tasks)[-1, j] for net, j in zip(nets, pair, strict=True)]), nets

    def told(label: str, rate: float) -> tuple[float, Results]:
        at, town = f"choice/facts/{slug(label)}-{rate:g}", replace(cfg.town, seed=1000)
        change, results = facts(run, cfg, at, general, town, {label: rate}, seed)[label]
        lost = float(change.lost - change.updated - change.acquired)
        return lost if results[-1].history.train else float("nan"), results  # in a plan none are asked for

    found = {SEQUENCE: lowest(cfg.rates, partial(full, SEQUENCE), beyond=2), LORA: lowest(cfg.low_rank, low, beyond=2)}
    found[EWC] = lowest(cfg.strengths, partial(full, EWC, found[SEQUENCE].best), beyond=2)
    plain = lowest(cfg.rates, partial(told, SEQUENCE), beyond=2)
    beside = lowest(cfg.low_rank, partial(told, ADAPTER), beyond=2)
    town = {SEQUENCE: plain.best, REPLAY: plain.best, ADAPTER: beside.best}
    return Best(found | {f"facts, {SEQUENCE}": plain, f"facts, {ADAPTER}": beside}, town)


# --- report ---


@dataclass(frozen=True)
class Measures:
    """What came out, over streams or over seeds; scores from 0 to 1, losses in nats."""

    cfg: Config
    chains: dict[int, Chain]
    found: Found
    known: dict[int, Facts]
    luck: float  # OP of always saying the most frequent name of a task

    def over(self, label: str, what: str, kind: str = "free") -> np.ndarray:
        """A summary of each stream."""
        return np.array([summary(getattr(own, kind), what) for own in self.found[label].values()])

    def gap(self, label: str, other: str, what: str, kind: str = "free") -> tuple[float, float, float]:
        """The mean difference of a summary with its 95 % interval over seeds: streams of one begin at one model."""
        a, b = (self.over(x, what, kind).reshape(len(self.chains), -1).mean(1) for x in (label, other))
        gap = paired(a, b) if len(a) > 1 else None  # streams are in the order of their seeds
        return (gap.difference, *interval(gap, len(a))) if gap else (float(a[0] - b[0]), float("nan"), float("nan"))

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
        return [own[label][0] for own in self.known.values()]


def claims(m: Measures) -> tuple[Claim, ...]:
    """The criterion of the docstring."""
    first, second = m.gap(SEQUENCE, EWC, "forgetting"), m.gap(EWC, REPLAY, "forgetting")
    reached = {label: float(m.over(label, "average").mean()) for label in (SEQUENCE, EWC, REPLAY, JOINT)}
    kept, held = (float(m.over(LORA, what).mean()) for what in ("forgetting", "average"))
    ahead = m.gap(LORA, SEQUENCE, "forward", "among")
    nan, rivals = float("nan"), (ADAPTER, SEQUENCE)
    price = {x: mean([nan if own.fuar is None else own.fuar for own in m.changes(x)]) for x in rivals}
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
            "forgetting of 2 points or less at an OP above luck, mean FWT among names below sequence's",
            f"forgetting {kept:.1%}, OP {held:.1%} (luck {m.luck:.1%}); FWT less sequence's {points(ahead)}",
            kept <= 0.02 and held > m.luck and ahead[0] < 0,
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
            f"rise {rise:+.3f} to {less:+.3f}, {saved:.0%} less; gain {gain:.3f} to {smaller:.3f}, {lost:.0%} less",
            rise > 0 and saved >= 0.5 and lost <= 0.1,
        ),
    )  # fmt: skip


def report(cfg: Config, m: Measures, best: Best) -> Report:
    """All matrices in their summaries, vertical and horizontal, what was kept and chosen, and the claims."""
    arms, seeds = list(cfg.arms), "mean ± standard deviation over seeds"
    kinds = "average", "learned", "forgetting", "backward", "forward"
    fields = dict(zip(("OP", "when learned", "forgetting", "BWT", "FWT"), kinds, strict=True))
    columns = {f"{name}{mark}": (what, kind) for kind, mark in (("free", ""), ("among", " among names"))
               for name, what in fields.items()}  # fmt: skip
    shares = {f"{share:.0%} general text": share for share in cfg.shares}
    facts = tuple(
        (label, *(mean([getattr(own, what) for own in m.changes(label)]) for what in ("lost", "updated", "acquired")),
         ", ".join("undefined" if own.fuar is None else f"{own.fuar:.2f}" for own in m.changes(label)))
        for label in best.town
    )  # fmt: skip
    by_arm = {label: {seed: Arm("", own.results, own.charged) for (seed, o), own in found.items() if o == 0}
              for label, found in m.found.items()}  # fmt: skip

    def nats(title: str, rows: list[str], columns: Sequence[str], measure: Any, note: str) -> Table:
        return table_of_means(title, rows, columns, measure, scale=1.0, digits=3, note=f"In nats: {note}.")

    return EXPERIMENT.report(
        claims(m),
        arms=by_seed(by_arm, SEQUENCE),
        tables=(
            table_of_means(
                "Tasks in sequence", arms, list(columns), lambda label, name: m.over(label, *columns[name]).tolist(),
                note="In %: mean ± standard deviation over streams; of each task right after it was learned. Joint "
                f"training has no order: its OP counts. Saying one name throughout scores {m.luck:.1%}.",
            ),
            table_of_means(
                "Forgetting of the first n tasks", arms, [f"{n}" for n in range(2, len(cfg.data.tasks) + 1)],
                lambda x, n: [summary(own.free[: int(n) + 1, : int(n)], "forgetting") for own in m.found[x].values()],
                note="In points, right after them.",
            ),
            nats("X-Delta", arms, ["rise of losses of corpora"], lambda label, _: m.general(label),
                 "over a stream; of LoRA a mean over its adapters, none of which is for text"),
            nats("Corpora in sequence", [SEQUENCE, REPLAY, JOINT], list(fields),
                 lambda label, name: m.corpora(label, fields[name]), f"losses with their sign changed, {seeds}"),
            nats("Adapting to a domain", list(shares), ("rise of the general loss", "gain on the domain"),
                 lambda row, column: m.adapted(shares[row])[:, int(column.startswith("gain"))].tolist(), seeds),
            Table(
                "Facts", ("arm", "lost", "updated", "acquired", "FUAR of each seed"), facts, ("", *[".1f"] * 3, ""),
                "Means over seeds; {} facts stay, {} change, {} are new.".format(*np.bincount(cfg.town.kinds())),
            ),
            Table("What was chosen", ("of", "tried", "losses", "chosen", "at an end"),
                  tuple((label, *search.cells) for label, search in best.searches.items()),
                  note="Wrong answers to validation rows; of facts those lost less those learnt."),
        ),
        baseline=SEQUENCE, metric="accuracy", rising=True, seeds=cfg.seeds, notes=NOTES,
        link="https://arxiv.org/abs/2404.16789",
    )  # fmt: skip


NOTES = (
    "The survey's own index conventions could not be read: those of the papers on its metrics are used. Intervals "
    "are of seeds, over means of their streams, as two of one seed begin at the same model.",
    "Word problems are asked for their operation, POS for the class of one word in its context. Of problems the last "
    "60 characters are kept, which ask, of other texts the first 40; no training prompt is one of validation or tests. "
    "Refinement (CMR), alignment (CMA), recovery, SST-2 and MSRP, which a model so small does not learn, are left out.",
    "A prompt begins with the question of its task, which is why prototypes find the adapter. Facts are asked for in a "
    "wording in which they were told. Costs are those of an arm's first order and the chain before, without facts.",
    "EWC keeps two numbers for each of the model's, LwF one, replay its share of rows; LoRA an adapter a task and, as "
    "words of tasks are new to the model, a table of words (without it no more than luck was learned; `pod` has none).",
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
