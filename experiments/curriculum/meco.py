"""MeCo: documents are read behind the host that they are from, and without it in a last tenth of pre-training.

Paper    Gao et al., Metadata Conditioning Accelerates Language Model Pre-training, ICML 2025, arXiv 2501.01956
         (dossier 073).
Claim    A 1.6B model on 160B tokens with hosts for 90 % of the steps is as good downstream as one on 240B tokens
         without (56.7; 55.7 on 160B): a third less data. Without the cooldown it is worse than without hosts when none
         is given (50.3); a host given at inference helps further (57.2). Perplexity is not better.
Method   1. Steps 0 to 0.9 S: `<bos> "URL: " host "\\n\\n" text <eos>`, a host being a URL up to the first slash; the
            loss is on text and <eos> alone.
         2. Steps 0.9 S to S: plain documents of a disjoint tenth of the corpus. All else goes on: moments, schedule and
            step counter; only the data changes.
         Rows begin with a document, the last one is cut and dropped; attention and positions know their own document
         only. Beside it, at equal tokens a step, of which hosts take some: no hosts (in the same two slices), no
         cooldown (hosts to the end, on the same last slice), no hosts for half as many steps more. The preset `full`
         has also: hosts mixed with plain documents, 9 : 1, from the beginning; hashes for hosts; a loss on hosts; a
         cooldown of 5, 20, 30 %.
         Every arm is tested without hosts: (a) which of four endings follows a held-out text, the others from other
         sources or from its own; (b) linear probes of frozen features, for the source of held-out texts and for trec;
         (c) the loss, also on rare sources. Then (a) and (c) again behind the right host, and behind a wrong one.
Run      stagejax run meco                          laptop: four arms, three seeds; about 5 minutes on two cores
         stagejax run meco --preset full            all arms
         stagejax run meco --preset smoke           seconds
         stagejax plan meco --preset pod --mesh data=16,fsdp=16
Holds if MeCo is above no hosts, at equal steps, by 1 point or more in the mean of the four measures of (a) and (b),
         mean over three seeds, and no cooldown below no hosts. It is not below no hosts with half as many steps more.
         Behind the right host MeCo's loss on texts of sources that it has seen is lower by 2 % or more than behind
         none, and behind a wrong one higher; and it chooses endings better behind the right host than behind none.
Ours     Three seeds, 0.2 M parameters on 0.6 M tokens: the first, third and fourth claim do not hold at this scale.
         Mean of the four measures: no hosts 44.5 +/- 1.1 %, MeCo 43.7 +/- 1.1 (0.8 points lower), no cooldown 43.1 +/-
         0.3 (1.5 lower: holds), no hosts with 1.5 x the steps 48.2 +/- 1.1. Hosts take a tenth of so short rows, and
         training has only begun (half as many steps more are worth 0.37 nats). Loss without hosts 5.36, MeCo 5.45,
         no cooldown 5.52: worse, as in the paper. What is learned of hosts is used: behind the right one MeCo's loss is
         1.1 % lower (no cooldown's 3.3 %), behind a wrong one 0.5 % higher; of four endings, three of other sources, it
         then chooses 51.0 instead of 45.8 % right, and 2.3 points more on both kinds (holds); the model without hosts
         gains nothing. 592 seconds of CPU, about 5 minutes on two idle cores. `full` has not been run.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Precision, Stage
from stagejax.data import BPE, CLS, TFDS, Bytes, Data, Dataset, Mixture, Portion, Source, Stdlib, Tokenizer, codec
from stagejax.data.language.conditioned import ConditionedText
from stagejax.data.language.metadata import Metadata, hashed, host
from stagejax.data.language.passages import Passages, collected, name_of
from stagejax.data.published import C4
from stagejax.data.sources import Record
from stagejax.inference import Frozen
from stagejax.inference.choosing import Endings, draw_endings, ending_losses, first_is_least, probe_texts
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, by_seed, claim, mean, table_of_means

HOSTS, HASHES = Metadata(), Metadata(hashed)
CARRY = Handover(moments="carry", schedule="carry")


@dataclass(frozen=True)
class Course:
    """What an arm's documents are read behind, in its first stage and in its last."""

    first: Metadata | None = HOSTS
    last: Metadata | None = None
    cooldown: float = 0.1  # the last stage's share of the steps, and of the corpus
    steps: float = 1.0  # of those that arms have
    mixed: bool = False  # both in one stage, in the same shares
    learn: bool = False  # whether the words are targets


