"""bert2BERT: start a large Transformer from an already trained small one.

Paper    Chen et al., bert2BERT: Towards Reusable Pretrained Language Models, ACL 2022, arXiv 2110.07143 (dossier 022).
Claim    Widening by AKI, stacking and two-stage pre-training reach the loss of training from scratch with fewer FLOPs:
         45.2 % fewer for BERT_BASE (FPI alone 30.4 %, AKI alone 38.4 %), 47 % for GPT_BASE. The paper leaves out the
         cost of the small model; here every saving is shown without and with it.
Method   Arms under one recipe and one order of data: scratch, StackBERT, MSLT; from a source of half the width
         DirectCopy, FPI + stack, AKI + stack, AKI + stack + two-stage; from one of three quarters, an uneven pair as
         the paper's 512 -> 768, FPI + stack, AKI + stack and, for GPT, whose norms allow it, exact width + stack.
Run      stagejax run bert2bert                      laptop: 5 to 10 minutes on two cores
         stagejax run bert2bert --preset smoke       seconds
         stagejax run bert2bert --decoder            the GPT variant
         stagejax plan bert2bert --preset pod --mesh data=16,fsdp=16
Holds if AKI + two-stage saves at least 20 % without the source's cost, and
         saving(AKI) >= saving(FPI) > saving(DirectCopy). Beside it: FPI moves logits by less than 1e-4 from 32 to 64,
         and raises the loss from 48 to 64, where exact width does not, and saving(AKI) >= saving(FPI) > 0 as well.
Ours     Three seeds for scratch, FPI and AKI (experiments/results/bert2bert-laptop.json, bert2bert-laptop-gpt.json):
         saved, %       without source (with)         BERT          GPT
         AKI + stack + two-stage                      77 (49)       68 (40)
         AKI + stack                                  77 (49)       84 (56)
         FPI + stack                                  77 (49)       85 (57)
         DirectCopy                                   98 (69)       82 (54)
         48 -> 64: AKI + stack                        98 (45)       98 (45)
         48 -> 64: FPI + stack                        98 (45)       98 (45)
         48 -> 64: exact width + stack                              98 (45)
         DirectCopy and two-stage have the first seed alone, on which FPI and AKI save 77 and 77 % (BERT), 65 and 66 %
         (GPT): there two-stage is ahead of AKI, in GPT by 2 points. The saving holds, the order does not: at this
         size the source is at most 0.09 nats behind scratch at its end, that of width 48 ahead on every seed, and
         DirectCopy, whose added layers are fresh and so nearly the identity, disturbs it least. FPI keeps the loss from
         32 to 64 and raises it from 48 to 64, by 0.005 (BERT) and 0.002 (GPT), where exact width keeps it.
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
from stagejax.budget import step_flops
from stagejax.data import BPE, CausalText, MaskedText, Source, Stdlib
from stagejax.data.published import WIKIPEDIA
from stagejax.growth import AKI, FPI, LEMON, Deepen, DirectCopy, Operator, stack_modulo
from stagejax.models import Transformer
from stagejax.names import slug
from stagejax.objectives import causal_lm, masked_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, saving, spread
from stagejax.report.tables import cell
from stagejax.stage import Part, whole_gradients
from stagejax.state import Selected, TrainState, join, split

SCRATCH, COPY, STACKBERT, MSLT = "scratch", "DirectCopy", "StackBERT", "MSLT"
FPI_STACK, AKI_STACK, TWO_STAGE = "FPI + stack", "AKI + stack", "AKI + stack + two-stage"
UNEVEN_FPI, UNEVEN_AKI, UNEVEN_EXACT = "uneven: FPI + stack", "uneven: AKI + stack", "uneven: exact width + stack"
UP = Deepen()  # whole copies of the layers one above the other, and the top ones once more
WIDENED = (COPY, FPI_STACK, AKI_STACK, UNEVEN_FPI, UNEVEN_AKI, UNEVEN_EXACT)


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
    uneven: Size | None = Size(layers=2, embed=48, heads=3, mlp=192)  # a second source, not a whole part of the target
    decoder: bool = False  # GPT and causal language modelling, instead of BERT and masked
    source: Source = field(default_factory=Stdlib)  # of text
    vocab: int = 512  # byte-level BPE pieces
    length: int = 64  # tokens in a row
    batch: int = 16  # rows in a batch
    small_steps: int = 600  # of a source
    steps: int = 400  # of every arm, all its stages together
    peak: float = 2e-3  # learning rate, the same for all arms and the sources
    warmup: float = 0.1  # share of a stage's steps
    weight_decay: float = 0.01
    stack_shares: tuple[float, ...] = (0.125, 0.175, 0.7)  # StackBERT: 50k, 70k, 280k of 400k steps
    mslt_shares: tuple[float, ...] = (0.2, 0.2, 0.2, 0.4)  # MSLT: each new depth, then all layers
    sub_layers: int = 1  # l_b: layers trained in a sub-model
    sub_share: float = 0.05  # E_b: share of the steps spent on sub-models
    evaluate_every: int = 20  # steps
    evaluate_batches: int = 8
    seeds: tuple[int, ...] = (0, 1, 2)  # of scratch and what its claims compare; the other arms take the first
    scan: bool = False  # loop over layers in the compiled program
    save_every: int | None = None  # steps; None: every minute


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale, whose one pair is uneven."""
    laptop = Config()
    if name == "smoke":
        return replace(
            laptop, small=Size(layers=2, embed=16, heads=2, mlp=32), large=Size(layers=3, embed=32, heads=4, mlp=64),
            uneven=Size(layers=2, embed=24, heads=3, mlp=40), source=Stdlib(limit=300_000), vocab=300, length=32,
            batch=8, small_steps=40, steps=40, evaluate_every=10, evaluate_batches=2, sub_share=0.1, seeds=(0,),
            scan=True, save_every=8,
        )  # fmt: skip
    if name == "pod":
        return replace(
            laptop, small=Size(layers=12, embed=512, heads=8, mlp=2048),
            large=Size(layers=12, embed=768, heads=12, mlp=3072), uneven=None, source=WIKIPEDIA,
            vocab=30_522, length=128, batch=512, small_steps=1_650_000,
            steps=1_650_000,  # scratch costs 7.2e19 FLOPs then; the paper says 7.3e19
            peak=1e-4, warmup=0.01, sub_layers=3, sub_share=0.125, evaluate_every=10_000, evaluate_batches=64,
            seeds=(0,), scan=True, save_every=2_000,
        )  # fmt: skip
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """The sources, the arms, and what the paper claims of them."""
    first = cfg.seeds[0]
    small = {seed: run.train(source_stage(cfg, f"source/{seed}", cfg.small, seed)) for seed in cfg.seeds}
    arms = {
        SCRATCH: {seed: Arm(SCRATCH, (run.train(target_stage(cfg, f"scratch/{seed}", seed)),)) for seed in cfg.seeds},
        COPY: {first: grown_arm(run, cfg, COPY, small[first], first, DirectCopy(), DirectCopy())},
        STACKBERT: {first: stackbert_arm(run, cfg, first)},
        MSLT: {first: mslt_arm(run, cfg, first)},
        FPI_STACK: {seed: grown_arm(run, cfg, FPI_STACK, source, seed, FPI()) for seed, source in small.items()},
        AKI_STACK: {seed: grown_arm(run, cfg, AKI_STACK, source, seed, AKI()) for seed, source in small.items()},
    }
    arms[TWO_STAGE] = {first: two_stage_arm(run, cfg, arms[AKI_STACK][first], first)}
    if cfg.uneven is not None:
        sources = {seed: run.train(source_stage(cfg, f"uneven/{seed}", cfg.uneven, seed)) for seed in cfg.seeds}
        ways = {UNEVEN_FPI: FPI(), UNEVEN_AKI: AKI()} | ({UNEVEN_EXACT: LEMON()} if cfg.decoder else {})
        for label, width in ways.items():
            arms[label] = {seed: grown_arm(run, cfg, label, source, seed, width) for seed, source in sources.items()}
    return report(cfg, arms)


