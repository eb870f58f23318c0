"""Distilling step-by-step: a small model that also learns to say why needs fewer labels than one of labels alone.

Paper    Hsieh et al., Distilling Step-by-Step! Outperforming Larger Language Models with Less Training Data and Smaller
         Model Sizes, Findings of ACL 2023, arXiv 2305.02301 (dossier 028).
Claim    A large language model gives a rationale and a label to each input. A small T5 that learns both as two tasks,
         told apart by a prefix of the input, says better labels than by fine-tuning on labels alone or by distillation
         of labels, with less data; at test time it says the label alone.
Method   Teacher: a decoder, trained on worked examples that the student never sees, says rationale and label of the
         student's questions, the likeliest token by token; wrong ones are kept. Student: an encoder-decoder, after span
         corruption of questions, on L = alpha CE(label | predict, x) + (1 - alpha) CE(rationale | explain, x), means
         over tokens, two passes a step. Arms, from one checkpoint, on the same labelled examples:
         fine-tuning               the label's task alone, as many steps; or as many FLOPs
         step by step              gold labels and the teacher's rationales; also with the program's rationales
         with the teacher's labels both, gold labels unseen: what the teacher cannot say in form is left out
         one task                  rationale, then label in one target: asked for both, or for the label at once
         Learning rates of the three losses by accuracy on development questions with all labels and one seed.
         Task: word problems of svamp (MAWPS and ASDiv-A, numbers masked) to equations, which are computed; rationales
         of worked examples quote each number that counts and say each operation. `full` adds LEGO chains to a value.
Run      stagejax run distilling_step_by_step                 laptop: 9 minutes on two busy cores
         stagejax run distilling_step_by_step --preset full   also LEGO chains
         stagejax run distilling_step_by_step --preset smoke  seconds
         stagejax plan distilling_step_by_step --preset pod --mesh data=8,fsdp=8
Holds if on held-out problems of svamp, means over 3 seeds: (1) step by step is 1 point or more above fine-tuning at 3
         of the 4 shares of the labels or more; (2) with half of the labels or fewer it reaches fine-tuning on all; (3)
         it is not below one task, where both say the label at once; (4) nor where one task says its rationale first, as
         in the paper; (5) it is above fine-tuning of equal FLOPs at 25 and 100 % of the labels; (6) with the teacher's
         labels it is above distillation of them at 25 and 100 %.
Ours     Teacher 0.7M parameters, right on 57.8 % of the pool; student 0.15M; 3 seeds; right labels of held-out
         problems, in %, with 12.5, 25, 50 and 100 % of 500 labels:
         fine-tuning     26.2 ± 3.7, 33.4 ± 2.8, 39.3 ± 0.5, 45.4 ± 2.4; of equal FLOPs -, 35.2 ± 1.0, -, 52.3 ± 2.7
         step by step    27.2 ± 2.4, 32.8 ± 2.9, 43.8 ± 1.5, 43.0 ± 3.6; program's reasons -, -, -, 40.9 ± 4.3
         teacher's labels: distillation 30.6 ± 1.4, 40.2 ± 2.1; step by step 31.9 ± 0.4, 40.5 ± 3.9 (25 and 100 %)
         one task        rationale first 33.8 ± 0.9, label at once 3.7 ± 4.4 (100 %)
         (1) ahead by a point at two shares of four, (2) not with half of the labels, (5) not: fine-tuning had better go
         on for as long. (3), (4) hold. (6) holds by less than seeds differ by, and did not in a first run (27.3 and
         42.2 against 30.8 and 43.0), in which words had other numbers, so other vectors at first, and step by step the
         rate 4e-3. On SVAMP's own test, with all labels, step by step 14.2 ± 0.1 and fine-tuning 14.8 ± 1.4. `full` has
         not been run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.budget import flops, within
from stagejax.data import BPE, TFDS, Dataset, Source, Tokenizer
from stagejax.data.language.denoising import T5 as SPANS
from stagejax.data.language.denoising import Denoising
from stagejax.data.language.field_text import FieldText
from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch
from stagejax.data.portion import Portion
from stagejax.data.prompts.lessons import Format, labels_of, one_task, rows_of, two_tasks, worked_examples, worked_rows
from stagejax.data.reasoning.chains import Chains
from stagejax.data.reasoning.masked_problems import MaskedProblems, right
from stagejax.data.reasoning.problems import Problems
from stagejax.data.tasks.explained import Inferences, Whole
from stagejax.data.vocabulary.common_words import CommonWords
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference.prompts import explaining
from stagejax.inference.prompts.explaining import explanations, labels_given, taught
from stagejax.models import Transformer, llama
from stagejax.models.t5 import T5
from stagejax.models.t5_sizes import t5_v1_1
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.language import seq2seq
from stagejax.objectives.text.explaining import StepByStep, label_alone
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.search.lowest import Lowest
from stagejax.search.peak import at_peak, best_peak

FT, DSS, MATCHED, PROGRAM = "fine-tuning", "step by step", "fine-tuning, equal FLOPs", "step by step, program's reasons"
LABELS, UNLABELLED = "distillation", "step by step, teacher's labels"
ALOUD, ONE = "one task, rationale first", "one task, label at once"  # of one network


Tests = tuple[tuple[str, Source], ...]  # with their names


@dataclass(frozen=True)
class Way:
    """What an arm is trained on, and the loss whose learning rate it has."""

    loss: str
    taught: bool = False  # by the teacher; else the program's rationales are there, and gold labels
    gold: bool = True
    write: Callable[..., Batch] = two_tasks


WAYS = {
    FT: Way(FT),
    DSS: Way(DSS, taught=True),
    LABELS: Way(FT, taught=True, gold=False),
    UNLABELLED: Way(DSS, taught=True, gold=False),
    PROGRAM: Way(DSS),
    ALOUD: Way(ALOUD, taught=True, write=one_task),
}


@dataclass(frozen=True)
class Task:
    """Questions in parts that share none, the networks, and how long they learn."""

    name: str
    read: Source  # text without tests: vocabulary and span corruption
    taught: Source  # worked examples of the teacher
    pool: Source  # the student's
    size: int  # of the pool
    dev: Source  # learning rates are chosen by these
    tests: Tests  # claims speak of the first
    words: Tokenizer
    lengths: tuple[int, int, int]  # of question, label and rationale, each with one token more
    student: T5  # vocabularies are set by the data
    teacher: Transformer
    shares: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0)
    few: tuple[float, ...] = (0.25, 1.0)  # shares of arms beside the two main ones
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: tuple[int, int, int] = (450, 150, 300)  # of teacher, span corruption, student

    @property
    def tokenizer(self) -> Tokenizer:
        return LearnedFrom(self.words, Whole(self.read))

    @property
    def form(self) -> Format:
        return Format(self.tokenizer, self.corrupted(1).vocab, *self.lengths)

    @property
    def nets(self) -> tuple[T5, Transformer]:
        """Student and teacher, with all ids."""
        form = self.form
        sizes = {"vocab": form.vocab, "length": form.inputs + form.answer + 1}
        return replace(self.student, vocab=form.vocab), replace(self.teacher, **sizes)

    def corrupted(self, batch: int) -> Denoising:
        """Questions as running text, out of which spans are taken."""
        sizes = {"inputs": self.lengths[0], "outputs": max(8, self.lengths[0] // 4)}
        how = {"batch": batch, "denoisers": SPANS, "mode_tokens": False}
        return Denoising(source=FieldText(self.read, "question"), tokenizer=self.tokenizer, **sizes, **how)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    tasks: tuple[Task, ...]  # claims are judged on the first
    alpha: float = 0.5  # weight of the label's task
    alphas: tuple[float, ...] = ()  # others, with all labels and the first seed
    batch: int = 16
    teaching: int = 32  # batch of the teacher
    rates: tuple[float, ...] = (1e-3, 2e-3, 4e-3, 8e-3)  # of the student
    fixed: tuple[float, float] = (2e-3, 3e-3)  # learning rates of teacher and span corruption
    tested: tuple[int, int] = (3, 50)  # batches and rows of development questions
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None


def word_problems(source: Source, tests: Tests, sizes: tuple[int, int, int], **own: Any) -> Task:
    """Word problems to equations: test, development and pool of `sizes`, then the teacher's worked examples."""
    test, dev, pool = np.cumsum(sizes).tolist()

    def portion(start: int, stop: int | None) -> Source:
        return Portion(source, start, stop)

    parts = {"read": portion(dev, None), "taught": portion(pool, None), "pool": portion(dev, pool), "size": sizes[2]}
    parts |= {"dev": portion(test, dev), "tests": (("held out", portion(0, test)), *tests)}
    return Task("svamp", **parts, **own)


