"""SELF-GUIDE: a model writes its own examples of a task from an instruction and three demonstrations, and learns them.

Paper    Zhao et al., SELF-GUIDE: Better Task-Specific Instruction Following via Self-Synthetic Finetuning, COLM 2024,
         arXiv 2407.12874 (dossier 093; published code and abstract were read).
Claim    Fine-tuned on inputs that it invented and outputs that it gave them itself, behind the same instruction and
         demonstrations, Vicuna-7B gains some 15 points on tasks of classification and 18 of generation of
         Natural Instructions over the same prompts without fine-tuning.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.data.answers import MadeRows, PromptedText, answer_row
from stagejax.data.joined import Row
from stagejax.data.pair_filters import balanced, clean, known_label, most_frequent, of_usual_length
from stagejax.data.tokenizers import CLS
from stagejax.data.word_tasks import (
    END,
    OUTPUT,
    SIZE,
    WordTask,
    WordTaskPrompts,
    WordTaskRows,
    all_rules,
    prompt_for_answer,
    prompt_for_input,
    word_task_tokenizer,
)
from stagejax.decode import Prompts, sample
from stagejax.inference import Frozen
from stagejax.inference.continuing import GREEDY, Sampling
from stagejax.inference.inventing import Drawing, Inventing, drawn, invented
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.together import charged_once
from stagejax.steps.side_by_side import in_turn, side_by_side_flops

ICL, VOTE, TURNED, BARE = "ICL", "ICL, most frequent of 10", "ICL, demonstrations turned round", "no demonstrations"
GUIDE, GOLD, DEMOS = "SELF-GUIDE", "true pairs", "the 3 demonstrations"
SINGLE, RAW, FREE, OTHER = "no self-consistency", "no filters of form", "no label asked for", "inputs of another task"
COMMON = "most frequent true output"
ASKED = (ICL, VOTE, TURNED, BARE)  # without fine-tuning
ARMS = (GUIDE, SINGLE, RAW, FREE, OTHER, DEMOS, GOLD)

TASKS = (
    WordTask("early", "reversed", "next"),
    WordTask("plain", "rotated", "opposite"),
    WordTask("late", "crossed", "capital"),
    WordTask("twin", "last", "hue"),
    WordTask("rising", "second", "taste"),
    WordTask("early", "first", "shape"),
)
DEV_TASKS = (WordTask("plain", "swapped", "opposite"), WordTask("late", "third", "hue"))
MARKS = (OUTPUT, END, "invent", "turn", "name", "letters", "letter")  # words of prompts, that inputs must not have
ANSWER = SIZE + 1  # tokens of an output with its end
END_TOKEN = int(word_task_tokenizer().encode([END])[0][0])
ROW = 64  # tokens


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer = field(default_factory=lambda: decoder(embed=64, layers=3, heads=4, mlp=160))
    tasks: tuple[WordTask, ...] = TASKS
    dev_tasks: tuple[WordTask, ...] = DEV_TASKS  # held out as well: rates are chosen with them
    base: tuple[tuple[int, int, int], ...] = ((180, 96, 20), (250, 32, ROW))  # steps, rows and their tokens
    base_rate: float = 3e-3
    demonstrations: int = 3
    rounds: int = 20  # of 10 prompts for inputs
    earlier: int = 4  # most invented inputs in such a prompt
    inventing: float = 0.7  # temperature of inputs, of top_k 40
    answering: float = 0.2  # and of outputs, of top_k 10
    n: int = 10  # outputs drawn to each input
    frequency: float = 0.3  # least share of the most frequent one
    row: int = 56  # tokens of demonstrations, input and output
    invite: int = 68  # tokens of a prompt for inputs
    steps: int = 40
    batch: int = 12
    rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3)
    tested: int = 96  # words of each task
    arms: tuple[str, ...] = ARMS
    seeds: tuple[int, ...] = (0, 1, 2)  # of demonstrations, drawn inputs and outputs, and order of rows
    alone: bool = False  # a stage for each task, for many devices
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None


def decoder(embed: int, **fields: Any) -> Transformer:
    """Llama with one table for inputs and outputs, whose initial values grow as its width shrinks: 0.02 at 768."""
    own = {"vocab": word_task_tokenizer().vocab, "length": 2 * ROW, "tied": True}
    return llama(embed=embed, init_std=round(0.02 * (768 / embed) ** 0.5, 3), **{**own, **fields})


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        return Config(
            decoder(embed=32, layers=1, heads=2, mlp=64), (TASKS[0], TASKS[3]), DEV_TASKS,
            ((20, 16, 20), (10, 8, ROW)), rounds=3, n=4, frequency=0.25, steps=4, batch=4, rates=(1e-3, 3e-3),
            tested=8, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        sizes = {"embed": 4096, "layers": 32, "heads": 32, "mlp": 11_008, "vocab": 32_000, "length": 2048}
        return Config(
            decoder(**{**sizes, "tied": False, "scan": True, "remat": "full"}), base=((1000, 256, ROW),),
            base_rate=1e-4, rounds=40, steps=96, batch=256, rates=(5e-5,), tested=256, seeds=(0,), alone=True,
            precision=Precision(compute="bfloat16"), save_every=500,
        )  # fmt: skip
    return Config()


# --- words, demonstrations and prompts ---


def words_of(cfg: Config, task: WordTask, seed: int) -> tuple[list[str], list[str], list[str]]:
    """Words of a task: to be demonstrated, others for true pairs, and to be tested; no word is in two of these.

    Tests are the same for all seeds.
    """
    place, size = (*TASKS, *DEV_TASKS).index(task), cfg.demonstrations * (max(cfg.seeds) + 1)
    every = list(dict.fromkeys(task.drawn(8 * (cfg.tested + size), np.random.default_rng([7, place]))))
    tests, demos, rest = every[: cfg.tested], every[cfg.tested : cfg.tested + size], set(every[: cfg.tested + size])
    more = dict.fromkeys(task.drawn(20 * cfg.rounds, np.random.default_rng([8, place, seed])))
    own = demos[cfg.demonstrations * seed : cfg.demonstrations * (seed + 1)]
    return own, [word for word in more if word not in rest], tests


def named(task: WordTask) -> str:
    """As in "reversed-next-early".

    >>> named(WordTask("early", "first", "hue"))
    'first-hue-early'
    """
    return "-".join((*task.rule, task.kind))


def true(task: WordTask, words: Sequence[str]) -> list[tuple[str, str]]:
    """Words with the task's own answers."""
    return [(word, task.answer(word) or "") for word in words]


