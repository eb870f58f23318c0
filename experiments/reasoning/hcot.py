"""HCoT: a thought is one hidden state of one model, from which another one says the answer.

TODO
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.data.answers import Answers, PromptedText
from stagejax.data.dialogues import SLOT, Beside, Dialogues, Slotted
from stagejax.data.pipeline import Data
from stagejax.data.tokenizers import SEP
from stagejax.decode.steps import FinalAnswer
from stagejax.inference import Frozen, slots
from stagejax.inference.answering import Answering
from stagejax.inference.several import flops_together
from stagejax.models import Transformer, llama
from stagejax.models.slots import SlotReader, SlotWriter, into_reader, into_writer
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.slots import answer_behind_slot, thought_in_slot
from stagejax.optimizer import adam
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.steps.joint import joint_step

EXPLICIT, ONLY, HCOT = "explicit CoT", "answer only", "HCoT"
ALONE, HARD, RANDOM = "HCoT, no contrast", "HCoT, wrong thoughts too", "HCoT, random CoT model"
#: Arms whose answers are timed.
TIMED = (EXPLICIT, ONLY, HCOT)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    told: Dialogues = field(default_factory=lambda: Dialogues(steps=((3,), (2,)), largest=12, seed=11))
    length: int = 52  # tokens of a row: prefix, slots, thought and answer
    prompt: int = 38  # tokens of a prefix with its slots
    thought: int = 24  # tokens of a thought with its slots
    limit: int = 24  # tokens of an answer
    base: int = 100  # steps on the task's text
    steps: tuple[int, int] = (400, 400)  # of the CoT model and of the HCoT model; every other model has their sum
    batch: int = 32
    base_rate: float = 3e-3
    rates: tuple[float, ...] = (2e-3, 5e-3)  # of which each arm's is chosen
    width: int = 64  # of the projection
    contrast: float = 1.0  # λ
    temperature: float = 0.1  # τ
    pauses: tuple[int, ...] = (1, 4)
    slots: tuple[int, ...] = (2, 4)  # beside 1
    dev: int = 64  # dialogues that rates are chosen by
    tests: int = 256  # dialogues
    test_batch: int = 128
    timed: tuple[tuple[int, int], ...] = ((1, 100), (32, 16))  # rows of a batch, and how many are timed
    seeds: tuple[int, ...] = (0, 1)

    @property
    def marker(self) -> int:
        """The token of a slot."""
        return self.token(SLOT)

    def token(self, word: str) -> int:
        return int(self.told.tokenizer().encode([word])[0][0])

    @property
    def how(self) -> Answering:
        return Answering(FinalAnswer(self.token("ans"), self.token("0")), self.length, self.limit, ((SEP,),))

    @property
    def writer(self) -> SlotWriter:
        """The CoT model."""
        return SlotWriter(self.net, self.marker, self.width)

    @property
    def reader(self) -> SlotReader:
        """The HCoT model."""
        return SlotReader(self.net, self.marker, self.net.embed)


@dataclass(frozen=True)
class Way:
    """What tells an arm from the others."""

    said: str = "visible"  # field of the records that is learned
    slots: int = 0
    hidden: bool = False  # filled by a CoT model
    trained: bool = True  # which is more than initial values
    contrast: bool = True
    wrong: bool = False  # thoughts with wrong values are negatives too
    like: str = HCOT  # whose learning rate it takes
    repeated: bool = False  # with every seed


def ways(cfg: Config) -> dict[str, Way]:
    """All arms."""
    hidden = Way(slots=1, hidden=True)
    made = {
        EXPLICIT: Way("explicit", like=EXPLICIT, repeated=True),
        ONLY: Way(like=ONLY, repeated=True),
        HCOT: replace(hidden, repeated=True),
        ALONE: replace(hidden, contrast=False, repeated=True),
        RANDOM: replace(hidden, trained=False, repeated=True),
        HARD: replace(hidden, wrong=True),
    }
    made |= {f"HCoT, {n} slots": replace(hidden, slots=n) for n in cfg.slots}
    return made | {f"answer only, {n} pause{'s' * (n > 1)}": Way(slots=n, like=ONLY) for n in cfg.pauses}


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    words = Config(llama(vocab=8)).told.tokenizer().vocab
    net = llama(vocab=words, embed=64, layers=2, heads=4, mlp=192, length=52)
    if name == "smoke":
        told = Dialogues(size=60, steps=((1, 2), (1,)), largest=6, seed=11)
        net = replace(net, vocab=told.tokenizer().vocab, embed=16, layers=1, heads=2, mlp=32)
        rows = {"length": 46, "prompt": 32, "thought": 16, "limit": 16, "batch": 16, "width": 8}
        some = {"pauses": (1,), "slots": (2,), "dev": 16, "tests": 16, "test_batch": 32, "timed": ((1, 3), (4, 2))}
        return Config(net, told, base=10, steps=(30, 30), rates=(1e-2,), seeds=(0,), **rows, **some)
    return Config(net)


# --- data ---


def learned(cfg: Config, seed: int, said: str, slots: int = 0, **more: Any) -> Answers:
    """Rows of the training dialogues: what is asked, with so many slots, and what is to be said."""
    how = {"tokenizer": cfg.told.tokenizer(), "batch": cfg.batch, "length": cfg.length, "seed": seed}
    return Answers(source=Slotted(cfg.told, slots), fields=("asked", said), **how, **more)


def thoughts(cfg: Config, seed: int, slots: int) -> Data:
    """Rows of the CoT model: prefix, slots and thought; beside them the thought alone, and a wrong one."""
    texts = tuple((name, f"{name} in slot") for name in ("thought", "wrong"))
    return Beside(data=learned(cfg, seed, "thought", slots), texts=texts, length=cfg.thought)


def asked(cfg: Config, part: str, slots: int, batch: int) -> PromptedText:
    """Prefixes with slots: of training dialogues, of held-out ones for choices, and of others."""
    told = {
        "train": cfg.told,
        "dev": replace(cfg.told, split="test", size=cfg.dev, seed=101),
        "test": replace(cfg.told, split="test", size=cfg.tests, seed=102),
    }[part]
    how = {"tokenizer": cfg.told.tokenizer(), "length": cfg.prompt, "field": "asked", "beside": ("answer", "middle")}
    return PromptedText(source=Slotted(told, slots), batch=min(batch, len(told)), **how)


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """The base; every arm with its seeds, at the rate that is best on dev prompts; what they say, and what slots tell."""
    text = learned(cfg, 5, "explicit", prompts=True)
    base = run.train(Stage("base", cfg.net, causal_lm, adam(cfg.base_rate, warmup=0.05, clip=1.0), text, cfg.base))
    found, rates = Found(cfg), {}
    for seed in cfg.seeds:
        for label, way in ways(cfg).items():
            if not way.repeated and seed != cfg.seeds[0]:
                continue
            tried = {}
            for rate in [rates[way.like]] if way.like in rates else cfg.rates:
                tried[rate] = trained(run, cfg, f"{seed}/{slug(label)}/{rate}", way, rate, seed, base)
            best = max(tried, key=lambda rate, tried=tried: tried[rate][-1].history.last("accuracy"))
            rates.setdefault(way.like, best)
            others = tuple(result for rate, own in tried.items() if rate != best for result in own)
            found.add(run, label, way, seed, tried[best], (base, *others))
    for rows, calls in cfg.timed:
        own = [net for label in TIMED for net in found.nets(label, cfg.seeds[0])]
        found.seconds[rows] = run.make(f"seconds/{rows}", seconds, cfg, rows, calls, *own)
    return report(found, rates)


def trained(run: Any, cfg: Config, at: str, way: Way, rate: float, seed: int, base: Any) -> tuple[Any, ...]:
    """The stages of one arm, of which the last one answers."""
    optimizer = adam(rate, warmup=0.05, decay="linear", clip=1.0)
    rows, steps = learned(cfg, seed, way.said, way.slots), sum(cfg.steps)
    dev = asked(cfg, "dev", way.slots, cfg.test_batch)
    test = Evaluation(dev, dev.size() // dev.batch, None, cfg.how, flops=dev.batch * answer_flops(cfg, way))
    if not way.hidden:
        return (run.train(Stage(at, cfg.net, causal_lm, optimizer, rows, steps, evaluate=test, seed=seed), base),)
    begin, first = {"hcot": base}, ()
    if way.trained:
        options = {"contrast": cfg.contrast * way.contrast, "temperature": cfg.temperature, "wrong": way.wrong}
        stage = Stage(
            name=f"{at}/cot",
            model=cfg.writer,
            objective=functools.partial(thought_in_slot, **options),
            optimizer=optimizer,
            data=thoughts(cfg, seed, way.slots),
            steps=cfg.steps[0],
            handover=Handover(params=into_writer),
            seed=seed,
        )
        first = (run.train(stage, base),)
        begin, steps = {"hcot": base, "cot": first[0]}, cfg.steps[1]
    stage = Stage(
        name=f"{at}/hcot",
        model={"hcot": cfg.reader, "cot": cfg.writer},
        objective=answer_behind_slot,
        optimizer={"hcot": optimizer, "cot": None},
        data=rows,
        steps=steps,
        step=joint_step,
        handover=Handover(params=into_reader),
        evaluate=replace(test, objective=slots.HiddenAnswering(cfg.how)),
        seed=seed,
    )
    return (*first, run.train(stage, begin))


@functools.cache
def answer_flops(cfg: Config, way: Way) -> float:
    """Of one answer that has all tokens that it may have."""
    nets = (cfg.reader, cfg.writer) if way.hidden else (cfg.net,)
    one = asked(cfg, "dev", way.slots, 1).spec()
    return float(flops_together(slots.answered, nets, one, cfg.how, while_trips=cfg.limit))


# --- measures ---


@dataclass(frozen=True)
class Found:
    """What was trained and measured: {label: {seed: ...}}."""

    cfg: Config
    arms: dict[str, dict[int, Arm]] = field(default_factory=dict)
    answers: dict[str, dict[int, Any]] = field(default_factory=dict)
    told: dict[str, dict[int, Any]] = field(default_factory=dict)
    seconds: dict[int, Any] = field(default_factory=dict)

    def add(
        self, run: Any, label: str, way: Way, seed: int, results: tuple[Any, ...], charged: tuple[Any, ...]
    ) -> None:
        """An arm with what it says and, of hidden thoughts, what their slots tell."""
        cfg, at = self.cfg, f"{seed}/{slug(label)}"
        self.arms.setdefault(label, {})[seed] = Arm("", results, charged)
        data = asked(cfg, "test", way.slots, cfg.test_batch)
        nets = self.nets(label, seed)
        made = run.make(f"{at}/answers", slots.scored, data, cfg.how, *nets, flops=data.size() * answer_flops(cfg, way))
        self.answers.setdefault(label, {})[seed] = made
        if way.hidden:
            how = (asked(cfg, "train", way.slots, cfg.test_batch), data, cfg.how, cfg.thought, cfg.told.largest + 1)
            self.told.setdefault(label, {})[seed] = run.make(f"{at}/slots", slots.told_by_slots, *how, nets[1])

    def nets(self, label: str, seed: int) -> tuple[Any, ...]:
        """The models that answer: one, or the HCoT model and its CoT model."""
        last = self.arms[label][seed].results[-1]
        return tuple(last.member(name) for name in last.model) if isinstance(last.model, dict) else (last,)

    def accuracy(self, label: str, turn: int | None = None) -> list[float]:
        """Of greedy answers to held-out turns, one a seed."""
        return self._means(label, "right", turn)

    def drawn(self, label: str) -> list[float]:
        """Tokens of an answer, mean."""
        return self._means(label, "drawn", None)

    def calls(self, label: str) -> list[float]:
        """Calls of a model for an answer, mean: a prompt read by each model, and one call for each token."""
        return [
            len(self.nets(label, seed)) + own for seed, own in zip(self.arms[label], self.drawn(label), strict=False)
        ]

    def tells(self, label: str, what: str) -> list[float]:
        """A measure of `told_by_slots`, one a seed; NaN of arms without slots."""
        return [own.value[what] if own.value else np.nan for own in self.told.get(label, {}).values()] or [np.nan]

    def faster(self, label: str, rows: int) -> float:
        """How many times faster than explicit CoT answers are."""
        made = self.seconds[rows].value
        return made[EXPLICIT] / made[label] if made else float("nan")

    def _means(self, label: str, what: str, turn: int | None) -> list[float]:
        known = [made.value[what] for made in self.answers[label].values() if made.value]
        if not known:
            return []
        data = asked(self.cfg, "test", 0, self.cfg.test_batch)
        turns = data.records(np.arange(data.size())) % len(self.cfg.told.steps) + 1
        return [float(own[(turns == turn) | (turn is None)].mean()) for own in known]


def seconds(cfg: Config, rows: int, calls: int, *nets: Any) -> dict[str, float]:
    """Seconds of an answer, in batches of so many rows, by each of the arms that are timed."""
    frozen = [Frozen.of(net) for net in nets]
    own = dict(zip(TIMED, (frozen[:1], frozen[1:2], frozen[2:]), strict=True))
    data = {label: asked(cfg, "test", ways(cfg)[label].slots, rows) for label in TIMED}
    return slots.seconds_a_query(own, data, cfg.how, calls)


# --- report ---


def judged(found: Found) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring."""
    hidden, explicit, only, alone, chance = (
        [100 * x for x in found.accuracy(label)] for label in (HCOT, EXPLICIT, ONLY, ALONE, RANDOM)
    )
    times = [found.faster(HCOT, rows) for rows, _ in found.cfg.timed]

    def said(text: str, *values: Any) -> str | None:
        return text.format(*(shown(own, ".1f") for own in values)) if hidden else None

    return (
        claim(
            "Hidden thoughts answer as explicit ones do, and better than none",
            paper="competitive with or above full CoT on four benchmarks (abstract)",
            measured=said("HCoT {} %, explicit {} %, answer only {} %", hidden, explicit, only),
            margin="5 points above answer only and at most 3 below explicit CoT, means over seeds",
            holds=mean(hidden) >= mean(only) + 5 and mean(hidden) >= mean(explicit) - 3,
        ),
        claim(
            "Answers behind hidden thoughts take less time than behind explicit ones", paper="1.5 times or more",
            measured=said("; ".join(f"{x:.2f} times, {n} at once" for x, (n, _) in zip(times, found.cfg.timed, strict=True))),
            margin="1.5 times or more wall-clock time a query, in each size of batches",
            holds=min(times) >= 1.5,
        ),
        claim(
            "The contrastive loss makes answers better", paper="improves accuracy (no figure read)",
            measured=said("{} %, without {} %", hidden, alone), margin="with it not below without it, means over seeds",
            holds=mean(hidden) >= mean(alone),
        ),
        claim(
            "What a trained CoT model leaves in its slot is of use", paper="taken for granted",
            measured=said("{} %, with a random CoT model {} %", hidden, chance),
            margin="every seed above that with a random CoT model",
            holds=all(one > other for one, other in zip(hidden, chance, strict=True)),
        ),
    )  # fmt: skip