def chains(size: int, **own: Any) -> Task:
    """LEGO: the teacher's chains are as many as the student's, of another seed; tests are of no chain of either."""
    whole, held = Chains(size=size), Chains("test", size=200, seed=1)
    parts = {"taught": replace(whole, seed=1), "pool": whole, "size": size, "dev": held}
    parts |= {"tests": (("held out", replace(held, size=500, seed=2)),)}
    return Task("lego", read=replace(whole, seed=2), **parts, words=whole.tokenizer(), lengths=(33, 2, 18), **own)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, with more arms, or at the paper's scale."""
    student = T5(embed=64, heads=4, head_dim=16, mlp=128, encoder_layers=1, decoder_layers=1, activation="geglu")
    teacher = llama(vocab=8, embed=128, layers=3, heads=4, mlp=256)
    if name == "smoke":
        tiny = {"student": replace(student, embed=16, heads=2, head_dim=8, mlp=32), "steps": (110, 10, 20)}
        tiny |= {"teacher": replace(teacher, embed=48, layers=1, heads=2, mlp=96), "seeds": (0,)}
        told = MaskedProblems(Problems(size=400, steps=(1,)), longest=24)
        own = {"words": CommonWords(60), "lengths": (25, 4, 20), "shares": (0.5, 1.0), "few": (1.0,)}
        return Config(
            (word_problems(told, (), (20, 20, 40), **own, **tiny),), alphas=(0.25, 0.75), batch=8, teaching=16,
            rates=(3e-3, 1e-2), tested=(2, 10),
        )  # fmt: skip
    if name == "pod":
        esnli, held = Inferences(TFDS("esnli")), Inferences(TFDS("esnli", "validation"))
        large = llama(vocab=8, embed=4096, layers=32, heads=32, mlp=11_008, scan=True, remat="full")
        parts = {"taught": Portion(esnli, stop=5000), "pool": Portion(esnli, start=5000), "size": 544_367, "dev": held}
        parts |= {"read": Portion(esnli, start=5000), "tests": (("e-SNLI", Inferences(TFDS("esnli", "test"))),)}
        many = {"words": BPE(32_000), "lengths": (256, 8, 128), "seeds": (0,), "steps": (500, 100_000, 10_000)}
        students = {size: t5_v1_1(size, scan=True, remat="full") for size in ("base", "large", "XXL")}
        tasks = tuple(Task(size, **parts, **many, teacher=large, student=net) for size, net in students.items())
        return Config(
            tasks, batch=64, teaching=256, rates=(5e-5,), fixed=(1e-5, 1e-3), tested=(16, 512), save_every=1000,
            precision=Precision(compute="bfloat16"),
        )  # fmt: skip
    svamp = MaskedProblems(Dataset("svamp"))
    far = (("SVAMP", MaskedProblems(Dataset("svamp", "test"))),)
    own = {"words": CommonWords(800), "lengths": (41, 8, 24), "student": student, "teacher": teacher}
    tasks = (word_problems(svamp, far, (400, 150, 500), **own),)
    if name == "full":
        tasks += (chains(3000, student=replace(student, encoder_layers=3), teacher=teacher, shares=(1.0,), few=(1.0,)),)
    return Config(tasks)


