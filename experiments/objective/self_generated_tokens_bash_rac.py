"""Self-generated tokens: fine-tune on contexts that hold own tokens (BASH), and on corrections of own drafts (RAC).

Paper    Bridging the Training-Inference Gap in LLMs by Leveraging Self-Generated Tokens, TMLR 2025, arXiv 2410.14655
         (dossier 069; the abstract and its review page were read, the rest is their natural reading).
Claim    Teacher forcing trains on gold prefixes, inference has prefixes of the model's own. Two remedies without reward,
         teacher or another architecture improve summaries, general answers and mathematics (no figure could be read).
Method   A model is fine-tuned on demonstrations (the base), then in J rounds. A round generates with the current weights,
         once for all pairs (x, y) of its batches, and trains on them:
         BASH   c_t = y_t, or with probability eps y'_t ~ pi(. | x, c_<t), drawn from left to right behind the mixed
                context; L = -sum_t log pi(y_t | x, c_<t), targets gold
         RAC    y^ ~ pi(. | x), the whole answer; L = -log pi(<corr> y | x, y^) on half of the pairs, on the others
                -log pi(y | x). In line: y^ is cut behind its first mistake, and y goes on at that place.
         Beside them, from the same base, on the same pairs at as many steps and rows: continued SFT; uniformly random
         tokens in BASH's places, and random ones where own tokens differ from gold; scheduled sampling inside of the
         step (two parallel passes); eps annealed from 0 over the rounds. Answers are the likeliest tokens; RAC drafts,
         then answers again behind <corr>; continued SFT with as many tokens answers twice at temperature 0.5, and the
         answers vote, each with its mean probability. Tasks: generated word problems, whose steps cascade, with the
         verifier that reads them; captions from English to German (multi30k), chrF by sacreBLEU.
Run      stagejax run self_generated_tokens_bash_rac                  laptop: about 6 minutes on two cores
         stagejax run self_generated_tokens_bash_rac --preset smoke   seconds
         stagejax plan self_generated_tokens_bash_rac --preset pod --mesh data=16,fsdp=16
Holds if on test pairs, in means over three seeds, eps chosen by development pairs: BASH answers 2 points or more of the
         problems above continued SFT, and more than random tokens at the same eps; its chrF is above both by more than
         the deviation of the paired differences over seeds (n - 1); the excess loss of gold continuations behind own
         prefixes rises more slowly with the prefix under BASH than under continued SFT, on both tasks; and RAC's second
         answers are better than its drafts, than continued SFT's and than its vote of two, on problems, and in chrF.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.data import BPE, SEP, TFDS, Dataset, Portion, Source, Tokenizer, codec
from stagejax.data.answers import Answers
from stagejax.data.field_text import FieldText
from stagejax.data.fitting import Fitting
from stagejax.data.learned import LearnedFrom
from stagejax.data.parallel import DrawnTranslations, Instructed
from stagejax.data.problems import Problems, answer_of
from stagejax.data.published import C4
from stagejax.data.questions import Worked
from stagejax.data.together import Together
from stagejax.data.tokenizers import SPECIAL
from stagejax.data.words import Words
from stagejax.decode import chrf, majority_vote
from stagejax.inference import Frozen
from stagejax.inference.drafting import CORRECT, Pairs, Said, decoded, decoding_flops, keys
from stagejax.inference.exposure import excess_losses, slope
from stagejax.inference.self_generated import (
    Corrections,
    Gold,
    InlineCorrections,
    OwnTokens,
    RandomTokens,
    RandomWhereOthers,
    Way,
    made_rows,
    rows_of,
    stepped,
)
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.scheduled_sampling import scheduled_sampling
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.search.peak import best_peak

SFT, BASH, RANDOM, RAC = "continued SFT", "BASH", "random tokens", "RAC"
ONLINE, ANNEALED, CHANGED, INLINE = "online", "BASH, annealed", "random where own differ", "RAC, in line"
ARMS = (SFT, BASH, RANDOM, RAC, ONLINE, ANNEALED, CHANGED, INLINE)
CARRY = Handover(moments="carry", schedule="carry")


@runtime_checkable
class Judge(Protocol):
    """What an answer's text says, and how good answers are, from 0 to 100."""

    def answer(self, text: str) -> Hashable: ...

    def score(self, answers: list[Any], records: list[Any]) -> float: ...


