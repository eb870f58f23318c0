"""LOOK: pre-train with labels so that an image needs only its nearest neighbours to share its class.

Paper    Fan et al., Rethinking Supervised Pre-training for Better Downstream Transferring (LOOK), ICLR 2022,
         arXiv 2110.06014 (dossier 027; the paper was not read whole, no code is known).
Claim    Cross entropy draws all images of a class into one cluster and loses what tells them apart. The leave-one-out
         error of a k-nearest-neighbour vote lets a class have several modes, and transfers better (no figure read).
Method   Upstream labels are coarser than downstream ones. A network f with a projection head learns from the weighted
         vote of the k nearest of a queue of 2048 features (temperature 0.1), which an average of the network fills; an
         image never votes on itself; k falls from a quarter of the queue within the first third. Then the head goes:
         linear probe, nearest neighbours and few-shot classification on frozen f, and fine-tuning. Arms, at the same
         images, order, distortions (shift, mirror), steps and optimizer: cross entropy (C.E.); LOOK with k = 10, 50,
         200; all of the queue (NCA); all of the class as positives (SupCon); no labels (InfoNCE, which alone sees a
         second view, in the average). CIFAR-10 as {vehicle, animal}, Fashion-MNIST as {top, dress or trousers, shoe,
         bag}.
Run      stagejax run look                      laptop: about 11 minutes on two cores
         stagejax run look --preset smoke       seconds
         stagejax plan look --preset pod --mesh data=16,fsdp=16
Holds if on both domains, means over three seeds: the linear probe on the ten fine labels is 2 points or more above
         C.E.; the coarse accuracy of 20 nearest neighbours is not more than 1 point below that of C.E.; and the probe
         is higher with k = 50 than with all of the queue (NCA).
Ours     None of the three holds. Three seeds, in %, test accuracies of frozen features (experiments/results/):
                          CIFAR-10: fine  coarse, 20-NN      Fashion: fine  coarse, 20-NN    digits   few-shot
         C.E.             33.5 +/- 1.8    88.6 +/- 0.7       72.3 +/- 0.8   93.7 +/- 0.3   73.6  72.8  26.3  30.8
         LOOK, k = 50     33.1 +/- 0.3    87.1 +/- 0.8       73.1 +/- 1.7   92.9 +/- 0.2   75.0  75.0  30.0  34.6
         NCA, k = Q       33.3 +/- 1.4    88.3 +/- 0.2       73.4 +/- 1.1   93.2 +/- 0.2   76.5  75.3  29.7  35.8
         SupCon           33.3 +/- 1.4    88.5 +/- 0.6       73.3 +/- 0.9   93.2 +/- 0.4   75.2  75.8  29.9  34.2
         Classes do lie wider with few neighbours (share of variance within coarse classes, CIFAR-10: C.E. 59 %, NCA 65,
         k = 50 68, k = 10 71), and the three rows below C.E. are ahead of it on digits and letters, by about two of its
         spreads at most; fine labels do not gain. Four epochs of 5000 images; fine-tuned for 120 steps all arms are
         below their probes.
         A first run tuned for 60 steps of 128 at 1e-3: 17.6 to 18.6 % on CIFAR-10; nothing else was changed after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import TFDS, Dataset, Digits, Images
from stagejax.data.numbered import Numbered
from stagejax.data.pictures.augment import Augment, Augmented, RandAugment
from stagejax.data.pictures.crop import Crop
from stagejax.data.pictures.photos import Photos
from stagejax.data.pictures.shift import ShiftAndFlip
from stagejax.data.pictures.tasks import ImageTask, Part, all_of
from stagejax.data.published import IMAGENET
from stagejax.data.selection.relabelled import Relabelled
from stagejax.data.streams import Streams
from stagejax.inference import Frozen, concatenated
from stagejax.models.convnet import ResNet, resnet50
from stagejax.models.vision.projected import Projected
from stagejax.objectives.classification import classification
from stagejax.objectives.pictures.neighbourhood import (
    ClassAmongMany,
    ItselfAmongMany,
    Narrowing,
    NeighbourVote,
    accuracy_of_vote,
)
from stagejax.objectives.probing import few_shot_accuracy, linear_probe, standardised
from stagejax.objectives.retrieval.neighbours import nearest, vote
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, by_seed, claim, mean, table_of_means
from stagejax.steps.remembering import Remembering
from stagejax.steps.scheduled import paced_step

CE, NCA, SUPCON, INFO = "C.E.", "NCA, k = Q", "SupCon", "InfoNCE, no labels"
CIFAR = (0, 0, 1, 1, 1, 1, 1, 1, 0, 0)  # vehicle, animal
FASHION = (0, 1, 0, 1, 0, 2, 0, 2, 3, 2)  # top, dress or trousers, shoe, bag
FEW_SHOT, VIEW = "few-shot", 1 << 20


@dataclass(frozen=True)
class Domain:
    """Images with fine labels, what they are called upstream, and what else is asked of their features."""

    name: str
    fine: ImageTask
    coarse: tuple[int, ...] | None  # of each fine label; None: the same labels
    targets: tuple[tuple[str, ImageTask], ...]  # further tasks
    channels: int

    @property
    def classes(self) -> int:
        return len(set(self.coarse or range(1000)))

    @property
    def fine_classes(self) -> int:
        return len(self.coarse or range(1000))


def domain(name: str, data: str, coarse: tuple[int, ...], channels: int) -> Domain:
    """A named dataset at 16 x 16 pixels, and digits beside it."""
    digits = (("digits", ImageTask((Part(Dataset("mnist")),), 16)),)
    return Domain(name, ImageTask((Part(Dataset(data)),), 16, limit=5000), coarse, digits, channels)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    domains: tuple[Domain, ...] = field(
        default_factory=lambda: (
            domain("CIFAR-10", "cifar10", CIFAR, 3),
            domain("Fashion", "fashion_mnist", FASHION, 1),
        )
    )
    net: ResNet = field(default_factory=lambda: ResNet(image=16, channels=(12, 24, 48), blocks=(1, 1, 1)))
    hidden: int = 64  # of the projection head
    width: int = 64  # of what it gives
    queue: int = 2048
    temperature: float = 0.1
    k: int = 50
    ks: tuple[int, ...] = (10, 200)  # further ones
    decay: float = 0.99  # of the average
    augment: Augment = field(default_factory=ShiftAndFlip)
    crop: Crop | None = None  # of photographs of any size; None: the images are all of the network's size
    batch: int = 128
    steps: int = 160
    peak: float = 3e-3  # learning rate, of all arms
    labelled: tuple[int, int, int] = (1000, 500, 2000)  # of a target: to fit, to choose the decay by, to test
    decays: tuple[float, ...] = (1e-3, 1e-2, 1e-1)  # of the probes' kernels
    neighbours: int = 20
    few_shot: ImageTask | None = field(
        default_factory=lambda: ImageTask((Part(Dataset("omniglot")),), 16).of_split("test")
    )
    tuning: tuple[int, int, float] = (120, 64, 3e-3)  # steps, batch and learning rate of fine-tuning
    seeds: tuple[int, ...] = (0, 1, 2)
    beside: tuple[int, ...] = (0,)  # seeds of the arms that no claim speaks of


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        digits = ImageTask((Part(Digits()),), 8)
        even = Domain("digits", replace(digits, limit=600), (0, 1) * 5, (("the same", digits),), 1)
        tiny = ResNet(image=8, channels=(4, 8), blocks=(1, 1))
        how = {"hidden": 16, "width": 8, "queue": 128, "k": 8, "ks": (), "batch": 32, "steps": 24, "neighbours": 5}
        how |= {"augment": ShiftAndFlip(1, flip=False), "labelled": (200, 100, 150), "decays": (1e-2,)}
        return Config((even,), tiny, few_shot=digits.of_split("test"), tuning=(4, 32, 1e-3), seeds=(0,), **how)
    if name == "pod":
        names = ("cifar10", "oxford_flowers102", "stanford_cars", "food101", "dtd")
        tests = {"food101": "validation"}
        sources = {name: TFDS(name, **({"test": tests[name]} if name in tests else {})) for name in names}
        targets = tuple((name, ImageTask((Part(source),), 224)) for name, source in sources.items())
        whole = Domain("ImageNet", ImageTask((Part(IMAGENET),), 224), None, targets, 3)
        how = {"hidden": 2048, "width": 128, "queue": 65_536, "k": 50, "decay": 0.999, "augment": RandAugment()}
        how |= {"crop": Crop(), "batch": 1024, "steps": 375_000, "labelled": (900, 100, 1800), "few_shot": None}
        return Config((whole,), resnet50(), tuning=(20_000, 256, 1e-4), seeds=(0,), **how)
    return Config()


def looking(k: int) -> str:
    return f"LOOK, k = {k}"


def pipeline(run: Any, cfg: Config) -> Report:
    """Every arm on every domain; what its features are worth, frozen and tuned."""
    nets, found, tuned = {}, {}, {}
    for where in cfg.domains:
        for seed in cfg.seeds:
            for arm, stage in arms(cfg, where, seed).items():
                if seed in cfg.beside or arm in (CE, looking(cfg.k), SUPCON, NCA):
                    key, at = (where.name, arm, seed), stage.name
                    nets[key] = run.train(stage)
                    found[key] = run.make(f"{at}/worth", worth, cfg, where, nets[key]).value
                    if seed in cfg.beside:
                        tuned[key] = fine_tuned(run, cfg, where, f"{at}/tuned", nets[key], seed)
    return report(cfg, nets, found, tuned)


# --- stages ---


def arms(cfg: Config, where: Domain, seed: int) -> dict[str, Stage]:
    """The recipe of all arms, and what each changes in it."""
    plain = classifier(cfg, upstream(cfg, where, seed), where.classes, f"{where.name}/{seed}/ce", seed)
    net = Projected(replace(plain.model, classes=cfg.hidden), cfg.width, cfg.queue)
    scored = partial(accuracy_of_vote, k=cfg.neighbours, classes=where.classes, temperature=cfg.temperature)
    queued = replace(plain, model=net, ema=cfg.decay, step=Remembering())
    queued = replace(queued, data=Numbered(data=plain.data), evaluate=replace(plain.evaluate, objective=scored))
    first, made = cfg.queue // 4, {CE: plain}
    for k in (cfg.k, *cfg.ks):
        step = Remembering(partial(paced_step, options=Narrowing(k, first)))
        made[looking(k)] = replace(queued, objective=NeighbourVote(first, cfg.temperature), step=step)
    views = Streams(
        data=queued.data,
        beside=replace(plain.data, seed=seed + VIEW),
        own=(("image", "image"), ("label", "label"), ("record", "record")),
        other=(("view", "image"),),
    )
    made[NCA] = replace(queued, objective=NeighbourVote(None, cfg.temperature))
    made[SUPCON] = replace(queued, objective=ClassAmongMany(cfg.temperature))
    made[INFO] = replace(queued, objective=ItselfAmongMany(cfg.temperature), data=views)
    named = {arm: arm.partition(", ")[2].replace("k = ", "k=") or arm for arm in made}
    return {arm: replace(one, name=f"{where.name}/{seed}/{named[arm]}") for arm, one in made.items()}


def upstream(cfg: Config, where: Domain, seed: int) -> Images:
    """Images with the labels that pre-training sees."""
    shape = (cfg.net.image, cfg.net.image, where.channels)
    if cfg.crop is not None:
        return Photos(source=where.fine.parts[0].source, batch=cfg.batch, shape=shape, seed=seed, crop=cfg.crop)
    source = where.fine if where.coarse is None else Relabelled(where.fine, where.coarse)
    return Images(source=source, batch=cfg.batch, shape=shape, seed=seed)


def classifier(cfg: Config, images: Images, classes: int, name: str, seed: int) -> Stage:
    """Cross entropy on the labels of images: what all arms have in common."""
    count = max(1, cfg.labelled[2] // images.batch)
    return Stage(
        name=name,
        model=replace(cfg.net, channels_in=images.shape[2], classes=classes),
        objective=classification,
        optimizer=adamw(cfg.peak, warmup=0.1, weight_decay=1e-4),
        data=Augmented(data=images, augment=cfg.augment, seed=seed),
        steps=cfg.steps,
        evaluate=Evaluation(images.held_out(count), count, max(1, cfg.steps // 4)),
        seed=seed,
    )


def fine_tuned(run: Any, cfg: Config, where: Domain, name: str, net: Any, seed: int) -> Any:
    """All of f on the labelled images of the fine task, behind a new head that begins at zero."""
    shape, (steps, batch, rate) = (cfg.net.image, cfg.net.image, where.channels), cfg.tuning
    images = Images(source=parts(cfg, where.fine)[0], batch=batch, shape=shape, seed=seed)
    stage = classifier(cfg, images, where.fine_classes, f"{name}/tune", seed)
    start = run.transform(name, Headless(where.fine_classes), net, to=stage.model)
    return run.train(replace(stage, steps=steps, optimizer=adamw(rate, warmup=0.1)), start)


@dataclass(frozen=True)
class Headless:
    """For `run.transform`: the network without its projection, and a head of zeros for other classes."""

    classes: int

    def __call__(self, key: Any, source: Any) -> Any:
        params, rest = (tree.get("net", tree) for tree in source)
        width = params["head"]["kernel"].shape[0]
        head = {"kernel": jnp.zeros((width, self.classes)), "bias": jnp.zeros(self.classes)}
        return {**params, "head": head}, rest


# --- what features are worth ---


def parts(cfg: Config, task: ImageTask) -> list[ImageTask]:
    """Labelled records to fit on, to choose by and to test on, the first two from beyond those seen upstream."""
    fit, chosen, test = cfg.labelled
    skip = task.limit or 0
    own = [replace(task, skip=skip, limit=fit), replace(task, skip=skip + fit, limit=chosen)]
    return [*own, replace(task.of_split("test"), limit=test)]


def worth(cfg: Config, where: Domain, net: Any) -> dict[str, float]:
    """Accuracies of frozen features: fine labels, coarse ones, other tasks, few shots; and how the classes lie."""
    frozen = Frozen.of(net)

    def features(images: np.ndarray) -> np.ndarray:
        return concatenated([frozen], np.repeat(images, where.channels // images.shape[-1], axis=-1))[:, 0]

    found: dict[str, float] = {}
    for name, task in (("fine", where.fine), *where.targets):
        read = [all_of(part) for part in parts(cfg, task)]
        x, y = [features(part["image"]) for part in read], [part["label"] for part in read]
        ready = [np.asarray(standardised(one, x[0])) for one in x]
        classes = int(y[0].max()) + 1
        heads = [linear_probe(ready[0], y[0], decay, classes=classes) for decay in cfg.decays]
        right = [[(z @ w + b).argmax(1) == own for z, own in zip(ready[1:], y[1:], strict=True)] for w, b in heads]
        found[name] = float(max(right, key=lambda one: one[0].mean())[1].mean())
        if name == "fine":
            found["fine, neighbours"] = neighbours(cfg, x, y)
            coarse = [np.asarray(where.coarse or range(classes))[own] for own in y]
            found["coarse, neighbours"] = neighbours(cfg, x, coarse)
            found |= modes(ready[2], coarse[2])
    if cfg.few_shot is not None:
        letters = all_of(cfg.few_shot)
        ready_letters = np.asarray(standardised(*[features(letters["image"])] * 2))
        ways = min(20, len(np.unique(letters["label"])))
        how = {"ways": ways, "shots": 5, "queries": 10, "episodes": 100, "seed": 0}
        found[FEW_SHOT] = few_shot_accuracy(ready_letters, letters["label"], **how)
    return found


def neighbours(cfg: Config, x: list[np.ndarray], y: list[np.ndarray]) -> float:
    """Test accuracy of a weighted vote of the nearest labelled ones."""
    places, scores = nearest(x[2], x[0], cfg.neighbours)
    return float((vote(y[0][places], scores, int(y[0].max()) + 1, cfg.temperature) == y[2]).mean())


def modes(x: np.ndarray, coarse: np.ndarray, most: int = 8, rows: int = 400) -> dict[str, float]:
    """Which share of the variance lies within coarse classes; and how many clusters suit one best, by silhouettes."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    groups = [x[coarse == c] for c in np.unique(coarse)]
    within = sum(((own - own.mean(0)) ** 2).sum() for own in groups) / ((x - x.mean(0)) ** 2).sum()
    best = []
    for own in (group[:rows] for group in groups if len(group) > most):
        cut = {n: KMeans(n, n_init=3, random_state=0).fit_predict(own) for n in range(2, most + 1)}
        best.append(max(cut, key=lambda n: silhouette_score(own, cut[n])))
    return {"variance within": float(within), "modes": float(np.mean(best))}


