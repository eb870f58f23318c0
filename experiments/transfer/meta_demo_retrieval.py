"""Meta-training with demonstration retrieval: a generator learns to read labelled examples that are found for it.

Paper    Mueller, Narang, Mathias, Wang and Firooz, Meta-training with Demonstration Retrieval for Efficient Few-shot
         Learning, Findings of ACL 2023, arXiv 2307.00119 (dossier 043). Its abstract, and notes of others on template
         and likelihood, were at hand; K, rates, steps and sizes are ours.
Claim    A generator that is trained on many tasks, each example behind demonstrations that a frozen retriever finds in
         a bank of these tasks, and then tuned on few examples of another task likewise, beats few-shot methods of its
         size: TREC 91.7, QNLI 84.4, MRPC 73.4 (as an aggregator lists them, shots unknown).
Method   0  start       an encoder-decoder restores texts whose spans became one mask each (BART); no target's texts
            retriever   one encoder of texts to vectors, by InfoNCE of the two halves of a text; frozen from here on
         1  bank        labelled examples of all tasks but the target, `question: Q / answer: A / context: C`; a
                        classification asks for one of its label words. Queries have no answer; what asks the same as
                        the query is never found
         2  meta        on the bank's own examples, each behind K demonstrations, one at a time: the loss is
                        -sum_t log sum_k p(z_k | x) p(y_t | x, z_k, y_<t), p(z_k | x) the softmax of the K scores
         3  tuned       on 16 examples a class of the target, which join the bank
            tested      by the likeliest of the label words under the same mixture
         Arms have equal steps on the same examples: meta-training and tuning behind retrieved demonstrations; behind
         none; behind random ones of the bank; retrieval at tuning only; no meta-training, with and without retrieval.
         Each arm has the same search of its rates, with the first target: of meta-training, in shorter pilots, by the
         loss of answers on held-out examples of the bank's tasks; of tuning, with the first seed, by that on 16 other
         examples a class.
         Targets TREC and AG News in turn; the other one is then in the bank.
Run      stagejax run meta_demo_retrieval                  laptop
         stagejax run meta_demo_retrieval --preset full    also K = 4, BM25 for the retriever, and banks of 0 and 25 %
         stagejax run meta_demo_retrieval --preset smoke   seconds
         stagejax plan meta_demo_retrieval --preset pod --mesh data=16,fsdp=16
Holds if test accuracy, mean over seeds of the 16 examples and targets, is 2 points or more above that of (1) no
         demonstrations, (2) random ones; and (3), ours, of retrieval without meta-training. In `full`, (4): it rises
         from a bank of 0 % over 25 % to all of it.
Ours     -
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.axes import Axes
from stagejax.data import BPE, Dataset, Source, Stdlib, Tokenizer, codec
from stagejax.data.demonstrations import Demonstrated, InTemplate, behind
from stagejax.data.docstrings import Docstrings
from stagejax.data.few_shot import FewShot
from stagejax.data.halves import Halves
from stagejax.data.infilling import InfilledText
from stagejax.data.learned import LearnedFrom
from stagejax.data.lowered import Lowered
from stagejax.data.passages import Passages, wikipedia
from stagejax.data.portion import Portion
from stagejax.data.published import C4
from stagejax.data.question_suites import Suite, drawn_questions, part_of, published_questions, small_questions
from stagejax.data.question_tasks import Asked
from stagejax.data.text_tasks import TaskText
from stagejax.data.tfidf import tf_idf
from stagejax.data.together import Together
from stagejax.inference.demonstrations import (
    Finder,
    at_random,
    by_words,
    choose,
    choosing_flops,
    drawn_tokens,
    nearest,
    say,
    text_vectors,
    vector_flops,
)
from stagejax.models import bert
from stagejax.models.sentence_encoder import SentenceEncoder
from stagejax.models.t5 import T5
from stagejax.names import slug
from stagejax.objectives.language import seq2seq
from stagejax.objectives.marginal_seq2seq import marginal_seq2seq
from stagejax.objectives.ranking import in_batch
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.report import shown as spread_of
from stagejax.search.peak import Peak, best_peak

RETRIEVED, PLAIN, RANDOM = "meta-trained, retrieved", "meta-trained, none", "meta-trained, random"
LATE, UNTRAINED, NEITHER = "retrieved at tuning only", "no meta-training, retrieved", "no meta-training, none"
WORDS, EMPTY, QUARTER = "meta-trained, BM25", "bank of 0 %", "bank of 25 %"


#: A finder of demonstrations, None for no demonstration, and the share of the bank that it looks at.
Read = tuple[Finder | None, float]


@dataclass(frozen=True)
class Way:
    """Where an arm's demonstrations are from.

    Args:
      meta: finds them in meta-training; None: there are none.
      tuned: finds them at tuning and in tests.
      trained: whether there is meta-training.
      share: of each task's examples that the bank has.
    """

    meta: Finder | None = None
    tuned: Finder | None = None
    trained: bool = True
    share: float = 1.0

    @property
    def read(self) -> Read:
        """What tells networks apart that are meta-trained."""
        return self.meta, self.share if self.meta else 1.0

    @property
    def seen(self) -> Read:
        """What tells demonstrations apart at tuning."""
        return self.tuned, self.share if self.tuned else 1.0


WAYS = {
    RETRIEVED: Way(nearest, nearest),
    PLAIN: Way(),
    RANDOM: Way(at_random, at_random),
    LATE: Way(tuned=nearest),
    UNTRAINED: Way(tuned=nearest, trained=False),
    NEITHER: Way(trained=False),
}
MORE_WAYS = {
    WORDS: Way(by_words, by_words),
    EMPTY: Way(tuned=nearest, share=0.0),
    QUARTER: Way(nearest, nearest, share=0.25),
}


@dataclass(frozen=True)
class Steps:
    """Of each stage."""

    start: int = 800
    retriever: int = 200
    pilot: int = 100  # for the rate of meta-training
    meta: int = 500
    tuned: int = 40


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    suite: Suite = field(default_factory=lambda: small_questions(2000))
    running: Source = field(default_factory=lambda: Passages(Dataset("wikitext2"), wikipedia, 160))
    words: Tokenizer = field(default_factory=lambda: BPE(1024, train_bytes=8_000_000))
    net: T5 = field(
        default_factory=lambda: T5(
            embed=64, heads=4, head_dim=16, mlp=192, encoder_layers=2, decoder_layers=2, activation="geglu"
        )
    )  # its vocabulary is set by the tokenizer
    encoder: dict[str, Any] = field(default_factory=lambda: {"embed": 64, "layers": 1, "heads": 2, "mlp": 128})
    lengths: tuple[int, int, int] = (42, 42, 24)  # of a demonstration, of what is asked, of what is said
    text_length: int = 16
    half_length: int = 24
    demonstrations: int = 2  # K
    scale: float = 20.0  # of the cosines, in InfoNCE and in p(z | x)
    ways: dict[str, Way] = field(default_factory=lambda: WAYS)
    shots: int = 16  # of each class
    steps: Steps = Steps()
    batch: int = 8
    batches: tuple[int, int] = (32, 64)  # of restored texts and of halves
    peaks: tuple[float, float] = (4e-3, 2e-3)  # learning rates of start and retriever
    meta_rates: tuple[float, ...] = (4e-3,)  # one: it is not searched
    rates: tuple[float, ...] = (5e-4, 1e-3, 2e-3)  # of tuning
    chosen: int = 24  # batches of held-out examples of the bank's tasks
    tests: int = 250  # test records
    tested: int = 50  # chosen from at once
    seeds: tuple[int, ...] = (0, 1, 2)  # of the few examples
    rows: int = 14_000  # examples of the bank's tasks, about: of which FLOPs are charged
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """Of the training examples of all tasks, and of running text."""
        asked = Together((*self.suite.targets, *self.suite.others))
        return LearnedFrom(self.words, Together((InTemplate(asked), self.running)))

    @property
    def texts(self) -> Source:
        """What is restored and halved: running text, and the texts of tasks that are never targets."""
        own = tuple(TaskText(task.task) for task in self.suite.others if isinstance(task, Asked))
        return Lowered(Together((self.running, *own)))


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, with more arms, or at the paper's scale."""
    if name == "smoke":
        net = T5(embed=16, heads=2, head_dim=8, mlp=32, encoder_layers=1, decoder_layers=1)
        suite = drawn_questions(240)
        suite = Suite(suite.targets[:1], (suite.targets[1], *suite.others))
        return Config(
            suite, Docstrings(Stdlib(limit=100_000)), BPE(400), net,
            {"embed": 16, "layers": 1, "heads": 2, "mlp": 32}, (64, 64, 32), 24, 16, ways=WAYS | MORE_WAYS, shots=8,
            steps=Steps(6, 6, 6, 8, 4), batch=8, batches=(8, 16), meta_rates=(2e-3, 4e-3), rates=(2e-3,), chosen=2,
            tests=40, tested=20, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        net = T5(
            embed=1024, heads=16, head_dim=64, mlp=4096, encoder_layers=12, decoder_layers=12, scan=True, remat="full"
        )
        base = {"embed": 768, "layers": 12, "heads": 12, "mlp": 3072, "scan": True}
        return Config(
            published_questions(), Passages(C4, wikipedia, 2000), BPE(50_000), net, base, (256, 256, 64), 512, 128,
            demonstrations=5, steps=Steps(500_000, 40_000, 10_000, 30_000, 500), batch=512, batches=(2048, 512),
            peaks=(4e-4, 2e-5), meta_rates=(1e-5, 3e-5, 1e-4), rates=(1e-5, 3e-5, 1e-4), tests=400, tested=64,
            precision=Precision(compute="bfloat16"), save_every=1000,
        )  # fmt: skip
    if name == "full":
        return Config(
            small_questions(2000, tables=True), lengths=(46, 46, 32), demonstrations=4, ways=WAYS | MORE_WAYS,
            meta_rates=(2e-3, 4e-3, 8e-3),
        )  # fmt: skip
    return Config()


class Trained(NamedTuple):
    """A network, the stages that led to it, and what is charged beside them."""

    net: Any
    stages: tuple[Any, ...]
    owed: tuple[Any, ...] = ()


class Bank(NamedTuple):
    """Demonstrations, and the vectors of all of them, part by part."""

    source: Source
    vectors: tuple[Any, ...]


class View(NamedTuple):
    """The few examples of a target, as many others and the test records, each behind demonstrations."""

    few: Demonstrated
    valid: Demonstrated
    test: Demonstrated
    owed: tuple[Any, ...]


@dataclass(frozen=True)
class Tested:
    """An arm of one target and seed."""

    arm: Arm
    made: Any  # what `choose` made of the test records
    before: Any = None  # the same before tuning


Tests = dict[tuple[str, str], dict[int, Tested]]  # by target and arm, then by seed
Peaks = dict[tuple[str, Any], Peak]


def pipeline(run: Any, cfg: Config) -> Report:
    """The two start networks; for each target its banks, meta-training, and every arm's rate, tuning and tests."""
    start, retriever = run.train(denoising(cfg)), run.train(halving(cfg))
    begin = Trained(start, (start,))
    tests: Tests = {}
    peaks: Peaks = {}
    extra: dict[str, dict[int, Any]] = {}
    for target in cfg.suite.targets:
        shares = dict.fromkeys(way.share for way in cfg.ways.values())
        banks = {share: banked(run, cfg, target, share, retriever) for share in shares}
        nets = meta_trained(run, cfg, target, banks, begin, retriever, peaks)
        views = {seed: viewed(run, cfg, target, banks, seed, retriever) for seed in cfg.seeds}
        for label, way in cfg.ways.items():
            own = {seed: view[way.seen] for seed, view in views.items()}
            tests[name_of(target), label] = tuned(
                run, cfg, target, label, nets[way.read] if way.trained else begin, own, peaks
            )
        extra[name_of(target)] = beside(run, cfg, target, tests, views)
    return report(cfg, tests, peaks, extra)


# --- questions and demonstrations ---


def name_of(target: Asked) -> str:
    return slug(target.task.name.replace("/", " "))


def questions(cfg: Config, source: Source, batch: int, seed: int = 0) -> Demonstrated:
    """Without demonstrations."""
    shown, asked, said = cfg.lengths
    lengths = {"shown": shown, "asked": asked, "said": said}
    return Demonstrated(
        source=source, tokenizer=cfg.tokenizer, learned_from=cfg.running, batch=batch, seed=seed, **lengths
    )


def of_tasks(cfg: Config, target: Asked, start: float, stop: float | None) -> tuple[Source, ...]:
    """Training examples of all tasks but the target."""
    return tuple(part_of(task, start, stop) for task in cfg.suite.without(target))


def of_target(cfg: Config, target: Asked, part: str, seed: int) -> Asked:
    """Of the target: "few" examples of each class, as many others that are "valid", or "test" records."""
    if part == "test":
        return part_of(target.of_split("test"), 0, cfg.tests)  # type: ignore[arg-type, return-value]
    pool = Portion(target.task.source, *((0, 0.5) if part == "few" else (0.5, None)))
    return replace(target, task=replace(target.task, source=FewShot(pool, cfg.shots, seed, target.task.label)))


def vectors(run: Any, cfg: Config, name: str, source: Source, rows: int, retriever: Any) -> Any:
    """Of at most so many rows."""
    sizes = cfg.lengths[:2]
    flops = rows * vector_flops(retriever.model, *sizes)
    return run.make(name, text_vectors, retriever, source, cfg.tokenizer, cfg.running, *sizes, flops=flops)


def banked(run: Any, cfg: Config, target: Asked, share: float, retriever: Any) -> Bank:
    """A share of nine tenths of the examples of all tasks but the target; the last tenth is for choices."""
    if not share:
        return Bank(Together(()), ())
    source, name = Together(of_tasks(cfg, target, 0.0, 0.9 * share)), f"{name_of(target)}/bank/{share:g}"
    return Bank(source, (vectors(run, cfg, name, source, round(share * cfg.rows), retriever),))


def found(
    run: Any, cfg: Config, name: str, rows: Demonstrated, finder: Finder | None, own: Any, bank: Bank
) -> tuple[Demonstrated, tuple[Any, ...]]:
    """Questions behind what a finder finds for them in a bank, and what that is charged with."""
    if finder is None:
        return rows, ()
    used = (own, *bank.vectors) if finder is nearest else ()
    made = run.make(name, finder, rows.source, bank.source, cfg.demonstrations, cfg.scale, *used)
    return behind(rows, bank.source, made, cfg.demonstrations), (made, *used)


def viewed(
    run: Any, cfg: Config, target: Asked, banks: dict[float, Bank], seed: int, retriever: Any
) -> dict[Read, View]:
    """The target's examples and test records behind demonstrations of all kinds; the few ones join each bank."""
    at, views = f"{name_of(target)}/{seed}", {}
    parts = {part: of_target(cfg, target, part, seed) for part in ("few", "valid", "test")}
    size = {part: cfg.tests if part == "test" else cfg.shots * target.task.classes for part in parts}
    own = {part: vectors(run, cfg, f"{at}/{part}", source, size[part], retriever) for part, source in parts.items()}
    for finder, share in dict.fromkeys(way.seen for way in cfg.ways.values()):
        base, kind, rows, owed = banks[share], f"{at}/{kind_of(finder, share)}", {}, ()
        base = Bank(Together((*base.source.parts, parts["few"])), (*base.vectors, own["few"]))  # type: ignore
        for part, source in parts.items():
            plain = questions(cfg, source, cfg.tested if part == "test" else cfg.batch, seed)
            rows[part], more = found(run, cfg, f"{kind}/{part}", plain, finder, own[part], base)
            owed += more
        views[finder, share] = View(**rows, owed=(*owed, *((retriever,) if finder is nearest else ())))
    return views


def kind_of(finder: Finder | None, share: float) -> str:
    """A name for demonstrations."""
    return slug(f"{finder.__name__ if finder else 'none'} {share:g}")


# --- stages ---


def denoising(cfg: Config) -> Stage:
    """Stage 0 of the generator: whole texts from texts with masks."""
    data = InfilledText(
        source=cfg.texts, tokenizer=cfg.tokenizer, learned_from=cfg.running, batch=cfg.batches[0],
        length=cfg.text_length,
    )  # fmt: skip
    net = replace(cfg.net, vocab=cfg.tokenizer.vocab)
    return Stage(
        "start", net, seq2seq, adamw(cfg.peaks[0], warmup=0.1, decay="linear", clip=1.0), data, cfg.steps.start,
        precision=cfg.precision, save_every=cfg.save_every,
    )  # fmt: skip


def halving(cfg: Config) -> Stage:
    """Stage 0 of the retriever: which halves are of one text."""
    data = Halves(
        source=cfg.texts, tokenizer=cfg.tokenizer, learned_from=cfg.running, batch=cfg.batches[1],
        length=cfg.half_length,
    )  # fmt: skip
    encoder = bert(vocab=cfg.tokenizer.vocab, length=max(*cfg.lengths[:2], cfg.half_length), **cfg.encoder)
    return Stage(
        "retriever", SentenceEncoder(encoder, cfg.scale), in_batch,
        adamw(cfg.peaks[1], warmup=0.1, decay="linear", clip=1.0), data, cfg.steps.retriever,
        trainable=of_the_encoder, precision=cfg.precision, save_every=cfg.save_every,
    )  # fmt: skip


def of_the_encoder(path: str, axes: Axes) -> bool:
    """All but the head that predicts tokens, which has no part in vectors."""
    return not path.startswith("encoder/head")


def answering(cfg: Config, name: str, rows: Demonstrated, held: Demonstrated, batches: int, seed: int = 0) -> Stage:
    """Stages 2 and 3: the marginal likelihood of what is said behind each of the demonstrations."""
    model = replace(cfg.net, vocab=cfg.tokenizer.vocab)
    return Stage(
        name, model, marginal_seq2seq, adamw(cfg.rates[0], warmup=0.1, decay="linear", clip=1.0), rows,
        cfg.steps.meta, evaluate=Evaluation(replace(held, count=batches), batches), seed=seed,
        precision=cfg.precision, save_every=cfg.save_every,
    )  # fmt: skip


def meta_trained(
    run: Any, cfg: Config, target: Asked, banks: dict[float, Bank], begin: Trained, retriever: Any, peaks: Peaks
) -> dict[Read, Trained]:
    """Stage 2 of all arms. The rate of each is searched with the first target, and is that of the others."""
    at, nets = name_of(target), {}
    held = Together(of_tasks(cfg, target, 0.9, None))
    own = vectors(run, cfg, f"{at}/held", held, cfg.rows // 9, retriever)
    for finder, share in dict.fromkeys(way.read for way in cfg.ways.values() if way.trained):
        kind, bank = kind_of(finder, share), banks[share]
        whole = banks[1.0]  # the examples to learn from are the same, whatever share of them is shown
        rows, owed = found(
            run, cfg, f"{at}/meta/{kind}/found", questions(cfg, whole.source, cfg.batch), finder, whole.vectors[0], bank
        )
        valid, more = found(run, cfg, f"{at}/meta/{kind}/held", questions(cfg, held, cfg.batch), finder, own, bank)
        stage = answering(cfg, f"{at}/meta/{kind}", rows, valid, cfg.chosen)
        owed = (*owed, *more, *((retriever,) if finder is nearest else ()))
        peak = peaks.get(("meta", (finder, share)))
        if peak is None:
            pilot = replace(stage, name=f"{stage.name}/rate", steps=cfg.steps.pilot)
            peak = Peak(cfg.meta_rates[0], cfg.meta_rates, (float("nan"),), ())
            if len(cfg.meta_rates) > 1:
                peak = best_peak(run, pilot, cfg.meta_rates, "answer_loss", start=begin.net)
            peaks["meta", (finder, share)] = peak
        net, owed = run.train(at_peak(stage, peak), begin.net), (*owed, *peak.spent)
        nets[finder, share] = Trained(net, (*begin.stages, net), owed)
    return nets


def tuned(
    run: Any, cfg: Config, target: Asked, label: str, begin: Trained, views: dict[int, View], peaks: Peaks
) -> dict[int, Tested]:
    """Stage 3 of an arm and its tests, from every seed; the rate is chosen with the first target and seed."""
    at, tests = f"{name_of(target)}/{slug(label)}", {}
    batches = cfg.shots * target.task.classes // cfg.batch - 1  # a class may have fewer than `shots`
    for seed, view in views.items():
        stage = replace(answering(cfg, f"{at}/{seed}", view.few, view.valid, batches, seed), steps=cfg.steps.tuned)
        if ("tuning", label) not in peaks:
            peak = best_peak(run, replace(stage, name=f"{at}/rate"), cfg.rates, "answer_loss", start=begin.net)
            peaks["tuning", label], net = peak, peak.spent[peak.tried.index(peak.peak)]
        else:
            peak = peaks["tuning", label]
            net = run.train(at_peak(stage, peak), begin.net)
        pilots = tuple(one for one in peak.spent if one is not net)
        flops = cfg.tests * choosing_flops(view.test, net.model, len(target.names))
        made = run.make(f"{at}/{seed}/chosen", choose, net, view.test, target.names, flops=flops)
        before = None
        if label in (RETRIEVED, PLAIN, RANDOM) and seed == cfg.seeds[0]:
            before = run.make(f"{at}/{seed}/before", choose, begin.net, view.test, target.names, flops=flops).value
        arm = Arm("", (*begin.stages, net), once((*begin.owed, *view.owed, *pilots, made), ()))
        tests[seed] = Tested(arm, made.value, before)
    return tests


def once(results: tuple[Any, ...], but: tuple[Any, ...]) -> tuple[Any, ...]:
    """Each result once, but for some."""
    named = {result.name: result for result in results}
    return tuple(result for name, result in named.items() if name not in {result.name for result in but})


def at_peak(stage: Stage, peak: Peak) -> Stage:
    return replace(stage, optimizer=replace(stage.optimizer, peak=peak.peak))


def beside(run: Any, cfg: Config, target: Asked, tests: Tests, views: dict[int, dict[Read, View]]) -> dict[int, Any]:
    """For each seed what a classifier of words chooses; for the first also what the method's arm says freely."""
    made: dict[int, Any] = {}
    for seed in cfg.seeds:
        parts = (of_target(cfg, target, part, seed) for part in ("few", "test"))
        at = f"{name_of(target)}/{seed}"
        made[seed] = {"alone": run.make(f"{at}/words", words_alone, *parts, cfg.tokenizer, cfg.running).value}
    seed = cfg.seeds[0]
    net, test = tests[name_of(target), RETRIEVED][seed].arm.results[-1], views[seed][cfg.ways[RETRIEVED].seen].test
    said = run.make(f"{name_of(target)}/{seed}/said", say, net, test, sampled_tokens=drawn_tokens)
    made[seed]["said"] = said.value
    return made


def words_alone(few: Asked, test: Asked, tokenizer: Tokenizer, learned_from: Source) -> dict[str, np.ndarray]:
    """Logistic regression on TF-IDF of the few examples: no network, no demonstration."""
    from sklearn.linear_model import LogisticRegression

    code, sources = codec(tokenizer, learned_from), (few, test)
    texts = [code.encode([own[i]["context"] for i in range(len(own))]) for own in sources]
    length = max(map(len, texts[0] + texts[1]))
    few_NT, test_NT = (np.stack([np.pad(ids, (0, length - len(ids))) for ids in own]) for own in texts)
    x, z = (tf_idf(rows, few_NT, tokenizer.vocab) for rows in (few_NT, test_NT))
    labels, wanted = (np.array([own.names.index(own[i]["answer"]) for i in range(len(own))]) for own in sources)
    return {"chosen": LogisticRegression(C=10.0, max_iter=500).fit(x, labels).predict(z), "wanted": wanted}


# --- report ---


def right(made: Any, what: str = "chosen") -> float:
    """In %, of the records whose `what` is the wanted name; NaN while planning."""
    return 100 * float((made[what] == made["wanted"]).mean()) if made else float("nan")


def copied(made: Any) -> float:
    """In %, of the records for which the first demonstration's answer is chosen; NaN where there is none."""
    return (
        100 * float((made["chosen"] == made["shown"]).mean()) if made and (made["shown"] >= 0).any() else float("nan")
    )


def report(cfg: Config, tests: Tests, peaks: Peaks, extra: dict[str, dict[int, Any]]) -> Report:
    """Accuracies of all arms and of what needs no network, what is copied, the rates, and the verdicts."""
    targets, arms = [name_of(target) for target in cfg.suite.targets], list(cfg.ways)

    def over(arm: str, target: str, of: Any = lambda one: right(one.made)) -> list[float]:
        """One a seed; of all targets the mean."""
        every = [[of(one) for one in tests[name, arm].values()] for name in targets if target in (name, "mean")]
        return np.array(every).mean(0).tolist()

    def alone(row: str, target: str) -> list[float]:
        of = {
            "a bag of words": lambda t, s: right(extra[t][s]["alone"]),
            "the first demonstration's answer": lambda t, s: right(tests[t, RETRIEVED][s].made, "shown"),
            "the most frequent class": lambda t, s: most_frequent(tests[t, RETRIEVED][s].made),
        }[row]
        return np.array([[of(t, s) for s in cfg.seeds] for t in targets if target in (t, "mean")]).mean(0).tolist()

    def before(arm: str, target: str) -> list[float]:
        return over(arm, target, lambda one: right(one.before))[:1]

    def copies(arm: str, target: str) -> list[float]:
        return over(arm, target, lambda one: copied(one.made))

    columns, retrieving = [*targets, "mean"], [arm for arm in arms if cfg.ways[arm].tuned]
    note = "In %: mean ± standard deviation over seeds of the few examples."
    means = {"scale": 1.0, "note": note}
    rows = ["a bag of words", "the first demonstration's answer", "the most frequent class"]
    tables = (
        table_of_means("Accuracy on test records", arms, columns, over, **means),
        table_of_means("Without a generator", rows, columns, alone, **means),
        table_of_means("Accuracy before tuning, the few examples in the bank", arms[:3], columns, before, **means),
        table_of_means("How often the first demonstration's answer is chosen", retrieving, columns, copies, **means),
        rates_table(peaks),
        said_table(cfg, targets, extra),
    )
    by = {arm: {s: with_both([tests[t, arm][s].arm for t in targets]) for s in cfg.seeds} for arm in arms}
    return EXPERIMENT.report(
        judged(cfg, over), link="https://arxiv.org/abs/2307.00119", arms=by_seed(by, PLAIN), tables=tables,
        baseline=PLAIN, metric="answer_loss", seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


def with_both(arms: list[Arm]) -> Arm:
    """The curve of the first target's arm, the cost of all targets."""
    first, *others = arms
    more = [result for other in others for result in (*other.results, *other.charged)]
    return Arm("", first.results, once((*first.charged, *more), first.results))


def most_frequent(made: Any) -> float:
    return 100 * float(np.bincount(made["wanted"]).max() / len(made["wanted"])) if made else float("nan")


def rates_table(peaks: Peaks) -> Table:
    """What was tried for each arm, and chosen."""
    rows = tuple((stage, kind_of(*of) if stage == "meta" else of, *peak.cells) for (stage, of), peak in peaks.items())
    heads = ("stage", "demonstrations or arm", "rates", "losses of held-out answers", "chosen", "at an end")
    return Table("Learning rates", heads, rows, ("", "", "", "", "g", ""))


def said_table(cfg: Config, targets: list[str], extra: dict[str, dict[int, Any]]) -> Table:
    """Free answers of the method's arm, first seed."""
    rows = []
    for target, own in zip(targets, cfg.suite.targets, strict=True):
        said, wanted = extra[target][cfg.seeds[0]]["said"], extra[target][cfg.seeds[0]]["alone"]
        known = [100 * float(np.mean([text in own.names for text in said["said"]])) if said else float("nan")]
        hits = [text == own.names[w] for text, w in zip(said["said"], wanted["wanted"], strict=True)] if said else []
        rows.append((target, *known, 100 * mean(hits)))
    heads = ("target", "says one of the names", "says the right one")
    return Table(
        f"Free answers, greedy under the mixture: {RETRIEVED}", heads, tuple(rows), ("", ".1f", ".1f"), "In %."
    )


def judged(cfg: Config, over: Any) -> tuple[Any, ...]:
    """The claims, by the rules of the docstring."""
    ours = np.array(over(RETRIEVED, "mean"))

    def gain(other: str) -> tuple[float, str | None]:
        apart = ours - np.array(over(other, "mean"))
        return float(apart.mean()), spread_of(apart, "+.1f")

    def ahead(statement: str, other: str, paper: str) -> Any:
        points, told = gain(other)
        margin = "2 points or more, mean over seeds and targets"
        return claim(statement, paper=paper, measured=told, unit="points", margin=margin, holds=points >= 2)

    claims = (
        ahead("Demonstrations help: against the same without any", PLAIN, "beats few-shot methods without (abstract)"),
        ahead("It matters that they are retrieved: against random ones", RANDOM, "not reported"),
        ahead("Meta-training matters: against retrieval without it", UNTRAINED, "not reported"),
    )
    if EMPTY in cfg.ways:
        sizes = [mean(over(arm, "mean")) for arm in (EMPTY, QUARTER, RETRIEVED)]
        told = None if np.isnan(sizes).any() else " / ".join(f"{size:.1f}" for size in sizes)
        statement, margin = "A larger bank is better: 0, 25 and 100 %", "each above the one before; means, in %"
        claims += (
            claim(statement, paper="argued", measured=told, margin=margin, holds=sizes[0] < sizes[1] < sizes[2]),
        )
    return claims


NOTES = ("The paper's body was not at hand: K, rates, steps, sizes and the suite of tasks are ours.",)


EXPERIMENT = Experiment(
    name="meta_demo_retrieval",
    title="Meta-training with demonstration retrieval for few-shot learning",
    reference="Mueller et al., Findings of ACL 2023, arXiv 2307.00119",
    paper=43,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "full", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("meta_demo_retrieval")
