"""Plan-and-Solve prompting: a frozen model is asked to write a plan, and then to carry it out.

Paper    Wang et al., Plan-and-Solve Prompting: Improving Zero-Shot Chain-of-Thought Reasoning by Large Language Models,
         ACL 2023, arXiv 2305.04091 (dossier 092: the released code was read; figures are from memory).
Claim    "Let's think step by step" leaves out steps, calculates wrongly and misunderstands. A prompt that asks to devise
         a plan first and then to carry it out (PS) is better, and one that also asks to extract the variables with their
         numerals and to calculate intermediate results with care (PS+) better still: 70.4, 72.9 and 76.7 % over six
         sets of arithmetic, as good as eight demonstrations; no training.
Method   A prompt can only call up what a model has read. A small decoder is pre-trained once a seed on problems with
         solutions in five styles, equal in tokens: the answer alone, a chain, a plan and a chain, variables, a plan and
         a chain with results on the way, a program. Before three in four stands a sentence that asks for the style, in
         many wordings; half of the rows hold several problems in a row. It stands for davinci-003, and is frozen then.
         Two calls, greedy: (1) question and trigger, a wording that was never read: up to 100 tokens, to the end of the
         paragraph; (2) all of that and "therefore the answer is", again in an unread wording; the answer is the first
         number, or yes or no, or the text. One extractor for all.
         Triggers  direct, CoT, PS, PS+; program, executed and not asked again; CoT behind two demonstrations without any
                   trigger; no trigger at all
         Controls  PS that goes on from the plan that it wrote for another problem of as many steps; self-consistency of
                   CoT with as many samples as PS+ has tokens for; ten samples of every trigger at temperature 0.7
         Problems  who has how many more, less or times than whom, of 1 to 3 steps, half of them told out of order, of
                   programs that are in no training text; of 4 and 5 steps; with two people about whom nothing is asked,
                   where one was the most; SVAMP's own texts, unknown words as one token; coins, last letters
         The first error of a wrong chain is found by a program: a step left out, a wrong result, or neither.
Run      stagejax run plan_and_solve_prompting                   laptop: ? minutes
         stagejax run plan_and_solve_prompting --preset smoke    seconds
         stagejax plan plan_and_solve_prompting --preset pod --mesh data=16,fsdp=16
Holds if in means over seeds, of right answers over the three sets of comparisons: (1) PS+ is above PS, PS above CoT, and
         PS+ 3 points or more above CoT; (2) PS leaves out steps in fewer answers than CoT, and PS+ calculates wrongly in
         fewer than PS; (3) PS+ is above self-consistency of CoT at as many tokens: else its effect is explained by
         length; (4) PS is above PS with another problem's plan, which the effect of a plan has to be.
Ours     Not run yet.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Experiment, Precision, Stage
from stagejax.data import Dataset, Mixture, Source
from stagejax.data.common_words import CommonWords
from stagejax.data.comparisons import Comparisons
from stagejax.data.cues import CAREFUL, CHAIN, CONCLUSION, CUES, DIRECT, PLANNED, PROGRAM
from stagejax.data.outside import Outside
from stagejax.data.packed_answers import PackedAnswers
from stagejax.data.pipeline import Data
from stagejax.data.solution_errors import CALCULATION, ERRORS, MISSING, RIGHT, error_of
from stagejax.data.solution_styles import (
    ANSWER,
    CODE,
    END,
    GIVEN,
    PLAN,
    QUESTION,
    STYLES,
    Styled,
    asked,
    concluded,
    solution,
    vocabulary,
)
from stagejax.data.straight_line import answer_of
from stagejax.data.symbolic import Symbolic
from stagejax.data.together import Together
from stagejax.decode.vote import majority_vote
from stagejax.inference import Frozen
from stagejax.inference.two_calls import Calling, replies
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means

COT, PS, PLUS, POT, ONLY = "CoT", "PS", "PS+", "program", "direct"
SHOTS, BARE, FOREIGN = "CoT, 2 demonstrations", "no trigger", "PS, another problem's plan"
#: The style that each arm's trigger asks for; None: it has no trigger.
TRIGGERS = {ONLY: DIRECT, COT: CHAIN, PS: PLANNED, PLUS: CAREFUL, POT: PROGRAM, SHOTS: None, BARE: None, FOREIGN: PLANNED}
HELD, LONG, IRRELEVANT, REAL, COINS, LETTERS = "held out", "longer", "irrelevant", "SVAMP", "coins", "letters"
JUDGED = (HELD, LONG, IRRELEVANT)
VOTED = (COT, PS, PLUS, POT, SHOTS)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    largest: int = 20  # of all numbers
    size: int = 6000  # problems to pre-train on; and a tenth of it of coins and of letters
    batch: int = 16
    length: int = 160  # tokens of a row
    steps: int = 800
    rate: float = 5e-3
    uncued: float = 0.25  # share of texts without a trigger
    tests: tuple[int, int, int] = (100, 60, 200)  # problems of each set, symbolic ones of each kind, of SVAMP
    real: Source | None = field(default_factory=lambda: Dataset("svamp", "test"))
    prompt: tuple[int, int] = (80, 208)  # tokens of a prompt without demonstrations; of any
    limit: tuple[int, int] = (100, 6)  # tokens of a solution, and of an answer
    at_once: int = 200  # prompts
    samples: int = 10
    temperature: float = 0.7
    seeds: tuple[int, ...] = (0, 1, 2)
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None

    @property
    def words(self) -> CommonWords:
        return vocabulary(self.largest)

    def calling(self, arm: str) -> tuple[Calling, Calling]:
        """The two calls."""
        first = self.prompt[arm == SHOTS]
        return Calling(first, self.limit[0], self.at_once), Calling(self.prompt[1], self.limit[1], self.at_once)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "pod":
        large = llama(vocab=256, embed=4096, layers=32, heads=32, mlp=11_008, length=2048, scan=True, remat="full")
        sizes = {"largest": 99, "size": 200_000, "batch": 1024, "length": 2048, "steps": 2000, "rate": 3e-4}
        tests = {"tests": (1000, 500, 1000), "at_once": 512, "seeds": (0,), "save_every": 500}
        net = replace(large, vocab=vocabulary(99).vocab)
        return Config(net, **sizes, **tests, precision=Precision(compute="bfloat16"))
    net = llama(vocab=vocabulary(20).vocab, embed=64, layers=3, heads=4, mlp=192, length=160, tied=True, init_std=0.05)
    if name == "smoke":
        tiny = replace(net, embed=16, layers=1, heads=2, mlp=32)
        sizes = {"size": 40, "batch": 8, "steps": 20, "tests": (6, 4, 0), "real": None, "at_once": 24, "samples": 2}
        return Config(tiny, **sizes, rate=1e-2, seeds=(0,))
    return Config(net)


# --- pre-training ---


def problems(cfg: Config) -> Together:
    """What is read: comparisons, coins and letters."""
    few = cfg.size // 10
    return Together((Comparisons(size=cfg.size, largest=cfg.largest, seed=11), Symbolic(size=few, seed=11),
                     Symbolic(size=few, coins=False, seed=11)))  # fmt: skip


def texts(cfg: Config, style: str, joined: bool, seed: int = 0) -> Data:
    """Texts in one style, apart or several in a row; a program solves comparisons alone. Questions are not learned."""
    source = problems(cfg).parts[0] if style == PROGRAM else problems(cfg)
    own = Styled(source, style, cfg.uncued, seed=11)
    how = {"tokenizer": cfg.words, "batch": cfg.batch, "length": cfg.length, "fields": ("text",), "seed": seed}
    begin, end = (cfg.words.train(iter(())).encode([word])[0].item() for word in (QUESTION, ANSWER))
    return Outside(of=PackedAnswers(source=own, joined=joined, **how), begin=begin, end=end, batch=cfg.batch)


def corpus(cfg: Config, seed: int) -> Mixture:
    """As many rows of each style."""
    parts = tuple(texts(cfg, style, joined, seed) for style in STYLES for joined in (False, True))
    return Mixture(parts=parts, weights=(1,) * len(parts))


def pretraining(cfg: Config, seed: int) -> Stage:
    how = {"precision": cfg.precision, "save_every": cfg.save_every, "seed": seed}
    optimizer = adamw(cfg.rate, warmup=0.05, decay="linear", clip=1.0)
    return Stage(f"{seed}/model", cfg.net, causal_lm, optimizer, corpus(cfg, seed), cfg.steps, **how)


# --- questions ---


@functools.cache
def questions(cfg: Config) -> tuple[dict[str, Any], ...]:
    """All test problems with their "set", one after the other."""
    many, few, real = cfg.tests
    told = {"split": "test", "largest": cfg.largest, "size": many}
    sources: dict[str, Source] = {
        HELD: Comparisons(**told, seed=101),
        LONG: Comparisons(**told, steps=(4, 5), seed=102),
        IRRELEVANT: Comparisons(**told, steps=(2, 3), others=(2,), seed=103),
        COINS: Symbolic("test", few, people=(4,), seed=104),
        LETTERS: Symbolic("test", few, coins=False, people=(4,), seed=105),
    }
    made = [{**source[i], "set": name} for name, source in sources.items() for i in range(len(source))]
    if cfg.real is not None:
        made += [read(cfg, cfg.real[i]) for i in range(min(real, len(cfg.real)))]
    return tuple(made)


def read(cfg: Config, record: Any) -> dict[str, Any]:
    """A problem of SVAMP: its last words, as many as there is room for."""
    words = re.findall(r"\d+|[a-z]+|[.,?]", record["question"].lower())[-(cfg.prompt[0] - 30) :]
    answer = float(record["answer"])
    return {"question": " ".join(words), "answer": f"{answer:g}", "links": [], "length": 1, "set": REAL}


def demonstrations(cfg: Config, place: int, own: dict[str, Any]) -> str:
    """Two solved problems of the training text of the question's kind, without triggers, as a chain each."""
    kind = {COINS: 1, LETTERS: 2}.get(own["set"], 0)
    source = problems(cfg).parts[kind] if kind else Comparisons(size=40, steps=(1, 2), largest=cfg.largest, seed=12)
    shown = [source[(2 * place + k) % len(source)] for k in range(2)]
    said = [concluded(f"{asked(one['question'])} {solution(one, CHAIN)}", CONCLUSION.known[0], one["answer"]) for one in shown]
    return " ".join(said) + " "


