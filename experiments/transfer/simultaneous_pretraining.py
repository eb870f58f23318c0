"""SimPT: BERT from scratch on a large and a small corpus at once, with a vocabulary in which both count alike.

Paper    Wada et al., Pre-training technique to localize medical BERT and enhance biomedical BERT, 2020, arXiv
         2005.07202 (dossier 098).
Claim    Where the corpus of a domain is small, pre-training on it and on general text together, both in equal amounts,
         with a vocabulary that is learned from the small corpus repeated, makes a better BERT of the domain: ouBioBERT
         has 83.8 (0.3) on BLUE, BioBERT, which goes on from general BERT, 82.8 (0.1); 0.3 points are the method's.
Method   0  Amplified vocabulary: WordPiece of the general corpus and of the small one repeated
            round(large / small) times.
         1  Each corpus is cut into shards of whole documents. A file of instances is made of 5 shards of the small one
            and 5 of the large one, so that small shards come again and again in other company, with new masks and new
            random next sentences. BERT learns masked tokens and next sentences on such files from fresh parameters.
         2  A fresh head on the mean of the tokens, the whole encoder tuned, for each task: three epochs.
         Arms at equal steps and rows: general text alone; the domain alone; general, then domain, half the steps each;
         both concatenated, not up-sampled; SimPT with the general vocabulary; SimPT. A vocabulary is learned from what
         its arm reads, of the sequential arm from its first text. Beside them tuning without pre-training.
Run      stagejax run simultaneous_pretraining                          laptop: 22 minutes on two shared cores
         stagejax run simultaneous_pretraining --preset smoke           seconds
         stagejax plan simultaneous_pretraining --preset pod --mesh data=16,fsdp=16
Holds if on the domain's task, mean of the seeds, SimPT is 1 point or more above concatenation and above general text
         alone, and not below any other arm; and its mean over the general tasks is at most 1 point below that of
         general text alone. First, pre-training on general text is above none on each task: else nothing is said.
Ours     Three seeds. Test accuracy in %, and nats a character of masked domain text that is held out:
                                        domain         trec         sst2       general       nats
         largest class                    25.7         27.6         50.1          38.8
         no pre-training            73.3 ± 1.8   64.7 ± 0.7  59.6 ± 10.0    62.2 ± 4.8
         general only               76.1 ± 0.9   69.4 ± 3.1   64.7 ± 0.7    67.1 ± 1.5       2.55
         domain only                78.9 ± 1.7   69.8 ± 0.8   65.3 ± 0.6    67.5 ± 0.7       1.66
         general, then domain       74.5 ± 2.4   69.1 ± 2.3   65.3 ± 0.3    67.2 ± 1.2       2.22
         concatenated               76.0 ± 1.2   69.7 ± 0.9   65.4 ± 1.5    67.5 ± 0.9       2.36
         SimPT, general vocabulary  77.0 ± 1.0   66.9 ± 2.0   66.0 ± 0.4    66.4 ± 0.9       2.27
         SimPT                      77.0 ± 0.7   68.9 ± 2.9   62.3 ± 2.1    65.6 ± 0.5       1.93
         Pre-training gives 2.8, 4.7 and 5.1 points over none (holds). In the domain SimPT is 1.0 ± 1.8 points above
         concatenation, just below the point asked, and 0.9 ± 1.6 above general text alone (neither holds); the domain
         alone is 1.9 ± 1.5 above it (does not hold). On general tasks it is 1.4 ± 1.2 below general text alone (does
         not hold). A run before, with one seed of three rivals, had SimPT 1.5 ± 0.5 above concatenation and no arm
         above it, by one test text: both held. One on another CPU turned two others. A word of the domain is 2.03
         tokens, 2.42 in the general vocabulary. 22 minutes on shared cores.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Handover, Precision, Stage
from stagejax.axes import Axes
from stagejax.data import Dataset, Portion, Source, Stdlib
from stagejax.data.abreast import Abreast, part
from stagejax.data.language.articles import Articles
from stagejax.data.language.docstrings import Docstrings
from stagejax.data.language.documentation import Documentation, DocumentedPackages
from stagejax.data.language.next_sentences import NextSentences
from stagejax.data.named import TFDS
from stagejax.data.published import WIKIPEDIA
from stagejax.data.selection.amplified import Amplified
from stagejax.data.sources import labels_of
from stagejax.data.tasks.labelled_text import LabelledText
from stagejax.data.tasks.text_tasks import TaskText, TextTask, synonym_tasks
from stagejax.data.together import Splits, Together
from stagejax.data.tokenizers import codec, texts
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.data.vocabulary.wordpiece import WordPiece
from stagejax.models import Transformer, bert
from stagejax.models.text.pooled import PooledClassifier
from stagejax.models.text.text_classifier import TextClassifier
from stagejax.names import slug
from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.text.next_sentence import masked_and_next
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.steps.joint import joint_step

NONE, GENERAL, DOMAIN, SEQUENTIAL = "no pre-training", "general only", "domain only", "general, then domain"
JOINED, OWN_WORDS, SIMPT = "concatenated", "SimPT, general vocabulary", "SimPT"
PRETRAINED = (GENERAL, DOMAIN, SEQUENTIAL, JOINED, OWN_WORDS, SIMPT)
TEXTS = ("general", "domain", "read")  # what is scored: held-out text, and domain text that was read
PACKAGES = (
    "tkinter", "idlelib", "asyncio", "email", "importlib", "logging", "xml", "multiprocessing", "unittest", "http",
)  # fmt: skip

Corpora = tuple[tuple[Source, int], ...]


def encyclopedia_news_answers() -> Source:
    """General text: articles, news, and questions with the sentences that may answer them."""
    news = TextTask("agnews", Dataset("agnews"), 4, "title", "text")
    answers = TextTask("qnli", Dataset("qnli"), 2, "question", "sentence")
    return Together((Articles(Dataset("wikitext2")), TaskText(news), TaskText(answers)))


def python_documentation(words: int, held: int, library: Source) -> Source:
    """A small technical domain: topics of help() and docstrings, with others behind them as the test split."""
    return Splits(Documentation(library, stop=words), Documentation(library, words, words + held))


LIBRARY = Stdlib(limit=60_000_000)  # all of it


@dataclass(frozen=True)
class Task:
    """A task that encoders are tuned for, and how many tokens of a text are read."""

    text: TextTask
    length: int


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    general: Source = field(default_factory=encyclopedia_news_answers)
    domain: Source = field(default_factory=lambda: python_documentation(60_000, 30_000, LIBRARY))
    domain_task: Task = Task(TextTask("domain", DocumentedPackages(PACKAGES, LIBRARY), 10), 64)
    general_tasks: tuple[Task, ...] = (
        Task(TextTask("trec", Portion(Dataset("trec"), stop=1000), 6), 32),
        Task(TextTask("sst2", Portion(Dataset("sst2"), stop=1000), 2), 48),
    )
    encoder: Transformer = field(
        default_factory=lambda: bert(
            vocab=2048, layers=2, embed=64, heads=4, mlp=256, length=64, types=2, positions="rotary", init_std=0.1
        )
    )
    shard: int = 10_000  # tokens of a shard
    shards: int = 10  # in a file of instances, of all corpora together
    files: int = 50  # of instances
    rows: int = 1500  # instances that are read of a file before the next one
    batch: int = 16  # rows of pre-training
    steps: int = 1000  # of pre-training
    peak: float = 3e-3
    tuned: tuple[int, int, float] = (375, 8, 4e-3)  # steps, rows and learning rate of tuning: three epochs
    held: int = 16  # batches of pre-training rows that are scored
    scored: int = 2  # how often
    tested: tuple[int, int] = (9, 110)  # batches and rows of a test; a smaller test split is read again
    seeds: tuple[int, ...] = (0, 1, 2)
    precision: Precision = field(default_factory=Precision)

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (self.domain_task, *self.general_tasks)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        small = Stdlib(limit=1_200_000)
        return Config(
            general=Docstrings(Stdlib(limit=300_000)), domain=python_documentation(2500, 2500, small),
            domain_task=Task(TextTask("domain", DocumentedPackages(("importlib", "email", "asyncio"), small), 3), 32),
            general_tasks=(Task(synonym_tasks(200)[0].few(100, 0), 24),),
            encoder=bert(vocab=500, layers=1, embed=16, heads=2, mlp=32, length=32, types=2),
            shard=1000, shards=4, files=6, rows=60, batch=8, steps=8, tuned=(6, 8, 3e-3), held=2, scored=2,
            tested=(2, 8), seeds=(0, 1),
        )  # fmt: skip
    if name == "pod":
        pubmed = TaskText(TextTask("pubmed", TFDS("scientific_papers/pubmed"), 1, "abstract"))
        glue = (("sst2", 2, "sentence", None), ("mrpc", 2, "sentence1", "sentence2"), ("cola", 2, "sentence", None))
        tasks = (TextTask(n, TFDS(f"glue/{n}", test="validation"), k, one, two) for n, k, one, two in glue)
        return Config(
            general=WIKIPEDIA, domain=pubmed, domain_task=Task(TextTask("scicite", TFDS("scicite"), 3, "string"), 128),
            general_tasks=tuple(Task(task, 128) for task in tasks),
            encoder=bert(vocab=32_000, layers=12, embed=768, heads=12, mlp=3072, length=512, types=2, dropout=0.1,
                         scan=True),
            shard=25_000, files=5000, rows=2000, batch=2048, steps=500_000, peak=5e-4, tuned=(770, 256, 5e-5), held=8,
            scored=50, tested=(3, 256), seeds=(0, 1, 2, 3, 4), precision=Precision(compute="bfloat16"),
        )  # fmt: skip
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """Every arm from every seed."""
    labels = (NONE, *PRETRAINED)
    arms = {label: {seed: trained(run, cfg, label, seed) for seed in cfg.seeds} for label in labels}
    return report(cfg, arms, described(run, cfg))


def trained(run: Any, cfg: Config, label: str, seed: int) -> Arm:
    """The stages of an arm: pre-training on one text after another, and the tasks."""
    before: list[Any] = []
    reads = read_by(cfg, label)
    for number, corpora in enumerate(reads):
        stage = pretraining(cfg, f"{seed}/{slug(label)}/text-{number}", corpora, vocabulary(cfg, label), seed)
        before.append(run.train(replace(stage, steps=cfg.steps // len(reads)), *before[-1:]))
    stage = tuning(cfg, f"{seed}/{slug(label)}/tasks", vocabulary(cfg, label), seed)
    return Arm(label, (*before, run.train(stage, dict.fromkeys(stage.model, before[-1]) if before else None)))


def read_by(cfg: Config, label: str) -> tuple[Corpora, ...]:
    """What an arm reads, stage by stage: corpora and how many of their shards are in a file."""
    general, domain, half = ((cfg.general, cfg.shards),), ((cfg.domain, cfg.shards),), cfg.shards // 2
    both: Corpora = ((cfg.domain, half), (cfg.general, half))
    concatenated: Corpora = ((Together((cfg.general, cfg.domain)), cfg.shards),)
    return {
        NONE: (), GENERAL: (general,), DOMAIN: (domain,), SEQUENTIAL: (general, domain), JOINED: (concatenated,),
        OWN_WORDS: (both,), SIMPT: (both,),
    }[label]  # fmt: skip


def vocabulary(cfg: Config, label: str) -> LearnedFrom:
    """The WordPiece vocabulary of an arm."""
    both, amplified = Together((cfg.general, cfg.domain)), Amplified(cfg.general, cfg.domain)
    source = {DOMAIN: cfg.domain, JOINED: both, SIMPT: amplified}.get(label, cfg.general)
    return LearnedFrom(WordPiece(cfg.encoder.vocab), source)


# --- stages ---


def pretraining(cfg: Config, name: str, corpora: Corpora, words: LearnedFrom, seed: int) -> Stage:
    """Masked tokens and next sentences, by the recipe that all arms share."""
    data = NextSentences(
        corpora=corpora, tokenizer=words, batch=cfg.batch, length=min(128, cfg.encoder.length), shard=cfg.shard,
        files=cfg.files, rows=cfg.rows, seed=seed,
    )  # fmt: skip
    return Stage(
        name=name,
        model=PooledClassifier(cfg.encoder, classes=2),
        objective=masked_and_next,
        optimizer=adamw(cfg.peak, warmup=0.1, decay="linear", clip=1.0),
        data=data,
        steps=cfg.steps,
        evaluate=Evaluation(scored_texts(cfg, data), cfg.held, max(1, cfg.steps // cfg.scored), each_text),
        precision=cfg.precision,
        seed=seed,
    )


def scored_texts(cfg: Config, data: NextSentences) -> Abreast:
    """Held-out text of both corpora, and domain text of the training split, in the words of an arm."""
    held = {"general": cfg.general.of_split("test"), "domain": cfg.domain.of_split("test"), "read": cfg.domain}
    own = replace(data, files=1, rows=cfg.held * cfg.batch, seed=1000, count=cfg.held)  # one file of other masks
    members = tuple((name, replace(own, corpora=((held[name], 2),))) for name in TEXTS)
    return Abreast(members=members, count=cfg.held)


def each_text(model: Any, batch: Any, key: Any) -> tuple[jax.Array, Metrics]:
    """The metrics of each text under its name; the loss is that of general text."""
    found: Metrics = {}
    losses = {}
    for name in TEXTS:
        losses[name], own = masked_and_next(model, part(batch, name), key)
        found |= {f"{name}_{what}": value for what, value in own.items()}
    return losses["general"], found


def tuning(cfg: Config, name: str, words: LearnedFrom, seed: int) -> Stage:
    """An encoder for each task with a fresh head, side by side; none sees another's rows or gradient."""
    steps, batch, peak = cfg.tuned
    count, tested = cfg.tested
    models = {task.text.name: TextClassifier(cfg.encoder, task.text.classes) for task in cfg.tasks}

    def rows(split: str, size: int, seed: int) -> Abreast:
        how: dict[str, Any] = {"tokenizer": words, "learned_from": words.source, "batch": size, "seed": seed}
        texts = ((task.text.name, task.text.of_split(split), task.length) for task in cfg.tasks)
        return Abreast(members=tuple((name, LabelledText(task=t, length=length, **how)) for name, t, length in texts))

    return Stage(
        name=name,
        model=models,
        objective=side_by_side,
        optimizer=dict.fromkeys(models, adamw(peak, warmup=0.1, decay="linear")),
        data=rows("train", batch, seed),
        steps=steps,
        step=joint_step,
        trainable=dict.fromkeys(models, all_but_the_language_head),
        handover=Handover(params=encoder_only),
        evaluate=Evaluation(rows("test", tested, 0), count, objective=side_by_side),
        precision=cfg.precision,
        seed=seed,
    )


