"""bert2BERT: start a large Transformer from an already trained small one.

Paper    Chen et al., bert2BERT: Towards Reusable Pretrained Language Models, ACL 2022, arXiv 2110.07143 (dossier 022).
Claim    Widening by AKI, stacking and two-stage pre-training reach the loss of training from scratch with fewer FLOPs:
         45.2 % fewer for BERT_BASE (FPI alone 30.4 %, AKI alone 38.4 %), 47 % for GPT_BASE. The paper leaves out the
         cost of the small model; here every saving is shown without and with it.
Method   Seven arms under one recipe and one order of data: scratch, DirectCopy, StackBERT, MSLT, FPI + stack,
         AKI + stack, AKI + stack + two-stage.
Run      stagejax run bert2bert                      laptop: 5 minutes on two cores
         stagejax run bert2bert --preset smoke       seconds
         stagejax run bert2bert --decoder            the GPT variant
         stagejax plan bert2bert --preset pod --mesh data=16,fsdp=16
Holds if AKI + two-stage saves at least 20 % without the source's cost, and
         saving(AKI) >= saving(FPI) > saving(DirectCopy). Beside it: widening x2 by FPI moves logits by less than
         1e-4, and the uneven pair 48 -> 64 raises the loss.
Ours     Three seeds for scratch, FPI and AKI (experiments/results/bert2bert-laptop.json, bert2bert-laptop-gpt.json):
         saved, %       without source (with)         BERT          GPT
         AKI + stack + two-stage                      77 (49)       68 (40)
         AKI + stack                                  77 (49)       84 (56)
         FPI + stack                                  77 (49)       85 (56)
         DirectCopy                                   98 (69)       82 (54)
         The saving holds, the order does not: at this size the source is nearly as good as scratch at its end, and
         DirectCopy, whose added layers are fresh and so nearly the identity, disturbs it least.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.axes import Axes
from stagejax.data import BPE, TFDS, CausalText, MaskedText, Source, Stdlib
from stagejax.growth import AKI, FPI, Deepen, DirectCopy, Operator, stack_modulo
from stagejax.models import Transformer
from stagejax.objectives import causal_lm, masked_lm
from stagejax.optimizer import adamw
from stagejax.program import build
from stagejax.report import Arm, Report, Table, claim, saving
from stagejax.stage import Part, whole_gradients
from stagejax.state import Selected, TrainState, join, split

SCRATCH, COPY, FPI_STACK, AKI_STACK = "scratch", "DirectCopy", "FPI + stack", "AKI + stack"
TWO_STAGE = "AKI + stack + two-stage"


@dataclass(frozen=True)
class Size:
    """Sizes of one Transformer. The head size is the same in all: only the number of heads grows."""

    layers: int
    embed: int
    heads: int
    mlp: int


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    small: Size = Size(layers=2, embed=32, heads=2, mlp=128)
    large: Size = Size(layers=4, embed=64, heads=4, mlp=256)
    uneven: Size | None = Size(layers=2, embed=48, heads=3, mlp=192)  # widened 48 -> 64 for the study of LayerNorm
    decoder: bool = False  # GPT and causal language modelling, instead of BERT and masked
    source: Source = field(default_factory=Stdlib)  # of text
    vocab: int = 512  # byte-level BPE pieces
    length: int = 64  # tokens in a row
    batch: int = 16  # rows in a batch
    small_steps: int = 600
    steps: int = 400  # of every arm, all its stages together
    peak: float = 2e-3  # learning rate, the same for all arms and the source
    warmup: float = 0.1  # share of a stage's steps
    weight_decay: float = 0.01
    stack_shares: tuple[float, ...] = (0.125, 0.175, 0.7)  # StackBERT: 50k, 70k, 280k of 400k steps
    mslt_shares: tuple[float, ...] = (0.2, 0.2, 0.2, 0.4)  # MSLT: each new depth, then all layers
    sub_layers: int = 1  # l_b: layers trained in a sub-model
    sub_share: float = 0.05  # E_b: share of the steps spent on sub-models
    evaluate_every: int = 20  # steps
    evaluate_batches: int = 8
    seeds: tuple[int, ...] = (0,)  # of scratch, FPI and AKI; the other arms take the first
    scan: bool = False  # loop over layers in the compiled program
    save_every: int | None = None  # steps; None: every minute


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    laptop = Config()
    if name == "smoke":
        return replace(
            laptop,
            small=Size(layers=2, embed=16, heads=1, mlp=32),
            large=Size(layers=3, embed=32, heads=2, mlp=64),
            uneven=None,
            source=Stdlib(limit=300_000),
            vocab=300,
            length=32,
            batch=8,
            small_steps=40,
            steps=40,
            evaluate_every=10,
            evaluate_batches=2,
            sub_share=0.1,
            scan=True,
            save_every=8,
        )
    if name == "pod":
        return replace(
            laptop,
            small=Size(layers=12, embed=512, heads=8, mlp=2048),
            large=Size(layers=12, embed=768, heads=12, mlp=3072),
            uneven=None,
            source=TFDS("wikipedia/20230601.en"),
            vocab=30_522,
            length=128,
            batch=512,
            small_steps=1_650_000,
            steps=1_650_000,  # scratch costs 7.2e19 FLOPs then; the paper says 7.3e19
            peak=1e-4,
            warmup=0.01,
            sub_layers=3,
            sub_share=0.125,
            evaluate_every=10_000,
            evaluate_batches=64,
            scan=True,
            save_every=2_000,
        )
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """The source, the seven arms, and what the paper claims of them."""
    first = cfg.seeds[0]
    small = {seed: run.train(source_stage(cfg, "source", cfg.small, seed)) for seed in cfg.seeds}
    arms = {
        SCRATCH: {seed: Arm(SCRATCH, (run.train(target_stage(cfg, f"scratch/{seed}", seed)),)) for seed in cfg.seeds},
        COPY: {first: grown_arm(run, cfg, COPY, DirectCopy(), small[first], first)},
        "StackBERT": {first: stackbert_arm(run, cfg, first)},
        "MSLT": {first: mslt_arm(run, cfg, first)},
        FPI_STACK: {seed: grown_arm(run, cfg, FPI_STACK, FPI(), small[seed], seed) for seed in cfg.seeds},
        AKI_STACK: {seed: grown_arm(run, cfg, AKI_STACK, AKI(), small[seed], seed) for seed in cfg.seeds},
        TWO_STAGE: {first: two_stage_arm(run, cfg, small[first], first)},
    }
    return report(cfg, arms, preservation(run, cfg, small[first], first))


# --- stages ---


def model(cfg: Config, size: Size) -> Transformer:
    """BERT: an encoder, post-norm. GPT: a decoder, pre-norm. Both with the token table as head."""
    return Transformer(
        vocab=cfg.vocab, embed=size.embed, layers=size.layers, heads=size.heads, mlp=size.mlp, length=cfg.length,
        causal=cfg.decoder, norm_position="pre" if cfg.decoder else "post", tied=True, scan=cfg.scan,
    )  # fmt: skip


def corpus(cfg: Config, seed: int) -> Any:
    """Text in the order that all arms of a seed share."""
    kind = CausalText if cfg.decoder else MaskedText
    return kind(source=cfg.source, tokenizer=BPE(cfg.vocab), batch=cfg.batch, length=cfg.length, seed=seed)


def source_stage(cfg: Config, name: str, size: Size, seed: int) -> Stage:
    """Pre-training of a small model by the recipe of the large one."""
    return replace(target_stage(cfg, f"{name}/{seed}", seed), model=model(cfg, size), steps=cfg.small_steps)


def target_stage(cfg: Config, name: str, seed: int) -> Stage:
    """Pre-training of the large model: the recipe that every arm shares."""
    data = corpus(cfg, seed)
    return Stage(
        name=name,
        model=model(cfg, cfg.large),
        objective=causal_lm if cfg.decoder else masked_lm,
        optimizer=adamw(peak=cfg.peak, warmup=cfg.warmup, decay="linear", weight_decay=cfg.weight_decay),
        data=data,
        steps=cfg.steps,
        evaluate=Evaluation(
            replace(data, seed=0).held_out(cfg.evaluate_batches), cfg.evaluate_batches, cfg.evaluate_every
        ),
        seed=seed,
        save_every=cfg.save_every,
    )


# --- arms ---


def grown_arm(run: Any, cfg: Config, label: str, operator: Operator, source: Any, seed: int) -> Arm:
    """Widen and deepen the source by one operator, then train by the target's recipe."""
    name = f"{slug(label)}/{seed}"
    start = run.grow(f"{name}/start", source, to=model(cfg, cfg.large), operator=operator)
    return Arm(label, (start, run.train(target_stage(cfg, name, seed), start)), charged=(source,))


