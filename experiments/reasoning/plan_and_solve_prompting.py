"""Plan-and-Solve prompting: a frozen model is asked to write a plan, and then to carry it out.

Paper    Wang et al., Plan-and-Solve Prompting: Improving Zero-Shot Chain-of-Thought Reasoning by Large Language
         Models, ACL 2023, arXiv 2305.04091 (dossier 092: the released code was read; figures are from memory).
Claim    "Let's think step by step" leaves out steps, calculates wrongly and misunderstands. A prompt that asks first
         for a plan and then to carry it out (PS) is better, and one that also asks to extract the variables with their
         numerals and to calculate intermediate results with care (PS+) better still: 70.4, 72.9 and 76.7 % over six
         sets of arithmetic, as good as eight demonstrations; no training.
Method   A prompt can only call up what a model has read. A small decoder is pre-trained once a seed on problems with
         solutions in five styles, in equal rows: the answer alone, a chain, a plan and a chain, variables, a plan
         and a chain with results on the way, a program. Before three in four stands a sentence that asks for the style,
         in many wordings; one row in six holds several. Bare sums are read too. It stands for davinci-003, frozen.
         Two calls, greedy: (1) question and trigger, a wording that was never read: up to 100 tokens, to the end of the
         paragraph; (2) all of that and "therefore the answer is", again in an unread wording; the answer is the first
         number. A program's answer is what it gives when it is executed.
         Triggers  direct, CoT, PS, PS+; program, executed and not asked again; CoT behind two demonstrations, without
                   any trigger; no trigger at all
         Controls  PS that goes on from the plan that it wrote for another problem of as many steps; self-consistency
                   of CoT with as many samples as PS+ has tokens for, or more, at temperature 0.7; votes of five
         Problems  a number that changes 1 to 4 times, half of them with an irrelevant number, of programs that are in
                   no training text; that changes 5 or 6 times; with two irrelevant numbers, where one was the most;
                   SVAMP's own texts, unknown words as one token
         The first error of a wrong chain is found by a program: a step left out, a wrong result, or neither.
Run      stagejax run plan_and_solve_prompting                   laptop: 26 minutes, beside other jobs
         stagejax run plan_and_solve_prompting --preset smoke    a minute, beside other jobs
         stagejax plan plan_and_solve_prompting --preset pod --mesh data=16,fsdp=16
Holds if in means over seeds, of right answers over the three generated sets: (1) PS+ is above PS, PS above CoT,
         and PS+ 3 points or more above CoT; (2) PS leaves out steps in fewer answers than CoT, and PS+ calculates
         wrongly in fewer than PS; (3) PS+ is above self-consistency of CoT at as many tokens: else its effect is
         explained by length; (4) PS is above PS with another problem's plan, as it is if the plan is what helps.
Ours     Three seeds; right answers in % over the three sets, ± deviation: CoT 43.8 ± 9.2, PS 38.9 ± 6.5, PS+ 24.7
         ± 1.6; direct 6.0 ± 0.9, program 57.5 ± 3.7, CoT behind two demonstrations 12.6 ± 3.2, no trigger 18.3 ± 6.5;
         the most frequent answer 4.2. (1) and (2) do not hold: PS+ less CoT is -19.1 ± 8.2 points; CoT leaves out steps
         in 16.3 %, PS in 19.6; results are wrong in 26.3 by PS, in 40.5 by PS+. (3) does not hold: CoT's vote of 3 is
         13.9 points above PS+. (4) holds, by +0.9 ± 0.4 points, next to nothing: behind another problem's plan the
         chain still calculates from the question, so a plan cannot help here. In equal rows PS+ was read in 2378 texts
         of 182k tokens, CoT in 4404 of 204k, which may be why it is worse. Triggers that were never read call up their
         style in every reply. Without one the model writes one itself, and demonstrations bring a chain in 38 % alone.
         Longer problems are 8 to 15 % right, SVAMP's own texts 1 to 5: no arm solves them.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Experiment, Precision, Stage
from stagejax.data import Dataset, Mixture, Source
from stagejax.data.language.outside import Outside
from stagejax.data.language.packed_answers import PackedAnswers
from stagejax.data.pipeline import Data
from stagejax.data.reasoning import solution_styles as styles
from stagejax.data.reasoning.cues import CAREFUL, CHAIN, CONCLUSION, CUES, DIRECT, PLANNED, PROGRAM
from stagejax.data.reasoning.planned_problems import PlannedProblems
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.solution_errors import CALCULATION, ERRORS, MISSING, error_of
from stagejax.data.reasoning.sums import Sums
from stagejax.data.reasoning.written import BRIEF
from stagejax.data.selection.amounts import amount
from stagejax.data.together import Together
from stagejax.data.vocabulary.common_words import CommonWords
from stagejax.decode import extract
from stagejax.decode.vote import majority_vote
from stagejax.inference import Frozen
from stagejax.inference.reasoning.two_calls import Calling, replies
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means

COT, PS, PLUS, POT, ONLY = "CoT", "PS", "PS+", "program", "direct"
SHOTS, BARE, FOREIGN = "CoT, 2 demonstrations", "no trigger", "PS, another problem's plan"
#: The style that each arm's trigger asks for; None: it has no trigger.
TRIGGERS = {ONLY: DIRECT, COT: CHAIN, PS: PLANNED, PLUS: CAREFUL, POT: PROGRAM, SHOTS: None, BARE: None,
            FOREIGN: PLANNED}  # fmt: skip
HELD, LONG, IRRELEVANT, REAL = "held out", "longer", "irrelevant", "SVAMP"
JUDGED = (HELD, LONG, IRRELEVANT)
VOTED = (COT, PLUS)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    largest: int = 30  # of all numbers
    known: tuple[int, ...] = (1, 2, 3, 4)  # steps of problems that are read
    longer: tuple[int, ...] = (5, 6)  # of others that are asked
    size: int = 6000  # problems to pre-train on
    batch: int = 8
    length: int = 144  # tokens of a row
    steps: int = 1200
    rate: float = 5e-3
    uncued: float = 0.25  # share of texts without a trigger
    tests: tuple[int, int] = (96, 100)  # problems of each set; of SVAMP
    real: Source | None = field(default_factory=lambda: Dataset("svamp", "test"))
    prompt: tuple[int, int] = (72, 224)  # tokens of a prompt without demonstrations; of any
    limit: tuple[int, int] = (100, 6)  # tokens of a solution, and of an answer
    at_once: int = 194  # prompts: half of the problems
    samples: int = 5
    temperature: float = 0.7
    seeds: tuple[int, ...] = (0, 1, 2)
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None

    @property
    def words(self) -> CommonWords:
        return styles.vocabulary(self.largest)

    def calling(self, arm: str) -> tuple[Calling, Calling]:
        """The two calls."""
        first = self.prompt[arm in (SHOTS, FOREIGN)]
        return Calling(first, self.limit[0], self.at_once), Calling(self.prompt[1], self.limit[1], self.at_once)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "pod":
        large = llama(vocab=256, embed=4096, layers=32, heads=32, mlp=11_008, length=2048, scan=True, remat="full")
        sizes = {"largest": 99, "size": 2000, "batch": 1024, "length": 2048, "steps": 2000, "rate": 3e-4}
        tests = {"tests": (200, 1000), "samples": 10, "at_once": 512, "seeds": (0,), "save_every": 500}
        net = replace(large, vocab=styles.vocabulary(99).vocab)
        return Config(net, **sizes, **tests, precision=Precision(compute="bfloat16"))
    net = llama(vocab=styles.vocabulary(30).vocab, embed=64, layers=2, heads=4, mlp=192, length=144)
    if name == "smoke":
        tiny = replace(net, embed=16, layers=1, heads=2, mlp=32)
        sizes = {"size": 40, "batch": 4, "steps": 30, "tests": (8, 0), "real": None, "at_once": 20, "samples": 2}
        return Config(tiny, **sizes, rate=1e-2, seeds=(0,))
    return Config(net)


# --- pre-training ---


def told(cfg: Config, size: int, steps: tuple[int, ...], asides: int, split: str = "train", seed: int = 11) -> Source:
    """As many problems of each number of steps, with so many irrelevant numbers."""
    how = {"split": split, "size": size // len(steps), "largest": cfg.largest, "asides": asides, "wording": BRIEF}
    return PlannedProblems(Together(tuple(Problems(steps=(own,), seed=seed, **how) for own in steps)))


def problems(cfg: Config) -> Source:
    """What is read: half with an irrelevant number."""
    return Together(tuple(told(cfg, cfg.size // 2, cfg.known, asides, seed=11 + asides) for asides in (0, 1)))


def texts(cfg: Config, style: str, joined: bool, seed: int = 0) -> Data:
    """Texts in one style, apart or several in a row. Questions are read, and not learned."""
    begin, end = (cfg.words.train(iter(())).encode([word])[0].item() for word in (styles.QUESTION, styles.ANSWER))
    own = rows(cfg, styles.Styled(problems(cfg), style, cfg.uncued, seed=11), joined, seed)
    return Outside(data=own, begin=begin, end=end)


def rows(cfg: Config, source: Source, joined: bool, seed: int) -> PackedAnswers:
    how = {"tokenizer": cfg.words, "batch": cfg.batch, "length": cfg.length, "fields": ("text",), "seed": seed}
    return PackedAnswers(source=source, joined=joined, **how)


def corpus(cfg: Config, seed: int) -> Mixture:
    """As many rows of each style, and of sums."""
    sums = Sums(size=cfg.size // 4, largest=cfg.largest, each=20, seed=11)
    parts = [texts(cfg, style, joined, seed) for style in styles.STYLES for joined in (False, True)]
    return Mixture(parts=(*parts, rows(cfg, sums, False, seed)), weights=(*[5, 1] * len(styles.STYLES), 6))


def pretraining(cfg: Config, seed: int) -> Stage:
    how = {"precision": cfg.precision, "save_every": cfg.save_every, "seed": seed}
    optimizer = adamw(cfg.rate, warmup=0.05, decay="linear", clip=1.0)
    return Stage(f"{seed}/model", cfg.net, causal_lm, optimizer, corpus(cfg, seed), cfg.steps, **how)


# --- questions ---


@functools.cache
def questions(cfg: Config) -> tuple[dict[str, Any], ...]:
    """All test problems with their "set", one after the other."""
    many, real = cfg.tests
    half, others = many // 2, cfg.known[1:]
    sources: dict[str, Source] = {
        HELD: Together(tuple(told(cfg, half, cfg.known, own, "test", 101 + own) for own in (0, 1))),
        LONG: Together(tuple(told(cfg, half, cfg.longer, own, "test", 103 + own) for own in (0, 1))),
        IRRELEVANT: told(cfg, many, others, 2, "test", 105),
    }
    made = [{**source[i], "set": name} for name, source in sources.items() for i in range(len(source))]
    if cfg.real is not None:
        made += [read(cfg, cfg.real[i]) for i in range(min(real, len(cfg.real)))]
    return tuple(made)


def generated(cfg: Config) -> int:
    """How many there are of the three generated sets."""
    return sum(own["set"] in JUDGED for own in questions(cfg))


def read(cfg: Config, record: Any) -> dict[str, Any]:
    """A problem of SVAMP: its last words, as many as there is room for."""
    words = re.findall(r"\d+|[a-z]+|[.,?]", record["question"].lower())[-(cfg.prompt[0] - 30) :]
    answer = float(record["answer"])
    return {"question": " ".join(words), "answer": f"{answer:g}", "changes": [], "steps": [], "set": REAL}


def demonstrations(cfg: Config, place: int) -> str:
    """Two solved problems of the training programs, without triggers, as a chain each."""
    source = told(cfg, 40, cfg.known[:2], 0, seed=12)
    found = []
    for one in (source[(2 * place + k) % len(source)] for k in range(2)):
        said = f"{styles.asked(one['question'])} {styles.solution(one, CHAIN)}"
        found.append(styles.concluded(said, CONCLUSION.known[0], one["answer"]))
    return " ".join(found)


def prompts(cfg: Config, arm: str, plans: Any = None) -> list[str]:
    """What each test problem is asked with, each in the next unread wording; behind `plans`, if there are any."""
    style, made = TRIGGERS[arm], []
    for place, own in enumerate(questions(cfg)):
        cue = "" if style is None else CUES[style].unseen[place % len(CUES[style].unseen)]
        before = demonstrations(cfg, place) if arm == SHOTS else ""
        made.append(f"{before} {styles.asked(own['question'], cue)} {plans[place] if plans else ''}".strip())
    return made


# --- the two calls ---


def prompted(cfg: Config, net: Any, arm: str, n: int, temperature: float, seed: int, *planned: Any) -> dict[str, Any]:
    """What a model says in both calls: "said", "answer" and "tokens" drawn, n of each problem side by side.

    Several are drawn of the generated problems alone, which come first.
    """
    frozen, code = Frozen.of(net), cfg.words.train(iter(()))
    kinds = [(own["set"], len(own["steps"])) for own in questions(cfg)]
    plans = styles.plans_of_others(planned[0].value["said"], kinds) if planned else None
    first, second = cfg.calling(arm)
    count = len(questions(cfg)) if n == 1 else generated(cfg)
    put = [text for text in prompts(cfg, arm, plans)[:count] for _ in range(n)]
    found = replies(frozen, code, put, first, styles.END, temperature, seed)
    ends = CONCLUSION.unseen
    again = [styles.concluded(f"{text} {own}".strip(), ends[place // n % len(ends)])
             for place, (text, own) in enumerate(zip(put, found.texts, strict=True))]  # fmt: skip
    if arm == POT:
        answers, tokens = [styles.executed(own) for own in found.texts], found.tokens
    else:
        asked_again = replies(frozen, code, again, second, styles.END)
        answers = [extract.number(text) for text in asked_again.texts]
        tokens = [a + b for a, b in zip(found.tokens, asked_again.tokens, strict=True)]
    said = [f"{plans[place] if plans else ''} {own}".strip() for place, own in enumerate(found.texts)]
    return {"said": said, "answer": answers, "tokens": tokens}


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


# --- measures ---


@dataclass(frozen=True)
class Found:
    """What was trained and said: {arm: {seed: ...}}."""

    cfg: Config
    nets: dict[int, Any] = field(default_factory=dict)
    said: dict[str, dict[int, Any]] = field(default_factory=dict)
    samples: dict[str, dict[int, Any]] = field(default_factory=dict)

    def ask(self, run: Any, net: Any, arm: str, seed: int) -> None:
        """The likeliest words under a trigger, and samples."""
        cfg, name = self.cfg, f"{seed}/{slug(arm.replace('+', ' plus'))}"
        planned = (self.said[PS][seed],) if arm == FOREIGN else ()
        cost, self.nets[seed] = len(questions(cfg)) * call_flops(cfg, arm), net
        made = run.make(name, prompted, cfg, net, arm, 1, 0.0, seed, *planned, flops=cost, sampled_tokens=drawn)
        self.said.setdefault(arm, {})[seed] = made
        if arm in VOTED:
            n = cfg.samples
            more = {"flops": n * generated(cfg) * call_flops(cfg, arm), "sampled_tokens": drawn}
            made = run.make(f"{name}/samples", prompted, cfg, net, arm, n, cfg.temperature, seed, **more)
            self.samples.setdefault(arm, {})[seed] = made

    def right(self, arm: str, seed: int, votes: int = 0) -> np.ndarray:
        """Of every problem whether it is answered right: greedily, or by a vote of so many samples."""
        wanted = [own["answer"] for own in questions(self.cfg)]
        if not votes:
            return np.array([a == b for a, b in zip(self.said[arm][seed].value["answer"], wanted, strict=True)])
        answers, n = self.samples[arm][seed].value["answer"], self.cfg.samples
        elected = [majority_vote(answers[at : at + votes]).answer for at in range(0, len(answers), n)]
        return np.array([a == b for a, b in zip(elected, wanted, strict=False)])

    def seeds(self, arm: str) -> list[int]:
        """Those of which answers are there: none in planning."""
        return [seed for seed, made in self.said.get(arm, {}).items() if made.value]

    def accuracy(self, arm: str, name: str = "", votes: int = 0) -> list[float]:
        """Right answers in % to a set, or the mean of the three sets that claims speak of; one a seed."""
        sets = [own["set"] for own in questions(self.cfg)]
        parts = [[at for at, own in enumerate(sets) if own == one] for one in ((name,) if name else JUDGED)]
        return [100 * float(np.mean([self.right(arm, seed, votes)[own].mean() for own in parts]))
                for seed in self.seeds(arm)]  # fmt: skip

    def by_steps(self, arm: str, steps: int) -> list[float]:
        mine = np.array([own["set"] in JUDGED and len(own["steps"]) == steps for own in questions(self.cfg)])
        return [100 * float(self.right(arm, seed)[mine].mean()) for seed in self.seeds(arm)]

    def judged(self, what: str, arm: str, seed: int, samples: bool = False) -> list[Any]:
        """A column of what was said to the problems of the three sets."""
        made, n = (self.samples, self.cfg.samples) if samples else (self.said, 1)
        own = made[arm][seed].value[what]
        return [own[n * at + k] for at, one in enumerate(questions(self.cfg)) if one["set"] in JUDGED for k in range(n)]

    def tokens(self, arm: str, votes: int = 0) -> list[float]:
        """Tokens drawn for a problem, of so many samples or greedily."""
        return [max(votes, 1) * float(np.mean(self.judged("tokens", arm, seed, votes > 0))) for seed in self.seeds(arm)]

    def labels(self, arm: str, seed: int) -> list[str]:
        """The first error of each chain."""
        changes = [own["changes"] for own in questions(self.cfg) if own["set"] in JUDGED]
        said, answers = (self.judged(what, arm, seed) for what in ("said", "answer"))
        return [error_of(styles.chain_of(text), answer, own)
                for text, answer, own in zip(said, answers, changes, strict=True)]  # fmt: skip

    def errors(self, arm: str, kind: str) -> list[float]:
        """Answers whose chain has a kind of error first, in % of all."""
        return [100 * float(np.mean([own == kind for own in self.labels(arm, seed)])) for seed in self.seeds(arm)]

    def form(self, arm: str, style: str) -> list[float]:
        """Replies that are written in a style, in %."""
        return [100 * float(np.mean([styles.style_of(own) == style for own in self.judged("said", arm, seed)]))
                for seed in self.seeds(arm)]  # fmt: skip

    def apart(self, more: str, less: str, votes: tuple[int, int] = (0, 0)) -> list[float]:
        """Points of accuracy between two arms, paired by seed."""
        both = (self.accuracy(arm, "", count) for arm, count in zip((more, less), votes, strict=True))
        return [a - b for a, b in zip(*both, strict=True)]

    def equal(self) -> int:
        """Samples of CoT that take as many tokens as one answer of PS+, or more; at most all that there are."""
        most, one = mean(self.tokens(PLUS)), mean(self.tokens(COT, 1))
        return min(self.cfg.samples, int(np.ceil(most / one))) if one else 1

    def guess(self) -> float:
        """Right answers in % of whoever always says the most frequent answer of the pre-training problems."""
        source = problems(self.cfg)
        every = [source[i]["answer"] for i in range(min(2000, len(source)))]
        best = max(set(every), key=every.count)
        return 100 * float(np.mean([one["answer"] == best for one in questions(self.cfg) if one["set"] in JUDGED]))


# --- report ---


def report(found: Found) -> Report:
    """Answers, votes, errors and forms under all triggers, and the claims."""
    cfg, known = found.cfg, bool(found.seeds(COT))
    n = found.equal() if known else 1
    plan, more, both = found.apart(PS, COT), found.apart(PLUS, PS), found.apart(PLUS, COT)
    voted, foreign = found.apart(PLUS, COT, (0, n)) if known else [], found.apart(PS, FOREIGN)
    missing = [found.errors(arm, MISSING) for arm in (COT, PS)]
    wrong = [found.errors(arm, CALCULATION) for arm in (PS, PLUS)]
    points = "right answers over three sets, greedy, means over seeds"

    def said(text: str, *values: list[float], form: str = "+.1f") -> str | None:
        return text.format(*(shown(own, form) for own in values)) if known else None

    length = ": effect explained by length" if mean(both) > 0 >= mean(voted) else ""
    claims = (
        claim(
            "PS+ is better than PS, PS better than CoT", paper="76.7, 72.9 and 70.4 % over six sets (from memory)",
            measured=said("PS less CoT {}, PS+ less PS {}, PS+ less CoT {} points", plan, more, both),
            margin=f"above 0, above 0, and 3 points or more; {points}",
            holds=mean(plan) > 0 and mean(more) > 0 and mean(both) >= 3,
        ),
        claim(
            "PS leaves out fewer steps than CoT, PS+ calculates wrongly less often than PS",
            paper="both kinds fall (labels by hand; no figure read)",
            measured=said("steps left out {} and {} %, wrong results {} and {} %", *missing, *wrong, form=".1f"),
            margin="first errors in % of all answers, means over seeds",
            holds=mean(missing[1]) < mean(missing[0]) and mean(wrong[1]) < mean(wrong[0]),
        ),
        claim(
            "PS+ is better than self-consistency of CoT at as many tokens", paper="not reported",
            measured=said(f"{{}} points, {n} samples{length}", voted), margin=f"above 0; {points}",
            holds=mean(voted) > 0,
        ),
        claim(
            "It is the plan that helps: with another problem's plan PS is worse", paper="not reported",
            measured=said("own plan less another's {} points", foreign), margin=f"above 0; {points}",
            holds=mean(foreign) > 0,
        ),
    )  # fmt: skip
    arms = {arm: {seed: Arm("", (found.nets[seed],), charged=(own[seed],)) for seed in own}
            for arm, own in [(COT, found.said[COT]), *found.said.items()]}  # fmt: skip
    sets = [*JUDGED, *([REAL] if cfg.real else [])]
    chains, steps = (COT, PS, PLUS, FOREIGN), [str(k) for k in (*cfg.known, *cfg.longer)]
    counts = (1, n, cfg.samples) if n not in (1, cfg.samples) else (1, cfg.samples)
    votes = {f"{arm}, {k} sample{'s' * (k > 1)}": (arm, k) for arm in VOTED for k in counts}
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2305.04091",
        arms=by_seed(arms, COT),
        tables=(
            table_of_means("Right answers", [*TRIGGERS], ["mean of three", *sets], lambda arm, name:
                           found.accuracy(arm, "" if name not in sets else name) or [np.nan], scale=1.0,
                           note="Greedy, in %: mean ± standard deviation over seeds. Always the most frequent answer: "
                           f"{found.guess() if known else 0:.1f} % over the three."),
            table_of_means("Tokens a problem", [*TRIGGERS, *votes], ["drawn"], lambda arm, _:
                           (found.tokens(*votes[arm]) if arm in votes else found.tokens(arm)) or [np.nan], scale=1.0,
                           note="Both calls, of problems of the three sets."),
            table_of_means("Votes", [*votes], ["mean of three", *JUDGED], lambda row, name:
                           found.accuracy(votes[row][0], "" if name not in JUDGED else name, votes[row][1]) or [np.nan],
                           scale=1.0, note=f"Majority of samples at temperature {cfg.temperature:g}, in %."),
            table_of_means("First errors", chains, ERRORS, lambda arm, kind: found.errors(arm, kind) or [np.nan],
                           scale=1.0, note="In % of all answers to the three sets."),
            table_of_means("Right answers by number of steps", [*TRIGGERS], steps, lambda arm, k:
                           found.by_steps(arm, int(k)) or [np.nan], scale=1.0, note="In %, of the three sets."),
            table_of_means("What is written", [*TRIGGERS], [*styles.STYLES], lambda arm, style:
                           found.form(arm, style) or [np.nan], scale=1.0, note="Replies in each style, in %."),
            table_of_means("What goes with errors", ["variables", "plan"], ERRORS, lambda what, kind:
                           correlations(found, what, kind) or [np.nan], scale=1.0, digits=2,
                           note="Correlation over replies to CoT, PS and PS+, together."),
            Table("What was read", ("style", "texts", "times each", "tokens", "learned"),
                  tuple(was_read(cfg, own) for own in styles.STYLES) if known else (), ("", ",.0f", ".2f", "si", "si"),
                  "As many rows of each style: of longer texts fewer. Joined rows are counted as others."),
        ),
        baseline=COT,
        seeds=cfg.seeds,
        notes=NOTES,
    )  # fmt: skip


def correlations(found: Found, what: str, kind: str) -> list[float]:
    """Of having written down variables or a plan, and of an error; one a seed."""
    word, made = {"variables": styles.GIVEN, "plan": styles.PLAN}[what], []
    for seed in found.seeds(PLUS):
        arms = (COT, PS, PLUS)
        there = np.array([word in text.split() for arm in arms for text in found.judged("said", arm, seed)], float)
        error = np.array([own == kind for arm in arms for own in found.labels(arm, seed)], float)
        made.append(float(np.corrcoef(there, error)[0, 1]) if there.std() * error.std() > 0 else float("nan"))
    return made


def was_read(cfg: Config, style: str) -> tuple[Any, ...]:
    """A row of the table of what was read."""
    own = amount(texts(cfg, style, False), cfg.steps * cfg.batch / (len(styles.STYLES) + 1))
    return style, own.turns * cfg.size, own.turns, own.read, own.learned


NOTES = (
    "Try-outs on problems drawn with other seeds from the programs that are in no training text chose the setting, so "
    "that CoT solves 40 to 80 % of what is held out: comparisons between people, and 16 rows a batch, were at chance "
    "after 300 to 400 steps; with 8 rows, numbers up to 16 and 1500 steps CoT solved 96 %, with numbers up to 30 and "
    "1200 steps, as here, 75 %, PS 72 %, and both 6 to 8 % of longer ones. The rate, 5e-3, was not searched.",
    "The styles, and that a careful plan calculates by tens and ones, are ours; that one solves more is not put there. "
    "Questions are read and not learned. Seeds have their own initial values and orders of the same problems.",
    "Unread triggers and conclusions are new sequences of read words, taken in turn. The paper chooses a wording for "
    "each dataset; nothing is chosen here.",
    "Tokens of demonstrations, questions and triggers are not drawn, and not in the table of tokens. Self-consistency "
    "at equal tokens has the number of samples that is not below what PS+ draws. Votes are of 5 samples, of 10 in the "
    "paper, and of the generated sets alone.",
    "Without a trigger, or behind demonstrations, the model may write a trigger itself, as texts with one are three in "
    "four, and a program that it writes then is asked for its answer, not executed. This was seen in the first report; "
    "the tables of styles and of what goes with errors were mended then, and no answer was drawn anew.",
    "SVAMP: questions are cut to their last 42 words; words that no generated text has are one token, and so are "
    "numbers that are too large. Last letters, coins, options and commonsense, which the paper asks too, are not here.",
)

EXPERIMENT = Experiment(
    name="plan_and_solve_prompting",
    title="Plan-and-Solve: a trigger that asks for a plan, on a frozen model",
    reference="Wang et al., ACL 2023, arXiv 2305.04091",
    paper=92,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("plan_and_solve_prompting")