def demonstrations(cfg: Config, task: WordTask, seed: int) -> list[tuple[str, str]]:
    return true(task, words_of(cfg, task, seed)[0])


def inviting(task: WordTask, examples: Sequence[tuple[str, str]], label: str | None) -> str:
    """A prompt for one more input."""
    return prompt_for_input(task, [text for text, _ in examples], [said for _, said in examples], label)


# --- stages ---


class Written(NamedTuple):
    """What a base wrote for some tasks, in their order: examples, those of free inputs and of another task's; rows."""

    pools: tuple[Any, ...]
    free: tuple[Any, ...]
    others: tuple[Any, ...]
    rows: tuple[Any, ...]

    def owed(self, arm: str) -> tuple[Any, ...]:
        """What an arm learns from, to be charged."""
        return {FREE: self.free, OTHER: (*self.pools, *self.others), DEMOS: (), GOLD: ()}.get(arm, self.pools)


def pipeline(run: Any, cfg: Config) -> Report:
    """The base; its own examples of the tasks that rates are chosen with; then every seed's, and every arm on them."""
    base, found = pretrained(run, cfg), Found(cfg)
    first = cfg.seeds[0]
    tried = written(run, cfg, base[-1], cfg.dev_tasks, first) if len(cfg.rates) > 1 else None
    for arm in cfg.arms if tried else ():
        for rate in cfg.rates:
            own = tuned(run, cfg, f"dev/{slug(arm)}/{rate:g}", arm, first, rate, base[-1], cfg.dev_tasks, tried)
            found.tried.setdefault(arm, {})[rate] = mean(measured(own))
            found.spent[arm] = (*found.spent.get(arm, tried.owed(arm)), *own)
    found.dev = asking(run, cfg, "dev/asked", base[-1], cfg.dev_tasks, first)
    for seed in cfg.seeds:
        found.asked[seed] = asking(run, cfg, f"{seed}/asked", base[-1], cfg.tasks, seed)
        found.written[seed] = made = written(run, cfg, base[-1], cfg.tasks, seed)
        for arm in cfg.arms:
            own = tuned(run, cfg, f"{seed}/{slug(arm)}", arm, seed, found.rate(arm), base[-1], cfg.tasks, made)
            owed = (*base, *made.owed(arm), *found.spent.get(arm, ()))
            found.arms.setdefault(arm, {})[seed] = charged_once(own, owed)
        found.arms.setdefault(ICL, {})[seed] = charged_once((found.asked[seed],), base)
    return report(found)