def report(found: Found, rates: dict[str, float]) -> Report:
    """Everything that was measured, and the claims."""
    cfg, known = found.cfg, bool(found.accuracy(HCOT))
    turns = {f"turn {n + 1}": n + 1 for n in range(len(cfg.told.steps))}
    columns = {"all turns": None, **turns}
    work = tuple(
        (label, mean(found.drawn(label)), mean(found.calls(label)),
         *(found.seconds[rows].value[label] if known and label in TIMED else None for rows, _ in cfg.timed))
        for label in found.arms
    )  # fmt: skip
    told = {"retrieved": "retrieved", "before a wrong one": "against wrong", "first value": "middle",
            "answer": "answer", "printed": "printed"}  # fmt: skip
    return EXPERIMENT.report(
        judged(found),
        link="https://arxiv.org/abs/2409.08561",
        arms=by_seed(found.arms, EXPLICIT),
        tables=(
            table_of_means("Greedy answers that are right", tuple(found.arms), tuple(columns),
                           lambda label, column: found.accuracy(label, columns[column]) or [np.nan],
                           note="In % of held-out turns: mean ± standard deviation over seeds."),
            Table("What an answer takes", ("arm", "tokens drawn", "calls of a model",
                  *(f"{rows} at once" for rows, _ in cfg.timed)), work, ("", ".1f", ".1f", *["time"] * len(cfg.timed)),
                  "Means over held-out turns; seconds of a query with caches, the median of batches by seed "
                  f"{cfg.seeds[0]}. A prompt that is read is a call, of each model."),
            table_of_means("What slots tell", tuple(found.told), tuple(told),
                           lambda label, column: found.tells(label, told[column]),
                           note="In % of held-out turns: slots nearest to their thought among all and before one with a "
                           "wrong value; linear probes of the thought's values; thoughts said behind the slot, whole."),
            Table("What was chosen on dev prompts", ("arm, and those like it", "learning rate"), tuple(rates.items())),
        ),
        baseline=EXPLICIT,
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )  # fmt: skip


NOTES = ("TODO",)

EXPERIMENT = Experiment(
    name="hcot",
    title="HCoT: answers from hidden chains of thought",
    reference="Liu et al., 2024, arXiv 2409.08561",
    paper=88,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("hcot")
