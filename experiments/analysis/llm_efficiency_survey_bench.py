"""LLM efficiency: the options of a survey measured on one model, and its two case studies in earnest.

Paper    Achieving Peak Performance for Large Language Models: A Systematic Review, IEEE Access 12, 2024, arXiv
         2409.04833 (dossier 019; its own tables were not read). SparseGPT (arXiv 2301.00774), QMoE (arXiv 2310.16795).
Claim    SparseGPT prunes half of the weights for next to nothing, magnitude pruning does not; 2:4 is worse. Ternary
         experts GPTQ-style are far better than rounded ones, at less than a bit a weight. The other options do as told.
Method   A decoder and a Switch-style mixture on the same text. A row of the taxonomy is a configuration of a stage:
         training (scan, bfloat16, accumulation, rematerialisation, optimizers, LoRA), inference (cache, 8 and 4 bits,
         speculative sampling), serving (static and continuous batching, length buckets); of each tokens/s, bytes and
         perplexity. Case study A: SparseGPT against magnitude; its mask alone and calibration on random tokens are
         controls. B: ternary experts and their entropy code; random tokens and no experts at all are controls.
Smaller  3 layers of width 64 for billions of parameters, one training run of each model. Not there: 8-bit Adam (optax
         has none), multi-query, beam search, prefix cache, packing, and shardings, of which a mesh is one run.
Run      stagejax run llm_efficiency_survey_bench                    laptop: about six minutes on two idle cores
         stagejax run llm_efficiency_survey_bench --preset smoke     three minutes, most of it compilation
         stagejax plan llm_efficiency_survey_bench --preset pod --mesh data=16,fsdp=16
Holds if (1) at 50 % SparseGPT adds at most half of the perplexity that magnitude pruning adds, (2) ternary experts
         GPTQ-style at most a third of what rounding adds (means over draws of calibration text); (3) a cache gives 3
         times the tokens/s at the whole length; (4) rematerialisation takes 30 % off the activations for at most 50 %
         more time a step; (5) 8 bits change the perplexity by less than 1 %; (6) 2:4 is worse than 50 % unstructured on
         every draw; (7) the ternary words take less than a bit a weight on every draw; (8) continuous batching serves
         more tokens/s than static in every repeat. Times are compared window by window in one process.
Ours     Three draws: all but (7) hold. Perplexity 35.55 becomes 35.97 ± 0.02 by SparseGPT, 36.44 by magnitude, 36.45 by
         SparseGPT's mask alone: here its feedback is all of its gain; on random tokens 36.12. 40 more steps take the
         lead away (36.15 and 36.20; the unpruned model they bring to 36.01). Ternary experts are hardly tried:
         GPTQ-style adds 0.00 ± 0.01 and rounding 0.57 of the 14.2 that no experts at all add. They take 1.61 bits a
         weight: 28 % are not 0 (entropy 1.13), and rows of 64 and 256 fill words badly (zeros alone take 0.69). The
         cache gives 20.6 times (nearly half of it padding that is read without), rematerialisation -70 % of bytes at
         +3 % of time, continuous batching 1.75 times. Slower here than without: bfloat16, drafts, 8 and 4 bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Handover, Precision, Stage
from stagejax.data import BPE, CausalText, Dataset, Source, Stdlib
from stagejax.data.published import C4, WIKIPEDIA
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference import Frozen, flops_of_one
from stagejax.inference.likelihood import held_out_loss, row_losses
from stagejax.inference.serving import serving
from stagejax.inference.serving.compressing import MaskOf, Solved, Uncalibrated, Zeros, compressed, kernels
from stagejax.inference.serving.token_rates import Rates, token_rates
from stagejax.models import Transformer, gpt
from stagejax.names import slug
from stagejax.objectives import causal_lm, with_experts
from stagejax.optimizer import adafactor, adamw
from stagejax.report import Arm, Claim, Report, Table, claim, shown
from stagejax.report.rates import ratio, step_table
from stagejax.steps.windows import matmul_peak, stage_windows
from stagejax.transforms import LoRA, Reparameterized, adapters
from stagejax.transforms.prune import Masked
from stagejax.transforms.quantize import Quantized, Uniform, rounded
from stagejax.transforms.sparsegpt import SemiStructured, Unstructured, magnitude
from stagejax.transforms.ternary import Ternary, symbol_rows, ternary
from stagejax.transforms.ternary_code import TernaryCode

BASE, TUNED, LORA, REMAT = "float32, scanned", "fine-tuned whole", "fine-tuned by LoRA", "rematerialised"
PLAIN, NO_CACHE, DRAFTED, EIGHT, FOUR = "cache", "no cache", "cache, speculative", "cache, 8 bits", "cache, 4 bits"
SPARSE, SPARSE24, MAGNITUDE, MAGNITUDE24 = "SparseGPT 50%", "SparseGPT 2:4", "magnitude 50%", "magnitude 2:4"
MASK, RANDOM, JOINT = "mask of SparseGPT 50% alone", "SparseGPT 50% on random tokens", "SparseGPT 50% + 4 bits"
GPTQ4, NEAREST4 = "GPTQ 4 bits", "nearest 4 bits"
TERNARY, NEAREST, TERNARY_RANDOM = "ternary, GPTQ-style", "ternary, nearest", "ternary, GPTQ-style on random tokens"
DENSE, NONE = "as trained", "experts taken out"
Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Size:
    """Sizes of a decoder."""

    layers: int
    embed: int
    heads: int
    mlp: int  # of the feed-forward network, or of each expert


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    source: Source = field(default_factory=lambda: Dataset("wikitext2"))
    target: Source = field(default_factory=lambda: Stdlib(limit=1_000_000))  # of the fine-tuned rows
    vocab: int = 512
    length: int = 128
    dense: Size = Size(layers=3, embed=64, heads=2, mlp=256)
    mixture: Size = Size(layers=3, embed=64, heads=2, mlp=256)
    draft: Size = Size(layers=1, embed=32, heads=1, mlp=64)
    experts: int = 8
    capacity: float = 1.25  # in training; at work no token is dropped
    balance: float = 0.01  # weight of the load-balance loss
    batch: int = 16
    steps: int = 700  # of the dense model
    mixture_steps: int = 400
    draft_steps: int = 200
    peak: float = 4e-3  # learning rate of all that starts from scratch
    tuned_peak: float = 1e-3  # of all that starts from the trained model
    evaluate_batches: int = 8
    row_batch: int = 8
    row_steps: int = 30
    row_every: int = 10  # steps between evaluations, for the time to a perplexity
    row_evaluated: int = 2  # batches
    accumulate: int = 4
    rank: int = 8  # of LoRA
    windows: int = 5
    each: int = 3  # steps in a window
    calibration: tuple[int, int] = (4, 16)  # batches of text, and rows in each
    sparsity: float = 0.5
    group: int = 32  # inputs that share a scale of 4 bits
    damping: float = 0.01  # of SparseGPT and GPTQ
    expert_damping: float = 0.1  # QMoE's
    least: int = 64  # tokens below which an expert is rounded
    code: TernaryCode = field(default_factory=TernaryCode)
    recover: int = 40  # steps behind pruning
    prompts: int = 8
    prompt: int = 16
    block: int = 4  # drafted tokens
    requests: int = 64
    slots: int = 8
    asked: tuple[int, float, int] = (4, 24.0, 96)  # least, mean and most tokens
    load: float = 0.9  # requested tokens over what full slots give
    seeds: tuple[int, ...] = (0, 1, 2)  # draws of calibration text
    save_every: int | None = None  # steps; None: every minute


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the scale of the case studies' papers."""
    laptop = Config()
    if name == "smoke":
        tiny = Size(layers=2, embed=32, heads=2, mlp=64)
        return replace(
            laptop, source=Stdlib(limit=300_000), target=Stdlib(limit=200_000), vocab=300, length=32, dense=tiny,
            mixture=tiny, draft=Size(layers=1, embed=16, heads=1, mlp=32), experts=3, batch=8, steps=120,
            mixture_steps=80, draft_steps=40, evaluate_batches=2, row_batch=16, row_steps=4, row_every=2, accumulate=2,
            rank=2, windows=2, each=1, calibration=(2, 8), group=16, least=16, code=TernaryCode(bits=10), recover=5,
            prompts=2, prompt=4, block=2, requests=6, slots=2, asked=(2, 6.0, 16), seeds=(0, 1),
        )  # fmt: skip
    if name == "pod":
        return replace(
            laptop, source=C4, target=WIKIPEDIA, vocab=32_128, length=2048,
            dense=Size(layers=24, embed=2048, heads=16, mlp=8192),  # 1.3B
            mixture=Size(layers=12, embed=768, heads=12, mlp=3072), experts=128,  # 7.3B, Switch-base-128's
            draft=Size(layers=12, embed=768, heads=12, mlp=3072), batch=512, steps=20_000, mixture_steps=20_000,
            draft_steps=10_000, peak=3e-4, tuned_peak=1e-5, row_batch=512, row_steps=100, accumulate=2, each=5,
            calibration=(16, 8), group=128, recover=1_000, prompts=32, prompt=128, requests=4_096, slots=64,
            asked=(16, 256.0, 1_800), save_every=500,
        )  # fmt: skip
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """Three models, the rows of the survey's table, and the two case studies."""
    reference = run.train(stage(cfg, "reference", decoder(cfg, cfg.dense), cfg.steps))
    draft = run.train(stage(cfg, "draft", decoder(cfg, cfg.draft), cfg.draft_steps))
    mixture = run.train(stage(cfg, "mixture", experts(cfg), cfg.mixture_steps))
    adapted = Reparameterized(reference.model, LoRA(cfg.rank))
    starts = {TUNED: reference, LORA: run.transform("lora/start", adapted.adapt, reference, to=adapted)}
    rows = training_rows(cfg, adapted)
    trained = {label: run.train(own, starts.get(label)) for label, own in rows.items()}
    timed = run.make("timed/training", stage_windows, rows, cfg.windows, cfg.each)
    peak = run.make("timed/peak", matmul_peak)
    small = {label: Reparameterized(reference.model, form) for label, form in
             {EIGHT: Quantized(8), FOUR: Quantized(4, cfg.group)}.items()}  # fmt: skip
    lighter = [run.transform(slug(label), to.adapt, reference, to=to) for label, to in small.items()]
    drawn = run.make("timed/inference", inference_rows, reference, draft, *lighter, cfg)
    served = run.make("timed/serving", serving_rows, reference, cfg)
    pruned = studied(run, cfg, "pruned", reference, methods(cfg))
    rounded_ = studied(run, cfg, "ternary", mixture, expert_methods(cfg))
    recovered = {DENSE: run.train(recovery(cfg, DENSE, reference.model), reference)}
    for label in (SPARSE, MAGNITUDE):
        to = Reparameterized(reference.model, Masked())
        start = run.transform(f"masked/{slug(label)}", Zeros.of(pruned[label][0], to), reference, to=to)
        recovered[label] = run.train(recovery(cfg, label, to), start)
    return report(cfg, (reference, draft, mixture), trained, recovered, pruned | rounded_,
                  tuple(each.value for each in (timed, peak, drawn, served)))  # fmt: skip


