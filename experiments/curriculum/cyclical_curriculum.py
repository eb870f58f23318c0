"""cyclical_curriculum: a curriculum whose share of the data rises and falls in cycles, against vanilla training.

Paper    Kesgin and Amasyali, Cyclical Curriculum Learning, IEEE TNNLS 2023, arXiv 2202.05531 (dossier 067).
Claim    Rounds on few, mostly easy records by turns with rounds on all of them train better networks than all records
         throughout, and than other curricula, over 18 data sets and 15 architectures; a small ConvNet on CIFAR-10
         goes from 70.3 to 74.1 %, each at its best evaluation.
Method   A network that was trained as usual scores every training record: easiness 1 / loss, its loss without dropout.
         A new one is trained in rounds: round i draws floor(S_i N) records without replacement, in proportion to their
         easiness, and passes over them once in random order; S = 1/4, 1/2, 1, 1/2, 1/4, ...; the optimizer goes on.
         Every arm sees T N records in batches of one size and is scored after every N, on validation and test records:
           vanilla          all records, T times        random-cyclic    the same sizes, all records weigh the same
           hard-cyclic      in proportion to the loss   monotone easy    sizes 0.04 · 1.5^i up to 1, by easiness
           monotone hard    the same by the loss        self-paced       after one pass, N records at a time of those
         whose current loss is below a threshold that rises with the share it lets through, 0.25 · 1.3^i up to 1.
         Scoring is charged; so beside them stands vanilla trained for 2 T, which costs what CCL and its scorer do.
         The scorer of a seed is the vanilla network of the next seed, so no arm begins where its scorer began.
         Accuracy is read in three ways: the last; that of the evaluation with the best validation accuracy; the best.
Run      stagejax run cyclical_curriculum                      laptop: some 16 minutes beside other jobs
         stagejax run cyclical_curriculum --preset smoke       seconds
         stagejax plan cyclical_curriculum --preset pod --mesh data=16,fsdp=16
Holds if on last accuracies over all pairs of task and seed (three seeds a task): CCL is 0.5 points or more above
         vanilla in mean, and above it in 70 % of 12 pairs or more; it is above random-cyclic, and above each other
         curriculum, by more than two standard errors of the paired differences; and above vanilla of 2 T by as much.
         The first is said of the other two readings as well: the lead by the best evaluation is 0.5 points or more.
Ours     None of the five holds at this scale. 3,200 records a task, T = 13, three seeds; last accuracy in %, means by
         each reading, and how far CCL is above on the 12 pairs (mean ± standard error, last accuracy):
                          fashion      cifar10      agnews       trec         last  selected  best   CCL above by
         CCL              82.3 ± 0.5   46.1 ± 1.5   72.3 ± 0.4   80.7 ± 1.4   70.3   70.4     71.4
         vanilla          84.0 ± 0.4   44.9 ± 1.6   71.6 ± 1.1   80.8 ± 0.4   70.3   71.2     71.8   +0.00 ± 0.50
         vanilla, 2 T     83.6 ± 1.0   44.4 ± 0.9   71.2 ± 0.3   79.0 ± 1.0   69.5   70.7     72.0   +0.82 ± 0.57
         random-cyclic    83.9 ± 1.7   45.1 ± 1.4   72.3 ± 0.6   80.9 ± 0.4   70.5   70.4     71.8   -0.20 ± 0.53
         self-paced       83.6 ± 1.3   46.8 ± 1.0   71.1 ± 0.7   80.6 ± 1.4   70.5   70.5     71.3   -0.18 ± 0.48
         hard-cyclic      83.5 ± 0.8   45.4 ± 0.5   71.0 ± 0.5   79.9 ± 0.6   69.9   70.1     70.9   +0.40 ± 0.43
         monotone easy    84.2 ± 0.7   46.1 ± 1.5   72.1 ± 1.0   81.1 ± 1.7   70.9   70.9     71.6   -0.52 ± 0.60
         monotone hard    83.8 ± 0.8   45.3 ± 0.4   72.0 ± 1.1   80.5 ± 0.8   70.4   70.7     71.6   -0.06 ± 0.43
         CCL is above vanilla in 5 of 12 pairs; it leads on CIFAR-10 and AG News, by 1.2 and 0.7, and is behind by 1.7
         on fashion. The hardest tenth is 4.8 % of what it saw. This is the third run; the notes say what was changed
         after each, and none had a claim that held.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.data import BPE, TFDS, Dataset, Digits, Images, Portion, Source, for_every_record
from stagejax.data.pictures.tasks import ImageTask, Part
from stagejax.data.selection.coresets import highest
from stagejax.data.selection.paced import Paced, pace
from stagejax.data.selection.pacing import cyclic, paced_rounds, rising
from stagejax.data.selection.rounds import Round
from stagejax.data.selection.subsets import choose
from stagejax.data.tasks.labelled_text import LabelledText
from stagejax.data.tasks.text_tasks import TaskText, TextTask
from stagejax.inference.frozen import Frozen, apply, flops_of_one, logits_of
from stagejax.inference.selection.selection import segment
from stagejax.models.convnet import ResNet
from stagejax.models.text.text_cnn import TextCNN
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.names import slug
from stagejax.objectives import classification
from stagejax.objectives.loss import Metrics, cross_entropy, weighted
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.report.paired import Paired, paired

VANILLA, LONGER, CCL, RANDOM = "vanilla", "vanilla, 2 T", "CCL", "random-cyclic"
HARD, EASY, ANTI, SELF_PACED = "hard-cyclic", "monotone easy", "monotone hard", "self-paced"
#: Arms whose rounds are drawn: by which score ("" for none), and whether sizes go in cycles.
DRAWN = {CCL: ("easy", True), RANDOM: ("", True), HARD: ("hard", True), EASY: ("easy", False), ANTI: ("hard", False)}
ARMS = (VANILLA, *DRAWN, SELF_PACED, LONGER)
READINGS = ("last", "selected", "best")
#: Arms of a task, by name and seed.
Arms = dict[str, dict[int, Arm]]


@dataclass(frozen=True)
class Task:
    """A network, and the records that it is trained on, chosen by and tested on."""

    name: str
    net: Any
    data: Any  # training records, in batches
    kept: Any  # validation records
    records: int  # N
    held: tuple[int, int]  # validation and test records
    inputs: str = "image"


def images(name: str, source: Source, net: CNN | ResNet, records: int, held: tuple[int, int], batch: int) -> Task:
    shape = net.shape if isinstance(net, CNN) else (net.image, net.image, net.channels_in)
    data = Images(source=Portion(source, stop=records), batch=batch, shape=shape)
    kept = replace(data, source=Portion(source, records, records + held[0]))
    return Task(name, net, data, kept, records, held)


def texts(task: TextTask, net: TextCNN, length: int, records: int, held: tuple[int, int], batch: int) -> Task:
    own = replace(task, source=Portion(task.source, stop=records))
    data = LabelledText(task=own, tokenizer=BPE(net.vocab), learned_from=TaskText(own), batch=batch, length=length)
    kept = replace(data, task=replace(task, source=Portion(task.source, records, records + held[0])))
    return Task(task.name, net, data, kept, records, held, "tokens")


def four_tasks() -> tuple[Task, ...]:
    """Images of 16 x 16, for two convolutions and two dense layers; texts, for one layer of windows."""
    layers = {"convolutions": (ConvLayer(16, pool=True), ConvLayer(32, pool=True)), "heads": (("label", (64, 10)),)}
    grey, colour = CNN((16, 16, 1), mean=0.29, std=0.33, **layers), CNN((16, 16, 3), mean=0.47, std=0.24, **layers)
    fashion, cifar = (ImageTask((Part(Dataset(name)),), 16) for name in ("fashion_mnist", "cifar10"))
    agnews, trec = TextTask("agnews", Dataset("agnews"), 4, "title", "text"), TextTask("trec", Dataset("trec"), 6)
    return (
        images("fashion_mnist", fashion, grey, 3200, (1000, 2000), 50),
        images("cifar10", cifar, colour, 3200, (1000, 2000), 50),
        texts(agnews, TextCNN(2048, 4), 32, 3200, (1000, 1500), 50),
        texts(trec, TextCNN(2048, 6), 16, 3200, (1000, 500), 50),
    )


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    tasks: tuple[Task, ...] = field(default_factory=four_tasks)
    epochs: int = 13  # T, where cycles end behind a round of all records
    cycle: tuple[float, float, float] = (0.25, 1.0, 0.5)  # smallest and largest share, factor
    monotone: tuple[float, float, float] = (0.04, 1.0, 1 / 1.5)
    self_paced: tuple[float, float, float] = (0.25, 1.0, 1 / 1.3)
    again: int = 1  # times N records that self-paced learning sees before it chooses anew
    peak: float = 3e-3  # constant learning rate of Adam
    scored: int = 500  # records of a batch where networks are scored
    seeds: tuple[int, ...] = (0, 1, 2)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        net = CNN((8, 8, 1), (ConvLayer(8, pool=True),), (32,), (("label", (10,)),), convolution="patches")
        task = images("digits", Digits(), net, 800, (200, 300), 40)
        return Config((task,), epochs=3, scored=100, seeds=(0, 1))
    if name == "pod":
        wide = {"channels": (64, 128, 256), "blocks": (2, 2, 2), "stem": 16}
        imdb = TextTask("imdb_reviews", TFDS("imdb_reviews"), 2)
        nets = {f"cifar{classes}": ResNet(**wide, classes=classes) for classes in (10, 100)}
        tasks = (
            *(images(data, TFDS(data), net, 45_056, (4864, 9984), 256) for data, net in nets.items()),
            texts(imdb, TextCNN(32_768, 2, embed=256, filters=128), 256, 22_528, (2304, 24_832), 256),
        )
        return Config(tasks, epochs=112, again=8, peak=1e-3, scored=256)
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """All arms of every task, and what the paper claims."""
    return report(cfg, {task.name: trained(run, cfg, task) for task in cfg.tasks})


# --- stages ---


def both(model: Any, batch: Any, key: Any, *, inputs: str) -> tuple[Any, Metrics]:
    """Cross entropy and accuracy of test records, and beside them those of validation records."""
    logits_BC, test_B = model(batch[inputs], key=key), batch["skill"] == 1
    _, kept = weighted(logits_BC, batch["label"], (~test_B).astype("float32"))
    loss, metrics = weighted(logits_BC, batch["label"], test_B.astype("float32"))
    return loss, metrics | {f"validation_{name}": pair for name, pair in kept.items()}


def training(cfg: Config, task: Task, arm: str, data: Any, seed: int) -> Stage:
    """The recipe of all arms: T N records; scored after every N."""
    epoch, tested = task.records // task.data.batch, task.data.held_out(1)
    held = Round(parts=(task.kept, tested), counts=task.held, batch=cfg.scored)
    return Stage(
        name=f"{task.name}/{slug(arm)}/{seed}",
        model=task.net,
        objective=partial(classification, inputs=task.inputs),
        optimizer=adamw(cfg.peak, decay="constant", weight_decay=0.0),
        data=data,
        steps=cfg.epochs * epoch,
        evaluate=Evaluation(held, held.count, epoch, partial(both, inputs=task.inputs)),
        seed=seed,
    )


def trained(run: Any, cfg: Config, task: Task) -> Arms:
    """Every arm of a task with every seed."""
    order = {seed: replace(task.data, seed=seed) for seed in cfg.seeds}
    vanilla = {seed: run.train(training(cfg, task, VANILLA, order[seed], seed)) for seed in cfg.seeds}
    going_on, price = Handover(moments="carry", schedule="carry", data="carry"), scoring_flops(task)
    arms: Arms = {arm: {} for arm in ARMS}
    for seed, other in zip(cfg.seeds, (*cfg.seeds[1:], cfg.seeds[0]), strict=True):
        asked, net = scored(cfg, task), vanilla[other]
        made = run.make(f"{task.name}/scores/{other}", scores_of, asked, net, task.inputs, flops=price)
        longer, slow = (training(cfg, task, arm, order[seed], seed) for arm in (LONGER, SELF_PACED))
        arms[VANILLA][seed] = Arm("", (vanilla[seed],))
        arms[LONGER][seed] = Arm("", (vanilla[seed], run.train(replace(longer, handover=going_on), vanilla[seed])))
        arms[SELF_PACED][seed] = Arm("", self_paced(run, cfg, task, slow))
        for arm, (score, in_cycles) in DRAWN.items():
            shares = cyclic(*cfg.cycle) if in_cycles else rising(*cfg.monotone)
            rounds = paced_rounds(shares, task.records, task.data.batch, cfg.epochs * task.records)
            data, charged = Paced(data=task.data, rounds=rounds, seed=seed), ()
            if score:
                data, charged = pace(task.data, rounds, made, score, seed), (net, made)
            arms[arm][seed] = Arm("", (run.train(training(cfg, task, arm, data, seed)),), charged=charged)
    return arms


def self_paced(run: Any, cfg: Config, task: Task, whole: Stage) -> tuple[Any, ...]:
    """At first all records; then, a few times N of them at a time, those that the network itself finds easy by now."""

    def part(name: str, data: Any, start: Any) -> Any:
        steps = whole.steps * cfg.again // cfg.epochs
        return run.train(replace(segment(whole, name, steps, start), data=data, evaluate=whole.evaluate), start)

    results = [part(f"{whole.name}/0", whole.data, None)]
    for r, share in enumerate(itertools.islice(rising(*cfg.self_paced), cfg.epochs // cfg.again - 1), 1):
        name, net, rows = f"{whole.name}/{r}", results[-1], int(share * task.records)
        asked = scored(cfg, task), net, task.inputs, rows
        made = run.make(f"{name}/rows", below_threshold, *asked, flops=scoring_flops(task))
        results += [made, part(name, choose(task.data, made, rows, whole.seed), net)]
    return tuple(results)


# --- scores ---


def scored(cfg: Config, task: Task) -> Any:
    """The training records in the batches in which networks score them."""
    return replace(task.data, batch=cfg.scored)


def scoring_flops(task: Task) -> float:
    return float(task.records * flops_of_one(logits_of, task.net, task.data.sample_spec()[task.inputs]))


def losses_of(data: Any, net: Any, inputs: str) -> np.ndarray:
    """The cross entropy of every training record, without dropout."""
    frozen = Frozen.of(net)

    def one(batch: Any) -> dict[str, Any]:
        logits = apply(logits_of, frozen, batch[inputs], data.batch)
        return {"loss": cross_entropy(jnp.asarray(logits), jnp.asarray(batch["label"]))[0]}

    return for_every_record(one, data)["loss"]


def scores_of(data: Any, net: Any, inputs: str) -> dict[str, np.ndarray]:
    """Loss and easiness of every training record; a loss of zero counts as the smallest that is not."""
    loss = losses_of(data, net, inputs)
    loss = np.maximum(loss, loss[loss > 0].min())
    return {"hard": loss, "easy": 1 / loss}


def below_threshold(data: Any, net: Any, inputs: str, rows: int) -> dict[str, np.ndarray]:
    """The records of the lowest losses, and the threshold that lets so many through."""
    loss = losses_of(data, net, inputs)
    chosen = highest(-loss, rows)
    return {"rows": chosen, "threshold": loss[chosen[-1:]]}


def tenths_seen(arm: Arm, scores: Any) -> np.ndarray:
    """Which share of what an arm saw is of each tenth of the records by the scorer's loss, easiest first."""
    if scores.value is None:
        return np.full(10, np.nan)
    hard, stage = scores.value["hard"], arm.results[0].stage
    seen = stage.steps * stage.data.batch
    tenths = np.argsort(np.argsort(hard, kind="stable")) * 10 // len(hard)
    return np.bincount(tenths[stage.data.records(np.arange(seen))], minlength=10) / seen


