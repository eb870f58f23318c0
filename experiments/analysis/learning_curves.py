"""Learning curves: the accuracy of a finished training, estimated from its beginning, and when to trust the estimate.

Paper    Vilares Ferro, Darriba Bilbao and Ribadas Pena, Modeling of learning curves with applications to POS tagging,
         Computer Speech and Language 2017, arXiv 2402.02515 (dossier 026).
Claim    Power laws A_l fitted to the accuracies of a tagger on l nested training sets converge behind a level that can
         be told while training; where two in a row agree within a tolerance, training may stop, and the curve stays
         within that tolerance of the estimate. An anchor at infinity makes this robust against irregular observations.
Method   Sampling   kernel and step of as many tokens; each learner is trained on D_1, D_2, ..., D_30 from scratch. All
                    four go through a text once, in order, so that what they are after x tokens is what x tokens alone
                    would make of them (a test holds that), and one growing pass shows all levels
         Trace      A_l(x) = c - a x^-b by least squares on levels 1 .. l, from l = 3 on
         Trust      working level: asymptotes c change by at most 0.01 in five levels in a row (so it is known five
                    levels later); prediction level: the first from there on at which c <= 1; never clipped
         Stop       chi(l) = sup over x >= x_l of |A_l - A_(l-1)| <= tolerance
         Anchored   one more observation at infinity: the asymptote before, at first that of the prediction level
         Beside it, from the same observations: last value, fit of the first three levels, exponential, logarithm.
         Distorted: 10 % of a curve's observations moved by a point, 20 draws.
Run      stagejax run learning_curves                       laptop: a minute on two cores
         stagejax run learning_curves --preset smoke        seconds
         stagejax plan learning_curves --preset pod --mesh data=16,fsdp=16      language models, over tokens
Holds if (1) for each tolerance of 2, 1 and 0.5 points: in 90 % of the cases (language x learner x fold) training is
         stopped before the last level with an estimate of the last level's accuracy that is off by the tolerance or
         less; a case that is never stopped counts as missed;
         (2) where the tolerance of 1 point stops, the power law's mean absolute error is below that of every
         alternative by more than the standard deviation over the five folds of the paired difference;
         (3) under distortion, the standard deviation of the estimate at that level (of a case that is never stopped: at
         the last one) with anchors is below half of that without, in the median over cases;
         (4) in 90 % of the pairs of learners, each at its own stop by 1 point (or at the end), the estimates have the
         order of the last accuracies.
Ours     5 folds, 60 cases; ± is the deviation over folds. (1) Does not hold: 58, 58 and 47 % of the cases. None of the
         20 Turkish ones ever stops: at 45,000 tokens their asymptotes are still above 1. Of English 90 % stop and of
         French 85 %; all estimates there are within 1 point (worst 0.94), 80 % within 0.5. Stops are at 48 % of the
         data on average where there is one, so 70 % of all data are needed. (2) Holds: error 0.33 ± 0.10 points, last
         value 1.63 ± 0.29, exponential 1.94 ± 0.26, logarithm 2.76 ± 0.56, three levels 4.92 ± 2.03. (3) Does not hold:
         anchors leave 1.07 of the deviation under distortion, and their error is 0.43 ± 0.07. (4) Holds: 96.7 % of all
         pairs; 94.7 % of those with a learner that was stopped, 87.7 % by its last value. Asymptotes fell at only 55 %
         of the levels behind the prediction level, which the theory takes to be all. 56 s, 70 s of CPU time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import BPE, CausalText, Dataset
from stagejax.data.published import C4
from stagejax.data.tasks.tagged import DrawnSentences, TaggedText
from stagejax.data.tasks.token_features import WINDOW, TaggedTokens
from stagejax.inference.tasks.tagging import hidden_markov, most_frequent, perceptron
from stagejax.models import Transformer, gpt
from stagejax.models.text.hashed import HashedLinear
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.classification import classification
from stagejax.optimizer import adam, adamw
from stagejax.report import Arm, Figure, Report, Table, claim, mean, spread, table_of_means, traces
from stagejax.report.estimates import Cases
from stagejax.report.paired import lines
from stagejax.report.patterns import EXPONENTIAL, LOGARITHMIC, POWER
from stagejax.report.traces import Distortion, Tolerance, trace
from stagejax.steps.perceptron import flops_of_learning

FREQUENCY, HMM, PERCEPTRON, SOFTMAX = "most frequent tag", "trigram HMM", "averaged perceptron", "hashed softmax"
LAW, ANCHORED, LAST, FIRST = "power law", "power law, anchored", "last value", "power law of three levels"
ALTERNATIVES = (LAST, FIRST, EXPONENTIAL.name, LOGARITHMIC.name)
ARMS = (LAW, ANCHORED, *ALTERNATIVES)


@dataclass(frozen=True)
class Task:
    """What is learned, and how many tokens more each level has: also the kernel."""

    name: str
    step: int
    text: TaggedText | None = None  # None: not a text to be tagged, but C4


def treebank(part: str, *splits: str) -> TaggedText:
    """All sentences of a treebank of Universal Dependencies."""
    return TaggedText(tuple(Dataset("ud", split, part) for split in splits))


ENGLISH = Task("English", 5000, treebank("en_ewt", "train", "dev", "test"))
TURKISH = Task("Turkish", 1500, treebank("tr_imst", "train", "dev", "test"))
FRENCH = Task("French", 1200, treebank("fr_gsd", "train", "test"))


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    tasks: tuple[Task, ...] = (ENGLISH, TURKISH, FRENCH)
    levels: int = 30
    folds: tuple[int, ...] = (0, 1, 2, 3, 4)
    test: int = 8700  # tokens of a fold's test part that are scored
    endings: int = 5  # letters of the longest ending that tells of unknown words
    classes: int = 18  # the 17 tags and the border
    buckets: int = 2**15
    updates: int = 25  # of the softmax, in each level
    rate: float = 0.01  # its learning rate
    tolerances: tuple[float, ...] = (0.02, 0.01, 0.005)
    judged: float = 0.01  # the tolerance by which claims 2 to 4 are judged
    settled: Tolerance = field(default_factory=Tolerance)
    distorted: Distortion = field(default_factory=Distortion)
    nets: tuple[tuple[str, Transformer], ...] = ()  # language models, observed in place of taggers
    batch: int = 512  # rows of a language model's step
    steps: int = 200  # of a language model, in each level
    peak: float = 3e-4  # its learning rate

    def sizes(self, task: Task) -> np.ndarray:
        """How many tokens each level has."""
        return task.step * np.arange(1, self.levels + 1)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        drawn = Task("drawn", 200, TaggedText((DrawnSentences(400),), folds=4))
        return Config(
            (drawn,), levels=14, folds=(0, 1), test=600, endings=2, classes=9, buckets=2**10, updates=8, rate=0.03,
            settled=Tolerance(0.02, 2), distorted=Distortion(draws=4),
        )  # fmt: skip
    if name == "pod":
        sizes = {"125M": (12, 768, 12), "350M": (24, 1024, 16), "760M": (24, 1536, 16)}
        nets = tuple(
            (size, gpt(vocab=32_768, layers=layers, embed=embed, heads=heads, mlp=4 * embed, length=1024))
            for size, (layers, embed, heads) in sizes.items()
        )
        return Config((Task("C4", 200 * 512 * 1024),), folds=(0, 1, 2), nets=nets)
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """Every learner on every text and fold is observed; then all that is estimated uses these observations alone."""
    observe = language_models if cfg.nets else taggers
    seen = {(task.name, fold): observe(run, cfg, task, fold) for task in cfg.tasks for fold in cfg.folds}
    found = {
        task.name: run.make(
            f"{slug(task.name)}/estimates", estimated, cfg, task,
            *(result for fold in cfg.folds for result in seen[task.name, fold].values()),
        )
        for task in cfg.tasks
    }  # fmt: skip
    return report(cfg, seen, {name: made.value for name, made in found.items()})


# --- learners ---


def taggers(run: Any, cfg: Config, task: Task, fold: int) -> dict[str, Any]:
    """Four taggers, each observed on all levels of a fold."""
    at = f"{slug(task.name)}/{fold}/{{}}".format
    by_words, chain = (partial(tagger, endings=cfg.endings) for tagger in (most_frequent, hidden_markov))
    online = partial(perceptron, buckets=cfg.buckets)
    additions = flops_of_learning(int(cfg.sizes(task)[-1]), len(WINDOW), cfg.classes)
    return {
        FREQUENCY: run.make(at("frequency"), observed, cfg, task, fold, by_words),
        HMM: run.make(at("hmm"), observed, cfg, task, fold, chain),
        PERCEPTRON: run.make(at("perceptron"), observed, cfg, task, fold, online, flops=additions),
        SOFTMAX: run.train(softmax(cfg, task, fold, at("softmax"))),
    }


def softmax(cfg: Config, task: Task, fold: int, name: str) -> Stage:
    """One pass over the tokens in order at a constant rate, scored where each level ends."""
    data = TaggedTokens(text=task.text, fold=fold, batch=task.step // cfg.updates, buckets=cfg.buckets)
    scored = replace(data, test=True, batch=cfg.test // 3, count=3)
    return Stage(
        name, HashedLinear(cfg.buckets, cfg.classes), partial(classification, inputs="features"),
        adam(cfg.rate, decay="constant"), data, cfg.levels * cfg.updates,
        evaluate=Evaluation(scored, 3, every=cfg.updates), seed=fold,
    )  # fmt: skip


def language_models(run: Any, cfg: Config, task: Task, seed: int) -> dict[str, Any]:
    """Language models of several sizes, each in one pass at a constant rate, scored where each level ends."""

    def stage(size: str, net: Transformer) -> Stage:
        data = CausalText(source=C4, tokenizer=BPE(net.vocab), batch=cfg.batch, length=net.length, seed=seed)
        scored = Evaluation(replace(data, seed=0).held_out(20), 20, every=cfg.steps)
        return Stage(
            f"{slug(task.name)}/{seed}/{size.lower()}", net, causal_lm,
            adamw(cfg.peak, warmup=cfg.steps // 2, decay="constant"), data, cfg.levels * cfg.steps,
            evaluate=scored, seed=seed,
        )  # fmt: skip

    return {size: run.train(stage(size, net)) for size, net in cfg.nets}


def observed(cfg: Config, task: Task, fold: int, tagger: Callable[..., Any]) -> dict[str, np.ndarray]:
    """{"accuracy": (levels,)} of a tagger on a fold's test tokens, observed while it learns."""
    text, test = task.text.training(fold), task.text.test(fold).first(cfg.test)
    ends, places = [text.end(int(size)) for size in cfg.sizes(task)], test.places
    said = tagger(task.text, text, ends, test)
    return {"accuracy": np.asarray([(own[places] == test.tags[places]).mean() for own in said])}


