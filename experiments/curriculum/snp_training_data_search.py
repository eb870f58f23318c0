"""SnP: a training set for re-identification is searched in a pool, by its likeness to a target without labels.

Paper    Yao et al., Large-scale Training Data Search for Object Re-identification (SnP), CVPR 2023, arXiv 2303.16186
         (dossier 059; the paper's code was read for it, its tables were not).
Claim    Of a large pool, the clusters of identities that are nearest to the target by the Fréchet distance (FD), pruned
         to a fifth, train as well as the whole pool, and better than a draw or a greedy choice of the same size.
Method   A network learns on the pool's images without labels; its frozen features serve the search, and every arm's
         training begins with it (ImageNet's networks in the paper) -> search: identities in clusters of one size, put
         together in the order of their FD to the target's unlabelled images while the FD of the union falls -> prune:
         15 % of the pool's identities, at random among those found; half of their images, farthest point first ->
         train: cross entropy + batch-hard triplets -> retrieval on other identities of the target. An identity is a
         letter of Omniglot in one of six styles, a camera the hand that drew it; garments and grey photographs, in
         clusters, are identities that help nobody. The target's letters are of two alphabets that the pool lacks, in a
         style between two of the pool's. Arms, at the same steps: SnP; SnP with images at random; random identities and
         images; greedy (the identities of the nearest clusters); the nearest domain; and beyond the budget the search's
         result and the whole pool, the latter also with four times the steps.
Run      stagejax run snp_training_data_search                   laptop: 11 minutes beside other runs
         stagejax run snp_training_data_search --preset smoke    seconds
         stagejax plan snp_training_data_search --preset pod --mesh data=16,fsdp=16
Holds if by final mAP on the target, means over three seeds of search, pruning and training: SnP is 2 points or more
         above random, and not below greedy; SnP is not more than 1 point below the whole pool; and over ten sets of the
         budget's size, from four clusters at random each, FD and mAP have a rank correlation of -0.56 or less (the 5 %
         point of one side).
Ours     mAP and rank-1 in %, FD, identities; three seeds, or the first alone:
         SnP                      27.0 ± 2.1, 40.2 ± 4.6     3.0     126 ± 45       images at random: 27.2, 39.1
         random                   28.5 ± 2.6, 42.2 ± 5.3    19.4     178            search alone: 27.3, 40.0
         greedy                   28.0 ± 3.3, 44.7 ± 6.1     3.4     178            nearest domain: 25.8, 45.0
         whole pool               11.3 ± 0.1, 18.2 ± 1.0    19.3    1188            four times the steps: 32.2, 44.7
         SnP finds sets that are near to the target, but is 1.5 points below random and 1.0 below greedy: neither claim
         holds, and seeds differ by more. With two seeds its search ends at two clusters, 100 identities in all, fewer
         than the budget. That it is not below the whole pool holds, as 600 steps are one and a half epochs of that
         pool: with 2400 it is above all arms of its seed. The premise does not hold: FD and mAP of ten random sets
         correlate by -0.50; on another CPU it did, by -0.60 (SnP 27.4, random 29.0, greedy 31.7). An untrained network
         has 8 % mAP.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import TFDS, Dataset, Digits, Images, Portion, Source
from stagejax.data.handwriting.handwriting import Rendered, Style
from stagejax.data.numbered import Numbered
from stagejax.data.pictures.augment import Augment, Augmented
from stagejax.data.pictures.identities import Half, Identities
from stagejax.data.pictures.lookalikes import Lookalikes
from stagejax.data.pictures.omniglot import Omniglot
from stagejax.data.pictures.shift import ShiftAndFlip
from stagejax.data.pictures.tasks import ImageTask, Part, all_of
from stagejax.data.selection.pruning import (
    AtRandom,
    Choice,
    Place,
    anywhere,
    at_random,
    farthest,
    in_nearest_clusters,
    in_nearest_domain,
    in_result,
)
from stagejax.data.sources import labels_of
from stagejax.data.streams import Streams
from stagejax.data.together import Together
from stagejax.inference import Frozen, concatenated, features_of, flops_of_one
from stagejax.models.convnet import ConvNet, ResNet, resnet50
from stagejax.models.vision.projected import Projected
from stagejax.names import slug
from stagejax.objectives.pictures.frechet import frechet_distance
from stagejax.objectives.pictures.identification import Identification, Reidentified
from stagejax.objectives.pictures.neighbourhood import ItselfAmongMany
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.report.pictures import pictures
from stagejax.search.likeness import equal_clusters, nearest_prefix
from stagejax.steps.remembering import Remembering

SNP, SNP_RANDOM, RANDOM, GREEDY = "SnP", "SnP, random images", "random", "greedy"
NEAREST, SEARCH = "nearest domain", "search alone"
WHOLE, LONGER = "whole pool", "whole pool, 4 times the steps"
STYLES = {
    "pencil": Style(pen=-0.4, ink=0.35, paper=0.95, noise=0.03),
    "marker": Style(pen=1.0, ink=0.05, paper=0.9, blur=0.6),
    "italic": Style(slant=0.35, angle=-4.0, ink=0.1),
    "scan": Style(angle=8.0, ink=0.25, paper=0.85, blur=1.0, noise=0.08),
    "board": Style(pen=0.3, ink=0.9, paper=0.15, texture=0.04, noise=0.02),
    "parchment": Style(pen=0.3, slant=0.2, ink=0.3, paper=0.65, texture=0.12, noise=0.04),
}
TARGET = STYLES["italic"].between(STYLES["parchment"], 0.6)
VIEW = 1 << 20
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    letters: Source = field(default_factory=Omniglot)
    letter: str = "letter"  # the field of its records with a letter's number
    count: int = 178  # letters, or more than the largest number
    distractors: tuple[tuple[str, ImageTask], ...] = field(
        default_factory=lambda: tuple(
            (name, ImageTask((Part(Dataset(data)),), 20, limit=4000))
            for name, data in (("garments", "fashion_mnist"), ("photographs", "cifar10"))
        )
    )
    groups: int = 60  # identities of each of these
    each: int = 20  # images of an identity
    size: int = 20  # of an image
    net: ConvNet | ResNet = field(default_factory=lambda: ConvNet(image=20, channels=(16, 32, 64)))
    hidden: int = 64  # of the head of the network that gives features
    queue: int = 2048
    augment: Augment = field(default_factory=lambda: ShiftAndFlip(2, flip=False))
    looked: tuple[int, int] = (400, 128)  # steps and batch of learning the features
    kept: int = 32  # their principal components
    clusters: int = 24
    share: float = 0.15  # n, of the pool's identities
    ratio: float = 0.5  # rho, of their images
    steps: int = 600
    batch: tuple[int, int] = (64, 4)  # images, and how many of an identity
    rates: tuple[float, float] = (6e-3, 2e-3)  # of training on few identities; on the whole pool, and on images alone
    tested: int = 32  # identities of the target
    seeds: tuple[int, ...] = (0, 1, 2)
    beside: tuple[int, ...] = (0,)  # seeds of the arms that no claim speaks of
    candidates: tuple[int, int] = (10, 4)  # sets with the first seed, and the clusters that each is from

    @property
    def domains(self) -> tuple[str, ...]:
        return (*STYLES, *(name for name, _ in self.distractors))

    @property
    def identities(self) -> int:
        """Labels of the pool."""
        return self.count * len(STYLES) + self.groups * len(self.distractors)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        net, other = ConvNet(image=8, channels=(8, 16)), ImageTask((Part(Digits()),), 8, limit=400)
        sizes = {"count": 10, "distractors": (("others", other),), "groups": 10, "each": 10, "size": 8, "net": net}
        how = {"hidden": 16, "queue": 128, "looked": (30, 32), "kept": 8, "clusters": 7, "share": 0.3, "steps": 40}
        how |= {"augment": ShiftAndFlip(1, flip=False), "batch": (32, 4), "tested": 5, "candidates": (3, 3)}
        return Config(Portion(Digits(), stop=300), "label", seeds=(0,), **sizes, **how)
    if name == "pod":
        net = resnet50(image=112, channels_in=1)
        photographs = ImageTask((Part(TFDS("cifar100")),), 112)
        sizes = {"count": 1623, "distractors": (("photographs", photographs),), "groups": 1000, "size": 112, "net": net}
        how = {"hidden": 2048, "queue": 65_536, "looked": (20_000, 1024), "kept": 64, "clusters": 50}
        how |= {
            "steps": 100_000,
            "batch": (256, 4),
            "rates": (3.5e-4, 3.5e-4),
            "tested": 256,
            "augment": ShiftAndFlip(8, False),
        }
        return Config(TFDS("omniglot"), "label", seeds=(0,), **sizes, **how)
    return Config()


# --- data ---


def pool(cfg: Config) -> Together:
    """Every letter in every style, and what helps nobody: one label an identity."""
    how = {"size": cfg.size, "letter": cfg.letter}
    parts: list[Source] = []
    for domain, style in enumerate(STYLES.values()):
        parts.append(Rendered(cfg.letters, style, first=domain * cfg.count, domain=domain, **how))
    first = cfg.count * len(STYLES)
    for i, (_, task) in enumerate(cfg.distractors):
        parts.append(Lookalikes(task, cfg.groups, cfg.each, first + i * cfg.groups, len(STYLES) + i))
    return Together(tuple(parts))


def target(cfg: Config, tested: bool) -> Half:
    """Letters that the pool lacks: those that are tested, or those whose images are known and whose labels are not."""
    held_out = cfg.letters.of_split("test")
    drawn = Rendered(held_out, TARGET, size=cfg.size, domain=len(cfg.domains), letter=cfg.letter)
    return Half(drawn, odd=tested)


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """Features; for every seed a search, what each arm makes of it, and its training; and sets at random."""
    eye = run.train(contrast(cfg))
    start = run.transform("start", Headless(cfg.identities), eye, to=replace(cfg.net, classes=cfg.identities))
    images = len(STYLES) * cfg.count * cfg.each
    seen = run.make("features", features, cfg, eye, flops=float(images) * flops_of_one(features_of, cfg.net, row(cfg)))
    searches = {seed: run.make(f"{seed}/search", searched, cfg, seen, seed) for seed in cfg.seeds}
    found: dict[str, dict[int, tuple[Any, Any, Any]]] = {arm: {} for arm in ARMS}
    for seed, search in searches.items():
        for arm, choice in ARMS.items() if seed in cfg.beside else JUDGED.items():
            made = run.make(f"{seed}/{slug(arm)}/chosen", chosen, cfg, choice, seen, search, seed)
            charged = (eye,) if arm in (RANDOM, WHOLE, LONGER) else (eye, seen, search)
            found[arm][seed] = (
                run.train(identifying(cfg, f"{seed}/{slug(arm)}", choice, made, seed), start),
                made,
                charged,
            )
    search, drawn = searches[cfg.seeds[0]], []
    for number in range(cfg.candidates[0]):
        choice = Choice(AtRandom(cfg.candidates[1]), farthest)
        made = run.make(f"candidates/{number}/chosen", chosen, cfg, choice, seen, search, 1000 + number)
        drawn.append((run.train(identifying(cfg, f"candidates/{number}", choice, made, cfg.seeds[0]), start), made))
    return report(cfg, search, found, drawn)


def contrast(cfg: Config) -> Stage:
    """Each image against all remembered others, two views at a time: features that no label has touched."""
    steps, batch = cfg.looked
    images = Images(source=pool(cfg), batch=batch, shape=row(cfg).shape)
    plain = Augmented(data=images, augment=cfg.augment)
    views = Streams(
        data=Numbered(data=plain),
        beside=replace(plain, seed=VIEW),
        own=(("image", "image"), ("label", "label"), ("record", "record")),
        other=(("view", "image"),),
    )
    net = Projected(replace(cfg.net, classes=cfg.hidden), cfg.hidden, cfg.queue)
    optimizer = adamw(cfg.rates[1], warmup=0.1, weight_decay=1e-4)
    return Stage("features-net", net, ItselfAmongMany(), optimizer, views, steps, ema=0.99, step=Remembering())


@dataclass(frozen=True)
class Headless:
    """For `run.transform`: the network without its projection, and a head of zeros for all identities."""

    identities: int

    def __call__(self, key: Any, source: Any) -> Any:
        params, rest = (tree["net"] for tree in source)
        head = {
            "kernel": jnp.zeros((params["head"]["kernel"].shape[0], self.identities)),
            "bias": jnp.zeros(self.identities),
        }
        return {**params, "head": head}, rest


def identifying(cfg: Config, name: str, choice: Choice, made: Any, seed: int) -> Stage:
    """The recipe of all arms: identities and triplets of the chosen rows, tested by retrieval on the target."""
    how = {"shape": row(cfg).shape, "seed": seed}
    data = Identities(
        source=pool(cfg), batch=cfg.batch[0], each=cfg.batch[1], of=made.fingerprint, arrays=made.value, **how
    )
    steps, whole = cfg.steps * choice.longer, choice.identities is anywhere and choice.images is None
    test = Identities(source=target(cfg, True), batch=cfg.tested * cfg.each, each=cfg.each, **how)
    return Stage(
        name=name,
        model=replace(cfg.net, classes=cfg.identities),
        objective=Identification(),
        optimizer=adamw(cfg.rates[whole], warmup=0.1, weight_decay=1e-4),
        data=Augmented(data=data, augment=cfg.augment, seed=seed),
        steps=steps,
        evaluate=Evaluation(test, 1, max(1, steps // 5), Reidentified(cfg.each)),
        seed=seed,
    )


def row(cfg: Config) -> Any:
    return jax.ShapeDtypeStruct((cfg.size, cfg.size, 1), np.float32)


# --- search and prune ---


def features(cfg: Config, eye: Any) -> Arrays:
    """Principal components of the features of the pool's images and of the target's."""
    from sklearn.decomposition import PCA

    frozen, sources = Frozen.of(eye), (pool(cfg), target(cfg, False))
    made = [concatenated([frozen], all_of(source)["image"])[:, 0] for source in sources]
    parts = PCA(cfg.kept, random_state=0).fit(np.concatenate(made))
    own, other = (parts.transform(one).astype(np.float32) for one in made)
    return {"pool": own, "target": other}


def searched(cfg: Config, seen: Any, seed: int) -> Arrays:
    """Which cluster each identity is in; the clusters by their distance, and the distances of their unions."""
    labels, x = labels_of(pool(cfg)), seen.value["pool"]
    names = np.unique(labels)
    cluster = equal_clusters(np.stack([x[labels == name].mean(0) for name in names]), cfg.clusters, seed)
    of_row = cluster[np.searchsorted(names, labels)]
    prefix = nearest_prefix([x[of_row == c] for c in range(cfg.clusters)], seen.value["target"], seed)
    return {"cluster": cluster, "best": prefix.best, **prefix._asdict()}


ARMS = {
    SNP: Choice(in_result, farthest),
    SNP_RANDOM: Choice(in_result, at_random),
    RANDOM: Choice(anywhere, at_random),
    GREEDY: Choice(in_nearest_clusters, farthest),
    NEAREST: Choice(in_nearest_domain, farthest),
    SEARCH: Choice(in_result, None),
    WHOLE: Choice(anywhere, None),
    LONGER: Choice(anywhere, None, longer=4),
}
JUDGED = {arm: ARMS[arm] for arm in (SNP, RANDOM, GREEDY, WHOLE)}


def chosen(cfg: Config, choice: Choice, seen: Any, search: Any, seed: int) -> Arrays:
    """The rows of a choice, how far they are from the target, and how many identities of each domain they show."""
    labels, x, goal = labels_of(pool(cfg)), seen.value["pool"], seen.value["target"]
    domain_of_row = np.repeat(np.arange(len(cfg.domains)), [len(part) for part in pool(cfg).parts])
    names, first = np.unique(labels, return_index=True)
    at = Place(
        cluster=search.value["cluster"],
        own=search.value["own"],
        best=search.value["best"],
        domain=domain_of_row[first],
        apart=np.array([apart_from(x[domain_of_row == d], goal, seed) for d in range(len(cfg.domains))]),
        budget=len(names) if choice.images is None else round(cfg.share * len(names)),
    )
    rows = choice.rows(at, np.searchsorted(names, labels), x, cfg.ratio, np.random.default_rng(seed))
    shown = np.unique(labels[rows], return_index=True)[1]
    domains = np.bincount(domain_of_row[rows][shown], minlength=len(cfg.domains))
    return {"rows": rows, "FD": np.array(apart_from(x[rows], goal, seed)), "identities": domains}


def apart_from(x: np.ndarray, goal: np.ndarray, seed: int) -> float:
    """FD to the target, of at most as many rows."""
    return frechet_distance(x[np.random.default_rng(seed).permutation(len(x))[: len(goal)]], goal)


# --- report ---


def report(cfg: Config, search: Any, found: Any, drawn: Any) -> Report:
    """How well the target is found, what each set holds, and the claims."""
    from scipy import stats

    def over(arm: str, column: str) -> list[float]:
        held = found[arm].values()
        if column in ("mAP", "rank-1"):
            return [net.history.last(column) for net, _, _ in held]
        if column == "FD":
            return [float((made.value or {}).get("FD", np.nan)) for _, made, _ in held]
        shares = [(made.value or {}).get("identities", np.full(len(cfg.domains), np.nan)) for _, made, _ in held]
        if column == "identities":
            return [float(share.sum()) for share in shares]
        return [float(share[cfg.domains.index(column)] / share.sum()) for share in shares]

    def above(other: str) -> float:
        return 100 * (mean(over(SNP, "mAP")) - mean(over(other, "mAP")))

    pairs = [(float((made.value or {}).get("FD", np.nan)), net.history.last("mAP")) for net, made in drawn]
    rho = float(stats.spearmanr(*zip(*pairs, strict=True)).statistic) if search.value else np.nan
    gain, beside, cost, said = above(RANDOM), above(GREEDY), -above(WHOLE), {"unit": "points"}
    claims = (
        claim("A searched and pruned set trains better than a random one", paper="at every size; no figure read",
              measured=gain, margin="2 points of mAP or more", holds=gain >= 2, **said),
        claim("Better than a greedy choice", paper="at every size; no figure read", measured=beside,
              margin="mean mAP not below that of the greedy choice", holds=beside >= 0, **said),
        claim("As well as the whole pool", paper="similar or better with 80 % less", measured=-cost,
              margin="not more than 1 point of mAP below it, at the same steps", holds=cost <= 1, **said),
        claim("A set that is nearer to the target trains better", paper="its premise", measured=rho,
              margin="rank correlation of FD and mAP over sets at random: -0.56 or less", holds=rho <= -0.56),
    )  # fmt: skip
    arms = {arm: {seed: Arm("", held[:1], held[2]) for seed, held in own.items()} for arm, own in found.items()}
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2303.16186",
        arms=by_seed(arms, RANDOM),
        tables=(
            table_of_means("Found again on the target", tuple(ARMS), ("mAP", "rank-1"), over),
            table_of_means(
                "Sets",
                tuple(ARMS),
                ("FD", "identities"),
                over,
                scale=1.0,
                digits=2,
                note="Fréchet distance to the target's unlabelled images, and identities: mean ± deviation.",
            ),
            table_of_means("Where their identities are from", tuple(ARMS), cfg.domains, over),
            Table(
                "Sets at random",
                ("FD", "mAP"),
                tuple(sorted(pairs)),
                (".2f", ".1%"),
                note=f"With the first seed, {cfg.candidates[1]} clusters each. Rank correlation {rho:.2f}.",
            ),
        ),
        figures=() if search.value is None else (samples(cfg),),
        baseline=RANDOM,
        metric="mAP",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )


def samples(cfg: Config) -> Any:
    """One image in three of every domain and of the target."""
    parts = (*pool(cfg).parts, target(cfg, False))
    rows = [[part[i * len(part) // 3]["image"][..., 0] for part in parts] for i in range(3)]
    return pictures("Domains of the pool, and the target", (*cfg.domains, "target"), rows)


NOTES = (
    "Dossier: 30 alphabets; here the 6 background and 2 evaluation alphabets at hand, the latter's letters split into "
    "those searched with and those tested. The features are of instance contrast, in place of ImageNet's Inception.",
    "Every arm has a head for all identities of the pool, so that all run one program.",
    "Queries and gallery are halves of an identity's images; no hand drew a letter twice.",
    "Styles and sizes were set before any arm was run. A first run was stopped: with triplets of features of any size "
    "and networks that began anew, the whole pool stayed at chance. So features have unit length in the triplets, and "
    "training begins with the features' network, as the paper's with ImageNet's. Try-outs of random and whole pool "
    "chose rates (of 2e-3 and 6e-3) by the loss in training; their mAP was printed beside it.",
    "The whole pool is far from converged in these steps, which is why it is trained four times as long as well.",
    "The cost of learning the features, and of their computation, is charged to every arm that looks at them.",
    "pod: the person data sets are not open, so all of Omniglot in six styles and CIFAR-100 stand in, with ResNet-50.",
)

EXPERIMENT = Experiment(
    name="snp_training_data_search",
    title="SnP: training data are searched and pruned",
    reference="Yao et al., CVPR 2023, arXiv 2303.16186",
    paper=59,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("snp_training_data_search")
