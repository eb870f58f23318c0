"""PCP: go on pre-training with the prompt in the text, its label word filled in by a first, few-shot labeller.

Paper    Shi and Lipani, Don't Stop Pretraining? Make Prompt-based Fine-tuning Powerful Learner, NeurIPS 2023, arXiv
         2305.01711 (dossier 082).
Claim    Continued pre-training on the texts of a task (TAPT) often does not help prompt-based fine-tuning, and hurts on
         sentence pairs; continued pre-training on prompts with label words (PCP) helps on 21 tasks, by up to 20.1
         points, also from few unlabelled examples.
Method   Stage 0: an encoder learns masked language modelling (MLM). Of each task a few labels of every class are known,
         others for every seed, and the texts of a pool.
         1  Prompt-based fine-tuning (FT): p(y|x) is the softmax over label words of the MLM head at the mask of
            "x It was [MASK] ."; the whole encoder is tuned.
         2  That labeller fills in a word for every text of the pool; no text is left out.
         3  From stage 0 again, not from stage 1: MLM on the filled prompts, template and label word masked as all else.
         4  From stage 3, prompt-based FT on the same few labels.
         TAPT is stage 3 on bare texts, then 4; controls fill in random labels, no label word, or true ones. All have
         equal steps. Beside them, with the first seed alone: FT of a linear head on [CLS], with TAPT and without; soft
         prompts, whose words are new rows copied from ordinary ones; and self-training, three rounds of FT from stage 0
         on pseudo labels with as many FLOPs as PCP's stages 3 and 4.
Run      stagejax run pcp                          laptop: about 5 minutes on two cores
         stagejax run pcp --preset smoke           seconds, generated sentences
         stagejax plan pcp --preset pod --mesh data=4,fsdp=2        (RoBERTa-large, fine-tuned on 8 texts a batch)
Holds if of three seeds, in accuracy on the test split: PCP is above prompt FT, mean over tasks, by 1 point or more;
         above TAPT on sentence pairs; and above PCP with random labels, mean over tasks, by 1 point or more; each
         time also by more than two standard errors of the difference, seed by seed. TAPT does not help on pairs if it
         is less than 1 point above prompt FT there.
Ours     None of the four holds at this scale. Test accuracy in %, three seeds (without ±: one), 64 labels of a class:
                                  sst2         trec         stsb         mean
         prompt FT          53.9 ± 1.0   61.1 ± 2.2   52.1 ± 4.3   55.7 ± 0.8
         TAPT               55.3 ± 0.8   62.5 ± 5.3   55.6 ± 5.1   57.8 ± 2.9
         PCP                52.6 ± 2.7   59.4 ± 1.0   55.0 ± 3.8   55.7 ± 0.6
         random labels      52.1 ± 2.2   60.3 ± 2.9   55.2 ± 1.1   55.9 ± 0.7
         Means: no label word 55.6, true labels 54.0, CLS FT 57.5, TAPT and CLS FT 57.9, self-training 54.9, soft 54.8,
         PCP and soft 55.1. PCP less prompt FT is -0.1 ± 0.3 points, less TAPT on pairs -0.6 ± 1.5, less random labels
         -0.2 ± 1.2; TAPT gains 3.5 ± 2.9 on pairs. Only TREC is a fair test: prompt FT is below the larger class of
         STS-B (53.2) and hardly above that of SST-2 (52.1). Pseudo labels are right for 56, 64 and 56 % of the pools.
         464 s of CPU, about 270 s on two idle cores, which were not to be had.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.budget import flops, within
from stagejax.data import BPE, Dataset, MaskedText, Portion, Source, Stdlib
from stagejax.data.published import C4
from stagejax.data.tasks.labelled_text import LabelledText, relabel
from stagejax.data.tasks.prompt_tasks import SAME, PromptTask, published_prompts, small_prompts
from stagejax.data.tasks.templates import MaskedPrompts, PromptedTask
from stagejax.data.tasks.text_tasks import TaskText, TextTask, synonym_tasks
from stagejax.data.together import Splits, Together
from stagejax.data.vocabulary.whole_words import WholeWords
from stagejax.inference.selection.prompting import asking_flops, corrected, pseudo_labels, random_labels
from stagejax.models import Transformer, bert
from stagejax.models.text.first_token import FirstTokenClassifier
from stagejax.names import slug
from stagejax.objectives import classification, masked_lm
from stagejax.objectives.text.prompting import masked_lm_by_part, prompt_classification
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Figure, Report, by_seed, claim, draw_dots, mean, shown, table_of_means
from stagejax.report.paired import paired
from stagejax.transforms.put_head import put_head
from stagejax.transforms.soft_tokens import copy_last_rows

PROMPT, TAPT, PCP, RANDOM = "prompt FT", "TAPT", "PCP", "PCP, random labels"
NO_WORD, TRUE = "PCP, no label word", "PCP, true labels"
CLS, TAPT_CLS, SELF, SOFT, PCP_SOFT = "CLS FT", "TAPT, CLS FT", "self-training", "soft prompt FT", "PCP, soft prompt FT"
CLAIMED = (TAPT, PCP, RANDOM)  # with every seed
CONTINUED = (*CLAIMED, NO_WORD, TRUE)  # all that have a stage 3
ARMS = (PROMPT, *CONTINUED, CLS, TAPT_CLS, SELF, SOFT, PCP_SOFT)


def ordinary(behind: int) -> Source:
    """Running text, questions with answers, news, and reviews behind the pool: no text of a task's pool or test."""
    answers = TextTask("qnli", Dataset("qnli"), 2, "question", "sentence")
    news = TextTask("agnews", Dataset("agnews"), 4, "title", "text")
    reviews = TextTask("sst2", Portion(Dataset("sst2"), start=behind), 2)
    return Together((Dataset("wikitext2"), *map(TaskText, (answers, news, reviews))))


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on. A triple is steps, rows of a batch and learning rate."""

    tasks: tuple[PromptTask, ...] = field(default_factory=lambda: small_prompts(pool=1500, stop=1700))
    text: Source = field(default_factory=lambda: Splits(ordinary(1700), Dataset("wikitext2", "test")))  # of stage 0
    encoder: Transformer = field(
        default_factory=lambda: bert(vocab=2048, layers=2, embed=96, heads=4, mlp=384, positions="rotary")
    )  # vocab: pieces of the BPE, to which the words of all prompts come
    length: int = 32  # tokens of a row
    pretrained: tuple[int, int, float] = (1500, 32, 3e-3)  # stage 0
    continued: tuple[int, int, float] = (100, 32, 1e-3)  # stage 3
    tuned: tuple[int, int, float] = (200, 8, 1e-3)  # all fine-tuning
    shots: int = 64  # labels of each class
    held: int = 6  # batches of texts behind the pool, on which stage 3 is tested
    pieces: int = 1  # into which a batch of stage 0 is cut
    rounds: int = 3  # of self-training
    tested: int = 250  # rows of a test batch
    seeds: tuple[int, ...] = (13, 21, 42)

    @property
    def tokenizer(self) -> WholeWords:
        """BPE in which the words of all prompts, with their label or without, are single pieces."""
        forms = [form for task in self.tasks for form in (task.template, task.template.without_label())]
        words = dict.fromkeys(word for form in forms for word in form.pieces)
        return WholeWords(BPE(self.encoder.vocab), tuple(words))

    @property
    def model(self) -> Transformer:
        """The encoder with a row for every piece."""
        return replace(self.encoder, vocab=self.tokenizer.vocab)

    @property
    def rows(self) -> dict[str, Any]:
        """How texts become rows."""
        return {"tokenizer": self.tokenizer, "learned_from": self.text, "length": self.length}


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        tasks = (PromptTask(synonym_tasks(400)[2], SAME, 2, pool=200, stop=260),)
        tiny = bert(vocab=300, layers=1, embed=16, heads=2, mlp=32, positions="rotary")
        stages = (10, 8, 5e-3), (12, 16, 5e-3), (15, 8, 1e-2)
        return Config(tasks, Stdlib(limit=100_000), tiny, 48, *stages, 8, 3, rounds=2, tested=50, seeds=(0, 1))
    if name == "pod":
        large = bert(vocab=50_265, layers=24, embed=1024, heads=16, mlp=4096, length=512, dropout=0.1, scan=True)
        stages = (500_000, 8192, 4e-4), (8_000, 128, 1e-4), (1_000, 8, 2e-5)
        seeds = (13, 21, 42, 87, 100)
        return Config(published_prompts(0.9), C4, large, 256, *stages, 16, 4, 64, tested=256, seeds=seeds)
    return Config()


@dataclass(frozen=True)
class Trained:
    """An arm on one task with one seed: its last stage, what came before, and of that stage 3 and its labels."""

    tuned: Any
    spent: tuple[Any, ...]
    masked: Any = None
    said: Any = None


Arms = dict[str, Trained]
Found = dict[str, dict[str, dict[int, Trained]]]  # by task, arm and seed


def pipeline(run: Any, cfg: Config) -> Report:
    """Stage 0, and every arm on every task with every seed."""
    encoder = run.train(pretraining(cfg))
    found: Found = {}
    for task in cfg.tasks:
        for seed in cfg.seeds:
            case, first = Case(cfg, task, seed), seed == cfg.seeds[0]
            own = prompt_based(run, case, encoder, CONTINUED if first else CLAIMED)
            if first:
                own |= with_a_head(run, case, encoder, own) | with_soft_prompts(run, case, encoder, own)
                own[SELF] = self_trained(run, case, encoder, own)
            for label, trained in own.items():
                found.setdefault(task.name, {}).setdefault(label, {})[seed] = trained
    return report(cfg, found)


def prompt_based(run: Any, case: Case, encoder: Any, continued: tuple[str, ...]) -> Arms:
    """The labeller, and the same fine-tuning behind each kind of stage 3, which begins at stage 0."""
    labeller = run.train(case.tuning(PROMPT), encoder)
    arms = {PROMPT: Trained(labeller, (encoder,))}
    (learnt, said), (held, _) = (filled(run, case, part, labeller) for part in ("pool", "held-out"))
    for label in continued:
        masked = run.train(case.continuing(label, learnt[label], held[label]), encoder)
        tuned = run.train(case.tuning(label), masked)
        labels = (labeller, said) if label == PCP else ()
        arms[label] = Trained(tuned, (encoder, *labels, masked), masked, said)
    return arms


def filled(run: Any, case: Case, part: str, labeller: Any) -> tuple[dict[str, Any], Any]:
    """What stage 3 reads in every arm, of the pool or behind it; and what the labeller says of these texts."""
    data, template = case.prompts(part), case.task.template
    flops = asking_flops(data, case.cfg.model, case.task.size) if part == "pool" else 0.0
    said = run.make(case.at(f"{part}/said"), pseudo_labels, data, labeller, flops=flops)
    drawn = run.make(case.at(f"{part}/drawn"), random_labels, data, case.seed)
    return {
        TAPT: replace(data, template=template.bare()),
        PCP: relabel(data, said, case.seed),
        RANDOM: relabel(data, drawn, case.seed),
        NO_WORD: replace(data, template=template.without_label()),
        TRUE: data,
    }, said


def with_a_head(run: Any, case: Case, encoder: Any, own: Arms) -> Arms:
    """A linear head on [CLS], from stage 0 and behind TAPT."""
    arms, classes = {}, case.task.text.classes
    model, head = FirstTokenClassifier(case.cfg.model, classes), partial(put_head, classes=classes)
    for label, spent in {CLS: (encoder,), TAPT_CLS: own[TAPT].spent}.items():
        start = run.transform(case.at(f"{slug(label)}/head"), head, spent[-1], to=model)
        arms[label] = Trained(run.train(case.classifying(label, model), start), (*spent, start))
    return arms


def with_soft_prompts(run: Any, case: Case, encoder: Any, own: Arms) -> Arms:
    """Prompts of new words that begin as the ordinary ones, from stage 0 and behind PCP."""
    arms, model, added = {}, case.cfg.model, len(case.cfg.tokenizer.words)
    longer, copied = replace(model, vocab=model.vocab + added), partial(copy_last_rows, count=added)
    for label, spent in {SOFT: (encoder,), PCP_SOFT: own[PCP].spent}.items():
        start = run.transform(case.at(f"{slug(label)}/words"), copied, spent[-1], to=longer)
        stage = replace(case.tuning(label, soft=True), model=longer)
        arms[label] = Trained(run.train(stage, start), (*spent, start))
    return arms


def self_trained(run: Any, case: Case, encoder: Any, own: Arms) -> Trained:
    """Rounds of fine-tuning from stage 0 on what the model before says of the pool, as many FLOPs as PCP's 3 and 4."""
    data, net, said = case.prompts("pool"), own[PROMPT].tuned, own[PCP].said
    spent, budget = [encoder, net, said], flops(own[PCP].masked, own[PCP].tuned)
    known = case.task.few(case.cfg.shots, case.seed)
    for r in range(case.cfg.rounds):
        at = case.at(f"{slug(SELF)}/{r}/{{}}").format
        if r:
            cost = asking_flops(data, case.cfg.model, case.task.size)
            said = run.make(at("said"), pseudo_labels, data, net, flops=cost)
            spent += [net, said]
        labels = run.make(at("labels"), corrected, known, said)
        rows = relabel(replace(data, batch=case.cfg.tuned[1]), labels, case.seed)
        stage = replace(case.tuning(SELF), name=at("tuned"), data=rows)
        net = run.train(within(stage, budget / case.cfg.rounds), encoder)
    return Trained(net, tuple(spent))


