"""Orca 2: a student learns which strategy suits which task, as prompts that named the strategy are erased.

Paper    Mitra et al., Orca 2: Teaching Small Language Models How to Reason, 2023, arXiv 2311.11045
         (dossier 077: abstract and search excerpts were read; figures are from memory).
Claim    A small model should not copy a large one's way of answering, but use for each task the strategy that suits it:
         step by step, recall then generate, recall-reason-generate, extract then generate, or a direct answer. Orca 2
         13B is ahead of LLaMA-2-Chat 70B in zero-shot reasoning (AGIEval: 49.9 and 46.7, BBH: 50.2 and 44.7).
Method   Six tasks: sums, facts, ledgers (what a name has), two-hop facts, chains of variables, trec. For each the
         strategy S* under which the teacher is right most often on validation queries; of those within 2 points the one
         of shortest replies. The teacher is a decoder that learned worked replies under messages that name a strategy;
         its replies are drawn at temperature 0.5, wrong ones are kept. Student: a smaller decoder, (0) facts, and
         queries without replies; (1) gold answers; (2) replies of the assistant, the teacher halfway, under
         messages drawn at random; (3) the strong teacher's, by arm, in equal tokens; loss on replies alone:
         Orca 2           replies under S*, the message erased: a generic one in its place
         not erased       the same replies, messages kept; asked under the generic message, and under S*
         all steps, all direct   one strategy for all tasks, erased
         Orca 1           replies under messages drawn at random and kept, the generic one among them
         Learning rates of each arm by validation queries under the generic message, first seed, one grid for all.
         S* is also found for a student, that of Orca 1 under each strategy's message: where would the choices differ?
Run      stagejax run orca2_cautious                 laptop: 17 minutes on two busy cores
         stagejax run orca2_cautious --preset smoke  seconds
         stagejax plan orca2_cautious --preset pod --mesh data=16,fsdp=16
Holds if on test queries under the generic message, likeliest replies, mean over tasks and seeds: (1) Orca 2 is right in
         2 points more than the best of all steps, all direct and Orca 1, and above the most frequent answers; (2) at
         least 85 % of its replies follow S*, which is three strategies or more; (3) it says fewer tokens than all steps
         and is right as often; (4), what erasure is for, it is 2 points or more above not erased.
Ours     2 seeds of the order of rows in the third stage; right replies in %, mean over tasks, and tokens a query:
         Orca 2 64.6 ± 2.4, 9.5; all steps 50.5 ± 0.8, 9.3; all direct 43.3 ± 2.7, 3.0; Orca 1 50.8 ± 2.6, 8.8;
         not erased 54.3 ± 3.7, 9.0, and under S* 66.3 ± 2.3; most frequent answers 25.8. (1), (2) and (4) hold, (3)
         does not: Orca 2 says slightly more than all steps, as facts are longer than results on the way.
         S* is steps for sums, recall for facts and hops, quotes for ledgers and chains, direct for trec. Orca 2 follows
         it in all replies, as words of a query show its task at once. It gains by facts (71.9, all steps 30.2) and hops
         (68.5, 40.5); ledgers are half right in every arm, as the teacher's are. Told S*, a student is right no less
         often: erasure spares the naming, no more. The teacher's S* is not always the student's: chains are right in
         63.5 ± 9.2 by quotes, 85.0 ± 2.8 all direct, elsewhere less than by the most frequent answer (51.0). The table
         of Orca 1's student has direct for chains, but for sums too, where taught steps are better (64.0, direct 29.0).
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Experiment, Precision, Stage
from stagejax.data import BPE, TFDS, Mixture, Source
from stagejax.data.knowledge.two_hop import FactGraph
from stagejax.data.language.packed_answers import PackedAnswers
from stagejax.data.language.packing import Packed
from stagejax.data.pipeline import Data
from stagejax.data.prompts.strategies import ANY, COT, DIRECT, STRATEGIES
from stagejax.data.prompts.strategy_pool import Pool, strategy_pool
from stagejax.data.reasoning.worked import FactTexts
from stagejax.data.tokenizers import Tokenizer
from stagejax.inference.continuing import GREEDY, Sampling, continuing_flops
from stagejax.inference.prompts.strategies import (
    answered,
    answered_as_chosen,
    chosen,
    corpus_as_chosen,
    corpus_erased,
    sampled,
)
from stagejax.inference.prompts.teacher_corpus import drawn_tokens, teacher_corpus
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.together import charged_once

ORCA_1, ORCA_2, KEPT, STEPS, SHORT = "Orca 1", "Orca 2", "not erased", "all steps", "all direct"
ASSISTANT = "assistant"
TOLD = "not erased, under S*"
GUESS = "most frequent answers"
RIVALS = (STEPS, SHORT, ORCA_1)


@dataclass(frozen=True)
class Files:
    """Answers and replies by name, {"prompt", "response"}, and what to ask: {"family", "prompt", "label"}."""

    stages: tuple[Source, ...]
    replies: tuple[tuple[str, Source], ...]
    test: Source
    tokenizer: Tokenizer


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    pool: Pool | Files
    student: Transformer
    teacher: Transformer | None
    length: int = 64  # tokens of a row
    prompt: int = 40  # tokens of a query with its message
    limit: int = 30  # tokens of a reply
    batch: int = 16
    teaching: tuple[int, int] = (1000, 1200)  # steps of the assistant, and from there to the strong teacher
    shared: tuple[int, ...] = (200, 300, 600)  # steps of the student that all arms begin with
    steps: int = 300  # of an arm
    fixed: tuple[float, float] = (3e-3, 3e-3)  # learning rates of teacher and shared stages
    rates: tuple[float, ...] = (2e-3, 5e-3)
    temperature: float = 0.5
    margin: float = 0.02
    arms: tuple[str, ...] = (ORCA_1, ORCA_2, KEPT, STEPS, SHORT)
    seeds: tuple[int, ...] = (0, 1)
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        return self.pool.tokenizer


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "pod":
        sizes = {"embed": 5120, "layers": 40, "heads": 40, "mlp": 13_824, "length": 4096}
        large = llama(vocab=32_256, scan=True, remat="full", **sizes)
        told = (ORCA_1, TFDS("flan_1m_gpt4")), (ORCA_2, TFDS("orca2_erased"))
        files = Files((TFDS("flan_v2"), TFDS("flan_5m_chatgpt")), told, TFDS("bbh_queries", "test"), BPE(32_001))
        return Config(
            files, large, None, length=4096, prompt=3072, limit=1024, batch=256, shared=(1000, 5860), steps=2800,
            fixed=(0.0, 1e-5), rates=(1e-5,), arms=(ORCA_1, ORCA_2), seeds=(0,), save_every=500,
            precision=Precision(compute="bfloat16"),
        )  # fmt: skip
    small = name == "smoke"
    graph = FactGraph(entities=20, relations=4, degree=4, apart=0.02, untold=0.3)
    pool = strategy_pool(graph, (60, 40, 8, 8) if small else (3000, 400, 60, 100), texts=not small)
    student = llama(vocab=pool.tokenizer.vocab, embed=64, layers=3, heads=4, mlp=128, length=64, tied=True)
    if small:
        tiny = replace(student, embed=16, layers=1, heads=2, mlp=32)
        sizes = {"batch": 8, "teaching": (60, 60), "shared": (4, 8, 8), "steps": 6, "rates": (1e-2,), "seeds": (0,)}
        return Config(pool, tiny, replace(tiny, embed=24), fixed=(2e-2, 1e-2), **sizes)
    return Config(pool, student, replace(student, embed=96, mlp=192))


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """Teachers and their replies, the student's shared stages, then every arm, its rate chosen with the first seed."""
    found = Found(cfg)
    given = replies_of(run, cfg, found)
    begun = shared(run, cfg, given)
    for arm in cfg.arms:
        for seed in cfg.seeds:
            tried = {}
            for rate in [found.rates[arm]] if arm in found.rates else cfg.rates:
                optimizer = adamw(rate, warmup=0.05, decay="linear", clip=1.0)
                name, data = f"{slug(arm)}/{seed}/{rate:g}", given[arm].rows(cfg, seed)
                how = {"precision": cfg.precision, "save_every": cfg.save_every, "seed": seed}
                tried[rate] = run.train(
                    Stage(name, cfg.student, causal_lm, optimizer, data, cfg.steps, **how), begun[-1]
                )
            scores = {rate: right_on_dev(run, cfg, net) for rate, net in tried.items()} if len(tried) > 1 else {}
            best = max(tried, key=lambda rate: scores.get(rate, 0.0))
            if arm not in found.rates:
                found.rates[arm], found.tried[arm] = best, scores
                found.searches[arm] = tuple(net for rate, net in tried.items() if rate != best)
            results = (*begun, tried[best])
            charged = (*found.searches[arm], *given[ASSISTANT].charged, *given[arm].charged)
            found.arms.setdefault(arm, {})[seed] = charged_once(results, charged)
            test_of(run, cfg, found, arm, seed, tried[best])
        if arm == ORCA_1 and isinstance(cfg.pool, Pool):
            found.choices["student"] = choice(run, cfg, "student", found.arms[arm][cfg.seeds[0]].results[-1])
    return report(found)