# --- report ---


def read(arm: Arm) -> dict[str, float]:
    """The test accuracy of an arm in % by each reading; NaN in a plan."""
    rows = [row for result in arm.results if result.kind == "train" for row in result.history.evals]
    if not rows:
        return dict.fromkeys(READINGS, float("nan"))
    chosen = max(rows, key=lambda row: row["validation_accuracy"])  # of equal ones the first
    best = max(rows, key=lambda row: row["accuracy"])
    return {name: 100 * row["accuracy"] for name, row in zip(READINGS, (rows[-1], chosen, best), strict=True)}


@dataclass(frozen=True)
class Measures:
    """What came out for all pairs of task and seed."""

    found: dict[str, Arms]  # by task

    def over(self, arm: str, measure: Callable[[Arm], float], *tasks: str) -> np.ndarray:
        return np.array([measure(own) for task in tasks or self.found for own in self.found[task][arm].values()])

    def accuracy(self, arm: str, reading: str = "last", *tasks: str) -> np.ndarray:
        return self.over(arm, lambda own: read(own)[reading], *tasks)

    def lead(self, other: str, reading: str = "last") -> Paired:
        """Points of CCL above another arm on the same pairs; `below` is the share in which the other is strictly so."""
        found = paired(self.accuracy(other, reading), self.accuracy(CCL, reading))
        return found._replace(difference=-found.difference, t=-found.t)