# --- stages ---


def pretraining(cfg: Config) -> Stage:
    """Stage 0."""
    steps, batch, peak = cfg.pretrained
    data = MaskedText(source=cfg.text, tokenizer=cfg.tokenizer, batch=batch, length=cfg.length)
    return Stage(
        name="encoder",
        model=cfg.model,
        objective=masked_lm,
        optimizer=adamw(peak, warmup=0.06, decay="linear", b2=0.98, eps=1e-6),
        data=data,
        steps=steps,
        accumulate=cfg.pieces,
        evaluate=Evaluation(replace(data, batch=cfg.tested).held_out(1), 1),
    )


@dataclass(frozen=True)
class Case:
    """One task with one seed, and its stages."""

    cfg: Config
    task: PromptTask
    seed: int

    def at(self, name: str) -> str:
        return f"{self.task.name}/{self.seed}/{name}"

    def prompts(self, part: str) -> PromptedTask:
        """The prompts of the pool or behind it, in the batches of stage 3."""
        text = replace(self.task.text, source=self.task.records(part))
        batch = self.cfg.continued[1]
        return PromptedTask(task=text, template=self.task.template, **self.cfg.rows, batch=batch, seed=self.seed)

    def continuing(self, label: str, data: Any, held: Any) -> Stage:
        """Stage 3: masked language modelling, one text a row."""
        steps, _, peak = self.cfg.continued
        first, masked = pretraining(self.cfg), {"vocab": self.cfg.tokenizer.vocab, "seed": self.seed}
        return replace(
            first,
            name=self.at(f"{slug(label)}/masked"),
            objective=masked_lm_by_part,
            optimizer=replace(first.optimizer, peak=peak),
            data=MaskedPrompts(data=data, **masked),
            steps=steps,
            accumulate=1,
            evaluate=Evaluation(MaskedPrompts(data=held, **masked), self.cfg.held),
            seed=self.seed,
        )

    def tuning(self, label: str, *, soft: bool = False) -> Stage:
        """Stages 1 and 4: the recipe that all fine-tuning shares."""
        steps, batch, peak = self.cfg.tuned
        text = replace(self.task.text, source=self.task.few(self.cfg.shots, self.seed))
        data = replace(self.prompts("pool"), task=text, batch=batch, soft=soft)
        return Stage(
            name=self.at(f"{slug(label)}/tuned"),
            model=self.cfg.model,
            objective=prompt_classification,
            optimizer=adamw(peak, warmup=0.06, decay="linear"),
            data=data,
            steps=steps,
            evaluate=self.tested(data),
            seed=self.seed,
        )

    def classifying(self, label: str, model: FirstTokenClassifier) -> Stage:
        """The same recipe for a linear head on texts without a prompt."""
        stage = self.tuning(label)
        data = LabelledText(task=stage.data.task, **self.cfg.rows, batch=stage.data.batch, seed=self.seed)
        return replace(
            stage,
            model=model,
            objective=answers,
            data=data,
            evaluate=self.tested(data),
            trainable=all_but_the_language_head,
        )

    def tested(self, data: PromptedTask | LabelledText) -> Evaluation:
        """The test split, as training reads its rows."""
        held = replace(data, batch=self.cfg.tested, seed=0).held_out(self.task.batches)
        return Evaluation(held, self.task.batches)


