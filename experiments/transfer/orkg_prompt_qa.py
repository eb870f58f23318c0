"""ORKG prompt-QA: objects of a scholarly knowledge graph by question answering, with predicates as prompts.

Paper    D'Souza, Hrou and Auer, Evaluating Prompt-based Question Answering for Object Prediction in the Open Research
         Knowledge Graph, DEXA 2023, arXiv 2305.12900 (dossier 066). Method by the released code; no table was at hand.
Claim    Encoders tuned on general questions find the objects of a distant, low-resource domain poorly. Tuned once more
         on a small set of prompts made of its predicates they gain up to 40 % in the relaxed setting; the general
         questions before it help.
Method   Stage 1: an encoder reads Wikipedia, news and sentences of QNLI (masked tokens). Stage 2: it learns to answer
         general questions by a span: real ones of QNLI, where a rule finds the one span of the kind that is asked for,
         and clozes of Wikipedia and news behind a question word. Stage 3, nothing trained: asked as it is ("vanilla").
         Stage 4: fixed-prompt tuning of all weights on `<label> <predicate> ?` in front of a text, by the loss
         (CE(begin) + CE(end)) / 2: labels (none, what, and in `full` which and how), two learning rates, 4 epochs, the
         epoch with the lowest loss on development rows. First and last token are each the likeliest; a last one before
         the first is no answer, and counts as wrong. The domain stands in for the graph of papers: docstrings of
         Python's library are the abstracts, and what the code under each does (raises, returns, first parameter, base
         class ...) its triples, read off syntax trees, no rule looking at the text. As in the paper, objects below 3
         characters and numbers below 999 are dropped, those that the text names are kept at their first whole-word
         match, and predicates with fewer than 10 rows go to training. Of the others 26 % are the test. Texts are dealt,
         not rows, so no test text is tuned on. Arms, each with the same search over rates and epochs: tuned without
         stage 2; tuned from scratch; tuned and asked with questions lent to other rows (what can be found without a
         question); tuning on 5 and 20 % of the rows with and without stage 2. Beside them: rules (the predicate's most
         frequent object that is there, the first word of its type, the likeliest word by counts of it and its
         neighbours), chosen by development rows; predicates that no tuning row has; a second, cased encoder.
Run      stagejax run orkg_prompt_qa                 laptop: 36 minutes on two busy cores
         stagejax run orkg_prompt_qa --preset full   also the labels which and how
         stagejax run orkg_prompt_qa --preset smoke  seconds
         stagejax plan orkg_prompt_qa --preset pod --mesh data=16,fsdp=2
Holds if on test rows of predicates that are tuned, first encoder, means over three seeds: (1) tuned is 20 points or
         more above vanilla (at its best label) in the relaxed score; (2) tuned is 3 points or more above tuned without
         stage 2 in it, on 5 % and on 20 % of the rows; (3) the labels matter: over all labels, at the best rate, first
         seed, the relaxed score ranges over more than twice the deviation over seeds; (4) the question is read: tuned
         is 5 points or more above questions lent (one seed), relaxed; (5) tuned is above the best rule in the strict
         score, every seed; (6) on predicates without a tuning row tuned is 5 points or more above vanilla, relaxed.
Ours     Two of six hold, and neither shows what it was meant to show. Seeds 0, 1, 2; in the relaxed score, of 277 test
         rows of tuned predicates: vanilla 25.2 ± 2.7 %, tuned 39.7 ± 0.6 (strict 2.3 ± 1.4 and 20.0 ± 1.7). (1) does
         not hold: +14.6 ± 3.2 where 20 are asked for. (2) does not hold: +7.2 ± 3.4 points on 5 % of the rows, +2.5 ±
         2.9 on 20 %; in the strict score no stage 2 is ahead on 5 % (8.3 against 4.9). On all rows tuned without stage
         2 has 35.3 ± 3.2, from scratch (one seed) 42.6, strict 18.4: nothing shows there that stages 1 and 2 are worth
         their cost. (3) holds by its rule, with two labels: 40.1 and 38.6, which is four rows. (4) does not hold:
         questions lent have 39.7, and tuned has 38.3 if it is asked about another predicate, so it learned what objects
         look like and hardly reads what it is asked for. (5) does not hold: the likeliest word by counts has 56.0 %
         strict, 36.0 ± 1.7 points more. (6) holds: 17.0 ± 1.6 to 22.6 ± 0.6 of 96 rows; as lent has 20.8 and from
         scratch 27.1, this is no sign that predicates are understood. The cased encoder (one seed) goes from 22.7 to
         36.5, strict 4.3 to 11.9. Of general questions 18.8 % are right after tuning, 35.9 before (strict). Six of ten
         searches chose 1e-3, the lower rate; in 18 of their 20 runs the development loss is lowest behind the first or
         the second epoch. 36 minutes on two busy cores.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.axes import Axes
from stagejax.data import BPE, TFDS, Dataset, MaskedText, Portion, Source, Stdlib, Tokenizer
from stagejax.data.knowledge.library_triples import LibraryTriples
from stagejax.data.knowledge.object_spans import ObjectSpans
from stagejax.data.language.articles import Articles
from stagejax.data.language.field_text import FieldText
from stagejax.data.prompts.span_questions import SpanQuestions
from stagejax.data.prompts.wh_questions import AnsweredSpans, ClozeSpans, PublishedSpans
from stagejax.data.published import WIKIPEDIA
from stagejax.data.tasks.text_tasks import TaskText, TextTask
from stagejax.data.together import Together
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.data.vocabulary.wordpiece import WordPiece
from stagejax.inference.prompts.span_answers import flops_of_answers, scores, skill_of, span_answers
from stagejax.inference.prompts.span_guesses import GUESSES
from stagejax.models import Transformer, bert
from stagejax.models.text.span_reader import SpanReader
from stagejax.names import slug
from stagejax.objectives import masked_lm
from stagejax.objectives.text.answer_spans import answer_spans
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, shown, table_of_means
from stagejax.search.best_epoch import Epochs, SearchedEpochs, best_epochs, epoch_by_epoch

VANILLA, TUNED, NO_QA, SCRATCH, LENT = (
    "vanilla",
    "tuned",
    "tuned, no QA",
    "tuned, from scratch",
    "tuned, questions lent",
)
LABELS = "", "what", "which", "how"
CARRY = Handover(moments="carry", schedule="carry", data="carry")
UNSEEN = "second parameter", "method", "checks type", "keyword parameter"


@dataclass(frozen=True)
class Reader:
    """An encoder with its tokenizer."""

    name: str
    net: Transformer
    words: Tokenizer


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    readers: tuple[Reader, ...]  # claims are judged on the first
    text: Source  # of stage 1 and of the tokenizers
    asked: Source  # of stage 2
    held: Source  # of its test
    rows: ObjectSpans = field(
        default_factory=lambda: ObjectSpans(LibraryTriples(Stdlib(limit=30_000_000), 12, 50), most=200, unseen=UNSEEN)
    )
    length: int = 96  # tokens of a row
    question: int = 24  # of which a question has at most
    read: tuple[int, int, float] = (200, 8, 2e-3)  # stage 1: steps, rows in a batch, peak of the learning rate
    general: tuple[int, int, float] = (250, 16, 1e-3)  # stage 2
    held_batches: int = 8  # of general questions that are tested; 32 rows each
    sizes: tuple[int, int, int] = (813, 78, 373)  # rows for tuning, for choices (at most what there are), of the test
    batch: int = 8
    epochs: int = 4
    rates: tuple[float, float] = (1e-3, 3e-3)
    shares: tuple[float, ...] = (0.05, 0.2)
    labels: tuple[str, ...] = LABELS[:2]
    seeds: tuple[int, ...] = (0, 1, 2)
    save_every: int | None = None

    def reader(self, own: Reader) -> SpanReader:
        return SpanReader(replace(own.net, vocab=own.words.vocab, length=self.length))

    def tokenizer(self, own: Reader) -> Tokenizer:
        """Learned from the text of stage 1 and from the texts of tuning rows, so that it knows the domain's words."""
        return LearnedFrom(own.words, Together((self.text, FieldText(self.rows, "context"))))

    def questions(self, own: Reader, source: Source, batch: int, seed: int = 0) -> SpanQuestions:
        how = {"tokenizer": self.tokenizer(own), "length": self.length, "asked": self.question}
        return SpanQuestions(source=source, batch=batch, seed=seed, **how)