# --- estimates ---


def accuracies(result: Any) -> np.ndarray:
    """The accuracies of all levels."""
    if result.kind == "make":
        return result.value["accuracy"]
    return np.asarray([row["accuracy"] for row in result.history.evals if row["step"] > 0])


def estimated(cfg: Config, task: Task, *results: Any) -> dict[str, np.ndarray]:
    """Of every curve: its trace, the levels of trust and of stops, and what each arm says of the last accuracy.

    Curves are (folds + 1, learners): each fold's, and the mean over folds, which is what the paper observes.
    """
    seen = np.stack([accuracies(result) for result in results]).reshape(len(cfg.folds), -1, cfg.levels)
    x, y = cfg.sizes(task), np.concatenate([seen, seen.mean(0, keepdims=True)])
    plain = trace(POWER, x, y)
    working = traces.working_level(plain, cfg.settled.within, cfg.settled.ahead)
    trusted = traces.prediction_level(plain, working)
    said = {
        LAW: plain(x[-1]),
        ANCHORED: traces.anchored(POWER, x, y, plain, trusted)(x[-1]),
        LAST: y,
        FIRST: np.broadcast_to(plain(x[-1])[..., 2:3], y.shape),
        **{pattern.name: trace(pattern, x, y)(x[-1]) for pattern in (EXPONENTIAL, LOGARITHMIC)},
    }
    stops = np.stack([traces.stopping_level(plain, x, tolerance, cfg.settled) for tolerance in cfg.tolerances])
    return {  # arrays (..., folds + 1, learners, levels or 1)
        "observed": y,
        "trace": np.stack([plain.a, plain.b, plain.c, plain.unit]),
        "trusted": trusted[..., None],
        "stops": stops[..., None],
        "said": np.stack([said[arm] for arm in ARMS]),
        "spread": traces.distorted_spread(POWER, x, y, cfg.settled, cfg.distorted),
    }


