"""SeND: leave out the embedding coordinates that move most between checkpoints, so that hallucination settles.

Paper    Hallucination Detox: Sensitive Neuron Dropout (SeND) for Large Language Model Training, 2024, ACL 2025, arXiv
         2410.15460 (dossier 097).
Claim    While a language model is trained, measures of hallucination go up and down and do not settle with the loss.
         To drop, deterministically, the coordinates of a sentence embedding that are most volatile on a small tracking
         set reduces that variance: up to 40 % better reliability at test time (first version), up to 17 % (ACL). EES, a
         kernel polynomial estimate of the EigenScore (log-determinant of the covariance of several answers'
         embeddings), is about twice as fast.
Method   A decoder learns, beside running text, facts about some people in five wordings: the finished model. Then it
         learns facts about others in three wordings, for nine epochs; of these sentences a tenth is the tracking set, a
         tenth the test set. After each epoch the stream behind the second-to-last block at the second-to-last token is
         recorded on the tracking set. After every third, the 20 % of its coordinates with the largest S_i = mean over
         texts of (sum of |changes|) x (variance), over the last three checkpoints, are dropped for three epochs (times
         a 0/1 mask, no rescaling); then they come back and others are chosen. No mask at test. After each epoch ten
         answers at temperature 0.7 to each fact, asked in a fourth wording: exact accuracy, share of the most frequent
         answer, confabulations (that answer is wrong and has less than half of the votes), EigenScore and EES, token
         entropy, losses, and the same of old facts. Arms of equal steps: normal; SeND; as many coordinates drawn at
         random on the same schedule; dropout of 0.2; the statistic of the released scripts (over texts, not
         checkpoints); SeND by zeroing columns of the block's MLP once an epoch, as these do; SeND with the lower half
         of the blocks frozen; from the fourth on with one seed.
Run      stagejax run send                        laptop: about 4 minutes on two cores
         stagejax run send --preset smoke         seconds
         stagejax plan send --preset pod --mesh data=16,fsdp=16
Holds if on three seeds (1) the variance of the mean EigenScore over the epochs from the first drop on is lower for SeND
         than for normal training in every seed; (2) at the end SeND's confabulation rate is not above normal training's
         and its accuracy at most a point below, in means over seeds; (3) SeND's variance of (1) is lower than random
         dropping's in every seed and its confabulation rate not higher in the mean; (4) EES with 20 moments and
         EigenScore correlate by 0.95 or more over prompts after the last epoch in every seed of normal training and of
         SeND; (5) for the largest number of answers timed EES takes at most half of the time of slogdet.
Ours     Three seeds, none of five holds. (1) does not: variance times 1000 is 49, 46, 69 for SeND and 53, 48, 37 for
         normal training, most of it a trend (about a line 1.0 +/- 0.4 and 2.3 +/- 1.9). (2) does not: confabulations
         19.4 % +/- 1.0 and 20.8 % +/- 1.4, but accuracy 46.4 % and 51.1 %. (3) does not: 46, 50, 73 at random,
         though SeND has fewer confabulations (24.7 % +/- 1.7 at random). (4) does not: 0.48 to 0.67; with 100 moments
         0.90 and 0.95 in the mean. (5) does not: 1.3 times as fast for 2,000 answers (0.95 times in another trial),
         4.5 times slower for 10; at 2,000 both need about as many FLOPs. Dropout of 0.2 learns few facts (11.2 %).
         Run again as (5) held (3.6 times) by threads of LAPACK and XLA in each other's way, and as the rate for new
         facts, 5e-4, was the lowest tried; it is 2.5e-4 now. With 5e-4 SeND had 29, 39, 50 beside 26, 22, 29 in (1),
         17.2 and 16.4 % confabulations, 54.6 and 55.9 % accuracy; on another CPU (2) held. 727 s beside other work.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import jax

from stagejax import Evaluation, Experiment, Stage
from stagejax.axes import Axes
from stagejax.data import BPE, CausalText, Dataset, Mixture, Source, Stdlib
from stagejax.data.knowledge.biographies import Cloze, Sentences
from stagejax.data.knowledge.facts import People
from stagejax.data.prompts.answers import Answers, PromptedText
from stagejax.data.published import C4
from stagejax.data.selection.repeated import Repeated
from stagejax.data.streams import Streams
from stagejax.data.together import Together
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference.prompts.consistency import JUDGED, SeveralAnswers, correlation, log_determinants_timed
from stagejax.models import Transformer, llama
from stagejax.models.taps import Watched
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.steadiness import evaluated, first_below, variance
from stagejax.search.lowest import Lowest
from stagejax.search.peak import best_peak
from stagejax.stage import Batch, Metrics, Precision
from stagejax.steps.watching import Watching, with_all, with_flops
from stagejax.transforms.sensitivity import AtRandom, MostSensitive, variability_of_texts

NORMAL, SEND, RANDOM, DROPOUT = "normal", "SeND", "random coordinates", "dropout 0.2"
RELEASED, ZEROED, FROZEN = "SeND, released statistic", "SeND by weights", "SeND, lower half frozen"
CLAIMED, OTHERS = (NORMAL, SEND, RANDOM), (DROPOUT, RELEASED, ZEROED, FROZEN)
TOLD, ALL, ASKED = (0, 1, 2), (0, 1, 2, 3, 4), (3,)  # wordings of new people, of old ones, and of prompts
MOMENTS = (20, 100)  # of EES: the paper's, and what more give


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    people: People = field(default_factory=lambda: People(140))
    old: int = 100  # people that the finished model knows; the others are new
    text: Source = field(default_factory=lambda: Dataset("wikitext2"))
    vocab: int = 768
    length: int = 28  # tokens of a sentence
    row: int = 28  # tokens of a row in pre-training
    base: tuple[int, int] = (900, 32)  # steps, batch
    mix: tuple[int, int] = (3, 1)  # its rows of facts, and of running text
    batch: int = 32  # sentences; as many tracking texts
    held: float = 0.3  # of the facts: those with a sentence in tracking, and in test
    passes: int = 3  # over the sentences in an epoch
    epochs: int = 9
    share: float = 0.2  # of the coordinates, dropped
    period: int = 3  # epochs between choices, and checkpoints that they look at
    prompt: int = 20  # tokens
    limit: int = 8  # most tokens of an answer
    samples: int = 10  # answers to each prompt
    asked: int = 20  # old people that are asked about
    test_batch: int = 60  # prompts
    peak: float = 3e-3  # of the base
    peaks: tuple[float, ...] = (2.5e-4, 5e-4, 1e-3)  # tried for new facts
    sizes: tuple[int, ...] = (10, 30, 100, 300, 1000, 2000)  # numbers of answers at which EES is timed
    precision: Precision = Precision()
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def watched(self) -> Watched:
        return Watched(self.net, checkpoints=self.period, texts=self.batch)

    @property
    def known(self) -> Sentences:
        """Facts that the finished model learned."""
        return Sentences(self.people, 0, self.old, ALL)

    @property
    def domain(self) -> Sentences:
        """Facts that it learns now."""
        return Sentences(self.people, self.old, self.people.size, TOLD, self.held)

    @property
    def tokenizer(self) -> LearnedFrom:
        return LearnedFrom(BPE(self.vocab, train_bytes=200_000), Together((self.known, self.text)))

    @property
    def prompts(self) -> Source:
        """New facts and old ones, asked in another wording than new ones are told in."""
        new = Cloze(self.people, self.old, self.people.size, ASKED)
        return Together((new, Cloze(self.people, 0, self.asked, ASKED, mark=1)))

    @property
    def epoch(self) -> int:
        """Steps of one."""
        return max(1, self.passes * len(self.domain) // self.batch)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        net = llama(vocab=400, embed=16, layers=2, heads=2, mlp=32, tied=True, dropout=0.2)
        sizes = {"people": People(24), "old": 16, "text": Stdlib(limit=100_000), "vocab": 400, "length": 48, "row": 48}
        sizes |= {"base": (40, 16), "batch": 8, "passes": 1, "epochs": 4, "period": 2, "prompt": 36, "limit": 12}
        rest = {"held": 0.4, "samples": 4, "asked": 4, "test_batch": 12, "sizes": (10, 40)}
        rest |= {"peak": 1e-2, "peaks": (3e-3, 1e-3)}
        return Config(net, **sizes, **rest, seeds=(0, 1))
    if name == "pod":  # an 8B decoder
        large = {"embed": 4096, "layers": 32, "heads": 32, "kv_heads": 8, "mlp": 14_336, "rotary_theta": 5e5}
        net = llama(vocab=128_256, dropout=0.2, scan=True, remat="full", **large)
        sizes = {"people": People(12_000), "old": 4000, "text": C4, "vocab": 128_256, "length": 64, "row": 4096}
        sizes |= {"base": (500_000, 1024), "mix": (1, 9), "batch": 256, "passes": 1, "prompt": 48, "limit": 16}
        rest = {"asked": 512, "test_batch": 256, "precision": Precision(compute="bfloat16")}
        rest |= {"peak": 3e-4, "peaks": (1e-4,)}
        return Config(net, **sizes, **rest, seeds=(0,))
    return Config(llama(vocab=768, embed=64, layers=4, heads=4, mlp=176, tied=True, dropout=0.2))


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """The finished model once, the rate for new facts, every arm from there, and what EES costs."""
    base = run.train(pretraining(cfg))
    found = best_peak(run, pilot(cfg), cfg.peaks, start=base, score=last_loss, beyond=2)
    arms: dict[str, dict[int, Any]] = {label: {} for label in (*CLAIMED, *OTHERS)}
    for seed in cfg.seeds:
        for label, stage in protocols(cfg, seed, found.best).items():
            if label in CLAIMED or seed == cfg.seeds[0]:
                arms[label][seed] = run.train(stage, base)
    return report(cfg, base, arms, found, run.make("timings", log_determinants_timed, cfg.sizes))


def pretraining(cfg: Config) -> Stage:
    """The finished model: facts about the old people, and running text."""
    steps, batch = cfg.base
    how = {"tokenizer": cfg.tokenizer, "batch": batch, "length": cfg.row}
    known = Answers(source=cfg.known, fields=("title", "text"), prompts=True, **how)
    return Stage(
        name="base",
        model=cfg.watched,
        objective=plain,
        optimizer=adamw(cfg.peak, warmup=0.05, clip=1.0),
        data=Mixture(parts=(known, CausalText(source=cfg.text, **how)), weights=cfg.mix),
        steps=steps,
        evaluate=examination(cfg, every=None),
        precision=cfg.precision,
    )


def pilot(cfg: Config) -> Stage:
    """Normal training with the first seed, of which only the loss on held-out sentences is asked, at its end."""
    normal, held = protocols(cfg, cfg.seeds[0], cfg.peaks[0])[NORMAL], told(cfg, "test", cfg.batch)
    return replace(normal, name="rate", evaluate=Evaluation(held, max(1, held.size() // cfg.batch)))


def last_loss(result: Any) -> float:
    """What a pilot ends with."""
    return float(result.history.last("loss"))


def protocols(cfg: Config, seed: int, peak: float) -> dict[str, Stage]:
    """How the new facts are learned in each arm."""
    normal = Stage(
        name="normal",
        model=cfg.watched,
        objective=plain,
        optimizer=adamw(peak, warmup=10, decay="constant", clip=1.0),
        data=watched_texts(cfg, seed),
        steps=cfg.epochs * cfg.epoch,
        evaluate=examination(cfg, every=cfg.epoch),
        precision=cfg.precision,
        seed=seed,
    )
    sensitive = Watching(cfg.epoch, cfg.period, MostSensitive(cfg.share))
    released = MostSensitive(cfg.share, variability_of_texts)
    zeroing = replace(sensitive, embed=with_all, drop=Zeroed(cfg.net.layers - 2))
    send = replace(normal, objective=masked, step=sensitive)
    watching = {
        SEND: send,
        RANDOM: replace(send, step=replace(sensitive, choose=AtRandom(cfg.share))),
        RELEASED: replace(send, step=replace(sensitive, choose=released)),
        ZEROED: replace(normal, step=zeroing),
        FROZEN: replace(send, trainable=From(cfg.net.layers // 2)),
    }
    found = {NORMAL: normal, DROPOUT: replace(normal, objective=causal_lm)}
    found |= {label: with_flops(stage) for label, stage in watching.items()}
    return {label: replace(stage, name=f"{seed}/{slug(label)}") for label, stage in found.items()}


def plain(model: Any, batch: Batch, key: Any) -> tuple[jax.Array, Metrics]:
    """The next token's cross entropy, with all coordinates and without dropout."""
    return causal_lm(model, batch, None)


