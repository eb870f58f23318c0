"""Emulated fine-tuning: a large base model, steered while it decodes by what fine-tuning changed in a small one.

Paper    Mitchell et al., An Emulator for Fine-Tuning Large Language Models using Small Language Models, ICLR 2024,
         arXiv 2310.12962 (dossier 025).
Claim    A fine-tuned model is its base times exp(reward / beta), so log-probabilities of two scales can be combined:
         log pi~ = log base_M + log tuned_N - log base_N - log Z, token by token. Fine-tuning at a larger scale mostly
         makes answers more helpful, pre-training at a larger scale makes them more factual, and up-scaling (M large, N
         small) improves on the small fine-tuned model without training the large one.
Method   Two bases, small and large, on one mixture: 300 people with three facts each in varied wordings, and the
         standard library. Fine-tuning on questions about the first 60 people only: SFT on answers in a plain and in a
         chatty form, then DPO on pairs of own answers, the plain ones chosen. So form is taught, tested facts are not.
         The preset `read`: both bases have also read questions about 60 further people, answered in all four forms.
         The large model is fine-tuned as well, only as the reference. Three models decode together with their caches:
         up-scaled, down-scaled, up-scaled within the small model's nucleus (conservative), and two small SFT models of
         opposite styles mixed at five weights. Beside them: each model alone, and the large base with three questions
         and answers before the prompt. Answers are drawn at temperature 1. The tuned small model also drafts for the
         emulated one (speculative sampling).
Run      stagejax run emulated_fine_tuning                  laptop: 40 minutes beside other work
         stagejax run emulated_fine_tuning --preset read    the same, from bases that have read questions
         stagejax run emulated_fine_tuning --preset smoke   seconds
         stagejax plan emulated_fine_tuning --preset pod --mesh data=4,fsdp=32,model=4
Holds if in means over seeds, of answers drawn for the 210 people of the test, whom no tuning saw: factuality (the first
         object that an answer names is the right one) of up-scaling covers half of the gap from small to large
         fine-tuned models; helpfulness (plain form and the relation asked) of up-scaling is 30 points above the large
         base and at most 10 below the small fine-tuned model; KL(large fine-tuned || up-scaled) is less than
         KL(large fine-tuned || small fine-tuned) for every seed; the scale of pre-training adds more factuality than
         that of fine-tuning, which adds more helpfulness; the mix has 50 % of each style at its ends and never less
         terse answers with more of its weight; speculative samples pass chi-square tests against direct ones.
Ours     Does not hold at this scale. Three seeds, drawn: factual small 15.1 % +/- 0.7, large 43.1 +/- 1.6, up-scaled
         10.8 +/- 0.4 (-15 % of the gap; within the nucleus 17.8); helpful 94.0, 95.3, 59.4 (98.1), large base 0.0; KL
         0.27 small, 0.65 up-scaled; down-scaling adds 0.6 points of factuality and loses 47 of helpfulness; mixes:
         terse 89 % at its end, polite 20 %. A likely reason, not tested: the bases never read a question of that form
         (three shots: 2.1 % factual); `read` is there for it and was not run. Speculative sampling holds: p = 0.22 and
         0.32, 74 % of drafted tokens kept, 2.41 tokens a pass, 1.1 times as fast. Two runs before, with DPO's rate
         chosen by the people of the test, had the same verdicts: seeds share their bases, so that their spread does
         not tell how far a new base moves all this, there 3 to 5 times that spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import BPE, SEP, CausalText, Codec, Mixture, Source, Stdlib, codec
from stagejax.data.knowledge.facts import FORMS, RELATIONS, Facts, People, Questions, answer, read_answer
from stagejax.data.prompts.answers import Answers, PromptedText
from stagejax.data.published import C4
from stagejax.data.together import Together as Sources
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.decode import Samples, completions
from stagejax.inference import Frozen
from stagejax.inference.answering import Answering
from stagejax.inference.prompts.emulating import Way, behind, drawn_rows
from stagejax.inference.prompts.preferring import drawn_tokens, own_pairs, pair_rows
from stagejax.inference.serving.speculating import compare_samplers, median_seconds
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.rewards.preference import Preference
from stagejax.optimizer import adam, adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.search.peak import Peaks, kept_peak

SMALL, LARGE, BASE, SHOTS = "small fine-tuned", "large fine-tuned", "large base", "large base, 3 shots"
UP, DOWN, HELD = "EFT up-scaled", "EFT down-scaled", "EFT up-scaled, top-p 0.95"
SIZES, STYLES = ("small", "large"), ("terse", "polite")


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    small: Transformer
    large: Transformer
    people: People = field(default_factory=People)
    known: int = 60  # people that fine-tuning asks about
    valid: int = 30  # people by whom DPO's learning rate is chosen
    read: int = 0  # further people, about whom the bases read questions with their answers
    documents: int = 6000
    group: int = 3  # people of a document
    text: Any = field(default_factory=lambda: Stdlib(limit=2_000_000))
    vocab: int = 1024
    length: int = 128  # tokens of a row in pre-training
    base: tuple[int, int] = (1400, 12)  # steps, batch
    accumulate: int = 1  # parts of that batch, one after the other
    turn: int = 52  # tokens of a question with its answer
    prompt: int = 28  # tokens of a question
    limit: int = 24  # tokens of an answer
    sft: tuple[int, int] = (80, 16)
    dpo: tuple[int, int] = (40, 16)
    rates: tuple[float, float] = (3e-3, 1e-3)  # base, SFT
    dpo_rates: tuple[float, ...] = (1e-5, 3e-5, 1e-4)  # the best one for each size
    beta: float = 0.1
    top_p: float = 0.95
    weights: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the terse tune; the rest is of the polite one
    test_batch: int = 210
    block: int = 4  # tokens drafted in a round
    draws: tuple[int, int] = (5, 1024)  # calls, rows: answers to one question, to test the speculative sampler
    timed: int = 24  # questions answered one by one, for the time
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def tokenizer(self) -> LearnedFrom:
        """One for all data and models, learned from both parts of the mixture."""
        return LearnedFrom(BPE(self.vocab), Sources((self.facts, self.text)))

    @property
    def code(self) -> Codec:
        return codec(self.tokenizer, self.tokenizer.source)

    @property
    def alone(self) -> Way:
        """How one model answers."""
        return Way(self.turn, self.limit, ((SEP,),))

    @property
    def town(self) -> People:
        """All who are written about."""
        return replace(self.people, size=self.people.size + self.read)

    @property
    def facts(self) -> Facts:
        return Facts(self.town, self.documents, self.group)

    def net(self, size: str) -> Transformer:
        return self.small if size == "small" else self.large

    def questions(self, *forms: str, split: str = "train") -> Questions:
        """About the people that fine-tuning knows, about those of validation, or about those of the test."""
        return Questions(self.people, self.known, self.valid, forms or ("plain",), split)

    @property
    def tests(self) -> int:
        return len(self.questions(split="test"))


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""

    def net(embed: int, layers: int, heads: int, mlp: int, vocab: int = 1024) -> Transformer:
        return llama(vocab=vocab, embed=embed, layers=layers, heads=heads, mlp=mlp, tied=True)

    if name == "smoke":
        sizes = {"people": People(20), "known": 8, "valid": 4, "documents": 400, "group": 1, "vocab": 420, "length": 88}
        sizes |= {"base": (100, 16), "sft": (100, 16), "dpo": (6, 8), "test_batch": 12, "draws": (2, 512)}
        rest = {"text": Stdlib(limit=100_000), "weights": (0.0, 1.0), "timed": 2, "seeds": (0,), "block": 3}
        rest |= {"turn": 66, "prompt": 38, "limit": 28, "rates": (1e-2, 5e-3), "dpo_rates": (1e-4,)}
        return Config(net(16, 1, 2, 32, 420), net(32, 2, 4, 64, 420), **sizes, **rest)
    if name == "pod":
        how = {"vocab": 32_000, "scan": True, "remat": "full"}
        seven = llama(embed=4096, layers=32, heads=32, mlp=11_008, **how)
        seventy = llama(embed=8192, layers=80, heads=64, kv_heads=8, mlp=28_672, **how)
        sizes = {"people": People(12_000), "known": 2400, "valid": 600, "documents": 5000, "group": 24, "text": C4}
        sizes |= {"vocab": 32_000, "length": 4096, "base": (500_000, 1024), "turn": 512, "prompt": 256, "limit": 256}
        rest = {"sft": (400, 256), "dpo": (200, 256), "rates": (1.5e-4, 1e-5), "dpo_rates": (5e-7,), "test_batch": 256}
        return Config(seven, seventy, **sizes, **rest, block=8, accumulate=4, seeds=(0,))
    laptop = Config(net(64, 2, 4, 176), net(128, 3, 4, 344))
    return replace(laptop, read=60) if name == "read" else laptop


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """Two bases once; for every seed their fine-tuned models and two styles; then all ways to answer."""
    bases = {size: run.train(pretraining(cfg, size)) for size in SIZES}
    tuned: dict[str, dict[int, Any]] = {size: {} for size in SIZES}
    peaks: Peaks = {}
    scores: dict[tuple[str, int], Any] = {}
    for seed in cfg.seeds:
        for size in SIZES:
            first = run.train(supervised(cfg, size, ("plain", "chatty"), seed), bases[size])
            rule = Answering(Plainness(cfg.tokenizer), cfg.turn, cfg.limit, ((SEP,),))
            flops = 4.0 * len(cfg.questions()) * rule.flops(cfg.net(size), cfg.prompt)
            made = (own_pairs, first, asked(cfg, "train"), rule, seed)
            pairs = run.make(f"{seed}/{size}/pairs", *made, flops=flops, sampled_tokens=drawn_tokens)
            how = {"start": first, "score": last_loss, "beyond": 2}
            top, others = kept_peak(run, peaks, size, preferring(cfg, size, pairs, seed), cfg.dpo_rates, **how)
            tuned[size][seed] = first, pairs, others, top
        styles = [run.train(supervised(cfg, "small", (style,), seed), bases["small"]) for style in STYLES]
        tops = {size: tuned[size][seed][-1] for size in SIZES}
        drawn = run.make(f"{seed}/drawn", drawn_rows, tops["large"], asked(cfg, "test"), cfg.alone, seed)
        for name, (way, *nets) in ways(cfg, bases, tops, styles).items():
            prompt = cfg.prompt * (1 + len(RELATIONS) * (name == SHOTS))
            full = replace(way, length=prompt + cfg.limit)
            flops = cfg.tests * full.flops([net.model for net in nets], prompt)
            made = (answered, cfg, seed, name, way, tops["large"], drawn, *nets)
            scores[name, seed] = run.make(f"{seed}/answers/{slug(name)}", *made, flops=flops)
    three = bases["large"], bases["small"], tuned["small"][cfg.seeds[0]][-1]
    return report(cfg, bases, tuned, scores, peaks, run.make("samplers", sampled, cfg, *three))


def last_loss(result: Any) -> float:
    """Of plain answers about the people of validation, at the end."""
    return result.history.last("loss")


def pretraining(cfg: Config, size: str) -> Stage:
    """A base on facts, one document a row, and running text, row by row; and maybe questions about further people."""
    steps, batch = cfg.base
    how = {"tokenizer": cfg.tokenizer, "batch": batch, "length": cfg.length}
    facts = Answers(source=cfg.facts, fields=("title", "text"), prompts=True, **how)
    parts: tuple[Any, ...] = (facts, CausalText(source=cfg.text, **how))
    if cfg.read:
        others = Questions(cfg.town, cfg.people.size, forms=tuple(FORMS), split="test")
        parts = (*parts, Answers(source=others, prompts=True, **how))
    data = Mixture(parts=parts, weights=(1, 1, 0.2)[: len(parts)])
    tests = Answers(source=cfg.facts.of_split("test"), fields=("title", "text"), prompts=True, **how)
    return Stage(
        name=f"{size}/base",
        model=cfg.net(size),
        objective=causal_lm,
        optimizer=adamw(cfg.rates[0], warmup=0.05, clip=1.0),
        data=data,
        steps=steps,
        accumulate=cfg.accumulate,
        evaluate=Evaluation(tests, 8, every=max(1, steps // 4)),
    )


def supervised(cfg: Config, size: str, forms: tuple[str, ...], seed: int) -> Stage:
    """Answers in some forms to questions about the known people; evaluated by plain answers about other people."""
    steps, batch = cfg.sft
    data = answers(cfg, cfg.questions(*forms), batch, seed)
    return Stage(
        name=f"{seed}/{size}/sft/{'-'.join(forms)}",
        model=cfg.net(size),
        objective=causal_lm,
        optimizer=adam(cfg.rates[1], warmup=0.1, decay="linear"),
        data=data,
        steps=steps,
        evaluate=Evaluation(answers(cfg, cfg.questions(split="valid"), batch, 0), 8),
        seed=seed,
    )


def preferring(cfg: Config, size: str, pairs: Any, seed: int) -> Stage:
    """DPO on pairs, with the log-probabilities of the SFT model beside them."""
    steps, batch = cfg.dpo
    stage = supervised(cfg, size, ("plain",), seed)
    return replace(
        stage,
        name=f"{seed}/{size}/dpo",
        objective=Preference(cfg.beta),
        optimizer=adam(cfg.dpo_rates[0], warmup=0.1, decay="linear"),
        data=pair_rows(pairs, cfg.turn, batch, seed),
        steps=steps,
        evaluate=replace(stage.evaluate, objective=causal_lm),
    )


def answers(cfg: Config, source: Source, batch: int, seed: int) -> Answers:
    return Answers(source=source, tokenizer=cfg.tokenizer, batch=batch, length=cfg.turn - 1, seed=seed)


def asked(cfg: Config, split: str) -> PromptedText:
    """Questions to be answered."""
    source = cfg.questions(split=split)
    batch = min(cfg.test_batch, len(source))
    how = {"tokenizer": cfg.tokenizer, "batch": batch, "length": cfg.prompt, "beside": ("relation", "person")}
    return PromptedText(source=source, count=-(-len(source) // batch), **how)


@dataclass(frozen=True)
class Plainness:
    """The rule of preferences: 1 where an answer is, token by token, a plain one of the relation asked.

    Whether its object is the right one does not matter: what is taught is the form.
    """

    tokenizer: LearnedFrom

    def __call__(self, samples: Samples, batch: Mapping[str, Any]) -> jax.Array:
        plain = [[answer("plain", r, said) for said in own.objects] for r, own in enumerate(RELATIONS)]
        ids = [codec(self.tokenizer, self.tokenizer.source).encode(texts) for texts in plain]
        longest = 1 + max(len(each) for own in ids for each in own)
        rows_RCA = np.array([[np.pad([*each, SEP], (0, longest - 1 - len(each))) for each in own] for own in ids])
        tokens, starts, ends = samples.tokens_BNS, samples.starts_BN, samples.ends_BN
        at_BNA = starts[..., None] + jnp.arange(longest)
        said_BNA = jnp.take_along_axis(jnp.where(samples.drawn_BNS, tokens, 0), at_BNA, axis=-1, mode="clip")
        said_BNA = jnp.where(at_BNA < ends[..., None], said_BNA, 0)
        same = (said_BNA[:, :, None] == jnp.asarray(rows_RCA)[batch["relation"]][:, None]).all(-1).any(-1)
        return (same & (ends - starts <= longest)).astype(jnp.float32)


# --- ways to answer ---


def ways(cfg: Config, bases: Any, tops: Any, styles: Any) -> dict[str, Any]:
    """Every way, with its models in order: base, reference, tuned ones."""
    alone, steered = cfg.alone, replace(cfg.alone, weights=(1.0,))
    up = bases["large"], bases["small"], tops["small"]
    found: dict[str, Any] = {
        SMALL: (alone, tops["small"]),
        LARGE: (alone, tops["large"]),
        BASE: (alone, bases["large"]),
        SHOTS: (alone, bases["large"]),
        UP: (steered, *up),
        DOWN: (steered, bases["small"], bases["large"], tops["large"]),
        HELD: (replace(steered, top_p=cfg.top_p), *up),
    }
    return found | {mix(w): (replace(alone, weights=(w, 1 - w)), *up[:2], *styles) for w in cfg.weights}


def mix(weight: float) -> str:
    return f"EFT, {weight:g} terse"


def shown_first(cfg: Config, name: str) -> np.ndarray:
    """What stands before a question; for the arm of shots a question of each relation with its plain answer."""
    source, kinds = cfg.questions(), len(RELATIONS)
    shots = [source[r * kinds + r] for r in range(kinds)] if name == SHOTS else []
    return cfg.code.encode(["".join(f"{shot['question']}{shot['solution']}\n" for shot in shots)])[0]


def answered(cfg: Config, seed: int, name: str, way: Way, tuned: Any, drawn: Any, *results: Any) -> dict[str, Any]:
    """Answers to all held-out questions by one way, read; and, but for mixes, its KL from the large tuned model."""
    nets, shots = [Frozen.of(result) for result in results], shown_first(cfg, name)
    newline = tuple(cfg.code.encode(["\n"])[0].tolist())
    way = replace(way, length=cfg.turn + len(shots), stops=(*way.stops, newline))
    found: dict[str, Any] = {"texts": []}
    for how, heat in (("drawn", 1.0), ("greedy", 0.0)):
        read = []
        for number, batch in enumerate(asked(cfg, "test").batches()):
            rows = {"tokens": behind(shots, batch["tokens"]), "lengths": batch["lengths"] + np.int32(len(shots))}
            said = completions(way.answers(nets, rows, jax.random.fold_in(jax.random.key(seed), number), heat))
            texts = [cfg.code.decode(each.tokens) for (each,) in said]
            asked_for = zip(texts, batch["relation"].tolist(), batch["person"].tolist(), strict=True)
            read += [judged(cfg, *each) for each in asked_for]
            found["texts"] += [[cfg.code.decode(batch["tokens"][i]), texts[i]] for i in range(3)]
        found[how] = dict(zip(("factual", "helpful", *STYLES), np.mean(read, axis=0).tolist(), strict=True))
        if name in map(mix, cfg.weights):
            return found
    rows = drawn.value | {"own": behind(shots, drawn.value["tokens"])}
    total, count = way.divergence(Frozen.of(tuned), nets, rows)
    return found | {"kl": total / count}


def judged(cfg: Config, text: str, relation: int, person: int) -> tuple[bool, ...]:
    """Factual, helpful, terse, polite."""
    found = read_answer(text)
    forms = (found.relation == relation and found.form == form for form in ("plain", *STYLES))
    return found.object == cfg.people.object(person, relation), *forms


def sampled(cfg: Config, *results: Any) -> dict[str, Any]:
    """The speculative sampler beside the direct one, on one question many times, and on questions one by one."""
    nets, prompts = [Frozen.of(result) for result in results], asked(cfg, "test")
    way = replace(cfg.alone, weights=(1.0,))
    found = compare_samplers(nets, way, cfg.block, prompts.take(np.zeros(1, np.int64)), *cfg.draws)
    one_by_one = [prompts.take(np.array([number])) for number in range(cfg.timed + 1)]
    return found | {"seconds": median_seconds(nets, way, cfg.block, one_by_one)}


# --- report ---


def report(cfg: Config, bases: Any, tuned: Any, scores: Any, peaks: Peaks, samplers: Any) -> Report:
    """Who is factual and helpful, how far from the large fine-tuned model, at which cost; and the verdicts."""
    names = list(dict.fromkeys(name for name, _ in scores))

    def over(name: str, how: str, what: str = "") -> list[float]:
        made = [own.value for (of, _), own in scores.items() if of == name and own.value is not None]
        return [value[how][what] if what else value[how] for value in made]

    def rate(name: str, what: str) -> float:
        return mean(over(name, "drawn", what))

    fact, help_ = ({name: rate(name, what) for name in names} for what in ("factual", "helpful"))
    gap = fact[LARGE] - fact[SMALL]
    share = (fact[UP] - fact[SMALL]) / gap if gap > 0 else float("nan") if np.isnan(gap) else 0.0
    near = list(zip(over(UP, "kl"), over(SMALL, "kl"), strict=True))
    by_scale = {what: (x[UP] - x[SMALL], x[DOWN] - x[SMALL]) for what, x in (("fact", fact), ("help", help_))}
    terse = [rate(mix(w), "terse") for w in cfg.weights]
    polite = rate(mix(cfg.weights[0]), "polite")
    made = samplers.value
    claims = (
        claim(
            "Up-scaling takes over what the large model knows",
            measured=share, unit="%", holds=gap > 0 and share >= 0.5,
            paper="factuality improves over the small fine-tuned model in all three families",
            margin="half or more of the gap in factuality between the fine-tuned models",
        ),
        claim(
            "Up-scaling takes over how the small model was tuned to answer", paper="helpfulness improves as well",
            measured=None if np.isnan(gap) else f"{help_[UP]:.1%}; base {help_[BASE]:.1%}, small {help_[SMALL]:.1%}",
            margin="30 points above the large base, at most 10 below the small fine-tuned model",
            holds=help_[UP] >= help_[BASE] + 0.3 and help_[UP] >= help_[SMALL] - 0.1,
        ),
        claim(
            "The emulated model is nearer to the large fine-tuned one than the small one is",
            paper="not reported", measured=", ".join(f"{a:.3f} (small {b:.3f})" for a, b in near) or None,
            margin="a smaller KL(large fine-tuned || model), in nats a token, for every seed",
            holds=all(a < b for a, b in near),
        ),
        claim(
            "Scale in pre-training adds facts, scale in fine-tuning helpfulness (by pre-training, by fine-tuning)",
            paper="scaling up pre-training tends to improve factuality, scaling up fine-tuning helpfulness",
            measured=None if np.isnan(gap) else "; ".join(f"{x}: {a:+.1%}, {b:+.1%}" for x, (a, b) in by_scale.items()),
            margin="up-scaling adds more factuality to the small tuned model than down-scaling, and less helpfulness",
            holds=by_scale["fact"][0] > by_scale["fact"][1] and by_scale["help"][1] > by_scale["help"][0],
        ),
        claim(
            "Two tunes can be mixed while decoding", paper="helpful and harmless are balanced without training",
            measured=None if np.isnan(gap) else f"terse {' '.join(f'{x:.0%}' for x in terse)}; polite {polite:.0%}",
            margin="50 % of each style at its end of the sweep, and terse answers never fewer with more of its weight",
            holds=min(terse[-1], polite) >= 0.5 and terse == sorted(terse),
        ),
        claim(
            "Speculative samples have the emulated model's distribution",
            paper="by construction", margin="p > 0.01 in chi-square tests against direct samples",
            measured=made and ", ".join(f"{what}: p = {p:.2f}" for what, p in made["p"].items()),
            holds=made and min(made["p"].values()) > 0.01,
        ),
    )  # fmt: skip
    columns = {what: ("drawn", what) for what in ("factual", "helpful")}
    columns |= {f"{what}, greedy": ("greedy", what) for what in columns}
    mixes = [mix(w) for w in cfg.weights]
    plain = [name for name in names if name not in mixes]
    costs = tuple(
        (name, sum(float(r.cost.flops) for r in trained(name, bases, tuned)), float(made.cost.flops) / cfg.tests)
        for name in plain
        for made in [scores[name, cfg.seeds[0]]]
    )
    speculation = () if made is None else (
        ("answers", f"{made['answers']:,}"), ("drafted tokens kept", f"{made['accepted']:.1%}"),
        ("tokens for a pass of the large base", f"{made['a round']:.2f}"),
        *((f"milliseconds an answer, {way}", f"{1000 * s:.1f}") for way, s in made["seconds"].items()),
        ("times as fast", f"{made['seconds']['direct'] / made['seconds']['speculative']:.2f}"),
    )  # fmt: skip
    texts = tuple(
        (name, question, text)
        for name in plain
        for question, text in (scores[name, cfg.seeds[0]].value or {"texts": []})["texts"][:3]
    )
    arms = {
        name: {seed: Arm("", (own[0], own[-1]), (own[1], bases[size], *own[2])) for seed, own in tuned[size].items()}
        for name, size in ((SMALL, "small"), (LARGE, "large"))
    }
    return EXPERIMENT.report(
        claims, link="https://arxiv.org/abs/2310.12962", arms=by_seed(arms, SMALL), seeds=cfg.seeds, notes=NOTES,
        tables=(
            table_of_means("Answers about people that fine-tuning never saw", plain, list(columns),
                           lambda name, column: over(name, *columns[column])),
            table_of_means("Nats from the large fine-tuned model", plain, ["KL"], lambda name, _: over(name, "kl"),
                           scale=1.0, digits=3, note="KL(large fine-tuned || model) a token of its own answers."),
            table_of_means("Two styles mixed while decoding", mixes, [*STYLES, "factual"],
                           lambda name, column: over(name, "drawn", column)),
            Table("What each way costs", ("way", "training FLOPs", "FLOPs an answer"), costs, ("", "si", "si"),
                  "Training: of all models that are asked, bases included, of one seed. Answers: as long as may be."),
            Table("Speculative sampling of the up-scaled model", ("what", "measured"), speculation, ("", ""),
                  f"Blocks of {cfg.block}; times of one answer at a time, medians."),
            Table("Learning rates of DPO", ("size", "tried", "loss", "chosen", "at an end"),
                  tuple((size, *found.cells) for size, found in peaks.items() if len(found.tried) > 1),
                  note="Of plain answers about the people of validation; first seed."),
            Table("Answers drawn", ("model", "prompt", "answer"), texts),
        ),
    )  # fmt: skip


def trained(name: str, bases: Any, tuned: Any) -> list[Any]:
    """The results whose training a way needs."""
    first = {size: next(iter(own.values())) for size, own in tuned.items()}
    own = {size: [bases[size], made[0], made[1], made[-1]] for size, made in first.items()}
    alone = {SMALL: own["small"], LARGE: own["large"], BASE: [bases["large"]], SHOTS: [bases["large"]]}
    return alone.get(name) or [*own["large" if name == DOWN else "small"], bases["small" if name == DOWN else "large"]]


NOTES = (
    "One pair of bases for all seeds; a seed draws its own order of fine-tuning, pairs and answers.",
    "Helpfulness and factuality are judged by a program that reads the answer, in the paper by GPT-4. DPO prefers the "
    "plain form whatever its object, so no fact is taught by preferences.",
    "The bases' rate is that of 1.5e-3, 3e-3 and 8e-3 with the lowest held-out loss of the large base after 700 steps.",
    "DPO's rate is chosen for each size by the arms' loss, of plain answers about people of validation; before, by the "
    "people of the test. That was looked for after a run with 3e-4, in which DPO broke the large model, and so all.",
    "The KL of conservative decoding is infinite: it gives no probability to tokens outside the nucleus.",
    "An answer ends at its end token, at a line's end, or after the limit; what stands behind a line's end counts not.",
    "pod: C4 beside generated facts and questions about 12,000 people, where the paper has HH and ELI5.",
)

EXPERIMENT = Experiment(
    name="emulated_fine_tuning",
    title="Emulated fine-tuning",
    reference="Mitchell et al., ICLR 2024, arXiv 2310.12962",
    paper=25,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "read", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("emulated_fine_tuning")