# --- models and stages ---


def decoder(cfg: Config, size: Size, **fields: Any) -> Transformer:
    """A pre-norm decoder with learned positions."""
    own = {name: getattr(size, name) for name in ("layers", "embed", "heads", "mlp")}
    return gpt(vocab=cfg.vocab, length=cfg.length, **{"scan": True, **own, **fields})


def experts(cfg: Config, **fields: Any) -> Transformer:
    """The same with Switch's experts in every layer: each token chooses one."""
    switch = {"experts": cfg.experts, "top_k": 1, "routing": "softmax_topk", "capacity": cfg.capacity}
    return decoder(cfg, cfg.mixture, **(switch | fields))


def text(cfg: Config, source: Source, batch: int, seed: int = 0) -> CausalText:
    """Rows of running text, in the ids that were learned from the source."""
    tokenizer = LearnedFrom(BPE(cfg.vocab), cfg.source)
    return CausalText(source=source, tokenizer=tokenizer, batch=batch, length=cfg.length, seed=seed)


def stage(cfg: Config, name: str, model: Any, steps: int, **fields: Any) -> Stage:
    """Training from scratch on the source, unless `fields` say otherwise."""
    data = fields.pop("data", text(cfg, cfg.source, cfg.batch))
    routed = isinstance(model, Transformer) and model.experts
    every = fields.pop("every", None)
    batches = cfg.evaluate_batches if every is None else cfg.row_evaluated
    given = {
        "objective": partial(with_experts, causal_lm, balance=cfg.balance) if routed else causal_lm,
        "optimizer": adamw(cfg.peak, warmup=0.1, clip=1.0, b2=0.95), "save_every": cfg.save_every,
        "evaluate": Evaluation(replace(data, batch=cfg.batch).held_out(batches), batches, every, causal_lm),
    }  # fmt: skip
    return Stage(name=name, model=model, data=data, steps=steps, **(given | fields))