def all_but_the_language_head(path: str, axes: Axes) -> bool:
    return not path.startswith("encoder/head")


def encoder_only(path: str, axes: Axes) -> str:
    """What a task takes over: all but pooler and head, which knew next sentences."""
    return {"encoder": "carry", "head": "reset"}.get(path.partition("/")[0], "drop")


def side_by_side(models: Any, batch: Any, key: Any) -> tuple[jax.Array, Metrics]:
    """The sum of the losses of networks that share nothing, and the accuracy of each."""
    total, found = jnp.float32(0), {}
    keys = [None] * len(models) if key is None else list(jax.random.split(key, len(models)))
    for (name, model), own in zip(models.items(), keys, strict=True):
        rows = part(batch, name)
        loss, metrics = weighted(model.answers(rows["tokens"], own), rows["label"])
        total, found[name] = total + loss, metrics["accuracy"]
    return total, found


# --- what is known without training ---


def described(run: Any, cfg: Config) -> dict[str, Any]:
    """What the texts, vocabularies and tasks are; without values in a plan."""
    found = {"sizes": run.make("sizes", sizes, cfg.general, cfg.domain)}
    for label in (GENERAL, DOMAIN, JOINED, SIMPT):
        held = cfg.general.of_split("test"), cfg.domain.of_split("test")
        found[label] = run.make(f"fertility/{slug(label)}", fertility, vocabulary(cfg, label), *held)
    found["largest"] = run.make("largest", largest_classes, *(t.text.of_split("test") for t in cfg.tasks))
    return {name: made.value for name, made in found.items()}