@dataclass(frozen=True)
class Corpus:
    """Prompts and replies, and what they took."""

    made: Any = None  # an artifact of documents
    file: Source | None = None
    charged: tuple[Any, ...] = ()

    def rows(self, cfg: Config, seed: int) -> Data:
        """Several documents a row."""
        if self.file is not None:
            return packed(cfg, self.file, ("prompt", "response"), seed=seed)
        own = {"of": self.made.fingerprint, "arrays": self.made.value}
        return Packed(**own, batch=cfg.batch, length=cfg.length, seed=seed)


def replies_of(run: Any, cfg: Config, found: Found) -> dict[str, Corpus]:
    """Teachers are trained and asked, S* is chosen, messages are erased; or replies are there."""
    if isinstance(cfg.pool, Files) or cfg.teacher is None:
        known = {name: Corpus(file=source) for name, source in cfg.pool.replies}
        return known | {ASSISTANT: Corpus(file=cfg.pool.stages[-1])}
    pool = cfg.pool
    data = Mixture(parts=(packed(cfg, pool.queries("taught", ANY), ("prompt", "full")), facts(cfg)), weights=(9, 1))
    optimizer, nets = adamw(cfg.fixed[0], warmup=0.05, decay="linear", clip=1.0), []
    for name, steps in zip((ASSISTANT, "strong"), cfg.teaching, strict=True):
        nets.append(run.train(Stage(name, cfg.teacher, causal_lm, optimizer, data, steps), *nets[-1:]))
    found.choices["teacher"] = choice(run, cfg, "strong", nets[-1])
    star = found.choices["teacher"][0]

    def drawn(name: str, number: int, *made_by: Any) -> Any:
        sizes, queries = (how(cfg), cfg.prompt, cfg.limit, number), len(pool.queries("asked"))
        flops = queries * reply_flops(cfg.teacher, cfg.prompt, cfg.limit)
        found.corpora[name] = run.make(f"replies/{slug(name)}", *made_by, *sizes, flops=flops,
                                       sampled_tokens=drawn_tokens)  # fmt: skip
        return found.corpora[name]

    def asked(name: str, number: int, net: Any, strategy: str) -> Any:
        own = pool.queries("asked", strategy)
        return drawn(name, number, teacher_corpus, net, cfg.tokenizer, own, own)

    first = asked(ASSISTANT, 0, nets[0], ANY)
    given = {ASSISTANT: Corpus(first, charged=(nets[0], first))}
    plain = {name: asked(name, 1, nets[1], own) for name, own in ((ORCA_1, ANY), (STEPS, COT), (SHORT, DIRECT))}
    plain[KEPT] = drawn(KEPT, 1, corpus_as_chosen, star, nets[1], cfg.tokenizer, pool.queries("asked"))
    for name, made in plain.items():
        picks = found.choices["teacher"] if name == KEPT else ()
        given[name] = Corpus(made, charged=(*nets, made, *picks))
    for name, source in ((STEPS, STEPS), (SHORT, SHORT), (ORCA_2, KEPT)):
        given[name] = replace(given[source], made=without_messages(run, cfg, name, plain[source]))
    return given