def pretrained(run: Any, cfg: Config) -> tuple[Any, ...]:
    """The base: answers to single inputs, then rows of several examples and of inputs alone, of rules not held out."""
    held_out = {task.rule for task in (*cfg.tasks, *cfg.dev_tasks, *TASKS, *DEV_TASKS)}
    rules = tuple(rule for rule in all_rules() if rule not in held_out)
    optimizer, results = adamw(cfg.base_rate, warmup=0.1, decay="linear", weight_decay=0.1, clip=1.0), []
    for number, (steps, batch, length) in enumerate(cfg.base):
        last = number == len(cfg.base) - 1
        data = WordTaskRows(rules=rules, batch=batch, length=length, answered=0.7 if last else 1.0)
        how = {"precision": cfg.precision, "save_every": cfg.save_every}
        stage = Stage(f"base/{number}", cfg.net, causal_lm, optimizer, data, steps, **how)
        results.append(run.train(stage, *results[-1:]))
    return tuple(results)


def written(run: Any, cfg: Config, base: Any, tasks: Sequence[WordTask], seed: int) -> Written:
    """For every task inputs and outputs by the base, and the rows of all arms."""
    found: dict[str, list[Any]] = {name: [] for name in Written._fields}
    for task in tasks:
        how = {"flops": writing_flops(cfg), "sampled_tokens": drawn_tokens}
        found["pools"].append(run.make(f"{seed}/{named(task)}/pool", pool, cfg, base, task, seed, True, **how))
        if FREE in cfg.arms and task.labels:
            found["free"].append(run.make(f"{seed}/{named(task)}/free", pool, cfg, base, task, seed, False, **how))
    free = iter(found["free"])
    for place, task in enumerate(tasks):
        alike = [k for k, own in enumerate(tasks) if bool(own.labels) == bool(task.labels)]
        of = alike[(alike.index(place) + 1) % len(alike)] if len(alike) > 1 else (place + 1) % len(tasks)
        how = {"flops": answering_flops(cfg), "sampled_tokens": drawn_tokens}
        name, other = f"{seed}/{named(task)}", found["pools"][of]
        found["others"].append(run.make(f"{name}/other", answered, cfg, base, task, seed, other, **how))
        inputs = (
            found["pools"][place],
            found["others"][place],
            *([next(free)] if FREE in cfg.arms and task.labels else []),
        )
        found["rows"].append(run.make(f"{name}/rows", rows_of_arms, cfg, task, seed, *inputs))
    return Written(*(tuple(found[name]) for name in Written._fields))


