"""UL2: one pre-training objective for all uses, a mixture of denoisers that tells the model by a token which one it is.

Paper    Tay et al., UL2: Unifying Language Learning Paradigms, 2022, arXiv 2205.05131 (dossier 083).
Claim    Pre-training on a mixture of regular (R), sequential (S) and extreme (X) denoisers, each named by a mode token,
         is better over all uses than span corruption (T5) and than prefix or causal language modelling, in an encoder-
         decoder and in a decoder; the token that suits the use is then put first, and a wrong one costs quality.
Method   Seven denoisers (mean span, rate): R (3, .15), (8, .15); S the last quarter; X (3, .5), (8, .5), (64, .15),
         (64, .5), each as often. Spans as T5 draws them: so many tokens, so many spans, random compositions of both.
         Arms: span corruption (3, .15); prefix LM, cut anywhere; causal LM; UL2; UL2 without mode tokens, without X,
         without S. In all of them a row is 128 tokens of text, the first input token is a mode or the same one for all
         rows, and the number of input and target tokens that are no padding is equal. Every arm is tested on every
         kind of denoising, held out, with each mode token and with none, and fine-tuned on text-to-text tasks.
Run      stagejax run ul2                          laptop: three arms, an encoder-decoder; 2 minutes on two cores
         stagejax run ul2 --preset full            all arms, and all of them in a decoder
         stagejax run ul2 --preset smoke           seconds
         stagejax plan ul2 --preset pod --mesh data=16,fsdp=16
Holds if UL2's mean relative gain over span corruption and over prefix LM, on all measures, is positive; UL2 is worst of
         no probe; and on S and X the right mode token has a loss lower by 1 % or more than the wrong ones.
Ours     Two seeds, encoder-decoder: UL2's mean gain is 13.2 % over span corruption and 6.9 % over prefix LM, and it is
         worst of no probe (both hold; each baseline is a stranger to the other's probes). A right token is 0.7 % lower
         on S and 0.3 % on X: does not hold. Fine-tuned on trec 48.4 +/- 14.6, prefix LM 51.4, span corruption 37.6. Two
         runs that rounded otherwise: 16.0 and 8.8 %, 11.7 and 7.6 %. `full` has not been run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.data import BPE, CLS, TFDS, Bytes, Data, Dataset, Source, Stdlib, Tokenizer
from stagejax.data.language.denoising import CAUSAL, MODES, PREFIX, T5, UL2, Denoiser, Denoising, Mode
from stagejax.data.language.docstrings import Docstrings
from stagejax.data.language.packed_pairs import PackedPairs
from stagejax.data.language.seq2seq import OneSequence, TextToText
from stagejax.data.published import C4
from stagejax.data.together import Together
from stagejax.inference.tasks.speaking import drawn_tokens, spoken
from stagejax.models import Transformer, llama
from stagejax.models.t5 import T5 as EncoderDecoder
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.language import exact_rows, seq2seq
from stagejax.objectives.loss import Metrics, cross_entropy, weighted
from stagejax.optimizer import adafactor
from stagejax.report import Arm, Report, Table, claim, mean, table_of_means

SC, PLM, CLM, FULL = "span corruption", "prefix LM", "causal LM", "UL2"
NO_TOKENS, NO_X, NO_S = "UL2, no mode tokens", "UL2 without X", "UL2 without S"
ARMS: dict[str, tuple[tuple[Denoiser, ...], bool]] = {  # denoisers, and whether rows name theirs
    SC: (T5, False),
    PLM: (PREFIX, False),
    CLM: (CAUSAL, False),
    FULL: (UL2, True),
    NO_TOKENS: (UL2, False),
    NO_X: (tuple(d for d in UL2 if d.mode != "X"), True),
    NO_S: (tuple(d for d in UL2 if d.mode != "S"), True),
}
MAIN, NONE = (SC, PLM, FULL), "none"


@dataclass(frozen=True)
class Study:
    """One network, and the arms that it is trained on."""

    name: str
    net: EncoderDecoder | Transformer  # its vocabulary is set by the data
    arms: tuple[str, ...] = MAIN
    seeds: tuple[int, ...] = (0,)
    batch: int = 8  # rows
    budget: float = 3e5  # tokens of inputs and targets, without padding
    packed: tuple[int, int] | None = None  # tokens of inputs and of targets in a row of several texts; None: of one


@dataclass(frozen=True)
class Task:
    """A text-to-text task to be fine-tuned on."""

    name: str
    source: Source
    measure: str  # `exact`, rows answered right, or `rouge1` of what is said
    inputs: int
    outputs: int
    fields: tuple[str, str] = ("text", "label")
    words: tuple[str, ...] | None = None  # of integer labels
    test: str = "test"  # split
    mode: Mode = "R"  # the token of arms that have some
    batch: int = 32
    steps: int = 60
    peak: float = 1e-2  # learning rate
    tested: int = 15  # batches


QUESTIONS = Task(
    "trec", Dataset("trec"), "exact", 40, 7,
    words=("description", "entity", "abbreviation", "human", "location", "number"),
)  # fmt: skip
FUNCTIONS = Task(
    "docstring", Docstrings(Stdlib(limit=8_000_000)), "rouge1", 96, 24, ("text", "summary"), mode="S", tested=4
)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    studies: tuple[Study, ...]  # the claims are judged on the first
    source: Source = field(default_factory=lambda: Together((Dataset("wikitext2"), Stdlib(limit=1_000_000))))
    tokenizer: Tokenizer = field(default_factory=lambda: BPE(2048))
    length: int | None = 128  # tokens in a row of text; None: as many as fit
    inputs: int = 128
    outputs: int = 128
    peak: float = 3e-2  # learning rate, relative to the size of a parameter
    probes: int = 40  # batches of held-out rows
    tasks: tuple[Task, ...] = (QUESTIONS,)
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, with more arms, or at the paper's scale."""
    net = EncoderDecoder(embed=64, heads=2, head_dim=32, mlp=256, encoder_layers=2, decoder_layers=2)
    decoder = llama(embed=64, heads=2, layers=4, mlp=256, tied=True)
    both, alone = Study("encoder-decoder", net, seeds=(0, 1)), Study("decoder", decoder, tuple(ARMS))
    if name == "smoke":
        small = replace(net, embed=16, heads=2, head_dim=8, mlp=32, encoder_layers=1, decoder_layers=1)
        alone = replace(alone, net=replace(decoder, embed=16, mlp=32, layers=1), arms=(SC, FULL))
        studies = tuple(replace(one, batch=8, budget=8e3) for one in (Study(both.name, small, tuple(ARMS)), alone))
        studies += (Study("packed", small, (FULL,), batch=4, budget=4e3, packed=(64, 48)),)
        task = replace(FUNCTIONS, source=Docstrings(Stdlib(limit=300_000)), steps=4, batch=4, tested=1)
        task = replace(task, inputs=32, outputs=16)
        return Config(studies, Stdlib(limit=300_000), Bytes(), 32, 32, 32, probes=4, tasks=(task,))
    if name == "full":
        rest = replace(both, arms=tuple(arm for arm in ARMS if arm not in MAIN), seeds=(0,))
        return Config((both, rest, alone), tasks=(QUESTIONS, FUNCTIONS))
    if name == "pod":
        how = {"activation": "swiglu", "tied": False, "scan": True, "remat": "full"}
        base = EncoderDecoder(embed=768, heads=12, head_dim=64, mlp=2048, encoder_layers=12, decoder_layers=12, **how)
        large = EncoderDecoder(
            embed=4096, heads=16, head_dim=256, mlp=16_384, encoder_layers=32, decoder_layers=32, **how
        )
        plain = llama(embed=768, heads=12, layers=24, mlp=2048, scan=True, remat="full")
        studies = (
            Study("base", base, tuple(ARMS), batch=256, budget=6.7e10, packed=(1024, 640)),  # mean of a text: 512, 288
            Study("base decoder", plain, tuple(ARMS), batch=256, budget=6.7e10),
            Study("20B", large, (FULL,), batch=512, budget=1e12, packed=(1024, 640)),
        )
        words, glue = ("negative", "positive"), TFDS("glue/sst2")
        task = Task("sst2", glue, "exact", 128, 8, ("sentence", "label"), words, "validation", "R", 256, 5000, 1e-3, 3)
        return Config(
            studies, C4, BPE(32_000), None, 512, 512, peak=1e-2, tasks=(task,),
            precision=Precision(compute="bfloat16"), save_every=10_000,
        )  # fmt: skip
    return Config((both,))