def report(cfg: Config, found: dict[str, Arms]) -> Report:
    """Accuracies by task and reading, CCL against each arm, what rounds held; and the verdicts."""
    m, first = Measures(found), found[cfg.tasks[0].name]
    return EXPERIMENT.report(
        claims_of(m),
        link="https://arxiv.org/abs/2202.05531",
        arms=by_seed(first, VANILLA),
        tables=(
            table_of_means(
                "Last test accuracy", ARMS, list(found), lambda arm, task: m.accuracy(arm, "last", task).tolist(),
                scale=1.0, note="In %: mean ± standard deviation over seeds.",
            ),
            readings_table(m), versus_table(m), seen_table(cfg, found),
        ),
        baseline=VANILLA, metric="accuracy", rising=True, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


def claims_of(m: Measures) -> tuple[Claim, ...]:
    """The criterion of the docstring."""
    leads, pairs = {reading: m.lead(VANILLA, reading) for reading in READINGS}, len(m.accuracy(CCL))
    others = {arm: m.lead(arm) for arm in (RANDOM, HARD, EASY, ANTI, SELF_PACED, LONGER)}
    nearest = min((HARD, EASY, ANTI, SELF_PACED), key=lambda arm: others[arm].t)
    last, known = leads["last"], not np.isnan(leads["last"].difference)

    def above(what: str, other: str, paper: str) -> Claim:
        gap = others[other]
        return claim(
            what, paper=paper, measured=f"{gap.difference:+.2f} ± {gap.error:.2f} against {other}" if known else None,
            unit="points", margin=f"more than two standard errors above 0, {pairs} pairs of task and seed",
            holds=known and gap.t > 2,
        )  # fmt: skip

    return (
        claim(
            "CCL ends above vanilla training on as many records",
            paper="better on 18 data sets and 15 architectures",
            measured=f"{last.difference:+.2f} points, above in {last.below:.0%} of the pairs" if known else None,
            margin=f"0.5 points or more in mean, and above in 70 % or more of {pairs} pairs",
            holds=last.difference >= 0.5 and last.below >= 0.7,
        ),
        claim(
            "Its lead does not depend on how accuracy is read",
            paper="best evaluations: 70.3 -> 74.1 % on CIFAR-10",
            measured=", ".join(f"{name} {lead.difference:+.2f}" for name, lead in leads.items()) if known else None,
            unit="points", margin="0.5 points or more in mean by each reading",
            holds=min(lead.difference for lead in leads.values()) >= 0.5,
        ),
        above("Easiness matters, not cycles alone: it ends above random-cyclic", RANDOM, "not read"),
        above("It ends above every other curriculum", nearest, "better than existing curricula"),
        above("It is worth its scorer: it ends above vanilla trained twice as long", LONGER, "not compared"),
    )  # fmt: skip


def readings_table(m: Measures) -> Table:
    """Accuracies of each arm by each reading, and what it cost."""

    def row(arm: str) -> tuple[Any, ...]:
        base, own = (m.over(name, lambda a: float(a.cost.flops)) for name in (VANILLA, arm))
        more = m.over(arm, lambda a: float(a.charged_cost.flops))
        costs = (mean((flops / np.maximum(base, 1)).tolist()) for flops in (own, own + more))
        return (arm, *(mean(m.accuracy(arm, reading).tolist()) for reading in READINGS), *costs)

    note = (
        "Test accuracy in %, mean over tasks and seeds: of the last network; of the one with the best validation "
        f"accuracy; of the best one, as in the paper. All arms are scored equally often, {LONGER!r} twice as often. "
        "FLOPs in units of vanilla's, without and with the scorer; self-paced scores all records before each round."
    )
    columns = ("arm", *READINGS, "FLOPs", "with the scorer")
    return Table("Three readings", columns, tuple(map(row, ARMS)), ("", *[".2f"] * 5), note)


def versus_table(m: Measures) -> Table:
    """CCL less each other arm, on the same task and seed."""
    against = [(arm, reading) for arm in ARMS if arm != CCL for reading in READINGS]
    rows = tuple((*pair, *(lead := m.lead(*pair))[:3], lead.below) for pair in against)
    columns = ("against", "reading", "points", "standard error", "t", "pairs won")
    note = "Over pairs of task and seed. A pair is won where CCL is strictly above."
    return Table("CCL less another arm", columns, rows, ("", "", "+.2f", ".2f", "+.1f", ".0%"), note)


def seen_table(cfg: Config, found: dict[str, Arms]) -> Table:
    """Which records the rounds held."""

    def row(arm: str) -> tuple[Any, ...]:
        first = [{arm: arms[arm][cfg.seeds[0]] for arm in DRAWN} for arms in found.values()]
        shares = np.mean([tenths_seen(own[arm], own[CCL].charged[-1]) for own in first], axis=0)
        return (arm, *shares[[0, 1, 4, 8, 9]].tolist())

    note = "Share of all samples, by the scorer's loss; mean over tasks, first seed. Vanilla sees 10 % of each tenth."
    columns = ("arm", "easiest tenth", "2nd", "5th", "9th", "hardest tenth")
    return Table("What was seen", columns, tuple(map(row, DRAWN)), ("", *[".1%"] * 5), note)


NOTES = (
    "The rate (3e-3) was chosen of 1e-3, 3e-3 and 1e-2 by vanilla's validation accuracy, one seed, in trials of 4,000 "
    "and of 3,200 records; sizes by time. Images are of 16 x 16 pixels. No choice looked at test records.",
    "Easiness 1 / loss is one of two transforms in the released code. Which one each table of the paper uses, and its "
    "learning rates, were not to be found. Of the code: sizes from 0.25 to 1, factor 0.5, a loss of zero replaced.",
    "The paper scores every arm after each of its rounds, CCL more often than vanilla, and reports the best; here all "
    "are scored after every N records. Rounds are whole batches; training ends at T N, behind a round of all records "
    "where sizes go in cycles, within one where they rise.",
    "Seeds share a task's training and test records: they differ in initial values, order and draws. Pairs of one task "
    "are not independent, and standard errors over pairs are those of these tasks.",
    "Self-paced learning lets through a share of the records in place of a fixed loss, so that samples are counted "
    "beforehand; it passes over easy records several times, as in Kumar et al. 2010, whose first pass is over all.",
    "A first run drew the monotone arms' last round, of which 350 records are seen, as one of that size: mostly easy "
    "or hard records right before the last evaluation. It is the beginning of a round of all records now. A second had "
    "T = 12, where arms in cycles end behind rounds of a quarter and of half of the records, mostly easy or hard ones "
    "again: CCL was 0.31 points below vanilla. T is 13 now, for all arms. No claim held in the first two runs.",
    "Curves, costs and arms are those of the first task; the tables are of all.",
)


EXPERIMENT = Experiment(
    name="cyclical_curriculum",
    title="Cyclical curriculum learning",
    reference="Kesgin and Amasyali, IEEE TNNLS 2023, arXiv 2202.05531",
    paper=67,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("cyclical_curriculum")
