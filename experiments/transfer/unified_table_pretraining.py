"""UTP: one text model, pre-trained further on tables and then tuned on all table tasks at once.

Paper    Sarkar and Lausen, Testing the Limits of Unified Sequence to Sequence LLM Pretraining on Diverse Table Data
         Tasks, TRL at NeurIPS 2023, arXiv 2310.00789 (dossier 044). Only its abstract was at hand; objectives, rates
         and sizes are ours.
Claim    Text models of the T5 kind gain on semantic parsing, table questions and fact checking by self-supervised
         pre-training on tables with the text around them; one model then serves all tasks; models that were tuned on
         instructions gain as well.
Method   Stage 0, span corruption of text. Stage 1, on tables behind a question about each, four denoisers, each as
         often: spans of tokens (15 %, mean 3); whole cells (15 %, a sentinel each); all names of columns, or one whole
         column; half of the context. Stage 2, text to text on three tasks at once, by p ~ n^(1/2) of n examples:
         questions of WikiTableQuestions whose answer is one cell; questions to SQL and true or false statements, both
         generated on the same real tables. SQL counts as right if it gives the gold query's values when executed.
         Arms, from one checkpoint: none (no stage 1); text alone and table spans alone for as many tokens; the mixture.
         Each arm has the same search of learning rates for stage 2, by the loss on development tables. One model
         for each task: as many steps each as the unified one, so three times as many in all. Train, development and
         test share no table; a part of each is read, 4 rows and 4 columns, with the gold ones among them.
Run      stagejax run unified_table_pretraining                 laptop: 21 minutes on two busy cores
         stagejax run unified_table_pretraining --preset full   also table spans alone, a wider model, another start
         stagejax run unified_table_pretraining --preset smoke  seconds
         stagejax plan unified_table_pretraining --preset pod --mesh data=16,fsdp=16
Holds if on test tables, in the mean of three accuracies, means over seeds: (1) the mixture is 2 points or more above
         none, the 95 % interval of a bootstrap over tables above 0; (2) it is above text alone; (3) the unified model
         is at most 1 point below one model for each task, first seed, behind the mixture; in `full`, (4) the mixture is
         above none on questions for a cell from the start that is tuned on text tasks.
Ours     Seeds 0, 1 and 2 of stage 2. On test tables: none 16.7 ± 0.6 %, text alone 17.0 ± 0.8, mixture 17.2 ± 0.7.
         (1) does not hold: +0.5 (+0.2 to +0.9) where 2 are asked for. (2) holds by its rule, by less than seeds differ,
         so nothing is shown. (3) does not hold: 16.9 against 18.0. None of the three measures what a table says: no
         query is right in any arm, verdicts are at chance (49.1 to 51.6), of questions at most 2.5 % are right, as each
         model says nearly the same to all tables of a task; 200 steps are too few. Stage 1 on tables does lower the
         loss on development tables, first seed: mixture 3.99 nats a token, none 4.08, text alone 4.11; all take the
         highest rate that was tried, 8e-3. (4) is in `full`, which was not run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.data import BPE, TFDS, Data, Dataset, Mixture, Source, Stdlib, Tokenizer
from stagejax.data.language.denoising import T5 as TEXT_SPANS
from stagejax.data.language.denoising import Denoising
from stagejax.data.language.docstrings import Docstrings
from stagejax.data.language.lowered import Lowered
from stagejax.data.language.seq2seq import TextToText
from stagejax.data.published import C4
from stagejax.data.tables.table_denoising import MIXED, SPANS, TableDenoiser, TableDenoising
from stagejax.data.tables.table_tasks import LEADS, TableTask, TableToText, right
from stagejax.data.tables.table_tasks import Task as TaskName
from stagejax.data.tables.table_text import TableTexts, Window
from stagejax.data.tables.web_tables import DrawnTables, PublishedTables, WebTables
from stagejax.data.together import Together
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference.tasks.tables import answers, drawn_tokens
from stagejax.models.t5 import T5
from stagejax.models.t5_sizes import t5_v1_1
from stagejax.names import slug
from stagejax.objectives.language import seq2seq
from stagejax.optimizer import adafactor, adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.bootstrap import Bootstrapped, paired_bootstrap
from stagejax.search.lowest import Lowest
from stagejax.search.peak import at_peak, best_peak

NONE, TEXT, SPAN, MIX, EACH = "none", "text alone", "table spans", "mixture", "mixture, one model a task"
DENOISERS: dict[str, tuple[TableDenoiser, ...]] = {SPAN: SPANS, MIX: MIXED}
TASKS: tuple[TaskName, ...] = tuple(LEADS)
AVERAGE = "average"


#: Of a text task: where it is, text and answer in a record, what integer answers are called.
Labelled = tuple[Source, tuple[str, str], tuple[str, ...] | None]


@dataclass(frozen=True)
class Study:
    """One network from one start, and the seeds of stage 2 of each arm."""

    name: str
    net: T5  # its vocabulary is set by the data
    seeds: dict[str, tuple[int, ...]]
    tuned: tuple[Labelled, ...] = ()  # on these, before it sees tables
    each: bool = False  # whether one model a task is trained as well, behind the mixture


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    studies: tuple[Study, ...]  # claims are judged on the first
    text: Source = field(default_factory=lambda: Lowered(Dataset("wikitext2")))
    tables: Source = field(default_factory=WebTables)
    words: Tokenizer = field(default_factory=lambda: BPE(4096))
    window: Window = field(default_factory=lambda: Window(4, 4))
    lengths: tuple[int, int] = (112, 28)
    length: int = 92  # of a row of text, so that it has as many tokens as one of a table
    sizes: tuple[int, int, int] = (4282, 5268, 5278)  # training examples of each task, by which they are mixed
    temperature: float = 2.0  # of sampling over tasks
    steps: tuple[int, int, int] = (300, 300, 200)  # of stages 0, 1 and 2
    batch: int = 16
    peak: float = 3e-3  # learning rate of stages 0 and 1
    rates: tuple[float, ...] = (2e-3, 4e-3, 8e-3)  # of stage 2
    chosen: int = 30  # batches of development examples
    tested: int = 64  # answered at once
    optimizer: Callable[..., Any] = adamw
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """Of text and of training tables with their questions."""
        return LearnedFrom(self.words, Together((self.text, TableTexts(self.tables))))


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, with more studies, or at the paper's scale."""
    net = T5(embed=64, heads=4, head_dim=16, mlp=192, encoder_layers=2, decoder_layers=2, activation="geglu")
    three, first = (0, 1, 2), (0,)
    plain = Study("plain", net, {NONE: three, TEXT: three, MIX: three}, each=True)
    every, two = {**plain.seeds, SPAN: first}, {NONE: first, MIX: first}
    if name == "smoke":
        tiny = replace(net, embed=16, heads=2, head_dim=8, mlp=32, encoder_layers=1, decoder_layers=1)
        words = (Docstrings(Stdlib(limit=100_000)), ("text", "summary"), None)
        studies = (replace(plain, net=tiny, seeds=dict.fromkeys(every, first)),)
        studies += (Study("tuned on text tasks", tiny, two, (words,)),)
        return Config(
            studies, Lowered(Stdlib(limit=100_000)), DrawnTables(60), BPE(400), Window(3, 3), (72, 24), 64,
            (120, 240, 240), steps=(6, 8, 8), batch=8, rates=(2e-3, 4e-3), chosen=2, tested=32,
        )  # fmt: skip
    if name == "pod":
        sizes = [t5_v1_1(size, scan=True, remat="full") for size in ("large", "XL", "XXL")]
        seeds = {NONE: first, TEXT: first, MIX: first}
        glue = (TFDS("glue/sst2", test="validation"), ("sentence", "label"), ("negative", "positive"))
        studies = tuple(Study(size, own, seeds) for size, own in zip(("770M", "3B", "11B"), sizes, strict=True))
        return Config(
            (replace(studies[0], each=True), *studies[1:], Study("770M, tuned on text", sizes[0], two, (glue,))),
            Lowered(C4), PublishedTables(TFDS("web_tables")), BPE(32_000), Window(32, 12, 80), (1024, 256), 900,
            (600_000, 800_000, 800_000), steps=(500_000, 50_000, 10_000), batch=512, peak=1e-3,
            rates=(1e-4, 3e-4, 1e-3), chosen=20, tested=512, optimizer=adafactor,
            precision=Precision(compute="bfloat16"), save_every=5000,
        )  # fmt: skip
    if name == "full":
        wide = replace(net, embed=96, heads=6, mlp=288)
        labels = ("description", "entity", "abbreviation", "human", "location", "number")
        signs, how = ("negative", "positive"), ("text", "label")
        tuned = (Dataset("trec"), how, labels), (Dataset("sst2"), how, signs)
        return Config(
            (replace(plain, seeds=every), Study("wider", wide, two), Study("tuned on text tasks", net, two, tuned))
        )
    return Config((plain,))


