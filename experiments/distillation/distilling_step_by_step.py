"""Distilling step-by-step: a small model that also learns to say why needs fewer labels than one that learns labels alone.

Paper    Hsieh et al., Distilling Step-by-Step! Outperforming Larger Language Models with Less Training Data and Smaller
         Model Sizes, Findings of ACL 2023, arXiv 2305.02301 (dossier 028).
Claim    A large language model gives a rationale and a label to each input. A small T5 that learns both as two tasks,
         told apart by a prefix of the input, says better labels than by fine-tuning on labels alone or by distillation
         of labels, with less data; at test time it says the label alone.
Method   Teacher: a decoder, trained on worked examples that the student never sees, says rationale and label of the
         student's questions, the likeliest token by token; wrong ones are kept. Student: an encoder-decoder, pre-trained
         by span corruption on questions, then L = alpha CE(label | predict, x) + (1 - alpha) CE(rationale | explain, x),
         means over tokens, two passes a step. Arms, from one checkpoint, on the same labelled examples:
         fine-tuning               the label's task alone, as many steps; or as many FLOPs
         step by step              gold labels and the teacher's rationales; also with the program's rationales
         with the teacher's labels both, gold labels unseen: what the teacher cannot say in form is left out
         one task                  rationale, then label in one target: asked for both, or for the label at once
         Learning rates of the three losses by accuracy on development questions with all labels and one seed.
         Tasks: word problems of svamp (MAWPS and ASDiv-A, numbers masked) to equations, which are computed; rationales
         of worked examples quote each number that counts and say each operation. LEGO chains to a value.
Run      stagejax run distilling_step_by_step                 laptop: @@ minutes on two cores
         stagejax run distilling_step_by_step --preset smoke  seconds
         stagejax plan distilling_step_by_step --preset pod --mesh data=16,fsdp=16
Holds if on held-out problems of svamp, means over 3 seeds: (1) step by step is 1 point or more above fine-tuning at 3 of
         the 4 shares of the labels or more; (2) with half of the labels or fewer it reaches fine-tuning on all; (3) it is
         not below one task, where both say the label at once; (4) nor where one task says its rationale first, as in the
         paper; (5) it is above fine-tuning of equal FLOPs at 25 and 100 % of the labels; (6) with the teacher's labels
         it is above distillation of them at 25 and 100 %.
Ours     @@
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.budget import flops, within
from stagejax.data import BPE, TFDS, Dataset, Source, Tokenizer
from stagejax.data.abreast import part
from stagejax.data.answers import MadeRows
from stagejax.data.chains import Chains
from stagejax.data.denoising import T5 as SPANS
from stagejax.data.denoising import Denoising
from stagejax.data.equations import Equations, right
from stagejax.data.frequent_words import FrequentWords
from stagejax.data.joined import Row
from stagejax.data.learned import LearnedFrom
from stagejax.data.lessons import Format, for_a_decoder, labels_of, one_task, rows_of, two_tasks
from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, joint_digest
from stagejax.data.portion import Portion
from stagejax.data.problems import Problems
from stagejax.data.sources import Derived, Record
from stagejax.inference import explaining
from stagejax.inference.explaining import explanations, labels_given, taught
from stagejax.models import Transformer, llama
from stagejax.models.t5 import T5
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.language import seq2seq
from stagejax.objectives.loss import Metrics
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means

FT, DSS, MATCHED, PROGRAM = "fine-tuning", "step by step", "fine-tuning, equal FLOPs", "step by step, program's reasons"
LABELS, UNLABELLED = "distillation", "step by step, teacher's labels"
ALOUD, ONE = "one task, rationale first", "one task, label at once"  # of one network


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
class Whole(Derived):
    """Question, rationale and label of a record as one text: what a vocabulary is learned from."""

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        return {"text": " ".join(record[name] for name in ("question", "rationale", "label"))}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "whole")


@dataclass(frozen=True)
class Explained(Derived):
    """e-SNLI: premise and hypothesis, one of three words, and what a person said about it."""

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        label = ("entailment", "neutral", "contradiction")[record["label"]]
        question = f"{record['premise']} </s> {record['hypothesis']}"
        return {"question": question, "rationale": record["explanation_1"], "label": label}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "explained")


@dataclass(frozen=True)
class Questions(Derived):
    """The questions alone, as running text."""

    def __getitem__(self, index: int) -> Record:
        return {"text": self.source[index]["question"]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "questions")


@dataclass(frozen=True)
class Task:
    """Questions in parts that share none, the networks, and how long they learn."""

    name: str
    read: Source  # text without tests: vocabulary and span corruption
    taught: Source  # worked examples of the teacher
    pool: Source  # the student's
    size: int  # of the pool
    dev: Source  # learning rates are chosen by these
    tests: tuple[tuple[str, Source], ...]  # claims speak of the first
    words: Tokenizer
    lengths: tuple[int, int, int]  # of question, label and rationale, each with one token more
    student: T5  # vocabularies are set by the data
    teacher: Transformer
    shares: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0)
    few: tuple[float, ...] = (0.25, 1.0)  # shares of arms beside the two main ones
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: tuple[int, int, int] = (400, 150, 300)  # of teacher, span corruption, student

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
        return Denoising(source=Questions(self.read), tokenizer=self.tokenizer, **sizes, **how)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    tasks: tuple[Task, ...]  # claims are judged on the first
    alpha: float = 0.5  # weight of the label's task
    alphas: tuple[float, ...] = ()  # others, with all labels and the first seed
    batch: int = 32
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)  # of the student
    fixed: tuple[float, float] = (2e-3, 3e-3)  # learning rates of teacher and span corruption
    tested: tuple[int, int] = (2, 100)  # batches and rows of development questions
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None


def word_problems(
    source: Source, tests: tuple[tuple[str, Source], ...], sizes: tuple[int, int, int], **own: Any
) -> Task:
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
        tiny = {"student": replace(student, embed=16, heads=2, head_dim=8, mlp=32), "steps": (120, 10, 20)}
        tiny |= {"teacher": replace(teacher, embed=48, layers=1, heads=2, mlp=96), "seeds": (0,)}
        told = Equations(Problems(size=400, steps=(1,)), longest=24)
        own = {"words": FrequentWords(60), "lengths": (25, 4, 20), "shares": (0.5, 1.0), "few": (1.0,)}
        return Config(
            (word_problems(told, (), (20, 20, 40), **own, **tiny),), alphas=(0.25, 0.75), batch=8, rates=(3e-3, 1e-2),
            tested=(2, 10),
        )  # fmt: skip
    if name == "pod":
        esnli, held = Explained(TFDS("esnli")), Explained(TFDS("esnli", "validation"))
        how = {"activation": "geglu", "tied": False, "head_dim": 64, "scan": True, "remat": "full"}
        sizes = {"base": (768, 12, 2048, 12), "large": (1024, 16, 2816, 24), "XXL": (4096, 64, 10_240, 24)}
        large = llama(vocab=8, embed=4096, layers=32, heads=32, mlp=11_008, scan=True, remat="full")
        parts = {"taught": Portion(esnli, stop=5000), "pool": Portion(esnli, start=5000), "size": 544_367, "dev": held}
        parts |= {"read": Portion(esnli, start=5000), "tests": (("e-SNLI", Explained(TFDS("esnli", "test"))),)}
        many = {"words": BPE(32_000), "lengths": (256, 8, 128), "seeds": (0,), "steps": (500, 100_000, 10_000)}
        tasks = tuple(
            Task(size, **parts, **many, teacher=large, student=T5(
                embed=embed, heads=heads, mlp=mlp, encoder_layers=layers, decoder_layers=layers, **how
            )) for size, (embed, heads, mlp, layers) in sizes.items()
        )  # fmt: skip
        return Config(
            tasks, batch=64, rates=(5e-5,), fixed=(1e-5, 1e-3), tested=(16, 512), save_every=1000,
            precision=Precision(compute="bfloat16"),
        )  # fmt: skip
    svamp = Equations(Dataset("svamp"))
    far = (("SVAMP", Equations(Dataset("svamp", "test"))),)
    own = {"words": FrequentWords(1200), "lengths": (49, 8, 32), "student": student, "teacher": teacher}
    tasks = (word_problems(svamp, far, (400, 200, 700), **own),)
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
    tried: dict[str, dict[float, float]] = field(default_factory=dict)  # by loss and learning rate
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
        searched = {loss: rate_of(run, cfg, task, own, loss) for loss in (FT, DSS, ALOUD)}
        arms = [(arm, share) for share in task.shares for arm in (FT, DSS)]
        arms += [(arm, share) for share in task.few for arm in (MATCHED, LABELS, UNLABELLED)]
        for arm, share in (*arms, (PROGRAM, 1.0), (ALOUD, 1.0)):
            for seed in task.seeds:
                compared(run, cfg, task, own, (arm, share, seed), searched)
        for alpha in cfg.alphas:
            compared(run, replace(cfg, alpha=alpha), task, own, (weighted(alpha), 1.0, task.seeds[0]), searched)
    return report(cfg, found)


def weighted(alpha: float) -> str:
    return f"{DSS}, alpha {alpha:g}"


# --- data ---


def worked_examples(form: Format, source: Source) -> Batch:
    """The teacher's rows."""
    return for_a_decoder(form, form.read(source))


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
    length, kinds = task.form.inputs + task.form.answer, {"tokens": "int32", "targets": "int32", "weights": "float32"}
    fields = tuple(Row(name, (length,), kind) for name, kind in kinds.items())
    data = MadeRows(rows=fields, of=worked.fingerprint, arrays=worked.value, batch=cfg.batch)
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
    return Stage(
        name=name,
        model=task.nets[0],
        objective=StepByStep(cfg.alpha) if way.loss == DSS else label_alone,
        optimizer=adamw(cfg.rates[0], warmup=0.1, decay="linear", clip=1.0),
        data=rows_of(made, form, lengths if way.loss == DSS else {"label": lengths["label"]}, cfg.batch, seed),
        steps=task.steps[2],
        evaluate=Evaluation(labels_of(form, task.dev, rows), batches, objective=label_alone),
        precision=cfg.precision,
        seed=seed,
        save_every=cfg.save_every,
    )