def choice(run: Any, cfg: Config, name: str, net: Any) -> tuple[Any, ...]:
    """The strategy of every task for a network, by replies to validation queries, and these replies."""
    tables = []
    for strategy in STRATEGIES:
        queries = cfg.pool.queries("dev", strategy)
        flops = len(queries) * reply_flops(net.model, cfg.prompt, cfg.limit)
        sizes = (cfg.tokenizer, queries, how(cfg), cfg.prompt, cfg.limit, 0)
        tables.append(run.make(f"{name}/{strategy}", answered, net, *sizes, flops=flops, sampled_tokens=sampled))
    return run.make(f"{name}/strategies", chosen, STRATEGIES, cfg.margin, *tables), *tables


def without_messages(run: Any, cfg: Config, name: str, made: Any) -> Any:
    return run.make(f"erased/{slug(name)}", corpus_erased, made, cfg.tokenizer, cfg.pool.queries("asked"))


def shared(run: Any, cfg: Config, given: dict[str, Corpus]) -> tuple[Any, ...]:
    """The student's stages before the arms: a checkpoint like LLaMA's, gold answers, the assistant's replies."""
    pool = cfg.pool
    if isinstance(pool, Files):
        data: list[Data] = [packed(cfg, pool.stages[0], ("prompt", "response"))]
    else:
        queries = pool.queries("asked")
        texts = Mixture(parts=(facts(cfg), packed(cfg, queries, ("question",))), weights=(1, 1))
        data = [texts, packed(cfg, queries, ("prompt", "short"))]
    data.append(given[ASSISTANT].rows(cfg, 0))
    optimizer, results = adamw(cfg.fixed[1], warmup=0.05, decay="linear", clip=1.0), []
    names = ("checkpoint", "answers", "assistants_replies")[-len(data) :]
    for name, own, steps in zip(names, data, cfg.shared, strict=True):
        more = {"precision": cfg.precision, "save_every": cfg.save_every}
        results.append(run.train(Stage(name, cfg.student, causal_lm, optimizer, own, steps, **more), *results[-1:]))
    return tuple(results)