@dataclass(frozen=True)
class Given:
    """What all arms of a task begin with."""

    start: Any  # the pre-trained student
    teacher: Any
    said: Any  # the teacher's explanations of the pool


@dataclass(frozen=True)
class Found:
    """What a task gave: by arm, share of the labels and seed."""

    given: Given
    rates: dict[str, Lowest] = field(default_factory=dict)  # by loss
    arms: dict[tuple[str, float], dict[int, Arm]] = field(default_factory=dict)
    right: dict[tuple[str, float, str], list[float]] = field(default_factory=dict)  # of each test

    def accuracy(self, arm: str, share: float, test: str) -> list[float]:
        """In %, one a seed; none while planning."""
        return [100 * value for value in self.right.get((arm, share, test), []) if not np.isnan(value)]


def pipeline(run: Any, cfg: Config) -> Report:
    """For each task teacher, checkpoint, learning rates, and every arm with what it says to test questions."""
    found = {}
    for task in cfg.tasks:
        own = found[task.name] = Found(given(run, cfg, task))
        own.rates.update({loss: rate_of(run, cfg, task, own.given, loss) for loss in (FT, DSS, ALOUD)})
        arms = [(arm, share) for share in task.shares for arm in (FT, DSS)]
        arms += [(arm, share) for share in task.few for arm in (MATCHED, LABELS, UNLABELLED)]
        for arm, share in (*arms, (PROGRAM, 1.0), (ALOUD, 1.0)):
            for seed in task.seeds:
                compared(run, cfg, task, own, (arm, share, seed))
        for alpha in cfg.alphas:
            compared(run, replace(cfg, alpha=alpha), task, own, (weighted(alpha), 1.0, task.seeds[0]))
    return report(cfg, found)


