"""AMD2G: dialogues of all domains without their terms first, then those of the target domain as they are.

Paper    Liu et al., A Unified Data Augmentation Framework for Low-Resource Multi-Domain Dialogue Generation, ECML-PKDD
         2024, arXiv 2406.09881 (dossier 001).
Claim    A corpus is a blend of expressions that domains share and of terms that they do not. Trained on dialogues of
         all domains whose terms are placeholders, and then on the target's, a model answers better than one trained on
         the target's alone, or on all domains' at once (five Chinese domains, four pre-trained models; BLEU, ROUGE,
         distinct-n; the tables were not at hand).
Method   0  dictionaries     of each domain: what its dialogues are annotated with (entities and values), and words
                             whose log-odds against the other domains stand out
         1  domain-agnostic  next response given the last turns, both with placeholders for terms: all dialogues of the
                             other domains and the few of the target
         2  adaptation       the same on the target's few dialogues as they are, all weights, a fresh optimizer
         A response alone is learned. Arms of equal steps: the target's dialogues alone; all domains' at once as they
         are ("joint"); two stages whose first one reads the same pool as it is; AMD2G; and AMD2G whose dictionary is as
         many other strings of the same texts, as long and as frequent. The state of each stage is kept with which the
         target's validation dialogues, in the form that the stage reads, have the lowest loss. So is the rate of every
         stage of every arm chosen, with the first target and seed. Each domain is the target in turn; a seed draws its
         few dialogues.
Run      stagejax run amd2g_dialogue                   laptop: 5 minutes on two cores
         stagejax run amd2g_dialogue --preset smoke    seconds
         stagejax plan amd2g_dialogue --preset pod --mesh data=16,fsdp=16
Holds if, in the loss of responses of the target's test dialogues, in nats a token, over three seeds: (0) every arm is
         below unigrams of the responses that it was trained on, for every target and seed; (1, 2) AMD2G's mean is below
         target alone's (1), joint's (2), with two targets of three or more, and by more than a standard deviation of
         the paired difference with one of those; (3) so it is below the same two stages on the pool as it is: that is
         what de-domaining itself is worth; (4) so it is below random terms; (5) without terms domains are more alike:
         the share of a domain's n-grams that another one has, mean over pairs, rises for n = 1 and 2, for every target
         and seed.
         BLEU-4 by characters, distinct-2, and responses that still have a placeholder: report only.
Ours     (to be filled in)
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import SEP, SPECIAL, TFDS, CausalText, Data, Dataset, Portion, Source, Stdlib, codec
from stagejax.data.answers import Answers, token_rows
from stagejax.data.common_characters import CommonCharacters
from stagejax.data.delexicalized import PLACEHOLDER, Delexicalized
from stagejax.data.domain_terms import DomainTerms, RandomTerms, turns_of
from stagejax.data.drawn_dialogues import DrawnDialogues
from stagejax.data.exchanges import ANSWERS, Exchanges
from stagejax.data.from_json import FromJson
from stagejax.data.learned import LearnedFrom
from stagejax.data.published import C4_MULTILINGUAL
from stagejax.data.together import Together
from stagejax.decode import Prompts, beam_search, bleu
from stagejax.decode.diversity import distinct
from stagejax.decode.overlap import grams
from stagejax.growth.timing import AtStep, Turned
from stagejax.inference import Frozen, apply
from stagejax.inference.answering import ask
from stagejax.inference.frozen import flops_of_one
from stagejax.inference.likelihood import row_losses
from stagejax.models import Transformer, gpt
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import muon
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, spread, table_of_means
from stagejax.search.peak import Peak, best_peak

TARGET, JOINT, POOL, AMD2G, OTHER = "target alone", "joint", "pool first", "AMD2G", "random terms first"
ARMS = (TARGET, JOINT, POOL, AMD2G, OTHER)
PLAIN, MASKED, RANDOM = "plain", "masked", "random"  # what a stage reads
FORMS = {POOL: PLAIN, AMD2G: MASKED, OTHER: RANDOM}  # of the first of two stages
TURNED = Turned(3)  # every stage ends at the third evaluation in a row that is not better than the best one


@dataclass(frozen=True)
class Domain:
    """Dialogues of one domain: records {"turns": [{"text", "facts"}, ...]}."""

    name: str
    train: Source
    validation: Source
    test: Source


def kdconv(name: str) -> Domain:
    train = Dataset("kdconv", part=name)
    return Domain(name, Portion(train, stop=0.8), Portion(train, start=0.8), train.of_split("test"))


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    domains: tuple[Domain, ...] = field(default_factory=lambda: tuple(map(kdconv, ("travel", "film", "music"))))
    share: float = 0.1  # of the target's dialogues that are trained on
    net: Transformer = field(default_factory=lambda: gpt(vocab=2007, layers=2, embed=64, heads=4, mlp=256, length=72))
    characters: int = 2000  # that have a token of their own
    generic: Source | None = None  # text of a stage of pre-training; None: arms begin with random weights
    turns: int = 2  # of a context
    context: int = 40  # characters at most, with what ends it
    response: int = 31
    least: int = 3  # times that a keyword is there
    steps: int = 320  # of each arm, at most
    every: tuple[int, int] = (20, 10)  # steps between evaluations: of all domains' dialogues, of the target's
    pretraining: int = 0  # steps
    batch: int = 16
    rates: tuple[float, ...] = (2e-3, 6e-3, 2e-2)
    warmup: int = 20  # steps of each stage; the rate stays what it then is
    weight_decay: float = 4e-4
    validated: int = 8  # batches
    scored: int = 16  # batches of test exchanges
    said: int = 100  # of them answered
    beams: int = 4
    penalty: float = 0.6
    seeds: tuple[int, ...] = (0, 1, 2)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        drawn = tuple(
            Domain(own, *(DrawnDialogues(own, 40, split) for split in ("train", "validation", "test")))
            for own in ("park", "film")
        )
        return Config(
            drawn, share=0.1, net=gpt(vocab=67, layers=1, embed=16, heads=2, mlp=32, length=56), characters=60,
            generic=Stdlib(limit=60_000), context=32, response=23, least=6, steps=16, every=(4, 2), pretraining=4, batch=16,
            rates=(3e-3, 1e-2), warmup=2, validated=2, scored=2, said=8, beams=2, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        names = ("travel", "film", "music", "medical", "ecommerce")
        own = tuple(
            Domain(n, *(FromJson(TFDS(f"domain_dialogues/{n}", split=s)) for s in ("train", "validation", "test")))
            for n in names
        )
        base = gpt(vocab=21_007, layers=12, embed=768, heads=12, mlp=3072, length=640)
        return Config(
            own, net=base, characters=21_000, generic=replace(C4_MULTILINGUAL, train="zh", test="zh-validation"),
            turns=100, context=512, response=127, steps=40_000, every=(1000, 1000), pretraining=100_000, batch=128,
            rates=(5e-6, 2e-5, 1e-4), warmup=1000, validated=16, scored=32, said=1024, beams=6,
        )  # fmt: skip
    return Config()


class Place(NamedTuple):
    """Which domain is the target, and the seed: of its few dialogues, of initial values, of the order of rows."""

    target: str
    seed: int


# --- stage 0: dictionaries and what is read without their terms ---


def trained_on(cfg: Config, place: Place) -> dict[str, Source]:
    """The dialogues of every domain: of the target a few."""
    few = {place.target: functools.partial(Portion, stop=cfg.share, seed=place.seed)}
    return {own.name: few.get(own.name, lambda source: source)(own.train) for own in cfg.domains}


def dictionary(cfg: Config, place: Place, name: str) -> DomainTerms:
    """Made of what is trained on, and of nothing else."""
    every = trained_on(cfg, place)
    return DomainTerms(every[name], tuple(own for other, own in every.items() if other != name), least=cfg.least)


def read_as(cfg: Config, place: Place, name: str, source: Source, form: str) -> Source:
    """Dialogues of a domain in one of the forms."""
    terms = dictionary(cfg, place, name)
    ways = {MASKED: terms, RANDOM: RandomTerms(terms, place.seed)}
    return Delexicalized(source, ways[form]) if form in ways else source


def pool(cfg: Config, place: Place, form: str) -> Source:
    """All that is trained on, in one form."""
    every = trained_on(cfg, place)
    return Together(tuple(read_as(cfg, place, name, own, form) for name, own in every.items()))


def exchanges(cfg: Config, source: Source) -> Exchanges:
    return Exchanges(source, cfg.turns, cfg.context, cfg.response)


def tokenizer(cfg: Config, place: Place) -> LearnedFrom:
    """Characters of the pool, or of the generic text; the same for all arms."""
    characters = CommonCharacters(cfg.characters, declared=PLACEHOLDER + ANSWERS)
    if cfg.generic is not None:
        return LearnedFrom(characters, cfg.generic)
    return LearnedFrom(characters, Exchanges(pool(cfg, place, PLAIN), context=10_000), "question")


def rows(cfg: Config, place: Place, source: Source) -> Answers:
    how = {"tokenizer": tokenizer(cfg, place), "batch": cfg.batch, "length": cfg.net.length, "seed": place.seed}
    return Answers(source=exchanges(cfg, source), **how)


def domain(cfg: Config, place: Place) -> Domain:
    return next(own for own in cfg.domains if own.name == place.target)


# --- stages 1 and 2 ---


def pipeline(run: Any, cfg: Config) -> Report:
    """The rates by the first target and seed, then every target and seed: all arms, and how they answer."""
    base = None if cfg.generic is None else run.train(pretraining(cfg))
    places = [Place(own.name, seed) for own in cfg.domains for seed in cfg.seeds]
    rates: Rates = {}
    found = {place: Found(compared(run, cfg, place, base, rates)) for place in places}
    for place, own in found.items():
        at = f"{place.target}/{place.seed}"
        price = examining_flops(cfg) if getattr(run, "price", True) else 0.0
        for arm in ARMS:
            own.tests[arm] = run.make(
                f"{at}/{slug(arm)}/test", examined, cfg, place, own.arms[arm][-1][-1], flops=price
            )
        own.texts = run.make(f"{at}/texts", described, cfg, place)
    return report(cfg, found, rates, base)


#: By arm and stage: what its rate was chosen from.
Rates = dict[tuple[str, int], Peak]


@dataclass
class Found:
    """Of one target and seed: the stages of every arm, and what was measured."""

    arms: dict[str, tuple[tuple[Any, ...], ...]]
    tests: dict[str, Any] = field(default_factory=dict)
    texts: Any = None


def pretraining(cfg: Config) -> Stage:
    """What stands for the generic pre-trained model."""
    how = {"tokenizer": tokenizer(cfg, Place(cfg.domains[0].name, 0)), "batch": cfg.batch, "length": cfg.net.length}
    optimizer = muon(cfg.rates[-1], warmup=0.05, clip=1.0, weight_decay=cfg.weight_decay)
    return Stage("base", cfg.net, causal_lm, optimizer, CausalText(source=cfg.generic, **how), cfg.pretraining)


def learning(cfg: Config, place: Place, name: str, source: Source, steps: int, form: str = PLAIN) -> Stage:
    """The recipe of all stages: next responses, evaluated on validation dialogues in the form that it reads."""
    every = cfg.every[len(source) <= len(trained_on(cfg, place)[place.target])]
    held = rows(cfg, place, read_as(cfg, place, place.target, domain(cfg, place).validation, form))
    return Stage(
        name=f"{place.target}/{place.seed}/{name}",
        model=cfg.net,
        objective=causal_lm,
        optimizer=muon(cfg.rates[0], warmup=cfg.warmup, decay="constant", clip=1.0, weight_decay=cfg.weight_decay),
        data=rows(cfg, place, source),
        steps=steps,
        evaluate=Evaluation(replace(held, seed=0, count=cfg.validated), cfg.validated, every),
        seed=place.seed,
    )


def compared(run: Any, cfg: Config, place: Place, base: Any, rates: Rates) -> dict[str, tuple[tuple[Any, ...], ...]]:
    """Every stage of every arm, its best state last; rates that are not known yet are chosen first."""
    few, half = trained_on(cfg, place)[place.target], cfg.steps // 2

    def trained(arm: str, number: int, stage: Stage, start: Any) -> tuple[Any, ...]:
        """A stage at the rate of this stage of this arm: to where validation dialogues turn, and to where it was best.

        A stage keeps its last state, so where that is not the best one, it is trained once more up to there.
        """
        if (arm, number) not in rates:
            rates[arm, number] = best_peak(run, stage, cfg.rates, start=start, until=TURNED)
        stage = replace(stage, optimizer=replace(stage.optimizer, peak=rates[arm, number].peak))
        whole = run.train(replace(stage, name=f"{stage.name}/whole"), start, until=TURNED)
        best = min(whole.history.evals[1:], key=lambda row: row["loss"], default={"step": whole.steps})["step"]
        return (whole,) if best == whole.steps else (whole, run.train(stage, start, until=AtStep(best)))

    found = {TARGET: (trained(TARGET, 1, learning(cfg, place, "target", few, cfg.steps), base),)}
    found[JOINT] = (trained(JOINT, 1, learning(cfg, place, "joint", pool(cfg, place, PLAIN), cfg.steps), base),)
    for arm, form in FORMS.items():
        at = slug(arm)
        first = trained(arm, 1, learning(cfg, place, f"{at}/first", pool(cfg, place, form), half, form), base)
        found[arm] = first, trained(arm, 2, learning(cfg, place, f"{at}/second", few, half), first[-1])
    return found


# --- measures ---


def examined(cfg: Config, place: Place, net: Any) -> dict[str, Any]:
    """On test exchanges of the target: loss in nats a token, and what is said, with its measures."""
    frozen, own = Frozen.of(net), domain(cfg, place)
    data = replace(rows(cfg, place, own.test), seed=0)
    taken = data.take(np.arange(min(cfg.scored * cfg.batch, data.size())))
    tokens = taken["weights"].sum(1)
    loss = float((apply(row_losses, frozen, taken, cfg.batch) * tokens).sum() / tokens.sum())
    pairs, code = exchanges(cfg, own.test), codec(data.tokenizer, own.test, "question")
    asked = data.records(np.arange(min(cfg.said, data.size())))
    prompts = token_rows(pairs, data.tokenizer, "question", cfg.context + 1, ())
    wanted = [pairs[int(record)]["solution"] for record in asked]
    found = ask(
        answered, frozen, {name: prompts[name][asked] for name in ("tokens", "lengths")}, cfg.net.length, cfg.beams,
        cfg.penalty,
    )  # fmt: skip
    said = [code.decode(row[start:end]) for row, start, end in zip(*found, strict=True)]
    spaced, others = [" ".join(text) for text in said], [" ".join(text) for text in wanted]
    return {
        "loss": loss,
        "bleu": bleu(spaced, others),
        "blind": bleu(spaced, [*others[1:], others[0]]),
        "distinct": distinct(said, 2),
        "masked": mean([PLACEHOLDER in text for text in said]),
        "texts": [[pairs[int(record)]["question"].strip(), text, want] for record, text, want in
                  zip(asked[:4], said, wanted, strict=False)],
    }  # fmt: skip


def answered(model: Any, batch: Mapping[str, Any], length: int, beams: int, penalty: float) -> tuple[Any, Any, Any]:
    """The best responses found, where they begin in their rows and where they end."""
    ids = jnp.arange(model.config.vocab)
    found = beam_search(
        model, Prompts(batch["tokens"], batch["lengths"]), length=length, beams=beams, penalty=penalty,
        stops=((SEP,),), allowed=(ids == SEP) | (ids >= SPECIAL),
    )  # fmt: skip
    return found.tokens_BKS[:, 0], found.starts_BK[:, 0], (found.ends_BK - found.stop_sizes_BK)[:, 0]


def examining_flops(cfg: Config) -> float:
    """At most: responses of full length."""
    ints = functools.partial(jax.ShapeDtypeStruct, dtype=np.dtype("int32"))
    row = ints((cfg.net.length,))
    scored = {"tokens": row, "targets": row, "weights": jax.ShapeDtypeStruct(row.shape, np.dtype("float32"))}
    prompt = {"tokens": ints((cfg.context + 1,)), "lengths": ints(())}
    how = (cfg.net.length, cfg.beams, cfg.penalty)
    one = flops_of_one(answered, cfg.net, prompt, *how, while_trips=cfg.response)
    return float(cfg.scored * cfg.batch * flops_of_one(row_losses, cfg.net, scored) + cfg.said * one)


def described(cfg: Config, place: Place) -> dict[str, Any]:
    """Dictionaries, how alike domains are with and without terms, and what unigrams would lose on the test."""
    every = trained_on(cfg, place)
    forms = {
        form: {name: [turn["text"] for turn in turns_of(read_as(cfg, place, name, own, form))]
               for name, own in every.items()}
        for form in (PLAIN, MASKED, RANDOM)
    }  # fmt: skip
    kept = {
        form: sum(len(t.replace(PLACEHOLDER, "")) for own in texts.values() for t in own)
        for form, texts in forms.items()
    }
    data, few = rows(cfg, place, domain(cfg, place).test), every[place.target]
    return {
        "alike": {form: [alike(texts, n) for n in (1, 2, 3, 4)] for form, texts in forms.items()},
        "masked": {form: 1 - count / kept[PLAIN] for form, count in kept.items()},
        "terms": {name: len(dictionary(cfg, place, name).terms()) for name in every},
        "keywords": {name: list(dictionary(cfg, place, name).keywords())[:12] for name in every},
        "unigrams": {
            TARGET: unigrams(cfg, rows(cfg, place, few), replace(data, seed=0)),
            JOINT: unigrams(cfg, rows(cfg, place, pool(cfg, place, PLAIN)), replace(data, seed=0)),
        },
    }


def alike(texts: Mapping[str, Iterable[str]], n: int) -> float:
    """|U_i and U_j| / |U_i|, mean over pairs of domains, with U their runs of n characters without placeholder."""
    runs = {
        name: {run for text in own for run in grams(text, n) if PLACEHOLDER not in run} for name, own in texts.items()
    }
    return mean([len(runs[i] & runs[j]) / max(1, len(runs[i])) for i in runs for j in runs if i != j])


def unigrams(cfg: Config, seen: Data, test: Data) -> float:
    """The loss of test responses by how often each token is in the responses of some data, one added to each."""

    def counts(data: Data, size: int) -> Counter[int]:
        taken = data.take(np.arange(size))
        return Counter(taken["targets"][taken["weights"] > 0].tolist())

    known, wanted = counts(seen, seen.size()), counts(test, min(cfg.scored * cfg.batch, test.size()))
    total = known.total() + cfg.net.vocab
    return -sum(n * math.log((known[token] + 1) / total) for token, n in wanted.items()) / wanted.total()


# --- report ---


def report(cfg: Config, found: dict[Place, Found], rates: Rates, base: Any) -> Report:
    """Losses of all arms and targets, and the claims."""
    targets = [own.name for own in cfg.domains]
    ran = all(own.texts.value for own in found.values())

    def over(arm: str, target: str, what: str = "loss") -> list[float]:
        """By seed; nothing in a plan."""
        made = [found[Place(target, seed)].tests[arm].value for seed in cfg.seeds]
        return [own[what] for own in made if own]

    def texts(target: str, *path: str) -> list[Any]:
        made = [found[Place(target, seed)].texts.value for seed in cfg.seeds]
        return [functools.reduce(lambda value, key: value[key], path, own) for own in made if own]

    def below(other: str) -> tuple[str | None, bool | None]:
        """By how much AMD2G is below another arm with every target, and whether that is as the docstring asks."""
        gaps = {own: spread(np.subtract(over(AMD2G, own), over(other, own))) for own in targets} if ran else {}
        said = ", ".join(
            f"{own} {gap:+.3f}" + (f" ± {sd:.3f}" if sd is not None else "") for own, (gap, sd) in gaps.items()
        )
        if not gaps or any(sd is None for _, sd in gaps.values()):
            return said or None, None
        wins = [(gap, sd) for gap, sd in gaps.values() if gap < 0]
        return said, 3 * len(wins) >= 2 * len(targets) and any(-gap > sd for gap, sd in wins)

    floors = [
        floor - loss
        for own in targets
        for arm in ARMS
        for loss, floor in zip(over(arm, own), texts(own, "unigrams", TARGET if arm == TARGET else JOINT), strict=True)
    ]
    rises = [
        after[n] - before[n]
        for own in targets
        for before, after in zip(texts(own, "alike", PLAIN), texts(own, "alike", MASKED), strict=True)
        for n in (0, 1)
    ]
    margin = "mean test loss below it with two targets of three or more, by over a standard deviation with one of them"
    versus = {
        TARGET: ("AMD2G is better than the target's dialogues alone", "above it with all models (abstract)"),
        JOINT: ("AMD2G is better than all domains at once", "above it with all models (abstract)"),
        POOL: ("De-domaining helps: the same two stages are worse on the pool as it is", "not compared"),
        OTHER: ("It is the terms that have to go: random strings in their place are worse", "not compared"),
    }  # fmt: skip
    gaps = {arm: below(arm) for arm in versus}
    claims = (
        claim(
            "Every arm has learned to answer",
            paper="taken for granted",
            measured=f"least lead {min(floors):+.3f} nats" if floors else None,
            margin="below unigrams of the responses trained on, for every target and seed",
            holds=min(floors) > 0 if floors else None,
        ),
        *(
            claim(statement, paper=paper, measured=gaps[arm][0], unit="nats a token", margin=margin, holds=gaps[arm][1])
            for arm, (statement, paper) in versus.items()
        ),
        claim(
            "Without their terms domains are more alike",
            paper="not read",
            measured=f"least rise {min(rises):+.3f}" if rises else None,
            margin="shared n-grams, mean over pairs, rise for n = 1 and 2 with every target and seed",
            holds=min(rises) > 0 if rises else None,
        ),
    )
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2406.09881",
        arms=tuple(arms_of(cfg, found, rates, base)),
        tables=tuple(tables(cfg, found, rates, over, texts)),
        baseline=f"{TARGET}, {targets[0]}",
        seeds=cfg.seeds,
        notes=NOTES,
    )


def arms_of(cfg: Config, found: dict[Place, Found], rates: Rates, base: Any) -> list[Arm]:
    """Every arm with every target and seed; the searches of rates are charged to all of them."""
    made: list[Arm] = []
    for target in (own.name for own in cfg.domains):
        own: dict[str, dict[int, Arm]] = {}
        for arm in ARMS:
            for seed in cfg.seeds:
                stages = found[Place(target, seed)].arms[arm]
                known = {stage[0].digest for stage in stages}
                tried = [one for (name, _), peak in rates.items() if name == arm for one in peak.spent]
                beside = [one for one in tried if one.digest not in known]  # the pilot of the chosen rate is the stage
                beside += [stage[0] for stage in stages if stage[1:]] + ([base] if base else [])
                own.setdefault(f"{arm}, {target}", {})[seed] = Arm("", tuple(s[-1] for s in stages), tuple(beside))
        made += by_seed(own, f"{TARGET}, {target}")
    return made


def tables(cfg: Config, found: dict[Place, Found], rates: Rates, over: Any, texts: Any) -> Iterable[Table]:
    """What was measured on the test, the dictionaries, the rates, and what is said."""
    targets = [own.name for own in cfg.domains]
    means = functools.partial(table_of_means, scale=1.0)
    floors = {"unigrams of the target": TARGET, "unigrams of all": JOINT}

    def losses(row: str, target: str) -> list[float]:
        return texts(target, "unigrams", floors[row]) if row in floors else over(row, target)

    yield means(
        "Test loss", [*ARMS, *floors], targets, losses, digits=3, note="Nats a token: mean ± deviation over seeds."
    )
    for title, what, scale in (
        ("BLEU-4 by characters", "bleu", 1.0),
        ("BLEU-4 of the same responses against other contexts'", "blind", 1.0),
        ("Distinct-2, in %", "distinct", 100.0),
        ("Responses with a placeholder, in %", "masked", 100.0),
    ):
        note = f"{cfg.said} responses by {cfg.beams} beams: mean ± standard deviation over seeds."
        yield means(
            title, ARMS, targets, lambda arm, own, w=what, s=scale: [s * x for x in over(arm, own, w)], note=note
        )
    alike_rows = tuple(
        (own, form, mean(texts(own, "masked", form)), *(np.mean(texts(own, "alike", form), axis=0).tolist()))
        for own in targets
        for form in (PLAIN, MASKED, RANDOM)
        if texts(own, "masked", form)
    )
    yield Table(
        "How alike domains are: shared n-grams, mean over pairs", ("target", "form", "masked", "1", "2", "3", "4"),
        alike_rows, ("", "", *[".1%"] * 5), note="Masked: the share of characters that are terms. Means over seeds.",
    )  # fmt: skip
    first = found[Place(targets[0], cfg.seeds[0])]
    known = first.texts.value or {"terms": {}, "keywords": {}}
    yield Table(
        f"Dictionaries, {targets[0]} as the target, first seed", ("domain", "terms", "keywords, best first"),
        tuple((name, count, " ".join(known["keywords"][name])) for name, count in known["terms"].items()),
    )  # fmt: skip
    yield Table(
        "Rates, by validation dialogues of the first target and seed",
        ("arm", "stage", "tried", "lowest loss", "rate", "at an end"),
        tuple((*key, *peak.cells) for key, peak in rates.items()), ("", "", "", "", "g", ""),
    )  # fmt: skip
    ends = tuple(
        (
            arm,
            number + 1,
            *(", ".join(str(found[Place(own, s)].arms[arm][number][-1].steps) for s in cfg.seeds) for own in targets),
        )
        for arm in ARMS
        for number in range(len(first.arms[arm]))
    )
    yield Table("Steps after which stages are best, by target and seed", ("arm", "stage", *targets), ends)
    said = tuple(
        (target, arm, *text)
        for target in targets
        for arm in ARMS
        for text in (found[Place(target, cfg.seeds[0])].tests[arm].value or {"texts": ()})["texts"][:2]
    )
    yield Table("Responses", ("target", "arm", "context", "said", "wanted"), said, note="First seed.")


NOTES = ("(to be filled in)",)

EXPERIMENT = Experiment(
    name="amd2g_dialogue",
    title="AMD2G: dialogues without their domain's terms first",
    reference="Liu et al., ECML-PKDD 2024, arXiv 2406.09881",
    paper=1,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("amd2g_dialogue")