STANDARD, MECO, NO_COOLDOWN, LONGER = "no hosts", "MeCo", "no cooldown", "no hosts, 1.5 x steps"
ARMS = {
    STANDARD: Course(first=None),
    MECO: Course(),
    NO_COOLDOWN: Course(last=HOSTS),
    LONGER: Course(first=None, steps=1.5),
    "mixed": Course(mixed=True),
    "hashes": Course(first=HASHES),
    "loss on hosts": Course(learn=True),
    "cooldown 5 %": Course(cooldown=0.05),
    "cooldown 20 %": Course(cooldown=0.2),
    "cooldown 30 %": Course(cooldown=0.3),
}
MAIN = (STANDARD, MECO, NO_COOLDOWN, LONGER)
OTHERS, OWN, SOURCE, TASK = "ending, other sources", "ending, own source", "probe, source", "probe, task"
MEASURES = (OTHERS, OWN, SOURCE, TASK)
BEHIND = ("none", "right", "wrong")
PARTS = ("train", "train", "valid", "test")  # of the probe for sources, text by text


@dataclass(frozen=True)
class Task:
    """Short texts of a few classes."""

    source: Source
    label: str = "label"
    rows: int = 3000  # of training at most, every fourth for validation


@dataclass(frozen=True)
class Exam:
    """How an arm is tested: on held-out texts of the sources that have most of them."""

    context: int = 24  # tokens of a text that are given
    ending: int = 16  # tokens that come next
    words: int = 16  # most tokens of what is before a text
    sources: int = 40  # most sources
    least: int = 8  # texts of a source
    texts: int = 32  # of a source that are asked for their ending
    probed: int = 60  # of a source that its probe sees, half of them in training
    rare: float = 0.01  # share of the training texts below which a source is rare
    counted: int | None = None  # training texts of which that share is; None: all
    read: int | None = None  # held-out texts; None: all
    task: Task | None = field(default_factory=lambda: Task(Dataset("trec")))


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer = field(
        default_factory=lambda: llama(vocab=2048, embed=64, layers=2, heads=4, kv_heads=2, mlp=176, tied=True)
    )
    source: Source = field(default_factory=lambda: collected(Stdlib(limit=6_000_000)))
    tokenizer: Tokenizer = field(default_factory=lambda: BPE(2048))
    arms: tuple[str, ...] = MAIN
    length: int = 128  # tokens in a row
    batch: int = 16  # rows
    steps: int = 300
    peak: float = 3e-3  # learning rate, the paper's
    decay: float = 0.033  # of weights
    tested: int = 8  # batches of held-out rows
    every: int | None = 30  # steps between evaluations
    exam: Exam = field(default_factory=Exam)
    seeds: tuple[int, ...] = (0, 1, 2)
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, with more arms, or at the paper's scale."""
    base = Config()
    if name == "smoke":
        net = llama(vocab=260, embed=16, layers=1, heads=2, kv_heads=1, mlp=32, tied=True)
        source = Passages(Stdlib(limit=1_500_000), name_of, 120)
        exam = Exam(context=12, ending=8, words=48, sources=10, texts=4, probed=16, task=None)
        return replace(
            base, net=net, source=source, tokenizer=Bytes(), arms=tuple(ARMS), length=64, batch=8, steps=20, tested=2,
            every=None, exam=exam, seeds=(0,),
        )  # fmt: skip
    if name == "full":
        return replace(base, arms=tuple(ARMS))
    if name == "pod":
        net = llama(
            vocab=128_256, embed=2048, layers=24, heads=16, kv_heads=8, mlp=5504, rotary_theta=5e5, scan=True,
            remat="full",
        )  # fmt: skip
        task = Task(TFDS("trec"), "label-coarse")
        exam = Exam(64, 32, 24, 200, 16, 64, 100, rare=1e-4, counted=1_000_000, read=364_608, task=task)
        return replace(
            base, net=net, source=C4, tokenizer=BPE(128_256, train_bytes=2_000_000_000), arms=tuple(ARMS), length=8192,
            batch=512, steps=40_000, tested=4, every=2000, exam=exam, seeds=(0,), save_every=1000,
            precision=Precision(compute="bfloat16"),
        )  # fmt: skip
    return base