def weighted(alpha: float) -> str:
    return f"{DSS}, alpha {alpha:g}"


# --- data ---


def lessons(form: Format, source: Source, way: Way, share: float, seed: int, said: Any) -> Batch:
    """The student's rows: a share of the pool that the seed draws, each part of it in the larger ones."""
    size = len(source)
    records = shuffled(seed, np.arange(round(share * size)), size).tolist()
    if way.taught:
        return way.write(form, taught(form, source, said.value, way.gold, records))
    every = form.read(source)
    return way.write(form, [every[record] for record in records])


# --- stages ---


def given(run: Any, cfg: Config, task: Task) -> Given:
    """The teacher, what it says of the pool, and the student's checkpoint."""
    at, form, (_, large) = task.name, task.form, task.nets
    worked = run.make(f"{at}/worked", worked_examples, form, task.taught)
    teacher = run.train(teaching(cfg, task, worked))
    how = {"flops": task.size * explaining.flops(large, form), "sampled_tokens": explaining.drawn_tokens}
    said = run.make(f"{at}/explained", explanations, teacher, form, task.pool, right, **how)
    return Given(run.train(pretraining(cfg, task)), teacher, said)


def teaching(cfg: Config, task: Task, worked: Any) -> Stage:
    """The teacher, on worked examples."""
    data = worked_rows(worked, task.form, cfg.teaching)
    optimizer = adamw(cfg.fixed[0], warmup=0.1, decay="linear", clip=1.0)
    how = {"precision": cfg.precision, "save_every": cfg.save_every}
    return Stage(f"{task.name}/teacher", task.nets[1], causal_lm, optimizer, data, task.steps[0], **how)


def pretraining(cfg: Config, task: Task) -> Stage:
    """Span corruption, which stands for the checkpoint of a T5."""
    optimizer = adamw(cfg.fixed[1], warmup=0.1, decay="linear", clip=1.0)
    how = {"precision": cfg.precision, "save_every": cfg.save_every}
    data = task.corrupted(cfg.batch)
    return Stage(f"{task.name}/checkpoint", task.nets[0], seq2seq, optimizer, data, task.steps[1], **how)


def student(run: Any, cfg: Config, task: Task, own: Given, way: Way, name: str, share: float, seed: int) -> Stage:
    """The recipe that all arms share, on rows of their own."""
    form, said = task.form, own.said if way.taught else None
    made = run.make(f"{name}/rows", lessons, form, task.pool, way, share, seed, said)
    lengths = {"label": form.label if way.write is two_tasks else form.answer, "rationale": form.rationale}
    batches, rows = cfg.tested
    held = Evaluation(labels_of(form, task.dev, rows), batches, objective=label_alone)
    return Stage(
        name=name,
        model=task.nets[0],
        objective=StepByStep(cfg.alpha) if way.loss == DSS else label_alone,
        optimizer=adamw(cfg.rates[0], warmup=0.1, decay="linear", clip=1.0),
        data=rows_of(made, form, lengths if way.loss == DSS else {"label": lengths["label"]}, cfg.batch, seed),
        steps=task.steps[2],
        evaluate=held if way.write is two_tasks else None,  # one task begins with a rationale
        precision=cfg.precision,
        seed=seed,
        save_every=cfg.save_every,
    )


def rate_of(run: Any, cfg: Config, task: Task, own: Given, loss: str) -> Lowest:
    """The learning rate of a loss, by accuracy on development questions with all labels and the first seed."""
    pilot = student(run, cfg, task, own, WAYS[loss], f"{task.name}/rate/{slug(loss)}", 1.0, task.seeds[0])

    def score(net: Any) -> float:
        return -accuracy(asked(run, task, net, f"{net.name}/dev", task.dev, loss))

    return best_peak(run, pilot, cfg.rates, start=own.start, score=score)


