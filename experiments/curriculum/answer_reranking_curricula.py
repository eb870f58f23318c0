"""Training curricula for answer re-ranking: what BM25 finds easy counts more at first.

Paper    MacAvaney et al., Training Curricula for Open Domain Answer Re-Ranking, SIGIR 2020, arXiv 2004.14269
         (dossier 041).
Claim    A re-ranker that is trained with samples weighed by how easy BM25 finds them, and moves to equal weights, ranks
         answers better: BERT gains up to 4 % in MRR and 9 % in P@1 over the same training without a curriculum.
Method   BM25 lists candidates for each question. D of a candidate is, by its query's list alone, 1 / rank, its score
         between the lowest (0) and the highest (1), or the share of a Gaussian kernel density of the scores below its
         own. A right answer is as easy as D, a wrong one as 1 - D, a pair as the mean of both. In iteration i a sample
         weighs D + (i / m)(1 - D), from iteration m on 1. One stage: same model, optimizer and sampler throughout; a
         pair is a right answer of the list and another of its candidates, with the loss 1 - softmax(scores)[right].
         Arms: no curriculum; the three heuristics; the first one reversed, with its m (hard first); each weight lent to
         another sample of the batch (random D with the same weights in every batch); and, as in the released trainer,
         the batch's mean weight times its mean loss. The last two take heuristic and m of the best curriculum, as does
         a pair of arms that learn single answers (binary cross entropy). Without a curriculum the learning rate is
         chosen among three, in a curriculum m among three, each by MRR on development questions with the first seed;
         the curricula take the rate that is best without one. All candidates of a list are scored and sorted.
Run      stagejax run answer_reranking_curricula                        laptop: 4 minutes on two cores
         stagejax run answer_reranking_curricula --preset smoke         seconds, generated pairs
         stagejax plan answer_reranking_curricula --preset pod --mesh data=16,fsdp=16
Holds if on test questions, three seeds each, every question's MRR@10 (or P@1) its mean over the seeds, 10,000 paired
         bootstraps over questions, with the best curriculum the one with the highest mean MRR on development questions:
         (1) it is above no curriculum by 0.005 or more in MRR@10, with a probability of improvement of 0.9 or more;
         (2) it is above random D in MRR@10 with probability 0.9 or more; (3) it is above no curriculum in P@1 with 0.9
         or more; (4) the reciprocal rank is above the same reversed in MRR@10 with 0.9 or more; (5) weights of each
         sample are above those of the batch's mean in MRR@10 with 0.9 or more; (6) each of the three heuristics is
         above no curriculum in mean MRR@10. The spread over seeds is shown, and no part of the rules.
Ours     Nothing holds at this scale. The first seed chose a rate of 1e-3 and m = 10, 20, 10; the best curriculum is
         KDE. On 504 test questions, in %, MRR@10 and P@1: no curriculum 53.1 ± 3.8, 46.5 ± 4.2; reciprocal rank
         52.8 ± 4.3, 46.0 ± 4.8; normalised score 53.3 ± 4.3, 46.9 ± 4.7; KDE 53.1 ± 3.9, 46.6 ± 4.2; reciprocal rank
         reversed 54.0 ± 4.4, 47.6 ± 5.3; KDE with random D 53.4 ± 3.8, 47.0 ± 4.4, by batch means 52.9 ± 4.4,
         46.2 ± 5.2. Pointwise: 58.3 ± 1.4, 52.8 ± 2.7, with KDE 57.8 ± 1.7, 51.7 ± 3.0. (1) KDE is 0.04 points
         [-0.40, +0.48] above none; (4) hard first is 1.20 points [0.54, 1.89] above easy first, and above none on every
         seed. No ranker comes near BM25 (71.3, 66.5), whose scores it does not see. 417 CPU seconds, about 4:05 on two
         idle cores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.axes import Axes
from stagejax.data import BPE, Dataset, Portion, Source, Tokenizer, codec
from stagejax.data.retrieval.bm25 import BM25
from stagejax.data.retrieval.first_stage import RankedLists, RankedPairs, first_stage
from stagejax.data.selection.easiness import Heuristic, Reversed, kde, normalised_score, reciprocal_rank
from stagejax.data.tasks.pairs import Graded, SentencePairs, SynonymPairs
from stagejax.data.vocabulary.hashed_words import HashedWords
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference import Frozen, apply
from stagejax.models import bert
from stagejax.models.text.conv_knrm import ConvKNRM
from stagejax.models.text.cross_encoder import MARKERS, CrossEncoder
from stagejax.models.text.kernel_pooling import Kernels
from stagejax.names import slug
from stagejax.objectives.curriculum import EasyFirst, Iterations, batch_mean, per_sample
from stagejax.objectives.retrieval import reranking
from stagejax.optimizer import adam
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.report.bootstrap import Bootstrapped, paired_bootstrap
from stagejax.report.paired import lines
from stagejax.steps.scheduled import scheduled_step

NONE, RECIPROCAL, SCORE, DENSITY = "no curriculum", "reciprocal rank", "normalised score", "KDE"
ANTI, RANDOM, BATCH = "reciprocal rank, reversed", "best, random D", "best, batch mean"
POINT_NONE, POINT = "pointwise, no curriculum", "pointwise, best"
HEURISTICS: dict[str, Heuristic] = {RECIPROCAL: reciprocal_rank, SCORE: normalised_score, DENSITY: kde}
FIRST = "BM25"


def qnli(split: str, least: float | None = None) -> SentencePairs:
    """Questions and sentences of their paragraphs; those that answer them have the grade 1."""
    return SentencePairs((Graded(Dataset("qnli", split), "label", least, "question", "sentence"),))


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    train: Source = field(default_factory=lambda: Portion(qnli("train", 1.0), stop=0.9))
    dev: Source = field(default_factory=lambda: Portion(qnli("train", 1.0), start=0.9))  # for all choices
    test: Source = field(default_factory=lambda: qnli("test", 1.0))
    pool: tuple[Source, ...] = field(default_factory=lambda: (qnli("train"), qnli("test")))  # of all candidates
    tokenizer: Tokenizer = field(default_factory=lambda: LearnedFrom(HashedWords(), Dataset("qnli"), "sentence"))
    bm25: BM25 = field(default_factory=BM25)
    candidates: int = 50  # of a list
    query: int = 16  # tokens, [CLS] among them
    item: int = 40
    ranker: Any = field(default_factory=lambda: ConvKNRM(HashedWords().vocab))  # or a CrossEncoder
    batch: int = 16  # pairs
    iteration: int = 12  # batches
    iterations: int = 40
    peaks: tuple[float, ...] = (3e-4, 1e-3, 3e-3)  # learning rates, constant
    ms: tuple[int, ...] = (5, 10, 20)  # iterations of a curriculum
    places: int = 20  # of the development lists that are scored
    scored: tuple[int, int] = (4, 113)  # development questions in a batch; batches
    lists: int = 2  # test questions in a batch
    seeds: tuple[int, ...] = (0, 1, 2)
    save_every: int | None = None  # steps; None: every minute


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        train, test = (SentencePairs((Graded(SynonymPairs(split, 600), least=5.0),)) for split in ("train", "test"))
        words = HashedWords(words=30, buckets=10)
        return Config(
            Portion(train, stop=0.7), Portion(train, start=0.7), test, (train, test),
            LearnedFrom(words, SynonymPairs(), "s2"), candidates=8, query=10, item=12, batch=8, iteration=4,
            ranker=ConvKNRM(words.vocab, 16, 8, (1, 2), Kernels((1.0, 0.3), (0.001, 0.2))),
            iterations=10, peaks=(1e-3, 1e-2), ms=(2, 5), places=6, scored=(4, 4), lists=4, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        marco = Graded(Dataset("msmarco"), "label", 1.0, "query", "passage")  # TFDS has none: a folder of one's own
        held = SentencePairs((replace(marco, source=Dataset("msmarco", "dev")),))
        base = bert(vocab=30_522 + MARKERS, embed=768, layers=12, heads=12, mlp=3072, length=183, types=2, scan=True)
        return Config(
            SentencePairs((marco,)), Portion(held, stop=0.1), Portion(held, start=0.1),
            (SentencePairs((replace(marco, least=None),)), held),
            LearnedFrom(BPE(30_522), Dataset("msmarco"), "passage"), BM25(0.6, 0.5), candidates=100, query=30,
            item=150, ranker=CrossEncoder(base, 30, 150), batch=256, iteration=32, iterations=60,
            peaks=(1e-5, 2e-5, 3e-5), places=100, scored=(256, 2), lists=16, save_every=320,
        )  # fmt: skip
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """BM25's lists, the choices, every arm with every seed, and the ranks of all test answers."""
    how = (cfg.pool, cfg.train, cfg.tokenizer, (cfg.query, cfg.item), cfg.bm25, cfg.candidates)
    lists = {part: run.make(f"lists/{part}", read, getattr(cfg, part), *how) for part in ("train", "dev", "test")}
    train = partial(searched, run, cfg, lists)
    found = {NONE: train(NONE, {peak: Course(peak, m=cfg.ms[0]) for peak in cfg.peaks})}
    peak = found[NONE].value
    for label, heuristic in HEURISTICS.items():
        found[label] = train(label, {m: Course(peak, heuristic, m) for m in cfg.ms})
    best = max(HEURISTICS, key=lambda label: np.nan_to_num(found[label].dev))
    own, m = Course(peak, HEURISTICS[best], found[best].value), found[RECIPROCAL].value
    single = {"losses": reranking.pointwise, "easiness": reranking.item_easiness}
    courses = {
        ANTI: Course(peak, Reversed(reciprocal_rank), m),
        RANDOM: replace(own, lent=True),
        BATCH: replace(own, reduce=batch_mean),
        POINT_NONE: replace(own, heuristic=None, **single),
        POINT: replace(own, **single),
    }
    rests = {ANTI: RECIPROCAL, POINT_NONE: NONE}
    for label, course in courses.items():
        found[label] = train(label, {course.m: course}, spent=found[rests.get(label, best)].spent)
    return report(cfg, found, lists, best)


