"""HCoT: a thought is one hidden state of a first model, behind which a second one says the answer alone.

Paper    Liu et al., Expediting and Elevating Large Language Model Reasoning via Hidden Chain-of-Thought Decoding, 2024,
         arXiv 2409.08561 (dossier 088: abstract and summaries were read, no table).
Claim    A thought need not be decoded: a CoT model puts it into the state of one token [CoT], in one pass over what was
         asked; an HCoT model reads that state in its place, and writes what the user sees. On mathematics, agents and
         questions it answers as well as full CoT or better, 1.5 times faster or more; a contrastive loss helps. The
         thought can still be decoded from the CoT model.
Method   Dialogues x_1 (z_1) y_1 x_2 (z_2) y_2: one sample a turn, whose prefix is all before it but thoughts.
         1 CoT model    from the base; prefix [CoT] z: cross entropy of z + λ symmetric InfoNCE over the batch, of c, a
                        projection of the state at [CoT] behind the prefix, and g, of that at [CoT] behind z alone
         2 HCoT model   from the base, the CoT model frozen; prefix [CoT] y: cross entropy of y, and in place of the
                        token [CoT] a learned linear map of the CoT model's state there
         Arms of as many steps: explicit CoT (z y), answer only, answer only behind 1 and 4 pause tokens; HCoT without
         the contrast, on a CoT model of random values, with wrong thoughts as further negatives (ours), with 4 slots.
         Tasks: sums in 2 or 3 steps, then in 1 or 2 that go on from the answer, generated; and SVAMP's programs as they
         are, told in the same words. Answers are greedy, with caches; earlier answers of a dialogue are given.
Run      stagejax run hcot                 laptop: 5 to 7 minutes on two cores
         stagejax run hcot --preset smoke  a minute, most of it compilation
         stagejax plan hcot --preset pod --mesh data=16,fsdp=16
Holds if (1) HCoT's accuracy on held-out turns is 5 points or more above answer only and at most 3 below explicit CoT,
         means over seeds; (2) it takes 1.5 times less wall-clock time a query or better than explicit CoT, one at once
         and 32; (3) with the contrastive loss it is not below without, means; (4) on every seed it is above HCoT with a
         random CoT model, the control that the state says anything.
Ours     113k parameters a model, 500 steps, two seeds from one base, ± their deviation. (1) does not hold: HCoT 22.3 ±
         2.5 %, answer only 30.1 ± 0.8, explicit CoT 94.2 ± 5.4; one seed: with wrong thoughts 20.9, 4 slots 19.7, 1 and
         4 pauses 31.1 and 35.9. (2) does not hold: 1.20 and 1.18 times faster (1.21 ms, explicit 1.45, answer only
         0.76), though 3.0 tokens are drawn and not 14.3, and models are called 5.0 and not 15.3 times. (3) holds, by
         nothing: 22.1 ± 3.3 without. (4) does not hold: 32.8 ± 0.8 with a random CoT model, beside which the HCoT model
         has 500 steps and not 250. A slot finds its own thought among all in 72.6 ± 10.4 %, without the contrast, which
         alone trains its projection, in 3.5, but before one with a wrong value in 48.2, and a probe reads the answer in
         11.4: it tells which problem, not its values. Whole thoughts are said behind it in 4.0 ± 5.1 %, without the
         contrast in 39.2 ± 2.9. 397 s, all results together, on two shared cores.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.data import Dataset, Source
from stagejax.data.pipeline import Data
from stagejax.data.prompts.answers import Answers, PromptedText
from stagejax.data.reasoning.dialogues import SLOT, Beside, Dialogues, Slotted
from stagejax.data.reasoning.problems import PLAIN
from stagejax.data.reasoning.retold import Retold
from stagejax.data.tokenizers import SEP
from stagejax.decode.steps import FinalAnswer
from stagejax.inference.answering import Answering
from stagejax.inference.prompts import slots
from stagejax.inference.several import flops_together
from stagejax.models import Transformer, llama
from stagejax.models.text.slots import SlotReader, SlotWriter, into_reader, into_writer
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.text.slots import answer_behind_slot, thought_in_slot
from stagejax.optimizer import adam
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.steps.joint import joint_step

EXPLICIT, ONLY, HCOT = "explicit CoT", "answer only", "HCoT"
ALONE, HARD, RANDOM = "HCoT, no contrast", "HCoT, wrong thoughts too", "HCoT, random CoT model"
REAL = "SVAMP's programs"
#: Arms whose answers are timed.
TIMED = (EXPLICIT, ONLY, HCOT)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    told: Dialogues = field(default_factory=lambda: Dialogues(steps=((2, 3), (1, 2)), largest=12, seed=11))
    real: Source | None = field(default_factory=lambda: Dataset("svamp", "test"))  # whose programs are asked too
    length: int = 52  # tokens of a row: prefix, slots, thought and answer
    visible: int = 41  # of one without a thought
    prompt: int = 38  # tokens of a prefix with its slots
    thought: int = 24  # tokens of a thought with its slots
    limit: int = 24  # tokens of an answer
    base: int = 100  # steps on the task's text
    steps: tuple[int, int] = (250, 250)  # of the CoT model and of the HCoT model; every other model has their sum
    batch: int = 32
    base_rate: float = 3e-3
    rates: tuple[float, ...] = (2e-3, 6e-3)  # of which each arm's is chosen
    width: int = 64  # of the projection
    contrast: float = 1.0  # λ
    temperature: float = 0.1  # τ
    pauses: tuple[int, ...] = (1, 4)
    slots: tuple[int, ...] = (4,)  # beside 1
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
        """The id of a word."""
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
        rows = {"length": 46, "visible": 36, "prompt": 32, "thought": 16, "limit": 16, "batch": 16, "width": 8}
        some = {"pauses": (1,), "slots": (2,), "dev": 16, "tests": 16, "test_batch": 32, "timed": ((1, 3), (4, 2))}
        return Config(net, told, base=10, steps=(30, 30), rates=(1e-2,), seeds=(0,), real=None, **rows, **some)
    if name == "pod":
        told = Dialogues(size=7473, steps=((2, 3, 4), (2, 3)), largest=100, wording=PLAIN, seed=11)  # as many as GSM8K
        sizes = {"embed": 4096, "layers": 32, "heads": 32, "mlp": 11_008, "length": 128}
        large = llama(vocab=32_000, scan=True, remat="full", **sizes)
        rows = {"length": 128, "visible": 100, "prompt": 96, "thought": 40, "limit": 40, "batch": 256, "width": 1024}
        rates = {"base": 1, "base_rate": 2e-5, "rates": (1e-5, 2e-5), "steps": (176, 176)}
        return Config(large, told, **rows, **rates, dev=128, test_batch=256, slots=(2, 4), seeds=(0,))
    return Config(net)


# --- data ---


def learned(cfg: Config, seed: int, said: str, slots: int = 0, **more: Any) -> Answers:
    """Rows of the training dialogues: what is asked, with so many slots, and what is to be said."""
    length = cfg.visible if said == "visible" else cfg.length
    how = {"tokenizer": cfg.told.tokenizer(), "batch": cfg.batch, "length": length, "seed": seed}
    return Answers(source=Slotted(cfg.told, slots), fields=("asked", said), **how, **more)


def thoughts(cfg: Config, seed: int, slots: int) -> Data:
    """Rows of the CoT model: prefix, slots and thought; beside them the thought alone, and a wrong one."""
    texts = tuple((name, f"{name} in slot") for name in ("thought", "wrong"))
    return Beside(data=learned(cfg, seed, "thought", slots), texts=texts, length=cfg.thought)


def asked(cfg: Config, part: str, slots: int, batch: int) -> PromptedText:
    """Prefixes with slots: of training dialogues, of held-out ones for choices, of others, and of real programs."""
    told = {
        "train": cfg.told,
        "dev": replace(cfg.told, split="test", size=cfg.dev, seed=101),
        "test": replace(cfg.told, split="test", size=cfg.tests, seed=102),
    }
    told |= {} if cfg.real is None else {"real": Retold(cfg.real, cfg.told)}
    how = {"tokenizer": cfg.told.tokenizer(), "length": cfg.prompt, "field": "asked", "beside": ("answer", "middle")}
    return PromptedText(source=Slotted(told[part], slots), batch=batch, **how)


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """The base; every arm with its seeds, at the best of its rates; what they say, and what slots tell."""
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
            found.add(run, label, way, seed, Arm("", tried[best], (base, *others)))
    for rows, calls in cfg.timed:
        nets = {label: found.nets(label, cfg.seeds[0]) for label in TIMED}
        timed = tuple((k, asked(cfg, "test", ways(cfg)[k].slots, rows), len(own)) for k, own in nets.items())
        made = (timed, cfg.how, calls, *(net for own in nets.values() for net in own))
        found.seconds[rows] = run.make(f"seconds/{rows}", slots.seconds_a_query, *made)
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
        loss, hand = functools.partial(thought_in_slot, **options), Handover(params=into_writer)
        data, cot = thoughts(cfg, seed, way.slots), cfg.steps[0]
        stage = Stage(f"{at}/cot", cfg.writer, loss, optimizer, data, cot, handover=hand, seed=seed)
        first = (run.train(stage, base),)
        begin, steps = {"hcot": base, "cot": first[0]}, cfg.steps[1]
    models, optimizers = {"hcot": cfg.reader, "cot": cfg.writer}, {"hcot": optimizer, "cot": None}
    how = {"step": joint_step, "handover": Handover(params=into_reader), "seed": seed}
    how["evaluate"] = replace(test, objective=slots.HiddenAnswering(cfg.how))
    stage = Stage(f"{at}/hcot", models, answer_behind_slot, optimizers, rows, steps, **how)
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
    real: dict[str, dict[int, Any]] = field(default_factory=dict)
    told: dict[str, dict[int, Any]] = field(default_factory=dict)
    seconds: dict[int, Any] = field(default_factory=dict)

    def add(self, run: Any, label: str, way: Way, seed: int, arm: Arm) -> None:
        """An arm with what it says and, of hidden thoughts, what their slots tell."""
        cfg, at = self.cfg, f"{seed}/{slug(label)}"
        self.arms.setdefault(label, {})[seed] = arm
        data = asked(cfg, "test", way.slots, cfg.test_batch)
        nets = self.nets(label, seed)
        made = run.make(f"{at}/answers", slots.scored, data, cfg.how, *nets, flops=data.size() * answer_flops(cfg, way))
        self.answers.setdefault(label, {})[seed] = made
        if cfg.real is not None:
            data = asked(cfg, "real", way.slots, cfg.test_batch)
            self.real.setdefault(label, {})[seed] = run.make(f"{at}/real", slots.scored, data, cfg.how, *nets)
        if way.hidden:
            two = [asked(cfg, part, way.slots, cfg.test_batch) for part in ("train", "test")]
            how = (*two, cfg.how, cfg.thought, cfg.told.largest + 1)
            self.told.setdefault(label, {})[seed] = run.make(f"{at}/slots", slots.told_by_slots, *how, nets[1])

    def nets(self, label: str, seed: int) -> tuple[Any, ...]:
        """The models that answer: one, or the HCoT model and its CoT model."""
        last = self.arms[label][seed].results[-1]
        return tuple(last.member(name) for name in last.model) if isinstance(last.model, dict) else (last,)

    def accuracy(self, label: str, column: str = "all turns") -> list[float]:
        """Of greedy answers to held-out turns, all or those of one number, or to SVAMP's programs; one a seed."""
        made = (self.real if column == REAL else self.answers).get(label, {})
        turn = int(column.split()[1]) if column.startswith("turn") else 0
        return [float(own[self._turns() == turn if turn else slice(None)].mean()) for own in _known(made, "right")]

    def drawn(self, label: str) -> list[float]:
        """Tokens of an answer, mean."""
        return [float(own.mean()) for own in _known(self.answers[label], "drawn")]

    def calls(self, label: str) -> list[float]:
        """Calls of a model for an answer, mean: a prompt read by each model, and one call for each token."""
        models = len(self.nets(label, next(iter(self.arms[label]))))
        return [models + own for own in self.drawn(label)]

    def tells(self, label: str, what: str) -> list[float]:
        """A measure of `told_by_slots`, one a seed; NaN of arms without slots."""
        return [own.value[what] if own.value else np.nan for own in self.told.get(label, {}).values()] or [np.nan]

    def faster(self, label: str, rows: int) -> float:
        """How many times faster than explicit CoT answers are."""
        made = self.seconds[rows].value
        return made[EXPLICIT] / made[label] if made else float("nan")

    def _turns(self) -> np.ndarray:
        """Which turn of its dialogue each test record is."""
        data = asked(self.cfg, "test", 0, self.cfg.test_batch)
        return data.records(np.arange(data.size())) % len(self.cfg.told.steps) + 1