def tuned(
    run: Any, cfg: Config, name: str, arm: str, seed: int, rate: float, base: Any, tasks: Sequence[WordTask],
    made: Written,
) -> tuple[Any, ...]:  # fmt: skip
    """An arm: fine-tuned on each task alone and tested on it; all in one result, or a stage for each."""
    stages = []
    for task, rows in zip(tasks, made.rows, strict=True):
        if arm == FREE and not task.labels:
            continue  # nothing is asked for
        arrays = rows.value and {key: rows.value[f"{arm}/{key}"] for key in ("tokens", "targets", "weights")}
        kinds = {"tokens": "int32", "targets": "int32", "weights": "float32"}
        shapes = tuple(Row(key, (cfg.row,), kind) for key, kind in kinds.items())
        data = MadeRows(rows=shapes, of=f"{rows.fingerprint}/{arm}", arrays=arrays, batch=cfg.batch, seed=seed)
        optimizer = adamw(rate, warmup=0.1, decay="linear", clip=1.0)
        how = {"precision": cfg.precision, "save_every": cfg.save_every, "seed": seed}
        test = Evaluation(tests(cfg, task, seed), 1, objective=exact)
        stages.append(
            Stage(f"{name}/{named(task)}", cfg.net, causal_lm, optimizer, data, cfg.steps, evaluate=test, **how)
        )
    if cfg.alone:
        return tuple(run.train(stage, base) for stage in stages)
    flops = side_by_side_flops(stages[0], len(stages)) if getattr(run, "price", True) else 0.0
    return (run.make(name, all_tasks, stages, base, flops=float(flops)),)


def all_tasks(stages: list[Stage], base: Any) -> dict[str, np.ndarray]:
    """What `exact` measures of every stage's last state."""
    asked = [stage.evaluate.data for stage in stages if stage.evaluate is not None]
    found = in_turn(stages[0], [stage.data for stage in stages], asked, base)
    return {name: found[name] for name in ("accuracy", "letters")}


def tests(cfg: Config, task: WordTask, seed: int) -> PromptedText:
    own, _, words = words_of(cfg, task, seed)
    source = WordTaskPrompts(task, tuple(true(task, own)), tuple(words))
    how = {"batch": len(words), "length": cfg.row - ANSWER, "beside": source.gold, "count": 1}
    return PromptedText(source=source, tokenizer=word_task_tokenizer(), **how)


def exact(model: Any, batch: Any, key: Any) -> tuple[jax.Array, Any]:
    """The share of inputs whose likeliest output, token by token, is not the true one; `accuracy` and `letters`.

    `letters`: the share of words of true outputs that are said at their places.
    """
    length = batch["tokens"].shape[1] + ANSWER
    how = {"length": length, "limit": ANSWER, "temperature": 0.0, "stops": ((END_TOKEN,),)}
    said = sample(model, Prompts(batch["tokens"], batch["lengths"]), jax.random.key(0), **how)
    gold_BG = jnp.stack([batch[name] for name in WordTaskPrompts.gold], axis=1)
    at_BG = jnp.minimum(said.starts_BN + jnp.arange(ANSWER), length - 1)
    same_BG = jnp.take_along_axis(said.tokens_BNS[:, 0], at_BG, axis=1) == gold_BG
    right_B = (same_BG | (gold_BG == 0)).all(1)
    word_BG = (gold_BG > 0) & (gold_BG != END_TOKEN)
    letters = ((same_BG & word_BG).sum(), word_BG.sum().astype(jnp.float32))
    return 1 - right_B.mean(), {"accuracy": (right_B.sum(), jnp.float32(right_B.size)), "letters": letters}


# --- what the base writes ---


def inventing(cfg: Config, labels: tuple[str, ...]) -> Inventing:
    how = Sampling(temperature=cfg.inventing, top_k=40)
    drawing = Drawing(prompt=cfg.invite, limit=SIZE + 2, stop=END_TOKEN, how=how)
    return Inventing(drawing, cfg.rounds, cfg.earlier, labels)