def pipeline(run: Any, cfg: Config) -> Report:
    """Every arm with every seed, and how it does in the exam."""
    arms: dict[str, dict[int, Arm]] = {}
    found: dict[str, list[dict[str, float] | None]] = {}
    for label in cfg.arms:
        for seed in cfg.seeds:
            name, course = f"{slug(label)}/{seed}", ARMS[label]
            stages = trained(run, cfg, course, name, seed)
            exam = (cfg.exam, cfg.source, cfg.tokenizer, course.first or HOSTS)
            arms.setdefault(label, {})[seed] = Arm(label, stages)
            found.setdefault(label, []).append(run.make(f"{name}/exam", examined, *exam, *stages).value)
    return report(cfg, arms, found)


# --- stages ---


def trained(run: Any, cfg: Config, course: Course, name: str, seed: int) -> tuple[Any, ...]:
    """The stages of an arm: segments of one run, the second on other documents and with all else carried."""
    steps, border = round(course.steps * cfg.steps), 1 - course.cooldown
    before = documents(cfg, Portion(cfg.source, stop=border), course.first, seed, course.learn)
    after = documents(cfg, Portion(cfg.source, start=border), course.last, seed)
    if course.mixed:
        both = Mixture(parts=(before, after), weights=(border, course.cooldown))
        return (run.train(recipe(cfg, name, both, steps, steps, seed)),)
    last = round(course.cooldown * steps)
    first = run.train(recipe(cfg, f"{name}/first", before, steps - last, steps, seed))
    stage = recipe(cfg, f"{name}/last", after, last, steps, seed)
    return first, run.train(replace(stage, handover=CARRY), first)


def documents(
    cfg: Config, source: Source, metadata: Metadata | None, seed: int, learn: bool = False
) -> ConditionedText:
    """Rows of documents behind the words about them, or behind none."""
    return ConditionedText(
        source=source, tokenizer=cfg.tokenizer, learned_from=cfg.source, batch=cfg.batch, length=cfg.length,
        metadata=metadata, learn_metadata=learn, seed=seed,
    )  # fmt: skip


def recipe(cfg: Config, name: str, data: Data, steps: int, horizon: int, seed: int) -> Stage:
    """What all arms share: one schedule over all stages, tested on documents behind no words."""
    plain = documents(cfg, cfg.source, None, 0).held_out(cfg.tested)
    return Stage(
        name=name,
        model=cfg.net,
        objective=causal_lm,
        optimizer=adamw(
            cfg.peak, warmup=0.05, end=0.1 * cfg.peak, clip=1.0, b2=0.95, weight_decay=cfg.decay, horizon=horizon
        ),
        data=data,
        steps=steps,
        evaluate=Evaluation(plain, cfg.tested, cfg.every),
        precision=cfg.precision,
        seed=seed,
        save_every=cfg.save_every,
    )


# --- exam ---


@dataclass(frozen=True, eq=False)
class Paper:
    """The exam's questions."""

    sources: tuple[str, ...]
    share: np.ndarray  # of the training texts, one a source
    endings: Endings
    probes: dict[str, tuple[Sequence[Any], ...]]  # texts, labels, and whether for training, validation or test