def training_rows(cfg: Config, adapted: Reparameterized) -> dict[str, Stage]:
    """The training options: each a configuration of the same short stage, from scratch or from the trained model."""
    base = stage(cfg, "rows/base", decoder(cfg, cfg.dense), cfg.row_steps, every=cfg.row_every,
                 data=text(cfg, cfg.source, cfg.row_batch))  # fmt: skip
    tuned = stage(cfg, "rows/tuned", base.model, cfg.row_steps, every=cfg.row_every, handover=Handover(data="reset"),
                  optimizer=adamw(cfg.tuned_peak, warmup=0.1, clip=1.0, b2=0.95),
                  data=text(cfg, cfg.target, cfg.row_batch))  # fmt: skip
    rows = {
        BASE: base,
        "unrolled": replace(base, model=replace(base.model, scan=False)),
        "bfloat16": replace(base, precision=Precision(compute="bfloat16")),
        f"accumulated over {cfg.accumulate}": replace(base, accumulate=cfg.accumulate),
        REMAT: replace(base, model=replace(base.model, remat="full")),
        "rematerialised, products kept": replace(base, model=replace(base.model, remat="dots")),
        "Adafactor": replace(base, optimizer=adafactor(cfg.peak, warmup=0.1, clip=1.0, factored_from=32)),
        TUNED: tuned,
        LORA: replace(tuned, model=adapted, trainable=adapters,
                      optimizer=replace(tuned.optimizer, peak=4 * cfg.tuned_peak)),
    }  # fmt: skip
    return {label: replace(own, name=f"rows/{slug(label)}") for label, own in rows.items()}