@dataclass(frozen=True)
class Verified:
    """The share of problems whose last number is right."""

    def answer(self, text: str) -> Hashable:
        return answer_of(text)

    def score(self, answers: list[Any], records: list[Any]) -> float:
        return 100 * mean([own == record["answer"] for own, record in zip(answers, records, strict=True)])


@dataclass(frozen=True)
class Likeness:
    """chrF of the texts as a corpus."""

    def answer(self, text: str) -> Hashable:
        return text.strip()

    def score(self, answers: list[Any], records: list[Any]) -> float:
        return chrf(answers, [record["solution"] for record in records])


@dataclass(frozen=True)
class Task:
    """Records with a "question" and a "solution", a model for them, and who judges its answers."""

    name: str
    net: Transformer
    tokenizer: Tokenizer
    train: Source
    dev: Source
    test: Source
    prompt: int  # tokens with CLS; longer records are left out
    answer: int  # tokens with the end
    judge: Judge
    base: int  # steps
    cuts: tuple[int, ...]  # prefixes of the exposure-bias curve


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    tasks: tuple[Task, ...]
    base: tuple[float, int] = (1e-2, 32)  # peak rate and batch of the base
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)  # of the rounds: continued SFT's best on development pairs, for all
    rounds: int = 3
    steps: int = 40  # of a round
    batch: int = 16
    eps: tuple[float, ...] = (0.1, 0.25, 0.5)  # BASH's best on development pairs is its own and the controls'
    temperature: float = 1.0  # of own tokens and drafts in training
    cool: float = 0.5  # temperature of answers that vote
    share: float = 0.5  # of RAC's rows that are corrections
    tests: int = 512  # test pairs, and half as many for development
    arms: tuple[str, ...] = ARMS
    once: tuple[str, ...] = (ONLINE, ANNEALED, CHANGED, INLINE)  # with the first seed only: no claim speaks of them
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def pairs(self) -> int:
        """Of a round."""
        return self.steps * self.batch


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        own, drawn = Problems(size=64, steps=(1,), largest=9), DrawnTranslations(64, words=5)
        words = Words((*(f"{letter}{k}" for letter in "ed" for k in range(5)), ".", ">"))
        net = llama(vocab=own.tokenizer().vocab, embed=16, layers=1, heads=2, mlp=32, tied=True, length=48)
        test, told = replace(own, split="test"), partial(Instructed, fields=("en", "de"), templates=("{} >",))
        size: dict[str, Any] = {"prompt": 24, "answer": 10, "base": 60, "cuts": (1, 3)}
        tasks = (
            Task("problems", net, own.tokenizer(), own, replace(test, seed=1), test, judge=Verified(), **size),
            Task("captions", net, words, told(drawn), told(replace(drawn, seed=1)), told(drawn.of_split("test")),
                 judge=Likeness(), **size),
        )  # fmt: skip
        return Config(tasks, base=(2e-2, 16), rates=(1e-2,), rounds=2, steps=3, batch=8, eps=(0.2, 0.5), tests=16,
                      seeds=(0,))  # fmt: skip
    if name == "pod":
        words = LearnedFrom(BPE(32_000), C4)
        net = llama(vocab=32_000, embed=4096, layers=32, heads=32, mlp=11_008, length=2048, scan=True, remat="full")
        gsm8k, news = Worked(TFDS("gsm8k")), TFDS("cnn_dailymail")
        told = partial(Instructed, fields=("article", "highlights"), templates=("{}\nTL;DR: ",))
        dev, test = told(news.of_split("validation")), told(news.of_split("test"))
        size = {"judge": Verified(), "base": 1, "cuts": (8, 32, 64, 128)}
        math = Task("GSM8K", net, words, Portion(gsm8k, stop=7000), Portion(gsm8k, start=7000), gsm8k.of_split("test"),
                    256, 320, **size)  # fmt: skip
        both = math, Task("CNN/DM", net, words, told(news), dev, test, 1280, 192, **size | {"judge": Likeness()})
        return Config(both, base=(1e-5, 128), rates=(3e-6, 1e-5), steps=780, batch=128, tests=1024, seeds=(0,))
    return Config((arithmetic(), captions()))