# --- report ---


def cases_of(cfg: Config, own: dict[str, np.ndarray], folds: slice) -> Cases:
    """Curves of some folds; the last one is the mean over folds."""
    said, stops = own["said"][..., folds, :, :], own["stops"][..., folds, :, 0]
    return Cases(
        own["observed"][folds], own["trace"][2, folds], own["trusted"][folds, :, 0],
        dict(zip(ARMS, said, strict=True)), dict(zip(cfg.tolerances, stops, strict=True)),
    )  # fmt: skip


def report(cfg: Config, seen: dict[tuple[str, int], dict[str, Any]], found: dict[str, Any]) -> Report:
    """The four criteria, and tables of stops, errors, robustness and of the learners themselves."""
    first, *others = cfg.folds
    learners = list(seen[cfg.tasks[0].name, first])
    arms = tuple(
        Arm(f"{learner}, {task.name}", (seen[task.name, first][learner],),
            tuple(seen[task.name, fold][learner] for fold in others), group=learner)
        for task in cfg.tasks for learner in learners
    )  # fmt: skip
    facts: Any = ({}, {arm: [float("nan")] for arm in ALTERNATIVES}, float("nan"), float("nan"))
    shown: tuple[Any, Any] = ((), ())
    if all(found.values()):
        whole = {name: np.concatenate([own[name] for own in found.values()], -2) for name in found[cfg.tasks[0].name]}
        cases = cases_of(cfg, whole, slice(-1))
        places = np.stack(
            [np.minimum(cases.stops[cfg.judged], cfg.levels), np.full_like(cases.trusted, cfg.levels)], -1
        )
        deviations = np.median(np.take_along_axis(whole["spread"][:, :-1], places[None] - 1, -1), (1, 2))
        facts = measured(cfg, cases, len(learners), deviations)
        means = cases_of(cfg, whole, slice(-1, None))
        shown = tables(cfg, cases, means, learners, deviations), drawn(cfg, means, learners)
    return EXPERIMENT.report(
        judged(cfg, *facts), link="https://arxiv.org/abs/2402.02515", arms=arms, tables=shown[0], figures=shown[1],
        baseline=arms[len(learners) - 1].name, metric="accuracy", rising=True, seeds=cfg.folds, notes=NOTES,
    )  # fmt: skip