def pipeline(run: Any, cfg: Config) -> Report:
    """Every arm of every study, tested on all probes, and what it is worth for each task."""
    found: dict[tuple[str, str], list[Arm]] = {}
    for study in cfg.studies:
        for seed in study.seeds:
            for label in study.arms:
                at = f"{slug(study.name)}/{slug(label)}/{seed}"
                start = run.train(pretraining(cfg, study, label, at, seed))
                tuned = [one for t in cfg.tasks for one in tested(run, cfg, study, label, at, t, seed, start)]
                found.setdefault((study.name, label), []).append(Arm(label, (start,), tuple(tuned)))
    return report(cfg, found)


def tested(run: Any, cfg: Config, study: Study, label: str, at: str, task: Task, seed: int, start: Any) -> list[Any]:
    """An arm fine-tuned on a task and, where that is what is measured, what it then says."""
    stage = tuning(cfg, study, label, f"{at}/{task.name}", task, seed)
    net = run.train(stage, start)
    if task.measure == "exact":
        return [net]
    how = (net, stage.evaluate.data, task.outputs, cfg.tokenizer, cfg.source)
    return [net, run.make(f"{stage.name}/said", spoken, *how, sampled_tokens=drawn_tokens)]


def denoising(cfg: Config, study: Study, label: str, seed: int) -> Denoising:
    """The rows of an arm."""
    denoisers, mode_tokens = ARMS[label]
    return Denoising(
        source=cfg.source, tokenizer=cfg.tokenizer, batch=study.batch, inputs=cfg.inputs, outputs=cfg.outputs,
        length=cfg.length, denoisers=denoisers, mode_tokens=mode_tokens, seed=seed,
    )  # fmt: skip