@functools.lru_cache(maxsize=2)
def paper(exam: Exam, source: Source, tokenizer: Tokenizer) -> Paper:
    """The same questions for all arms: of the sources with most held-out texts, in an order of their own."""
    held, code, size = source.of_split("test"), codec(tokenizer, source), exam.context + exam.ending
    texts: dict[str, list[np.ndarray]] = {}
    for record in first(held, exam.read):
        ids = code.encode([record["text"]])[0][:size]
        if len(ids) == size:
            texts.setdefault(host(record["url"]), []).append(ids)
    enough = sorted((name for name in texts if len(texts[name]) >= exam.least), key=lambda n: (-len(texts[n]), n))
    names, rng = enough[: exam.sources], np.random.default_rng(0)
    pools = [np.array(texts[name])[rng.permutation(len(texts[name]))] for name in names]
    counted = Counter(host(record["url"]) for record in first(source, exam.counted))
    share = np.array([counted[name] / counted.total() for name in names])
    known = np.flatnonzero(share).tolist()
    of_sources = [(t, p, PARTS[i % 4]) for p, pool in enumerate(pools) for i, t in enumerate(pool[: exam.probed])]
    probes = {SOURCE: tuple(zip(*of_sources, strict=True))}
    if exam.task is not None:
        train, test = exam.task.source, exam.task.source.of_split("test")
        rows = [(record, "valid" if i % 4 == 3 else "train") for i, record in enumerate(first(train, exam.task.rows))]
        rows += [(record, "test") for record in first(test)]
        coded = [(code.encode([record["text"]])[0], int(record[exam.task.label]), part) for record, part in rows]
        probes[TASK] = tuple(zip(*coded, strict=True))
    return Paper(tuple(names), share, draw_endings(pools, known, context=exam.context, each=exam.texts), probes)


def first(source: Source, most: int | None = None) -> Iterator[Record]:
    """The first records of a source."""
    return (source[index] for index in range(min(len(source), most or len(source))))


def examined(exam: Exam, source: Source, tokenizer: Tokenizer, metadata: Metadata, *stages: Any) -> dict[str, float]:
    """All measures of an arm, behind no words unless their names say so, and how many text tokens it was trained on."""
    net, asked, code = Frozen.of(stages[-1]), paper(exam, source, tokenizer), codec(tokenizer, source)
    words = [ids[: exam.words] for ids in code.encode([metadata.words(name) for name in asked.sources])]
    items, length = asked.endings, exam.words + exam.context + exam.ending
    known, rare = asked.share[items.owners] > 0, asked.share[items.owners] < exam.rare
    found = {}
    for behind, places in zip(BEHIND, (None, items.owners, items.strangers), strict=True):
        own = [[]] * len(items.owners) if places is None else [words[place] for place in places]
        starts = [np.array([CLS, *ids], np.int32) for ids in own]
        losses = ending_losses(net, starts, list(items.texts), length=length)
        contexts = [np.append(start, text[: exam.context]) for start, text in zip(starts, items.texts, strict=True)]
        options = [ending_losses(net, contexts, list(ends), length=length) for ends in items.options.swapaxes(0, 1)]
        right = {
            OTHERS: first_is_least(np.stack(options[:4], 1)),
            OWN: first_is_least(np.stack([options[0], *options[4:]], 1)),
        }
        found |= {f"{name}, {behind}": float(value[known].mean()) for name, value in ({"loss": losses} | right).items()}
        if behind == "none":
            found |= {name: float(value.mean()) for name, value in ({"loss": losses} | right).items()}
            found |= {"loss, rare": float(losses[rare].mean())} if rare.any() else {}
    for name, (texts, *rest) in asked.probes.items():
        found[name] = probe_texts(net, [np.append(CLS, text) for text in texts], *rest, length=length)
    return found | {"text tokens": sum(text_tokens(stage) for stage in stages)}


def text_tokens(result: Any, rows: int = 1024) -> float:
    """How many targets of a stage were text, by the share of them in its first rows."""
    data, steps = result.stage.data, result.stage.steps
    return float(data.take(np.arange(min(rows, steps * data.batch)))["weights"].mean()) * steps * data.tokens


# --- report ---


