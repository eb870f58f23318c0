"""Learning by teaching (LbT): a rationale is worth what weaker students can do after reading it.

Paper    Ning et al., Can LLMs Learn by Teaching? A Preliminary Study, NeurIPS 2024, arXiv 2406.14629 (dossier 050).
Claim    A teacher answers better where each of its rationales is scored by an exam of students that see it as an
         example (M1), and learns more from preferences made of such scores than of right answers alone (M2).
Method   Recipes: a house, 3 of ten operations in any order, two digits; the order in which they are done is a
         custom of the house, and variants of a problem have other digits. A teacher reads solved problems of the
         houses, and stops early; two smaller students read pairs of variants, both done in an order drawn anew, so
         they know the operations but no custom: they follow the example.
         M1  K rationales a problem at T = 0.7, top-k 20; behind [problem, rationale, variant's question] each student
             answers each of 3 variants; s = share that is right; the answer with the largest sum of s over its
             rationales (SUM), largest s (MAX), mean (AVG). The problem's own answer is not looked at.
         M2  on problems of other recipes the same scores; 0.5 [right] + 0.5 s orders rationales, the best before the
             worst, the second before the second worst, where they differ by more than 0.3; DPO, beta 0.1. Beside it
             DPO on pairs by right answers alone, as many steps, each at the rate best on development ones, first seed.
         Beside M1: greedy, majority vote, and that with as many FLOPs as draws and exams took; the likeliest rationale;
         the teacher as its own student; one student with as many answers as two; any right (what a verifier reaches).
Run      stagejax run learning_by_teaching          laptop: about 5 minutes on two cores
         stagejax run learning_by_teaching --preset smoke  seconds
         stagejax plan learning_by_teaching --preset pod --mesh data=16,fsdp=16    M1: 70B with 8B students
         stagejax plan learning_by_teaching --preset pod-8b --mesh data=16,fsdp=16 M2: 8B
Holds if on problems of unseen recipes M1(SUM) with two students is 2 points or more above the majority vote over the
         same rationales (mean over 3 seeds of draws, and a paired 95 % bootstrap interval over problems above 0); s
         tells right rationales from wrong ones with an AUC of 0.65 or more; M2's greedy answers are not worse than
         correctness-DPO's (mean over seeds); and two students are better than either alone and than the teacher as its
         own student, at as many answers (means over seeds).
Ours     A teacher of 256k parameters (61 % of development problems), 256 test problems, 3 seeds of draws, right in %:
         M1  SUM 58.2 ± 1.8, majority 47.5 ± 0.5, with as many FLOPs 50.8 ± 1.0, greedy 50.0, MAX 58.5 ± 1.5,
             AVG 55.7 ± 2.4, any right 70.7: 10.7 ± 1.4 points over the majority (7.9 to 13.7 over problems); AUC of s
             0.835 ± 0.007: both hold. One student 58.1 and 58.3, the teacher as its own 57.8: two are no better.
         M2  greedy, 50.0 before: correctness-DPO 50.3 ± 0.6, LbT-DPO 48.2 ± 1.0: 2.1 ± 0.5 below, does not hold.
         319 s of stages, beside other runs; 198 s of a run with fewer rates.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data.prompts.answers import Answers, PromptedText
from stagejax.data.reasoning.recipes import THEN, Lessons, Recipes, recipes_tokenizer
from stagejax.decode.steps import FinalNumber
from stagejax.inference.answering import Answering
from stagejax.inference.prompts.preferring import pair_rows
from stagejax.inference.reasoning import teaching
from stagejax.inference.reasoning.teaching import Teaching, Way
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.graphs import roc_auc
from stagejax.objectives.rewards.preference import Preference
from stagejax.optimizer import adam, adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.bootstrap import paired_bootstrap

BEFORE, CORRECT, LBT = "teacher", "correctness-DPO", "M2: LbT-DPO"
MAJORITY, SUM, MAX, AVG = "majority vote", "M1 (SUM), two students", "M1 (MAX), two students", "M1 (AVG), two students"
ITSELF, GREEDY, LIKELY = "M1 (SUM), teacher as student", "greedy", "likeliest rationale"
EQUAL, ANY = "majority vote, equal FLOPs", "any right"
WORDS = recipes_tokenizer()


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    teacher: Transformer
    students: tuple[Transformer, ...]
    recipes: Recipes = field(default_factory=Recipes)
    read: int = 20_000  # pairs of solved variants of each text
    steps: tuple[int, int] = (850, 1200)  # of the teacher, of a student
    batch: int = 16
    rates: tuple[float, float] = (2e-3, 3e-3)  # teacher, students
    question: int = 7  # tokens, with CLS
    limit: int = 13  # tokens of a solution with its end
    samples: int = 8  # K
    repeats: int = 1  # answers of each student to each variant
    at_once: int = 256
    tests: int = 256  # problems, each of a recipe of its own
    dev: int = 94
    practice: int = 208  # problems that M2 learns from
    gap: float = 0.3
    pairs: int = 4  # at most, of a problem
    dpo_steps: int = 100
    dpo_batch: int = 16
    dpo_rates: tuple[float, ...] = (1e-6, 3e-6, 1e-5, 3e-5)
    beta: float = 0.1
    preferred: tuple[str, ...] = (CORRECT, LBT)  # arms of M2
    seeds: tuple[int, ...] = (0, 1, 2)  # of draws and DPO

    @property
    def how(self) -> Teaching:
        mark, zero = (int(WORDS.encode([word])[0][0]) for word in ("ans", "0"))
        return Teaching(WORDS, THEN, FinalNumber(mark, zero), self.question, self.limit, at_once=self.at_once)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    how: dict[str, Any] = {"vocab": WORDS.vocab, "length": 40}
    if name == "smoke":
        net = llama(embed=32, layers=2, heads=2, mlp=96, **how | {"length": 32})
        few: dict[str, Any] = {"read": 400, "steps": (60, 60), "rates": (5e-3, 5e-3), "samples": 4, "at_once": 64}
        few |= {"question": 6, "limit": 10, "tests": 16, "dev": 16, "practice": 16, "dpo_steps": 4, "dpo_batch": 8}
        few |= {"gap": -1.0, "dpo_rates": (1e-3,)}  # such a teacher is never right: any two rationales are a pair
        return Config(net, (net, net), Recipes(operations=(2,), known=6), **few, seeds=(0,))
    if name in ("pod", "pod-8b"):
        own = {"kv_heads": 8, "rotary_theta": 5e5, "scan": True, "remat": "full", "vocab": 128_256, "length": 4096}
        large = llama(embed=8192, layers=80, heads=64, mlp=28_672, **own)
        small = llama(embed=4096, layers=32, heads=32, mlp=14_336, **own)
        many: dict[str, Any] = {"steps": (1, 1), "batch": 256, "rates": (1e-5, 1e-5), "samples": 256, "repeats": 3}
        many |= {"tests": 181, "dev": 256, "practice": 500, "at_once": 1024, "read": 512}
        many |= {"dpo_batch": 256, "dpo_rates": (5e-7,), "seeds": (0,)}
        if name == "pod":
            return Config(large, (small, small), preferred=(), **many)
        return Config(small, (small,), **{**many, "samples": 32})
    teacher = llama(embed=80, layers=3, heads=4, mlp=240, **how)
    students = (llama(embed=64, layers=2, heads=4, mlp=192, **how), llama(embed=48, layers=2, heads=4, mlp=144, **how))
    return Config(teacher, students)


# --- data ---


def text(cfg: Config, seed: int, ordered: bool) -> Answers:
    """Pairs of solved variants, all words learned: done by the customs of the houses, or in orders drawn anew."""
    source = Lessons(replace(cfg.recipes, size=cfg.read, seed=seed, ordered=ordered))
    length = cfg.how.lesson + cfg.limit - 1
    return Answers(source=source, tokenizer=WORDS, batch=cfg.batch, length=length, prompts=True, seed=seed)


def problems(cfg: Config, split: str) -> Recipes:
    """Problems of recipes that no text has: to be tested on, to choose by, for M2."""
    size, seed = {"test": (cfg.tests, 101), "dev": (cfg.dev, 102), "practice": (cfg.practice, 103)}[split]
    return replace(cfg.recipes, split=split, size=size, seed=seed)


# --- stages ---


class Taught(NamedTuple):
    """What one seed of M1 draws."""

    rounds: list[Any]  # K rationales each; the first is examined
    exams: list[list[Any]]  # of each student, then of the teacher: as many as there are students


def pipeline(run: Any, cfg: Config) -> Report:
    """Teacher and students once; for every seed the rationales with their exams, and DPO on two kinds of pairs."""
    teacher = run.train(reading(cfg, "teacher", cfg.teacher, 0))
    students = [run.train(reading(cfg, f"student/{i}", net, 1 + i)) for i, net in enumerate(cfg.students)]
    wrong = replace(problems(cfg, "dev"), ordered=False)
    followed = run.make("followed", teaching.following, problems(cfg, "dev"), wrong, cfg.how, *students, teacher)
    taught: dict[int, Taught] = {}
    for seed in cfg.seeds:
        rounds = [drawn(run, cfg, f"{seed}/drawn/{i}", teacher, "test", 100 * seed + i) for i in range(turns(cfg))]
        asked = [(f"{seed}/exam/{i}/{{}}".format, net) for i, net in enumerate((*students, teacher))]
        exams = [
            [examined(run, cfg, at(k), net, "test", rounds[0], 10 * seed + k) for k in range(len(students))]
            for at, net in asked
        ]
        taught[seed] = Taught(rounds, exams)
    solved = {(GREEDY, cfg.seeds[0]): run.make("solved", answered, cfg, teacher)}
    arms: dict[str, dict[int, Arm]] = {BEFORE: {seed: Arm("", (teacher,)) for seed in cfg.seeds}}
    rates: dict[str, float] = {}
    made: dict[tuple[str, int], Any] = {}
    for seed in cfg.seeds if cfg.preferred else ():
        own = drawn(run, cfg, f"{seed}/practice", teacher, "practice", 1000 + seed)
        exams = [
            examined(run, cfg, f"{seed}/practice-exam/{i}", net, "practice", own, 1000 + seed)
            for i, net in enumerate(students)
        ]
        for arm in cfg.preferred:
            heard = exams if arm == LBT else []
            pairs = made[arm, seed] = run.make(f"{seed}/{slug(arm)}/pairs", ranked, cfg, teacher, own, *heard)
            tried = {
                rate: run.train(preferring(cfg, f"{seed}/{slug(arm)}/{rate}", pairs, rate, seed), teacher)
                for rate in ([rates[arm]] if arm in rates else cfg.dpo_rates)
            }
            best = rates.setdefault(arm, max(tried, key=lambda rate, tried=tried: tried[rate].history.last("accuracy")))
            others = tuple(result for rate, result in tried.items() if rate != best)
            charged = (own, *heard, *(students if heard else ()), *others)
            arms.setdefault(arm, {})[seed] = Arm("", (teacher, tried[best]), charged)
            solved[arm, seed] = run.make(f"{seed}/{slug(arm)}/solved", answered, cfg, tried[best])
    for seed, own in taught.items():
        arms.setdefault(MAJORITY, {})[seed] = Arm("", (teacher,), (own.rounds[0],))
        exams = tuple(own.exams[i][0] for i in range(len(students)))
        arms.setdefault(SUM, {})[seed] = Arm("", (teacher,), (own.rounds[0], *exams, *students))
    return report(cfg, arms, taught, solved, made, rates, followed)


def reading(cfg: Config, name: str, net: Transformer, seed: int) -> Stage:
    """The teacher (seed 0), or a student: a language model of solved pairs."""
    teacher = seed == 0
    dev = PromptedText(source=problems(cfg, "dev"), tokenizer=WORDS, batch=cfg.dev, length=cfg.question, count=1)
    greedy = Answering(cfg.how.number, cfg.question + cfg.limit, cfg.limit, cfg.how.stops)
    optimizer = adamw(cfg.rates[not teacher], warmup=0.05, decay="linear", weight_decay=0.1, clip=1.0)
    return Stage(
        name, net, causal_lm, optimizer, text(cfg, seed, ordered=teacher), cfg.steps[not teacher],
        evaluate=Evaluation(dev, 1, None, greedy, flops=cfg.dev * flops(cfg, net)), seed=seed,
    )  # fmt: skip


def preferring(cfg: Config, name: str, pairs: Any, rate: float, seed: int) -> Stage:
    """DPO of the teacher on pairs of its own rationales."""
    data = pair_rows(pairs, cfg.question + cfg.limit, cfg.dpo_batch, seed)
    optimizer = adam(rate, warmup=0.1, decay="linear", clip=1.0)
    plain = reading(cfg, name, cfg.teacher, 0)
    return replace(
        plain, objective=Preference(cfg.beta), optimizer=optimizer, data=data, steps=cfg.dpo_steps, seed=seed
    )


# --- lessons and exams ---


@functools.cache
def flops(cfg: Config, net: Transformer, lesson: bool = False) -> float:
    """FLOPs of one solution, alone or behind a lesson."""
    return cfg.how.flops(net, lesson)


def exam_flops(cfg: Config, net: Transformer) -> float:
    """FLOPs of all answers of one examinee behind one rationale."""
    return cfg.recipes.variants * cfg.repeats * flops(cfg, net, True)


def equal(cfg: Config) -> int:
    """So many rationales cost as much as K with their exams."""
    exams = sum(exam_flops(cfg, net) for net in cfg.students)
    return int(np.ceil(cfg.samples * (1 + exams / flops(cfg, cfg.teacher))))


def turns(cfg: Config) -> int:
    """Rounds of K rationales that hold as many."""
    return -(-equal(cfg) // cfg.samples)


def drawn(run: Any, cfg: Config, name: str, teacher: Any, split: str, seed: int) -> Any:
    source, how = problems(cfg, split), {"sampled_tokens": teaching.tokens_drawn}
    cost = len(source) * cfg.samples * flops(cfg, cfg.teacher)
    return run.make(name, teaching.rationales, teacher, source, cfg.how, cfg.samples, seed, flops=cost, **how)


def examined(run: Any, cfg: Config, name: str, student: Any, split: str, lessons: Any, seed: int) -> Any:
    source, how = problems(cfg, split), {"sampled_tokens": teaching.tokens_drawn}
    cost = len(source) * cfg.samples * exam_flops(cfg, student.model)
    return run.make(name, teaching.exam, student, source, lessons, cfg.how, cfg.repeats, seed, flops=cost, **how)


def answered(cfg: Config, net: Any) -> dict[str, np.ndarray]:
    """Which test problems are solved greedily."""
    return {"right": teaching.solved(net, problems(cfg, "test"), cfg.how)}


def ranked(cfg: Config, teacher: Any, lessons: Any, *exams: Any) -> dict[str, np.ndarray]:
    """Pairs by 0.5 [right] + 0.5 s; without exams by [right] alone."""
    source = problems(cfg, "practice")
    scores = (lessons.value["said"] == source.column("answer")[:, None]).astype(float)
    if exams:
        scores = 0.5 * scores + 0.5 * np.mean([teaching.share(made) for made in exams], axis=0)
    return teaching.scored_pairs(teacher, source, lessons, cfg.how, scores.tolist(), cfg.gap, cfg.pairs)


def ways(cfg: Config) -> dict[str, Way]:
    """Those of M1, and the votes beside them. The teacher is the last examinee."""
    k, n = cfg.samples, len(cfg.students)
    count, best, total, average = map(attrgetter, ("count", "best", "total", "mean"))
    two, many = tuple((i, 0) for i in range(n)), equal(cfg)
    found = {MAJORITY: Way(count, k), EQUAL: Way(count, many), SUM: Way(total, k, two)}
    found |= {MAX: Way(best, k, two), AVG: Way(average, k, two)}
    single = {i: f"M1 (SUM), student {i + 1} alone" for i in range(n)} | {n: ITSELF}
    return found | {name: Way(total, k, tuple((i, turn) for turn in range(n))) for i, name in single.items()}


def chosen(cfg: Config, own: Taught) -> dict[str, np.ndarray]:
    """Which test problems each way answers right; and of each rationale s and whether it is right.

    The problem's own answer comes in last, to say what was right.
    """
    every = np.concatenate([made.value["said"] for made in own.rounds], axis=1)
    answers = {name: way.answers(every, own.exams) for name, way in ways(cfg).items()}
    first = own.rounds[0].value
    answers[LIKELY] = teaching.answers_by(attrgetter("best"), first["said"], first["logprob"])
    truth = problems(cfg, "test").column("answer")
    found = {arm: np.array([a == b for a, b in zip(own, truth, strict=True)], float) for arm, own in answers.items()}
    right = (first["said"] == truth[:, None]).astype(float)
    return found | {ANY: right.max(1), "s": ways(cfg)[SUM].scores(own.exams), "right": right}


# --- report ---


def report(
    cfg: Config, arms: Any, taught: dict[int, Taught], solved: Any, pairs: Any, rates: dict[str, float], followed: Any
) -> Report:
    """What M1 and M2 answer right, what it cost, and the claims."""
    known = {seed: chosen(cfg, own) for seed, own in taught.items() if own.rounds[0].value is not None}
    for (arm, seed), made in solved.items():
        for where in known if arm == GREEDY else known.keys() & {seed}:  # greedy answers are not drawn
            known[where][arm] = made.value["right"]

    def over(arm: str, _: str = "") -> list[float]:
        return [float(own[arm].mean()) for own in known.values() if arm in own]

    def apart(arm: str, other: str) -> tuple[float, str | None, float]:
        """Mean difference over seeds; as text with an interval over problems; and its lower end."""
        each = np.array([own[arm] - own[other] for own in known.values() if arm in own and other in own])
        if not each.size:
            return float("nan"), None, float("nan")
        found = paired_bootstrap(each.mean(0), np.zeros(each.shape[1]))
        interval = f"over problems {100 * found.low:+.1f} to {100 * found.high:+.1f}"
        return float(each.mean()), f"{shown(100 * each.mean(1), '+.1f')} ({interval})", found.low

    two, better, low = apart(SUM, MAJORITY)
    learned, more, _ = apart(LBT, CORRECT)
    others = [name for name, way in ways(cfg).items() if len({i for i, _ in way.exams}) == 1]
    ahead = {name.removeprefix("M1 (SUM), "): apart(SUM, name)[0] for name in others}
    areas = [
        float(roc_auc(jnp.asarray(own["s"].ravel()), jnp.asarray(own["right"].ravel(), int))) for own in known.values()
    ]
    # fmt: off
    claims = (
        claim(
            "The sum of exam scores picks better answers than the majority", paper="usually above self-consistency",
            measured=better, unit="points", holds=two >= 0.02 and low > 0,
            margin="2 points or more over seeds, and a 95 % interval over problems above 0",
        ),
        claim(
            "Exams tell right rationales from wrong ones", paper="as mechanism",
            measured=shown(areas) if areas else None, holds=mean(areas) >= 0.65,
            margin="AUC of 0.65 or more, mean over seeds",
        ),
        claim(
            "Preferences by exams teach more than right answers alone", paper="better on 500 problems of MATH",
            measured=more, unit="points", holds=learned >= 0,
            margin="greedy answers not worse than correctness-DPO's, mean over seeds",
        ),
        claim(
            "Two students are better than either alone, and than the teacher as its own student",
            paper="several different ones are best", unit="points", margin="at as many answers, means over seeds",
            measured=", ".join(f"{gain:+.1%} over {name}" for name, gain in ahead.items()) if known else None,
            holds=all(gain > 0 for gain in ahead.values()),
        ),
    )
    # fmt: on
    names = [*(f"student {i + 1}" for i in range(len(cfg.students))), "teacher"]
    lessons = tuple((name, *own) for name, own in zip(names, followed.value or (), strict=False))
    sizes = tuple((arm, seed, len((own.value or {"problem": ()})["problem"])) for (arm, seed), own in pairs.items())
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2406.14629",
        arms=by_seed(arms, BEFORE),
        tables=(
            table_of_means("M1: test problems answered right", (GREEDY, LIKELY, *ways(cfg), ANY), ("right",), over),
            cost_of_ways(cfg),
            Table("Exams right", ("examinee", "right example", "wrong example", "no example"), lessons,
                  ("", ".1%", ".1%", ".1%"),
                  note="Development problems whose wrong example, done in another order, has another answer."),
            table_of_means("M2: test problems answered right, greedily", (GREEDY, *cfg.preferred), ("right",), over),
            Table("M2: pairs", ("arm", "seed", "pairs"), sizes),
            Table("M2: rates chosen on development problems", ("arm", "rate"), tuple(rates.items())),
        ),
        baseline=BEFORE,
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )  # fmt: skip


def cost_of_ways(cfg: Config) -> Table:
    """What it takes to answer a problem: rationales, answers in exams, and FLOPs."""
    nets, each = (*cfg.students, cfg.teacher), cfg.recipes.variants * cfg.repeats
    rows = []
    for name, way in ways(cfg).items():
        exams = sum(exam_flops(cfg, nets[i]) for i, _ in way.exams)
        total = way.rationales * (flops(cfg, cfg.teacher) + exams)
        rows.append((name, way.rationales, way.rationales * each * len(way.exams), float(total)))
    columns = ("arm", "rationales", "exam answers", "FLOPs")
    return Table("M1: what a problem costs", columns, tuple(rows), ("", "", "", "si"), note="Without training.")


NOTES = (
    "In the table of arms the accuracy is of greedy answers to development problems, the same for all that leave the "
    "teacher as it is; what M1 answers is in its own table.",
    "The answers of variants are known, as in the paper; that of the problem itself comes in only when all is chosen.",
    "One teacher and two students for all seeds; a seed has its own draws, exams, pairs and orders.",
    "Students are trained to follow an example; in the paper they are general models. As they follow it well, an exam "
    "comes near to a verifier of the order.",
    "M3, which rewrites prompts of examples from students' failures, is left out: it needs a teacher that can say in "
    "words why something failed. So are exams by similar problems, and code.",
    "The mix of scores, their gap and beta of M2 could not be confirmed from the paper; they are those of the Method.",
    "Correctness-DPO's pairs are of a right and a wrong rationale; by exams there are also pairs of problems of which "
    "all or none were right. Both have as many steps and pairs a step.",
    "Sizes, rates and steps of teacher and students were set in try-outs by development problems alone.",
    "A first whole run had DPO rates from 3e-5 up. All of them made development answers worse, and the lowest was "
    "chosen, so lower ones were added for both arms, before a test answer of that run was looked at. Of the new grid "
    "correctness-DPO chooses the lowest, 1e-6, at which it changes little.",
    "pod: generated problems, as MATH with variants is its user's own; one step stands for published weights.",
)

EXPERIMENT = Experiment(
    name="learning_by_teaching",
    title="Learning by teaching: rationales scored by students' exams",
    reference="Ning et al., NeurIPS 2024, arXiv 2406.14629",
    paper=50,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "pod", "pod-8b"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("learning_by_teaching")