def recovery(cfg: Config, label: str, model: Any) -> Stage:
    """More training on the source: of a pruned model between its zeros, or of the whole one."""
    optimizer = adamw(cfg.tuned_peak, warmup=0.1, clip=1.0, b2=0.95, weight_decay=0.0)
    return stage(cfg, f"recovered/{slug(label)}", model, cfg.recover, optimizer=optimizer)


# --- case studies ---


def methods(cfg: Config) -> dict[str, Any]:
    """How the dense model is pruned or rounded; those that need no text have one draw."""
    half, grid = Unstructured(cfg.sparsity), Uniform(4, cfg.group)
    return {
        SPARSE: Solved(half, cfg.damping), SPARSE24: Solved(SemiStructured(2, 4), cfg.damping),
        MASK: MaskOf(Solved(half, cfg.damping)), RANDOM: Solved(half, cfg.damping),
        MAGNITUDE: Uncalibrated(partial(magnitude, choice=half)),
        MAGNITUDE24: Uncalibrated(partial(magnitude, choice=SemiStructured(2, 4))),
        JOINT: Solved(Unstructured(cfg.sparsity, grid), cfg.damping), GPTQ4: Solved(grid, cfg.damping),
        NEAREST4: Uncalibrated(partial(rounded, grid=grid)),
    }  # fmt: skip