def two_stage_arm(run: Any, cfg: Config, source: Any, seed: int) -> Arm:
    """AKI + stack, then sub-models (section 3.4 of the paper), then the whole model."""
    name = f"two-stage/{seed}"
    start = run.grow(f"{name}/start", source, to=model(cfg, cfg.large), operator=AKI())
    sub_steps = max(1, round(cfg.sub_share * cfg.steps))
    sub = replace(sub_model_stage(cfg, f"{name}/sub-models", seed), steps=sub_steps)
    bottom = run.train(priced(sub), start)
    whole = replace(target_stage(cfg, name, seed), steps=cfg.steps - sub_steps, handover=Handover(data="carry"))
    return Arm("AKI + stack + two-stage", (start, bottom, run.train(whole, bottom)), charged=(source,))


def stackbert_arm(run: Any, cfg: Config, seed: int) -> Arm:
    """StackBERT: train a quarter of the layers, double them by copying, train, double, train. No source."""
    results: list[Any] = []
    depths = quarters(cfg.large.layers)
    for depth, steps in zip(depths, shares(cfg.steps, cfg.stack_shares[-len(depths) :]), strict=True):
        name = f"stackbert/{seed}/{depth}-layers"
        stage = replace(target_stage(cfg, name, seed), model=model(cfg, replace(cfg.large, layers=depth)), steps=steps)
        start = None
        if results:
            start = run.grow(f"{name}/start", results[-1], to=stage.model, operator=Deepen(stack_modulo))
            results.append(start)
            stage = replace(stage, handover=Handover(data="carry"))
        results.append(run.train(stage, start))
    return Arm("StackBERT", tuple(results))