# --- arms ---


@dataclass(frozen=True)
class Course:
    """How an arm weighs its samples, and what a sample is."""

    peak: float  # learning rate
    heuristic: Heuristic | None = None  # None: all weigh 1, whatever m
    m: int = 1
    lent: bool = False
    reduce: Callable[..., Any] = per_sample
    losses: Callable[..., Any] = reranking.pairwise
    easiness: Callable[..., Any] = reranking.pair_easiness


@dataclass(frozen=True)
class Found:
    """An arm with every seed, the number that was chosen for it, and what was tried on the way."""

    value: Any
    tried: Mapping[Any, float]  # MRR on development questions, first seed
    spent: tuple[Any, ...]
    arms: dict[int, Arm]
    ranks: list[Any]  # of the test answers: one array a seed, None in a plan

    @property
    def dev(self) -> float:
        """MRR on development questions, over seeds."""
        return mean([arm.results[0].history.last("mrr") for arm in self.arms.values()])

    def reciprocal(self) -> np.ndarray | None:
        """1 / rank of every test answer, 0 behind the tenth: (seeds, questions)."""
        return None if self.ranks[0] is None else np.where(np.array(self.ranks) <= 10, 1 / np.array(self.ranks), 0.0)

    def first(self) -> np.ndarray | None:
        """Whether every test answer has rank 1: (seeds, questions)."""
        return None if self.ranks[0] is None else (np.array(self.ranks) == 1).astype(float)