def expert_methods(cfg: Config) -> dict[str, Any]:
    """How the experts are made ternary; and what they are worth at all, by zeros in place of their weights."""
    solved = Solved(Ternary(), cfg.expert_damping, cfg.least)
    return {TERNARY: solved, TERNARY_RANDOM: solved, NEAREST: Uncalibrated(ternary), NONE: Uncalibrated(jnp.zeros_like)}


def studied(run: Any, cfg: Config, study: str, trained: Any, by: dict[str, Any]) -> dict[str, list[Any]]:
    """Every method on every draw of text; and the model as it was."""
    row, unread = text(cfg, cfg.source, 1).sample_spec(), (RANDOM, TERNARY_RANDOM)
    flops = 5.0 * np.prod(cfg.calibration).item() * flops_of_one(row_losses, working(trained.model), row)
    found = {f"{DENSE}, {study}": [run.make(f"{study}/dense", compress, trained, None, 0, False, cfg)]}
    for label, method in by.items():
        draws, free = cfg.seeds, isinstance(method, Uncalibrated)
        found[label] = [
            run.make(f"{study}/{slug(label)}/{draw}", compress, trained, method, draw, label in unread, cfg,
                     flops=0.0 if free else flops)
            for draw in (draws[:1] if free else draws)
        ]  # fmt: skip
    return found


def working(model: Transformer) -> Transformer:
    """The model as it is used: its experts drop no token."""
    return replace(model, capacity=None, dispatch="dense") if model.experts else model


def compress(trained: Any, method: Any, draw: int, at_random: bool, cfg: Config) -> dict[str, np.ndarray]:
    """Kernels, held-out loss, mean layer error, share of zeros; of ternary experts also what their code takes."""
    net = Frozen.of(trained)
    net = Frozen(working(net.config), net.params, net.rest)
    routed, found = bool(net.config.experts), {}
    if method is not None:
        numbers = np.arange(np.prod(cfg.calibration))
        tokens = text(cfg, cfg.source, cfg.batch, seed=1_000 + draw).take(numbers)["tokens"]
        if at_random:
            tokens = np.random.default_rng(draw).integers(0, cfg.vocab, tokens.shape).astype(np.int32)
        made = compressed(net, tokens.reshape(*cfg.calibration, -1), method)
        net, found = made.net, {"error": np.array(made.error), "least": np.array(made.counts.min())}
        own = kernels(net.params, routed)
        found["zeros"] = np.array(np.mean(np.concatenate([kernel.ravel() for kernel in own.values()]) == 0))
        found |= cfg.code.bits_a_weight([symbol_rows(kernel) for kernel in own.values()]) if routed else own
    held_out = text(cfg, cfg.source, cfg.batch).held_out(cfg.evaluate_batches)
    loss = held_out_loss(net, held_out, batch=cfg.calibration[1])
    return found | {"loss": np.array(loss)}


# --- rows of inference and serving ---


def prompts(cfg: Config, rows: int) -> np.ndarray:
    """Beginnings of held-out text."""
    return text(cfg, cfg.source.of_split("test"), rows, seed=7).take(np.arange(rows))["tokens"][:, : cfg.prompt]