def packed(cfg: Config, source: Source, fields: tuple[str, ...], **more: Any) -> PackedAnswers:
    sizes = {"tokenizer": cfg.tokenizer, "batch": cfg.batch, "length": cfg.length}
    return PackedAnswers(source=source, fields=fields, **sizes, **more)


def facts(cfg: Config) -> PackedAnswers:
    return packed(cfg, FactTexts(cfg.pool.facts), ("text",))


def how(cfg: Config) -> Sampling:
    return Sampling(temperature=cfg.temperature)


# --- replies ---

reply_flops = functools.cache(continuing_flops)


def right_on_dev(run: Any, cfg: Config, net: Any) -> float:
    """Right replies to validation queries under the generic message, in %; NaN while planning."""
    sizes = (cfg.tokenizer, cfg.pool.queries("dev"), GREEDY, cfg.prompt, cfg.limit, 0)
    made = run.make(f"{net.name}/dev", answered, net, *sizes)
    return averaged(made.value) if made.value else float("nan")


def test_of(run: Any, cfg: Config, found: Found, arm: str, seed: int, net: Any) -> None:
    """All test queries under the generic message; those that kept messages also under S*."""
    asked = cfg.pool.test if isinstance(cfg.pool, Files) else cfg.pool.queries("test")
    sizes = (net, cfg.tokenizer, asked, GREEDY, cfg.prompt, cfg.limit, 0)
    found.answers.setdefault(arm, {})[seed] = run.make(f"{net.name}/test", answered, *sizes)
    if arm == KEPT:
        made = run.make(f"{net.name}/told", answered_as_chosen, found.choices["teacher"][0], *sizes)
        found.answers.setdefault(TOLD, {})[seed] = made


# --- report ---


@dataclass(frozen=True)
class Found:
    """What was trained and measured."""

    cfg: Config
    choices: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    corpora: dict[str, Any] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    tried: dict[str, dict[float, float]] = field(default_factory=dict)
    searches: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    arms: dict[str, dict[int, Arm]] = field(default_factory=dict)
    answers: dict[str, dict[int, Any]] = field(default_factory=dict)

    def right(self, arm: str, task: str | None = None) -> list[float]:
        """Right replies to test queries in %, the mean over tasks or of one; one a seed."""
        return [averaged(made.value, task) for made in self.answers.get(arm, {}).values() if made.value]

    def tokens(self, arm: str) -> list[float]:
        """Tokens said a test query, the mean over tasks; one a seed."""
        values = [made.value for made in self.answers.get(arm, {}).values() if made.value]
        return [averaged({**value, "right": value["tokens"]}) / 100 for value in values]

    def agreement(self, arm: str) -> list[float]:
        """Test queries replied to by the strategy S* of their task in %, the mean over tasks; one a seed."""
        values = [made.value for made in self.answers.get(arm, {}).values() if made.value]
        if not values or "teacher" not in self.choices:
            return []
        best = self.choices["teacher"][0].value["best"]
        return [averaged({**value, "right": [best[kind] == own for kind, own in
                                             zip(value["family"], value["strategy"], strict=True)]})
                for value in values]  # fmt: skip