def searched(
    run: Any, cfg: Config, lists: Any, label: str, courses: dict[Any, Course], spent: tuple[Any, ...] = ()
) -> Found:
    """An arm: the best of several courses with the first seed, then the other seeds with that one."""
    name, seed = f"{slug(label)}/{{}}/{{}}".format, cfg.seeds[0]
    tries = {value: run.train(stage(cfg, lists, name(value, seed), seed, own)) for value, own in courses.items()}
    scores = {value: result.history.last("mrr") for value, result in tries.items()}
    value = max(scores, key=lambda value: np.nan_to_num(scores[value]))
    results = {seed: tries[value]}
    for seed in cfg.seeds[1:]:
        results[seed] = run.train(stage(cfg, lists, name(value, seed), seed, courses[value]))
    others = tuple(tries.values()) if len(tries) > 1 else ()
    owed = {seed: (*spent, *(one for one in others if one is not result)) for seed, result in results.items()}
    arms = {seed: Arm("", (result,), charged=owed[seed]) for seed, result in results.items()}
    made = [
        run.make(f"ranks/{slug(label)}/{seed}", ranked, result, lists["test"], cfg) for seed, result in results.items()
    ]
    return Found(value, scores, (*spent, *others), arms, [one.value and one.value["ranks"] for one in made])


# --- stages ---


def of_the_score(path: str, axes: Axes) -> bool:
    """Whether a parameter has a part in scores: an encoder's head that predicts tokens has none."""
    return not path.startswith("encoder/head")


