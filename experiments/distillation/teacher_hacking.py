"""Teacher hacking: a student that is distilled on fixed data for long comes nearer to its teacher and leaves the truth.

Paper    Tiapkin et al., On Teacher Hacking in Language Model Distillation, 2025, arXiv 2502.02671 (dossier 095).
Claim    An oracle stands for the truth, so that a student's distance to its teacher (proxy) and to the truth (golden)
         can both be measured. On responses drawn once the proxy keeps falling while the golden metric turns and rises;
         on fresh ones both fall. Fewer prompts make it worse, more responses to each better, and it shows without an
         oracle, as a departure of the proxy from its power law in steps.
Method   Oracle: trained on the text, then frozen. Teacher and student, both smaller: next-token loss on responses of
         the oracle. Then the student alone, on KL(teacher || student) at every token of responses to the same prompts:
         offline (the teacher's, drawn once), online teacher (drawn anew in each step), online student (on-policy).
         Offline also with half and a fifth of the prompts and 2 and 5 responses to each; with 4 responses to every
         prompt; by Jensen-Shannon; and, as a control, with the oracle for a teacher. Steps, batches and learning rate
         are equal, drawn tokens are charged. Distances are divergences of whole distributions at each token of what
         teacher and oracle said to held-out prompts: the same responses at every evaluation.
Run      stagejax run teacher_hacking                laptop: 8 minutes on two busy cores
         stagejax run teacher_hacking --preset full  also reverse KL, 2 responses a prompt, a mixture
         stagejax run teacher_hacking --preset smoke seconds
         stagejax plan teacher_hacking --preset pod --mesh data=16,fsdp=16
Holds if (1) offline the golden metric ends at 1.02 times its minimum or more, in 2 of 3 seeds or more, with a held-out
         proxy that is no higher at the end than at that minimum (if it is, this is overfitting, and not called
         hacking); (2) with an online teacher it ends at 1.005 times its minimum or less, mean over seeds; (3) its rise
         is no smaller with a fifth of the prompts than with half, and with half than with all, means over seeds;
         (4) the departure from the power law is found offline and not with an online teacher, each in 2 of 3 seeds or
         more; (5) with 4 responses to each prompt both metrics end lower than with 1, means over seeds.
Ours     Three seeds; ± is the deviation over them, KL in nats a token. Offline ends 0.0, 0.2 and 13.0 % above its least
         golden metric, the proxy lower: one seed of three, does not hold; and in that one the teacher is farther from
         the oracle (0.660) than the student began (0.602), so it rises at once, and online too: no U. Online teacher
         3.2 ± 5.6 %: does not hold. Diversity 4.4, 4.7, 4.3 %: does not hold. The proxy departs offline in 2 seeds,
         online in none: holds. 4 responses: proxy 0.119 to 0.095, golden 0.588 to 0.564 (± 0.08): holds; online 0.083,
         0.557. A run before, on another CPU: the same verdicts, 15.7, 0.3, 0.9 %. 407 s of CPU time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import BPE, TFDS, Bytes, Dataset, Stdlib
from stagejax.data.language.denoising import Denoiser, Denoising
from stagejax.data.language.seq2seq import TextToText
from stagejax.inference.closeness import beside, beside_rows, distance
from stagejax.inference.prompts.responding import (
    Responding,
    drawn_tokens,
    prompt_rows,
    prompts_of,
    response_rows,
    responses,
)
from stagejax.models.t5 import T5
from stagejax.models.t5_sizes import t5_v1_1
from stagejax.names import slug
from stagejax.objectives.divergence import Distances, Divergence, forward_kl, jensen_shannon, reverse_kl
from stagejax.objectives.language import seq2seq
from stagejax.optimizer import adam
from stagejax.report import Arm, Figure, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.report.curves import Curve, Point
from stagejax.report.figures import draw
from stagejax.report.fits import departure
from stagejax.steps.distilling import DistilStep, Drawn, Mixed, given, with_flops

OFFLINE, TEACHER, STUDENT, HALF_ONLINE = "offline", "online teacher", "online student", "half online student"
HALF, FIFTH = "1/2 of the prompts x 2", "1/5 of the prompts x 5"
TWO, FOUR = "2 responses a prompt", "4 responses a prompt"
REVERSE, JS, CONTROL = "offline, reverse KL", "offline, Jensen-Shannon", "offline, from the oracle"


@dataclass(frozen=True)
class Way:
    """What a student is distilled on, and by what."""

    less: int = 1  # the prompts are divided by it
    times: int = 1  # responses to each
    online: tuple[str, ...] = ()  # whose responses are drawn in the step
    offline: bool = True  # whether given ones are used, alone or beside those
    divergence: Divergence = forward_kl
    teacher: str = "teacher"  # or the oracle


WAYS = {
    OFFLINE: Way(),
    TEACHER: Way(online=("teacher",), offline=False),
    STUDENT: Way(online=("student",), offline=False),
    HALF: Way(less=2, times=2),
    FIFTH: Way(less=5, times=5),
    FOUR: Way(times=4),
    CONTROL: Way(teacher="oracle"),
    TWO: Way(times=2),
    HALF_ONLINE: Way(online=("student",)),
    REVERSE: Way(divergence=reverse_kl),
    JS: Way(divergence=jensen_shannon),
}
MAIN = (OFFLINE, TEACHER, HALF, FIFTH, FOUR)
OTHERS = tuple(arm for arm in WAYS if arm not in MAIN)
WHO = ("teacher", "oracle")  # what a student is measured by


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    oracle: T5
    teacher: T5
    student: T5
    text: Any = field(default_factory=lambda: continuations(Dataset("tinyshakespeare"), Bytes(), 16, 24))
    batch: int = 32
    truth: tuple[int, int] = (800, 64)  # steps and batch of the oracle on the text
    pairs: int = 1024  # prompts with a response of the oracle, for teacher and student
    tuning: int = 300  # steps on these
    prompts: int = 240  # of distillation
    steps: int = 450  # of distillation: 60 passes
    every: int = 30  # steps between evaluations
    tests: int = 64  # held-out prompts
    answers: int = 2  # responses of each model to a held-out prompt
    rates: tuple[float, float, float] = (3e-3, 5e-3, 2e-3)  # learning rates: oracle, tuning, distillation
    warmup: int = 30  # steps of distillation
    arms: tuple[str, ...] = MAIN
    once: tuple[str, ...] = (STUDENT, CONTROL, JS)  # further arms, of the first seed alone
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def lengths(self) -> tuple[int, int]:
        return self.text.inputs, self.text.outputs

    @property
    def test_batches(self) -> int:
        return self.tests * self.answers // self.batch

    def responding(self, n: int = 1) -> Responding:
        return Responding(self.text.outputs, n)


def continuations(source: Any, tokenizer: Any, inputs: int, outputs: int) -> Denoising:
    """Running text in pieces: the encoder reads the beginning, what follows is the response."""
    piece = Denoiser("S", 0.0, outputs / (inputs + outputs))
    sizes = {"inputs": inputs + 1, "outputs": outputs + 1, "length": inputs + outputs}
    return Denoising(source=source, tokenizer=tokenizer, batch=32, denoisers=(piece,), mode_tokens=False, **sizes)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, with more arms, or at the paper's scale."""
    small = T5(vocab=260, embed=48, heads=2, head_dim=24, mlp=192, encoder_layers=1, decoder_layers=1)
    middle = replace(small, embed=64, head_dim=32, mlp=256, encoder_layers=2, decoder_layers=2)
    large = replace(middle, embed=96, heads=3, mlp=384, encoder_layers=3, decoder_layers=3)
    if name == "smoke":
        tiny = replace(small, embed=16, head_dim=8, mlp=32)
        text = continuations(Stdlib(limit=100_000), Bytes(), 8, 8)
        sizes = {"truth": (60, 8), "pairs": 64, "tuning": 30, "prompts": 20, "steps": 40, "every": 3, "tests": 16}
        sizes |= {"batch": 8, "warmup": 2, "once": (STUDENT, CONTROL, HALF_ONLINE), "seeds": (0,)}
        return Config(replace(tiny, embed=24), tiny, tiny, text, **sizes)
    if name == "pod":
        how = {"vocab": 32_000, "scan": True, "remat": "full"}
        oracle, teacher, student = (t5_v1_1(size, **how) for size in ("XL", "large", "base"))
        source, fields = TFDS("xsum", test="validation"), ("document", "summary")
        lengths = {"inputs": 1024, "outputs": 128, "batch": 256}
        text = TextToText(source=source, tokenizer=BPE(32_000), learned_from=source, fields=fields, **lengths)
        sizes = {"truth": (8000, 256), "pairs": 100_000, "tuning": 4000, "prompts": 200_000, "steps": 48_828}
        sizes |= {"every": 1000, "tests": 2048, "answers": 1, "rates": (3e-4, 3e-4, 3e-4), "warmup": 100}
        return Config(oracle, teacher, student, text, batch=256, once=OTHERS, **sizes)
    return Config(large, middle, small, once=OTHERS if name == "full" else (STUDENT, CONTROL, JS))