def compared(run: Any, cfg: Config, task: Task, found: Found, which: tuple[str, float, int]) -> None:
    """One arm with a share of the labels and a seed: trained, and asked all test questions."""
    arm, share, seed = which
    way, own = WAYS.get(arm, WAYS[FT if arm == MATCHED else DSS]), found.given
    name = f"{task.name}/{slug(arm)}/{seed}/{share:g}"
    rate, stage = found.rates[way.loss], student(run, cfg, task, own, way, name, share, seed)
    stage = at_peak(stage, rate.best)
    if arm == MATCHED:
        stage = within(stage, flops(found.arms[DSS, share][seed].results[-1]))
    net = run.train(stage, own.start)
    charged = (*rate.spent, *((own.teacher, own.said) if way.taught else ()))
    found.arms.setdefault((arm, share), {})[seed] = Arm("", (own.start, net), charged)
    for mode in (ALOUD, ONE) if arm == ALOUD else (arm,):
        for test, source in task.tests:
            made = asked(run, task, net, f"{name}/{slug(mode)}/{slug(test)}", source, mode)
            found.right.setdefault((mode, share, test), []).append(accuracy(made))


def asked(run: Any, task: Task, net: Any, name: str, source: Source, mode: str) -> Any:
    """What a network says to questions: a label, or a rationale before it."""
    lead = (task.form.so,) if mode == ONE else ()
    return run.make(name, labels_given, net, task.form, source, right, lead, mode == ALOUD)


def accuracy(made: Any) -> float:
    """NaN while planning."""
    return float(np.mean(made.value["right"])) if made.value else float("nan")


# --- report ---


def report(cfg: Config, found: dict[str, Found]) -> Report:
    """Accuracies of all arms on all tests, how good the teacher is, which rates were tried, and the claims."""
    arms, told, base = (), (), f"{{}}: {FT}, 100%".format
    for task in cfg.tasks:
        own = found[task.name]
        named = {f"{task.name}: {arm}, {100 * share:g}%": by for (arm, share), by in own.arms.items()}
        arms, told = (*arms, *by_seed(named, base(task.name))), (*told, *tables(task, own))
    first, link = cfg.tasks[0], "https://arxiv.org/abs/2305.02301"
    how = {"baseline": base(first.name), "metric": "exact", "rising": True, "seeds": first.seeds, "notes": NOTES}
    return EXPERIMENT.report(judged(cfg, found[first.name]), link=link, arms=arms, tables=told, **how)