Marks = dict[str, dict[str, float]]  # by task and table, whether an answer is right


@dataclass(frozen=True)
class Trained:
    """A way of stage 2 with one seed: what it is charged with, and its answers to test tables."""

    arm: Arm
    marks: Marks


Found = dict[str, dict[int, Trained]]  # by arm and seed


def pipeline(run: Any, cfg: Config) -> Report:
    """For each study a start, every arm's stage 1, its learning rate, and stage 2 with every seed."""
    found, peaks = {}, {}
    for study in cfg.studies:
        own, start = found.setdefault(study.name, {}), begun(run, cfg, study)
        for arm, seeds in study.seeds.items():
            at = f"{slug(study.name)}/{slug(arm)}"
            before = start if arm == NONE else (*start, run.train(continued(cfg, study, arm, at), start[-1]))
            peak = peaks[study.name, arm] = chosen(run, cfg, study, at, before[-1])
            own[arm] = {seed: tuned(run, cfg, study, f"{at}/{seed}", before, peak, seed) for seed in seeds}
            if study.each and arm == MIX:
                own[EACH] = {0: tuned_apart(run, cfg, study, f"{at}/apart", before, peak)}
    return report(cfg, found, peaks)


# --- data ---


def text_rows(cfg: Config) -> Denoising:
    """Running text under span corruption."""
    inputs, outputs = cfg.lengths
    return Denoising(
        source=cfg.text, tokenizer=cfg.tokenizer, batch=cfg.batch, inputs=inputs, outputs=outputs, length=cfg.length,
        denoisers=TEXT_SPANS, mode_tokens=False,
    )  # fmt: skip