def averaged(value: Any, task: str | None = None) -> float:
    """The mean over tasks of the share of right replies, or of one task, in %."""
    right, kinds = np.array(value["right"], float), np.array(value["family"])
    return 100 * float(np.mean([right[kinds == kind].mean() for kind in ([task] if task else sorted(set(kinds)))]))


def guessed(pool: Pool, task: str | None = None) -> float:
    """What saying the most frequent answer of each task to its test queries is right for, as `averaged`."""
    queries = pool.queries("test")
    asked = [(queries[i]["family"], queries[i]["label"]) for i in range(len(queries))]
    common = {kind: Counter(label for own, label in asked if own == kind).most_common(1)[0][0] for kind, _ in asked}
    right = [common[kind] == label for kind, label in asked]
    return averaged({"right": right, "family": [kind for kind, _ in asked]}, task)


def judged(found: Found) -> tuple[Any, ...]:
    """The claims, by the rules of the docstring."""

    def said(values: Any, unit: str, *arms: str) -> str | None:
        known = [(arm, shown(values(arm) or [np.nan], ".1f")) for arm in arms]
        return None if None in dict(known).values() else ", ".join(f"{arm} {own}{unit}" for arm, own in known)

    right = {arm: mean(found.right(arm)) for arm in (ORCA_2, KEPT, *RIVALS)}
    known = isinstance(found.cfg.pool, Pool) and not np.isnan(right[ORCA_2])
    chance = guessed(found.cfg.pool) if known else np.nan
    told = said(found.right, " %", ORCA_2, *RIVALS)
    best = set(found.choices["teacher"][0].value["best"].values()) if known else set()
    return (
        claim(
            "A strategy for each task is better than one for all, and than many at random",
            paper="AGIEval: Orca 2 13B 49.9, LLaMA-2-Chat 70B 46.7 (from memory)",
            measured=told and f"{told}, {GUESS} {chance:.1f} %",
            margin="2 points or more above the best other one, means over tasks and seeds; above frequent answers",
            holds=right[ORCA_2] >= max(right[arm] for arm in RIVALS) + 2 and right[ORCA_2] > chance,
        ),
        claim(
            "The student chooses the strategy itself",
            paper="argued, not measured",
            measured=said(found.agreement, " %", ORCA_2),
            margin="85 % or more of replies follow S*, unnamed, and S* is three strategies or more",
            holds=mean(found.agreement(ORCA_2)) >= 85 and len(best) >= 3,
        ),
        claim(
            "Fewer tokens than with all steps everywhere",
            paper="argued, not measured",
            measured=said(found.tokens, " tokens", ORCA_2, STEPS),
            margin="fewer a query, and not fewer right replies, means over tasks and seeds",
            holds=mean(found.tokens(ORCA_2)) < mean(found.tokens(STEPS)) and right[ORCA_2] >= right[STEPS],
        ),
        claim(
            "Erasing the message is what lets it do without",
            paper="argued, not measured",
            measured=said(found.right, " %", ORCA_2, KEPT, TOLD),
            margin="2 points or more above not erased, both under the generic message",
            holds=right[ORCA_2] >= right[KEPT] + 2,
        ),
    )


def report(found: Found) -> Report:
    """Accuracies by task, strategies and how good they are, the rates, and the claims."""
    cfg = found.cfg
    return EXPERIMENT.report(
        judged(found),
        link="https://arxiv.org/abs/2311.11045",
        arms=by_seed(found.arms, ORCA_1),
        tables=() if isinstance(cfg.pool, Files) else tables(found, cfg.pool),
        baseline=ORCA_1,
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )


def tables(found: Found, pool: Pool) -> tuple[Table, ...]:
    """What was measured beside the claims."""
    tasks, arms = [task.name for task in pool.test], list(found.answers)

    def by_task(arm: str, column: str) -> list[float]:
        task = None if column == "all" else column
        return found.right(arm, task) if arm != GUESS else [guessed(pool, task)]

    def habits(arm: str, column: str) -> list[float]:
        return found.tokens(arm) if column == "tokens" else found.agreement(arm)

    strategies = []
    for who, (picked, *_) in found.choices.items():
        for task in tasks if picked.value else ():
            own = picked.value["right"][task]
            strategies.append((who, task, *(own.get(name) for name in STRATEGIES), picked.value["best"][task]))
    corpora = []
    for name, made in found.corpora.items():
        value, kinds = made.value, np.repeat(tasks, pool.each[1])
        own = [float(value["right"][kinds == task].mean()) for task in tasks] if value else [None] * len(tasks)
        more = (float(value["ended"].mean()), float(value["drawn"].mean())) if value else (None, None)
        corpora.append((name, *own, *more))
    tried = [f"{rate:g}" for rate in found.cfg.rates]
    note = "In %: mean ± standard deviation over seeds."
    rated = tuple((arm, *(own.get(rate) for rate in found.cfg.rates)) for arm, own in found.tried.items())
    return (
        table_of_means("Right replies to test queries", [*arms, GUESS], ["all", *tasks], by_task, scale=1.0, note=note),
        table_of_means("Replies to test queries by S*, in %, and their tokens", arms, ["by S*", "tokens"], habits,
                       scale=1.0, note="Means over tasks ± standard deviation over seeds."),
        Table("Right replies to validation queries by strategy", ("of", "task", *STRATEGIES, "chosen"),
              tuple(strategies), ("", "", *[".1%"] * len(STRATEGIES), ""),
              "Drawn as for students, of the strong teacher and of the student of Orca 1, first seed."),
        Table("Replies that students learn from", ("of", *tasks, "ended", "tokens"), tuple(corpora),
              ("", *[".1%"] * len(tasks), ".1%", ".1f"), "Share of right ones, as drawn, by task."),
        Table("Learning rates: right replies to validation queries", ("arm", *tried), rated,
              ("", *[".1f"] * len(tried)), "In %, mean over tasks, first seed, generic message."),
    )  # fmt: skip


NOTES = (
    "The teacher is a decoder of 0.33M parameters instead of GPT-4, the student one of 0.14M instead of LLaMA. The "
    "teacher obeys messages because it learned worked replies under each; the assistant, instead of ChatGPT, is its "
    "checkpoint after 1,000 of 2,200 steps. Under the generic message it learned a strategy drawn at random.",
    "Messages are a word each instead of instructions with hints, so S* is only which strategy. It suits a task that "
    "has what it writes down: facts to recall, parts of the question to quote. Steps are results on the way, facts are "
    "sentences that were read before, quotes are parts of the question. Those of trec are words frequent in its class.",
    "Tasks were laid down with different strategies in mind, as in the paper, but which one serves a task is measured.",
    "Equal tokens are tokens of rows, prompts among them: an arm of short replies sees its queries more often. "
    "The third stage has an arm's own replies alone; the paper's mixes Orca 1's million with Orca 2's.",
    "Facts are not in the queries: student and teacher read them as sentences, which stands for what LLaMA knows. "
    "Single facts that are asked for in the test were never asked for in training, but may be recalled for two hops.",
    "No question for development or test is in training. Of the student's different questions 75 % of sums and 43 % of "
    "ledgers and of chains are among the teacher's worked ones, as there are not many; of facts and hops none, of trec "
    "one. Of 548 test queries 31 are among those for development as well.",
    "Rates: the grid has two for every arm, so a chosen one is always at its edge. One seed decides. A seed draws the "
    "order of rows in the third stage; earlier stages, teachers and their replies are of one seed.",
    "Before, on development queries only: with 2 layers and a rate of 6e-3 a teacher was right for a third of sums and "
    "half of ledgers after 2,000 steps, and for chains of 26 letters no more than by chance; so models have 3 layers, "
    "rates are lower, numbers smaller, chains have 6 letters. Then, after 1,800 steps and at temperature 0.7, it was "
    "right for 38 % of sums of two or three operations and 55 % of ledgers at best, 87 % or more of facts, hops and "
    "chains, 62 % of trec; so sums have two operations, it has 400 more steps, and replies are drawn at 0.5.",
    "Charged to an arm: the shared stages, its own, the other rate, teachers with the replies that it and the shared "
    "stages use; Orca 2 and not erased also the replies to development queries that S* was chosen by. Replies to test "
    "queries and the student's table are charged to none.",
    "pod: replies come from files of prompts and responses whose messages are erased already, and all their rows are "
    "held in memory; answers are read behind `=>`, which test queries are to ask for. Rate and batch are not in what "
    "was read.",
)

EXPERIMENT = Experiment(
    name="orca2_cautious",
    title="Orca 2: a strategy for each task, and prompts that do not name it",
    reference="Mitra et al., 2023, arXiv 2311.11045",
    paper=77,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("orca2_cautious")