def label_alone(model: Any, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, Metrics]:
    """CE(label | predict, x), the mean over its tokens."""
    return seq2seq(model, part(batch, "label"), key)


@dataclass(frozen=True)
class StepByStep:
    """alpha CE(label | predict, x) + (1 - alpha) CE(rationale | explain, x): two passes, a mean over tokens in each."""

    alpha: float

    def __call__(self, model: Any, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, Metrics]:
        """An objective, with the metrics of the label's task and the `rationale` loss."""
        keys = (None, None) if key is None else jax.random.split(key)
        label, metrics = label_alone(model, batch, keys[0])
        rationale, other = seq2seq(model, part(batch, "rationale"), keys[1])
        return self.alpha * label + (1 - self.alpha) * rationale, metrics | {"rationale": other["loss"]}


def rate_of(run: Any, cfg: Config, task: Task, found: Found, loss: str) -> tuple[float, tuple[Any, ...]]:
    """The learning rate of a loss by what is said to development questions, and what that took."""
    seed, spent, tried = task.seeds[0], [], found.tried.setdefault(loss, {})
    for rate in cfg.rates:
        name = f"{task.name}/rate/{slug(loss)}/{rate:g}"
        stage = student(run, cfg, task, found.given, WAYS[loss], name, 1.0, seed)
        net = run.train(
            replace(stage, optimizer=replace(stage.optimizer, peak=rate)), found.given.start, may_diverge=True
        )
        spent.append(net)
        tried[rate] = accuracy(asked(run, task, net, f"{name}/dev", task.dev, loss))
    known = not np.isnan(list(tried.values())).any()
    return max(tried, key=lambda rate: tried[rate]) if known else cfg.rates[0], tuple(spent)