def answering(cfg: Config, n: int, how: Sampling) -> Drawing:
    return Drawing(prompt=cfg.row - ANSWER, limit=ANSWER, stop=END_TOKEN, n=n, how=how, batch=20)


def pool(cfg: Config, base: Any, task: WordTask, seed: int, told: bool) -> dict[str, Any]:
    """Invented inputs, the labels that they were to have, whether they passed the filter, and drawn outputs.

    Args:
      told: whether each prompt asks for a label of the task's.
    """
    net, own = Frozen.of(base), demonstrations(cfg, task, seed)

    def keep(text: str) -> bool:
        usual = not task.labels or of_usual_length(text, [word for word, _ in own])
        return clean(text, MARKS) and usual

    how = inventing(cfg, task.labels if told else ())
    found = invented(net, word_task_tokenizer(), how, functools.partial(inviting, task), own, keep, seed)
    texts, labels, kept = ([getattr(one, name) for one in found] for name in ("text", "label", "kept"))
    return {"inputs": texts, "labels": labels, "kept": kept, "outputs": outputs(cfg, net, task, own, texts, seed)}


def answered(cfg: Config, base: Any, task: WordTask, seed: int, other: Any) -> dict[str, Any]:
    """The inputs of another task that passed the filter, with outputs for this one."""
    texts = [text for text, kept in zip(other.value["inputs"], other.value["kept"], strict=True) if kept]
    said = outputs(cfg, Frozen.of(base), task, demonstrations(cfg, task, seed), texts, seed)
    return {"inputs": texts, "labels": [""] * len(texts), "kept": [True] * len(texts), "outputs": said}


def outputs(
    cfg: Config, net: Frozen, task: WordTask, own: Sequence[tuple[str, str]], texts: Sequence[str], seed: int
) -> list[list[str]]:
    how = answering(cfg, cfg.n, Sampling(temperature=cfg.answering, top_k=10))
    return drawn(net, word_task_tokenizer(), [prompt_for_answer(task, own, text) for text in texts], how, seed)


def chosen(
    cfg: Config, task: WordTask, seed: int, value: Mapping[str, Any], vote: bool = True, filtered: bool = True
) -> list[tuple[str, str]]:
    """The pairs that are learned: filters of form, self-consistency, known labels, classes of one size; no test words.

    Args:
      value: of `pool`.
      vote: take the most frequent output if it is frequent enough, or the first one drawn.
      filtered: by length and by words that are not to be there.
    """
    shown, tested = demonstrations(cfg, task, seed), set(words_of(cfg, task, seed)[2])

    def passes(said: str) -> bool:
        usual = bool(task.labels) or of_usual_length(said, [output for _, output in shown])
        return not filtered or (clean(said, MARKS) and usual)

    pairs = []
    for text, kept, said in zip(value["inputs"], value["kept"], value["outputs"], strict=True):
        good = [one if passes(one) else "" for one in said]
        output, share = most_frequent(good) if vote else (good[0], 1.0)
        label = known_label(output, task.labels) if task.labels else output
        if (kept or not filtered) and text not in tested and share >= cfg.frequency - 1e-9 and label:
            pairs.append((text, label))
    return balanced(pairs, np.random.default_rng([9, seed])) if task.labels else pairs


def pairs_of_arms(cfg: Config, task: WordTask, seed: int, pools: Sequence[Any]) -> dict[str, list[tuple[str, str]]]:
    """What each arm learns but the one of demonstrations alone."""
    own, other, *free = (made.value for made in pools)
    choose = functools.partial(chosen, cfg, task, seed)
    found = {
        GUIDE: choose(own),
        SINGLE: choose(own, vote=False),
        RAW: choose(own, filtered=False),
        OTHER: choose(other),
    }
    found |= {FREE: choose(free[0])} if free else {}
    return found | {GOLD: true(task, words_of(cfg, task, seed)[1][: max(1, len(found[GUIDE]))])}