def report(cfg: Config, arms: dict[str, dict[int, Arm]], found: dict[str, list[dict[str, float] | None]]) -> Report:
    """Measures of every arm over the seeds, behind no host, the right and a wrong one, and the verdicts."""

    def over(label: str, measure: str) -> list[float]:
        own = [one for one in found.get(label, ()) if one is not None]
        if measure in MEANS:
            return [100 * mean([one[name] for name in MEANS[measure] if name in one]) for one in own]
        return [one.get(measure, math.nan) * (100 if measure.startswith(MEASURES) else 1) for one in own]

    def of_meco(measure: str) -> float:
        return mean(over(MECO, measure))

    behind = {name: of_meco(f"loss, {name}") / of_meco("loss, none") - 1 for name in BEHIND}
    helped = mean([of_meco(f"{name}, right") - of_meco(f"{name}, none") for name in (OTHERS, OWN)])
    claims = [
        claim(
            statement,
            paper=published,
            measured=(gap := mean(over(label, "mean")) - mean(over(against, "mean"))),
            unit="points",
            margin=f"{f'below {most}' if least < 0 else f'{least} or more'} in the mean of the four measures without "
            "hosts, mean over seeds",
            holds=least <= gap < most,
        )
        for statement, label, against, published, least, most in COMPARED
    ]
    claims += [
        claim(
            "A model that has seen hosts uses the one that it is given",
            paper="not measured so",
            measured=None if math.isnan(behind["right"]) else f"{behind['right']:+.1%} and {behind['wrong']:+.1%}",
            margin="MeCo's loss behind the right host, against none, lower by 2 % or more; behind a wrong one higher",
            holds=behind["right"] <= -0.02 and behind["wrong"] > 0,
        ),
        claim(
            "The right host helps it choose",
            paper="57.2 with a host in the prompt, 56.7 without",
            measured=helped,
            unit="points",
            margin="above 0 in the mean of both choices of endings, against no host",
            holds=helped > 0,
        ),
    ]
    room = of_meco("text tokens") / mean(over(STANDARD, "text tokens"))
    rare = f"rare ones have less than {cfg.exam.rare:.2%} of the training texts, or none"
    choices = [f"{measure}, {name}" for measure in (OTHERS, OWN) for name in BEHIND]
    tables = (
        ("Tests without hosts", (*MEASURES, *MEANS), 1, "In %; of endings, one in four is right by chance."),
        ("Losses without hosts", ("loss", "loss, rare"), 3, f"Nats a token, as many texts of every source; {rare}."),
        ("Losses behind hosts", [f"loss, {name}" for name in BEHIND], 3, "Nats; of sources that were trained on."),
        ("Endings behind hosts", choices, 1, "In %; of sources that were trained on."),
    )
    return EXPERIMENT.report(
        claims=tuple(claims),
        link="https://arxiv.org/abs/2501.01956",
        arms=by_seed(arms, STANDARD),
        tables=tuple(table_of_means(t, list(arms), c, over, scale=1, digits=d, note=n) for t, c, d, n in tables),
        baseline=STANDARD,
        seeds=cfg.seeds,
        notes=(*NOTES, f"In as many tokens MeCo read {room:.1%} of the text that the arm without hosts read."),
    )


MEANS = {"mean": MEASURES, "mean but for sources": (OTHERS, OWN, TASK)}
COMPARED = (  # the gap in points between two arms lies from one number to another
    ("Hosts for 90 % of the steps are better than none", MECO, STANDARD, "56.7 and 55.7 on ten tasks", 1, math.inf),
    ("Without the cooldown, hosts are worse than none", NO_COOLDOWN, STANDARD, "50.3 and 55.7", -math.inf, 0),
    ("Hosts are worth half as many steps more", MECO, LONGER, "56.7 on 160B and 240B tokens", 0, math.inf),
)
NOTES = (
    "The classes of one probe are the sources that hosts name in training, though nothing names them in the test: the "
    "first table has the mean without it as well.",
    "On the laptop documents are passages of at most 384 characters. Those of a file are all in training or all held "
    "out; wikitext2 and tinyshakespeare are split as they came, and the texts of agnews are passages already.",
    "The first stage of MeCo and of no cooldown is the same one, and counts in both.",
    "A batch without a target has the loss 0, where the original gives such a row its last ten targets. The norm of "
    "gradients is clipped at 1: the original's is not known. The learning rate is the paper's, in all arms.",
)

EXPERIMENT = Experiment(
    name="meco",
    title="MeCo: hosts before documents, and none in the last tenth",
    reference="Gao et al., ICML 2025, arXiv 2501.01956",
    paper=73,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("meco")