def compared(run: Any, cfg: Config, task: Task, found: Found, which: tuple[str, float, int], searched: Any) -> None:
    """One arm with a share of the labels and a seed: trained, and asked all test questions."""
    arm, share, seed = which
    way, own = WAYS.get(arm, WAYS[FT if arm == MATCHED else DSS]), found.given
    name = f"{task.name}/{slug(arm)}/{seed}/{share:g}"
    rate, spent = searched[way.loss]
    stage = student(run, cfg, task, own, way, name, share, seed)
    stage = replace(stage, optimizer=replace(stage.optimizer, peak=rate))
    if arm == MATCHED:
        stage = within(stage, flops(found.arms[DSS, share][seed].results[-1]))
    net = run.train(stage, own.start)
    charged = (*spent, *((own.teacher, own.said) if way.taught else ()))
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
    arms = tuple(arm for task, own in zip(cfg.tasks, found.values(), strict=True) for arm in arms_of(task, own))
    return EXPERIMENT.report(
        judged(cfg, next(iter(found.values()))),
        link="https://arxiv.org/abs/2305.02301",
        arms=arms,
        tables=tuple(table for task, own in zip(cfg.tasks, found.values(), strict=True) for table in tables(task, own)),
        baseline=f"{cfg.tasks[0].name}: {FT}, 100%",
        metric="exact",
        rising=True,
        seeds=cfg.tasks[0].seeds,
        notes=NOTES,
    )