def _known(made: dict[int, Any], what: str) -> list[np.ndarray]:
    return [own.value[what] for own in made.values() if own.value]


# --- report ---


def judged(found: Found) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring."""
    hidden, explicit, only, alone, chance = (
        [100 * x for x in found.accuracy(label)] for label in (HCOT, EXPLICIT, ONLY, ALONE, RANDOM)
    )
    times = {rows: found.faster(HCOT, rows) for rows, _ in found.cfg.timed}

    def said(text: str, *values: Any) -> str | None:
        return text.format(*(shown(own, ".1f") for own in values)) if hidden else None

    # fmt: off
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
            measured=said("; ".join(f"{x:.2f} times, {n} at once" for n, x in times.items())),
            margin="1.5 times or more wall-clock time a query, in each size of batches",
            holds=min(times.values()) >= 1.5,
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
    )
    # fmt: on


def report(found: Found, rates: dict[str, float]) -> Report:
    """Everything that was measured, and the claims."""
    cfg, known = found.cfg, bool(found.accuracy(HCOT))
    columns = ["all turns", *(f"turn {n + 1}" for n in range(len(cfg.told.steps))), *([REAL] if found.real else [])]
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
            table_of_means("Greedy answers that are right", tuple(found.arms), columns,
                           lambda label, column: found.accuracy(label, column) or [np.nan],
                           note="In %: mean ± standard deviation over seeds. Turns are of held-out programs; of "
                           "SVAMP's programs, told in our words, most are among those of training."),
            Table("What an answer takes", ("arm", "tokens drawn", "calls of a model",
                  *(f"{rows} at once" for rows, _ in cfg.timed)), work, ("", ".1f", ".1f", *["time"] * len(cfg.timed)),
                  "Means over held-out turns; seconds of a query with caches, the median of batches by seed "
                  f"{cfg.seeds[0]}. A prompt that is read is a call, of each model."),
            table_of_means("What slots tell", tuple(found.told), tuple(told),
                           lambda label, column: found.tells(label, told[column]),
                           note="In % of held-out turns: slots nearest to their thought among all, and before one with "
                           "a wrong value; linear probes of values; whole thoughts said behind the slot."),
            Table("Chosen on dev prompts", ("arm, and those like it", "learning rate"), tuple(rates.items())),
        ),
        baseline=EXPLICIT,
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )  # fmt: skip


NOTES = (
    "Which state stands for the thought, its temperature, λ, the projection and all rates are not in what was read of "
    "the paper: g is taken behind the thought alone, so that it cannot be copied from [CoT]; λ = 1, τ = 0.1.",
    "Rates: of two the better for each of explicit CoT, answer only and HCoT, by dev prompts with the first seed; the "
    "other arms take that of the one they vary. Their searches are charged to them. HCoT has one rate for both stages.",
    "Steps are equal, FLOPs are not: the CoT model also reads thoughts alone, rows without thoughts are shorter.",
    "The task was set by explicit CoT and answer only in try-outs of 800 steps, one seed, dev prompts, turns of 3 and "
    "2 steps: with numbers to 20 they were at 100 and 19 %, with numbers to 12 answer only at 40 %, and at 29 % with "
    "four narrower layers. HCoT was seen in them: 20 %, with wrong thoughts as negatives 30 and 31 %. Steps were then "
    "cut to 500 for time; after 200 on the present task: explicit 55 %, answer only 20, HCoT 20, with wrong ones 18.",
    "The CoT model has half of the steps, the HCoT model the other half; the random one leaves all to the HCoT model.",
    "Times were taken while the machine did other work; the ways took turns, and medians are compared.",
    "A turn's program is held out, from the value it begins with; dev and test prompts may share programs.",
    "SVAMP's programs: the 179 of its 1000 test problems that are chains of numbers to 12. Its words are out of reach "
    "of models of this size from random values. A step alone, as 150 of them are, is a first turn that training does "
    "not have; but 133 are programs of its turns, most of these second ones, so this is no test of new programs.",
    "LEGO chains, the second task of the dossier, were left out; of the slots 1 and 4 were tried, one seed.",
    "pod: generated dialogues, as many as GSM8K has problems, since answers are judged by one token.",
)

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