def answers(model: Any, batch: Any, key: Any) -> Any:
    """Classification by a linear head."""
    return classification(lambda tokens, key: model.answers(tokens, key), batch, key, inputs="tokens")


def all_but_the_language_head(path: str, axes: Any) -> bool:
    return not path.startswith("encoder/head")


# --- report ---


def scores(found: Found, label: str, names: tuple[str, ...]) -> list[float]:
    """Test accuracy for every seed, in points, mean over the named tasks."""
    seeds = next(iter(found.values()))[label]
    return [100 * mean([found[name][label][seed].tuned.history.last("accuracy") for name in names]) for seed in seeds]


def claims(cfg: Config, found: Found) -> tuple[Claim, ...]:
    """The criterion of the docstring."""
    every, pairs = tuple(task.name for task in cfg.tasks), tuple(task.name for task in cfg.tasks if task.pair)

    def gap(label: str, against: str, names: tuple[str, ...]) -> tuple[Any, str | None]:
        own, other = (np.array(scores(found, arm, names)) for arm in (label, against))
        told = shown(own - other, "+.1f")
        return paired(own, other), told and f"{told} points over {against}"

    judged = (
        ("PCP makes prompt-based fine-tuning better", "gains on 21 tasks, up to 20.1 points", PROMPT, every, 1.0),
        ("PCP is better than TAPT on sentence pairs", "TAPT hurts there", TAPT, pairs, 0.0),
        ("PCP is better than with random labels", "pseudo labels help, not the prompt alone", RANDOM, every, 1.0),
    )
    against, told = gap(TAPT, PROMPT, pairs)
    return (
        *(
            claim(
                statement, paper=paper, measured=measured,
                margin=f"{least:g} points or more, and more than two standard errors, seed by seed",
                holds=own.difference >= least and own.t > 2,
            )
            for statement, paper, rival, names, least in judged
            for own, measured in (gap(PCP, rival, names),)
        ),
        claim(
            "TAPT does not help prompt-based fine-tuning on sentence pairs", paper="often no help, or hurts",
            measured=told, margin="less than 1 point", holds=against.difference < 1,
        ),
    )  # fmt: skip