def measured(cfg: Config, cases: Cases, learners: int, deviations: np.ndarray) -> tuple[Any, ...]:
    """Hits of each tolerance, how much nearer the law is than each alternative, what anchors leave, order."""
    levels = cases.stops[cfg.judged]
    law = np.array(cases.errors(LAW, levels))
    gains = {arm: [float(gain) for gain in cases.errors(arm, levels) - law] for arm in ALTERNATIVES}
    hits = {f"{tolerance:.1%}": float(cases.hits(LAW, tolerance).mean()) for tolerance in cfg.tolerances}
    return hits, gains, float(deviations[1, 0] / deviations[0, 0]), float(cases.ordered(LAW, levels, learners).mean())


def judged(
    cfg: Config, hits: dict[str, float], gains: dict[str, list[float]], left: float, ordered: float
) -> tuple[Any, ...]:
    """The criteria of the docstring."""
    closest = min(gains, key=lambda arm: mean(gains[arm]))
    return (
        claim(
            "Where training stops by a tolerance, the estimate is off by no more than that",
            paper="the limit is within the tolerance, under the working hypotheses",
            measured=", ".join(f"{t}: {share:.1%}" for t, share in hits.items()) or None,
            margin="in 90 % of all cases, for each tolerance; never stopped counts as missed",
            holds=all(share >= 0.9 for share in hits.values()),
        ),
        claim(
            "The power law's estimate is nearer than every alternative from the same observations",
            paper="figures were not read", measured=100 * mean(gains[closest]), unit=f"points nearer than {closest}",
            margin=f"mean error at stops by {cfg.judged:.1%} lower than each, by more than the deviation over folds",
            holds=all(mean(gain) > (spread(gain)[1] or 0) for gain in gains.values()),
        ),
        claim(
            "Anchors damp what distorted observations do to the estimate",
            paper="effective even in the presence of distorting observations",
            measured=left, unit="of the deviation without",
            margin="below half, medians over cases of the deviation over draws", holds=left < 0.5,
        ),
        claim(
            "Estimates rank learners before their training is finished", paper="figures were not read",
            measured=ordered, unit="%", margin="90 % of pairs", holds=ordered >= 0.9,
        ),
    )  # fmt: skip