def inference_rows(reference: Any, draft: Any, eight: Any, four: Any, cfg: Config) -> dict[str, Any]:
    """Tokens drawn in turn by all rows, and each one's held-out loss."""
    whole, small, *few = map(Frozen.of, (reference, draft, eight, four))
    rows = {PLAIN: ("cached", (whole,)), NO_CACHE: ("recomputed", (whole,)), DRAFTED: ("drafted", (whole, small))}
    rows |= {label: ("cached", (net,)) for label, net in zip((EIGHT, FOUR), few, strict=True)}
    found = token_rates(rows, prompts(cfg, cfg.prompts), Rates(cfg.length, cfg.block, cfg.windows))
    held_out = text(cfg, cfg.source, cfg.batch).held_out(cfg.evaluate_batches)
    losses = {id(net): held_out_loss(net, held_out, batch=cfg.calibration[1]) for net in (whole, *few)}
    return {label: own | {"loss": losses[id(rows[label][1][0])]} for label, own in found.items()}


def serving_rows(reference: Any, cfg: Config) -> dict[str, Any]:
    """The same requests served in three ways, in turn."""
    least, mean, most = cfg.asked
    asked = serving.poisson_requests(prompts(cfg, cfg.requests), least, mean, most, seed=0)
    engine = serving.Engine(Frozen.of(reference), cfg.slots, cfg.length)
    return serving.in_turn(engine, asked, cfg.load, cfg.windows)


# --- report ---


def report(cfg: Config, models: Any, trained: Any, recovered: Any, studies: Any, measured: Any) -> Report:
    """The rows as tables, the case studies, and the claims; `measured` holds None in a plan."""
    known = all(value is not None for value in measured)
    reference = models[0]
    arms = [Arm(result.name, (result,)) for result in models]
    arms += [Arm(label, (own,), charged=(reference,) * (label in (TUNED, LORA))) for label, own in trained.items()]
    for label, own in recovered.items():
        charged = (reference, studies[label][0]) if label != DENSE else (reference,)
        arms.append(Arm(f"{label}, trained on", (own,), charged=charged))
    values = {label: np.array([np.exp(float(each.value["loss"])) for each in own]) for label, own in studies.items()
              if known}  # fmt: skip
    verdicts = judged(studies, values, measured) if known else ((None, None),) * len(STATEMENTS)
    return EXPERIMENT.report(
        claims(verdicts), arms=tuple(arms), baseline="reference", seeds=cfg.seeds, notes=NOTES,
        tables=tables(cfg, trained, recovered, studies, values, measured) if known else (),
        link="https://arxiv.org/abs/2409.04833",
    )  # fmt: skip


STATEMENTS = (
    ("At 50 % SparseGPT adds at most half of what magnitude pruning adds", "nearly nothing", "mean at most 1/2"),
    (
        "Ternary experts GPTQ-style add at most a third of what nearest adds",
        "far better",
        "mean over draws at most 1/3",
    ),
    ("A cache gives three times the tokens/s at the whole length", "a pass a token", "median over windows at least 3"),
    ("Rematerialisation: fewer activations", "about a forward pass more", "-30 % of bytes, at most 50 % more time"),
    ("Eight-bit weights hardly change the perplexity", "nearly lossless", "less than 1 %"),
    ("2:4 is worse than 50 % unstructured, both by SparseGPT", "worse", "on every draw"),
    ("Ternary experts take less than a bit a weight", "0.8 bits", "words alone, on every draw"),
    ("Continuous batching serves more tokens/s that were asked for than static", "more", "in every repeat"),
)


def claims(verdicts: Any) -> tuple[Claim, ...]:
    """The statements with what was measured and whether it holds."""
    return tuple(
        claim(what, paper=paper, measured=said, margin=margin, holds=None if holds is None else bool(holds))
        for (what, paper, margin), (said, holds) in zip(STATEMENTS, verdicts, strict=True)
    )