def probing(cfg: Config, study: Study, label: str) -> Data:
    """Held-out rows of all seven denoisers, a third of each family; with the arm's own first token."""
    family = [sum(other.mode == one.mode for other in UL2) for one in UL2]
    data = replace(denoising(cfg, study, label, 0), denoisers=UL2, shares=tuple(1 / size for size in family))
    return shaped(study, label, data).held_out(cfg.probes)


def shaped(study: Study, label: str, data: Data) -> Data:
    """For an encoder and a decoder, or as one sequence, whose inputs see both ways but in a causal LM."""
    return data if isinstance(study.net, EncoderDecoder) else OneSequence(data=data, causal=label == CLM)


def pretraining(cfg: Config, study: Study, label: str, name: str, seed: int) -> Stage:
    """The recipe that all arms share: as many tokens, on data of their own, tested on the same probes."""
    data = denoising(cfg, study, label, seed)
    rows = shaped(study, label, data)
    if study.packed:
        inputs, outputs = study.packed
        rows = PackedPairs(data=data, batch=study.batch, inputs=inputs, outputs=outputs)
    return Stage(
        name=name,
        model=replace(study.net, vocab=data.vocab),
        objective=seq2seq if isinstance(study.net, EncoderDecoder) else causal_lm,
        optimizer=adafactor(cfg.peak, relative=True, warmup=0.1, decay="linear", clip=1.0),
        data=rows,
        steps=max(1, round(study.budget / rows.tokens)),
        evaluate=Evaluation(probing(cfg, study, label), cfg.probes, objective=Probes(firsts_of(data))),
        precision=cfg.precision,
        seed=seed,
        save_every=cfg.save_every,
    )


def tuning(cfg: Config, study: Study, label: str, name: str, task: Task, seed: int) -> Stage:
    """The same network on a task; arms with mode tokens put the task's first."""
    stage, own = pretraining(cfg, study, label, name, seed), denoising(cfg, study, label, seed)
    data = TextToText(
        source=task.source, tokenizer=cfg.tokenizer, learned_from=cfg.source, batch=task.batch, inputs=task.inputs,
        outputs=task.outputs, first=own.first(task.mode) if own.mode_tokens else CLS, fields=task.fields,
        words=task.words, seed=seed,
    )  # fmt: skip
    held = shaped(study, label, replace(data, seed=0)).held_out(task.tested, task.test)
    optimizer = replace(stage.optimizer, peak=task.peak)
    scored = Evaluation(held, task.tested, objective=answered)
    return replace(stage, optimizer=optimizer, data=shaped(study, label, data), steps=task.steps, evaluate=scored)


def logits_of(model: Any, batch: Any) -> jax.Array:
    """Of an encoder-decoder, or of a decoder that reads inputs and targets as one sequence."""
    if "inputs" in batch:
        return model(batch["inputs"], batch["tokens"], mask=batch["mask"])
    return model(batch["tokens"], prefix=batch["prefix"])


def answered(model: Any, batch: Any, key: jax.Array | None) -> tuple[jax.Array, Metrics]:
    """The loss of answers, and how many are right in every token, as greedy decoding would say them."""
    logits = logits_of(model, batch)
    loss, metrics = weighted(logits, batch["targets"], batch["weights"])
    return loss, metrics | {"exact": exact_rows(logits, batch)}