def tables(cfg: Config, cases: Cases, means: Cases, learners: list[str], deviations: np.ndarray) -> tuple[Table, ...]:
    """Stops, errors at stops and at fixed levels, robustness, and what the learners reach."""
    n, count, names = cfg.levels, len(learners), [task.name for task in cfg.tasks]
    groups = [(learner, cases, slice(i, None, count)) for i, learner in enumerate(learners)]
    groups += [("all", cases, slice(None)), ("all, means over folds", means, slice(None))]

    def stop_row(tolerance: float, name: str, own: Cases, which: slice) -> tuple[Any, ...]:
        stops = own.stops[tolerance]
        early, levels = own.early(stops)[:, which], np.minimum(stops, n)[:, which]
        off, hits = np.abs(own.off(LAW, stops))[:, which][early], own.hits(LAW, tolerance)[:, which]
        scratch = (levels * (levels + 1)).mean() / (n * (n + 1))
        shares = (float(early.mean()), float(levels.mean()) / n, float(scratch))
        return f"{tolerance:.1%}", name, *shares, mean(off.tolist()), float(off.max(initial=0)), float(hits.mean())

    note = (
        "Stopped: before the last level, share of cases. Data: tokens needed, of those of the last level; training: of "
        "the tokens that all levels from scratch take. Error and worst: absolute, of the last accuracy, of cases "
        "stopped. Within: stopped, and off by the tolerance or less."
    )
    columns = ("tolerance", "learner", "stopped", "data", "training", "error", "worst", "within")
    rows = tuple(stop_row(tolerance, *group) for tolerance in cfg.tolerances for group in groups)
    stops = Table("Where training stops", columns, rows, ("", "", *[".1%"] * 3, ".2%", ".2%", ".1%"), note)

    places = {f"stops by {t:.1%}": levels for t, levels in cases.stops.items()}
    fixed = [max(3, round(n * share)) for share in (0.2, 1 / 3, 0.5)]
    places |= {f"level {level}": np.full_like(cases.trusted, level) for level in fixed}
    note = "Mean absolute error in points; mean ± standard deviation over folds. Stops are the power law's."
    title, at = "Errors of the last accuracy", cases.stops[cfg.judged]
    errors = table_of_means(title, ARMS, list(places), lambda arm, x: cases.errors(arm, places[x]), digits=2, note=note)
    order = {arm: cases.ordered(arm, at, count) for arm in (LAW, ANCHORED, LAST)}
    open_pairs = cases.foreseen(at, count)
    distorted = [f"deviation if distorted, {arm}, {at}" for at in ("there", "at the end") for arm in (LAW, ANCHORED)]
    robust = (
        ("cases with a prediction level", float((cases.trusted <= n).mean())),
        ("levels behind it at which the asymptote fell", cases.falling()),
        *((f"pairs in order by {arm}", float(x.mean())) for arm, x in order.items()),
        ("pairs of which at least one was stopped", float(open_pairs.mean())),
        *((f"these in order by {arm}", mean(x[open_pairs].tolist())) for arm, x in order.items()),
        *zip(distorted, map(float, deviations.T.ravel()), strict=True),
    )
    title = f"Trust, order and distortion, where training stops by {cfg.judged:.1%}"
    last = cases.observed[..., -1].reshape(len(cfg.folds), -1, count)
    reached = table_of_means(
        "Last accuracies", learners, names, lambda row, name: list(last[:, names.index(name), learners.index(row)]),
        note="In %: mean ± standard deviation over folds.",
    )  # fmt: skip
    return stops, errors, Table(title, ("measure", "share"), robust, ("", ".2%")), reached