def rows_of_arms(cfg: Config, task: WordTask, seed: int, *pools: Any) -> dict[str, np.ndarray]:
    """Rows of every arm, "ARM/tokens" and so on; and of its pairs how many there are and which share is right.

    "ARM/fits": the share of inputs that are words of the task's kind. The 3 demonstrations are learned in turn, each
    behind the other two. An arm of no pairs has these as well.
    """
    code, own, made = word_task_tokenizer(), demonstrations(cfg, task, seed), {}
    spared = [([pair for pair in own if pair != one], one) for one in own]
    for arm, pairs in {DEMOS: [], **pairs_of_arms(cfg, task, seed, pools)}.items():
        rows = []
        for shown_here, (text, output) in [(own, pair) for pair in pairs] or spared:
            prompt, answer = code.encode([prompt_for_answer(task, shown_here, text), f"{output} {END}"])
            rows.append(answer_row(np.concatenate([np.int32([CLS]), prompt]), answer, cfg.row))
        tokens, weights = (np.stack(part) for part in zip(*rows, strict=True))
        made |= {f"{arm}/tokens": tokens[:, :-1], f"{arm}/targets": tokens[:, 1:], f"{arm}/weights": weights}
        made[f"{arm}/size"] = np.array(len(pairs))
        made[f"{arm}/right"] = np.array([task.answer(text) == output for text, output in pairs])
        made[f"{arm}/fits"] = np.array([task.fits(text) for text, _ in pairs])
    return made


def drawn_tokens(value: Mapping[str, Any]) -> int:
    """Tokens of the outputs with their ends, and of the inputs if they were invented for this."""
    texts = [one for said in value["outputs"] for one in said] + (value["inputs"] if any(value["labels"]) else [])
    return sum(len(text.split()) + 1 for text in texts)


def answering_flops(cfg: Config) -> float:
    how = answering(cfg, cfg.n, Sampling(temperature=cfg.answering, top_k=10))
    return cfg.rounds * how.batch * how.flops(cfg.net)


def writing_flops(cfg: Config) -> float:
    return inventing(cfg, ()).flops(cfg.net) + answering_flops(cfg)


# --- what the base says ---


def asking(run: Any, cfg: Config, name: str, base: Any, tasks: Sequence[WordTask], seed: int) -> Any:
    """What the base answers without fine-tuning, as an artifact that is charged with the likeliest answers alone."""
    flops = len(tasks) * cfg.tested * answering(cfg, 1, GREEDY).flops(cfg.net)
    return run.make(name, asked, cfg, base, tasks, seed, flops=flops)


def asked(cfg: Config, base: Any, tasks: Sequence[WordTask], seed: int) -> dict[str, Any]:
    """Right outputs of every task by way of asking, and of the output that is most frequent among the true ones."""
    net, code, found = Frozen.of(base), word_task_tokenizer(), {}
    several = Sampling(temperature=cfg.answering, top_k=10)
    for task in tasks:
        own, _, words = words_of(cfg, task, seed)
        shown_here, gold = true(task, own), [output for _, output in true(task, words)]
        ways = {ICL: (shown_here, 1, GREEDY), VOTE: (shown_here, cfg.n, several), TURNED: (shown_here[::-1], 1, GREEDY),
                BARE: ([], 1, GREEDY)}  # fmt: skip
        for way, (examples, n, how) in ways.items():
            prompts = [prompt_for_answer(task, examples, word) for word in words]
            said = [most_frequent(one)[0] for one in drawn(net, code, prompts, answering(cfg, n, how), seed)]
            found.setdefault(way, []).append(float(np.mean([a == b for a, b in zip(said, gold, strict=True)])))
        found.setdefault(COMMON, []).append(Counter(gold).most_common(1)[0][1] / len(gold))
    return found


# --- report ---