def firsts_of(data: Denoising) -> tuple[tuple[str, int], ...]:
    """The first input tokens that there are: the modes, and that of rows without."""
    return (*((mode, data.first(mode)) for mode in MODES), (NONE, CLS))


@dataclass(frozen=True)
class Probes:
    """The loss a token of each family of denoisers under each first token: `R_R`, `R_S`, ..., `X_none`; `loss` is that
    of all rows as they are."""

    firsts: tuple[tuple[str, int], ...]

    def __call__(self, model: Any, batch: Any, key: jax.Array | None) -> tuple[jax.Array, Metrics]:
        """An objective for `Evaluation`."""
        place = "inputs" if "inputs" in batch else "tokens"
        first_B, count_B = batch[place][:, 0], batch["weights"].sum(-1)
        family_B = jnp.array([MODES.index(denoiser.mode) for denoiser in UL2])[batch["denoiser"]]

        def losses(first: jax.Array) -> jax.Array:
            logits = logits_of(model, {**batch, place: batch[place].at[:, 0].set(first)})
            return (cross_entropy(logits, batch["targets"])[0] * batch["weights"]).sum(-1)

        firsts_F = jnp.array([first for _, first in self.firsts])
        losses_FB = jax.lax.map(losses, firsts_F)
        own = jnp.where(firsts_F[:, None] == first_B, losses_FB, 0).sum(), count_B.sum()
        metrics: Metrics = {"loss": own}
        for mode, probe in enumerate(MODES):
            of_B = family_B == mode
            for (name, _), losses_B in zip(self.firsts, losses_FB, strict=True):
                metrics[f"{probe}_{name}"] = jnp.where(of_B, losses_B, 0).sum(), jnp.where(of_B, count_B, 0).sum()
        return own[0] / own[1], metrics


def value(cfg: Config, arm: Arm, measure: str) -> float:
    """A probe's loss under the arm's own first token, or what a task measures."""
    if measure in MODES:
        return float(arm.results[0].history.last(f"{measure}_{measure if ARMS[arm.name][1] else NONE}"))
    task = next(task for task in cfg.tasks if task.name == measure)
    if task.measure == "exact":
        return float(next(one for one in arm.charged if one.name.endswith(f"/{measure}")).history.last("exact"))
    said = next(one for one in arm.charged if one.name.endswith(f"/{measure}/said")).value
    return math.nan if said is None else float(said[task.measure])


def gain(measure: str, own: float, other: float) -> float:
    """By which share `own` is better than `other`."""
    ratio = 1.0 if own == other else own / other if other else math.inf
    return 1 - ratio if measure in MODES else ratio - 1


def wrong(arm: Arm, probe: str) -> float:
    """A probe's loss under the two other modes, the mean."""
    return mean([arm.results[0].history.last(f"{probe}_{mode}") for mode in MODES if mode != probe])