def stage(cfg: Config, lists: Any, name: str, seed: int, course: Course) -> Stage:
    """A ranker on samples of BM25's lists, weighed as the course says; scored by whole lists, without weights."""
    train, dev = lists["train"], lists["dev"]
    lengths, (size, batches) = {"query": cfg.query, "item": cfg.item}, cfg.scored
    how = {"heuristic": course.heuristic, "lent": course.lent, "batch": cfg.batch, "seed": seed}
    held_out = RankedLists(
        of=dev.fingerprint, arrays=dev.value, places=cfg.places, batch=size, count=batches, **lengths
    )
    return Stage(
        name=name,
        model=cfg.ranker,
        objective=EasyFirst(course.losses, course.easiness, course.reduce),
        optimizer=adam(course.peak, decay="constant"),
        data=RankedPairs(of=train.fingerprint, arrays=train.value, **lengths, **how),
        steps=cfg.iterations * cfg.iteration,
        step=partial(scheduled_step, options=Iterations(course.m, cfg.iteration)),
        trainable=of_the_score,
        evaluate=Evaluation(held_out, batches, cfg.iterations * cfg.iteration // 2, reranking.listed),
        seed=seed,
        save_every=cfg.save_every,
    )


def read(
    asked: Source, pool: tuple[Source, ...], train: Source, tokenizer: Tokenizer, lengths: Any, bm25: BM25, count: int
) -> dict[str, np.ndarray]:
    """BM25's lists for some questions, out of all sentences."""
    return first_stage(asked, pool, codec(tokenizer, train), tuple(lengths), bm25, count)


def ranked(net: Any, lists: Any, cfg: Config) -> dict[str, np.ndarray]:
    """The rank of every question's answer among all candidates of its list; infinite where it is not in the list."""
    own = lists.value
    rows = {"query": own["queries"], "items": own["items"][own["lists"]], "answer": own["answer"]}
    return {"ranks": apply(ranks_of, Frozen.of(net), rows, batch=cfg.lists)}


def ranks_of(model: Any, rows: Any) -> Any:
    """The ranks of the answers of some lists."""
    return reranking.list_ranks(model.scores(rows["query"], rows["items"]), rows["answer"])


# --- report ---


def versus(found: dict[str, Found], a: str, b: str, measure: Callable[[Found], Any] = Found.reciprocal) -> Bootstrapped:
    """How one arm differs from another, question by question, each the mean over seeds."""
    ours, theirs = measure(found[a]), measure(found[b])
    return paired_bootstrap(ours if ours is None else ours.mean(0), theirs if theirs is None else theirs.mean(0))


def judged(found: dict[str, Found], best: str) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring."""

    def above(statement: str, paper: str, gap: Bootstrapped, least: float = 0.0, kind: str = "MRR@10") -> Claim:
        shown = f"{gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], probability {gap.probability:.2f}"
        return claim(
            statement, paper=paper, measured=None if np.isnan(gap.difference) else shown,
            margin=f"{kind} {f'{least:g} or more ' if least else ''}above, with probability 0.9 or more",
            holds=gap.difference >= least and gap.probability >= 0.9,
        )  # fmt: skip

    gains = {label: versus(found, label, NONE).difference for label in HEURISTICS}
    said = None if np.isnan([*gains.values()]).any() else ", ".join(f"{k} {gain:+.4f}" for k, gain in gains.items())
    return (
        above("The best curriculum ranks better than none", "up to 4 % MRR", versus(found, best, NONE), 0.005),
        above("It ranks better than random D", "no figure: our control", versus(found, best, RANDOM)),
        above("It puts more answers first", "up to 9 % P@1", versus(found, best, NONE, Found.first), kind="P@1"),
        above("Easy first is better than hard first", "an ablation; not read", versus(found, RECIPROCAL, ANTI)),
        above("Weights of samples are better than of batches", "no figure: our control", versus(found, best, BATCH)),
        claim(
            "Each heuristic ranks better than no curriculum", paper="tables not read", measured=said,
            margin="mean MRR@10 above", holds=min(gains.values()) > 0,
        ),
    )  # fmt: skip


def report(cfg: Config, found: dict[str, Found], lists: Any, best: str) -> Report:
    """MRR and P@1 of all arms beside BM25's, how sure their differences are, what was chosen, and the weights."""
    answer = None if lists["test"].value is None else lists["test"].value["answer"].astype(float)
    bm25 = None if answer is None else np.where(answer < 0, np.inf, answer + 1)
    everyone = found | {FIRST: replace(found[NONE], arms={}, ranks=[bm25])}

    def over(label: str, column: str) -> list[float]:
        if column == "dev MRR@10":
            return [arm.results[0].history.last("mrr") for arm in everyone[label].arms.values()] or [float("nan")]
        values = {"MRR@10": Found.reciprocal, "P@1": Found.first}[column](everyone[label])
        return [float("nan")] if values is None else values.mean(1).tolist()

    pairs = [(label, NONE) for label in (*HEURISTICS, ANTI, RANDOM, BATCH)]
    pairs += [(best, RANDOM), (best, BATCH), (RECIPROCAL, ANTI), (POINT, POINT_NONE)]
    gaps = [(a, b, *versus(found, a, b), *versus(found, a, b, Found.first)[:2]) for a, b in pairs]
    heads = ("MRR@10", "probability", "from", "to", "P@1", "probability of P@1")
    choices = tuple(
        (label, ", ".join(f"{value:g}: {score:.4f}" for value, score in own.tried.items()), f"{own.value:g}")
        for label, own in found.items() if len(own.tried) > 1
    )  # fmt: skip
    paths = {label: weights(cfg, own) for label, own in found.items()}
    return EXPERIMENT.report(
        judged(found, best),
        arms=by_seed({label: own.arms for label, own in found.items()}, NONE),
        baseline=NONE, metric="mrr", rising=True, seeds=cfg.seeds,
        tables=(
            table_of_means(
                "Test questions", list(everyone), ("MRR@10", "P@1", "dev MRR@10"), over,
                note=f"In %: mean ± standard deviation over seeds. Best curriculum: {best}. The development lists "
                f"are cut at {cfg.places} candidates.",
            ),
            Table(
                "Differences on test questions", ("arm", "against", *heads), tuple(gaps),
                ("", "", "+.4f", ".3f", "+.4f", "+.4f", "+.4f", ".3f"),
                "Means over seeds for each question; probability of improvement, and where the middle 95 % of 10,000 "
                "paired bootstraps lie.",
            ),
            Table("What was chosen", ("arm", "MRR@10 on development questions", "chosen"), choices,
                  note="Learning rate without a curriculum; m of the curricula. First seed."),
        ),
        figures=() if any(path is None for path in paths.values()) else (
            lines("Mean weights", paths, at=range(cfg.iterations), xlabel="iteration", ylabel="weight",
                  caption="Of all samples of an iteration, first seed."),
        ),
        link="https://arxiv.org/abs/2004.14269", notes=NOTES,
    )  # fmt: skip


def weights(cfg: Config, own: Found) -> np.ndarray | None:
    """The mean weight in every iteration, with the first seed."""
    seen = own.arms[cfg.seeds[0]].results[0].history.train.get("weight")
    return None if seen is None else np.asarray(seen).reshape(cfg.iterations, -1).mean(1)


NOTES = (
    "Data: QNLI, whose questions and sentences are SQuAD's; an answer is a sentence that entails it. Candidates are "
    "all its sentences, of both splits; an unjudged one counts as wrong. Training questions are those whose answer is "
    "in BM25's list; on test questions an answer that is not there counts as 0.",
    "Rankers are ConvKNRM from scratch with drawn word vectors. Vectors of a factorised co-occurrence matrix, as the "
    "dossier has it, ranked worse on development questions in try-outs without a curriculum (MRR@10 after 400 steps "
    "0.46 where they stayed, 0.50 where they were trained at a rate of 3e-4, against 0.58 of drawn ones at 1e-3).",
    "The paper's rankers stop at the best iteration on development questions; here all arms take equal steps and the "
    "last state is judged. On the laptop that is 7,680 pairs, in iterations of 12 batches; the released trainer's have "
    "32.",
    "The bootstrap draws questions, not seeds. Seeds differ far more (3.8 points) than arms of a seed do.",
    "Pointwise arms take the rate that was chosen with pairs. The pod's batch is 256 pairs, to be split over its mesh.",
    "Random D lends each sample the weight of its neighbour in the batch, so every batch has the same weights.",
    "The cross-encoder is in the pod preset only: it would take about three times as long.",
)

EXPERIMENT = Experiment(
    name="answer_reranking_curricula",
    title="Curricula for answer re-ranking: what BM25 finds easy counts more at first",
    reference="MacAvaney et al., SIGIR 2020, arXiv 2004.14269",
    paper=41,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("answer_reranking_curricula")