def report(cfg: Config, found: Found) -> Report:
    """Accuracies, pseudo labels beside what came of them, losses of stage 3, and the claims."""
    names = tuple(task.name for task in cfg.tasks)

    def accuracy(label: str, column: str) -> list[float]:
        return scores(found, label, names if column == "mean" else (column,))

    def labels(task: str, column: str) -> list[float]:
        if column != "pseudo labels":
            return scores(found, column, (task,))
        made = [own.said.value for own in found[task][PCP].values()]
        return [100 * float(value["right"][0]) for value in made if value is not None]

    def loss(label: str, column: str) -> list[float]:
        task, part = column.split(": ")
        own = found[task][label].values() if (label, part) != (TAPT, "template") else ()
        return [trained.masked.history.last(part) for trained in own]

    def arm(label: str, seed: int) -> Arm:
        own = [by_label[label][seed] for by_label in found.values()]
        spent = {result.name: result for trained in own for result in (*trained.spent, trained.tuned)}
        return Arm("", (spent.pop(own[0].tuned.name),), tuple(spent.values()))

    seeded = {label: {seed: arm(label, seed) for seed in found[names[0]][label]} for label in ARMS}
    dots = {name: {label: scores(found, label, (name,)) for label in ARMS} for name in names}
    spread = "mean ± standard deviation over seeds; without ± one seed."
    return EXPERIMENT.report(
        claims(cfg, found),
        arms=by_seed(seeded, PROMPT),
        tables=(
            table_of_means("Test accuracy", ARMS, (*names, "mean"), accuracy, scale=1.0, note=f"In %: {spread}"),
            table_of_means(
                "Right labels of the pool, and test accuracy", names, ("pseudo labels", PROMPT, PCP), labels,
                scale=1.0, note=f"In %: {spread}",
            ),
            table_of_means(
                "Masked language modelling at the end of stage 3", CONTINUED,
                [f"{name}: {part}" for name in names for part in ("template", "text")], loss,
                scale=1.0, digits=2, note=f"Nats a masked token, on texts behind the pool: {spread}",
            ),
        ),
        figures=(Figure("Test accuracy", draw_dots(dots, baseline=PROMPT, xlabel="test accuracy in %")),),
        baseline=PROMPT, metric="accuracy", rising=True, seeds=cfg.seeds, notes=NOTES,
        link="https://arxiv.org/abs/2305.01711",
    )  # fmt: skip