def masked(model: Any, batch: Batch, key: Any) -> tuple[jax.Array, Metrics]:
    """The same without the dropped coordinates."""
    return causal_lm(model.masked, batch, None)


@dataclass(frozen=True)
class Zeroed:
    """What a block's MLP writes into dropped coordinates becomes zero; training may fill it again."""

    layer: int

    def __call__(self, params: Any, kept: jax.Array) -> Any:
        """The parameters with zeros in columns of the down projection."""
        blocks = params["net"]["blocks"]
        down = jax.tree.map(lambda x: x.at[self.layer].multiply(kept.astype(x.dtype)), blocks["mlp"]["down"])
        return {"net": params["net"] | {"blocks": blocks | {"mlp": blocks["mlp"] | {"down": down}}}}


@dataclass(frozen=True)
class From:
    """Train the blocks from a number on, and all that is no block."""

    layer: int

    def __call__(self, path: str, axes: Axes) -> bool | slice:
        return slice(self.layer, None) if "layers" in axes.names else True


# --- data ---


def told(cfg: Config, split: str, batch: int, seed: int = 0) -> Answers:
    """Sentences about new people, one a row."""
    how = {"tokenizer": cfg.tokenizer, "batch": batch, "length": cfg.length, "seed": seed}
    return Answers(source=cfg.domain.of_split(split), fields=("title", "text"), prompts=True, **how)


