"""AquilaMoE: a small dense model becomes a larger one, and that one a mixture of experts.

Paper    AquilaMoE: Efficient Training for MoE Models with Scale-Up and Scale-Out Strategies, 2024, arXiv 2408.06567
         (dossier 005).
Claim    7B -> 16B -> 8x16B takes 3.35x fewer FLOPs than the mixture from scratch on as many tokens (arithmetic, not a
         run). Loss right after growth: source = whole multiples < FPI interpolated < FPI stacked < AKI-Pro < AKI
         stacked < random (Tables 1 and 2); after training AKI passes FPI.
Method   Preparation: train the small model. Scale-up: AKI-Pro (layers interpolated; new heads within their query group
         and new mlp units from the next layer), then train on. Scale-out: every MLP becomes equal experts behind a
         random router (top 2, softmax of the chosen logits), then train with balance and max-z loss. Each stage and
         arm takes the learning rate that is best on validation text; moments start anew, the data goes on.
         Beside it, at equal steps: six initial values of the larger dense model. At equal FLOPs: both final shapes from
         scratch, and the larger dense model trained on. Every arm on every seed.
Smaller  512 tokens a step, half of the dossier's; AKI-Pro's model grows out after scale-up, without 400 steps more.
Run      stagejax run aquila_moe                     laptop: some 30 minutes beside other jobs
         stagejax run aquila_moe --preset smoke      3 minutes, nearly all of them compilation
         stagejax plan aquila_moe --preset pod --mesh data=16,fsdp=16
Holds if the initial losses are in the paper's order, interpolation ends no worse than stacking (FPI and AKI), and
         scale-up + scale-out reaches the final loss of the mixture from scratch with fewer FLOPs, all stages counted;
         each in the mean over seeds.
Ours     Each stage of each arm at its own rate. The mixture saves 42 % of scratch's FLOPs on every seed: the most it
         can, since its own curve begins there; but the dense model grown and trained on is ahead of it (3.493 +/- 0.031
         against 3.516 +/- 0.049; dense from scratch 3.533 +/- 0.029, the mixture from scratch 3.699 +/- 0.029).
         Scale-out leaves the loss as it was. The initial losses are in the paper's order (source 3.629, FPI 3.742 and
         3.761, AKI 3.806 and 3.832, random 6.246), though AKI's spread over seeds is 0.16: at fixed rates, as in a run
         before, whose source had half the rate, AKI was ahead of FPI. Interpolation ends 0.0196 +/- 0.0076 (FPI) and
         0.0229 +/- 0.0113 (AKI) above stacking, beyond the margin of 0.005: it does not hold. AKI-Pro passes FPI, by
         0.0118 +/- 0.0074, which it did not at fixed rates. FPI at an uneven width raises the loss by 0.006 +/- 0.003,
         isometric copies do not. No rate is at an end of its grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.budget import flops, within
from stagejax.data import BPE, CausalText, Source, Stdlib
from stagejax.data.published import C4_MULTILINGUAL
from stagejax.growth import AKI, FPI, Isometric, Operator, Upcycle, interpolate, stack_modulo
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm, with_experts
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Figure, Report, Table, claim, curve, draw_dots, saving, shown
from stagejax.search.peak import Peaks, kept_peak
from stagejax.search.validation import halves, on_validation, with_validation

FPI_INTERP, FPI_STACK, AKI_PRO, AKI_STACK = "FPI interpolated", "FPI stacked", "AKI-Pro", "AKI stacked"
ISOMETRIC, RANDOM = "isometric interpolated", "random"
OPERATORS: dict[str, Operator] = {
    FPI_INTERP: FPI(depth=interpolate),
    FPI_STACK: FPI(depth=stack_modulo),
    AKI_PRO: AKI(depth=interpolate),
    AKI_STACK: AKI(depth=stack_modulo),
    ISOMETRIC: Isometric(depth=interpolate),  # ours: exact in width where FPI is not
}
# Losses right after growth in the paper: Table 1 from low to high, and Table 2, of width alone.
ORDER = {FPI_INTERP: "3.31", FPI_STACK: "4.30", AKI_PRO: "7.81", AKI_STACK: "9.56", RANDOM: "12.22"}
WIDTH = {"FPI twice": "1.85 -> 1.85", "FPI uneven": "1.85 -> 1.96", "isometric uneven": "not tried"}
PAPER = {"source": "2.97"} | WIDTH | ORDER | {ISOMETRIC: "not tried"}
INITIAL = ("source", *WIDTH, *OPERATORS, RANDOM)
SYSTEM, MOE, DENSE, LONGER = "scale-up + scale-out", "MoE from scratch", "dense from scratch", "scale-up, trained on"
WHOLE = (SYSTEM, LONGER, DENSE, MOE)  # arms of equal FLOPs; those of scale-up have equal steps
Arms = dict[str, list[Arm]]  # by label, one a seed
Values = dict[str, np.ndarray]  # the same
Columns = dict[str, tuple[dict[str, Any], str]]  # of a table: what was measured or quoted by label, and its format


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
    steps: tuple[int, int, int] = (800, 250, 250)  # of the three stages
    rates: tuple[tuple[float, ...], ...] = ((1e-3, 2e-3, 4e-3), (1e-3, 2e-3, 4e-3), (5e-4, 1e-3, 2e-3))
    # tried in the three stages, and beyond; models from scratch have those of the first
    evaluate_every: int = 25  # steps
    evaluate_batches: int = 8
    seeds: tuple[int, ...] = (0, 1, 2)
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
            vocab=300, length=32, steps=(300, 20, 20), rates=((1e-2,), (4e-3,), (2e-3,)), evaluate_every=20,
            evaluate_batches=2, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        return replace(
            laptop,
            small=Size(layers=32, embed=4096, q_per_kv=4, mlp=14_336),  # 7B
            large=Size(layers=40, embed=5120, q_per_kv=5, mlp=20_480),  # 16B
            kv_heads=8, head_dim=128, experts=8, source=C4_MULTILINGUAL, vocab=152_064, length=4096,
            batches=(3072, 3072, 6144),  # 12M and 24M tokens
            steps=(286_102, 95_367, 21_656),  # 3.6T, 1.2T and 545B tokens
            rates=((1.2e-3,), (4e-4,), (1.5e-4,)), evaluate_every=2_000, evaluate_batches=64, seeds=(0,),
            accumulate=12,  # one row a device at a time, of 256
            remat=True, save_every=1_000,
        )  # fmt: skip
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """The three stages, what they could have been, and what the paper claims of them."""
    arms: Arms = {label: [] for label in (*OPERATORS, RANDOM, SYSTEM, LONGER, DENSE, MOE)}
    widths, peaks = [], Peaks()
    trained = partial(tuned, run, cfg, peaks)
    for seed in cfg.seeds:
        small = trained("source", seed, 0, dense(cfg, cfg.small))
        for label, operator in OPERATORS.items():
            start = run.grow(f"{slug(label)}/{seed}/start", small, to=dense(cfg, cfg.large), operator=operator)
            own = trained(label, seed, 1, start.model, start)
            arms[label].append(Arm(label, (start, own), charged=(small,)))
        system, longer = scale_out(run, trained, cfg, arms[AKI_PRO][-1], seed)
        spent = flops(*system.results, *system.charged)
        arms[SYSTEM].append(system)
        arms[LONGER].append(longer)
        for label, phase, model, budget in (
            (RANDOM, 1, dense(cfg, cfg.large), None),
            (DENSE, 1, dense(cfg, cfg.large), spent),
            (MOE, 2, mixture(cfg), spent),
        ):
            arms[label].append(Arm(label, (trained(label, seed, phase, model, budget=budget),)))
        widths.append(widened(run, cfg, small, seed))
    return report(cfg, arms, widths, peaks)


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


def stage(cfg: Config, name: str, seed: int, phase: int, model: Transformer, peak: float) -> Stage:
    """One of the three stages: 0 preparation, 1 scale-up, 2 scale-out. Held-out text is for tests and for choices."""
    routed = partial(with_experts, causal_lm, balance=cfg.balance, max_z=cfg.max_z)
    data = CausalText(source=cfg.source, tokenizer=BPE(cfg.vocab), batch=cfg.batches[0], length=cfg.length, seed=seed)
    test, validation = halves(replace(data, seed=0), cfg.evaluate_batches)
    same = cfg.batches[phase] == cfg.batches[0]  # the position in the data counts batches of one size
    own = Stage(
        name=name, model=model, objective=routed if model.experts else causal_lm,
        optimizer=adamw(
            peak=peak, warmup=0.06, decay="linear", end=peak / 7.4, clip=1.0, b2=0.95, weight_decay=0.1
        ),
        data=data if same else replace(data, batch=cfg.batches[phase], seed=seed + 1_000),  # rows in another order
        steps=cfg.steps[phase], seed=seed, accumulate=cfg.accumulate, save_every=cfg.save_every,
        evaluate=Evaluation(test, cfg.evaluate_batches, cfg.evaluate_every),
        handover=Handover(data="carry" if same else "reset"),
    )  # fmt: skip
    return with_validation(own, validation)


# --- arms ---


def tuned(
    run: Any, cfg: Config, peaks: Peaks, label: str, seed: int, phase: int, model: Transformer, start: Any = None,
    budget: float | None = None,
) -> Any:  # fmt: skip
    """A stage, of as many FLOPs, at the learning rate that is best on validation text with the first seed.

    Models from scratch are tried with the rates of the first stage.
    """

    rates = cfg.rates[0 if start is None else phase]
    own = stage(cfg, f"{slug(label)}/{seed}", seed, phase, model, rates[0])
    own = own if budget is None else within(own, budget)
    return kept_peak(run, peaks, label, own, rates, start=start, score=on_validation, beyond=2)[0]


def scale_out(run: Any, trained: Any, cfg: Config, up: Arm, seed: int) -> tuple[Arm, Arm]:
    """Sparse upcycling and training; and the dense model trained on with the same FLOPs."""
    before = up.results[-1]
    start = run.grow(f"scale-out/{seed}/start", before, to=mixture(cfg), operator=Upcycle())
    own = trained(SYSTEM, seed, 2, start.model, start)
    longer = trained(LONGER, seed, 2, before.model, before, flops(own))
    charged = (*up.charged, before)
    return Arm(SYSTEM, (start, own), charged), Arm(LONGER, (longer,), charged)


def widened(run: Any, cfg: Config, small: Any, seed: int) -> dict[str, Any]:
    """Width alone: twice by FPI, and to the larger width by FPI and isometrically."""
    old = cfg.small
    twice = replace(old, embed=2 * old.embed, mlp=2 * old.mlp, q_per_kv=2 * old.q_per_kv)
    uneven = replace(cfg.large, layers=old.layers)
    pairs = zip(WIDTH, ((FPI(), twice), (FPI(), uneven), (Isometric(), uneven)), strict=True)
    return {
        label: run.grow(f"width/{slug(label)}/{seed}", small, to=dense(cfg, size), operator=operator)
        for label, (operator, size) in pairs
    }


# --- report ---


def owed(label: str, arm: Arm, peaks: Peaks) -> Arm:
    """The arm of the first seed, charged with the rates that lost: for its own stage, and for those before it."""
    before = ("source", AKI_PRO) if label in (SYSTEM, LONGER) else ("source",) if label in OPERATORS else ()
    used = {result.name for result in (*arm.results, *arm.charged)}
    lost = (result for name in (*before, label) for result in peaks[name].spent if result.name not in used)
    return replace(arm, charged=(*arm.charged, *lost))


def report(cfg: Config, arms: Arms, widths: list[dict[str, Any]], peaks: Peaks) -> Report:
    """Losses after growth as in Tables 1 and 2, final losses, what was saved, and the claims judged on them."""
    grown = {label: [arm.results[0] for arm in arms[label]] for label in (*OPERATORS, SYSTEM)}
    grown |= {label: [by_label[label] for by_label in widths] for label in WIDTH}
    after = {label: receipts(starts, "loss_after") for label, starts in grown.items()}
    after |= {"source": receipts(grown[AKI_PRO], "loss_before"), RANDOM: losses(arms[RANDOM])[:, 0]}
    moved = {label: receipts(starts, "logit_change_relative") for label, starts in grown.items()}
    final = {label: losses(own)[:, -1] for label, own in arms.items()}
    minus = {label: final[label] - final[MOE if label in WHOLE else FPI_INTERP] for label in arms}
    saved = {
        label: np.array([saving(arm, moe, with_source=True) for arm, moe in zip(arms[label], arms[MOE], strict=True)])
        for label in WHOLE
    }
    sources = [arm.charged[0] for arm in arms[AKI_PRO]]
    steps = {label: regained(arms[label], sources) for label in (*OPERATORS, RANDOM)}
    steps |= {label: regained(arms[label], [arm.charged[1] for arm in arms[label]]) for label in (SYSTEM, LONGER)}
    load = {label: losses(arms[label], "load_entropy") for label in (SYSTEM, MOE)}
    up: Columns = {
        "paper, right after": (PAPER, ""), "right after": (after, ".3f"), "logits moved": (moved, ".1%"),
        "steps to regain": (steps, ".0f"), "at the end": (final, ".3f"), f"minus {FPI_INTERP}": (minus, "+.4f"),
    }  # fmt: skip
    whole: Columns = {
        "at the end": (final, ".3f"), f"minus {MOE}": (minus, "+.3f"), f"saved to the loss of {MOE}": (saved, ".1%"),
        "steps to regain": (steps, ".0f"), "entropy of load, first": ({k: v[:, 0] for k, v in load.items()}, ".3f"),
        "at last": ({k: v[:, -1] for k, v in load.items()}, ".3f"),
    }  # fmt: skip
    dots = {
        title: {label: by_label[label].tolist() for label in OPERATORS}
        for title, by_label in (("right after scale-up", after), ("at the end", final))
    }
    marks = ("", *(f", seed {seed}" for seed in cfg.seeds[1:]))
    return EXPERIMENT.report(
        link="https://arxiv.org/abs/2408.06567",
        claims=claims(after, final, saved, receipts(grown[SYSTEM], "loss_before")), tables=(
            table("Scale-up: held-out losses at equal steps", INITIAL, up, UP),
            table("The whole: held-out losses at equal FLOPs, and the load of experts", WHOLE, whole, ALL),
            Table("Learning rates", ("stage", "tried", "validation losses", "chosen", "at an end"),
                  tuple((label, *found.cells) for label, found in peaks.items() if len(found.tried) > 1),
                  note="Whole stages of the first seed, on the other half of the held-out documents."),
        ),
        figures=(
            Figure("Scale-up", draw_dots(dots, baseline=FPI_INTERP, xlabel="held-out loss"),
                   f"A dot for each seed, a bar at their mean; the dotted line is the mean of {FPI_INTERP}."),
        ),
        arms=tuple(
            replace(arm if mark else owed(label, arm, peaks), name=label + mark, group=label,
                    against=(MOE if label in WHOLE else RANDOM) + mark)
            for label, own in arms.items() for arm, mark in zip(own, marks, strict=True)
        ),
        baseline=MOE, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


UP = (
    "Means ± standard deviations over seeds. Twice, uneven: the width alone. Logits moved: the largest change over the "
    "largest logit. To regain: the evaluated step from which on the loss is at most 1e-4 above the source's. Paper: "
    "1.3B M(24, 2048) to M(32, 4096); width alone: 7B of width 4096 to 8192 and 5120."
)
ALL = (
    "All stages counted, differences and savings seed by seed. The system's curve begins with its mixture: it cannot "
    "save more than scale-out costs. To regain: the loss of the dense model before. Entropy 1: all experts have as "
    "many tokens."
)
NOTES = (
    "FLOPs of experts are of those that a token chooses.",
    "Every stage and every model from scratch takes the learning rate that is best on validation text. The rates that "
    "lost are charged to the arms of the first seed; budgets, and savings in the second table, are without searches.",
    "That moments start anew, and the partner of a repeated layer in AKI-Pro (the next layer of the source), are not "
    "said in the paper.",
    "The text is the standard library of the Python that runs: other versions give other losses.",
)


def claims(after: Values, final: Values, saved: Values, dense: np.ndarray) -> tuple[Claim, ...]:
    """Judged on means over seeds, or on every one; `dense` is the loss before scale-out."""
    order = [after[label] for label in ("source", *ORDER)]
    late = [final[label] for label in (AKI_PRO, FPI_INTERP, RANDOM)]
    fpi, aki = final[FPI_INTERP] - final[FPI_STACK], final[AKI_PRO] - final[AKI_STACK]
    twice, uneven, isometric = (after[label] - after["source"] for label in WIDTH)
    jump = after[SYSTEM] - dense
    return (
        claim(
            "Scale-up + scale-out reaches the final loss of the mixture from scratch with fewer FLOPs, all stages "
            "counted", paper="70% (3.35x, arithmetic)", measured=shown(saved[SYSTEM], ".1%"),
            margin="mean over seeds above 0", holds=saved[SYSTEM].mean() > 0,
        ),
        claim(
            "Losses right after scale-up: source < FPI interpolated < FPI stacked < AKI-Pro < AKI stacked < random",
            paper="2.97 < 3.31 < 4.30 < 7.81 < 9.56 < 12.22", measured=shown(np.stack(order, 1)),
            margin="means over seeds in this order", holds=bool((np.diff(np.mean(order, 1)) > 0).all()),
        ),
        claim(
            "Interpolated layers end no worse than stacked ones (FPI, then AKI)", paper="curves",
            measured=shown(np.stack([fpi, aki], 1), "+.4f"),
            margin="both final losses at most 0.005 higher, means over seeds",
            holds=max(fpi.mean(), aki.mean()) <= 0.005,
        ),
        claim(
            "After training AKI-Pro passes FPI interpolated, and both beat random values", paper="curves",
            measured=shown(np.stack(late, 1)), margin="final losses in this order, means over seeds",
            holds=bool((np.diff(np.mean(late, 1)) > 0).all()),
        ),
        claim(
            "FPI keeps the loss where the width is doubled, not where it is uneven; isometric copies keep it there",
            paper="1.85 -> 1.85, 1.85 -> 1.96, not tried",
            measured=shown(np.stack([twice, uneven, isometric], 1), "+.1e"),
            margin="within 1e-4, every seed; mean higher by more than 1e-3; within 1e-4, every seed",
            holds=np.abs([twice, isometric]).max() < 1e-4 and uneven.mean() > 1e-3,
        ),
        claim(
            "Scale-out leaves the loss as it was", paper="recovers quickly", measured=shown(jump, "+.1e"),
            margin="within 1e-4, every seed", holds=np.abs(jump).max() < 1e-4,
        ),
    )  # fmt: skip


# --- measures: one value a seed, NaN in a plan ---


def receipts(grown: list[Any], key: str) -> np.ndarray:
    """What the receipts of growths say."""
    return np.array([start.receipt.get(key) for start in grown], float)


def losses(arms: list[Arm], metric: str = "loss") -> np.ndarray:
    """All evaluations in order, a row for each seed."""
    return np.array([[point.y for point in curve(arm, metric=metric).points] or [np.nan] for arm in arms])


def regained(arms: list[Arm], sources: list[Any]) -> np.ndarray:
    """The evaluated step from which on the loss is at most 1e-4 above the source's; infinite if there is none."""
    found = []
    for arm, source in zip(arms, sources, strict=True):
        evals, goal = arm.results[-1].history.evals, source.history.last("loss") + 1e-4
        above = max((i for i, row in enumerate(evals, 1) if row["loss"] > goal), default=0)
        found.append([*(row["step"] for row in evals), np.inf][above] if evals else np.nan)
    return np.array(found, float)


def table(title: str, rows: tuple[str, ...], columns: Columns, note: str) -> Table:
    def cell(value: Any, form: str) -> str | None:
        return value if value is None or isinstance(value, str) else shown(value, form)

    cells = tuple((row, *(cell(by_label.get(row), form) for by_label, form in columns.values())) for row in rows)
    return Table(title, ("arm", *columns), cells, note=note)


EXPERIMENT = Experiment(
    name="aquila_moe", title="AquilaMoE: scale up a dense model, then out to a mixture of experts",
    reference="AquilaMoE team, 2024, arXiv 2408.06567", paper=5, pipeline=pipeline, preset=preset,
)  # fmt: skip

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("aquila_moe")
