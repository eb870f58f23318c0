"""Self-sampled solutions: a learner finds further programs that are right, or right so far, and learns them as well.

Paper    Ni et al., Learning Math Reasoning from Self-Sampled Correct and Partially-Correct Solutions, ICLR 2023,
         arXiv 2205.14318 (dossier 078).
Claim    One reference program for each problem biases a model. Learning from programs that it samples while it is
         tuned, fully correct (FCS) and partially correct ones (PCS), raises pass@100 on GSM8K from 35.5 to 44.5 % and
         pass@80 on MathQA from 27.6 to 36.2 %.
Method   A pre-trained model -> one stage of sampling and tuning. A step samples programs for each problem of its
         batch, at temperature 0.8, and executes them. A right answer makes an FCS; of the others the longest prefix
         whose state, the values of all variables, is one on the way of a known program makes a PCS: neither may have
         more statements than the shortest known way there. No program is kept twice, nor as a prefix of another.
         Samples begin at a PCS of the problem's, or the empty program. The loss is over known programs, the end behind
         full ones only:
         MLE-Aug   -sum_j s_j,  s_j = log p(program_j | problem)        MML   -log sum_j exp(s_j)
         beta-MML  -(1 / beta) log sum_j exp(beta s_j), beta = 0.25
         Beside them MLE, on references alone, for as many steps and twice as many; and MLE-Aug on FCS + PCS whose
         samples all begin from scratch. A step of these arms has as many rows of programs: 2 of each of 16 problems,
         drawn among the known ones, or the references of 32. One more MLE has those of 16, half the rows, so that it
         reads each problem as often as the arms with samples do.
         The problems are those of MAWPS and ASDiv-A whose equations have two or three operations; the model was
         pre-trained on those with one. Questions speak of n0, n1, ... for their numbers, and so do programs.
Run      stagejax run self_sampled_partial_solutions                   laptop: about 6 minutes on two cores
         stagejax run self_sampled_partial_solutions --preset smoke    seconds
         stagejax plan self_sampled_partial_solutions --preset pod --mesh data=16,fsdp=16
Holds if on held-out problems, three seeds: pass@50 (of 50 samples at temperature 0.8) of MLE-Aug on FCS + PCS is 5
         points or more above MLE's; pass@50 of beta-MML is above MML's, both on FCS, by more than the deviation of the
         paired differences over seeds (n - 1); and with every seed more programs are known at the end with PCS than
         with FCS only (both MLE-Aug). pass@1 at temperature 0.2 is reported.
Ours     512 problems, 160 steps, 0.09M parameters; 160 held-out problems, 96 of SVAMP; seeds 0 to 2, or 0 where no ±:
                                    held out, %                SVAMP, %     known programs
                                    pass@1 (0.2)  pass@50      pass@50      beside the reference
         FCS, MLE-Aug               46.4 ± 3.3    79.2 ± 5.2   59.0 ± 5.1   0.56 ± 0.02
         FCS, beta-MML              49.0 ± 4.2    78.5 ± 1.6   54.2 ± 2.8   0.44 ± 0.02
         FCS + PCS, MLE-Aug         47.0 ± 4.6    78.3 ± 1.0   59.0 ± 3.7   0.80 ± 0.09, and 0.10 ± 0.01 partial
         FCS + PCS, from scratch    48.3          78.1         60.4         0.61, and 0.15 partial
         MLE, half the rows         48.7 ± 5.2    77.7 ± 1.4   56.6 ± 6.7
         FCS, MML                   51.0 ± 4.5    76.2 ± 1.1   51.0 ± 2.8   0.40 ± 0.03
         MLE                        55.2 ± 2.8    75.6 ± 3.1   36.8 ± 4.2
         MLE, twice the steps       57.2          68.1         24.0
         The first claim does not hold, +2.7 ± 3.0 points; the others do, +2.3 ± 1.0 points and +0.34 ± 0.10 programs.
         Most of the gain over MLE, on SVAMP too (+22 points), is had without a sample, from half as many turns of each
         problem: FCS + PCS is 0.6 and 2.4 points above that arm, less than seeds differ by. Of the samples 1 to 2 % are
         new full programs. Held-out pass@1 is best with MLE of all rows. 515 CPU seconds; 789 s on two busy cores.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.apart import take_apart
from stagejax.data import BPE, TFDS, Portion, Source, Tokenizer
from stagejax.data.prompts.answers import Answers
from stagejax.data.published import C4
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.program_problems import CONSTANTS, SYMBOLS, Annotated, Challenge, Equations, ProgramChains
from stagejax.data.reasoning.solving import Solving
from stagejax.data.reasoning.straight_line import answer_of
from stagejax.data.tokenizers import SEP, codec
from stagejax.data.vocabulary.common_words import CommonWords
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.decode import Prompts, pass_at, sample
from stagejax.inference import Frozen, compiled
from stagejax.ledger import count_flops
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.text.marginal import AnyOf, SeveralAnswers, all_of
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, above_spread, by_seed, claim, shown, table_of_means
from stagejax.steps.self_sampling import Buffer, ReferenceStep, SelfSampling, on_references, with_flops

MLE, LONGER, HALF = "MLE", "MLE, twice the steps", "MLE, half the rows"
FULL, SMOOTH, MARGINAL = "FCS, MLE-Aug", "FCS, beta-MML", "FCS, MML"
PARTIAL, SCRATCH = "FCS + PCS, MLE-Aug", "FCS + PCS, from scratch"
#: The loss of each arm, whether it keeps partial programs, and whether samples begin at them.
SAMPLED = {
    FULL: (all_of, False, False),
    SMOOTH: (AnyOf(0.25), False, False),
    MARGINAL: (AnyOf(1.0), False, False),
    PARTIAL: (all_of, True, True),
    SCRATCH: (all_of, True, False),
}
ARMS = (MLE, LONGER, HALF, *SAMPLED)
TWO_OR_THREE = Equations(operations=(2, 3), longest=40)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    tokenizer: Tokenizer
    read: Source  # problems with programs that the model is pre-trained on, questions included
    problems: Source  # that it is tuned on
    tests: tuple[tuple[str, Source, int], ...]  # name, problems, batches; claims are judged on the first
    size: int = 512  # problems of `problems`, the first; a multiple of the batch, so that none comes twice in one
    prompt: int = 41  # tokens with CLS
    program: int = 18  # tokens without its end
    pretraining: tuple[int, int] = (400, 32)  # steps, batch
    steps: int = 160
    batch: int = 16  # problems of a step
    samples: int = 8  # of each
    programs: int = 2  # known ones of each that are learned; MLE takes the references of as many problems more
    places: int = 16  # for known programs of a problem, beside its reference
    rates: tuple[float, float] = (4e-3, 5e-3)  # of pre-training, and of tuning
    warmup: float = 0.05  # share of the steps
    temperature: float = 0.8
    greedier: float = 0.2  # temperature of pass@1
    attempts: tuple[int, int] = (50, 8)  # samples of a test problem at either temperature
    ks: tuple[int, ...] = (1, 5, 20, 50)
    test_batch: int = 32
    arms: tuple[str, ...] = ARMS
    once: tuple[str, ...] = (LONGER, SCRATCH)  # arms with the first seed only, of which no claim speaks
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def length(self) -> int:
        """Tokens of a row."""
        return self.prompt + self.program + 1


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        own = ProgramChains(Problems(size=64, steps=(2, 3), seed=1))
        words, test = own.tokenizer(), ProgramChains(replace(own.source, size=32, split="test"))
        net = llama(vocab=words.vocab, embed=32, layers=2, heads=4, mlp=64, length=96, tied=True)
        few: dict[str, Any] = {"size": 64, "prompt": 48, "steps": 24, "batch": 16, "attempts": (8, 2), "ks": (1, 8)}
        few |= {"pretraining": (150, 32), "places": 6, "test_batch": 16, "seeds": (0,)}
        read = ProgramChains(Problems(size=400, steps=(1, 2), seed=2))
        return Config(net, words, read, own, (("test", test, 2),), arms=(MLE, FULL, PARTIAL), rates=(1e-2, 3e-3), **few)
    if name == "pod":
        gsm8k = Annotated(TFDS("gsm8k"), fields=("question", "answer"))
        large = llama(vocab=50_304, embed=2560, layers=32, heads=20, mlp=6912, length=512, scan=True, remat="full")
        many: dict[str, Any] = {"size": 6400, "prompt": 350, "program": 160, "pretraining": (1, 256), "places": 100}
        many |= {"steps": 50_000, "batch": 256, "programs": 8, "rates": (1e-4, 1e-4), "warmup": 0.002}
        many |= {"attempts": (100, 20), "ks": (1, 10, 100), "test_batch": 256, "seeds": (0,)}
        return Config(large, LearnedFrom(BPE(50_304), C4), gsm8k, gsm8k, (("test", gsm8k.of_split("test"), 4),), **many)
    words = LearnedFrom(CommonWords(600, (*SYMBOLS, *CONSTANTS)), Equations(), "question")
    one, test = replace(TWO_OR_THREE, operations=(1, 1)), replace(TWO_OR_THREE, split="test")
    net = llama(vocab=words.vocab, embed=48, layers=2, heads=4, mlp=128, length=64, tied=True)
    return Config(net, words, one, TWO_OR_THREE, (("held out", test, 5), ("SVAMP", Challenge(TWO_OR_THREE), 3)))


# --- data ---


def problems(cfg: Config, batch: int, seed: int) -> Solving:
    """What all arms learn from; they differ in how many problems a step has."""
    source = Portion(cfg.problems, stop=cfg.size)
    how = {"tokenizer": cfg.tokenizer, "prompt": cfg.prompt, "program": cfg.program}
    return Solving(source=source, batch=batch, seed=seed, **how)


def tested(cfg: Config, source: Source, batches: int) -> Solving:
    """The first problems of a test, in an order of its own."""
    how = {"tokenizer": cfg.tokenizer, "prompt": cfg.prompt, "program": cfg.program}
    return Solving(source=source, batch=cfg.test_batch, count=batches, **how)


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """The pre-trained model, every arm with every seed, and what they answer."""
    read = Answers(
        source=cfg.read, tokenizer=cfg.tokenizer, batch=cfg.pretraining[1], length=cfg.length - 1, prompts=True,
        fields=("question", "program"),
    )  # fmt: skip
    first = adamw(cfg.rates[0], warmup=0.05, decay="linear", weight_decay=0.1, clip=1.0)
    base = run.train(Stage("pre-trained", cfg.net, causal_lm, first, read, cfg.pretraining[0]))
    arms: dict[str, dict[int, Arm]] = {arm: {} for arm in cfg.arms}
    scores: dict[tuple[str, int], Any] = {}
    for seed in cfg.seeds:
        for arm in (arm for arm in cfg.arms if seed == cfg.seeds[0] or arm not in cfg.once):
            stage = sampling(cfg, arm, seed) if arm in SAMPLED else tuned(cfg, arm, seed)
            result = run.train(stage, {"learner": base} if arm in SAMPLED else base)
            arms[arm][seed] = Arm("", (base, result))
            asked = cfg.test_batch * sum(batches for _, _, batches in cfg.tests)
            flops = sum(cfg.attempts) * asked * answer_flops(cfg)
            scores[arm, seed] = run.make(f"{stage.name}/scores", scored, cfg, result, flops=flops)
    return report(cfg, arms, scores)


def tuned(cfg: Config, arm: str, seed: int) -> Stage:
    """Maximum likelihood of the references: the recipe that all arms share."""
    data = problems(cfg, cfg.batch * (1 if arm == HALF else cfg.programs), seed)
    _, source, batches = cfg.tests[0]
    return Stage(
        name=f"{seed}/{slug(arm)}",
        model=cfg.net,
        objective=SeveralAnswers(all_of),
        optimizer=adamw(cfg.rates[1], warmup=cfg.warmup, decay="linear", weight_decay=0.1, clip=1.0),
        data=data,
        steps=cfg.steps * (2 if arm == LONGER else 1),
        step=ReferenceStep(),
        evaluate=Evaluation(tested(cfg, source, batches), batches, objective=on_references),
        seed=seed,
    )


def sampling(cfg: Config, arm: str, seed: int) -> Stage:
    """Sampling and tuning in one stage: half as many problems, each with up to two of its known programs."""
    loss, partial, continued = SAMPLED[arm]
    plain, data = tuned(cfg, arm, seed), problems(cfg, cfg.batch, seed)
    step = SelfSampling(cfg.tokenizer, data.source, cfg.programs, cfg.samples, cfg.temperature, partial, continued)
    stage = replace(
        plain,
        model={"learner": cfg.net, "buffer": Buffer(cfg.size, cfg.places, cfg.program)},
        objective={"learner": SeveralAnswers(loss), "buffer": None},
        optimizer={"learner": plain.optimizer, "buffer": None},
        data=data,
        step=step,
    )
    return with_flops(stage)


# --- answers ---


@functools.cache
def answer_flops(cfg: Config) -> float:
    """FLOPs of one sampled program, as if it had all tokens that it may have."""
    _, _, params, rest = take_apart(cfg.net)
    ints = functools.partial(jax.ShapeDtypeStruct, dtype=np.dtype("int32"))
    batch, key = {"tokens": ints((1, cfg.prompt)), "lengths": ints((1,))}, jax.eval_shape(lambda: jax.random.key(0))
    draw = compiled(attempts, cfg.net, cfg, 1, cfg.temperature)
    return float(count_flops(draw, params, rest, batch, key, while_trips=cfg.program + 1))


def attempts(model: Any, batch: Any, key: Any, cfg: Config, n: int, temperature: float) -> Any:
    """`n` programs for each problem of a batch of `Solving`."""
    how = {"length": cfg.length, "limit": cfg.program + 1, "stops": ((SEP,),), "temperature": temperature}
    return sample(model, Prompts(batch["tokens"], batch["lengths"]), key, n=n, **how)


def judged(cfg: Config, net: Frozen, source: Source, batches: int, n: int, temperature: float) -> np.ndarray:
    """How many of `n` sampled programs give the answer, for each of the first problems of a test."""
    data, code, found = tested(cfg, source, batches), codec(cfg.tokenizer, cfg.problems, "question"), []
    draw = compiled(attempts, net.config, cfg, n, temperature)
    for start in range(0, data.batch * batches, data.batch):
        numbers = np.arange(start, start + data.batch)
        batch = data.take(numbers)
        drawn = jax.tree.map(np.asarray, draw(net.params, net.rest, batch, jax.random.key(start)))
        for row, index in enumerate(batch["record"].tolist()):
            record, right = source[index], 0
            for tokens, first, end in zip(drawn.tokens_BNS[row], drawn.starts_BN[row], drawn.ends_BN[row], strict=True):
                right += answer_of(code.decode(tokens[first:end]), record["numbers"]) == record["answer"]
            found.append(right)
    return np.array(found)


def scored(cfg: Config, result: Any) -> dict[str, np.ndarray]:
    """Right programs of each test problem at both temperatures; of an arm that samples, what is known at the end."""
    several = isinstance(result.model, dict)
    net, found = Frozen.of(result.member("learner") if several else result), {}
    for name, source, batches in cfg.tests:
        for n, temperature in zip(cfg.attempts, (cfg.temperature, cfg.greedier), strict=True):
            found[f"{name}, {temperature}"] = judged(cfg, net, source, batches, n, temperature)
    if several:
        rest = result.member("buffer").state().rest
        there, full = np.asarray(rest["tokens"])[..., 0] > 0, np.asarray(rest["full"])
        found |= {"full": (there & full).sum(1), "partial": (there & ~full).sum(1)}
    return found


# --- report ---


def report(cfg: Config, arms: dict[str, dict[int, Arm]], scores: dict[tuple[str, int], Any]) -> Report:
    """pass@k of all arms, what they found, and the three claims."""
    most, first = max(cfg.ks), cfg.tests[0][0]

    def over(arm: str, name: str, measure: Any) -> list[float]:
        """A measure of one array of the scores, for each seed."""
        made = (scores[arm, seed].value for seed in cfg.seeds if (arm, seed) in scores)
        return [float(measure(np.asarray(value[name]))) for value in made if value and name in value]

    def passing(arm: str, k: int, test: str = first) -> list[float]:
        n = cfg.attempts[0]
        rate = lambda right: np.mean([pass_at(k, samples=n, right=int(r)) for r in right])  # noqa: E731
        return over(arm, f"{test}, {cfg.temperature}", rate)

    def known(arm: str, what: str) -> list[float]:
        return over(arm, what, lambda found: found.sum() / cfg.size)

    def total(arm: str) -> np.ndarray:
        return np.add(known(arm, "full"), known(arm, "partial"))

    gain = np.subtract(passing(PARTIAL, most), passing(MLE, most)) if PARTIAL in cfg.arms else np.array([])
    smooth = np.subtract(passing(SMOOTH, most), passing(MARGINAL, most)) if MARGINAL in cfg.arms else np.array([])
    more = total(PARTIAL) - total(FULL)
    clear = above_spread(smooth)
    # fmt: off
    claims = (
        claim(
            f"Learning from own full and partial solutions raises pass@{most}",
            paper="35.5 -> 44.5 % pass@100 (GSM8K), 27.6 -> 36.2 % pass@80 (MathQA)",
            measured=shown(100 * gain, "+.1f") if len(gain) else None, unit="points",
            margin="MLE-Aug on FCS + PCS 5 points or more above MLE, mean over seeds",
            holds=bool(len(gain)) and gain.mean() >= 0.05,
        ),
        claim(
            "The smoothed marginal likelihood is better than the marginal likelihood",
            paper="MML below beta-MML",
            measured=shown(100 * smooth, "+.1f") if len(smooth) > 1 else None, unit="points",
            margin=f"pass@{most} of beta-MML above MML's by more than the deviation of paired differences",
            holds=clear,
        ),
        claim(
            "More programs are found where partial ones are kept and completed",
            paper="as mechanism",
            measured=shown(more, "+.2f") if len(more) else None, unit="a problem",
            margin="more known programs than with full ones only, with every seed",
            holds=bool(len(more)) and bool((more > 0).all()),
        ),
    )
    # fmt: on
    sampled = [arm for arm in cfg.arms if arm in SAMPLED]
    tables = []
    for name, _, _ in cfg.tests:
        columns = {"pass@1, cooler": None, **{f"pass@{k}": k for k in cfg.ks}}

        def measure(arm: str, column: str, name: str = name, columns: Any = columns) -> list[float]:
            k = columns[column]
            if k is None:
                return over(arm, f"{name}, {cfg.greedier}", lambda right: right.mean() / cfg.attempts[1])
            return passing(arm, k, name)

        note = f"In %, mean ± standard deviation over seeds. T = {cfg.temperature}; cooler: T = {cfg.greedier}."
        tables.append(table_of_means(f"Problems solved: {name}", cfg.arms, list(columns), measure, note=note))
    found = table_of_means(
        "Programs known at the end, beside the reference", sampled, ["full", "partial"], known, scale=1, digits=2,
        note="Of a problem, mean over all; ± standard deviation over seeds.",
    )  # fmt: skip
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2205.14318",
        arms=by_seed(arms, MLE),
        tables=(*tables, found, verdict_table(arms, sampled)),
        baseline=MLE,
        metric="nats",
        seeds=cfg.seeds,
        notes=NOTES,
    )


def verdict_table(arms: dict[str, dict[int, Arm]], sampled: list[str]) -> Table:
    """What became of the samples of each arm, over the whole stage."""
    columns = ("full", "partial", "known", "too_long", "wrong", "not_executable", "continued")

    def share(arm: str, column: str) -> list[float]:
        histories = [own.results[-1].history.train.get(column, []) for own in arms[arm].values()]
        return [float(np.mean(values)) for values in histories if len(values)]

    note = "In % of the samples: new full or partial, known already, ... Continued: begun at a partial program."
    return table_of_means("What was sampled", sampled, columns, share, note=note)


NOTES = (
    "Numbers of the question are n0, n1, ... from the start; in the paper a program's first statements name them.",
    "Arithmetic is exact, so that regrouped sums reach the same state; the paper compares floats as strings.",
    "The loss is of programs alone. In the released configurations the question's tokens are learned as well, which "
    "adds the same to the score of every program of a problem.",
    "In place of a pre-trained code model: a small one, pre-trained on problems of one operation.",
    "The paper's loss is over all known programs (up to 100); here a step draws 2 of each problem, so that no arm gets "
    "more rows by finding more.",
    "8 samples of a problem in each of its 5 turns, from one beginning; in the paper one, in some 100 turns.",
    "Rate and steps were chosen by MLE's answers to development problems, in try-outs without the other arms' scores. "
    "There, with one seed, pass@50 is 2 % before tuning and 81 % behind MLE. MLE-Aug, with and without PCS, was run "
    "with one seed to see what it costs and that some samples are right; its likelihood of development problems was "
    "seen then, its answers were not, and nothing was changed.",
    "Rows are equal, not what they hold: where less than 2 programs are known a row has no weight, and MLE sees each "
    "problem twice as often. MLE with half the rows was added once the other arms' test answers had been seen, to tell "
    "what comes of samples from what comes of fewer turns; nothing else was changed.",
    "pod: GSM8K alone, its annotations as programs; MathQA-Python is not among the datasets here. Its first stage, of "
    "one step, stands for published weights.",
    "A problem and its twins with other numbers are on one side of the split; with other names they may not be.",
)

EXPERIMENT = Experiment(
    name="self_sampled_partial_solutions",
    title="Self-sampled correct and partially-correct solutions",
    reference="Ni et al., ICLR 2023, arXiv 2205.14318",
    paper=78,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("self_sampled_partial_solutions")