def watched_texts(cfg: Config, seed: int) -> Streams:
    """Sentences to learn from; beside them, in every batch, the tracking set."""
    tracking = Repeated(data=told(cfg, "tracking", cfg.batch))
    own = tuple((name, name) for name in ("tokens", "targets", "weights"))
    return Streams(data=told(cfg, "train", cfg.batch, seed), beside=tracking, own=own, other=(("watched", "tokens"),))


def asked(cfg: Config) -> Streams:
    """Prompts, each with its true sentence (`truth`), beside held-out sentences (`text`)."""

    def fields(name: str) -> tuple[tuple[str, str], ...]:
        return (name, "tokens"), (f"{name}_targets", "targets"), (f"{name}_weights", "weights")

    how = {"source": cfg.prompts, "tokenizer": cfg.tokenizer, "batch": cfg.test_batch}
    own = tuple((name, name) for name in ("tokens", "lengths", "mark"))
    prompts = PromptedText(length=cfg.prompt, beside=("mark",), **how)
    known = Streams(data=prompts, beside=Answers(length=cfg.length, **how), own=own, other=fields("truth"))
    own += tuple((name, name) for name, _ in fields("truth"))
    return Streams(data=known, beside=told(cfg, "test", cfg.test_batch), own=own, other=fields("text"))