def mslt_arm(run: Any, cfg: Config, seed: int) -> Arm:
    """MSLT: add copies of the top layers, train only them and the head; at the end train all."""
    results: list[Any] = []
    depths = quarters(cfg.large.layers)
    *deepening, last = shares(cfg.steps, cfg.mslt_shares[-len(depths) - 1 :])
    for depth, steps in zip(depths, deepening, strict=True):
        name = f"mslt/{seed}/{depth}-layers"
        stage = replace(target_stage(cfg, name, seed), model=model(cfg, replace(cfg.large, layers=depth)), steps=steps)
        start = None
        if results:
            before = results[-1].model.layers
            start = run.grow(f"{name}/start", results[-1], to=stage.model, operator=Deepen(stack_modulo))
            results.append(start)
            still = partial(stage.objective, stop_below=before)
            stage = replace(
                stage, objective=still, trainable=TopLayers(depth - before), handover=Handover(data="carry")
            )
        results.append(run.train(stage, start))
    whole = replace(target_stage(cfg, f"mslt/{seed}/all", seed), steps=last, handover=Handover(data="carry"))
    return Arm("MSLT", (*results, run.train(whole, results[-1])))


def preservation(run: Any, cfg: Config, small: Any, seed: int) -> dict[str, Any]:
    """Width alone, by FPI: the whole multiple keeps the function, the uneven pair does not (LayerNorm)."""
    wide = model(cfg, replace(cfg.large, layers=cfg.small.layers))
    found = {"whole": run.grow("preservation/whole", small, to=wide, operator=FPI())}
    if cfg.uneven is not None:
        source = run.train(source_stage(cfg, "uneven-source", cfg.uneven, seed))
        to = model(cfg, replace(cfg.large, layers=cfg.uneven.layers))
        found["uneven"] = run.grow("preservation/uneven", source, to=to, operator=FPI())
    return found