NOTES = (
    "Curves and results of the arms are of the first task; costs are of all tasks.",
    "Stage 0 is trained for minutes, where the paper has RoBERTa-large. It reads reviews behind the pool without "
    "labels, so that it can know what is great; of other tasks it reads no text. Label words that it never met begin "
    "as random rows.",
    "The last state of every stage counts: no record is spent on the choice of a checkpoint. Sizes follow from the "
    "time; shots, steps and learning rate of fine-tuning were chosen by prompt FT alone with one seed, on texts behind "
    "the pool that no claim scores; the learning rate of stage 3 was not searched.",
    "With 16 labels of a class, as in the paper's smallest setting, prompt FT from this encoder does not leave chance "
    "on two of the tasks; 64 are known here, of Expression in TREC all that the pool has. STS-B is no regression: "
    "pairs with a score of 4 and more are alike, those with 1 and less are not, others are left out. MSRP is left out: "
    "its pairs are longer than a row.",
    "Soft prompts begin at the same stage 3 as hard ones, whose template has a full stop more where it is of one text, "
    "and have no fluency loss, as in the released code.",
    "The pod preset has those of the 21 tasks that TFDS has, 8,000 steps of stage 3 in the place of 100 epochs, and "
    "one learning rate in the place of three. FixMatch and its kin are not among the arms.",
)

EXPERIMENT = Experiment(
    name="pcp",
    title="PCP: pre-training goes on with prompts that pseudo labels fill",
    reference="Shi and Lipani, NeurIPS 2023, arXiv 2305.01711",
    paper=82,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("pcp")