# --- stages ---


def model(cfg: Config, size: Size) -> Transformer:
    """BERT: an encoder, post-norm. GPT: a decoder, pre-norm. Both with the token table as head."""
    return Transformer(
        vocab=cfg.vocab, embed=size.embed, layers=size.layers, heads=size.heads, mlp=size.mlp, length=cfg.length,
        causal=cfg.decoder, norm_position="pre" if cfg.decoder else "post", tied=True, scan=cfg.scan,
    )  # fmt: skip


def source_stage(cfg: Config, name: str, size: Size, seed: int) -> Stage:
    """Pre-training of a small model by the recipe of the large one."""
    return replace(target_stage(cfg, name, seed), model=model(cfg, size), steps=cfg.small_steps)


def target_stage(cfg: Config, name: str, seed: int) -> Stage:
    """Pre-training of the large model: the recipe, and for a seed the order of data, that all arms share."""
    text = CausalText if cfg.decoder else MaskedText
    data = text(source=cfg.source, tokenizer=BPE(cfg.vocab), batch=cfg.batch, length=cfg.length, seed=seed)
    held_out = replace(data, seed=0).held_out(cfg.evaluate_batches)
    return Stage(
        name=name,
        model=model(cfg, cfg.large),
        objective=causal_lm if cfg.decoder else masked_lm,
        optimizer=adamw(peak=cfg.peak, warmup=cfg.warmup, decay="linear", weight_decay=cfg.weight_decay),
        data=data,
        steps=cfg.steps,
        evaluate=Evaluation(held_out, cfg.evaluate_batches, cfg.evaluate_every),
        seed=seed,
        save_every=cfg.save_every,
    )