def quarters(layers: int) -> list[int]:
    """A quarter, half and all of the layers, as far as they differ."""
    return sorted({max(1, layers // 4), max(1, layers // 2), layers})


def shares(steps: int, parts: tuple[float, ...]) -> list[int]:
    """Steps divided in proportion, all of them used."""
    ends = np.round(np.cumsum(parts) / np.sum(parts) * steps).astype(int)
    return np.diff(ends, prepend=0).tolist()


def slug(label: str) -> str:
    return label.lower().replace(" + ", "-")


# --- training of the top layers, and of sub-models -------------------------------------------------------------------


def is_head(path: str) -> bool:
    """Whether a parameter belongs to the head that all depths share: the tied table, and what follows the layers."""
    return path.split("/")[0] in ("tokens", "norm", "head")


@dataclass(frozen=True)
class TopLayers:
    """Train the top layers and the head."""

    layers: int

    def __call__(self, path: str, axes: Axes) -> Selected:
        return slice(-self.layers, None) if "layers" in axes.names else is_head(path)


@dataclass(frozen=True)
class SubModelStep:
    """One step of a sub-model: the bottom `depth` layers and the head, of which the top `layers` and the head learn.

    The depth of step k is drawn uniformly from l_b, 2 l_b, ..., L. Moments and parameters outside of what learns stay
    as they are.
    """

    depths: tuple[int, ...]
    layers: int  # l_b
    seed: int

    def depth_index(self, step: Any) -> jax.Array:
        """Which depth step k trains."""
        return jax.random.randint(jax.random.fold_in(jax.random.key(self.seed), step), (), 0, len(self.depths))

    def __call__(self, part: Part, state: TrainState, batch: Any, key: jax.Array) -> tuple[TrainState, dict[str, Any]]:
        branches = [lambda s, b, k, depth=depth: self._train(part, depth, s, b, k) for depth in self.depths]
        return jax.lax.switch(self.depth_index(state.step), branches, state, batch, jax.random.fold_in(key, state.step))

    def _train(
        self, part: Part, depth: int, state: TrainState, batch: Any, key: jax.Array
    ) -> tuple[TrainState, dict[str, Any]]:
        chosen = self._chosen(part, depth)
        objective = partial(part.objective, depth=depth, stop_below=depth - self.layers)
        sub = replace(part, selection=chosen, objective=objective)
        trained, frozen = split(state.params, chosen)
        (metrics, rest), grads = whole_gradients(sub, trained, frozen, state.rest, batch, key)
        where = optax.tree_map_params(
            part.tx, lambda _, c: c, state.opt_state, chosen, transform_non_params=lambda _: True
        )
        moments = jax.tree.map(_rows, state.opt_state, where)
        updates, moments = part.tx.update(grads, moments, trained)
        opt_state = jax.tree.map(_put, state.opt_state, where, moments)
        params = join(optax.apply_updates(trained, updates), frozen, chosen)
        loss = metrics["loss"][0] / metrics["loss"][1]
        return TrainState(state.step + 1, params, rest, opt_state, state.ema), {
            "loss": loss,
            "depth": jnp.float32(depth),
        }

    def _chosen(self, part: Part, depth: int) -> Any:
        """The top rows of the sub-model and the head; of the lowest sub-model also what lies under its layers."""

        def one(path: Any, axes: Axes) -> Selected:
            if "layers" in axes.names:
                whole = self.layers == part.config.layers
                return True if whole else slice(depth - self.layers, depth)
            return depth == self.layers or is_head(str(path[0].key))

        return jax.tree_util.tree_map_with_path(one, part.axes, is_leaf=lambda x: isinstance(x, Axes))


@dataclass(frozen=True)
class DrawnFlops:
    """FLOPs of steps, by the depths that they draw."""

    step: SubModelStep
    flops: tuple[int, ...]  # by depth

    def __call__(self, steps: np.ndarray) -> np.ndarray:
        return np.asarray(self.flops)[np.asarray(jax.jit(jax.vmap(self.step.depth_index))(steps))]


def sub_model_stage(cfg: Config, name: str, seed: int) -> Stage:
    """The first of the two stages; its evaluation is of the whole model."""
    depths = tuple(range(cfg.sub_layers, cfg.large.layers + 1, cfg.sub_layers))
    return replace(target_stage(cfg, name, seed), step=SubModelStep(depths, cfg.sub_layers, seed))


def priced(stage: Stage) -> Stage:
    """The same stage, charged for the depths that it will draw."""
    flops = tuple(
        build(replace(stage, step=replace(stage.step, depths=(depth,))), None).step_flops()
        for depth in stage.step.depths
    )
    return replace(stage, step_flops=DrawnFlops(stage.step, flops))


def _rows(leaf: Any, chosen: Selected) -> Any:
    return (leaf if chosen else None) if isinstance(chosen, bool) else leaf[chosen]


def _put(leaf: Any, chosen: Selected, new: Any) -> Any:
    return (new if chosen else leaf) if isinstance(chosen, bool) else leaf.at[chosen].set(new)


# --- report ---


def report(cfg: Config, arms: dict[str, dict[int, Arm]], kept: dict[str, Any]) -> Report:
    """Savings in FLOPs at the final loss of scratch, without and with the source, and the claims judged on them."""

    suffix = {seed: "" if seed == cfg.seeds[0] else f", seed {seed}" for seed in cfg.seeds}
    named = [
        replace(arm, name=label + suffix[seed], group=label, against=SCRATCH + suffix[seed])
        for label, by_seed in arms.items()
        for seed, arm in by_seed.items()
    ]

    def savings(label: str, with_source: bool = False) -> list[float]:
        return [saving(arm, arms[SCRATCH][seed], with_source=with_source) for seed, arm in arms[label].items()]

    quoted = ("12.2%*", "10.7%*", "24.3%*", "30.4%", "38.4%", "45.2%")
    bert = dict(zip((COPY, "MSLT", "StackBERT", FPI_STACK, AKI_STACK, TWO_STAGE), quoted, strict=True))
    paper = {TWO_STAGE: "47%"} if cfg.decoder else bert
    rows = [
        (label, paper.get(label, ""), *spread(savings(label)), *spread(savings(label, True)), len(arms[label]))
        for label in arms
        if label != SCRATCH
    ]
    table = Table(
        "Saving in FLOPs at the final loss of scratch",
        ("arm", "paper", "without source", "+/-", "with source", "+/-", "seeds"),
        tuple(rows),
        ("", "", ".1%", ".1%", ".1%", ".1%", ""),
        note="Each seed against scratch of the same seed; +/- is the standard deviation over seeds. The paper leaves "
        "out the cost of the source. * quoted from memory in our notes, not confirmed.",
    )
    mean = {label: float(np.mean(savings(label))) for label in arms if label != SCRATCH}
    ordered = mean[AKI_STACK] >= mean[FPI_STACK] > mean[COPY]
    order = ", ".join(f"{label} {mean[label]:.1%}" for label in (AKI_STACK, FPI_STACK, COPY))
    measured = not any(np.isnan(value) for value in mean.values())
    whole = kept["whole"].receipt
    # fmt: off
    claims = [
        claim(
            "AKI + stack + two-stage reaches scratch's final loss with fewer FLOPs, the source's cost left out",
            paper=paper[TWO_STAGE], measured=mean[TWO_STAGE], unit="%",
            margin="at least 20%", holds=mean[TWO_STAGE] >= 0.2,
        ),
        claim(
            "AKI saves at least as much as FPI, and FPI more than DirectCopy",
            paper="38.4%, 30.4%, 12.2%* (BERT)", measured=order if measured else None,
            margin="in this order of means", holds=ordered,
        ),
        claim(
            "Widening by whole multiples with FPI keeps the function",
            paper="MLM loss 1.89 -> 1.89", measured=whole.get("logit_change"),
            margin="largest change of a logit below 1e-4", holds=(whole.get("logit_change") or 0.0) < 1e-4,
        ),
    ]
    if "uneven" in kept:
        uneven = kept["uneven"].receipt
        before, after = uneven.get("loss_before"), uneven.get("loss_after")
        claims.append(claim(
            f"Uneven widening ({cfg.uneven.embed} -> {cfg.large.embed}) with FPI loses some of the function",
            paper="MLM loss 1.67 -> 1.70", measured=None if after is None else f"{before:.3f} -> {after:.3f}",
            margin="loss strictly higher after", holds=None if after is None else after > before,
        ))
    # fmt: on
    return Report(
        experiment=EXPERIMENT.name,
        title=f"{EXPERIMENT.title}: {'GPT' if cfg.decoder else 'BERT'}",
        paper=EXPERIMENT.reference,
        number=f"{EXPERIMENT.paper:03d}",
        link="https://arxiv.org/abs/2110.07143",
        claims=tuple(claims),
        arms=tuple(named),
        tables=(table,),
        baseline=SCRATCH,
        seeds=cfg.seeds,
        notes=(
            "FLOPs are those of matrix multiplications, forward and backward, attention included; evaluation is free.",
            "The new units of FPI and AKI are the old ones in order (i modulo the old width), so that every unit has "
            "equally many copies; drawn at random, as in the paper's text, they would not keep the function.",
            "The division of the budget among MSLT's stages is ours.",
        ),
    )


def spread(values: list[float]) -> tuple[float, float]:
    """Mean and standard deviation over seeds; no deviation of a single one."""
    finite = np.asarray(values)
    several = len(values) > 1 and bool(np.isfinite(finite).all())
    return float(finite.mean()), float(finite.std(ddof=1)) if several else float("nan")


EXPERIMENT = Experiment(
    name="bert2bert",
    title="bert2BERT: reuse a small pre-trained model to start a large one",
    reference="Chen et al., ACL 2022, arXiv 2110.07143",
    paper=22,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("bert2bert")