def judged(studies: Any, values: Values, measured: Any) -> tuple[tuple[str | None, Any], ...]:
    """By the rules of the docstring."""
    timed, _, drawn, served = measured
    added = {label: own - values[f"{DENSE}, pruned"] for label, own in values.items()}
    half = added[SPARSE].mean() / added[MAGNITUDE].mean()
    more = values[TERNARY] - values[f"{DENSE}, ternary"]
    third = more.mean() / (values[NEAREST] - values[f"{DENSE}, ternary"]).mean()
    faster = ratio(drawn[NO_CACHE]["seconds"], drawn[PLAIN]["seconds"])
    remade = ratio(timed[REMAT]["seconds"], timed[BASE]["seconds"])
    bytes_, slower = timed[REMAT]["temporary"] / timed[BASE]["temporary"] - 1, remade - 1
    change = np.exp(drawn[EIGHT]["loss"] - drawn[PLAIN]["loss"]) - 1
    worse, bits = values[SPARSE24] - values[SPARSE], of_draws(studies[TERNARY], "bits")
    gain = np.array(served["continuous"])[:, 0] / np.array(served["static"])[:, 0]
    return (
        (f"{half:.2f} of it: {shown(added[SPARSE], '+.2f')} against {shown(added[MAGNITUDE], '+.2f')}", half <= 0.5),
        (f"{third:.2f} of it: {shown(more, '+.2f')}", third <= 1 / 3),
        (f"{faster:.1f} times", faster >= 3),
        (f"bytes {bytes_:+.0%}, time {slower:+.0%}", bytes_ <= -0.3 and slower <= 0.5),
        (f"{change:+.2%}", abs(change) < 0.01),
        (shown(worse, "+.2f"), bool((worse > 0).all())),
        (shown(bits), bool((bits < 1).all())),
        (f"{np.median(gain):.2f} times, {gain.min():.2f} to {gain.max():.2f}", bool((gain > 1).all())),
    )


def of_draws(own: list[Any], name: str) -> np.ndarray:
    """A number of each draw; NaN where a method has none."""
    return np.array([float(each.value.get(name, np.nan)) for each in own])