def measured(results: Sequence[Any], what: str = "accuracy") -> list[float]:
    """A measure by task; empty in a plan."""
    if len(results) == 1 and results[0].kind == "make":
        return [] if results[0].value is None else [float(x) for x in results[0].value[what]]
    own = [result.history.last(what) for result in results]
    return [] if np.isnan(own).any() else [float(x) for x in own]


@dataclass
class Found:
    """What was trained and answered."""

    cfg: Config
    tried: dict[str, dict[float, float]] = field(default_factory=dict)
    spent: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    dev: Any = None
    asked: dict[int, Any] = field(default_factory=dict)
    written: dict[int, Written] = field(default_factory=dict)
    arms: dict[str, dict[int, Arm]] = field(default_factory=dict)

    def rate(self, arm: str) -> float:
        """The rate that is best on the tasks for choices; the first one in a plan."""
        tried = self.tried.get(arm, {})
        return max(tried, key=lambda rate: np.nan_to_num(tried[rate], nan=-1.0)) if tried else self.cfg.rates[0]

    def tasks(self, arm: str) -> list[str]:
        return [named(task) for task in self.cfg.tasks if arm != FREE or task.labels]

    def right(self, arm: str, task: str, what: str = "accuracy") -> list[float]:
        """A measure of a task, one for every seed; empty in a plan, and where the arm has no such task."""
        if arm in (*ASKED, COMMON):
            made = [own.value[arm] for own in self.asked.values() if own.value] if what == "accuracy" else []
        else:
            made = [values for own in self.arms.get(arm, {}).values() if (values := measured(own.results, what))]
        return [values[self.tasks(arm).index(task)] for values in made] if task in self.tasks(arm) else []

    def over(self, arm: str, like: str | None = None) -> np.ndarray:
        """Right outputs, (seeds, tasks), of the tasks that `like` has as well; empty in a plan."""
        return np.array([self.right(arm, task) for task in self.tasks(like or arm)]).T

    def lead(self, arm: str, other: str) -> np.ndarray:
        """Points by which an arm is ahead of another, (seeds, tasks), on the tasks of both; empty in a plan."""
        like = FREE if FREE in (arm, other) else None
        own, their = self.over(arm, like), self.over(other, like)
        return 100 * (own - their) if own.size and their.size else np.zeros((0, 0))

    def pairs(self, arm: str, what: str, task: int) -> list[float]:
        """The mean of what `rows_of_arms` says of the pairs of a task; one for every seed."""
        values = [made.rows[task].value for made in self.written.values() if made.rows[task].value]
        own = [np.asarray(value[f"{arm}/{what}"], float) for value in values if f"{arm}/{what}" in value]
        return [float(array.mean()) for array in own if array.size]


