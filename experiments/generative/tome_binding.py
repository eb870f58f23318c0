"""ToMe: words of a prompt are merged at inference, so that a frozen generator gives colours to the right things.

Paper    Hu, Li, van de Weijer, Gao, Khan, Yang, Cheng, Wang and Wang, Token Merging for Training-Free Semantic Binding
         in Text-to-Image Synthesis, NeurIPS 2024, arXiv 2411.07132 (dossier 018).
Claim    Attributes go to the wrong object because states of a text tower are entangled. Adding the states of an object
         and of its attributes up to one composite token, end tokens without attributes, and two losses in the first
         steps of sampling bind them, without training: better than SDXL, Attend-and-Excite, SynGen and others on
         T2I-CompBench and on a benchmark of objects; merging and ends alone give much of it.
Method   Trained here and then frozen, for each seed: a causal text tower against an image network (CLIP, read at the
         first end token), and on its states before the last block a generator (flow matching, cross-attention). Its
         pictures show one or two real things (MNIST zeros, trousers, bags and boots of Fashion-MNIST) in five colours,
         captions say "a red bag and a blue boot", 20 % of them no colours. Of all pairs of coloured things, 30 % never
         lie beside each other: prompts of the test name these. Arms on the same weights: base; merging (c* = alpha noun
         + beta colours, the colours' states 0) and end-token substitution; + entropy of attention maps; both losses
         without merging; entropy only; merging, ends and the binding loss (a composite token alone against its phrase,
         on an anchor latent of its own); all; Attend-and-Excite; and the best of as many base pictures as all has
         network evaluations, chosen by a checker. A judge says what lies on the pictures: it, the checker and the
         generator have learned from other real things each.
Run      stagejax run tome_binding                      laptop: 13 minutes beside other jobs
         stagejax run tome_binding --preset smoke       under a minute
         stagejax plan tome_binding --preset pod --mesh data=16,fsdp=16
Holds if in the mean over seeds (1) all is 8 points or more above the base in binding accuracy, (2) with fewer swaps,
         (3) merging and ends alone give half of that gain or more, and (4) all is above the best of k at as many
         evaluations.
Ours     Does not hold at this scale (3 seeds, ± over seeds, 104 pictures each). Binding accuracy in %: base 62.7 ± 8.6
         (one item 95.5, two seen together 71.5, real pictures 99.0, another prompt's picture 7.1), all 54.8 ± 8.5: 7.9
         points below, with swaps on 31.7 against 25.6 % of pictures. It is merging and ends that lose, 54.6 ± 9.9, more
         than any part gives back: the losses without merging have 61.7 ± 7.8, the entropy alone 61.1 ± 7.1, Attend-and-
         Excite 62.3 ± 7.4, all within the spread. Best of 5 has 82.2 ± 4.3 (best of 2 73.2), by a checker that has seen
         labels. Validation took beta = .3 (.15 is level with it) and the least binding update of four, .27; the code's
         weights (1.1, 1.2) had 45.0 against 49.2 %. That states of this tower do not add up as SDXL's do would explain
         it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import TFDS, Row
from stagejax.data.multimodal.bound_items import ItemWorld, Prompt, captioned, digit_kinds, items_of, parted, real_kinds
from stagejax.data.multimodal.composites import CLOTHES, COLORS, DIGITS
from stagejax.data.prompts.answers import MadeRows
from stagejax.inference import Frozen, apply
from stagejax.inference.pictures.binding_verdicts import SCORES, ItemReader, PatchDetector, best_so_far, crops_of
from stagejax.inference.pictures.token_merging import MergedSampler, prompted, states_of
from stagejax.models import Transformer
from stagejax.models.generative.text_to_image import TextToImage
from stagejax.models.multimodal.text_image_pair import TextImagePair
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.names import slug
from stagejax.objectives.classification import classification
from stagejax.objectives.contrastive import distinct_image_text
from stagejax.objectives.flow import FlowMatching
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.report.pictures import pictures
from stagejax.search.in_turn import InTurn

BASE, MERGED, ALL = "base", "merging and ends", "all"
MERGED_ENTROPY, MERGED_BINDING = "merging, ends, entropy", "merging, ends, binding"
UNMERGED, ENTROPY, EXCITE = "both losses, no merging", "entropy only", "Attend-and-Excite"
BEST, REAL, CHANCE = "best of k", "real pictures", "another prompt's picture"
#: What of the method each arm has.
PARTS: dict[str, dict[str, Any]] = {
    BASE: {},
    MERGED: {"merge": True, "ends": True},
    MERGED_ENTROPY: {"merge": True, "ends": True, "focus": "entropy"},
    UNMERGED: {"binding": True, "focus": "entropy"},
    ENTROPY: {"focus": "entropy"},
    MERGED_BINDING: {"merge": True, "ends": True, "binding": True},
    ALL: {"merge": True, "ends": True, "binding": True, "focus": "entropy"},
    EXCITE: {"focus": "excite"},
}
FLOW = FlowMatching("image", ("text",), drop=0.1, logit_normal=(-0.8, 0.8))
#: Kinds of prompts that the base is shown.
ONE, SEEN, UNSEEN = "one item", "two, seen together", "two, not seen together"
NOISES = 2  # of each prompt of a test
COLORED = ("red", "green", "blue", "yellow", "white")


def reader_of(items: int, side: int = 12, channels: tuple[int, ...] = (16, 32)) -> CNN:
    layers = tuple(ConvLayer(size, pool=True) for size in channels)
    return CNN((side, side, 3), layers, heads=(("label", (64, items)),), convolution="patches")


def pair_of(shape: tuple[int, int], text: Transformer, channels: tuple[int, ...] = (16, 32)) -> TextImagePair:
    """A text tower, and an image network of the tower's width."""
    layers = (*(ConvLayer(size, pool=True) for size in channels), ConvLayer(channels[-1]))
    image = CNN((*shape, 3), layers, heads=(("label", (text.embed, text.embed)),), convolution="patches")
    return TextImagePair(text, image)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    world: ItemWorld = field(default_factory=lambda: ItemWorld(real_kinds(), COLORED, (1, 2), apart=0.3))
    pools: tuple[tuple[int, int], ...] = ((0, 1000), (1000, 1800), (1800, 2600), (2600, 3000))  # of `WRITERS`
    alone: float = 0.5  # of pictures show one item
    bare: float = 0.2  # of captions say no colours
    pictures: int = 8000
    crops: int = 4000  # that a reader learns from
    pair: TextImagePair = field(
        default_factory=lambda: pair_of(
            (12, 24), Transformer(vocab=15, embed=64, layers=2, heads=4, mlp=128, init_std=0.1, positions="rotary")
        )
    )
    net: TextToImage = field(default_factory=lambda: TextToImage((12, 24)))
    reader: CNN = field(default_factory=lambda: reader_of(20))
    detector: PatchDetector = field(default_factory=PatchDetector)
    steps: tuple[int, int, int] = (400, 1500, 500)  # of the towers, the generator and the readers
    rates: tuple[float, float, float] = (2e-3, 2e-3, 2e-3)
    batches: tuple[int, int, int] = (64, 32, 64)
    ema: float = 0.99  # of the generator
    sampler: MergedSampler = field(default_factory=lambda: MergedSampler(early=4, binding=3, updates=3))
    merging: tuple[tuple[float, float], ...] = ((1.1, 1.2), (0.55, 0.6))  # alpha, beta: tried
    beta: tuple[float, ...] = (0.3, 0.6)  # grids: beside alpha 1,
    binding: tuple[float, ...] = (3.0, 10.0)  # and sizes of updates, of each loss: of tokens,
    latent: tuple[float, ...] = (1.0, 3.0, 10.0)  # of the picture,
    text: tuple[float, ...] = (0.1, 0.3)  # beside which that of tokens may be 0,
    excite: tuple[float, ...] = (1.0, 3.0, 10.0)  # and of the picture by Attend-and-Excite
    validation: int = 20  # prompts by which they are chosen
    trials: int = 3  # noises of each of them
    tests: int = 52  # prompts
    rows: int = 60  # pictures that are drawn together
    seeds: tuple[int, ...] = (0, 1, 2)

    def part(self, arm: str) -> MergedSampler:
        """The sampler of an arm."""
        own = PARTS[arm]
        losses = {"binding": self.sampler.binding if own.get("binding") else 0, "focus": own.get("focus")}
        return replace(self.sampler, merge=own.get("merge", False), ends=own.get("ends", False), **losses)

    @property
    def draws(self) -> int:
        """Pictures of the best of k: as many network evaluations as the whole method has, rounded up."""
        return -(-self.part(ALL).passes(2) // self.part(BASE).passes(2))


#: Weights of merging, and sizes of updates.
RATES = ("alpha", "beta", "binding", "latent", "text")
NONE = dict.fromkeys(RATES, 0.0)
#: Whose real items are whose: `Config.pools` says which records.
WRITERS = ("generator", "checker", "judge", "test")


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        world = ItemWorld(digit_kinds(), COLORED, (1, 2), apart=0.3)
        tower = Transformer(vocab=15, embed=16, layers=2, heads=2, mlp=32, init_std=0.1, positions="rotary")
        return Config(
            world, ((0, 60), (60, 90), (90, 115), (115, 136)), pictures=64, crops=64,
            pair=pair_of((12, 24), tower, (4, 8)), reader=reader_of(20, 12, (4, 8)),
            net=TextToImage((12, 24), text=16, embed=32, layers=1, heads=1, mlp=32), steps=(8, 8, 8),
            batches=(8, 8, 8), sampler=MergedSampler(3, early=1, binding=1, updates=1), merging=((1.1, 1.2),),
            beta=(0.3,), binding=(3.0,), latent=(0.1,), text=(0.1,), excite=(1.0,), validation=4, trials=1, tests=6,
            rows=6, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        kinds = real_kinds(TFDS("mnist"), TFDS("fashion_mnist"), DIGITS, CLOTHES)
        world = ItemWorld(kinds, tuple(COLORS), (2, 2), 128, 112, 8, apart=0.3)
        deep = {"heads": 16, "scan": True, "remat": "full"}
        tower = Transformer(vocab=64, embed=1024, layers=24, mlp=4096, positions="rotary", **deep)
        sizes = {"embed": 1152, "layers": 28, "head_dim": 72, "mlp": 4608} | deep
        return Config(
            world, ((0, 3000), (3000, 4000), (4000, 5000), (5000, 5400)), pictures=20_000, crops=50_000,
            pair=pair_of((256, 256), tower, (64, 128, 256, 256)),
            net=TextToImage((256, 256), text=1024, patch=8, **sizes),
            reader=reader_of(len(world.items), 136, (32, 64, 128, 128)), detector=PatchDetector(least=400, side=136),
            steps=(50_000, 300_000, 20_000), rates=(5e-4, 1e-4, 1e-3), batches=(4096, 256, 256), ema=0.9999,
            sampler=MergedSampler(50, 7.5, early=6, binding=3, updates=4), tests=300, seeds=(0,),
        )  # fmt: skip
    return Config()


# --- what is learned from ---


def pool(cfg: Config, writer: str) -> Any:
    """Real items that only one of `WRITERS` sees."""
    return items_of(cfg.world.kinds, cfg.world.side, *cfg.pools[WRITERS.index(writer)])


def pictures_of(cfg: Config, writer: str, count: int, seed: int) -> dict[str, np.ndarray]:
    """Pictures from -1 to 1 of one item or two, as they may be seen, and the tokens of their captions."""
    images, tokens = captioned(cfg.world, pool(cfg, writer), count, seed, alone=cfg.alone, bare=cfg.bare)
    return {"image": 2 * images - 1, "tokens": tokens}


def read_crops(cfg: Config, writer: str, count: int, seed: int) -> dict[str, np.ndarray]:
    return crops_of(cfg.world, cfg.detector, pool(cfg, writer), count, seed)


def texts_of(made: Any, pair: Any) -> dict[str, np.ndarray]:
    """The states of each picture's caption by the frozen tower, beside the picture."""
    different, where = np.unique(made.value["tokens"], axis=0, return_inverse=True)
    return {"image": made.value["image"], "text": apply(states_of, Frozen.of(pair), different, 64)[where.ravel()]}


def prompts_of(cfg: Config) -> dict[str, list[Prompt]]:
    """Of two items that are not seen together, in both orders, for validation and for the test: no pair is in both."""
    own = parted(cfg.world.prompts(2, seen=False), cfg.validation, cfg.tests)
    return dict(zip(("validation", "test"), own, strict=True))


# --- stages ---


def training(cfg: Config, name: str, which: int, objective: Any, made: Any, rows: Any, seed: int, tests: Any) -> Stage:
    """The recipe of every network: towers, generator, readers."""
    model, batch = (cfg.pair, cfg.net, cfg.reader)[which], cfg.batches[which]
    data, held_out = (
        MadeRows(rows=rows, of=own.fingerprint, arrays=own.value, batch=batch, seed=seed) for own in (made, tests)
    )
    evaluate = Evaluation(replace(held_out, seed=0, count=4), 4, ema=which == 1)
    optimizer = adamw(cfg.rates[which], warmup=0.07, clip=1.0)
    ema = cfg.ema if which == 1 else None
    return Stage(name, model, objective, optimizer, data, cfg.steps[which], seed=seed, ema=ema, evaluate=evaluate)


def pipeline(run: Any, cfg: Config) -> Report:
    """Two readers; then for each seed a tower, a generator, and all arms on them."""
    batches = cfg.batches
    shown = run.make("pictures", pictures_of, cfg, "generator", cfg.pictures, 0)
    held_out = run.make("pictures-held-out", pictures_of, cfg, "test", 4 * max(batches[:2]), 1)
    crops = run.make("crops-held-out", read_crops, cfg, "test", 4 * batches[2], 1)
    side, readers = (cfg.detector.side, cfg.detector.side, 3), []
    for i, writer in enumerate(WRITERS[1:3]):
        own = run.make(f"crops-{writer}", read_crops, cfg, writer, cfg.crops, 2 + i)
        rows = Row("image", side), Row("label", (), "int32")
        readers.append(run.train(training(cfg, writer, 2, classification, own, rows, i, crops)))
    sizes, found = None, {}
    for seed in cfg.seeds:
        rows = Row("image", (*cfg.world.shape, 3)), Row("tokens", (cfg.world.length,), "int32")
        pair = run.train(training(cfg, f"{seed}/tower", 0, distinct_image_text, shown, rows, seed, held_out))
        ends = ("", shown), ("-held-out", held_out)
        texts = [run.make(f"{seed}/texts{end}", texts_of, own, pair) for end, own in ends]
        rows = rows[0], Row("text", (cfg.world.length, cfg.net.text))
        base = run.train(training(cfg, f"{seed}/generator", 1, FLOW, texts[0], rows, seed, texts[1]))
        sizes = sizes or sizes_of(run, cfg, pair, base, readers[0])
        found[seed] = arms_of(run, cfg, seed, pair, base, readers, sizes)
    return report(cfg, found, readers, sizes, run.make("real", real_pictures, cfg, readers[1]))


def arms_of(
    run: Any, cfg: Config, seed: int, pair: Any, base: Any, readers: Sequence[Any], sizes: InTurn
) -> dict[str, Any]:
    """The stages of one seed, and the artifact of each arm's pictures."""
    count, arms = cfg.tests * NOISES, {}
    for arm in PARTS:
        inputs = cfg, arm, seed, pair, base, readers[1], sizes_for(arm, sizes)
        arms[arm] = run.make(f"{seed}/{slug(arm)}", drawn, *inputs, flops=price(cfg, arm, count))
    inputs, more = (cfg, seed, pair, base, *readers, arms[BASE]), (cfg.draws - 1) * count
    arms[BEST] = run.make(f"{seed}/best", best_of, *inputs, flops=price(cfg, BASE, more))
    inputs, more = (cfg, seed, pair, base, readers[1]), 2 * cfg.tests
    checked = run.make(f"{seed}/base-by-prompts", by_prompts, *inputs, flops=price(cfg, BASE, more))
    return {"stages": (pair, base), "arms": arms, "base": checked}


def sizes_of(run: Any, cfg: Config, pair: Any, base: Any, checker: Any) -> InTurn:
    """By validation prompts with the first seed's networks: merging first, then each loss on top of it."""

    def score(arm: str, sizes: dict[str, float]) -> Any:
        name, flops = "-".join(f"{size:g}" for size in sizes.values()), price(cfg, arm, cfg.validation * cfg.trials)
        return run.make(f"sizes/{slug(arm)}/{name}", validated, cfg, arm, sizes, pair, base, checker, flops=flops)

    found, given = InTurn(score), [NONE | {"alpha": alpha, "beta": beta} for alpha, beta in cfg.merging]
    merged = found.search("merging", MERGED, NONE | {"alpha": 1.0}, "beta", cfg.beta, given)
    found.search("binding", MERGED_BINDING, merged, "binding", cfg.binding)
    moved = found.search("entropy", MERGED_ENTROPY, merged, "latent", cfg.latent)
    found.search("entropy", MERGED_ENTROPY, moved, "text", cfg.text)
    found.search("excite", EXCITE, NONE, "latent", cfg.excite)
    return found


def needed(arm: str) -> tuple[str, ...]:
    """Whose sizes an arm has; those of the losses were found on top of merging."""
    own, focus = PARTS[arm], PARTS[arm].get("focus")
    has = {"merging": own and focus != "excite", "binding": own.get("binding"), focus: focus}
    return tuple(name for name in has if name and has[name])


def sizes_for(arm: str, found: InTurn) -> dict[str, float]:
    return NONE | {name: size for what in needed(arm) for name, size in found.best[what].items() if size}


def price(cfg: Config, arm: str, pictures: int) -> float:
    """FLOPs of so many pictures by one arm."""
    return pictures * cfg.part(arm).flops(cfg.net, cfg.world.length, 2)


# --- pictures ---


def tools(cfg: Config, seed: int, pair: Any, base: Any) -> Any:
    """A function (sampler, prompts, numbers of noises, rates) -> pictures from 0 to 1 (noises, prompts, Y, X, 3)."""
    tower, state = Frozen.of(pair), base.state()
    net = Frozen(base.model, state.ema, state.rest)

    def draw(sampler: MergedSampler, prompts: Sequence[Prompt], noises: range, rates: Any) -> np.ndarray:
        shape = len(prompts), *cfg.world.shape, 3
        noise = [np.random.default_rng([seed, number]).normal(size=shape) for number in noises]
        given = prompted(tower, cfg.world, prompts)
        return sampler.each(net, given, np.stack(noise).astype(np.float32), rates, cfg.rows)

    return draw


def reader(cfg: Config, net: Any) -> ItemReader:
    return ItemReader(cfg.world, cfg.detector, Frozen.of(net))


def validated(cfg: Config, arm: str, sizes: Any, pair: Any, base: Any, checker: Any) -> float:
    """The checker's binding accuracy on validation prompts."""
    prompts = prompts_of(cfg)["validation"]
    made = tools(cfg, 1000, pair, base)(cfg.part(arm), prompts, range(cfg.trials), sizes)
    return float(reader(cfg, checker).scores(made, prompts)["bound"].mean())


def drawn(cfg: Config, arm: str, seed: int, pair: Any, base: Any, judge: Any, sizes: Any) -> dict[str, np.ndarray]:
    """Pictures of the test prompts by one arm, from noises that all arms share, and the judge's verdicts on them."""
    prompts = prompts_of(cfg)["test"]
    made = tools(cfg, seed, pair, base)(cfg.part(arm), prompts, range(NOISES), sizes)
    others = prompts[len(prompts) // 2 :] + prompts[: len(prompts) // 2]
    read = reader(cfg, judge)
    return read.scores(made, prompts) | {"chance": read.scores(made, others)["bound"], "pictures": made}


def best_of(
    cfg: Config, seed: int, pair: Any, base: Any, checker: Any, judge: Any, first: Any
) -> dict[str, np.ndarray]:
    """The best by the checker of 2, 3, ... of the base's pictures: the judge's verdicts (k, noises, prompts)."""
    prompts, read = prompts_of(cfg)["test"], reader(cfg, judge)
    draw = tools(cfg, seed, pair, base)
    more = (draw(cfg.part(BASE), prompts, range(NOISES * k, NOISES * (k + 1)), NONE) for k in range(1, cfg.draws))
    kept = [*best_so_far(reader(cfg, checker).scores, itertools.chain([first.value["pictures"]], more), prompts)]
    found = [read.scores(own, prompts) for own in kept[1:]]
    return {name: np.stack([own[name] for own in found]) for name in SCORES} | {"pictures": kept[-1]}


def by_prompts(cfg: Config, seed: int, pair: Any, base: Any, judge: Any) -> dict[str, np.ndarray]:
    """The base's binding accuracy on as many prompts of one item, and of two that are seen together."""
    rng, found = np.random.default_rng(12), {}
    kinds = {ONE: cfg.world.prompts(1), SEEN: cfg.world.prompts(2, seen=True)}
    for name, prompts in kinds.items():
        some = [prompts[rng.integers(len(prompts))] for _ in range(cfg.tests)]
        made = tools(cfg, seed, pair, base)(cfg.part(BASE), some, range(1), NONE)
        found[name] = reader(cfg, judge).scores(made, some)["bound"]
    return found


def real_pictures(cfg: Config, judge: Any) -> dict[str, Any]:
    """What the judge finds on real pictures of the test prompts: the most that a generator can reach."""
    prompts, rng, own = prompts_of(cfg)["test"], np.random.default_rng(13), pool(cfg, "test")
    made = np.stack([cfg.world.painted(prompt, own, rng)[0] for prompt in prompts])[None]
    return reader(cfg, judge).scores(made, prompts) | {"pictures": made}


# --- report ---


def report(cfg: Config, found: dict[int, Any], readers: Sequence[Any], sizes: Any, real: Any) -> Report:
    """Scores of every arm, the claims, what was tried, and pictures."""

    def over(arm: str, score: str = "bound", k: int = -1) -> list[float]:
        """One mean over pictures for each seed, in %."""
        values = []
        for own in found.values():
            made = real if arm == REAL else own["arms"][BASE if arm == CHANCE else arm]
            if made.value is not None:
                scores = made.value["chance" if arm == CHANCE else score]
                values.append(100 * float((scores[k] if arm == BEST else scores).mean()))
        return values

    base, everything, merged = (mean(over(arm)) for arm in (BASE, ALL, MERGED))
    gain, swaps = everything - base, mean(over(ALL, "swapped")) - mean(over(BASE, "swapped"))
    claims = (
        claim(
            "Token merging binds attributes to their objects, without training",
            paper="above SDXL and all others on T2I-CompBench colours, textures and shapes",
            measured=gain, unit="points", margin="binding accuracy 8 points or more above the base", holds=gain >= 8,
        ),
        claim(
            "Fewer colours are swapped",
            paper="shown in pictures",
            measured=swaps, unit="points", margin="fewer pictures with a swapped colour than the base", holds=swaps < 0,
        ),
        claim(
            "Merging and end tokens alone give much of it",
            paper="ablation B against the whole",
            measured=merged - base - gain / 2, unit="points",
            margin="half of the whole method's gain or more, if it gains anything",
            holds=gain > 0 and merged - base >= gain / 2,
        ),
        claim(
            "It is worth more than drawing as often and keeping the best",
            paper="not compared",
            measured=everything - mean(over(BEST)), unit="points",
            margin=f"above the best of {cfg.draws}, at as many network evaluations or a few more",
            holds=everything > mean(over(BEST)),
        ),
    )  # fmt: skip
    columns = {"binding accuracy": "bound", "all kinds there": "present", "swapped": "swapped", "all right": "all"}
    passes = {arm: cfg.part(arm).passes(2) for arm in PARTS} | {BEST: cfg.draws * cfg.part(BASE).passes(2)}

    def cells(arm: str, column: str) -> list[float]:
        if column in columns:
            return over(arm, columns[column]) if arm != CHANCE or column == "binding accuracy" else []
        return [float(passes[arm])] if arm in passes else []

    def on_prompts(_: str, kind: str) -> list[float]:
        if kind == UNSEEN:
            return over(BASE)
        return [100 * float(own["base"].value[kind].mean()) for own in found.values() if own["base"].value is not None]

    tables = (
        table_of_means("Two items, not seen together", [*PARTS, BEST, REAL, CHANCE], [*columns, "evaluations"], cells,
                       scale=1.0, note="In % of items or pictures, by the judge: mean ± standard deviation over seeds; "
                       "network evaluations of a picture at most, a pass backward as two."),
        table_of_means("Binding accuracy of the best of k", ["base"], [str(k) for k in range(2, cfg.draws + 1)],
                       lambda _, k: over(BEST, k=int(k) - 2), scale=1.0),
        table_of_means("Binding accuracy of the base", ["base"], [ONE, SEEN, UNSEEN], on_prompts, scale=1.0),
        sizes_tried(sizes),
    )  # fmt: skip
    charges = {
        arm: {seed: Arm("", own["stages"], owed(own, arm, readers, sizes)) for seed, own in found.items()}
        for arm in (*PARTS, BEST)
    }
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2411.07132",
        arms=by_seed(charges, BASE),
        tables=tables,
        figures=shown(cfg, next(iter(found.values())), real),
        baseline=BASE,
        metric="loss",
        seeds=cfg.seeds,
        notes=NOTES,
    )


def owed(own: dict[str, Any], arm: str, readers: Sequence[Any], sizes: InTurn) -> tuple[Any, ...]:
    """What an arm's pictures cost beside its networks."""
    if arm == BEST:
        return readers[0], own["arms"][BASE], own["arms"][BEST]
    return (*((readers[0], *sizes.spent(*needed(arm))) if arm != BASE else ()), own["arms"][arm])


def sizes_tried(sizes: InTurn) -> Table:
    tried = [(what, *one) for what, own in sizes.tried.items() for one in own]
    rows = tuple((what, *(f"{size:g}" for size in one.values()), made.value, "yes" if one == sizes.best[what] else "")
                 for what, one, made in tried)  # fmt: skip
    note = "Binding accuracy on validation prompts, by the checker, with the first seed's networks; merging first."
    return Table("Sizes of updates", ("of", *RATES, "accuracy", "chosen"), rows, ("",) * 6 + (".3f", ""), note)


def shown(cfg: Config, own: dict[str, Any], real: Any) -> tuple[Any, ...]:
    """Pictures of the first seed."""
    arms = [*(own["arms"][arm] for arm in (BASE, MERGED, ALL, EXCITE, BEST)), real]
    if any(made.value is None for made in arms):
        return ()
    prompts = prompts_of(cfg)["test"][:8]
    rows = [[made.value["pictures"][0][place] for made in arms] for place in range(len(prompts))]
    names, texts = (BASE, MERGED, ALL, EXCITE, BEST, "real"), [cfg.world.caption(prompt) for prompt in prompts]
    return (pictures("Pictures", names, rows, "The first prompts of the test.", texts),)


NOTES = (
    "Pictures are two cells of 12 x 12 pixels and captions have one form, whose groups its grammar tells: no spaCy, no "
    "prompts of three things, no accessories. Half of the pictures show one thing. The free branch is a learnt vector.",
    "Temperature and thresholds (as shares of the largest entropy) are the code's. Weights of merging and sizes of "
    "updates, made for SDXL's scale, are chosen on 20 validation prompts with the first seed's networks, for all arms. "
    "States of the tower are brought to one length, which SDXL's are not; composite tokens are not brought back to it, "
    "and can so be longer than any state that the generator has learned from.",
    "Attend-and-Excite moves the picture only, by the nouns, without smoothing and without refinement to thresholds, "
    "in as many updates as the entropy loss has.",
    "Pilots on validation prompts chose the base: its steps, share of single items, captions without colours, a tower "
    "with rotary positions, read before its last block. Merging with the code's weights was below the base in each.",
)

EXPERIMENT = Experiment(
    name="tome_binding",
    title="ToMe: tokens merged at inference bind colours to things, without training",
    reference="Hu et al. 2024 (NeurIPS), arXiv 2411.07132",
    paper=18,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("tome_binding")