# --- report ---


def report(cfg: Config, nets: Any, found: Any, tuned: Any) -> Report:
    """What frozen and tuned features are worth, and the claims."""
    names, look = list(dict.fromkeys(arm for _, arm, _ in nets)), looking(cfg.k)

    def over(where: str, arm: str, column: str) -> list[float]:
        if column == "fine-tuned":
            return [tuned[key].history.last("accuracy") for key in tuned if key[:2] == (where, arm)]
        return [(value or {}).get(column, np.nan) for key, value in found.items() if key[:2] == (where, arm)]

    def least(column: str, arm: str, other: str) -> float:
        """Points by which an arm exceeds another where it does least."""
        return min(100 * (mean(over(d.name, arm, column)) - mean(over(d.name, other, column))) for d in cfg.domains)

    gain, coarse, nearby = least("fine", look, CE), least("coarse, neighbours", look, CE), least("fine", look, NCA)
    said = {"unit": "points"}
    claims = (
        claim("A vote of neighbours teaches more of the fine labels than cross entropy on coarse ones",
              paper="better on several downstream tasks; no figure read", measured=gain, **said,
              margin="2 points or more by linear probe on each domain", holds=gain >= 2),
        claim("It costs no accuracy on the coarse labels", paper="not compared", measured=coarse, **said,
              margin="not more than 1 point below cross entropy, 20 nearest neighbours, on each domain",
              holds=coarse >= -1),
        claim("Few neighbours leave more of the fine labels than the whole queue", paper="several modes a class",
              measured=nearby, **said, margin="higher by linear probe on each domain", holds=nearby > 0),
    )  # fmt: skip
    targets = [name for name, _ in cfg.domains[0].targets]
    frozen = ["fine", "fine, neighbours", "coarse, neighbours", *targets, *([FEW_SHOT] if cfg.few_shot else [])]
    tables = []
    for d in cfg.domains:
        tables.append(table_of_means(f"{d.name}: accuracy", names, [*frozen, "fine-tuned"], partial(over, d.name)))
        tables.append(
            table_of_means(f"{d.name}: how coarse classes lie", names, ["variance within", "modes"],
                           partial(over, d.name), scale=1.0, digits=2,
                           note="Share of variance within coarse classes; clusters of a class, best by silhouette.")
        )  # fmt: skip
    made = []
    for d in cfg.domains:
        of = {arm: {s: Arm("", (net,)) for (w, a, s), net in nets.items() if (w, a) == (d.name, arm)} for arm in names}
        made += by_seed({f"{d.name}: {arm}": own for arm, own in of.items()}, f"{d.name}: {CE}")
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2110.06014",
        arms=tuple(made),
        tables=tuple(tables),
        baseline=f"{cfg.domains[0].name}: {CE}",
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )


NOTES = (
    "The curves are of coarse accuracy on held-out images: of the head for C.E., of a vote of the queue for the rest. "
    "The queue's arms pay one forward pass of the average more, which is charged.",
    "Temperature, queue, k and its schedule are not confirmed by the paper; where no neighbour has the class, the "
    "nearest that has joins the vote (our rule).",
    "The learning rate is one for all arms and was not searched. Arms that no claim speaks of, and fine-tuning, have "
    "one seed. Labelled images of the fine task were not seen upstream.",
    "pod: the two views of InfoNCE are of one crop, distorted differently; the queue lies on every device.",
)

EXPERIMENT = Experiment(
    name="look",
    title="LOOK: pre-training by a vote of neighbours",
    reference="Fan et al., ICLR 2022, arXiv 2110.06014",
    paper=27,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("look")