def judged(found: Found) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring."""
    gain = found.lead(GUIDE, ICL)
    better = int((gain.mean(0) > 0).sum()) if gain.size else 0
    enough = int(np.ceil(2 / 3 * len(found.cfg.tasks)))
    leads = {arm: found.lead(GUIDE, arm) for arm in (SINGLE, RAW, OTHER, DEMOS)}

    def clear(lead: np.ndarray) -> bool:
        """Above 0 by more than the deviation of means over seeds."""
        own = lead.mean(1) if lead.size else np.zeros(0)
        return len(own) > 1 and bool(own.mean() > own.std(ddof=1))

    def said(*arms: str) -> str | None:
        known = [(arm, shown(leads[arm].mean(1), "+.1f")) for arm in arms if leads[arm].size]
        return "; ".join(f"{own} points to {arm}" for arm, own in known) if len(known) == len(arms) else None

    return (
        claim(
            "A model gains by learning its own examples of a task",
            paper="about 15 points in classification, 18 in generation",
            measured=f"{shown(gain.mean(1), '+.1f')} points, {better} of {gain.shape[1]} tasks better"
            if gain.size
            else None,
            margin=f"5 points or more above ICL, means over tasks and seeds, and above in {enough} tasks or more",
            holds=bool(gain.size) and gain.mean() >= 5 and better >= enough,
        ),
        claim(
            "Filters make the gain larger",
            paper="ablations (no figure read)",
            measured=said(SINGLE, RAW),
            margin="above no self-consistency and above no filters of form, each by more than the deviation of the "
            "paired differences over seeds",
            holds=clear(leads[SINGLE]) and clear(leads[RAW]),
        ),
        claim(
            "Neither the demonstrations alone nor inputs of another task do as much",
            paper="not in what was read",
            measured=said(DEMOS, OTHER),
            margin="above both, likewise",
            holds=clear(leads[DEMOS]) and clear(leads[OTHER]),
        ),
    )


def report(found: Found) -> Report:
    """Right outputs by task, what the pairs are worth, rates, and the claims."""
    cfg, names = found.cfg, [named(task) for task in found.cfg.tasks]
    kinds = {"all": names, "generation": [named(task) for task in cfg.tasks if not task.labels],
             "classification": [named(task) for task in cfg.tasks if task.labels]}  # fmt: skip

    def by_task(arm: str, column: str, what: str = "accuracy") -> list[float]:
        own = [found.right(arm, task, what) for task in kinds.get(column, [column])]
        return np.mean(own, axis=0).tolist() if own and all(own) else []

    def of_pairs(arm: str, column: str) -> list[float]:
        what, places = column.split(", ")[0], [k for k, task in enumerate(cfg.tasks) if
                                               column.endswith("labels") == bool(task.labels)]  # fmt: skip
        own = [found.pairs(arm, {"pairs": "size"}.get(what, what), place) for place in places]
        scale = 0.01 if what == "pairs" else 1.0
        return [scale * float(np.mean(part)) for part in zip(*own, strict=False)] if own and all(own) else []

    columns = [f"{what}, {kind}" for kind in ("words", "labels") for what in ("pairs", "right", "fits")]
    tried = tuple(
        (arm, *(own.get(rate) for rate in cfg.rates), found.rate(arm), "yes" if found.rate(arm) in
         (min(cfg.rates), max(cfg.rates)) else "") for arm, own in found.tried.items()
    )  # fmt: skip
    return EXPERIMENT.report(
        judged(found),
        link="https://arxiv.org/abs/2407.12874",
        arms=by_seed(found.arms, ICL),
        tables=(
            table_of_means("Right outputs", [*ASKED, *cfg.arms, COMMON], [*kinds, *names], by_task),
            table_of_means("Words of outputs at their places", cfg.arms, [*kinds, *names],
                           lambda arm, column: by_task(arm, column, "letters")),
            table_of_means("What is learned", [arm for arm in cfg.arms if arm != DEMOS], columns, of_pairs,
                           note="Of tasks whose outputs are words, and labels: pairs of a task; % of them with the true "
                           "output, and % with an input of the task's kind. Mean ± standard deviation over seeds."),
            Table("Rates: right outputs of the tasks for choices",
                  ("arm", *(f"{rate:g}" for rate in cfg.rates), "chosen", "at an end"), tried,
                  ("", *[".1%"] * len(cfg.rates), "g", ""), f"First seed. ICL: {dev_shown(found)}."),
        ),
        baseline=ICL,
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )  # fmt: skip


def dev_shown(found: Found) -> str:
    value = found.dev.value if found.dev is not None else None
    return ", ".join(f"{own:.1%}" for own in value[ICL]) if value else "not asked"


NOTES = (
    "A decoder of 0.16M parameters that learned 21 of 31 rules stands for Vicuna: it has read prompts for answers and "
    "prompts for inputs of the tasks that it knows, and finds the rules held out by their two parts.",
)

EXPERIMENT = Experiment(
    name="self_guide_synthetic_finetuning",
    title="SELF-GUIDE: fine-tuning on examples that a model writes itself",
    reference="Zhao et al., COLM 2024, arXiv 2407.12874",
    paper=93,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("self_guide_synthetic_finetuning")