def sizes(general: Source, domain: Source) -> dict[str, float]:
    """Words of both corpora, and how often the small one is repeated in the amplified vocabulary's text."""
    return {
        "general": sum(len(text.split()) for text in texts(general, "text")),
        "domain": sum(len(text.split()) for text in texts(domain, "text")),
        "times": Amplified(general, domain).times,
    }


def fertility(words: LearnedFrom, general: Source, domain: Source) -> dict[str, float]:
    """Tokens per word of at most 200 documents of each text."""
    code, found = codec(words, words.source), {}
    for name, source in (("general", general), ("domain", domain)):
        own = [source[i]["text"] for i in range(0, len(source), max(1, len(source) // 200))]
        found[name] = sum(map(len, code.encode(own))) / sum(len(text.split()) for text in own)
    return found


def largest_classes(*tasks: TextTask) -> dict[str, float]:
    """The share of the largest class of each task's test split: what a constant answer reaches."""
    labels = {task.name: labels_of(task.source, task.label) for task in tasks}
    return {name: float(np.bincount(own).max() / len(own)) for name, own in labels.items()}


# --- report ---


def report(cfg: Config, arms: dict[str, dict[int, Arm]], known: dict[str, Any]) -> Report:
    """Accuracies, losses of each text, what the vocabularies are, and the verdicts."""
    domain, general = cfg.domain_task.text.name, [task.text.name for task in cfg.general_tasks]

    def scores(label: str, tasks: list[str]) -> dict[int, float]:
        """Test accuracy by seed, in points, the mean of some tasks."""
        last = {seed: [arm.results[-1].history.last(task) for task in tasks] for seed, arm in arms[label].items()}
        return {seed: 100 * mean(own) for seed, own in last.items()}

    def gap(label: str, other: str, tasks: list[str]) -> list[float]:
        """Seed by seed."""
        one, two = scores(label, tasks), scores(other, tasks)
        return [one[seed] - two[seed] for seed in cfg.seeds]

    helped = {task: gap(GENERAL, NONE, [task]) for task in (domain, *general)}
    over = {label: gap(SIMPT, label, [domain]) for label in PRETRAINED if label != SIMPT}
    nearest, kept = min(over, key=lambda label: mean(over[label])), gap(SIMPT, GENERAL, general)
    told = [f"{task} {shown(points, '+.1f')}" for task, points in helped.items() if not np.isnan(points).any()]
    claims = (
        claim(
            "Pre-training on general text beats none on each task, without which the rest says nothing",
            paper="taken for granted", measured=", ".join(told) or None, margin="above 0, means of the seeds",
            holds=min(map(mean, helped.values())) > 0,
        ),
        claim(
            "SimPT is better in the domain than concatenation without up-sampling",
            paper="+0.3 on BLUE over the ablation", measured=shown(over[JOINED], "+.1f"), unit="points",
            margin="+1 point or more, mean of the seeds", holds=mean(over[JOINED]) >= 1,
        ),
        claim(
            "SimPT is better in the domain than general text alone",
            paper="Japanese medical BERT is best on medical documents", measured=shown(over[GENERAL], "+.1f"),
            unit="points", margin="+1 point or more, mean of the seeds", holds=mean(over[GENERAL]) >= 1,
        ),
        claim(
            "No other arm is better in the domain than SimPT", paper="+1.0 on BLUE over going on from general BERT",
            measured=None if np.isnan(over[nearest]).any() else f"{shown(over[nearest], '+.1f')} points over {nearest}",
            margin="0 points or more over each, mean of the seeds", holds=mean(over[nearest]) >= 0,
        ),
        claim(
            "SimPT costs little on general tasks", paper="no figure known", measured=shown(kept, "+.1f"),
            unit="points", margin="-1 point or more against general text alone, mean of tasks and seeds",
            holds=mean(kept) >= -1,
        ),
    )  # fmt: skip
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2005.07202",
        arms=by_seed(arms, GENERAL),
        tables=(accuracies(cfg, scores, known), losses(arms), words_of(cfg, known)),
        baseline=GENERAL, metric=domain, rising=True, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


def accuracies(cfg: Config, scores: Any, known: dict[str, Any]) -> Table:
    domain, general = cfg.domain_task.text.name, [task.text.name for task in cfg.general_tasks]
    largest = known["largest"] or {}

    def measure(label: str, column: str) -> list[float]:
        tasks = general if column == "general mean" else [column]
        if label == "largest class":
            return [mean([100 * largest[task] for task in tasks])] if largest else [float("nan")]
        return list(scores(label, tasks).values())

    note = "Accuracy on test texts, %: mean ± standard deviation over seeds."
    rows, columns = ("largest class", NONE, *PRETRAINED), (domain, *general, "general mean")
    return table_of_means("Fine-tuned", rows, columns, measure, scale=1.0, note=note)


def losses(arms: dict[str, dict[int, Arm]]) -> Table:
    """What pre-training learned of each text."""
    columns = {
        "general": "general_per_letter", "domain": "domain_per_letter", "domain, read": "read_per_letter",
        "general, %": "general_masked_accuracy", "domain, %": "domain_masked_accuracy",
        "next, general, %": "general_next_accuracy", "next, domain, %": "domain_next_accuracy",
    }  # fmt: skip

    def measure(label: str, column: str) -> list[float]:
        scale = 100 if column.endswith("%") else 1
        return [scale * arm.results[-2].history.last(columns[column]) for arm in arms[label].values()]

    note = (
        "At the end of pre-training: nats of the masked tokens by their characters, as vocabularies differ, on "
        "held-out text and on domain text of the training split; masked tokens and next sentences that are right. "
        "Means ± standard deviations over seeds."
    )
    return table_of_means("Pre-training", PRETRAINED, list(columns), measure, scale=1.0, digits=3, note=note)


def words_of(cfg: Config, known: dict[str, Any]) -> Table:
    """How many tokens a word is, by vocabulary and text."""
    size = known["sizes"] or dict.fromkeys(("general", "domain", "times"), float("nan"))
    rows = tuple(
        (label, *((known[label] or {}).get(name, float("nan")) for name in ("general", "domain")))
        for label in (GENERAL, DOMAIN, JOINED, SIMPT)
    )
    note = (
        f"Held-out text in {cfg.encoder.vocab:,} WordPieces. The corpora have {size['general']:,} and "
        f"{size['domain']:,} words; for the amplified vocabulary the small one counts {size['times']} times."
    )
    return Table("Tokens per word", ("vocabulary of", "general", "domain"), rows, ("", ".3f", ".3f"), note)


NOTES = (
    "Of the paper's real runs, batch, steps, learning rate, numbers of shards and ablations are not confirmed. Files "
    "of 5 and 5 shards follow its demonstration. The general corpus is about 11 times the small one here, and 100 or "
    "10 times there.",
    "Sizes, vocabulary, learning rates and the head were chosen by general text alone against no pre-training, on "
    "training rows of the tasks that were held back, with one seed: with 4,096 pieces, batches of 64 and initial "
    "values of 0.02, 300 steps left masked tokens at their frequencies. A head on the pooled [CLS], as in the paper, "
    "was worse after pre-training than without it; on the mean of the tokens, at the larger two of three rates, it was "
    "better. Positions are rotary.",
    "All learning rates are those of that baseline; none was searched for SimPT. Each stage of the sequential arm has "
    "a schedule of its own.",
    "Of general text, qnli's questions and sentences are documents of two sentences. Topics and docstrings of the "
    "domain are from the packages of its task too, but from other functions; equal texts are on one side only.",
    "A loss by characters makes vocabularies comparable only roughly: which tokens are masked differs with them.",
    "The pod preset pre-trains at length 128, as the paper's demonstration release; the full one goes on at 512. Its "
    "domain is TFDS's PubMed abstracts, its tasks are SciCite and three of GLUE, as BLUE is not in TFDS. Instances are "
    "made as they are read: which shards make a file is arithmetic, so no files are stored.",
)

EXPERIMENT = Experiment(
    name="simultaneous_pretraining",
    title="SimPT: BERT of a small domain from two corpora at once",
    reference="Wada et al. 2020, arXiv 2005.07202",
    paper=98,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("simultaneous_pretraining")