def pipeline(run: Any, cfg: Config) -> Report:
    """The oracle once; for every seed teacher, student and all arms, and how far all are from oracle and teacher."""
    oracle = run.train(truth(cfg))
    asked = cfg.text.held_out(1)
    held = answered(run, cfg, "held-out", oracle, asked, (0, cfg.tests), cfg.answers, 100)
    found: dict[str, dict[int, Arm]] = {arm: {} for arm in (*cfg.arms, *cfg.once)}
    gaps = []
    for seed in cfg.seeds:
        text, at = replace(cfg.text, seed=seed), f"{seed}/{{}}".format
        pairs = answered(run, cfg, at("pairs"), oracle, text, (0, cfg.pairs), 1, seed)
        teacher = run.train(tuning(cfg, at("teacher"), cfg.teacher, pairs, held, seed))
        student = run.train(tuning(cfg, at("student"), cfg.student, pairs, held, seed))
        said = answered(run, cfg, at("held-out"), teacher, asked, (0, cfg.tests), cfg.answers, 100)
        nets, says, made = {"teacher": teacher, "oracle": oracle}, {"teacher": said, "oracle": held}, {}
        tests = {who: run.make(at(f"tests/{who}"), beside, WHO, says[who], held) for who in WHO}
        rows = {who: beside_rows(made, WHO, *cfg.lengths, cfg.batch, cfg.test_batches) for who, made in tests.items()}
        gaps.append(run.make(at("gap"), distance, teacher, oracle, ("golden", "oracle"), rows["teacher"]))
        for arm in (*cfg.arms, *cfg.once) if seed == cfg.seeds[0] else cfg.arms:
            way = WAYS[arm]
            net, count = nets[way.teacher], cfg.prompts // way.less
            span = (cfg.pairs, cfg.pairs + count)
            name = at(f"responses/{way.teacher}/{count}x{way.times}" if way.offline else "prompts")
            if name not in made and way.offline:
                made[name] = answered(run, cfg, name, net, text, span, way.times, 200 + seed)
            elif name not in made:
                made[name] = run.make(name, prompts_of, text, span)
            stage = distillation(cfg, at(slug(arm.replace("/", " of "))), way, made[name], rows[way.teacher], seed)
            last = run.train(stage, {"student": student, "teacher": net, "oracle": oracle})
            charged = (oracle, pairs, teacher) if net is teacher else (oracle, pairs)
            found[arm][seed] = Arm("", (student, last), (*charged, made[name]))
    return report(cfg, found, gaps)