# --- arms ---


def grown_arm(run: Any, cfg: Config, label: str, source: Any, seed: int, width: Operator, depth: Operator = UP) -> Arm:
    """Widen all layers of the source, stack them (sections 3.2 and 3.3 of the paper), train by the target's recipe."""
    name, wide = f"{slug(label)}/{seed}", model(cfg, replace(cfg.large, layers=source.model.layers))
    widened = run.grow(f"{name}/wide", source, to=wide, operator=width)
    deep = replace(widened.model, layers=cfg.large.layers)  # with the norm eps that exact growth has changed
    start = run.grow(f"{name}/start", widened, to=deep, operator=depth)
    trained = run.train(replace(target_stage(cfg, name, seed), model=start.model), start)
    return Arm(label, (widened, start, trained), charged=(source,))


def two_stage_arm(run: Any, cfg: Config, aki: Arm, seed: int) -> Arm:
    """From the start of AKI + stack: sub-models (section 3.4 of the paper), then the whole model."""
    *starts, _ = aki.results
    steps = max(1, round(cfg.sub_share * cfg.steps))
    bottom = run.train(sub_model_stage(cfg, f"two-stage/{seed}/sub-models", steps, seed), starts[-1])
    whole = replace(target_stage(cfg, f"two-stage/{seed}", seed), steps=cfg.steps - steps)
    trained = run.train(replace(whole, handover=Handover(data="carry")), bottom)
    return Arm(TWO_STAGE, (*starts, bottom, trained), charged=aki.charged)


def stackbert_arm(run: Any, cfg: Config, seed: int) -> Arm:
    """StackBERT: train a quarter of the layers, double them by copying, train, double, train. No source."""
    depths, results = quarters(cfg.large.layers), []
    for depth, steps in zip(depths, shares(cfg.steps, cfg.stack_shares[-len(depths) :]), strict=True):
        stage = replace(target_stage(cfg, f"stackbert/{seed}/{depth}-layers", seed), steps=steps)
        results += deepened(run, replace(stage, model=replace(stage.model, layers=depth)), results)
    return Arm(STACKBERT, tuple(results))


def mslt_arm(run: Any, cfg: Config, seed: int) -> Arm:
    """MSLT: add copies of the top layers, train only them and the head; at the end train all."""
    depths, results = quarters(cfg.large.layers), []
    *deepening, last = shares(cfg.steps, cfg.mslt_shares[-len(depths) - 1 :])
    for below, depth, steps in zip([0, *depths], depths, deepening, strict=False):
        stage = replace(target_stage(cfg, f"mslt/{seed}/{depth}-layers", seed), steps=steps)
        stage = replace(stage, model=replace(stage.model, layers=depth))
        if below:
            objective = partial(stage.objective, stop_below=below)
            stage = replace(stage, objective=objective, trainable=TopLayers(depth - below))
        results += deepened(run, stage, results)
    whole = replace(target_stage(cfg, f"mslt/{seed}/all", seed), steps=last, handover=Handover(data="carry"))
    return Arm(MSLT, (*results, run.train(whole, results[-1])))


def deepened(run: Any, stage: Stage, before: list[Any]) -> list[Any]:
    """A stage on copies of the layers that the stages before it trained, and on the data that follow theirs."""
    if not before:
        return [run.train(stage)]
    start = run.grow(f"{stage.name}/start", before[-1], to=stage.model, operator=Deepen(stack_modulo))
    return [start, run.train(replace(stage, handover=Handover(data="carry")), start)]