def examination(cfg: Config, every: int | None) -> Evaluation:
    """Answers to all prompts, after an epoch or at the end."""
    how = SeveralAnswers(("", "old_"), cfg.length, cfg.limit, cfg.samples, moments=MOMENTS)
    data, flops = asked(cfg), how.flops(cfg.watched, asked(cfg))
    return Evaluation(data, len(cfg.prompts) // cfg.test_batch, every, how, flops=flops)


# --- report ---


def report(cfg: Config, base: Any, arms: dict[str, dict[int, Any]], found: Lowest, timed: Any) -> Report:
    """How far every measure moves from epoch to epoch, where it ends, and what the estimate is worth."""
    measured = bool(base.history.evals)

    def last(label: str, what: str) -> list[float]:
        return [own.history.last(what) for own in arms[label].values()]

    def moved(label: str, what: str = "eigenscore", degree: int = 0) -> list[float]:
        return [variance(evaluated(own, what)[cfg.period + 1 :], degree) for own in arms[label].values()]

    def near(label: str, estimate: str) -> list[float]:
        return [correlation(own.history.evals[-1], estimate) for own in arms[label].values() if measured]

    def steadier(against: str) -> tuple[bool, str]:
        pairs = list(zip(moved(SEND), moved(against), strict=True))
        return all(a < b for a, b in pairs), ", ".join(f"{a:.4f} ({against} {b:.4f})" for a, b in pairs)

    rate = {label: mean(last(label, "confabulation")) for label in CLAIMED}
    rates = {label: f"{label} {shown(last(label, 'confabulation'), '.1%')}" for label in CLAIMED}
    gain = mean(last(SEND, "accuracy")) - mean(last(NORMAL, "accuracy"))
    (calmer, calm), (calmer_still, calm_still) = steadier(NORMAL), steadier(RANDOM)
    names = tuple(f"ees_{moments}" for moments in MOMENTS)
    correlations = near(NORMAL, names[0]) + near(SEND, names[0])
    times = timed.value
    ratio = times and times["exact ms"][-1] / times["estimate ms"][-1]
    claims = (
        claim(
            "SeND's EigenScore varies less from epoch to epoch than normal training's",
            paper="the variance of measures of hallucination is reduced", measured=calm if measured else None,
            margin="a lower variance over the epochs from the first drop on, in every seed", holds=calmer,
        ),
        claim(
            "SeND ends with no more confabulations than normal training, and with its accuracy",
            paper="up to 40 % (first version) or 17 % (ACL) better reliability at test time",
            measured=f"{rates[SEND]}, {rates[NORMAL]}; accuracy {100 * gain:+.1f} points" if measured else None,
            margin="rate not higher, accuracy at most a point lower, in means over seeds",
            holds=rate[SEND] <= rate[NORMAL] and gain >= -0.01,
        ),
        claim(
            "Sensitive coordinates are better to drop than random ones",
            paper="no figure at hand", measured=f"{calm_still}; {rates[SEND]}, {rates[RANDOM]}" if measured else None,
            margin="a lower variance of the EigenScore in every seed, a confabulation rate not higher in the mean",
            holds=calmer_still and rate[SEND] <= rate[RANDOM],
        ),
        claim(
            "EES is near the EigenScore",
            paper="no figure at hand", measured=", ".join(f"{r:.3f}" for r in correlations) or None,
            margin="a correlation over prompts of 0.95 or more, in every seed of normal training and of SeND",
            holds=measured and min(correlations) >= 0.95,
        ),
        claim(
            f"EES is faster than the exact log-determinant of {cfg.sizes[-1]:,} answers",
            paper="about 4 s and 7 s at 1e8 elements", measured=ratio and f"{ratio:.1f} times",
            margin="at most half of the time", holds=bool(ratio and ratio >= 2),
        ),
    )  # fmt: skip
    labels, measures = tuple(arms), (*JUDGED, *names, "answer_loss", "loss")
    bounds = {name: base.history.last(f"old_{name}") for name in ("answer_loss", names[0])}
    rules = {"by loss": {"answer_loss": bounds["answer_loss"]}, "by loss and EES": bounds}
    stops = tuple(
        (label, *(shown([first_below(own, rule) for own in arms[label].values()], ".1f") for rule in rules.values()))
        for label in labels
    )
    speeds = tuple(zip(cfg.sizes, *times.values(), strict=True)) if times else ()
    late = "Variance over the epochs from the first drop on, times 1000"
    table = functools.partial(table_of_means, scale=1.0, digits=3)
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2410.15460",
        arms=by_seed({x: {s: Arm("", (base, r), found.spent) for s, r in a.items()} for x, a in arms.items()}, NORMAL),
        tables=(
            table(late, labels, measures, moved, scale=1000.0, note="Mean ± standard deviation over seeds."),
            table(f"{late}, without their trend", labels, measures, functools.partial(moved, degree=1), scale=1000.0,
                  note="About a line through the epochs."),
            table("New facts after the last epoch", labels, measures, last, note="Losses and entropy in nats."),
            table("Old facts after the last epoch", labels, [f"old_{name}" for name in (*JUDGED, "answer_loss")], last,
                  note=f"Accuracy of the finished model: {base.history.last('old_accuracy'):.3f}."),
            table("Correlation of EES and EigenScore over prompts, after the last epoch", labels, names, near,
                  note="With 20 moments, as in the paper, and with 100."),
            Table("Epoch at which training would stop", ("arm", *rules), stops,
                  note="New facts have less answer loss (and EES) than old ones in the finished model."),
            Table("The log-determinant, by number of answers", ("answers", "slogdet, ms", "value", "EES, ms", "value"),
                  speeds, (",", ".2f", ".4f", ".2f", ".4f"), "Of embeddings of 4096 normal numbers; the ways take "
                  "turns on one thread, and the least time of 15 counts."),
            Table("Rate for new facts", ("tried", "losses", "chosen", "at an end"), (found.cells,),
                  note="Last loss of normal training on held-out sentences, with the first seed."),
        ),
        baseline=NORMAL,
        metric="eigenscore",
        seeds=cfg.seeds,
        notes=NOTES,
    )  # fmt: skip


NOTES = (
    "The rate for new facts is that with the lowest last loss of normal training on held-out sentences, which no claim "
    "scores; all arms take it. The base's is unsearched; sizes are set by time.",
    "Facts are made up, so that answers can be judged: three relations, not four attributes, of 20 objects each.",
    "An epoch is several passes over the sentences: a small model takes up little from one.",
    "The finished model is one for all seeds; a seed draws the order of sentences and the random coordinates.",
    "Answers are drawn with the same key after every epoch, so that they move only as the model does.",
    "EES is the described estimate, without the exact log-sum that the released training-time routine adds.",
    "The paper's thresholds of stopping are not known to us; ours are what the finished model has on old facts. All "
    "arms train to the end, and a table says where the rule would have stopped them.",
    "Confabulation, wrong and without a majority, is our reading of hallucination; there is no FactScore, no HaluEval.",
    "Frozen blocks are charged as trained ones. Both ways to the log-determinant have one thread: with more, those of "
    "LAPACK wait beside XLA's, and which way is faster is chance.",
)

EXPERIMENT = Experiment(
    name="send",
    title="Sensitive neuron dropout against hallucination in training",
    reference="arXiv 2410.15460, ACL 2025",
    paper=97,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("send")