def judged(cfg: Config, own: Found) -> tuple[Any, ...]:
    """The claims, by the rules of the docstring."""
    task = cfg.tasks[0]
    (test, _), *_ = task.tests

    def of(arm: str, share: float = 1.0) -> float:
        return mean(own.accuracy(arm, share, test))

    def said(*pairs: tuple[str, float]) -> str | None:
        known = [shown(own.accuracy(*pair, test) or [np.nan], ".1f") for pair in pairs]
        return None if None in known else " / ".join(map(str, known))

    gains = {share: of(DSS, share) - of(FT, share) for share in task.shares}
    gained = ", ".join(f"{100 * share:g}% {gain:+.1f}" for share, gain in gains.items())
    few = max((share for share in task.shares if share <= 0.5), key=lambda share: of(DSS, share))
    need, most = -(-3 * len(task.shares) // 4), len(task.shares)
    means, both = "means over seeds, in %", " and ".join(f"{100 * share:g}%" for share in task.few)
    return (
        claim(
            "With the same labels step by step says more right ones than fine-tuning",
            paper="T5-base on SVAMP 65.5, fine-tuned 62.6 (from memory)", measured=gained if said((FT, 1.0)) else None,
            margin=f"by 1 point or more at {need} of {most} shares; {means}",
            holds=sum(gain >= 1 for gain in gains.values()) >= need,
        ),
        claim(
            "With few of the labels it reaches fine-tuning on all", paper="with 20 % of SVAMP's (from memory)",
            measured=said((DSS, few), (FT, 1.0)), holds=of(DSS, few) >= of(FT),
            margin=f"with 50 % or fewer not below, here {100 * few:g}%; {means}",
        ),
        claim(
            "Two tasks are better than one, where both say the label at once", paper="not reported",
            measured=said((DSS, 1.0), (ONE, 1.0)), margin=f"not below; {means}", holds=of(DSS) >= of(ONE),
        ),
        claim(
            "Two tasks are better than one that says its rationale first", paper="65.5 and 63.0 (from memory)",
            measured=said((DSS, 1.0), (ALOUD, 1.0)), margin=f"not below; {means}", holds=of(DSS) >= of(ALOUD),
        ),
        claim(
            "Its two passes are worth more than as many FLOPs of fine-tuning", paper="not reported",
            measured=said(*((arm, share) for share in task.few for arm in (DSS, MATCHED))),
            margin=f"above at {both}; {means}", holds=all(of(DSS, one) > of(MATCHED, one) for one in task.few),
        ),
        claim(
            "Without gold labels it is better than distillation of the teacher's", paper="on four data sets (curves)",
            measured=said(*((arm, share) for share in task.few for arm in (UNLABELLED, LABELS))),
            margin=f"above at {both}; {means}", holds=all(of(UNLABELLED, one) > of(LABELS, one) for one in task.few),
        ),
    )  # fmt: skip


def tables(task: Task, own: Found) -> tuple[Table, ...]:
    """Of one task."""
    shares = {f"{100 * share:g}%": share for share in task.shares}
    arms = list(dict.fromkeys(arm for arm, _, _ in own.right))

    def measured(test: str) -> Callable[[str, str], list[float]]:
        return lambda arm, share: own.accuracy(arm, shares[share], test)

    note = "In %, by share of the pool: mean ± standard deviation over seeds."
    scores = [
        table_of_means(f"{task.name}: right labels, {test}", arms, list(shares), measured(test), scale=1.0, note=note)
        for test, _ in task.tests
    ]
    said: Mapping[str, np.ndarray] = own.given.said.value or {}
    teacher = tuple((name, float(np.mean(said[name])) if said else None) for name in ("parsed", "right"))
    rates = tuple((loss, *(-score for score in rate.losses)) for loss, rate in own.rates.items())
    tried = [f"{peak:g}" for peak in own.rates[FT].tried]
    return (
        *scores,
        Table(f"{task.name}: the teacher on the pool", ("labels", "share"), teacher, ("", ".1%")),
        Table(
            f"{task.name}: learning rates, right labels of development questions", ("loss", *tried), rates,
            ("", *[".1%"] * len(tried)), "All labels, first seed; the highest is chosen.",
        ),
    )  # fmt: skip


NOTES = (
    "The paper prompts PaLM-540B and starts from T5 checkpoints. Here the teacher is a decoder of 0.7M parameters that "
    "learns from worked examples what prompts would show, and 150 steps of span corruption on the questions stand for "
    "the checkpoint; vocabulary and span corruption see the questions of the teacher's examples and of the pool.",
    "Rationales of worked examples are made from gold equations. The teacher's own are drawn greedily, once, and none "
    "is filtered by gold labels; its accuracy on the pool is in a table.",
    "Questions of more than 40 words, equations with a number that the text has not, and repeated texts are left out: "
    "703 of the 1000 problems of SVAMP's own test are left. Accuracies are not to be compared with published ones.",
    "Arms with the teacher's rationales or labels are charged with it and with what it says; every arm with its loss's "
    "four pilots. What is said to test questions is charged to none.",
    "Before the run that is reported: on LEGO chains of 4 to 6 clauses, which are in `full` (not run), a student "
    "stayed at chance for 600 steps, and with 2 to 4 clauses no more than 29 % of its rationales were right, so that "
    "word problems are judged; fine-tuning and step by step were tried once on 700 problems, with gold rationales, by "
    "development accuracy (49 and 41 %) and SVAMP's test (11 and 10 %); a smaller teacher with fewer steps was right "
    "on 33 % of development questions, one of this size, with longer rationales and other such questions, on 51 %.",
    "A first run had rates from 2e-3 on, which fine-tuning took, so 1e-3 joined for all losses; none takes it. The "
    "tokenizer was exchanged as well, for one that numbers the words otherwise, and so initial values differ. Of the "
    "verdicts the sixth alone changed: step by step had 27.3 and 42.2 %, distillation 30.8 and 43.0. Step by step took "
    "4e-3 then and takes 2e-3 now.",
    "Problems of one kind lie on both sides: 76 of 400 held-out questions, and 27 of 150 for development, share 80 % "
    "of their words or more with one of the pool, which raises all arms alike.",
    "A network of one task hardly learned to begin with its label, which the third claim asks of it.",
    "Shares of the pool are of 500 labels, each a part of the larger ones; the seed draws them and their order alone, "
    "as all students begin with one checkpoint.",
)

EXPERIMENT = Experiment(
    name="distilling_step_by_step",
    title="Distilling step-by-step: rationales as a second task",
    reference="Hsieh et al., Findings of ACL 2023, arXiv 2305.02301",
    paper=28,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("distilling_step_by_step")