def news() -> Source:
    return TaskText(TextTask("agnews", Dataset("agnews"), 4, "title", "text"))


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    net = bert(embed=64, layers=2, heads=4, mlp=256, types=4)
    if name == "smoke":
        tiny, text = replace(net, embed=16, layers=1, heads=2, mlp=32), Stdlib(limit=200_000)
        rows = ObjectSpans(LibraryTriples(Stdlib(limit=600_000), 8, 40), rare=4, unseen=("second parameter",))
        clozes = ClozeSpans(text, 35)
        return Config(
            (Reader("uncased", tiny, WordPiece(500)), Reader("cased", replace(tiny, types=0), BPE(400))), text, clozes,
            clozes.of_split("test"), rows, 64, read=(6, 8, 3e-3), general=(8, 8, 3e-3), held_batches=1,
            sizes=(50, 4, 20), epochs=2, rates=(3e-3, 1e-2), shares=(0.2,), seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        squad = PublishedSpans(TFDS("squad/v2.0", test="validation"))
        base = {"embed": 768, "heads": 12, "mlp": 3072, "scan": True, "dropout": 0.1}
        nets = bert(layers=12, types=2, **base), bert(layers=6, **base), bert(layers=12, **base)
        mini = replace(nets[0], embed=384, mlp=1536)
        readers = zip(("MiniLM, uncased", "DistilBERT, cased", "RoBERTa"), (mini, *nets[1:]), strict=True)
        words = WordPiece(30_522), BPE(28_996), BPE(50_265)
        return Config(
            tuple(Reader(*own, code) for own, code in zip(readers, words, strict=True)), WIKIPEDIA, squad,
            squad.of_split("test"), ObjectSpans(TFDS("orkg"), most=10**6), 512, 64, (500_000, 256, 1e-4),
            (16_000, 32, 3e-5), 64, (4000, 384, 1500), 32, rates=(1e-4, 5e-4), labels=LABELS,
            save_every=1000,
        )  # fmt: skip
    qnli, wiki = Dataset("qnli"), Articles(Dataset("wikitext2"))
    sentences = TaskText(TextTask("qnli", qnli, 2, "question", "sentence"))
    clozes = [ClozeSpans(Portion(text, stop=0.5), 35) for text in (wiki, news())]
    asked, held = Together((*[AnsweredSpans(qnli)] * 3, *clozes)), Together((AnsweredSpans(qnli), *clozes))
    readers = Reader("uncased", net, WordPiece(6000)), Reader("cased", replace(net, types=0), BPE(6000))
    labels, text = LABELS if name == "full" else LABELS[:2], Together((wiki, news(), sentences))
    return Config(readers, text, asked, held.of_split("test"), labels=labels)


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """Stages 1 and 2 of each encoder, vanilla answers, all tunings, and the answers of what they left."""
    main, *others = cfg.readers
    first, *_ = cfg.seeds
    made: dict[tuple[str, int], Any] = {}  # answers to test rows, by arm and seed
    arms: dict[str, dict[int, Arm]] = defaultdict(dict)
    read = run.train(reading(cfg, main))
    general = {seed: run.train(answering(cfg, main, seed), read) for seed in cfg.seeds}
    test = Asking(run, cfg, main)
    tried = {label: test(f"vanilla/dev/{label or 'none'}", general[first], label, part="dev") for label in cfg.labels}
    dev = {label: scored(cfg, said.value, "dev", lambda row: True)["relaxed"] for label, said in tried.items()}
    vanilla = max(cfg.labels, key=lambda label: float(np.nan_to_num(dev[label])))
    for seed in cfg.seeds:
        made[VANILLA, seed] = test(f"vanilla/{seed}", general[seed], vanilla)
        arms[VANILLA][seed] = Arm("", (read, general[seed]))
    grid = {
        label: searched(run, cfg, main, f"{TUNED}/{label or 'none'}", general, label, 1.0, seeds=(first,))
        for label in cfg.labels
    }
    label = min(grid, key=lambda label: min(grid[label].runs[first].losses))
    for own in cfg.labels:
        made[f"{TUNED}: {own or 'none'}", first] = test(f"labels/{own or 'none'}", grid[own].runs[first].best, own)
    found = {
        TUNED: searched(run, cfg, main, f"{TUNED}/{label or 'none'}", general, label, 1.0, known=grid[label].tried)
    }
    plain = dict.fromkeys(cfg.seeds, read)
    found[NO_QA] = searched(run, cfg, main, NO_QA, plain, label, 1.0)
    found[SCRATCH] = searched(run, cfg, main, SCRATCH, dict.fromkeys(cfg.seeds), label, 1.0, seeds=(first,))
    found[LENT] = searched(run, cfg, main, LENT, general, label, 1.0, lent=True, seeds=(first,))
    for share in cfg.shares:
        for arm, begin in ((TUNED, general), (NO_QA, plain)):
            found[few(arm, share)] = searched(run, cfg, main, few(arm, share), begin, label, share)
    starts = {SCRATCH: {}} | {arm: plain for arm in found if NO_QA in arm}
    every = tuple(one for own in grid.values() for one in own.tried)
    for arm, own in found.items():
        for seed, tuned in own.runs.items():
            made[arm, seed] = test(f"{slug(arm)}/{seed}", tuned.best, label, lent=arm == LENT)
            before = starts.get(arm, general).get(seed)
            owed = () if before is None else (read,) if before is read else (read, before)
            pilots = replace(own, tried=every) if arm == TUNED else own
            arms[arm][seed] = Arm("", tuned.results, (*owed, *pilots.owed(seed)))
    tuned = found[TUNED].runs[first]
    made["asked as if another", first] = test("other-questions", tuned.best, label, lent=True)
    skill = {
        arm: general_skill(run, cfg, main, arm, own) for arm, own in ((VANILLA, general[first]), (TUNED, tuned.best))
    }
    for other in others:
        at, own_test = other.name, Asking(run, cfg, other)
        own_read = run.train(reading(cfg, other))
        asked = run.train(answering(cfg, other, first), own_read)
        own = searched(run, cfg, other, f"{at}/tuned", {first: asked}, label, 1.0, seeds=(first,))
        made[f"{at}: {VANILLA}", first] = own_test(f"{slug(at)}/vanilla", asked, vanilla)
        made[f"{at}: {TUNED}", first] = own_test(f"{slug(at)}/tuned-said", own.runs[first].best, label)
        arms[f"{at}: {VANILLA}"][first] = Arm("", (own_read, asked))
        arms[f"{at}: {TUNED}"][first] = Arm("", own.runs[first].results, (own_read, asked, *own.owed(first)))
        found[f"{at}: {TUNED}"] = own
    guessed = {part: run.make(f"guesses/{part}", guesses, cfg, part) for part in ("dev", "test")}
    return report(cfg, Outcome(made, dict(arms), found, grid, tried, guessed, skill, (vanilla, label)))


def few(arm: str, share: float) -> str:
    return f"{arm}, {share:.0%} of the rows"


def of_reading(path: str, axes: Axes) -> bool:
    """All but the head that predicts tokens, which has no part in answers."""
    return not path.startswith("encoder/head")


def stage_of(cfg: Config, own: Reader, name: str, objective: Any, data: Any, steps: int, optimizer: Any) -> Stage:
    how = objective, optimizer, data, steps
    return Stage(f"{slug(own.name)}/{name}", cfg.reader(own), *how, save_every=cfg.save_every)


def reading(cfg: Config, own: Reader) -> Stage:
    """Stage 1: masked tokens of running text."""
    steps, batch, peak = cfg.read
    data = MaskedText(source=cfg.text, tokenizer=cfg.tokenizer(own), batch=batch, length=cfg.length)
    return stage_of(cfg, own, "read", masked_lm, data, steps, adamw(peak, warmup=0.1, decay="linear", clip=1.0))


def answering(cfg: Config, own: Reader, seed: int) -> Stage:
    """Stage 2: general questions."""
    steps, batch, peak = cfg.general
    data, optimizer = cfg.questions(own, cfg.asked, batch, seed), adamw(peak, warmup=0.1, decay="linear", clip=1.0)
    stage = stage_of(cfg, own, f"general/{seed}", answer_spans, data, steps, optimizer)
    held = Evaluation(replace(cfg.questions(own, cfg.held, 32), count=cfg.held_batches), cfg.held_batches)
    return replace(stage, trainable=of_reading, evaluate=held, seed=seed)


def tuning(cfg: Config, own: Reader, name: str, rows: ObjectSpans, rate: float, seed: int) -> Stage:
    """Stage 4, one epoch of it, with the loss on development rows."""
    steps = max(1, round(rows.share * cfg.sizes[0] / cfg.batch))
    how = {"decay": "linear", "warmup": 0.1, "weight_decay": 0.01, "clip": 1.0, "horizon": cfg.epochs * steps}
    data, dev = cfg.questions(own, rows, cfg.batch, seed), rows.of_split("dev")
    held = Evaluation(replace(cfg.questions(own, dev, cfg.sizes[1]), count=1), 1)
    stage = stage_of(cfg, own, f"{slug(name)}/{rate:g}/{seed}", answer_spans, data, steps, adamw(rate, **how))
    return replace(stage, trainable=of_reading, evaluate=held, seed=seed)


def searched(
    run: Any, cfg: Config, own: Reader, name: str, begin: dict[int, Any], label: str, share: float, *,
    lent: bool = False, seeds: tuple[int, ...] | None = None, known: tuple[Epochs, ...] = (),
) -> SearchedEpochs:  # fmt: skip
    """An arm of stage 4: every rate with the first seed, the best one with the others."""
    rows = replace(cfg.rows, label=label, share=share, lent=lent)

    def tuned(rate: float, seed: int) -> Epochs:
        return epoch_by_epoch(run, tuning(cfg, own, name, rows, rate, seed), cfg.epochs, CARRY, begin[seed])

    return best_epochs(tuned, cfg.rates, seeds or cfg.seeds, known)


# --- answers ---


@dataclass(frozen=True)
class Asking:
    """What a trained encoder answers to rows of the domain."""

    run: Any
    cfg: Config
    own: Reader

    def __call__(self, name: str, result: Any, label: str, part: str = "test", lent: bool = False) -> Any:
        rows = replace(self.cfg.rows.of_split(part), label=label, lent=lent)
        data = self.cfg.questions(self.own, rows, 64)
        flops = flops_of_answers(self.cfg.reader(self.own), data, self.cfg.sizes[1 + (part == "test")])
        return self.run.make(f"{slug(self.own.name)}/said/{name}", span_answers, result, data, flops=flops)


def general_skill(run: Any, cfg: Config, own: Reader, arm: str, result: Any) -> Any:
    """Scores on general questions that stage 2 has not seen."""
    data = cfg.questions(own, cfg.held, 64)
    flops = flops_of_answers(cfg.reader(own), data, 32 * cfg.held_batches)
    return run.make(
        f"{slug(own.name)}/general-skill/{slug(arm)}", skill_of, result, data, 32 * cfg.held_batches, flops=flops
    )


def guesses(cfg: Config, part: str) -> dict[str, list[str]]:
    """What each rule says of the rows of a part."""
    known, asked = cfg.rows.of_split("train").rows(), cfg.rows.of_split(part).rows()
    return {name: guess(known, asked) for name, guess in GUESSES.items()}


def scored(cfg: Config, said: Any, part: str, keep: Callable[[dict[str, Any]], bool]) -> dict[str, float]:
    """Scores of answers to those rows of a part that are kept; NaN in a plan."""
    if said is None:
        return defaultdict(lambda: float("nan"))
    rows = cfg.rows.of_split(part)
    kept = [i for i, row in enumerate(rows.rows()) if keep(row)]
    return scores([said[i] for i in kept], [rows.objects()[i] for i in kept])


# --- report ---


@dataclass(frozen=True)
class Outcome:
    """Everything that was trained and said."""

    made: dict[tuple[str, int], Any]
    arms: dict[str, dict[int, Arm]]
    found: dict[str, SearchedEpochs]
    grid: dict[str, SearchedEpochs]
    tried: dict[str, Any]
    guessed: dict[str, Any]
    skill: dict[str, Any]
    labels: tuple[str, str]  # of vanilla and of tuned


def report(cfg: Config, own: Outcome) -> Report:
    """Scores of all arms and rules, what depends on labels, rates, rows and predicates, and the verdicts."""
    unseen = lambda row: row["predicate"] in cfg.rows.unseen  # noqa: E731
    seen = lambda row: not unseen(row)  # noqa: E731
    planned, (first, *_) = own.guessed["test"].value is None, cfg.seeds
    tested = [arm for arm, seed in own.made if seed == first]
    measured = {
        (arm, seed, keep): scored(cfg, said.value, "test", keep)
        for (arm, seed), said in own.made.items()
        for keep in (seen, unseen)
    }
    rules = {
        (part, name, keep): scored(cfg, None if planned else own.guessed[part].value[name], part, keep)
        for part in ("dev", "test")
        for name in GUESSES
        for keep in (seen, unseen)
    }
    on_dev = {f"{VANILLA}: {x or 'none'}": scored(cfg, said.value, "dev", seen) for x, said in own.tried.items()}
    on_dev |= {name: rules["dev", name, seen] for name in GUESSES}
    rule = max(GUESSES, key=lambda name: np.nan_to_num(rules["dev", name, seen]["strict"]))

    def over(arm: str, what: str, keep: Any = seen) -> list[float]:
        """One a seed, in %; words of an answer are a number."""
        scale = 1 if what == "words" else 100
        if arm in GUESSES:
            return [scale * rules["test", arm, keep][what]]
        return [scale * measured[arm, seed, keep][what] for seed in cfg.seeds if (arm, seed) in own.made]

    def apart(one: str, other: str, what: str = "relaxed", keep: Any = seen) -> np.ndarray:
        return np.subtract(over(one, what, keep), over(other, what, keep))

    def category(arm: str, what: str) -> list[float]:
        keep = lambda row: seen(row) and row["category"] == what  # noqa: E731
        answers = [own.made[arm, seed].value for seed in cfg.seeds if (arm, seed) in own.made]
        answers = [own.guessed["test"].value[arm]] if arm in GUESSES else answers
        return [100 * scored(cfg, said, "test", keep)["strict"] for said in answers]

    by_label = [over(f"{TUNED}: {label or 'none'}", "relaxed")[0] for label in cfg.labels]
    width, noise = np.ptp(by_label), float(np.std(over(TUNED, "relaxed"), ddof=1)) if len(cfg.seeds) > 1 else np.inf
    gain, read, far = apart(TUNED, VANILLA), apart(TUNED, LENT), apart(TUNED, VANILLA, keep=unseen)
    shares = [apart(few(TUNED, share), few(NO_QA, share)) for share in cfg.shares]
    ahead = np.subtract(over(TUNED, "strict"), over(rule, "strict"))
    claims = (
        claim("Tuning on prompts lifts the relaxed score", paper="up to 40 %", measured=shown(gain, "+.1f"),
              unit="points", margin="20 points or more above vanilla, mean over seeds", holds=gain.mean() >= 20),
        claim("General questions before it help where rows are few", paper="models tuned on SQuAD", unit="points",
              measured=shown(np.stack(shares, 1), "+.1f"), holds=all(x.mean() >= 3 for x in shares),
              margin="3 points or more above no stage 2, on 5 % and on 20 % of the rows"),
        claim("It matters which label a prompt has", paper="compared; no figure read",
              measured=None if planned else f"range {width:.1f}, deviation over seeds {noise:.1f}", unit="points",
              margin="a range of more than twice the deviation over seeds", holds=bool(width > 2 * noise)),
        claim("The question is read", paper="not reported", measured=shown(read, "+.1f"), unit="points",
              margin="5 points or more above questions lent", holds=read.mean() >= 5),
        claim(f"A tuned reader is better than rules ({rule})", paper="not reported", measured=shown(ahead, "+.1f"),
              unit="points, strict", margin="above the best rule, every seed", holds=bool((ahead > 0).all())),
        claim("What was learned reaches predicates without a tuning row", paper="not reported",
              measured=shown(far, "+.1f"), unit="points", margin="5 points or more above vanilla",
              holds=far.mean() >= 5),
    )  # fmt: skip
    whats = ("strict", "relaxed", "strict F1", "relaxed precision", "relaxed recall", "relaxed F1", "empty", "words")
    every, note = [*tested, *GUESSES], "In %, words: of an answer. Mean ± standard deviation over seeds."
    table = lambda title, rows, keep, columns=whats: table_of_means(  # noqa: E731
        title, rows, columns, lambda arm, what: over(arm, what, keep), scale=1, note=note
    )
    asked = () if planned else cfg.rows.of_split("test").rows()
    kinds = [*dict.fromkeys(row["category"] for row in asked if seen(row))]
    at = own.made[TUNED, first].value, own.made[VANILLA, first].value
    tables = (
        table("Test rows of tuned predicates", every, seen),
        table("Test rows of predicates without a tuning row", every, unseen, ("strict", "relaxed", "empty", "words")),
        table_of_means("Strict score by category", [VANILLA, TUNED, NO_QA, rule], kinds, category, scale=1, note=note),
        Table("Rates: loss on development rows, first seed", ("arm", "rate", "epochs"), tuple(
            (arm, one.peak, ", ".join(f"{x:.3f}" for x in one.losses))
            for arm, search in (*((f"{TUNED}: {x or 'none'}", y) for x, y in own.grid.items()), *own.found.items())
            for one in search.tried if arm != TUNED), ("", "g", "")),
        Table("Development rows: vanilla and rules", ("of", "strict, %", "relaxed, %"), tuple(
            (name, 100 * x["strict"], 100 * x["relaxed"]) for name, x in on_dev.items()), ("", ".1f", ".1f")),
        Table("General questions, first seed", ("arm", "strict, %", "relaxed, %"), tuple(
            (arm, *(100 * (said.value or {}).get(x, np.nan) for x in ("strict", "relaxed")))
            for arm, said in own.skill.items()), ("", ".1f", ".1f")),
        Table("Chosen labels", (VANILLA, TUNED), (tuple(label or "none" for label in own.labels),)),
        Table("Answers, first seed", ("predicate", "object", TUNED, VANILLA), tuple(
            (row["predicate"], row["context"][row["start"] : row["end"]], *(said[i] for said in at))
            for i, row in enumerate(asked[:12]))),
    )  # fmt: skip
    how = {"link": "https://arxiv.org/abs/2305.12900", "baseline": VANILLA, "metric": "loss"}
    return EXPERIMENT.report(
        claims, arms=by_seed(own.arms, VANILLA), tables=tables, seeds=cfg.seeds, notes=NOTES, **how
    )


NOTES = (
    "The graph is read off program text, so subjects are modules, classes and functions, and objects mostly single "
    "words: the paper's research problems, places and sentences are not among them. Categories are told by what a "
    "string looks like, without a tagger of parts of speech. A row has the first of its objects that the text names; "
    "the rest of them count as wrong answers.",
    "The relaxed score rises with the length of an answer: a whole text would have 100 %. Words of an answer and "
    "the strict score stand beside it.",
    "There are few spans among what QNLI kept of SQuAD: one is found where exactly one of the kind that the question "
    "asks for stands in the answering sentence. Clozes leave out words, and are not shuffled or translated.",
    "Rows are (question, context) when trained and when asked: the released code turns them round for predictions.",
    "The loss of an epoch is on development rows; vanilla's label is chosen by its relaxed score on them, a rule by "
    "its strict one. The rate is chosen with the first seed; there are two, so that it always lies at an end.",
    "An encoder with four types is told which tokens stand on both sides; the second has none, as the paper's "
    "DistilBERT and RoBERTa.",
    "Tokenizers are learned from the texts of tuning rows as well: with 2000 pieces of general text alone names of the "
    "domain fell into letters, and an encoder had 3 to 6 % of the development rows right after tuning. This, sizes and "
    "a warm-up (the paper has none) were set on development rows before the run, for all arms; predicates of what a "
    "body calls and assigns, which docstrings hardly tell, were left out then. Nothing was chosen by test rows.",
    "One stage 1 for all seeds. A seed draws the order of stages 2 and 4, and from scratch the weights. The cost of "
    "an arm has all its epochs.",
)

EXPERIMENT = Experiment(
    name="orkg_prompt_qa",
    title="ORKG prompt-QA: objects of a knowledge graph by prompts and spans",
    reference="D'Souza et al., DEXA 2023, arXiv 2305.12900",
    paper=66,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("orkg_prompt_qa")
