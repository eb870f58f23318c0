"""Predictions for pre-training: a fresh model learns a teacher's logits on all unlabelled text, and then the labels.

Paper    Guo, Predictions for pre-training language models, 2020-23, arXiv 2011.09031 (dossier 032).
Claim    A fine-tuned model's predictions on a large unlabelled text of the domain are worth most as a step of
         pre-training: a fresh model learns them, and then the labels alone. Items of a delivery platform, accuracy at
         100K / 400K / 2000K labels: 3-layer BERT 87.0 / 89.2 / 90.8, the same after masked language modelling of the
         domain (B) 88.2 / 90.1 / 91.7, self-training upon Model-A 89.3 / 90.4 / 91.6 and upon Model-C 90.2 / 90.9 /
         91.7, ours (D) 90.6 / 91.1 / 91.9.
Method   0  An encoder by MLM on general text, the start of all arms (there the public BERT).
         1  Model-A: MLM on the domain's texts without labels.    2  Model-B: A, fine-tuned on the labels.
         3  Model-B predicts all texts of the pool: labels and logits.
         4  Model-C: the encoder of 0 again, by the predictions: KL(softmax(l_B) || softmax(l_C)), on the same texts,
            with the same optimizer and as many steps as 1.
         5  Model-D: C, fine-tuned on the labels alone.
         C by one-hot labels, and by logits with masked input and MLM beside, are two more arms. Classic self-training
         upon the encoder of 0, upon A and upon C: a fine-tuned teacher's predictions that are confident, as many of
         each class, together with the labels, teach a student that begins where the teacher began, for as many steps
         as C and D have together, all of as many rows as C's. MLM for twice the steps, then labels: as many steps of
         pre-training as D has. Tags of words: a linear chain (CRF) where labels are hard, KL by the word where they
         are logits. The rate of fine-tuning is searched for each start (0, A, C) on validation data, with the first
         labels.
Run      stagejax run predictions_for_pretraining                       laptop: 18 minutes on two busy cores
         stagejax run predictions_for_pretraining --preset full         more labels, more arms for tags
         stagejax run predictions_for_pretraining --preset smoke        generated text, under a minute
         stagejax plan predictions_for_pretraining --preset pod --mesh data=16,fsdp=16
Holds if with the fewest labels, mean of the seeds on test texts, D is above B, B above the encoder of 0 fine-tuned, and
         D 2 points or more above the latter; D is above MLM for twice the steps; D is not below the best of the three
         kinds of classic self-training; logits are not below one-hot labels nor below masked input and MLM; and with
         the most labels D is not more than 0.2 points below B. For tags: D above B, B above the encoder of 0.
Ours     Five of the six hold. AG News, % of 1,600 test texts right, 500 labels of three seeds: fine-tuned alone
         49.8 ± 2.0, B 52.9 ± 1.2, MLM for twice the steps 51.4 ± 1.8, D 55.0 ± 1.3, which is 2.1 ± .6 above B of the
         same labels. Self-training 50.4 ± .1, upon A 54.6 ± .8, upon C 54.2 ± .8: D is above the best of them by
         .4 ± 1.5, less than seeds spread. That logits are best does not hold: one-hot labels 55.1 ± .6, masked input
         and MLM 55.8 ± .2. With 2,000 labels of two seeds 67.7 ± .8, B 68.0 ± 1.2, D 69.3 ± .8: D is above B by
         1.3 ± 2.0, less than seeds spread too. Tags, 100 sentences, two seeds: 62.9 ± .0, B 64.7 ± .2, D 65.5 ± .3,
         though the most frequent tag of each token is 63.2 ± .5.
         B, the teacher, is right on 52.9 ± 1.5 % of the texts without labels. No such encoder is near logistic
         regression on TF-IDF, which is at 77.0 ± 3.1 with 500 labels and 85.2 ± .1 with 2,000: this compares ways of
         training, of which none is to be taken here. The lowest rate tried was chosen for the starts 0 and C of AG
         News and for C of tags, so that a lower one may be better there. MLM for twice the steps and self-training
         take rates that were searched for B, D and fine-tuning alone: what D gains over them may be that care.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.axes import Axes
from stagejax.data import BPE, TFDS, Dataset, MaskedText, Portion, Source, Stdlib
from stagejax.data.language.field_text import FieldText
from stagejax.data.language.masked_too import MaskedToo
from stagejax.data.published import WIKIPEDIA
from stagejax.data.selection.apart import unseen
from stagejax.data.selection.predicted import Hidden, predict
from stagejax.data.tasks.tagged import DrawnSentences
from stagejax.data.tasks.tagged_rows import UPOS
from stagejax.data.tasks.text_tasks import TaskText, TextTask, synonym_tasks
from stagejax.data.together import Splits, Together
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference.selection.pool_tasks import PoolTask, classes_of_texts, of_words_alone, tags_of_words
from stagejax.inference.selection.predictions import (
    human_and_pseudo,
    labelled_by_hand,
    most_frequent,
    predictions,
    truth_of,
)
from stagejax.models import Transformer, bert
from stagejax.models.text.text_classifier import TextClassifier
from stagejax.names import slug
from stagejax.objectives import masked_lm
from stagejax.objectives.text.on_texts import logits_and_masked, what_was_masked
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, shown
from stagejax.report.by_labels import ByLabels, told
from stagejax.search.lowest import Lowest
from stagejax.search.peak import at_peak, best_peak
from stagejax.state import everything
from stagejax.transforms.parts import kept, parts

INIT, B, LONGER = "fine-tuned alone", "B: MLM", "MLM, twice the steps"
ST_INIT, ST_A, ST_C = "self-training", "self-training upon A", "self-training upon C"
D, HARD, MASKED = "D: logits", "D: one-hot", "D: logits, masked + MLM"
CLASSIC = (ST_INIT, ST_A, ST_C)
ARMS = (INIT, B, LONGER, *CLASSIC, HARD, MASKED, D)
SHORT = (INIT, B, D)
FREQUENT, WORDS = "most frequent", "TF-IDF, logistic regression"  # no network


@dataclass(frozen=True)
class Size:
    """How many records are labelled by hand, how long they are learned, from which seeds, by which arms."""

    labels: int
    steps: int  # of fine-tuning
    seeds: tuple[int, ...]
    arms: tuple[str, ...] = ARMS


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    text: Source = field(default_factory=lambda: Dataset("wikitext2"))  # general
    news: TextTask = field(default_factory=lambda: TextTask("agnews", unseen("agnews", "text"), 4, "title", "text"))
    news_pool: int = 5000  # training records without labels; those behind them are for validation
    news_length: int = 40
    news_sizes: tuple[Size, ...] = (Size(500, 200, (0, 1, 2)), Size(2000, 400, (0, 1), SHORT))
    tagged: tuple[Source, Source] | None = field(  # training sentences, and those for validation
        default_factory=lambda: (unseen("ud", "form", "en_ewt"), Dataset("ud", "dev", "en_ewt"))
    )
    tags: tuple[str, ...] = UPOS
    tag_pool: int = 4000
    tag_length: int = 32
    tag_sizes: tuple[Size, ...] = (Size(100, 100, (0, 1), SHORT),)
    encoder: Transformer = field(
        default_factory=lambda: bert(
            vocab=2048, layers=3, embed=64, heads=4, mlp=256, length=64, positions="rotary", init_std=0.1
        )
    )
    general: int = 500  # steps of stage 0
    steps: int = 300  # of stages 1 and 4 each
    batch: int = 32  # rows of these, and of classic self-training
    peak: float = 3e-3  # of all that is no fine-tuning
    rows: int = 16  # of fine-tuning
    peaks: tuple[float, ...] = (1.5e-3, 4e-3, 1e-2)  # tried for fine-tuning
    dropout: float = 0.1  # before the head of classes; that of tags has none
    above: float = 0.9  # classic self-training: how sure a prediction has to be
    each: int = 250  # and how many of a class are taken at most; of tagged sentences, four times as many
    tested: tuple[int, int, int] = (200, 4, 8)  # rows of a batch, batches of validation and of test

    @property
    def pool(self) -> TextTask:
        """The task with the texts of the pool."""
        return replace(self.news, source=Portion(self.news.source, stop=self.news_pool))

    @property
    def words(self) -> LearnedFrom:
        """The tokens of all stages: of general text and of the pools, without labels."""
        own: tuple[Source, ...] = (self.text, TaskText(self.pool))
        if self.tagged is not None:
            own += (FieldText(Portion(self.tagged[0], stop=self.tag_pool), "form"),)
        learned_from = Splits(Together(own), self.text.of_split("test"))
        return LearnedFrom(BPE(self.encoder.vocab), learned_from)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, with more labels, or at the paper's scale."""
    if name == "smoke":
        drawn = DrawnSentences(120)
        return Config(
            text=Stdlib(limit=60_000), news=synonym_tasks(200)[0], news_pool=150, news_length=16,
            news_sizes=(Size(20, 12, (0,)),), tagged=(drawn, DrawnSentences(30, seed=1)),
            tags=tuple(f"T{i}" for i in range(8)), tag_pool=90, tag_length=24, tag_sizes=(Size(20, 12, (0,), SHORT),),
            encoder=bert(vocab=300, layers=1, embed=16, heads=2, mlp=32, length=32), general=8, steps=12, batch=16,
            peak=5e-3, rows=16, peaks=(1e-2, 3e-2), above=0.2, each=10, tested=(25, 2, 2),
        )  # fmt: skip
    if name == "full":
        news = (Size(200, 150, (0, 1, 2)), Size(1000, 250, (0, 1, 2)), Size(4000, 750, (0, 1, 2)))
        every = tuple(arm for arm in ARMS if arm != MASKED)
        return Config(
            news_sizes=news, tag_sizes=(Size(100, 100, (0, 1, 2), every), Size(500, 200, (0, 1, 2), every)), steps=600
        )
    if name == "pod":
        news = TextTask("ag_news_subset", TFDS("ag_news_subset"), 4, "title", "description")
        sizes = tuple(Size(n, 7 * n // 256, (0, 1, 2)) for n in (1000, 10_000, 100_000))
        base = bert(vocab=30_522, layers=3, embed=768, heads=12, mlp=3072, length=128, dropout=0.1)
        return Config(
            text=WIKIPEDIA, news=news, news_pool=114_000, news_length=64, news_sizes=sizes, tagged=None, encoder=base,
            general=1_000_000, steps=3_000_000, batch=256, peak=5e-5, rows=256, peaks=(1e-5, 3e-5, 1e-4), each=10_000,
            tested=(256, 23, 29),
        )  # fmt: skip
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """Stage 0, then each task from it."""
    start = run.train(general(cfg))
    sizes = cfg.news_sizes, cfg.tag_sizes
    return report(cfg, [studied(run, cfg, task, own, start) for task, own in zip(tasks(cfg), sizes, strict=False)])


def tasks(cfg: Config) -> list[PoolTask]:
    """Classes of texts, and tags of words where there are tagged sentences."""
    own = cfg.encoder, cfg.words
    news = classes_of_texts(cfg.news, cfg.news_pool, *own, cfg.news_length, cfg.tested, cfg.dropout)
    if cfg.tagged is None:
        return [news]
    return [news, tags_of_words(cfg.tagged, cfg.tag_pool, *own, cfg.tags, cfg.tag_length, cfg.tested)]


@dataclass(frozen=True, eq=False)
class Found(ByLabels):
    """What was found of a task: its arms, what was made beside, and the searched rates."""

    task: PoolTask = field(kw_only=True)
    peaks: dict[str, Lowest] = field(default_factory=dict)


def studied(run: Any, cfg: Config, task: PoolTask, sizes: tuple[Size, ...], start: Any) -> Found:
    """All arms of a task."""
    adapted = run.train(domain(cfg, task, cfg.steps), start)
    more = any(LONGER in size.arms for size in sizes)
    before = start, adapted, run.train(domain(cfg, task, 2 * cfg.steps), start) if more else None
    found = Found(task=task)
    for size in sizes:
        for seed in size.seeds:
            found.add(size.labels, seed, *chain(run, cfg, task, size, seed, before, found.peaks))
    return found


def chain(
    run: Any, cfg: Config, task: PoolTask, size: Size, seed: int, before: tuple[Any, Any, Any], peaks: dict[str, Lowest]
) -> tuple[dict[str, Arm], dict[str, Any]]:
    """All arms of one draw of labels: stages 2 to 5, and what stands beside them."""
    at = partial("{}/{}/{}/{}".format, task.name, size.labels, seed)
    start, adapted, longer = before
    each = 4 * cfg.each if task.labels.shape else cfg.each  # sentences have no class to draw evenly from
    labelled = run.make(at("labels"), labelled_by_hand, task.labels.name, task.pool, size.labels, seed)
    by_hand = predict(task.pool, labelled, task.labels, seed=seed)
    arms, truths, taken = {}, {}, {}

    def tuned(label: str, begin: Any, kind: str) -> Any:
        """Fine-tuned on the labels alone, at the rate for what it starts from, which is searched once."""
        stage = tuning(cfg, task, at(f"{slug(label)}/tuned"), by_hand, size.steps, seed, whole=kind == "C")
        if kind not in peaks:
            pilot = replace(stage, name=f"{task.name}/rates/{kind}", evaluate=task.validation)
            peaks[kind] = best_peak(
                run, pilot, cfg.peaks, start=begin, score=lambda pilot: 1 - pilot.history.last("accuracy")
            )
        return run.train(at_peak(stage, peaks[kind].best), begin)

    def predicted(label: str, net: Any) -> Any:
        made = run.make(at(f"{slug(label)}/predictions"), predictions, task.says, task.pool, net, flops=task.flops)
        truths[label] = run.make(at(f"{slug(label)}/truth"), truth_of, task.labels.name, task.pool, labelled, made)
        return made

    def classic(label: str, begin: Any, teacher: tuple[Any, ...], said: Any, kind: str) -> None:
        """The student begins where its teacher began."""
        how = task.labels.name, cfg.above, each, seed, labelled, said
        both = taken[label] = run.make(at(f"{slug(label)}/both"), human_and_pseudo, *how)
        data, steps = predict(task.pool, both, task.labels, seed=seed), cfg.steps + size.steps
        stage = tuning(cfg, task, at(f"{slug(label)}/student"), data, steps, seed, whole=kind == "C", rows=cfg.batch)
        student = run.train(at_peak(stage, peaks[kind].best), begin)
        add(label, (*teacher, said, both, student), *(("A", "C") if kind == "C" else (kind,)))

    def add(label: str, results: tuple[Any, ...], *kinds: str) -> None:
        spent = [result for kind in kinds for result in peaks[kind].spent]
        if label in size.arms:
            arms[label] = Arm(label, results, (start, *spent))

    alone, model_b = tuned(INIT, start, "0"), (adapted, tuned(B, adapted, "A"))
    add(INIT, (alone,), "0")
    add(B, model_b, "A")
    if LONGER in size.arms:
        add(LONGER, (longer, tuned(LONGER, longer, "A")), "A")
    said = predicted(B, model_b[-1])
    data = predict(task.pool, said, task.labels, task.logits, seed=seed)
    ours: dict[str, tuple[Any, ...]] = {}
    for label in (D, HARD, MASKED):
        if label in size.arms:
            model_c = run.train(by_predictions(cfg, task, at(f"{slug(label)}/model-c"), data, seed, label), start)
            ours[label] = (*model_b, said, model_c, tuned(label, model_c, "C"))
            add(label, ours[label], "A", "C")
    if ST_INIT in size.arms:
        classic(ST_INIT, start, (alone,), predicted(INIT, alone), "0")
    if ST_A in size.arms:
        classic(ST_A, adapted, model_b, said, "A")
    if ST_C in size.arms:
        classic(ST_C, ours[D][-2], ours[D], predicted(D, ours[D][-1]), "C")
    simple = run.make(at("simple"), most_frequent, task.labels.name, task.pool, task.test.data, labelled)
    return arms, {"labels": labelled, "truth": truths, "taken": taken, "simple": simple}


# --- stages ---


def general(cfg: Config) -> Stage:
    """Stage 0: MLM on general text."""
    length = max(cfg.news_length, cfg.tag_length)
    data = MaskedText(source=cfg.text, tokenizer=cfg.words, batch=cfg.batch, length=length)
    return Stage(
        name="general",
        model=TextClassifier(cfg.encoder, cfg.news.classes, cfg.dropout),
        objective=masked_lm,
        optimizer=adamw(cfg.peak, warmup=0.1, decay="linear", clip=1.0),
        data=data,
        steps=cfg.general,
        trainable=parts("encoder"),
        evaluate=Evaluation(data.held_out(4), 4, max(1, cfg.general // 4)),
    )


def domain(cfg: Config, task: PoolTask, steps: int) -> Stage:
    """Stage 1: MLM on all texts of the pool, whose labels are not there."""
    hide = partial(Hidden, hidden=task.labels.name)
    data = MaskedToo(data=hide(data=replace(task.pool, batch=cfg.batch)), vocab=cfg.encoder.vocab)
    held = replace(data, data=hide(data=replace(task.validation.data, count=2)))
    return replace(
        general(cfg),
        name=f"{task.name}/model-a/{steps}",
        model=task.model,
        objective=what_was_masked,
        data=data,
        steps=steps,
        handover=Handover(params=kept("encoder")),
        evaluate=Evaluation(held, 2, max(1, steps // 4)),
    )


def by_predictions(cfg: Config, task: PoolTask, name: str, data: Any, seed: int, label: str) -> Stage:
    """Stage 4: stage 1 with another objective. The head is fresh; what predicts words is trained where words are."""
    data, stage = replace(data, data=replace(data.data, batch=cfg.batch)), domain(cfg, task, cfg.steps)
    objective = {D: task.soft, HARD: task.hard, MASKED: logits_and_masked}[label]
    return replace(
        stage,
        name=name,
        objective=objective,
        data=MaskedToo(data=data, vocab=cfg.encoder.vocab) if label == MASKED else data,
        trainable=everything if label == MASKED else all_but_the_language_head,
        evaluate=task.validation,
        seed=seed,
    )


def tuning(
    cfg: Config, task: PoolTask, name: str, data: Any, steps: int, seed: int, *, whole: bool, rows: int | None = None
) -> Stage:
    """Stages 2 and 5, and students: the whole network on labels; from C it keeps its head."""
    return Stage(
        name=name,
        model=task.model,
        objective=task.hard,
        optimizer=adamw(cfg.peaks[0], warmup=0.1, decay="linear", clip=1.0),
        data=replace(data, data=replace(data.data, batch=rows or cfg.rows)),
        steps=steps,
        trainable=all_but_the_language_head,
        handover=Handover() if whole else Handover(params=kept("encoder")),
        evaluate=task.test,
        seed=seed,
    )


def all_but_the_language_head(path: str, axes: Axes) -> bool:
    return not path.startswith("encoder/head")


# --- report ---


def judgements(news: Found, *tagged: Found) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring."""
    low, high = min(news.arms), max(news.arms)
    paper = "87.0, B 88.2, self-training upon B's start 89.3, upon C 90.2, D 90.6 (100K labels)"

    order = news.order(low, SHORT)
    best = max(CLASSIC, key=lambda arm: mean(news.scores(low, arm)))
    over = news.gap(low, D, best)
    others = {arm: news.gap(low, D, arm) for arm in (HARD, MASKED)}
    shown_others = [f"{arm} {shown(gap, '+.1f')}" for arm, gap in others.items() if shown(gap)]
    return (
        claim(
            "With few labels D is above B, and B above the encoder fine-tuned alone", paper=paper,
            measured=order.told, unit="%",
            margin="in this order, and D 2 points or more above the first", holds=order.rises and order.far >= 2,
        ),
        claim(
            "Predictions are worth more than as many more steps of MLM", paper="not tested there",
            measured=shown(news.gap(low, D, LONGER), "+.1f"), unit="points", margin="above 0",
            holds=mean(news.gap(low, D, LONGER)) > 0,
        ),
        claim(
            "D is not below the best classic self-training", paper="+0.4 over self-training upon C",
            measured=f"{shown(over, '+.1f')} points over {best}" if shown(over) else None, margin="0 points or more",
            holds=mean(over) >= 0,
        ),
        claim(
            "Logits on whole text are not worse than one-hot labels or masked text", paper="+0.2 and +0.4",
            measured="over " + ", over ".join(shown_others) if len(shown_others) == 2 else None, unit="points",
            margin="0 points or more over both", holds=min(map(mean, others.values())) >= 0,
        ),
        claim(
            "With many labels D is not below B", paper="+0.2 at 2000K labels",
            measured=shown(news.gap(high, D, B), "+.1f") if high > low else None, unit="points",
            margin="-0.2 points or more", holds=mean(news.gap(high, D, B)) >= -0.2,
        ),
        *(
            claim(
                "So it is for tags of words", paper="F1 of properties 88.6, B 88.8, D 89.6", unit="%",
                measured=own.told, margin="in this order", holds=own.rises,
            )
            for own in [tags.order(min(tags.arms), SHORT) for tags in tagged]
        ),
    )  # fmt: skip


def report(cfg: Config, studies: list[Found]) -> Report:
    """Accuracies, what teachers and students were told, searched rates, and the verdicts."""
    arms: list[Arm] = []
    news = studies[0]
    tables = [table for found in studies for table in (accuracies(found), teachers(found))]
    tried = tuple((found.task.name, kind, *peak.cells) for found in studies for kind, peak in found.peaks.items())
    heads, note = ("task", "start", "tried", "wrong", "chosen", "end"), "Share of validation records, first labels."
    tables.append(Table("Rates of fine-tuning, by where it begins", heads, tried, note=note))
    for found in studies:
        for own in found.named(found.task.name, plain=min(news.arms) if found is news else None):
            arms += by_seed(own, next(name for name in own if name.startswith(INIT)))
    return EXPERIMENT.report(
        judgements(*studies),
        link="https://arxiv.org/abs/2011.09031",
        arms=tuple(arms),
        tables=tuple(tables),
        baseline=INIT, metric="accuracy", rising=True, seeds=cfg.news_sizes[0].seeds, notes=NOTES,
    )  # fmt: skip


def share(value: Any) -> float:
    return 100 * float(value["accuracy"][0])


def accuracies(found: Found) -> Table:
    """Of all arms, on test records, of the most frequent answer, and of words without a network."""
    texts = not found.task.labels.shape

    def words(value: Any) -> float:
        return 100 * of_words_alone(found.task.pool, found.task.test.data, value)

    def measure(row: str, labels: int, made: list[Any]) -> list[float]:
        if row == FREQUENT:
            return told((own["simple"] for own in made), share)
        return told((own["labels"] for own in made), words) if row == WORDS else found.scores(labels, row)

    note = "On test records, %: mean ± standard deviation over seeds, each with labels of its own."
    rows = (FREQUENT, *[WORDS][:texts], *(arm for arm in ARMS if any(arm in own for own in found.arms.values())))
    return found.table(f"Accuracy: {found.task.name}", rows, measure, note)


def teachers(found: Found) -> Table:
    """How right predictions are on what is not labelled, and how many of them classic self-training takes."""

    def measure(row: str, labels: int, made: list[Any]) -> list[float]:
        if row in CLASSIC:
            return told((own["taken"][row] for own in made if row in own["taken"]), lambda v: float(v["pseudo"].sum()))
        return told((own["truth"][row] for own in made if row in own["truth"]), share)

    note = "Of teachers: accuracy of all predictions on unlabelled records, %. Of self-training: how many it takes."
    return found.table(f"Predictions: {found.task.name}", (INIT, B, D, *CLASSIC), measure, note)


NOTES = (
    "Labels are drawn at random from the pool, whose texts are all read without labels by MLM and predicted by B; with "
    "2,000 labels of 5,000 texts little is left that is not labelled. Test texts are read in no training, not even by "
    "the tokenizer: training texts that are in the test split too are left out (the pod preset leaves none out). "
    "Each seed draws labels of its own and has its own teacher and Model-C; general text and Model-A are trained once.",
    "Sizes are not those that were planned: 5,000 unlabelled texts for 10,000, as the data have 6,000, and 500 and "
    "2,000 labels for 200 and 4,000: with 200 the plain encoder was right on 40 % of validation texts. These, initial "
    "values, positions, steps and the rates of MLM and those tried were chosen after some looks at the losses of MLM "
    "and at the accuracy on validation texts of the encoder fine-tuned, plainly and after MLM, with labels of another "
    "draw, before any run of the other arms. MLM did not help there in up to 1,000 steps. Tags were looked at so too. "
    "The head reads the mean of the tokens, not [CLS], which nothing trains here before. The encoder has no dropout, "
    "for 0.1 in the paper. Tags are tested on 1,600 of 2,077 sentences; of "
    "the 2,001 sentences for validation, by which their rates are chosen, 77 are also test sentences.",
    "Logistic regression on TF-IDF of whole texts, at no cost, was right on 69, 75 and 82 % of validation texts "
    "with 200, 500 and 1,000 labels. What is compared are small encoders without a public start, with each other; they "
    "are not what is best for so few labels. Its accuracy on test texts is in the table.",
    "Equal are steps, not FLOPs: at laptop size Model-A, which predicts words, takes 1.8 times as many as Model-C by "
    "logits, and Model-C by masked input and MLM 2.8 times. A search is charged by its pilots, but not by what these "
    "begin from where the arm does not have it itself: Model-A to MLM for twice the steps, and the first Model-C by "
    "logits to D's other variants, to other seeds and to 2,000 labels. Savings are over the encoder fine-tuned alone "
    "on as many labels; curves of accuracy have that of masked words first.",
    "How sure and how many pseudo labels of classic self-training are, and its steps, are not confirmed; no "
    "temperature is mentioned of the logits. Students begin where their teachers began, and learn for as many "
    "steps, of as many rows each, as C, and for D's steps besides.",
    "The rates of fine-tuning are searched for each start with the fewest labels of the first seed, and used for all "
    "labels and seeds; D's variants share that of C by logits, and MLM for twice the steps that of A. Students of "
    "classic self-training, whose data are others, take the rate that was searched for their start. A chosen rate "
    "that is the first or the last of those tried is marked in the table: a better one may lie beyond it.",
)

EXPERIMENT = Experiment(
    name="predictions_for_pretraining",
    title="Predictions for pre-training: logits on all text, then the labels",
    reference="Guo 2020-23, arXiv 2011.09031",
    paper=32,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("predictions_for_pretraining")