def table_rows(cfg: Config, arm: str) -> TableDenoising:
    """Training tables under the denoisers of an arm."""
    inputs, outputs = cfg.lengths
    return TableDenoising(
        source=cfg.tables, tokenizer=cfg.tokenizer, batch=cfg.batch, inputs=inputs, outputs=outputs, window=cfg.window,
        denoisers=DENOISERS[arm],
    )  # fmt: skip


def task_rows(cfg: Config, task: TaskName, seed: int = 0) -> TableToText:
    """Training examples of a task; its `held_out("dev")` are all of the development tables."""
    source, (inputs, outputs) = TableTask(cfg.tables, task, cfg.window), cfg.lengths
    how = {"tokenizer": cfg.tokenizer, "batch": cfg.batch, "inputs": inputs, "outputs": outputs, "seed": seed}
    return TableToText(source=source, **how)


def mixed(cfg: Config, seed: int = 0) -> Mixture:
    """All tasks, p ~ n^(1/T)."""
    weights = tuple(size ** (1 / cfg.temperature) for size in cfg.sizes)
    return Mixture(parts=tuple(task_rows(cfg, task, seed) for task in TASKS), weights=weights)


def test_rows(cfg: Config, task: TaskName) -> TableToText:
    """At most one example of each test table."""
    source = TableTask(cfg.tables.of_split("test"), task, cfg.window, each=1)
    return replace(task_rows(cfg, task), source=source, batch=cfg.tested)


