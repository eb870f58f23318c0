"""AquilaMoE: a small dense model becomes a larger one, and that one a mixture of experts.

Paper    AquilaMoE: Efficient Training for MoE Models with Scale-Up and Scale-Out Strategies, 2024, arXiv 2408.06567
         (dossier 005).
Claim    7B -> 16B -> 8x16B takes 3.35x fewer FLOPs than the mixture from scratch on as many tokens (arithmetic, not a
         run). Loss right after growth: source = whole multiples < FPI interpolated < FPI stacked < AKI-Pro < AKI
         stacked < random (Tables 1 and 2); after training AKI passes FPI.
Method   Preparation: train the small model. Scale-up: AKI-Pro (layers interpolated; new heads within their query group
         and new mlp units from the next layer), then train on. Scale-out: every MLP becomes equal experts behind a
         random router (top 2, softmax of the chosen logits), then train with balance and max-z loss. Learning rates
         fall from stage to stage, moments start anew, the data goes on.
         Beside it, at equal steps: six initial values of the larger dense model. At equal FLOPs: both final shapes from
         scratch, and the larger dense model trained on.
Run      stagejax run aquila_moe                     laptop: 3 minutes on two cores
         stagejax run aquila_moe --preset smoke      3 minutes, nearly all of them compilation
         stagejax plan aquila_moe --preset pod --mesh data=16,fsdp=16
Holds if the initial losses are in the paper's order, interpolation ends no worse than stacking (FPI and AKI), and
         scale-up + scale-out reaches the final loss of the mixture from scratch with fewer FLOPs, all stages counted.
Ours     The mixture saves 24.6% of scratch's FLOPs, scale-out leaves the loss as it was to the last bit, interpolation
         ends where stacking does. The order of initial losses does not hold: at this size AKI is ahead of FPI from the
         start (3.85 and 3.87 against 3.92 and 3.93, random 6.25), and AKI-Pro passes nothing later. FPI at an uneven
         width changes the loss by 9e-4 only, and lowers it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.budget import within
from stagejax.data import BPE, TFDS, CausalText, Source, Stdlib
from stagejax.growth import AKI, FPI, Isometric, Operator, Upcycle, interpolate, stack_modulo
from stagejax.models import Transformer, llama
from stagejax.objectives import causal_lm, with_experts
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, claim, curve, saving

FPI_INTERP, FPI_STACK, AKI_PRO, AKI_STACK = "FPI interpolated", "FPI stacked", "AKI-Pro", "AKI stacked"
ISOMETRIC, RANDOM = "isometric interpolated", "random"
OPERATORS: dict[str, Operator] = {
    FPI_INTERP: FPI(depth=interpolate),
    FPI_STACK: FPI(depth=stack_modulo),
    AKI_PRO: AKI(depth=interpolate),
    AKI_STACK: AKI(depth=stack_modulo),
    ISOMETRIC: Isometric(depth=interpolate),  # ours: exact in width where FPI is not
}
# Losses right after growth in the paper's Table 1, from low to high.
PAPER = {FPI_INTERP: "3.31", FPI_STACK: "4.30", AKI_PRO: "7.81", AKI_STACK: "9.56", RANDOM: "12.22"}
SYSTEM, MOE, DENSE, LONGER = "scale-up + scale-out", "MoE from scratch", "dense from scratch", "scale-up, trained on"


@dataclass(frozen=True)
class Size:
    """Sizes of one dense decoder. Head size and key/value heads are the same in all."""

    layers: int
    embed: int
    q_per_kv: int  # query heads that share a key
    mlp: int


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    small: Size = Size(layers=3, embed=32, q_per_kv=1, mlp=96)
    large: Size = Size(layers=5, embed=48, q_per_kv=2, mlp=144)  # uneven on purpose: RMSNorm sees it
    kv_heads: int = 2
    head_dim: int = 16
    experts: int = 4
    top_k: int = 2
    balance: float = 1e-3  # weight of the load-balance loss
    max_z: float = 1e-2  # weight of the routers' max-z loss
    source: Source = field(default_factory=Stdlib)  # of text
    vocab: int = 512  # byte-level BPE pieces
    length: int = 64  # tokens in a row
    batches: tuple[int, int, int] = (8, 8, 8)  # rows in a batch, in the three stages
    steps: tuple[int, int, int] = (400, 100, 50)  # of the three stages
    peaks: tuple[float, float, float] = (4e-3, 2e-3, 1e-3)  # learning rates; models from scratch take the first
    evaluate_every: int = 20  # steps
    evaluate_batches: int = 8
    seeds: tuple[int, ...] = (0, 1)  # of the system, what it is measured against, and growths; else the first
    accumulate: int = 1  # parts of a batch, one after the other
    remat: bool = False  # compute layers again in the backward pass
    save_every: int | None = None  # steps; None: every minute


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    laptop = Config()
    if name == "smoke":
        return replace(
            laptop, small=Size(layers=2, embed=16, q_per_kv=1, mlp=24),
            large=Size(layers=3, embed=24, q_per_kv=2, mlp=36), head_dim=8, experts=3, source=Stdlib(limit=300_000),
            vocab=300, length=32, steps=(300, 20, 20), peaks=(1e-2, 4e-3, 2e-3), evaluate_batches=2, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        return replace(
            laptop,
            small=Size(layers=32, embed=4096, q_per_kv=4, mlp=14_336),  # 7B
            large=Size(layers=40, embed=5120, q_per_kv=5, mlp=20_480),  # 16B
            kv_heads=8, head_dim=128, experts=8, source=TFDS("c4/multilingual"), vocab=152_064, length=4096,
            batches=(3072, 3072, 6144),  # 12M and 24M tokens
            steps=(286_102, 95_367, 21_656),  # 3.6T, 1.2T and 545B tokens
            peaks=(1.2e-3, 4e-4, 1.5e-4), evaluate_every=2_000, evaluate_batches=64, seeds=(0,),
            accumulate=12,  # one row a device at a time, of 256
            remat=True, save_every=1_000,
        )  # fmt: skip
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """The three stages, what they could have been, and what the paper claims of them."""
    first = cfg.seeds[0]
    arms: dict[tuple[str, int], Arm] = {}
    starts: dict[tuple[str, int], Any] = {}  # right after scale-up
    for seed in cfg.seeds:
        small = run.train(stage(cfg, f"source/{seed}", seed, 0, dense(cfg, cfg.small)))
        for label, operator in OPERATORS.items():
            name = f"{slug(label)}/{seed}"
            start = run.grow(f"{name}/start", small, to=dense(cfg, cfg.large), operator=operator)
            starts[label, seed] = start
            if label == AKI_PRO or seed == first:
                trained = run.train(stage(cfg, name, seed, 1, start.model), start)
                arms[label, seed] = Arm(label, (start, trained), charged=(small,))
        arms[RANDOM, seed] = from_scratch(run, cfg, RANDOM, seed, dense(cfg, cfg.large))
        arms[SYSTEM, seed] = scale_out(run, cfg, arms[AKI_PRO, seed], seed)
        arms[MOE, seed] = from_scratch(run, cfg, MOE, seed, mixture(cfg), spent(arms[SYSTEM, seed]))
    up, system = arms[AKI_PRO, first], arms[SYSTEM, first]
    arms[DENSE, first] = from_scratch(run, cfg, DENSE, first, dense(cfg, cfg.large), spent(system))
    after = within(stage(cfg, f"longer/{first}", first, 2, up.results[-1].model), system.cost.flops)
    arms[LONGER, first] = Arm(LONGER, (run.train(after, up.results[-1]),), system.charged)
    return report(cfg, arms, starts, widened(run, cfg, up.charged[0]))


# --- models and stages ---


def dense(cfg: Config, size: Size) -> Transformer:
    """A decoder with grouped queries; of its layers, those for queries, keys and values have biases."""
    return llama(
        vocab=cfg.vocab, embed=size.embed, layers=size.layers, heads=cfg.kv_heads * size.q_per_kv,
        kv_heads=cfg.kv_heads, head_dim=cfg.head_dim, mlp=size.mlp, length=cfg.length, qkv_bias=True,
        rotary_theta=1e6, scan=True, remat="full" if cfg.remat else None,
    )  # fmt: skip


def mixture(cfg: Config) -> Transformer:
    """The larger decoder with experts, whose weights sum to 1: equal experts are the dense network."""
    return replace(dense(cfg, cfg.large), experts=cfg.experts, top_k=cfg.top_k, routing="topk_softmax")


def stage(cfg: Config, name: str, seed: int, phase: int, model: Transformer) -> Stage:
    """One of the three stages: 0 preparation, 1 scale-up, 2 scale-out."""
    routed = partial(with_experts, causal_lm, balance=cfg.balance, max_z=cfg.max_z)
    data = CausalText(source=cfg.source, tokenizer=BPE(cfg.vocab), batch=cfg.batches[0], length=cfg.length, seed=seed)
    held_out = replace(data, seed=0).held_out(cfg.evaluate_batches)
    same = cfg.batches[phase] == cfg.batches[0]  # the position in the data counts batches of one size
    return Stage(
        name=name, model=model, objective=routed if model.experts else causal_lm,
        optimizer=adamw(
            peak=cfg.peaks[phase], warmup=0.06, decay="linear", end=cfg.peaks[phase] / 7.4, clip=1.0, b2=0.95,
            weight_decay=0.1,
        ),
        data=data if same else replace(data, batch=cfg.batches[phase], seed=seed + 1_000),  # rows in another order
        steps=cfg.steps[phase], seed=seed, accumulate=cfg.accumulate, save_every=cfg.save_every,
        evaluate=Evaluation(held_out, cfg.evaluate_batches, cfg.evaluate_every),
        handover=Handover(data="carry" if same else "reset"),
    )  # fmt: skip


def spent(arm: Arm) -> float:
    """FLOPs of an arm and of what it builds on."""
    return float(arm.cost.flops + arm.charged_cost.flops)


# --- arms ---


def from_scratch(run: Any, cfg: Config, label: str, seed: int, model: Transformer, flops: float | None = None) -> Arm:
    """From random values, with the learning rate of the first stage: for the steps of scale-up, or for FLOPs."""
    phase = 2 if model.experts else 1
    train = stage(replace(cfg, peaks=cfg.peaks[:1] * 3), f"{slug(label)}/{seed}", seed, phase, model)
    return Arm(label, (run.train(train if flops is None else within(train, flops)),))


def scale_out(run: Any, cfg: Config, up: Arm, seed: int) -> Arm:
    """Sparse upcycling and training, charged with the two stages before."""
    before = up.results[-1]
    start = run.grow(f"scale-out/{seed}/start", before, to=mixture(cfg), operator=Upcycle())
    trained = run.train(stage(cfg, f"scale-out/{seed}", seed, 2, start.model), start)
    return Arm(SYSTEM, (start, trained), (*up.charged, before))


def widened(run: Any, cfg: Config, small: Any) -> dict[str, Any]:
    """Width alone: twice by FPI, and to the larger width by FPI and isometrically."""
    old = cfg.small
    twice = replace(old, embed=2 * old.embed, mlp=2 * old.mlp, q_per_kv=2 * old.q_per_kv)
    uneven = replace(cfg.large, layers=old.layers)
    growths = {"FPI twice": (FPI(), twice), "FPI uneven": (FPI(), uneven), "isometric uneven": (Isometric(), uneven)}
    return {
        name: run.grow(f"width/{slug(name)}", small, to=dense(cfg, size), operator=operator)
        for name, (operator, size) in growths.items()
    }


def slug(label: str) -> str:
    return label.lower().replace(" ", "-")


# --- report ---


def report(cfg: Config, arms: dict[Any, Arm], starts: dict[Any, Any], width: dict[str, Any]) -> Report:
    """Initial losses as in Tables 1 and 2, final losses, what was saved, and the claims judged on them."""
    first = cfg.seeds[0]
    source = float(np.mean([number(starts[FPI_INTERP, seed], "loss_before") for seed in cfg.seeds]))
    begins = {x: float(np.mean([number(starts[x, seed], "loss_after") for seed in cfg.seeds])) for x in OPERATORS}
    fresh = [row["loss"] for seed in cfg.seeds for row in arms[RANDOM, seed].results[0].history.evals[:1]]
    begins[RANDOM] = float(np.mean(fresh)) if fresh else float("nan")
    final = {label: float(curve(arm).last) for (label, seed), arm in arms.items() if seed == first}
    small = arms[FPI_INTERP, first].charged[0].history.last("loss")
    quoted = zip(width.items(), ("1.85 -> 1.85", "1.85 -> 1.96", "not tried"), strict=True)
    initial = Table(
        "Scale-up: held-out loss right after growth, when the source's is regained, and at the end",
        ("initial values", "paper, after growth", "after growth", "steps to regain", "final"),
        (
            ("source", "2.97", source, None, None),
            *((f"width alone: {name}", paper, number(grown, "loss_after"), None, None)
              for (name, grown), paper in quoted),
            *((label, PAPER.get(label, "not tried"), loss, regained(arms[label, first], small), final[label])
              for label, loss in begins.items()),
        ),
        ("", "", ".3f", "", ".3f"),
        note="Source and losses after growth are means over seeds (width alone: the first), the rest is of the first "
        "seed. The paper's: 1.3B M(24, 2048) to M(32, 4096); width alone: 7B of width 4096 to 8192 and 5120.",
    )  # fmt: skip
    outs = {seed: arms[SYSTEM, seed].results for seed in cfg.seeds}
    routing = Table(
        "Scale-out: held-out loss across it, and the load of the experts (entropy 1: even)",
        ("seed", "before", "after", "entropy at the end", "largest share x experts", "from scratch: entropy"),
        tuple(
            (seed, number(start, "loss_before"), number(start, "loss_after"), end.history.last("load_entropy"),
             end.history.last("load_max"), arms[MOE, seed].results[0].history.last("load_entropy"))
            for seed, (start, end) in outs.items()
        ),
        ("", ".4f", ".4f", ".3f", ".2f", ".3f"),
    )  # fmt: skip
    savings = [saving(arms[SYSTEM, seed], arms[MOE, seed], with_source=True) for seed in cfg.seeds]
    saved = float(np.mean(savings))
    order = (source, *(begins[label] for label in PAPER))
    twice, uneven, isometric = map(rise, width.values())
    jump = float(np.max([abs(rise(start)) for start, _ in outs.values()]))
    depth = tuple(final[label] for label in (FPI_INTERP, FPI_STACK, AKI_PRO, AKI_STACK))
    late = tuple(final[label] for label in (AKI_PRO, FPI_INTERP, RANDOM))
    claims = (
        claim(
            "Scale-up + scale-out reaches the final loss of the mixture from scratch with fewer FLOPs, all stages "
            "counted", paper="70% (3.35x, arithmetic)", measured=saved, unit="%",
            margin="mean over seeds above 0", holds=saved > 0,
        ),
        claim(
            "Losses right after scale-up: source < FPI interpolated < FPI stacked < AKI-Pro < AKI stacked < random",
            paper="2.97 < 3.31 < 4.30 < 7.81 < 9.56 < 12.22", measured=listed(*order),
            margin="means over seeds in this order", holds=bool((np.diff(order) > 0).all()),
        ),
        claim(
            "Interpolated layers end no worse than stacked ones (FPI, then AKI)", paper="curves",
            measured=listed(*depth), margin="both final losses at most 0.005 higher",
            holds=depth[0] <= depth[1] + 0.005 and depth[2] <= depth[3] + 0.005,
        ),
        claim(
            "After training AKI-Pro passes FPI interpolated, and both beat random values", paper="curves",
            measured=listed(*late), margin="final losses in this order", holds=late[0] < late[1] < late[2],
        ),
        claim(
            "FPI keeps the loss where the width is doubled, not where it is uneven; isometric copies keep it there",
            paper="1.85 -> 1.85, 1.85 -> 1.96, not tried", measured=listed(twice, uneven, isometric, form="+.1e"),
            margin="within 1e-4; higher by more than 1e-3; within 1e-4",
            holds=abs(twice) < 1e-4 and uneven > 1e-3 and abs(isometric) < 1e-4,
        ),
        claim(
            "Scale-out leaves the loss as it was", paper="recovers quickly", measured=jump,
            margin="within 1e-4, every seed", holds=jump < 1e-4,
        ),
    )  # fmt: skip
    moe = arms[MOE, first].results[0]
    as_many = np.dot(cfg.steps, cfg.batches) / cfg.batches[2] * moe.cost.flops / moe.steps  # tokens, in the mixture
    times = as_many / (spent(arms[SYSTEM, first]) or float("nan"))
    whole = (SYSTEM, MOE, DENSE, LONGER)  # arms of equal FLOPs; those of scale-up have equal steps
    mark = {seed: "" if seed == first else f", seed {seed}" for seed in cfg.seeds}
    return Report(
        experiment=EXPERIMENT.name, title=EXPERIMENT.title, paper=EXPERIMENT.reference,
        number=f"{EXPERIMENT.paper:03d}", link="https://arxiv.org/abs/2408.06567", claims=claims,
        arms=tuple(
            replace(arm, name=label + mark[seed], group=label, against=(MOE if label in whole else RANDOM) + mark[seed])
            for (label, seed), arm in arms.items()
        ),
        tables=(initial, routing), baseline=MOE, seeds=cfg.seeds,
        notes=(
            "The models of the system and those from scratch have equal FLOPs, all stages counted; those of experts "
            "are of the experts that a token chooses. The arms of scale-up have equal steps.",
            "By the paper's arithmetic, in which the mixture from scratch needs as many tokens, these three stages "
            f"take {times:.2f}x fewer FLOPs. That is no measurement.",
            "Learning rates fall by stage as the paper's do; models from scratch take the highest. None was tuned.",
            "That moments start anew, and the partner of a repeated layer in AKI-Pro (the next layer of the source), "
            "are not said in the paper.",
        ),
    )  # fmt: skip


def number(grown: Any, key: str) -> float:
    """What a receipt says, NaN before the growth."""
    return float("nan") if grown.receipt.get(key) is None else float(grown.receipt[key])


def rise(grown: Any) -> float:
    """By how much a growth raised the held-out loss."""
    return number(grown, "loss_after") - number(grown, "loss_before")


def listed(*values: float, form: str = ".3f") -> str | None:
    return None if np.isnan(values).any() else ", ".join(f"{value:{form}}" for value in values)


def regained(arm: Arm, loss: float) -> int | None:
    """The first evaluated step of an arm at which a loss is reached, if it is."""
    return next((row["step"] for row in arm.results[-1].history.evals if row["loss"] <= loss), None)


EXPERIMENT = Experiment(
    name="aquila_moe",
    title="AquilaMoE: scale up a dense model, then out to a mixture of experts",
    reference="AquilaMoE team, 2024, arXiv 2408.06567",
    paper=5,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("aquila_moe")
