"""RS2: a new random subset of the data in every round, against subsets that are chosen once and with care.

Paper    Okanovic et al., Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning, ICLR 2024, arXiv
         2305.18424 (dossier 090).
Claim    Trained on a new random tenth of ImageNet in each of 200 rounds, ResNet-18 reaches 66 %, where all of the data
         gives 69 % and the best of 30 methods that choose a subset 55 %, 1.6 times more slowly.
Method   X rounds, each of one pass over r N records; the learning rate anneals over these X r N / b steps. RS2 cuts a
         stream of permutations into rounds (without replacement), or draws every round anew, or class by class. Beside
         it, at equal steps: the same random subset throughout; subsets chosen in equal parts of each class from what a
         proxy says that was trained for three epochs (EL2N hard and easy, GraNd of the head, forgetting, margin,
         k-center, herding, moderate); the highest margins, or a draw in proportion to them, chosen again as training
         goes on; all data for r X epochs, which is what RS2 without replacement comes to; and RS2 on the schedule of
         full training, which never anneals. Some labels wrong: the same again. Time to accuracy is up to the last
         accuracy of the same random subset, with proxies, scoring and greedy search charged.
Run      stagejax run rs2                      laptop: about 5 minutes on two cores
         stagejax run rs2 --preset fashion     Fashion-MNIST at r = 5 %: as long
         stagejax run rs2 --preset smoke       half a minute
         stagejax plan rs2 --preset pod --mesh data=16,fsdp=16
Holds if at r = 5 and 10 %, on means over three seeds, RS2 is 3 points or more above every method that chooses once and
         needs the fewest FLOPs and seconds of them; RS2 and all data at as many steps are within two standard errors;
         and with 30 % of the labels wrong EL2N takes 5 points or more of wrong labels above their share, and ends 3
         points or more below RS2.
Ours     All four hold. CIFAR-10 of 10,000 images, 16 x 16; three seeds; accuracy in %, and FLOPs and seconds at r = 5 %
         to the last accuracy of the same random subset:
                                       r = 1 %       5 %           10 %          FLOPs      seconds
         RS2                           38.7 ± 0.2    51.6 ± 0.7    55.5 ± 1.0    21.2 G     0.7
         RS2, with replacement                       50.9 ± 1.3    55.3 ± 1.0    21.2 G     0.7
         all data, same steps          39.1 ± 1.1    51.1 ± 0.1    55.4 ± 0.8    21.6 G     0.8
         margin, chosen again                        49.4 ± 1.4                  64.5 G     1.7
         herding                       35.2 ± 1.3    45.1 ± 2.3    48.0 ± 0.4    120 G      4.0
         RS2, full schedule                          44.1 ± 4.1                  25.4 G     0.9
         same random subset            28.2 ± 2.6    39.7 ± 2.6    45.0 ± 1.4    29.5 G     1.0
         forgetting                                  40.4 ± 2.3    42.4 ± 2.0    157 G      5.4
         EL2N, hard                    12.2 ± 2.2    13.3 ± 0.9    16.4 ± 0.7    never      never
         The best that chooses once is herding, 6.5 points or more below. Only the same random subset comes near in
         time (1.3 times); at r = 5 % a proxy alone costs twice all of RS2. RS2 is within 1.3 standard errors of all
         data, as it must be. With 30 % of the labels wrong, 92 % of what EL2N takes is wrong (3.1 % against 44.2 %).
         Training on all data in each round, without augmentation, ends at 60.6 % (one seed), after 10 times the FLOPs
         of r = 10 %; it needs 3.9 times them for the accuracy that RS2 has there. 5 minutes 15 beside other work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import Dataset, Digits, Images, Portion, Source, for_every_record
from stagejax.data.pictures.crop import Crop
from stagejax.data.pictures.photos import Photos
from stagejax.data.pictures.tasks import ImageTask, Part
from stagejax.data.published import IMAGENET
from stagejax.data.selection.mislabelled import Mislabelled
from stagejax.data.selection.subsets import Stratified, WithoutReplacement, WithReplacement, choose
from stagejax.inference.selection import selection
from stagejax.models.convnet import ConvNet, ResNet
from stagejax.names import slug
from stagejax.objectives import classification
from stagejax.optimizer import decayed_sgd
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, curve, flops_to_reach, mean, table_of_means
from stagejax.report.curves import Over, Seconds
from stagejax.report.seeds import errors_apart

RS2, WITH, STRATIFIED, FULL_SCHEDULE = "RS2", "RS2, with replacement", "RS2, stratified", "RS2, full schedule"
RANDOM, FULL, EL2N = "same random subset", "all data, same steps", "EL2N, hard"
#: Methods that choose once, from what a proxy says after each of its epochs; and those that choose again.
METHODS = {
    EL2N: selection.EL2N,
    "EL2N, easy": selection.EL2N_EASY,
    "GraNd": selection.GRAND,
    "forgetting": selection.FORGETTING,
    "margin": selection.MARGIN,
    "k-center": selection.K_CENTER,
    "herding": selection.HERDING,
    "moderate": selection.MODERATE,
}
AGAIN = {"margin, chosen again": lambda _: selection.MARGIN, "margin, drawn again": selection.drawn_by_margin}
MAIN = (RS2, WITH, STRATIFIED, FULL, RANDOM, EL2N, "forgetting", "margin", "k-center", "herding")
EVERY = (*MAIN, "EL2N, easy", "GraNd", "moderate", *AGAIN, FULL_SCHEDULE)
NOISY = (RS2, RANDOM, EL2N, "EL2N, easy")


@dataclass(frozen=True)
class Comparison:
    """Arms that train on rounds of a share of the records, for as many steps."""

    ratio: float  # r
    arms: tuple[str, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    noise: float = 0.0  # share of the training labels that are wrong

    @property
    def label(self) -> str:
        return f"r = {self.ratio:.0%}" + (f", {self.noise:.0%} wrong labels" if self.noise else "")

    @property
    def slug(self) -> str:
        return f"r{self.ratio:g}" + (f"-noise{self.noise:g}" if self.noise else "")


Proxies = dict[tuple[float, int], selection.Proxy]  # by noise and seed
#: The arms of every comparison, by seed and name.
Found = dict[Comparison, dict[int, dict[str, Arm]]]


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    comparisons: tuple[Comparison, ...] = (
        Comparison(0.01, (RS2, FULL, RANDOM, EL2N, "EL2N, easy", "herding")),
        Comparison(0.05, EVERY),
        Comparison(0.1, MAIN),
        Comparison(0.3, (RS2, RANDOM, EL2N), seeds=(0,)),
        Comparison(1.0, (FULL,), seeds=(0,)),
        Comparison(0.05, NOISY, noise=0.3),
    )
    judged: tuple[float, ...] = (0.05, 0.1)  # ratios that the claims are about
    source: Source = field(default_factory=lambda: ImageTask((Part(Dataset("cifar10")),), 16, limit=10_000))
    records: int = 10_000  # N, of the source
    net: Any = field(default_factory=lambda: ConvNet(image=16, channels_in=3, channels=(16, 32, 64)))
    crop: Crop | None = None  # of photographs of any size; None: the images are all of the network's size
    batch: int = 50
    rounds: int = 30  # X
    proxy: int = 3  # epochs on all data, of the same network
    again: int = 5  # rounds between two choices of the arms that choose again
    peak: float = 0.1  # learning rate; momentum 0.9 (Nesterov) and a cosine, as in the paper
    end: float = 1e-4
    weight_decay: float = 5e-4
    test: tuple[int, int] = (500, 4)  # images of a batch, also for scoring; batches
    evaluations: int = 10  # of each arm, and at least one an epoch

    def rows(self, comparison: Comparison) -> int:
        """Records of a round."""
        return round(comparison.ratio * self.records)

    def steps(self, comparison: Comparison) -> int:
        """Of every arm: what X rounds of one pass each come to."""
        return self.rounds * self.rows(comparison) // self.batch


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        noisy = Comparison(0.1, NOISY, (0, 1), noise=0.4)
        comparisons = (Comparison(0.1, EVERY, (0, 1)), Comparison(1.0, (FULL,), (0,)), noisy)
        small = {"batch": 20, "rounds": 6, "proxy": 3, "again": 2, "test": (100, 3), "evaluations": 3}
        net = ConvNet(image=8, channels=(8, 16), convolution="patches")
        return Config(comparisons, (0.1,), Portion(Digits(), stop=1200), 1200, net, **small)
    if name == "fashion":
        fashion = ImageTask((Part(Dataset("fashion_mnist")),), 16, limit=20_000)
        net = ConvNet(image=16, channels_in=1, channels=(16, 32, 64))
        return Config((Comparison(0.05, (*MAIN, "EL2N, easy")),), (0.05,), fashion, 20_000, net)
    if name == "pod":
        several = tuple(Comparison(ratio, EVERY) for ratio in (0.01, 0.05, 0.1))
        comparisons = (*several, Comparison(1.0, (FULL,)), Comparison(0.1, NOISY, noise=0.3))
        sizes = {"channels": (64, 128, 256, 512), "blocks": (2, 2, 2, 2), "stem_size": 7, "stem_pool": True}
        net = ResNet(image=224, classes=1000, **sizes)
        how = {"batch": 256, "rounds": 200, "proxy": 10, "again": 20, "test": (1024, 48), "evaluations": 200}
        return Config(comparisons, (0.05, 0.1), IMAGENET, 1_281_167, net, Crop(), **how)
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """The proxies of every seed and noise, all arms of every comparison, and the claims."""
    proxies: Proxies = {}
    labels: dict[float, Any] = {}
    found: Found = {}
    for c in cfg.comparisons:
        if STRATIFIED in c.arms and c.noise not in labels:
            labels[c.noise] = run.make(f"labels-{c.noise:g}", labels_of, scored(cfg, c.noise))
        for seed in c.seeds:
            kind = c.noise, seed
            if set(c.arms) & set(METHODS) and kind not in proxies:
                proxies[kind] = trained_proxy(run, cfg, *kind)
            arms = compared(run, cfg, c, seed, proxies.get(kind), labels.get(c.noise))
            found.setdefault(c, {})[seed] = arms
    wrong = {}
    for c in (c for c in found if c.noise):
        source, made = images(cfg, c.noise).source, {seed: own[EL2N].charged[-1] for seed, own in found[c].items()}
        wrong[c] = [run.make(f"{c.slug}/{seed}/wrong", share_of_wrong, source, rows) for seed, rows in made.items()]
    return report(cfg, found, proxies, wrong)


# --- stages ---


def images(cfg: Config, noise: float, seed: int = 0) -> Images:
    """All of the training data, in an order of its own."""
    source = Mislabelled(cfg.source, noise, cfg.net.classes) if noise else cfg.source
    shape = (cfg.net.image, cfg.net.image, cfg.net.channels_in)
    kind = Images if cfg.crop is None else partial(Photos, crop=cfg.crop)
    return kind(source=source, batch=cfg.batch, shape=shape, seed=seed)


def scored(cfg: Config, noise: float) -> Images:
    """The same data in the batches in which networks score all of it."""
    return replace(images(cfg, noise), batch=cfg.test[0])


def training(cfg: Config, name: str, data: Any, steps: int, seed: int) -> Stage:
    """The recipe of all arms and of the proxies; the learning rate anneals over the steps that are taken."""
    test, every = replace(images(cfg, 0.0), batch=cfg.test[0]), min(steps // cfg.evaluations, cfg.records // cfg.batch)
    return Stage(
        name=name,
        model=cfg.net,
        objective=classification,
        optimizer=decayed_sgd(cfg.peak, end=cfg.end, nesterov=True, weight_decay=cfg.weight_decay),
        data=data,
        steps=steps,
        evaluate=Evaluation(test.held_out(cfg.test[1]), cfg.test[1], max(1, every)),
        seed=seed,
    )


def compared(
    run: Any, cfg: Config, c: Comparison, seed: int, proxy: selection.Proxy | None, labels: Any
) -> dict[str, Arm]:
    """The arms of a comparison: they differ in which records their rounds hold, and one in its schedule."""
    data, rows, steps = images(cfg, c.noise, seed), cfg.rows(c), cfg.steps(c)
    first = replace(data, source=Portion(data.source, stop=rows, seed=seed))  # the first round of RS2
    subsets = {
        RS2: WithoutReplacement(data=data, rows=rows, seed=seed),
        WITH: WithReplacement(data=data, rows=rows, seed=seed),
        FULL_SCHEDULE: WithoutReplacement(data=data, rows=rows, seed=seed),
        FULL: replace(data, seed=seed + 1000),
        RANDOM: first,
    }
    if labels is not None:
        array = (labels.value or {}).get("label")
        subsets[STRATIFIED] = Stratified(data=data, rows=rows, seed=seed, of=labels.fingerprint, labels=array)
    arms = {}
    for arm in c.arms:
        at, charged = f"{c.slug}/{seed}/{slug(arm)}", ()
        whole = training(cfg, at, first, steps, seed)
        if arm in AGAIN:
            arms[arm] = Arm(arm, chosen_again(run, cfg, c, whole, AGAIN[arm]))
            continue
        if arm in METHODS:
            passes = proxy.seen_by(METHODS[arm])
            made = chosen(run, cfg, c, at, METHODS[arm], passes)
            subsets[arm], charged = choose(data, made, rows, seed), (*proxy.stages, *passes, made)
        if arm == FULL_SCHEDULE:
            whole = replace(whole, optimizer=replace(whole.optimizer, horizon=cfg.rounds * cfg.records // cfg.batch))
        arms[arm] = Arm(arm, (run.train(replace(whole, data=subsets[arm])),), charged=charged)
    return arms


# --- choosing ---


def trained_proxy(run: Any, cfg: Config, noise: float, seed: int) -> selection.Proxy:
    """The network of all arms, on all data, for a few epochs of a schedule of their own."""
    at, steps = f"proxy{f'-noise{noise:g}' if noise else ''}/{seed}", cfg.proxy * (cfg.records // cfg.batch)
    stage = training(cfg, at, images(cfg, noise, seed), steps, seed)
    return selection.train_proxy(run, stage, cfg.proxy, scored(cfg, noise), cfg.records)


def chosen(run: Any, cfg: Config, c: Comparison, at: str, method: selection.Method, passes: Sequence[Any]) -> Any:
    """The records of a method, from what was said of all."""
    flops = method.flops(cfg.rows(c), cfg.records, cfg.net.classes, cfg.net.channels[-1])
    return run.make(f"{at}/rows", selection.coreset, method, cfg.rows(c), *passes, flops=flops)


def chosen_again(run: Any, cfg: Config, c: Comparison, whole: Stage, method: Any) -> tuple[Any, ...]:
    """Training on records that the network itself finds worth it, asked every few rounds; at first on random ones."""
    data, rows, results, net = images(cfg, c.noise, whole.seed), cfg.rows(c), [], None
    for r in range(0, cfg.rounds, cfg.again):
        own, at = whole.data, f"{whole.name}/{r}"
        if net is not None:
            said = selection.score_records(run, f"{at}/said", scored(cfg, c.noise), net, cfg.records)
            made = chosen(run, cfg, c, at, method(cfg.rounds * whole.seed + r), [said])
            own = choose(data, made, rows, whole.seed)
            results += [said, made]
        part = selection.segment(replace(whole, data=own), at, cfg.again * rows // cfg.batch, net)
        net = run.train(part, net)
        results.append(net)
    return tuple(results)


def labels_of(data: Images) -> dict[str, np.ndarray]:
    return for_every_record(lambda batch: {"label": batch["label"]}, data)


def share_of_wrong(source: Mislabelled, made: Any) -> float:
    return float(source.wrong(made.value["rows"]).mean())


# --- report ---


def reached(arm: Arm, accuracy: float, over: Over = "flops") -> float:
    """Cost, proxies and choosing included, at which an arm is first so accurate."""
    return flops_to_reach(curve(arm, over=over, metric="accuracy", with_source=True), accuracy, rising=True)


@dataclass(frozen=True)
class Measures:
    """What came out: accuracy at the end, and what it took to be as accurate as the same random subset at its end."""

    found: Found
    over: Seconds

    def accuracy(self, arm: str, c: Comparison) -> list[float]:
        """In %, of every seed."""
        return [100 * arms[arm].results[-1].history.last("accuracy") for arms in self.found[c].values() if arm in arms]

    def flops(self, arm: str, c: Comparison) -> float:
        return mean([self._to_target(arms, arm, "flops") for arms in self.found[c].values()])

    def seconds(self, arm: str, c: Comparison) -> float:
        return float(np.median([self._to_target(arms, arm, self.over) for arms in self.found[c].values()]))

    def gap(self, arm: str, c: Comparison) -> float:
        """Points of RS2 above an arm."""
        return mean(self.accuracy(RS2, c)) - mean(self.accuracy(arm, c))

    def dearer(self, arm: str, c: Comparison) -> float:
        """How many times the cost of RS2 an arm takes, in FLOPs or in seconds, whichever is less."""
        pairs = [(cost(arm, c), cost(RS2, c)) for cost in (self.flops, self.seconds)]
        return min(0.0 if np.isinf(ours) else theirs / max(ours, 1e-9) for theirs, ours in pairs)

    @staticmethod
    def _to_target(arms: dict[str, Arm], arm: str, over: Over) -> float:
        if arm not in arms or RANDOM not in arms:
            return float("nan")
        return reached(arms[arm], arms[RANDOM].results[-1].history.last("accuracy"), over)


def report(cfg: Config, found: Found, proxies: Proxies, wrong: dict[Comparison, Any]) -> Report:
    """Accuracies and times to accuracy of all arms, and the claims."""
    m = Measures(found, Seconds.of(arm for own in found.values() for arms in own.values() for arm in arms.values()))
    names, columns = list(dict.fromkeys(arm for c in found for arm in c.arms)), {c.label: c for c in found}

    def table(title: str, form: str, measure: Callable[[str, Comparison], float], note: str) -> Table:
        shown = [c for c in found if RANDOM in c.arms]
        rows = tuple((arm, *(measure(arm, c) for c in shown)) for arm in names)
        return Table(title, ("arm", *(c.label for c in shown)), rows, ("", *[form] * len(shown)), note)

    def right(row: str, epoch: str) -> list[float]:
        own = [proxy for (noise, _), proxy in proxies.items() if row == f"{noise:.0%} wrong labels"]
        return [proxy.stages[int(epoch.split()[1]) - 1].history.last("accuracy") for proxy in own]

    judged = [c for c in found if c.ratio in cfg.judged and not c.noise]
    main, spread = judged[0], "mean ± standard deviation over seeds"
    return EXPERIMENT.report(
        claims(m, judged, wrong),
        arms=by_seed({arm: {seed: own[arm] for seed, own in found[main].items()} for arm in main.arms}, RANDOM),
        tables=(
            table_of_means(
                "Accuracy at the end", names, list(columns), lambda arm, label: m.accuracy(arm, columns[label]),
                scale=1.0, note=f"In %: {spread}. Equal steps in each column.",
            ),
            table("FLOPs to the accuracy of the same random subset", "si", m.flops, COSTS + "Mean over seeds."),
            table("Seconds to it", "time", m.seconds, COSTS + "Median over seeds; every step at the same pace."),
            against_all(cfg, found),
            table_of_means(
                "Proxies", list(dict.fromkeys(f"{noise:.0%} wrong labels" for noise, _ in proxies)),
                [f"epoch {e + 1}" for e in range(cfg.proxy)], right, note=f"Accuracy in %: {spread}.",
            ),
        ),
        baseline=RANDOM, metric="accuracy", rising=True, seeds=main.seeds, notes=NOTES,
        link="https://arxiv.org/abs/2305.18424",
    )  # fmt: skip


def claims(m: Measures, judged: list[Comparison], wrong: dict[Comparison, list[Any]]) -> tuple[Claim, ...]:
    """The criterion of the docstring."""
    once = [(arm, c) for c in judged for arm in c.arms if arm in METHODS or arm == RANDOM]
    lead, sooner = (min(measure(arm, c) for arm, c in once) for measure in (m.gap, m.dearer))
    apart = max(errors_apart(m.accuracy(RS2, c), m.accuracy(FULL, c)) for c in judged)
    shares = [one.value - c.noise for c, own in wrong.items() for one in own if one.value is not None]
    excess, behind = 100 * mean(shares), min((m.gap(EL2N, c) for c in wrong), default=float("nan"))
    ratios = " and ".join(f"{c.ratio:.0%}" for c in judged)
    return (
        claim(
            f"A new random subset in each round is better than every subset that is chosen once, at r = {ratios}",
            paper="ImageNet at 10 %: 66 % against 55 %; CIFAR-10 at 5 %: about 21 points",
            measured=lead, unit="points", margin="3 points or more above the best at each ratio, means over seeds",
            holds=lead >= 3,
        ),
        claim(
            "It is the first to be as accurate as the same random subset ends, choosing charged",
            paper="1.6 times sooner than the best on ImageNet",
            measured=sooner, unit="times its cost, of the cheapest other",
            margin="more than 1 in FLOPs and in seconds at each ratio", holds=sooner > 1,
        ),
        claim(
            "Without replacement it is training on all data for r X epochs",
            paper="not said; raised in the reviews",
            measured=apart, unit="standard errors apart", margin="at most 2 at each ratio", holds=apart <= 2,
        ),
        claim(
            "With wrong labels, choosing what is hard chooses those; random rounds do not",
            paper="loss-based selection suffers from label noise, RS2 does not",
            measured=None if np.isnan(excess) else f"{excess:+.1f} points wrong, {behind:+.1f} of accuracy",
            margin="5 points or more of wrong labels above their share, and RS2 3 points or more above EL2N",
            holds=excess >= 5 and behind >= 3,
        ),
    )  # fmt: skip


def against_all(cfg: Config, found: Found) -> Table:
    """What training on all data in every round needs for the accuracy of RS2."""
    whole = {seed: own[FULL] for c, arms in found.items() if c.ratio == 1 for seed, own in arms.items()}
    rows = []
    for c, arms in found.items():
        pairs = [(own[RS2], whole[seed]) for seed, own in arms.items() if RS2 in own and seed in whole]
        if c.noise or not pairs:
            continue
        ends = np.array([[arm.results[-1].history.last("accuracy") for arm in pair] for pair in pairs])
        spent = mean([float(ours.cost.flops) for ours, _ in pairs])
        needed = mean([reached(every, end) for (_, every), (end, _) in zip(pairs, ends, strict=True)])
        rows.append((c.label, *ends.mean(0).tolist(), spent, needed, needed / max(spent, 1.0)))
    columns = ("rounds", "RS2", f"all data, {cfg.rounds} epochs", "FLOPs of RS2", "all data's for the same", "ratio")
    return Table("Against full training", columns, tuple(rows), ("", ".1%", ".1%", "si", "si", ".2f"))


COSTS = (
    "When an arm is first as accurate as the same random subset of its seed is at its end; proxies, scoring and "
    "choosing are included. 'never' if a seed never is. "
)
NOTES = (
    "Rounds are cut from an endless stream of permutations, so a round may hold the end of one and the beginning of "
    "the next; the released code shuffles again whenever its window reaches the end, and drops a round's last batch.",
    "In this form RS2 without replacement is ordinary training for r X epochs, batch for batch, where both have the "
    "same seed: the arm 'all data, same steps' has another order, to see the noise between two such runs.",
    "Forgetting is counted between the ends of epochs, not between two presentations of a record. GraNd is that of the "
    "head, as in the benchmark that the paper compares with. Every method chooses class by class.",
    "Images are not augmented on the laptop; 30 rounds in place of 200, proxies of 3 epochs in place of 10. The arms "
    "that choose again do so every 5th round there. One seed at r = 30 % and for full training, by time.",
    "Learning rate, momentum, decay and schedule are the paper's, not tuned here. The images are of half their height "
    "and width on the laptop. Fashion-MNIST is a preset of its own, without a committed result.",
)

EXPERIMENT = Experiment(
    name="rs2",
    title="RS2: repeated random subsets and the time to accuracy",
    reference="Okanovic et al., ICLR 2024, arXiv 2305.18424",
    paper=90,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "fashion", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("rs2")