def report(cfg: Config, found: dict[tuple[str, str], list[Arm]]) -> Report:
    """Every arm on every measure, gains, mode switching, and the claims judged on the first study."""
    names, first = [*MODES, *(task.name for task in cfg.tasks)], cfg.studies[0].name
    rows = {f"{study}: {label}": arms for (study, label), arms in found.items()}

    def over(row: str, measure: str) -> list[float]:
        return [value(cfg, arm, measure) for arm in rows[row]]

    def of(label: str, measure: str, study: str = first) -> float:
        return mean(over(f"{study}: {label}", measure)) if (study, label) in found else math.nan

    def gains(study: str, label: str, other: str, among: Sequence[str] = names) -> list[float]:
        return [gain(name, of(label, name, study), of(other, name, study)) for name in among]

    def best(study: str, name: str) -> str:
        own = {label: of(label, name, study) for at, label in found if at == study}
        sign = 1 if name in MODES else -1
        return min(own, key=lambda label: sign * own[label])

    totals = {other: mean(gains(first, FULL, other)) for other in (SC, PLM)}
    tasks = {other: mean(gains(first, FULL, other, names[len(MODES) :])) for other in (SC, PLM)}
    losses = {probe: [of(label, probe) for label in MAIN] for probe in MODES}
    known = not np.isnan([*totals.values(), *np.ravel(list(losses.values()))]).any()
    full = found.get((first, FULL), [])
    switched = {probe: mean([1 - value(cfg, arm, probe) / wrong(arm, probe) for arm in full]) for probe in MODES}

    def said(values: dict[str, float], before: str = "") -> str | None:
        return ", ".join(f"{v:+.1%} {before}{name}" for name, v in values.items()) if known else None

    claims = (
        claim(
            "UL2 is better over all uses than span corruption and than prefix language modelling",
            paper="Pareto improvement over T5-like and GPT-like models; no figure at hand",
            measured=said(totals, "over "),
            margin=f"mean relative gain on {', '.join(names)} positive over both",
            holds=all(total > 0 for total in totals.values()),
        ),
        claim(
            "UL2 is worst of no kind of denoising",
            paper="not reported in this form",
            measured="; ".join(f"{p} " + " / ".join(f"{x:.3f}" for x in losses[p]) for p in MODES) if known else None,
            margin=f"loss of {' / '.join(MAIN)}: the last is not the largest",
            holds=all(of(FULL, probe) < max(losses[probe]) for probe in MODES),
        ),
        claim(
            "The right mode token has a lower loss than a wrong one",
            paper="a wrong token costs quality",
            measured=said(switched, "on "),
            margin="1 % or more on S and on X",
            holds=switched["S"] >= 0.01 and switched["X"] >= 0.01,
        ),
        claim(
            "UL2 is better when fine-tuned (beyond the rule, without the probes)",
            paper="better on 50 supervised tasks at 20B",
            measured=said(tasks, "over "),
            margin=f"mean relative gain on {', '.join(names[len(MODES) :])} positive over both",
            holds=all(total > 0 for total in tasks.values()),
        ),
    )
    gained = tuple(
        (f"{study}: {label}", *gains(study, label, SC), mean(gains(study, label, SC)), mean(gains(study, label, PLM)),
         sum(best(study, name) == label for name in names))
        for study, label in found
    )  # fmt: skip
    switching = tuple(
        (f"{row}, on {probe}", mean(over(row, probe)), mean([wrong(arm, probe) for arm in arms]),
         mean([arm.results[0].history.last(f"{probe}_{NONE}") for arm in arms]))
        for row, arms in rows.items() if ARMS[arms[0].name][1] for probe in MODES
    )  # fmt: skip
    units = "".join(f" {t.name}: {'share answered right' if t.measure == 'exact' else 'ROUGE-1'}." for t in cfg.tasks)
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2205.05131",
        arms=tuple(named(found)),
        tables=(
            table_of_means(
                "Every arm on every probe, and fine-tuned", list(rows), names, over, scale=1, digits=3,
                note=f"Probes: nats a token on held-out text, each arm with its own first token.{units}",
            ),
            Table(
                "Relative gains over span corruption",
                ("arm", *names, "mean", "mean over prefix LM", f"best on, of {len(names)}"),
                gained, ("", *["+.1%"] * (len(names) + 2), ""),
            ),
            Table(
                "Mode switching: the loss of a probe by first token", ("arm", "right", "wrong", "none"), switching,
                ("", *[".3f"] * 3), note="Wrong: the mean of the two other modes.",
            ),
        ),
        baseline=f"{first}: {SC}" if (first, SC) in found else None,
        seeds=cfg.studies[0].seeds,
        notes=NOTES,
    )  # fmt: skip


NOTES = (
    "Equal are the tokens of inputs and targets that are no padding; so steps differ by arm. FLOPs count padding.",
    "Arms without mode tokens begin every row with one and the same token, in training and in every test.",
    "Prefix LM never saw a sentinel, span corruption never a target without: on the other's probes they are strangers, "
    "and the mean gain over each owes much to that. The last claim leaves the probes out.",
    "Fine-tuned answers are scored as text: right in every token, as greedy decoding would say them; or by ROUGE-1 of "
    "what it says.",
    "The rates of pre-training and of fine-tuning are ours, one for all objectives, and were not searched; two seeds "
    "where three were meant. SST-2 and MSRP are left out here.",
)


def named(found: dict[tuple[str, str], list[Arm]]) -> list[Arm]:
    """Every arm of every study and seed, measured against span corruption."""
    made = []
    for (study, label), arms in found.items():
        for at, arm in enumerate(arms):
            suffix, group = "" if at == 0 else f", seed {at}", f"{study}: {label}"
            against = f"{study}: {SC}{suffix if at < len(found.get((study, SC), ())) else ''}"
            against = against if (study, SC) in found else ""
            made.append(replace(arm, name=group + suffix, group=group, against=against))
    return made


EXPERIMENT = Experiment(
    name="ul2",
    title="UL2: a mixture of denoisers with mode tokens",
    reference="Tay et al., arXiv 2205.05131",
    paper=83,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("ul2")