def decoder(vocab: int, embed: int) -> Transformer:
    return llama(vocab=vocab, embed=embed, layers=2, heads=4, mlp=8 * embed // 3 // 8 * 8, tied=True, length=128)


def arithmetic() -> Task:
    """Word problems of two to four operations. Test programs, half of them for development, are in no training set."""
    own = Problems(size=12_000, steps=(2, 3, 4))
    held = replace(own, split="test", size=1024, seed=1)
    words = own.tokenizer()
    dev, test = Portion(held, stop=512), Portion(held, start=512)
    return Task("problems", decoder(words.vocab, 64), words, own, dev, test, 48, 27, Verified(), 600, (2, 6, 12, 18))


def captions() -> Task:
    """Short captions of images, from English to German."""
    pairs = Dataset("multi30k")
    words = LearnedFrom(BPE(1000), Together((FieldText(pairs, "en"), FieldText(pairs, "de"))))
    told = (Instructed(pairs.of_split(split), ("en", "de"), ("{}\n",)) for split in ("train", "val", "test"))
    net = decoder(words.vocab, 64)
    return Task("captions", net, words, *told, 24, 24, Likeness(), 900, (2, 5, 8, 12))


# --- data ---


def demonstrations(task: Task, source: Source, batch: int, seed: int = 0) -> Answers:
    """Pairs that fit, as rows for `causal_lm`."""
    fields, most = ("question", "solution"), (task.prompt - 1, task.answer - 1)
    fitting = Fitting(source, task.tokenizer, fields, most)
    length = task.prompt + task.answer
    return Answers(source=fitting, tokenizer=task.tokenizer, batch=batch, length=length, seed=seed)


def asked(task: Task, source: Source, count: int) -> tuple[Pairs, list[Any]]:
    """The first pairs of a source in the order of its shuffling, each once, and their records."""
    data = demonstrations(task, source, 1)
    numbers = np.arange(min(count, data.size()))
    return Pairs.of(data, numbers, task.prompt, task.answer), [data.source[int(i)] for i in data.records(numbers)]


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """For each task the base and the rates once; for each seed all arms, and what they answer."""
    arms: list[Arm] = []
    scores: dict[tuple[str, str, int], Any] = {}
    chosen: dict[str, Any] = {}
    for task in cfg.tasks:
        base, peak = based(run, cfg, task)
        found: dict[str, dict[int, Arm]] = {arm: {} for arm in cfg.arms}
        known = {eps: bash(run, cfg, task, base, peak.peak, eps, cfg.seeds[0]) for eps in cfg.eps}
        dev = {eps: first_score(run, cfg, task, results[-1]) for eps, results in known.items()}
        best = max(cfg.eps, key=lambda eps: dev[eps].value or 0.0)
        chosen[task.name] = peak, {eps: result.value for eps, result in dev.items()}, best
        searched = [result for eps in cfg.eps if eps != best for result in (*known[eps], dev[eps])]
        for seed in cfg.seeds:
            for arm in (arm for arm in cfg.arms if seed == cfg.seeds[0] or arm not in cfg.once):
                if arm == BASH and seed == cfg.seeds[0]:
                    results = known[best]
                else:
                    results = trained(run, cfg, task, base, peak.peak, arm, best, seed)
                charged = (base, *peak.spent, *(searched if arm in (BASH, RANDOM, ONLINE, CHANGED) else ()))
                trains, made = ([r for r in results if (r.kind == "train") == own] for own in (True, False))
                found[arm][seed] = Arm("", tuple(trains), (*charged, *made))
                at = f"{results[-1].name}/examined"
                flops = cfg.tests * (5 if arm == SFT else 4) * decoding_flops(task.net, task.prompt, task.answer)
                scores[task.name, arm, seed] = run.make(at, examined, cfg, task, results[-1], arm, flops=flops)
        named = {f"{task.name}: {arm}": own for arm, own in found.items()}
        arms += by_seed(named, f"{task.name}: {SFT}")
        scores[task.name, "", 0] = run.make(f"{slug(task.name)}/without-a-model", without_a_model, cfg, task)
    return report(cfg, tuple(arms), scores, chosen)


def based(run: Any, cfg: Config, task: Task) -> Any:
    """The base, and the rate at which continued SFT is best on development pairs."""
    peak, batch = cfg.base
    data, every = demonstrations(task, task.train, batch), max(1, task.base // 6)
    first = replace(tuned(cfg, task, f"{slug(task.name)}/base", peak, 0), data=data, steps=task.base)
    first = replace(first, optimizer=replace(first.optimizer, horizon=None))
    base = run.train(replace(first, evaluate=replace(first.evaluate, every=every)))
    pilot = tuned(cfg, task, f"{slug(task.name)}/rate", peak, cfg.seeds[0])
    pilot = replace(pilot, data=demonstrations(task, task.train, cfg.batch, cfg.seeds[0]), steps=cfg.rounds * cfg.steps)
    return base, best_peak(run, pilot, cfg.rates, start=base)


def tuned(cfg: Config, task: Task, name: str, peak: float, seed: int) -> Stage:
    """Supervised fine-tuning: the recipe that all stages share. Rounds are segments of one schedule."""
    dev = replace(demonstrations(task, task.dev, 64), count=None)
    how = {"warmup": 0.05, "decay": "linear", "weight_decay": 0.1, "clip": 1.0}
    return Stage(
        name=name,
        model=task.net,
        objective=causal_lm,
        optimizer=adamw(peak, horizon=cfg.rounds * cfg.steps, **how),
        data=demonstrations(task, task.train, cfg.batch, seed),
        steps=cfg.steps,
        evaluate=Evaluation(dev, 4, objective=causal_lm),
        seed=seed,
    )


def ways(cfg: Config, arm: str, eps: float) -> Callable[[int], Way]:
    """How each round of an arm makes its rows."""
    own = OwnTokens(eps, cfg.temperature)
    fixed: dict[str, Way] = {
        BASH: own,
        RANDOM: RandomTokens(own),
        CHANGED: RandomWhereOthers(own),
        RAC: Corrections(cfg.share, cfg.temperature),
        INLINE: InlineCorrections(cfg.share, cfg.temperature),
    }
    if arm == ANNEALED:
        return lambda number: replace(own, eps=max(cfg.eps) * number / (cfg.rounds - 1))
    return lambda number: fixed.get(arm, Gold())


def trained(
    run: Any, cfg: Config, task: Task, base: Any, peak: float, arm: str, eps: float, seed: int, name: str = ""
) -> tuple[Any, ...]:
    """The rounds of an arm: rows that the current weights make of the next pairs, and steps on them."""
    found, at = [], base
    name = f"{slug(task.name)}/{seed}/{name or slug(arm)}"
    stage, length = tuned(cfg, task, name, peak, seed), task.prompt + task.answer * (2 if arm == RAC else 1)
    if arm == ONLINE:
        stage = replace(stage, objective=partial(scheduled_sampling, eps=eps, lowest=SPECIAL))
    for number in range(cfg.rounds):
        way, numbers = ways(cfg, arm, eps)(number), (number * cfg.pairs, (number + 1) * cfg.pairs)
        flops = way.decodes * cfg.pairs * decoding_flops(task.net, task.prompt, task.answer)
        given = (stage.data, numbers, (task.prompt, task.answer), way, seed)
        made = run.make(f"{name}/{number}/rows", rows_of, at, *given, flops=flops, sampled_tokens=stepped)
        own = replace(stage, name=f"{name}/{number}", data=made_rows(made, length, cfg.batch, seed + number))
        at = run.train(replace(own, handover=CARRY) if number else own, at)
        found += [made, at]
    return tuple(found)


def bash(run: Any, cfg: Config, task: Task, base: Any, peak: float, eps: float, seed: int) -> tuple[Any, ...]:
    return trained(run, cfg, task, base, peak, BASH, eps, seed, f"bash-{eps:g}")


# --- measures ---


def first_score(run: Any, cfg: Config, task: Task, result: Any) -> Any:
    flops = cfg.tests // 2 * decoding_flops(task.net, task.prompt, task.answer)
    return run.make(f"{result.name}/dev", developed, cfg, task, result, flops=flops)


def developed(cfg: Config, task: Task, result: Any) -> float:
    """The score of the likeliest answers to development pairs."""
    pairs, records = asked(task, task.dev, cfg.tests // 2)
    said = decoded(Frozen.of(result), pairs, keys(0, np.arange(len(records))), temperature=0.0)
    return task.judge.score(answers_of(task, said), records)


def answers_of(task: Task, said: Said) -> list[Any]:
    code = codec(task.tokenizer, task.train, "question")
    return [task.judge.answer(code.decode(row)) for row in said.tokens_NL]


def examined(cfg: Config, task: Task, result: Any, arm: str) -> dict[str, Any]:
    """Scores of test pairs and tokens drawn for each: first answers, second ones of RAC, votes of continued SFT.

    Beside them the excess losses at `cuts`; of answers that depart from the reference, how good they are; and of RAC,
    how many answers are better and worse the second time, in %.
    """
    net, (pairs, records) = Frozen.of(result), asked(task, task.test, cfg.tests)
    judge, own_keys = task.judge, keys(0, np.arange(len(records)))
    first = decoded(net, pairs, own_keys, temperature=0.0, special=(SEP, CORRECT) if arm == INLINE else (SEP,))
    answers = answers_of(task, first)
    departs = np.flatnonzero((first.tokens_NL != pairs.answers_NL).any(1))
    found: dict[str, Any] = {
        "first": judge.score(answers, records),
        "first tokens": float(first.sizes_N.mean()),
        "departs": 100 * len(departs) / len(records),
        "recovered": judge.score([answers[i] for i in departs], [records[i] for i in departs]) if len(departs) else 0.0,
        "excess": excess_losses(net, pairs, own_keys, task.cuts, cfg.temperature).tolist(),
    }
    if arm == RAC:
        second = decoded(net, pairs.drafted(first), own_keys, temperature=0.0)
        corrected = answers_of(task, second)
        each = [[judge.score([own], [r]) for own, r in zip(x, records, strict=True)] for x in (answers, corrected)]
        change = np.subtract(each[1], each[0])
        found |= {"twice": judge.score(corrected, records), "better": 100 * float((change > 0).mean())}
        found |= {"worse": 100 * float((change < 0).mean()), "changed": 100 * float(np.mean(change != 0))}
        found["twice tokens"] = float((first.sizes_N + second.sizes_N).mean())
    if arm == SFT:
        drawn = [decoded(net, pairs, keys(k, np.arange(len(records))), temperature=cfg.cool) for k in (1, 2)]
        told = list(zip(*(answers_of(task, own) for own in drawn), strict=True))
        weights = np.exp([own.logprobs_N / own.sizes_N for own in drawn]).T.tolist()
        votes = [majority_vote(own, weight).answer for own, weight in zip(told, weights, strict=True)]
        found["twice"] = judge.score(votes, records)
        found["twice tokens"] = float(sum(own.sizes_N for own in drawn).mean())
    return found


def without_a_model(cfg: Config, task: Task) -> dict[str, float]:
    """Scores of the answer that training pairs have most often, and of every test pair's neighbour's answer."""
    records = asked(task, task.test, cfg.tests)[1]
    train = [task.judge.answer(r["solution"]) for r in asked(task, task.train, 2000)[1]]
    own = [task.judge.answer(r["solution"]) for r in records]
    most = max(sorted(set(train), key=str), key=train.count)
    return {
        "the most frequent answer": task.judge.score([most] * len(own), records),
        "another pair's answer": task.judge.score(own[1:] + own[:1], records),
    }


# --- report ---


def report(
    cfg: Config, arms: tuple[Arm, ...], scores: dict[tuple[str, str, int], Any], chosen: dict[str, Any]
) -> Report:
    """Claims on both tasks; scores, exposure bias, corrections, and what was chosen by development pairs."""

    def over(task: Task, arm: str, what: str) -> np.ndarray:
        """A measure for each seed; of NaN in a plan."""
        own = [scores[task.name, arm, seed].value for seed in cfg.seeds if (task.name, arm, seed) in scores]
        return np.array([value[what] if value else np.nan for value in own if not value or what in value], float)

    def slopes(task: Task, arm: str) -> np.ndarray:
        own = (scores[task.name, arm, seed].value for seed in cfg.seeds)
        return np.array([slope(task.cuts, value["excess"]) if value else np.nan for value in own])

    def gains(task: Task, *others: tuple[str, str], of: tuple[str, str]) -> np.ndarray:
        """How far the one measure is above others, (seeds, others)."""
        return np.stack([over(task, *of) - over(task, *other) for other in others], axis=1)

    problems, texts = cfg.tasks
    bash = [gains(task, (SFT, "first"), (RANDOM, "first"), of=(BASH, "first")) for task in cfg.tasks]
    rivals = (RAC, "first"), (SFT, "first"), (SFT, "twice")
    rac = [gains(task, *rivals, of=(RAC, "twice")) for task in cfg.tasks]
    flat = np.stack([slopes(task, SFT) - slopes(task, BASH) for task in cfg.tasks], axis=1)
    deviation = bash[1].std(0, ddof=1) if len(cfg.seeds) > 1 else np.full(2, np.nan)
    # fmt: off
    claims = (
        claim(
            "On problems BASH is better than continued SFT, and than random tokens in its places",
            paper="better on mathematics; no figure read", measured=shown(bash[0], "+.1f"), unit="points",
            margin="2 points or more above continued SFT, and above random tokens",
            holds=bash[0][:, 0].mean() >= 2 and bash[0][:, 1].mean() > 0,
        ),
        claim(
            "On text as well",
            paper="better on summaries; no figure read", measured=shown(bash[1], "+.2f"), unit="chrF",
            margin="above both by more than the deviation of paired differences",
            holds=bool((bash[1].mean(0) > deviation).all()),
        ),
        claim(
            "BASH's excess loss behind own prefixes rises more slowly with their length",
            paper="the gap between training and inference is bridged",
            measured=shown(1000 * flat, "+.1f"), unit="thousandths of a nat a token, problems and text",
            margin="a smaller slope than that of continued SFT, on both tasks",
            holds=bool((flat.mean(0) > 0).all()),
        ),
        *(
            claim(
                f"RAC's second answers are better than its drafts, continued SFT and its vote of two: {task.name}",
                paper="better; no figure read", measured=shown(own, "+.2f"), unit="points",
                margin="above all three, means over seeds",
                holds=bool((own.mean(0) > 0).all()),
            )
            for task, own in zip(cfg.tasks, rac, strict=True)
        ),
    )
    # fmt: on
    tables = []
    for task in cfg.tasks:
        title = f"{task.name}: {'right answers, %' if task is problems else 'chrF'}"
        columns = ("first", "first tokens", "twice", "twice tokens", "departs", "recovered")
        note = "Means ± deviations over seeds. Twice: RAC's second answers, continued SFT's vote of two; tokens drawn "
        note += "for an answer. Departs: first answers that are not the reference, %; recovered: the score of those."
        tables.append(table_of_means(title, cfg.arms, columns, partial(over, task), scale=1, digits=2, note=note))
        tables.append(excess_table(cfg, task, scores))
    changes = table_of_means(
        "Answers that RAC's second pass makes better and worse, %", [task.name for task in cfg.tasks],
        ("better", "worse"), lambda name, what: over(next(t for t in cfg.tasks if t.name == name), RAC, what), scale=1,
    )  # fmt: skip
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2410.14655",
        arms=arms,
        tables=(*tables, changes, trivial_table(cfg, scores), *chosen_tables(chosen)),
        baseline=f"{problems.name}: {SFT}",
        metric="loss",
        seeds=cfg.seeds,
        notes=NOTES,
    )


def excess_table(cfg: Config, task: Task, scores: dict[tuple[str, str, int], Any]) -> Table:
    """The exposure-bias curve of each arm."""

    def at(arm: str, column: str) -> list[float]:
        own = (scores[task.name, arm, seed].value for seed in cfg.seeds if (task.name, arm, seed) in scores)
        values = [value["excess"] for value in own if value]
        if column == "slope":
            return [slope(task.cuts, value) for value in values]
        return [value[task.cuts.index(int(column))] for value in values]

    note = "Nats a token of the gold rest, behind so many own tokens over behind gold ones; slope: for each token more."
    columns = (*map(str, task.cuts), "slope")
    return table_of_means(f"Exposure bias: {task.name}", cfg.arms, columns, at, scale=1, digits=3, note=note)


def trivial_table(cfg: Config, scores: dict[tuple[str, str, int], Any]) -> Table:
    found = [(task.name, scores[task.name, "", 0].value or {}) for task in cfg.tasks]
    rows = tuple((name, what, score) for name, own in found for what, score in own.items())
    return Table("Scores without a model", ("task", "answer", "score"), rows, ("", "", ".1f"))


def chosen_tables(chosen: dict[str, Any]) -> tuple[Table, ...]:
    """The rates and eps that were tried."""
    rates = tuple((name, *peak.cells) for name, (peak, _, _) in chosen.items())
    shares = tuple((name, eps, score, "chosen" * (eps == best)) for name, (_, own, best) in chosen.items()
                   for eps, score in own.items())  # fmt: skip
    return (
        Table(
            "Rates: loss of continued SFT on development pairs",
            ("task", "tried", "losses", "chosen", "at an end"),
            rates,
        ),
        Table("eps: scores of BASH on development pairs, first seed", ("task", "eps", "score", ""), shares),
    )


NOTES = (
    "The paper was not read whole: mixing rule, format of corrections, rates, rounds and models are natural readings.",
    "Own tokens are tokens of text, drawn at temperature 1; nothing is generated behind an end. At equal eps fewer tokens "
    "change under BASH than under random tokens, as many own ones are the gold one; `random where own differ` has as "
    "many changes, and pays for the same generation.",
    "The gold target behind a replaced token may be wrong there, as behind another number; it is kept at its place. The "
    "exposure-bias curve has the same alignment.",
    "Rounds are segments of one schedule; each reads other pairs, so rows are made of exactly those that are trained "
    "on. The rate is continued SFT's best, and all arms have it.",
    "RAC's rows are half corrections and half plain pairs. <corr> follows the draft's end and is learned. In line the "
    "text is read without <corr>.",
    "Sampled tokens in the costs are all those that the model was stepped over to make rows, the given ones among them.",
    "pod: the first stage, of one step, stands for published weights; GSM8K has no development split, and its last 473 "
    "training records are it.",
)

EXPERIMENT = Experiment(
    name="self_generated_tokens_bash_rac",
    title="Self-generated tokens: batch-scheduled sampling and corrections of own answers",
    reference="arXiv 2410.14655, TMLR 2025",
    paper=69,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("self_generated_tokens_bash_rac")
