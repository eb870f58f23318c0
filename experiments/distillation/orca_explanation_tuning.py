"""Orca: a small model learns from explanations of an intermediate teacher first, then from those of a strong one.

Paper    Mukherjee et al., Orca: Progressive Learning from Complex Explanation Traces of GPT-4, 2023, arXiv 2306.02707
         (dossier 054: the abstract was read; figures are from memory).
Claim    System messages make a large model explain its answers. A 13B model that is tuned on 5 million explanations of
         ChatGPT, then on 1 million of GPT-4, reasons better than one that imitates short answers (BBH: Vicuna 23.3,
         Orca 49.7), and better than one tuned on GPT-4's alone (AGIEval: 37.2 and 41.7).
Method   Queries of 18 tasks (6 families, 3 wordings each), a task drawn uniformly until its quota is used up; a system
         message drawn for each, of those that suit the family: empty, answer only, step by step, justify, explain.
         Teachers are decoders trained on worked examples of their own: `strong` on examples with every step,
         `assistant`, smaller, on fewer examples in brief, but for more updates (1,000; strong 800). Their replies are
         drawn at temperature 0.7, wrong ones are kept. Student: a smaller decoder after some steps on queries without
         replies and on facts; loss on replies alone, several documents a row, which attention and positions keep apart.
         Arms of equal tokens:
         Orca           3,000 replies of the assistant, then the strong teacher's to 600 of the same queries
         answers only   the strong teacher's answers to all 3,000, under the same messages
         strong only    the strong teacher's 600 explanations, more epochs
         mixture        both at once, in the same shares; `strong first`: the other way round
         Learning rates of each arm by accuracy on development queries, first seed, one grid for all.
         Families: word problems, chains of variables, two-hop facts, counted letters (reasoning), sst2, trec.
Run      stagejax run orca_explanation_tuning                 laptop: 29 minutes on two busy cores, idle fewer
         stagejax run orca_explanation_tuning --preset smoke  seconds
         stagejax plan orca_explanation_tuning --preset pod --mesh data=16,fsdp=16
Holds if on held-out queries under the empty message, at most 64 tokens, exact match averaged over families, means over
         seeds: (1) Orca is 5 points or more above answers only on the four reasoning families; (2) 1 point or more
         above strong only on all; (3), the paper's argument without a figure of its own, not below mixture and strong
         first on all.
Ours     2 seeds of the order of rows; right replies in %, all families and reasoning:
         Orca 33.5 ± 0.3, 29.5 ± 0.6; answers only 35.3 ± 0.1, 23.1 ± 0.3; strong only 30.7 ± 0.4, 25.2 ± 0.8;
         mixture 28.3 ± 0.3, 21.8 ± 0.3; strong first 31.5 ± 1.5, 23.4 ± 1.7; most frequent answers 34.0, 30.8.
         (1), (2) and (3) hold by their rules, and still no student has learned to reason: the most frequent answer of
         each family is right more often on reasoning than any arm, and on all answers only alone is above it, by
         question types (trec 64.7 ± 0.9, Orca 30.0 ± 1.9). Arms differ in how well they guess; nothing is said
         about explanations before students are larger or learn for longer. On development queries Orca is not ahead
         of answers only (29.8 and 31.1, all families), nor of strong first (29.8).
         Teachers are right on 61.7 (strong) and 43.1 (assistant) of test queries, neither on two-hop facts (6.3, 11.1).
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.data import BPE, TFDS, Mixture, Source
from stagejax.data.knowledge.two_hop import FactGraph
from stagejax.data.language.packed_answers import PackedAnswers
from stagejax.data.language.packing import Packed
from stagejax.data.pipeline import Data
from stagejax.data.prompts.answers import PromptedText
from stagejax.data.prompts.query_pool import REASONING, Files, Pool, generated, with_texts
from stagejax.data.prompts.system_messages import ANSWER, ANSWER_ONLY, EMPTY, MARKS, MESSAGES, Numbered, Queries
from stagejax.data.reasoning.worked import FactTexts
from stagejax.data.tokenizers import SEP, SPECIAL, Tokenizer
from stagejax.decode.steps import FinalAnswer
from stagejax.inference.answering import Answering
from stagejax.inference.continuing import GREEDY, Sampling, continuing_flops
from stagejax.inference.prompts.teacher_corpus import drawn_tokens, examined, teacher_corpus
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means

ORCA, ANSWERS, ALONE, MIXTURE, REVERSED = "Orca", "answers only", "strong only", "mixture", "strong first"
ASSISTANT, STRONG, SHORT = "assistant", "strong", "strong, answers"
GUESS = "most frequent answers"

#: What each arm learns from, phase by phase.
PHASES = {
    ORCA: ((ASSISTANT,), (STRONG,)),
    ANSWERS: ((SHORT,),),
    ALONE: ((STRONG,),),
    MIXTURE: ((ASSISTANT, STRONG),),
    REVERSED: ((STRONG,), (ASSISTANT,)),
}


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    pool: Pool | Files
    student: Transformer
    teachers: tuple[Transformer, Transformer] | None  # strong and assistant
    length: int = 128  # tokens of a row
    prompt: int = 44  # tokens of a query with its message
    limit: int = 64  # tokens of a reply
    batch: int = 16
    base: int = 100  # steps on queries and facts
    teaching: tuple[int, int] = (800, 1000)  # steps of strong and assistant
    steps: tuple[int, int] = (250, 50)  # of the two phases
    fixed: tuple[float, float, float] = (3e-3, 3e-3, 3e-3)  # learning rates of base, strong and assistant
    rates: tuple[float, ...] = (3e-3, 8e-3)
    temperature: float = 0.7
    arms: tuple[str, ...] = tuple(PHASES)
    seeds: tuple[int, ...] = (0, 1)
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        return self.pool.tokenizer


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "pod":
        sizes = {"embed": 5120, "layers": 40, "heads": 40, "mlp": 13_824, "length": 2048}
        large = llama(vocab=32_256, scan=True, remat="full", **sizes)
        told = ((ASSISTANT, TFDS("flan_5m_chatgpt")), (STRONG, TFDS("flan_1m_gpt4")))
        files = Files(told, TFDS("bbh_queries", "test"), BPE(32_001))
        return Config(
            files, large, None, length=2048, prompt=1536, limit=512, batch=512, base=1, steps=(14_500, 2900),
            fixed=(2e-5, 0.0, 0.0), rates=(2e-5,), arms=(ORCA, ALONE), seeds=(0,), save_every=500,
            precision=Precision(compute="bfloat16"),
        )  # fmt: skip
    if name == "smoke":
        pool = generated(FactGraph(entities=8, relations=4, degree=3, untold=0.2), 40, 30, 8)
    else:
        pool = with_texts(generated(FactGraph(entities=24, relations=8, degree=5, untold=0.25), 3000, 900, 100))
    vocab = pool.tokenizer.vocab
    student = llama(vocab=vocab, embed=64, layers=2, heads=4, mlp=128, length=128, tied=True)
    if name == "smoke":
        tiny = replace(student, embed=16, layers=1, heads=2, mlp=32)
        sizes = {"batch": 4, "base": 4, "teaching": (40, 10), "steps": (10, 4), "rates": (1e-2,), "seeds": (0,)}
        return Config(pool, tiny, (replace(tiny, embed=24), tiny), limit=40, **sizes)
    return Config(pool, student, (replace(student, embed=128, layers=3, mlp=256), student))


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """The student's checkpoint, the teachers' replies, then every arm, its rate chosen with the first seed."""
    found = Found(cfg)
    given = replies_of(run, cfg, found)
    start = run.train(pretraining(cfg))
    for seed in cfg.seeds:
        for arm in cfg.arms:
            at = f"{seed}/{slug(arm)}"
            tried = {
                rate: trained(run, cfg, f"{at}/{rate:g}", arm, given, rate, seed, start)
                for rate in ([found.rates[arm]] if arm in found.rates else cfg.rates)
            }
            scores = {rate: accuracy(stages[-1]) for rate, stages in tried.items()}
            best = max(scores, key=lambda rate: scores[rate])
            if arm not in found.rates:
                found.rates[arm], found.tried[arm] = best, scores
                found.searches[arm] = tuple(result for rate, own in tried.items() if rate != best for result in own)
            taught = tuple(result for phase in PHASES[arm] for name in phase for result in given[name].charged)
            results = (start, *tried[best])
            found.arms.setdefault(arm, {})[seed] = Arm("", results, (*found.searches[arm], *taught))
            ask_all(run, cfg, found, arm, seed, at, results[-1])
    return report(found)


@dataclass(frozen=True)
class Corpus:
    """Replies of a teacher, and what they took."""

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
    """Teachers are trained and asked; or what they said is there."""
    if isinstance(cfg.pool, Files) or cfg.teachers is None:
        return {name: Corpus(file=source) for name, source in cfg.pool.replies}
    pool, (strong, assistant) = cfg.pool, cfg.teachers
    many, few = pool.queries(), pool.queries(few=True)
    large = run.train(teaching(cfg, "strong", strong, Queries(pool.taught), "full", 0))
    small = run.train(teaching(cfg, "assistant", assistant, Queries(pool.taught, pool.fewer), "brief", 1))
    how = Sampling(temperature=cfg.temperature)
    told = {
        ASSISTANT: (small, many, many, cfg.limit),
        STRONG: (large, few, few, cfg.limit),
        SHORT: (large, many, pool.queries(message=ANSWER_ONLY), 8),
    }
    given = {}
    for seed, (name, (net, queries, asked, limit)) in enumerate(told.items()):
        sizes = (how, cfg.prompt, limit, seed)
        flops = pool.few if queries is few else pool.size
        flops *= continuing_flops(net.model, cfg.prompt, limit)
        drawn = {"flops": flops, "sampled_tokens": drawn_tokens}
        made = run.make(f"replies/{slug(name)}", teacher_corpus, net, cfg.tokenizer, queries, asked, *sizes, **drawn)
        given[name] = Corpus(made, charged=(net, made))
        found.teachers[name] = (asked, made)
    for name, net in (("strong", large), ("assistant", small)):
        found.examined[name] = run.make(f"{name}/test", examined, net, cfg.tokenizer, Queries(pool.test, message=EMPTY),
                                        GREEDY, cfg.prompt, cfg.limit, 0)  # fmt: skip
    return given


def teaching(cfg: Config, name: str, net: Transformer, taught: Queries, said: str, place: int) -> Stage:
    """A teacher, on worked examples and facts."""
    optimizer = adamw(cfg.fixed[1 + place], warmup=0.05, decay="linear", clip=1.0)
    data = Mixture(parts=(packed(cfg, taught, ("prompt", said)), facts(cfg)), weights=(8, 2))
    return Stage(name, net, causal_lm, optimizer, data, cfg.teaching[place], evaluate=dev_queries(cfg, net))


def pretraining(cfg: Config) -> Stage:
    """What stands for the checkpoint of LLaMA: queries without replies, and facts; or text of any kind."""
    optimizer = adamw(cfg.fixed[0], warmup=0.05, clip=1.0)
    if isinstance(cfg.pool, Files):
        data: Data = packed(cfg, cfg.pool.replies[0][1], ("prompt",))
    else:
        data = Mixture(parts=(packed(cfg, cfg.pool.queries(), ("question",)), facts(cfg)), weights=(1, 1))
    return Stage("checkpoint", cfg.student, causal_lm, optimizer, data, cfg.base, precision=cfg.precision)


def packed(cfg: Config, source: Source, fields: tuple[str, ...], **more: Any) -> PackedAnswers:
    how = {"tokenizer": cfg.tokenizer, "batch": cfg.batch, "length": cfg.length}
    return PackedAnswers(source=source, fields=fields, **how, **more)


def facts(cfg: Config) -> PackedAnswers:
    return packed(cfg, FactTexts(cfg.pool.facts), ("text",))


def trained(
    run: Any, cfg: Config, name: str, arm: str, given: dict[str, Corpus], rate: float, seed: int, start: Any
) -> tuple[Any, ...]:
    """The phases of an arm, each with a schedule of its own; all arms have as many steps."""
    own, results = dict(zip((ASSISTANT, STRONG), cfg.steps, strict=True)), []
    for number, phase in enumerate(PHASES[arm], 1):
        parts = tuple(given[corpus].rows(cfg, seed) for corpus in phase)
        data = parts[0] if len(parts) == 1 else Mixture(parts=parts, weights=cfg.steps)
        steps = own[phase[0]] if len(PHASES[arm]) == 2 else sum(cfg.steps)
        optimizer = adamw(rate, warmup=0.05, decay="linear", clip=1.0)
        how = {"precision": cfg.precision, "save_every": cfg.save_every, "seed": seed}
        how["evaluate"] = dev_queries(cfg, cfg.student)
        stage = Stage(f"{name}/{number}", cfg.student, causal_lm, optimizer, data, steps, **how)
        results.append(run.train(stage, results[-1] if results else start))
    return tuple(results)


# --- replies ---


def dev_queries(cfg: Config, net: Transformer) -> Evaluation | None:
    """Greedy replies to development queries under the empty message."""
    if isinstance(cfg.pool, Files):
        return None
    source = Numbered(Queries(cfg.pool.dev, message=EMPTY), cfg.pool.labels)
    how = Answering(marked(cfg), cfg.prompt + cfg.limit, cfg.limit, ((SEP,),))
    data = PromptedText(source=source, tokenizer=cfg.tokenizer, batch=64, length=cfg.prompt, field="prompt")
    return Evaluation(data, max(1, len(source) // 64), None, how, flops=64 * answer_flops(how, net, cfg.prompt))


def marked(cfg: Config) -> FinalAnswer:
    """An answer is right where it follows its mark and the reply ends: labels have the first ids, marks the next."""
    labels = len(cfg.pool.labels)
    return FinalAnswer(marker=SPECIAL + labels + MARKS.index(ANSWER), zero=SPECIAL)


@functools.cache
def answer_flops(how: Answering, net: Transformer, prompt: int) -> float:
    return how.flops(net, prompt)


def accuracy(result: Any) -> float:
    """On development queries; NaN while planning."""
    rows = result.history.evals
    return float(result.history.last("accuracy")) if rows else float("nan")


def ask_all(run: Any, cfg: Config, found: Found, arm: str, seed: int, at: str, net: Any) -> None:
    """All test queries under the empty message; with the first seed development queries under every message."""
    sizes = (GREEDY, cfg.prompt, cfg.limit, 0)
    if isinstance(cfg.pool, Files):
        asked: Source = cfg.pool.test
    else:
        asked = Queries(cfg.pool.test, message=EMPTY)
    made = run.make(f"{at}/test", examined, net, cfg.tokenizer, asked, *sizes)
    found.answers.setdefault(arm, {})[seed] = made
    if seed == cfg.seeds[0] and not isinstance(cfg.pool, Files):
        for message, name in enumerate(MESSAGES):
            dev = Queries(cfg.pool.dev, message=message)
            found.messages[arm, name] = run.make(f"{at}/{slug(name)}", examined, net, cfg.tokenizer, dev, *sizes)


# --- report ---


@dataclass(frozen=True)
class Found:
    """What was trained and measured."""

    cfg: Config
    rates: dict[str, float] = field(default_factory=dict)
    tried: dict[str, dict[float, float]] = field(default_factory=dict)
    searches: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    arms: dict[str, dict[int, Arm]] = field(default_factory=dict)
    answers: dict[str, dict[int, Any]] = field(default_factory=dict)
    messages: dict[tuple[str, str], Any] = field(default_factory=dict)
    teachers: dict[str, tuple[Queries, Any]] = field(default_factory=dict)
    examined: dict[str, Any] = field(default_factory=dict)

    def right(self, arm: str, families: tuple[str, ...] | None = None) -> list[float]:
        """Accuracy on test queries, the mean over families, in %; one a seed."""
        return [averaged(made.value, families) for made in self.answers.get(arm, {}).values() if made.value]


def averaged(value: Any, families: tuple[str, ...] | None = None) -> float:
    """The mean over families of the share of right replies, in %."""
    right, kinds = np.array(value["right"], float), np.array(value["family"])
    return 100 * float(np.mean([right[kinds == kind].mean() for kind in sorted(set(families or kinds.tolist()))]))


def guessed(pool: Pool, families: tuple[str, ...] | None = None) -> float:
    """What saying the most frequent answer of each family to all its test queries is right for, as `averaged`."""
    queries = Queries(pool.test)
    asked = [(queries[i]["family"], queries[i]["label"]) for i in range(len(queries))]
    common = {kind: Counter(label for own, label in asked if own == kind).most_common(1)[0][0] for kind, _ in asked}
    return averaged({"right": [common[kind] == label for kind, label in asked], "family": [own for own, _ in asked]},
                    families)  # fmt: skip


def judged(found: Found) -> tuple[Any, ...]:
    """The claims, by the rules of the docstring."""

    def said(families: tuple[str, ...] | None, *arms: str) -> str | None:
        known = [shown(found.right(arm, families) or [np.nan], ".1f") for arm in arms]
        if None in known:
            return None
        if isinstance(found.cfg.pool, Pool):
            arms, known = (*arms, GUESS), [*known, f"{guessed(found.cfg.pool, families):.1f}"]
        return ", ".join(f"{arm} {own} %" for arm, own in zip(arms, known, strict=True))

    reasons = [mean(found.right(arm, REASONING)) if arm in found.answers else np.nan for arm in (ORCA, ANSWERS)]
    orca, alone, mixed, reversed_ = (mean(found.right(arm)) for arm in (ORCA, ALONE, MIXTURE, REVERSED))
    return (
        claim(
            "Explanations teach reasoning better than answers alone",
            paper="BBH: Vicuna 23.3, Orca 49.7 (from memory)",
            measured=said(REASONING, ORCA, ANSWERS),
            margin="5 points or more on the reasoning families, means over seeds",
            holds=reasons[0] >= reasons[1] + 5,
        ),
        claim(
            "An intermediate teacher first is better than the strong one alone",
            paper="AGIEval: 41.7 and 37.2 (from memory)",
            measured=said(None, ORCA, ALONE),
            margin="1 point or more on all families, means over seeds",
            holds=orca >= alone + 1,
        ),
        claim(
            "From the easier teacher to the harder one is the better order",
            paper="argued, not measured",
            measured=said(None, ORCA, MIXTURE, REVERSED),
            margin="not below both at once, nor the other way round, on all families, means over seeds",
            holds=orca >= max(mixed, reversed_),
        ),
    )


def report(found: Found) -> Report:
    """Accuracies by family, message and length, how good the teachers are, the rates, and the claims."""
    cfg = found.cfg
    return EXPERIMENT.report(
        judged(found),
        link="https://arxiv.org/abs/2306.02707",
        arms=by_seed(found.arms, ALONE),
        tables=() if isinstance(cfg.pool, Files) else tables(found, cfg.pool),
        baseline=ALONE,
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )


def tables(found: Found, pool: Pool) -> tuple[Table, ...]:
    """What was measured beside the claims."""
    names, arms = [family.name for family in pool.test], list(found.arms)

    def by_family(arm: str, column: str) -> list[float]:
        families = {"all": None, "reasoning": REASONING}.get(column, (column,))
        if arm == GUESS:
            return [guessed(pool, families)] if found.right(arms[0]) else []
        return found.right(arm, families)

    def by_length(arm: str, column: str) -> list[float]:
        low, high = (int(part) for part in column.split("-"))
        made = [own.value for own in found.answers[arm].values() if own.value]
        return [100 * mean([right for right, n, kind in zip(v["right"], v["length"], v["family"], strict=True)
                            if low <= n <= high and kind in REASONING]) for v in made]  # fmt: skip

    def under(arm: str, message: str) -> list[float]:
        value = found.messages[arm, message].value
        return [averaged(value)] if value else []

    def of_teacher(teacher: str, column: str) -> list[float]:
        value = found.examined[teacher].value
        return [averaged(value, None if column == "all" else (column,))] if value else []

    corpora = []
    for name, (asked, made) in found.teachers.items():
        value = made.value
        kinds = np.array([asked[i]["family"] for i in range(len(asked))]) if value else np.array([])
        own = [float(value["right"][kinds == kind].mean()) if value else None for kind in names]
        more = (float(value["ended"].mean()), float(value["drawn"].mean())) if value else (None, None)
        corpora.append((name, len(kinds), *own, *more))
    note = "In %: mean ± standard deviation over seeds."
    tried = [f"{rate:g}" for rate in found.cfg.rates]
    return (
        table_of_means("Right replies to test queries, empty message", [*arms, GUESS], ["all", "reasoning", *names],
                       by_family, scale=1.0, note=note),
        table_of_means("By the number of steps, reasoning families", arms, ["1-1", "2-2", "3-3", "4-5"], by_length,
                       scale=1.0, note=note),
        table_of_means("By message, development queries, first seed", arms, list(MESSAGES), under, scale=1.0,
                       note="In %, mean over families."),
        Table("Replies that students learn from", ("teacher", "queries", *names, "ended", "tokens"), tuple(corpora),
              ("", "", *[".1%"] * len(names), ".1%", ".1f"), "Share of right ones, as drawn, by family."),
        table_of_means("Teachers on test queries, empty message", list(found.examined), ["all", *names], of_teacher,
                       scale=1.0, note="In %, likeliest replies."),
        Table("Learning rates: right replies to development queries", ("arm", *tried),
              tuple((arm, *own.values()) for arm, own in found.tried.items()), ("", *[".1%"] * len(tried)),
              "First seed; the highest is chosen."),
    )  # fmt: skip


NOTES = (
    "Teachers are decoders of 0.6M and 0.1M parameters instead of GPT-4 and ChatGPT; the smaller one is the student's "
    "size. They obey messages because worked examples do. The strong one learns from 14,600 examples with every step, "
    "the assistant from 6,000 with fewer steps (results without operations, the bridge without the facts).",
    "4 messages and the empty one instead of 16, a word each; frequencies are equal, but step by step is not drawn for "
    "sst2 and trec. An explanation of these names words of the text that are frequent in the class.",
    "Answers only has the strong teacher's answers to all 3,000 queries, where Orca has its explanations of 600: more "
    "of the strong teacher, as it costs little, and more epochs in as many tokens, as answers are short. Messages are "
    "the same in both, but ask for nothing there. Replies that do not end are left out for all.",
    "Equal tokens are tokens of rows, prompts among them. Arms of two phases begin schedule and moments anew in each.",
    "Facts of two hops are not in the queries: student and teachers read them as sentences of their own, which stands "
    "for what LLaMA knows.",
    "Of 3,727 different questions in the student's pool 666, most of them counts, are in the teachers' worked examples "
    "too, in the same words: of the 3,000 queries drawn 615. No question for development or test is in either in the "
    "same words; of trec one of the test is among worked examples in another wording. Of 626 test queries 18 are among "
    "those for development as well, 40 if wordings are ignored, most of them counts.",
    "Rates: the grid has two for every arm, so a chosen one is always at its edge, and a better one may lie outside. "
    "One seed decides, by the share of right replies to 256 of 287 development queries, not by the mean over families "
    "that claims are about. A seed draws the order of rows; checkpoint, teachers and their replies are of one seed.",
    "Before: with numbers to 12, 3 and 4 clauses, 300 facts and longer rows of letters the strong teacher was right on "
    "34 % of development queries after 500 steps, so questions were made shorter, and its steps 1,000. A first run was "
    "stopped in its second arm, as development queries lacked their message; of its students no reply was read. "
    "Its teachers' replies to the student's queries were: those of the assistant, after 400 steps on 3,000 examples, "
    "were right for 33 %, no more than by chance, so the assistant now has 1,000 steps on 6,000. To keep the run short "
    "the strong teacher now has 800 steps instead of 1,000 and students 300 instead of 400. So how far apart teachers "
    "are, on which the second claim hangs, was chosen after replies had been read.",
    "Claims compare arms with each other, as was laid down before. On laptop no arm is better on reasoning than the "
    "most frequent answer of each family, a row that was added after the run: claims that hold there do not show that "
    "any student reasons.",
    "Charged to an arm: checkpoint, own phases, the other rate, and the teachers with the replies that it uses. "
    "Replies to test queries are charged to none.",
    "pod: replies of both teachers come from files of prompts and responses, and all their rows are held in memory; "
    "answers are read behind `=>`, which test queries are to ask for. Rate and batch are not in what was read.",
)

EXPERIMENT = Experiment(
    name="orca_explanation_tuning",
    title="Orca: explanations of two teachers, one after the other",
    reference="Mukherjee et al., 2023, arXiv 2306.02707",
    paper=54,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("orca_explanation_tuning")