# --- stages ---


def denoising(cfg: Config, study: Study, name: str, data: Data, steps: int) -> Stage:
    """Stages 0 and 1."""
    optimizer = cfg.optimizer(cfg.peak, warmup=0.1, decay="linear", clip=1.0)
    model, how = replace(study.net, vocab=text_rows(cfg).vocab), {"precision": cfg.precision}
    return Stage(name, model, seq2seq, optimizer, data, steps, save_every=cfg.save_every, **how)


def begun(run: Any, cfg: Config, study: Study) -> tuple[Any, ...]:
    """Stage 0: span corruption of text; and text tasks, for the start that is tuned."""
    at = slug(study.name)
    stage = denoising(cfg, study, f"{at}/start", text_rows(cfg), cfg.steps[0])
    start = run.train(stage)
    if not study.tuned:
        return (start,)
    inputs, outputs = cfg.lengths
    how = {"learned_from": cfg.text, "batch": cfg.batch, "inputs": inputs, "outputs": outputs, "seed": 0}
    parts = tuple(
        TextToText(source=source, tokenizer=cfg.tokenizer, fields=fields, words=words, **how)
        for source, fields, words in study.tuned
    )
    data = Mixture(parts=parts, weights=(1,) * len(parts))
    return start, run.train(replace(stage, name=f"{at}/tuned", data=data, steps=cfg.steps[2]), start)


def continued(cfg: Config, study: Study, arm: str, at: str) -> Stage:
    """Stage 1: text is read on in another order and with other spans; rows that stage 0 has read are among it."""
    data = replace(text_rows(cfg), seed=1) if arm == TEXT else table_rows(cfg, arm)
    return denoising(cfg, study, f"{at}/continued", data, cfg.steps[1])


def tuning(cfg: Config, study: Study, name: str, seed: int, data: Data | None = None) -> Stage:
    """Stage 2, which all arms share: the three tasks at once, or the given rows."""
    held = replace(mixed(cfg), weights=(1, 1, 1)).held_out(cfg.chosen, "dev")
    stage = denoising(cfg, study, name, data or mixed(cfg, seed), cfg.steps[2])
    return replace(stage, seed=seed, evaluate=Evaluation(held, cfg.chosen))


def chosen(run: Any, cfg: Config, study: Study, at: str, begin: Any) -> Lowest:
    """The learning rate of stage 2 by the loss on development tables, with the first seed."""
    return best_peak(run, tuning(cfg, study, f"{at}/rate", 0), cfg.rates, start=begin)


def tuned(run: Any, cfg: Config, study: Study, name: str, before: tuple[Any, ...], peak: Lowest, seed: int) -> Trained:
    """The unified model; the pilot of the chosen rate is that of the first seed."""
    if seed == 0:
        net = peak.spent[peak.tried.index(peak.best)]
    else:
        net = run.train(at_peak(tuning(cfg, study, name, seed), peak.best), before[-1])
    marks = {task: asked(run, cfg, net, f"{name}/{task}", task) for task in TASKS}
    pilots = tuple(one for one in peak.spent if one is not net)
    return Trained(Arm("", (*before, net), pilots), marks)