def prompts(cfg: Config, arm: str, plans: Any = None) -> list[str]:
    """What each test problem is asked with, each in the next unread wording; behind `plans`, if there are any."""
    style, made = TRIGGERS[arm], []
    for place, own in enumerate(questions(cfg)):
        cue = "" if style is None else CUES[style].unseen[place % len(CUES[style].unseen)]
        before = demonstrations(cfg, place, own) if arm == SHOTS else ""
        made.append(f"{before}{asked(own['question'], cue)} {plans[place] if plans else ''}".strip())
    return made


def others_plans(cfg: Config, said: list[str]) -> list[str]:
    """For each problem the plan that was written for the next one of its set with as many steps."""
    kinds = [(own["set"], own["length"]) for own in questions(cfg)]
    alike: dict[Any, list[int]] = {}
    for place, kind in enumerate(kinds):
        alike.setdefault(kind, []).append(place)
    found = [""] * len(kinds)
    for places in alike.values():
        for place, other in zip(places, [*places[1:], places[0]], strict=True):
            plan = said[other].rpartition(" . ")[0]
            found[place] = f"{plan} ." if plan else ""
    return found


# --- the two calls ---


def prompted(cfg: Config, net: Any, arm: str, n: int, temperature: float, seed: int, *planned: Any) -> dict[str, Any]:
    """What a model says in both calls: "said", "answer", "tokens" drawn and "read", n of each problem side by side."""
    frozen, code = Frozen.of(net), cfg.words.train(iter(()))
    plans = others_plans(cfg, planned[0].value["said"]) if planned else None
    first, second = cfg.calling(arm)
    put = [text for text in prompts(cfg, arm, plans) for _ in range(n)]
    found = replies(frozen, code, put, first, END, temperature, seed)
    ends = CONCLUSION.unseen
    again = [concluded(f"{text} {own}".strip(), ends[place // n % len(ends)])
             for place, (text, own) in enumerate(zip(put, found.texts, strict=True))]  # fmt: skip
    if arm == POT:
        answers, tokens = [executed(own) for own in found.texts], found.tokens
    else:
        asked_again = replies(frozen, code, again, second, END)
        kinds = [own["set"] for own in questions(cfg) for _ in range(n)]
        answers = [extracted(text, kind) for text, kind in zip(asked_again.texts, kinds, strict=True)]
        tokens = [a + b for a, b in zip(found.tokens, asked_again.tokens, strict=True)]
    given = plans or [""] * len(questions(cfg))
    said = [f"{given[place // n]} {own}".strip() for place, own in enumerate(found.texts)]
    return {"said": said, "answer": answers, "tokens": tokens, "read": [len(text.split()) for text in put]}


def extracted(text: str, kind: str) -> str | None:
    """The first number of an answer; of coins the last yes or no; of letters the text.

    >>> extracted("7 | 3", HELD), extracted("no", COINS), extracted("a b", LETTERS), extracted("ann", HELD)
    ('7', 'no', 'a b', None)
    """
    if kind == LETTERS:
        return text.strip()
    found = re.findall(r"\b(?:yes|no)\b" if kind == COINS else r"\d+", text)
    return found[-1 if kind == COINS else 0] if found else None


def executed(text: str) -> str | None:
    """What the program of a solution answers.

    >>> executed("program ben = 7 ; answer = ben + 15"), executed("ben 7")
    ('22', None)
    """
    value = answer_of(text.removeprefix(CODE)) if text.startswith(CODE) else None
    return None if value is None else f"{float(value):g}"


def drawn(value: Any) -> int:
    return int(sum(value["tokens"]))


@functools.cache
def call_flops(cfg: Config, arm: str) -> float:
    """Of both calls, as if all tokens that they may have were drawn."""
    return sum(call.flops(cfg.net) for call in cfg.calling(arm)[: 1 if arm == POT else 2])


def pipeline(run: Any, cfg: Config) -> Report:
    """A model a seed, and what it says under every trigger: likeliest words, then samples."""
    found = Found(cfg)
    for seed in cfg.seeds:
        net = run.train(pretraining(cfg, seed))
        for arm in TRIGGERS:
            found.ask(run, net, arm, seed)
    return report(found)