def arms_of(task: Task, own: Found) -> tuple[Arm, ...]:
    """The arms by name, each against fine-tuning on all labels."""
    named = {f"{task.name}: {arm}, {share:.0%}": by for (arm, share), by in own.arms.items()}
    return by_seed(named, f"{task.name}: {FT}, 100%")


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
    few = max((share for share in task.shares if share <= 0.5), key=lambda share: of(DSS, share))
    every, need = len(cfg.tasks[0].shares), -(-3 * len(task.shares) // 4)
    means = "means over seeds, in % of held-out questions"
    return (
        claim(
            "With the same labels it says more right ones than fine-tuning",
            paper="T5-base, SVAMP 65.5, fine-tuning 62.6 (from memory)",
            measured=", ".join(f"{share:.0%} {gain:+.1f}" for share, gain in gains.items())
            if said((FT, 1.0))
            else None,
            margin=f"1 point or more at {need} of {every} shares of the labels, {means}",
            holds=sum(gain >= 1 for gain in gains.values()) >= need,
        ),
        claim(
            "With few of the labels it reaches fine-tuning on all",
            paper="with 20 % of SVAMP's (from memory)",
            measured=said((DSS, few), (FT, 1.0)),
            margin=f"with 50 % or fewer not below; here with {few:.0%}; {means}",
            holds=of(DSS, few) >= of(FT),
        ),
        claim(
            "Two tasks are better than one, where both say the label at once",
            paper="not reported",
            measured=said((DSS, 1.0), (ONE, 1.0)),
            margin=f"not below; {means}",
            holds=of(DSS) >= of(ONE),
        ),
        claim(
            "Two tasks are better than one that says its rationale first",
            paper="SVAMP 65.5 and 63.0 (from memory)",
            measured=said((DSS, 1.0), (ALOUD, 1.0)),
            margin=f"not below; {means}",
            holds=of(DSS) >= of(ALOUD),
        ),
        claim(
            "Its two passes are worth more than as many FLOPs of fine-tuning",
            paper="not reported",
            measured=said(*((arm, share) for share in task.few for arm in (DSS, MATCHED))),
            margin=f"above at {' and '.join(f'{share:.0%}' for share in task.few)}; {means}",
            holds=all(of(DSS, share) > of(MATCHED, share) for share in task.few),
        ),
        claim(
            "Without gold labels it is better than distillation of the teacher's",
            paper="better on all four data sets (no figure)",
            measured=said(*((arm, share) for share in task.few for arm in (UNLABELLED, LABELS))),
            margin=f"above at {' and '.join(f'{share:.0%}' for share in task.few)}; {means}",
            holds=all(of(UNLABELLED, share) > of(LABELS, share) for share in task.few),
        ),
    )


def tables(task: Task, own: Found) -> tuple[Table, ...]:
    """Of one task."""
    shares = {f"{share:.0%}": share for share in task.shares}
    arms = list(dict.fromkeys(arm for arm, _, _ in own.right))

    def measured(test: str) -> Callable[[str, str], list[float]]:
        return lambda arm, share: own.accuracy(arm, shares[share], test) or [float("nan")]

    note = "In %, by share of the pool: mean ± standard deviation over seeds."
    scores = [
        table_of_means(f"{task.name}: right labels, {test}", arms, list(shares), measured(test), scale=1.0, note=note)
        for test, _ in task.tests
    ]
    said: Mapping[str, np.ndarray] = own.given.said.value or {}
    teacher = tuple((name, float(np.mean(said[name])) if said else None) for name in ("parsed", "right"))
    rates = tuple((loss, *by_rate.values()) for loss, by_rate in own.tried.items())
    known = [f"{rate:g}" for rate in next(iter(own.tried.values()))]
    return (
        *scores,
        Table(f"{task.name}: the teacher on the pool", ("labels", "share"), teacher, ("", ".1%")),
        Table(
            f"{task.name}: learning rates, right labels of development questions", ("loss", *known), rates,
            ("", *[".1%"] * len(known)), "All labels, first seed; the highest is chosen.",
        ),
    )  # fmt: skip


NOTES = ("@@",)

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