def tables(cfg: Config, trained: Any, recovered: Any, studies: Any, values: Values, measured: Any) -> tuple[Table, ...]:
    """One table for each class of the survey, one for each case study."""
    timed, peak, drawn, served = measured
    evals = {label: own.history.evals for label, own in trained.items()}
    against, tokens = {own: TUNED if own in (TUNED, LORA) else BASE for own in timed}, cfg.row_batch * cfg.length
    drawing = [
        (label, float(np.exp(own["loss"])), own["tokens"] / float(np.median(own["seconds"])),
         ratio(drawn[NO_CACHE]["seconds"], own["seconds"]), own["stored"], own["temporary"],
         own["accepted"] / own["judged"] if "judged" in own else None)
        for label, own in drawn.items()
    ]  # fmt: skip
    middle = {filling: np.median(own, axis=0) for filling, own in served.items()}
    serving_ = [(filling, *own[:2].tolist(), *(1000 * own[2:]).tolist()) for filling, own in middle.items()]

    def studied_rows(study: str, names: Any, extra: tuple[str, ...]) -> tuple[tuple[Any, ...], ...]:
        dense = values[f"{DENSE}, {study}"]
        return tuple(
            (label, shown(values[label], ".2f"), shown(values[label] - dense, "+.2f"),
             *(shown(of_draws(studies[label], name), ".1%" if name == "zeros" else ".3f") for name in extra))
            for label in names
        )  # fmt: skip

    return (
        step_table(
            "Training: equal tokens, steps timed in turn", timed, evals, against, tokens=tokens, peak=peak,
            note=f"After {cfg.row_steps} steps of {tokens} tokens; the fine-tuned rows start from the reference, on "
            "other text, and are measured against the first of them. Time of a step: median ratio over windows. "
            "Utilisation: FLOPs of the program as the ledger counts them, recomputation among them, over those of a "
            "product of matrices in the same process. Bytes; activations and gradients by XLA's plan of the memory.",
        ),
        Table(
            "Inference: rows drawn in turn", ("row", "perplexity", "tokens/s", "times no cache", "weights", "temporary",
            "drafts kept"), tuple(drawing), ("", ".2f", "si", ".2f", "si", "si", ".1%"),
            note=f"{cfg.prompts} rows filled from {cfg.prompt} to {cfg.length} tokens. No cache: the padded row is "
            "read anew for each token, on average twice as long as what is there. Bytes.",
        ),
        Table(
            "Serving: the same requests in every way", ("slots are filled", "tokens/s asked for", "occupancy",
            "first token, median", "first token, 95 %", "between tokens, median", "between tokens, 95 %"),
            tuple(serving_), ("", "si", ".1%", ".0f", ".0f", ".1f", ".1f"),
            note=f"{cfg.requests} requests, {cfg.slots} slots, Poisson arrivals at {cfg.load:.0%} of what full slots "
            f"give; medians over {cfg.windows} repeats. Milliseconds.",
        ),
        Table(
            "Case study A: pruned in one shot", ("method", "perplexity", "added", "layer error", "zeros"),
            studied_rows("pruned", (f"{DENSE}, pruned", *methods(cfg)), ("error", "zeros")),
            note="Mean ± standard deviation over draws of calibration text; what needs no text has one value. Layer "
            "error: relative, on what the method was calibrated on (random tokens too), mean over kernels.",
        ),
        Table(
            "Case study B: ternary experts", ("method", "perplexity", "added", "layer error", "zeros", "bits a weight",
            "with row data", "entropy"),
            studied_rows("ternary", (f"{DENSE}, ternary", *expert_methods(cfg)),
                         ("error", "zeros", "bits", "stored", "entropy")),
            note=f"Words of {cfg.code.bits} bits from a fixed dictionary, each row apart. Row data: minimum and "
            "maximum in 16 bits each and an offset in 32, much for rows as short as these.",
        ),
        Table(
            "Trained on between the zeros", ("start", "before", "after"),
            tuple((label, float(values[label if label in values else f"{DENSE}, pruned"][0]),
                   float(np.exp(own.history.evals[-1]["loss"]))) for label, own in recovered.items()),
            ("", ".2f", ".2f"), note=f"Perplexities; {cfg.recover} steps each, one draw.",
        ),
    )  # fmt: skip


NOTES = (
    "Each model was trained once; what repeats are draws of calibration text (quality) and windows (time). Times were "
    "measured on cores that other work shares: compare ratios in one table, not tokens/s between runs. The row without "
    "experts was added once the others were known; nothing else changed.",
    "Learning rates were not searched: one for all that starts from scratch, one for what starts from the trained "
    "model, four times that for LoRA. On a CPU bfloat16 is emulated.",
    "SparseGPT's release cuts at a threshold and may zero one entry more; here the share is exact. Masks and scales of "
    "a group come from the weights as they are when its turn comes. QMoE's damping (0.1) for experts, SparseGPT's "
    "(0.01) else. What reads the same is compressed together, and the rest of a block on what that gives.",
    "The mixture is trained with a capacity, and calibrated and scored without. Perplexities are of byte-level pieces "
    "of a small vocabulary, on the test split; calibration text is of the training split.",
)


EXPERIMENT = Experiment(
    name="llm_efficiency_survey_bench", title="LLM efficiency: options of a survey measured, its case studies redone",
    reference="Systematic review, IEEE Access 12, 2024, arXiv 2409.04833", paper=19, pipeline=pipeline, preset=preset,
)  # fmt: skip

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("llm_efficiency_survey_bench")