def drawn(cfg: Config, means: Cases, learners: list[str]) -> tuple[Figure, ...]:
    """Of each text: what was observed, and how asymptotes settle."""
    return tuple(
        lines(
            f"{title}, {task.name}",
            {learner: np.where(own[0, len(learners) * i + j] <= 1, own[0, len(learners) * i + j], np.nan)
             for j, learner in enumerate(learners)},
            xlabel="level", ylabel="accuracy", caption="Of the mean over folds; asymptotes above 1 are left out.",
        )
        for i, task in enumerate(cfg.tasks)
        for title, own in (("Observed", means.observed), ("Asymptotes", means.asymptotes))
    )  # fmt: skip


NOTES = (
    "The paper's 10 folds are 5 here, its taggers four of our own (no bi-LSTM), its corpora of up to 800,000 words "
    "150,000 tokens of English, 45,000 of Turkish and 36,000 of French, in thirtieths.",
    "A fold is a case, as the dossier asks; the paper observes the mean over folds, which has rows of its own.",
    "The exact form of the paper's working level (threshold, slowdown, look-ahead) was not read: here it is the change "
    "of the asymptote, with a look-ahead whose levels are waited for. That asymptotes fall behind the prediction level "
    "is a hypothesis which is measured, not a condition.",
    "Least squares by variable projection, where the paper has a trust region: the least on a grid of all exponents "
    "from 0.01 to 10, refined. An exponent at the lower end has an asymptote far above 1, which is not trusted.",
    "The softmax's rate (0.01 of 0.003, 0.01, 0.03 and 0.1) had the best last accuracy on the German treebank, which "
    "no claim scores. Nothing else was chosen after a look at a run; sizes are set by time.",
    "An arm is the first fold, charged with the others. FLOPs are of the perceptron's additions and the softmax's "
    "sums; counting is charged none. Estimates train nothing.",
    "Of the cases of the third verdict two fifths have no prediction level; there anchors cannot act, and the two "
    "deviations are one.",
)


EXPERIMENT = Experiment(
    name="learning_curves",
    title="Learning curves: the end of a training from its beginning",
    reference="Vilares Ferro et al., Computer Speech and Language 2017, arXiv 2402.02515",
    paper=26,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("learning_curves")