# --- data ---


def answered(run: Any, cfg: Config, name: str, net: Any, text: Any, span: tuple[int, int], n: int, seed: int) -> Any:
    """Responses of a network to prompts of the text, as a durable artifact; drawing them is charged."""
    how = cfg.responding(n)
    flops = (span[1] - span[0]) * how.flops(net.model, cfg.text.inputs)
    return run.make(name, responses, net, text, span, how, seed, flops=flops, sampled_tokens=drawn_tokens)


# --- stages ---


def truth(cfg: Config) -> Stage:
    """The oracle, on the text."""
    steps, batch = cfg.truth
    data, optimizer = replace(cfg.text, batch=batch), adam(cfg.rates[0], warmup=0.1, clip=1.0)
    evaluation = Evaluation(data.held_out(2), 2, max(1, steps // 4))
    return Stage("oracle", cfg.oracle, seq2seq, optimizer, data, steps, evaluate=evaluation)


def tuning(cfg: Config, name: str, net: T5, pairs: Any, held: Any, seed: int) -> Stage:
    """A network from fresh parameters on responses of the oracle."""
    data = response_rows(pairs, *cfg.lengths, cfg.batch, seed)
    tests = response_rows(held, *cfg.lengths, cfg.batch, 0)
    evaluation = Evaluation(tests, cfg.test_batches, max(1, cfg.tuning // 4))
    optimizer = adam(cfg.rates[1], warmup=0.1, clip=1.0)
    return Stage(name, net, seq2seq, optimizer, data, cfg.tuning, evaluate=evaluation, seed=seed)


def distillation(cfg: Config, name: str, way: Way, made: Any, tests: Any, seed: int) -> Stage:
    """The student on responses of one origin: the recipe that all arms share."""
    sources = (given,) * way.offline + tuple(Drawn(who, cfg.responding()) for who in way.online)
    data = prompt_rows(made, cfg.text.inputs, cfg.batch, seed)
    if way.offline:
        data = response_rows(made, *cfg.lengths, cfg.batch, seed)
    nets = {"student": cfg.student, "teacher": getattr(cfg, way.teacher), "oracle": cfg.oracle}
    stage = Stage(
        name=name,
        model=nets,
        objective=None,
        optimizer=dict.fromkeys(nets) | {"student": adam(cfg.rates[2], warmup=cfg.warmup, decay="constant")},
        data=data,
        steps=cfg.steps,
        step=DistilStep(way.divergence, sources[0] if len(sources) == 1 else Mixed(sources)),
        evaluate=Evaluation(tests, cfg.test_batches, cfg.every, Distances()),
        seed=seed,
    )
    return with_flops(stage)


# --- report ---


def rows_of(arm: Arm, what: str) -> list[float]:
    """A metric at the evaluations of distillation; none while planning."""
    return [row[what] for row in arm.results[-1].history.evals]


def rise(arm: Arm) -> float:
    """How much the golden metric ends above its minimum, as a share of that."""
    golden = rows_of(arm, "golden")
    return golden[-1] / min(golden) - 1


def proxy_since(arm: Arm) -> float:
    """How much the held-out proxy has changed since the golden metric was least, as a share."""
    golden, proxy = rows_of(arm, "golden"), rows_of(arm, "proxy")
    return proxy[-1] / proxy[int(np.argmin(golden))] - 1


def departs(arm: Arm) -> float:
    """The step at which the proxy leaves its power law; infinity if it does not."""
    last = arm.results[-1]
    behind = [row for row in last.history.evals if row["step"] >= last.stage.optimizer["student"].warmup]
    return departure([row["step"] for row in behind], [row["proxy"] for row in behind])


def training_loss(arm: Arm) -> float:
    """Since the last evaluation but one."""
    return mean(arm.results[-1].history.train["loss"][-arm.results[-1].stage.evaluate.every :])


def report(cfg: Config, found: dict[str, dict[int, Arm]], gaps: list[Any]) -> Report:
    """Both distances of every arm, how they went, when the proxy departs, and the claims."""

    def over(arm: str, read: Any) -> list[Any]:
        return [read(own) for own in found[arm].values() if own.results[-1].history.evals]

    def at_end(what: str) -> Any:
        return lambda own: rows_of(own, what)[-1]

    arms, enough, seeds = by_seed(found, OFFLINE), -(-2 * len(cfg.seeds) // 3), len(cfg.seeds)
    rises = {arm: mean(over(arm, rise)) for arm in cfg.arms}
    turns = [f"{rise(own):+.1%} (proxy {proxy_since(own):+.1%})" for own in over(OFFLINE, lambda own: own)]
    offline, online = (int(np.isfinite(over(arm, departs)).sum()) for arm in (OFFLINE, TEACHER))
    ends = {what: [mean(over(arm, at_end(what))) for arm in (OFFLINE, FOUR)] for what in ("proxy", "golden")}
    nearer = ", ".join(f"{what} {one:.3f} to {four:.3f}" for what, (one, four) in ends.items())
    claims = (
        claim(
            "Offline the golden metric turns and rises while the student still comes nearer to its teacher",
            paper="a U on XSum, WMT-14 and Natural Instructions; figures only",
            measured=", ".join(turns) or None,
            margin=f"ends 2 % or more above its minimum, the proxy no higher than there; {enough} seeds or more",
            holds=sum(over(OFFLINE, lambda own: rise(own) >= 0.02 and proxy_since(own) <= 0)) >= enough,
        ),
        claim(
            "On fresh responses of the teacher it does not rise",
            paper="both metrics fall",
            measured=rises[TEACHER],
            unit="%",
            margin="ends 0.5 % or less above its minimum, mean over seeds",
            holds=rises[TEACHER] <= 0.005,
        ),
        claim(
            "The less diverse the prompts, the larger the rise",
            paper="worse with 1/2, worst with 1/5 of the prompts",
            measured=", ".join(f"{arm}: {rises[arm]:+.1%}" for arm in (OFFLINE, HALF, FIFTH)) if turns else None,
            margin="all <= half <= a fifth, means over seeds",
            holds=rises[OFFLINE] <= rises[HALF] <= rises[FIFTH],
        ),
        claim(
            "It shows without an oracle: the proxy departs from its power law offline, and not online",
            paper="the departure marks the onset",
            measured=f"offline {offline}, online teacher {online} of {seeds} seeds" if turns else None,
            margin=f"found offline in {enough} seeds or more, and not online in {enough} or more",
            holds=offline >= enough and seeds - online >= enough,
        ),
        claim(
            "More responses to each prompt bring the student nearer to both",
            paper="both metrics improve",
            measured=nearer if turns else None,
            margin="both are lower at the end with 4 than with 1, means over seeds",
            holds=all(four < one for one, four in ends.values()),
        ),
    )

    def at_start(who: str, what: str) -> list[float]:
        teachers = [gap.value[what] for gap in gaps if gap.value]
        return teachers if who == "teacher" else over(OFFLINE, lambda own: rows_of(own, what)[0])

    golden = ("golden", "golden_reverse", "golden_js")
    ending = {what: at_end(what) for what in ("proxy", *golden)}
    ending |= {"least golden": lambda own: min(rows_of(own, "golden")), "training loss": training_loss}
    courses = {"golden above its least": rise, "proxy since then": proxy_since}
    nats = {"scale": 1.0, "digits": 3, "note": "KL in nats a token; mean ± standard deviation over seeds."}
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2502.02671",
        arms=arms,
        tables=(
            table_of_means("Before distillation", ("teacher", "student"), golden, at_start, **nats),
            table_of_means("At the end", list(found), list(ending), lambda r, c: over(r, ending[c]), **nats),
            table_of_means("On the way", list(found), list(courses), lambda r, c: over(r, courses[c])),
            Table(
                "Steps at which the proxy departs from its power law",
                ("arm", "steps, one a seed"),
                tuple((arm, ", ".join(f"{step:.0f}" for step in over(arm, departs)) or None) for arm in found),
                note="inf: it does not.",
            ),
        ),
        figures=paths(arms) if turns else (),
        baseline=OFFLINE,
        metric="golden",
        seeds=cfg.seeds,
        notes=NOTES,
    )


NOTES = (
    "The paper starts from T5 checkpoints and takes Flan-T5-XL for the oracle; here all three networks begin with "
    "fresh parameters, the oracle learns the text itself, teacher and student from its responses alone.",
    "Distances are means over tokens of divergences of whole distributions, on responses that the first model of each "
    "drew: exact but for the choice of these, which is the same at every evaluation and for all arms of a seed.",
    "The oracle's learning rate was chosen by its held-out loss, that of teacher and student by the held-out loss of a "
    "network of the student's kind on the text; distillation's, constant after its warm-up, was not. One seed was run "
    "before with a weaker oracle, for the time that it takes.",
    "The power law is fitted to the first third of the evaluations behind the warm-up; a departure is three "
    "evaluations in a row more than three standard deviations above it.",
    "With the oracle for a teacher both distances are one: a rise there is overfitting.",
    "The golden metric is least before the first step where a teacher is farther from the oracle than its student.",
    "On a pod the batch is 256 rows, not 32, for as many passes through the prompts.",
    "The teacher learns from 1024 pairs, where 400 were meant to keep it imperfect; prompts, steps and tests are fewer "
    "as well.",
)


def paths(arms: tuple[Arm, ...]) -> tuple[Figure, ...]:
    """Golden over proxy, one point an evaluation: hacking is a U that is read from right to left."""
    courses = [zip(rows_of(arm, "proxy"), rows_of(arm, "golden"), strict=True) for arm in arms]
    points = [tuple(Point(x, y, y, y, 0) for x, y in course) for course in courses]
    curves = [Curve(arm.name, own, arm.group) for arm, own in zip(arms, points, strict=True)]
    svg = draw(curves, baseline=OFFLINE, xlabel="proxy: KL from the teacher, nats a token", ylabel="golden")
    text = "From right to left; the dotted line is where offline ends, dots where others come as near to the oracle."
    return (Figure("Golden over proxy", svg, text),)


EXPERIMENT = Experiment(
    name="teacher_hacking",
    title="Teacher hacking in language model distillation",
    reference="Tiapkin et al., 2025, arXiv 2502.02671",
    paper=95,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("teacher_hacking")