def tuned_apart(run: Any, cfg: Config, study: Study, name: str, before: tuple[Any, ...], peak: Lowest) -> Trained:
    """A model for each task at the unified model's rate, each with as many steps."""
    nets, marks, batches = [], {}, max(1, cfg.chosen // len(TASKS))
    for task in TASKS:
        rows = task_rows(cfg, task)
        stage = tuning(cfg, study, f"{name}/{task}", 0, rows)
        held = Evaluation(rows.held_out(batches, "dev"), batches)
        nets.append(run.train(at_peak(replace(stage, evaluate=held), peak.best), before[-1]))
        marks[task] = asked(run, cfg, nets[-1], f"{name}/{task}/said", task)
    return Trained(Arm("", (*before, nets[0]), (*nets[1:], *peak.spent)), marks)


def asked(run: Any, cfg: Config, net: Any, name: str, task: TaskName) -> dict[str, float]:
    """Whether the answer to each test table is right; nothing while planning."""
    data = test_rows(cfg, task)
    made = run.make(name, answers, net, data, right, sampled_tokens=drawn_tokens)
    if not made.value:
        return {}
    tables = (data.source[at]["table"] for at in range(len(data.source)))
    return dict(zip(tables, map(float, made.value["right"]), strict=True))


# --- report ---


def accuracy(found: Found, arm: str, task: str) -> list[float]:
    """In %, one a seed, of a task or in the mean of all; none while planning."""
    every = [one.marks for one in found.get(arm, {}).values() if all(one.marks.values())]
    if task == AVERAGE:
        return [100 * mean([mean([*own.values()]) for own in marks.values()]) for marks in every]
    return [100 * mean([*marks[task].values()]) for marks in every]


def compared(found: Found, one: str, other: str) -> Bootstrapped:
    """The bootstrap over test tables that have all tasks: means over tasks and the seeds of each arm, in points."""

    def of(arm: str) -> dict[str, float]:
        every = [own for trained in found[arm].values() for own in trained.marks.values()]
        shared = set.intersection(*(set(own) for own in every))
        return {table: 100 * mean([own[table] for own in every]) for table in sorted(shared)}

    ours, theirs = of(one), of(other)
    return paired_bootstrap(*(np.array([*own.values()]) if own else None for own in (ours, theirs)))


def report(cfg: Config, found: dict[str, Found], peaks: dict[tuple[str, str], Lowest]) -> Report:
    """Accuracies of all arms of all studies, the rates that were tried, and the claims on the first."""
    first, link = cfg.studies[0].name, "https://arxiv.org/abs/2310.00789"
    named = {f"{study}: {arm}": by for study, own in found.items() for arm, by in own.items()}
    arms: tuple[Arm, ...] = ()
    for study, own in found.items():
        by = {f"{study}: {arm}": {seed: one.arm for seed, one in made.items()} for arm, made in own.items()}
        arms += by_seed(by, f"{study}: {NONE}")
    columns = [*TASKS, AVERAGE]
    scores = table_of_means(
        "Test tables answered right", [*named], columns, lambda row, task: accuracy(named, row, task), scale=1.0,
        note="In %: mean ± standard deviation over seeds of stage 2; SQL by what it gives when executed.",
    )  # fmt: skip
    tried = tuple((f"{study}: {arm}", *peak.losses, peak.best) for (study, arm), peak in peaks.items())
    heads, forms = ("arm", *map("{:g}".format, cfg.rates), "chosen"), ("", *[".3f"] * len(cfg.rates), "g")
    note = "Loss on development tables in nats a token, first seed; the lowest is chosen."
    rates = Table("Learning rates of stage 2", heads, tried, forms, note)
    how = {"baseline": f"{first}: {NONE}", "metric": "exact", "rising": True, "notes": NOTES}
    return EXPERIMENT.report(
        judged(cfg, found), link=link, arms=arms, tables=(scores, rates), seeds=cfg.studies[0].seeds[MIX], **how
    )


def judged(cfg: Config, found: dict[str, Found]) -> tuple[Any, ...]:
    """The claims, by the rules of the docstring."""
    own = found[cfg.studies[0].name]

    def said(*arms: str, of: Found = own, task: str = AVERAGE) -> str | None:
        known = [shown(accuracy(of, arm, task) or [np.nan], ".1f") for arm in arms]
        return None if None in known else " / ".join(map(str, known))

    def average(arm: str, of: Found = own, task: str = AVERAGE) -> float:
        return mean(accuracy(of, arm, task))

    gap, means = compared(own, MIX, NONE), "mean of three accuracies, means over seeds, in %"
    measured, alone = said(MIX, NONE), mean(accuracy(own, MIX, AVERAGE)[:1])
    claims = (
        claim(
            "Pre-training on tables improves table tasks", paper="a large gain (abstract)",
            measured=measured and f"{measured}, {gap.difference:+.1f} ({gap.low:+.1f} to {gap.high:+.1f})",
            margin=f"mixture above none by 2 points, interval above 0; {means}",
            holds=average(MIX) - average(NONE) >= 2 and gap.low > 0,
        ),
        claim(
            "It is the tables: as many tokens of text do less", paper="not reported", measured=said(MIX, TEXT),
            margin=f"mixture above text alone; {means}", holds=average(MIX) > average(TEXT),
        ),
        claim(
            "One model serves all tasks as well as one for each", paper="one shared model throughout (abstract)",
            measured=said(EACH) and f"{alone:.1f} / {said(EACH)}",
            margin="unified at most 1 point below; first seed, behind the mixture", holds=alone >= average(EACH) - 1,
        ),
    )  # fmt: skip
    for other in (found[study.name] for study in cfg.studies if study.tuned):
        claims += (
            claim(
                "A start tuned on text tasks gains as well on table questions", paper="still improve (abstract)",
                measured=said(MIX, NONE, of=other, task=TASKS[0]), margin="mixture above none, first seed, in %",
                holds=average(MIX, other, TASKS[0]) > average(NONE, other, TASKS[0]),
            ),
        )  # fmt: skip
    return claims


NOTES = (
    "The paper's body was not at hand: objectives, linearisation, mixing and all numbers are ours, by the practice of "
    "T5 and UnifiedSKG.",
    "Train and development tables are those of the data set's own split of its training questions, test tables those "
    "of its test questions. The tables have no titles; the context of stage 1 is one of the training questions.",
    "Of a table 4 rows and 4 columns are read, cells cut at 24 characters. Those that hold the answer are among them, "
    "and before others those that the question names, in training and in tests; a question for the most or the last of "
    "a table may so have another answer in the part. Only questions whose answer is one uncut cell are left.",
    "Questions to SQL and statements are generated; so what is measured there is how templates on unseen tables are "
    "understood. A wrong query counts as right if it gives the same values.",
    "Rows of text have as many tokens as rows of tables have in the mean; `none` has no stage 1.",
    "The training text fills 3,280 rows and stage 0 reads 4,800, so text alone meets nothing new in stage 1 while the "
    "mixture meets tables: the second claim is about new data too.",
    "A first run tried 1e-3 to 4e-3 in 200 steps and chose by exact answers. It was stopped in the mixture's search: "
    "behind text alone 4e-3 had by far the lowest loss on development tables, but exact answers chose 1e-3, as hardly "
    "more than verdicts were exact: noise. So rates go higher, and the loss chooses. What it said of test tables was "
    "not looked at.",
    "Stage 2 was then planned with 300 steps and cut to 200 for want of time, before anything ran with 300.",
    "Losses on development tables were read before this run was complete, answers to test tables were not.",
    "All arms choose 8e-3, the edge of the grid; where the loss has its lowest point is not known.",
    "After the run it was read what models say of test tables: nearly one text to all of a task, such as a digit or "
    "nothing, a query that does not parse or has another result, `true` or `false`. So accuracies differ by which text "
    "that is. The interval of the first claim is over tables and does not see this; the second claim, which asks for "
    "no margin, holds by less than seeds differ; the third rests on verdicts at chance.",
    "Stage 1 is trained once an arm; seeds are those of stage 2, so no ± has the chance of stages 0 and 1 in it. The "
    "first is also the pilot.",
    "One model a task has the unified model's rate and as many steps, so sees three times the examples of its task. "
    "Its `exact` on development tables, in curves, is of questions for a cell alone, that of others of all tasks.",
)

EXPERIMENT = Experiment(
    name="unified_table_pretraining",
    title="UTP: one sequence-to-sequence model for all table tasks",
    reference="Sarkar and Lausen, TRL at NeurIPS 2023, arXiv 2310.00789",
    paper=44,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("unified_table_pretraining")