def quarters(layers: int) -> list[int]:
    """A quarter, half and all of the layers, as far as they differ."""
    return sorted({max(1, layers // 4), max(1, layers // 2), layers})


def shares(steps: int, parts: tuple[float, ...]) -> list[int]:
    """Steps divided in proportion, all of them used."""
    ends = np.round(np.cumsum(parts) / np.sum(parts) * steps).astype(int)
    return np.diff(ends, prepend=0).tolist()


# --- training of the top layers, and of sub-models ---


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
        branches = [partial(self._train, part, depth) for depth in self.depths]
        return jax.lax.switch(self.depth_index(state.step), branches, state, batch, jax.random.fold_in(key, state.step))

    def _train(self, part: Part, depth: int, state: TrainState, batch: Any, key: jax.Array) -> Any:
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
        shown = {"loss": metrics["loss"][0] / metrics["loss"][1], "depth": jnp.float32(depth)}
        return TrainState(state.step + 1, params, rest, opt_state, state.ema), shown

    def _chosen(self, part: Part, depth: int) -> Any:
        """The top rows of the sub-model and the head; of the lowest sub-model also what lies under its layers."""

        def one(path: Any, axes: Axes) -> Selected:
            if "layers" not in axes.names:
                return depth == self.layers or is_head(str(path[0].key))
            return self.layers == part.config.layers or slice(depth - self.layers, depth)

        return jax.tree_util.tree_map_with_path(one, part.axes, is_leaf=lambda x: isinstance(x, Axes))


def drawn_flops(step: SubModelStep, flops: tuple[int, ...], steps: np.ndarray) -> np.ndarray:
    """FLOPs of steps, by the depths that they draw."""
    return np.asarray(flops)[np.asarray(jax.jit(jax.vmap(step.depth_index))(steps))]


def sub_model_stage(cfg: Config, name: str, steps: int, seed: int) -> Stage:
    """The first of the two stages, charged for the depths that it will draw; its evaluation is of the whole model."""
    depths = tuple(range(cfg.sub_layers, cfg.large.layers + 1, cfg.sub_layers))
    step = SubModelStep(depths, cfg.sub_layers, seed)
    stage = replace(target_stage(cfg, name, seed), steps=steps, step=step)
    alone = (replace(stage, step=replace(step, depths=(depth,))) for depth in depths)
    return replace(stage, step_flops=partial(drawn_flops, step, tuple(map(step_flops, alone))))


def _rows(leaf: Any, chosen: Selected) -> Any:
    return (leaf if chosen else None) if isinstance(chosen, bool) else leaf[chosen]


def _put(leaf: Any, chosen: Selected, new: Any) -> Any:
    return (new if chosen else leaf) if isinstance(chosen, bool) else leaf.at[chosen].set(new)


# --- report ---


QUOTED = {  # savings of BERT_BASE
    COPY: "12.2%*", MSLT: "10.7%*", STACKBERT: "24.3%*", FPI_STACK: "30.4%", AKI_STACK: "38.4%", TWO_STAGE: "45.2%",
}  # fmt: skip


def report(cfg: Config, arms: dict[str, dict[int, Arm]]) -> Report:
    """Savings in FLOPs without and with the source, what widening alone does, and the claims judged on them."""

    def savings(label: str, with_source: bool = False) -> list[float]:
        return [saving(arm, arms[SCRATCH][seed], with_source=with_source) for seed, arm in arms[label].items()]

    paper = {TWO_STAGE: "47%"} if cfg.decoder else QUOTED
    saved = Table(
        "Saving in FLOPs at the final loss of scratch",
        ("arm", "paper", "without source", "+/-", "with source", "+/-", "seeds"),
        tuple(
            (label, paper.get(label, ""), *spread(savings(label)), *spread(savings(label, True)), len(arms[label]))
            for label in list(arms)[1:]
        ),
        ("", "", ".1%", ".1%", ".1%", ".1%", ""),
        note="Each seed against scratch of the same seed; +/- is the standard deviation over seeds. The paper leaves "
        "out the cost of the source. * quoted from memory in our notes, not confirmed.",
    )
    wide = {label: widening(own) for label, own in arms.items() if label in WIDENED}
    widened = Table(
        "What widening alone does to the source",
        ("arm", "width", "loss of the source", "after widening", "largest change of a logit"),
        tuple((label, f"{old} -> {new}", *measured) for label, (old, new, *measured) in wide.items()),
        ("", "", ".4f", ".4f", ".1e"),
        note="Means over seeds. The paper, by FPI: 1.89 -> 1.89 from 384 to 768, 1.67 -> 1.70 from 512 to 768.",
    )
    return replace(EXPERIMENT, title=f"{EXPERIMENT.title}: {'GPT' if cfg.decoder else 'BERT'}").report(
        claims({label: float(np.mean(savings(label))) for label in arms}, wide, paper[TWO_STAGE]),
        link="https://arxiv.org/abs/2110.07143",
        arms=by_seed(arms, SCRATCH),
        tables=(saved, widened),
        baseline=SCRATCH,
        seeds=cfg.seeds,
        notes=(
            "FLOPs are those of matrix products, forward and backward; evaluation is free. How they are divided among "
            "MSLT's stages is ours.",
            "The new units of FPI and AKI are the old ones in order (i modulo the old width), so that of whole "
            "multiples all have equally many copies; drawn at random, as in the paper's text, they would not.",
            "Exact width is LEMON: what is no whole copy of the stream is its mean, which LayerNorm takes away again. "
            "Post-norm models such as BERT do not allow it at uneven widths, so the arm is of GPT alone.",
            "The learning rate is one for scratch, sources and all arms and was not searched. DirectCopy and the two- "
            "stage arm have one seed, others three, and orders are those of means.",
            "Masked tokens have an entropy of 5.31 nats by themselves: BERT from scratch ends 0.1 to 0.2 below it, so "
            "that savings are of the beginning of training.",
        ),
    )


def widening(arms: dict[int, Arm]) -> tuple[int, int, float, float, float]:
    """Widths, mean losses before and after, and the largest change of a logit; NaN in a plan."""
    receipts = [arm.results[0].receipt for arm in arms.values()]
    old, new = (receipts[0][key]["embed"] for key in ("sizes_before", "sizes_after"))
    keys = ("loss_before", "loss_after", "logit_change")
    before, after, change = np.array([[receipt[key] for key in keys] for receipt in receipts], float).T
    return old, new, float(before.mean()), float(after.mean()), float(change.max())


def claims(saved: dict[str, float], wide: dict[str, Any], paper: str) -> tuple[Claim, ...]:
    """The paper's claims, judged on means over seeds, without the cost of the source."""

    def shown(*labels: str) -> str | None:
        parts = [f"{label} {cell(saved[label], '.1%')}" for label in labels]
        return None if np.isnan(saved[labels[0]]) else ", ".join(parts)

    # fmt: off
    found = [claim(
        "AKI + stack + two-stage reaches scratch's final loss with fewer FLOPs, the source's cost left out",
        paper=paper, measured=saved[TWO_STAGE], unit="%", margin="at least 20%", holds=saved[TWO_STAGE] >= 0.2,
    ), claim(
        "AKI saves at least as much as FPI, and FPI more than DirectCopy",
        paper="38.4%, 30.4%, 12.2%* (BERT)", measured=shown(AKI_STACK, FPI_STACK, COPY),
        margin="in this order of means", holds=saved[AKI_STACK] >= saved[FPI_STACK] > saved[COPY],
    )]
    if UNEVEN_AKI in saved:
        found.append(claim(
            "From an uneven source, too, AKI saves at least as much as FPI, and FPI more than nothing",
            paper="38.4%, 30.4% (BERT)", measured=shown(UNEVEN_AKI, UNEVEN_FPI),
            margin="in this order of means", holds=saved[UNEVEN_AKI] >= saved[UNEVEN_FPI] > 0,
        ))
    for label, (old, new, before, after, change) in wide.items():
        pair, losses = f"{old} -> {new}", None if np.isnan(after) else f"{before:.3f} -> {after:.3f}"
        if label == UNEVEN_EXACT or (label == FPI_STACK and new % old == 0):
            found.append(claim(
                f"Widening {pair} by {'FPI' if new % old == 0 else 'LEMON'} keeps the function",
                paper="MLM loss 1.89 -> 1.89" if new % old == 0 else "not in the paper",
                measured=losses and f"{losses}, logits by {change:.0e}",
                margin="largest change of a logit below 1e-4", holds=change < 1e-4,
            ))
        elif label in (FPI_STACK, UNEVEN_FPI):
            found.append(claim(
                f"Widening {pair} by FPI, which is uneven, loses some of the function",
                paper="MLM loss 1.67 -> 1.70", measured=losses, margin="loss strictly higher", holds=after > before,
            ))
    # fmt: on
    return tuple(found)


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
