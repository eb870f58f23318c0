"""Qwen2.5: a longer context, fine-tuning, then two stages of RL of different character, offline and online.

Paper    Qwen Team, Qwen2.5 Technical Report, 2024, arXiv 2412.15115 (dossier 051). It prints no ablation of its stages:
         the arms are ours. DPO's beta, the merging ratio and its masks, and GRPO's rate, KL and clip are not stated.
Claim    Offline RL (DPO on pairs that a program checked) teaches what a reward model judges poorly, and online RL (GRPO
         with a reward model) the rest, from queries in order of decreasing variance of their scores.
Method   Base on word problems with solutions of any manners, half of which disobey their constraint, and bytes of the
         standard library, 48 tokens -> two fifths of rows are bytes of 192 tokens, and the base of the rotary angles
         goes from 1e4 to 1e6 (beside it the same with 1e4) -> SFT on a few right answers, few of them constrained ->
         8 answers to each new query; right beside wrong ones; DPO (beta 0.1) by the Online Merging Optimizer: an update
         d of Adam becomes (1 - a) M(d) + a M(SFT - base), M random masks that keep half (beside it Adam, and a = 0) ->
         reward model (RM): Bradley-Terry on pairs of answers of SFT and DPO, labelled by a noisy judge of manners (the
         right person addressed, few empty words, nothing rude), a program in place of people, and on DPO's pairs ->
         GRPO: 8 answers to each of the RM's queries, reward r(x, y), advantages in the group, clipped ratios, KL (k3).
         The verifier (number and constraint) is blind to manners, the judge to numbers. From the same SFT model:
         SFT longer       as many FLOPs as both stages of RL and all that they draw
         offline only     DPO with as many drawn answers and learned rows;  online only  GRPO, as many, queries twice
         offline, online  the paper's; from that DPO model also in random and in rising order, and with random rewards
         Rates by development problems with the first seed: SFT and DPO by passing, GRPO by both axes; others at these.
Run      stagejax run qwen25_offline_online_rl    laptop: 18 minutes, two cores shared; --preset smoke: fewer steps
         stagejax plan qwen25_offline_online_rl --preset pod --mesh data=16,fsdp=16
Holds if on problems of unseen programs, means over seeds: (1) DPO passes 2 points or more above SFT, greedy; (2) drawn
         answers of GRPO win 55 % or more against DPO's by the judge, and greedy ones pass at most 1 point less; (3) the
         merging optimizer loses less on held-out bytes than Adam and passes at most 1 point less; (4) with decreasing
         variance manners reach half of what random order comes to with fewer answers. Ours: (5) with rewards at random
         GRPO wins 5 points less; (6) both stages win against SFT longer, and pass no less.
Ours     (1) does not hold: DPO (a = 0.01, the largest) passes -1.0 ± 7.6 points over SFT (51.2 %). (2) holds: GRPO wins
         62.7 ± 1.8 %, passing +3.1 ± 4.1. (3) does not: pulling costs 0.56 nats a byte, Adam 0.004. (4) does not: 458,
         324, increasing 337 answers. (5) holds, 49.8 ± 1.7 % by luck; (6) does, 53.8 ± 4.1 %, passing +14.8 ± 6.1. GRPO
         alone wins 75.1 %, passing 6.3 less than SFT. The RM orders 83 to 85 % of the judge's pairs, 46 to 55 % of
         right and wrong. On another CPU, with fewer rates, SFT passed 40.4 %; (1), +2.1 ± 1.8, and (2), -1.2 ± 7.1,
         turned. 1e-5, DPO's lowest rate, ties in two choices.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.data import SEP, CausalText, Mixture, Stdlib
from stagejax.data.prompts.answers import Answers, PromptedText
from stagejax.data.prompts.mannered import BESIDE, Mannered, mannered_rows, mannered_samples, mannered_tokenizer, passes
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.written import BRIEF
from stagejax.inference.likelihood import losses_by_place
from stagejax.inference.prompts import own_answers as own
from stagejax.inference.prompts.preferring import pair_rows
from stagejax.inference.reasoning.rollouts import drawn_answers, drawn_tokens
from stagejax.inference.reasoning.self_improvement import score_flops
from stagejax.models import Transformer, llama
from stagejax.models.text.reward_model import RewardModel, from_language_model
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.rewards.policy_gradient import ClippedPolicy, bradley_terry
from stagejax.objectives.rewards.preference import Preference
from stagejax.optimizer import adam, adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.curves import curve, flops_to_reach
from stagejax.search.peak import Peaks, kept_peak
from stagejax.steps.judged import ScoredStep, judged
from stagejax.steps.merging import merging_adam, merging_step
from stagejax.steps.rollout import Answers as Drawn
from stagejax.steps.rollout import with_flops

SFT, LONGER, OFFLINE, ONLINE, BOTH = "SFT", "SFT longer", "offline only", "online only", "offline, online"
RANDOM, UPWARD, NOISE, ADAM = "random order", "increasing variance", "rewards at random", "DPO, Adam"
#: Of the arms of online RL: the order of queries, and how much the reward model and noise count.
BY_MODEL, BY_LUCK = (1.0, 0.0), (0.0, 1.0)
REWARDED: dict[str, tuple[own.Order, tuple[float, float]]] = {
    **{BOTH: ("decreasing", BY_MODEL), ONLINE: ("decreasing", BY_MODEL), NOISE: ("decreasing", BY_LUCK)},
    **{RANDOM: ("random", BY_MODEL), UPWARD: ("increasing", BY_MODEL)},
}
#: Arms that run at the rate that was found for another one.
AT_ITS_RATE = {LONGER: SFT, ONLINE: BOTH, RANDOM: BOTH, UPWARD: BOTH, NOISE: BOTH}
#: The name of the arm of a merging ratio.
merged = "DPO, merged, a = {:g}".format


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on; `rates` are tried for SFT, for DPO, and for GRPO."""

    net: Transformer
    problems: Problems = field(default_factory=lambda: Problems(steps=(1, 2), largest=12, wording=BRIEF))
    length: int = 48  # tokens of prompt and answer
    long: int = 192  # tokens of the long stage
    theta: float = 1e6  # base of rotary angles from the long stage on
    prompt: int = 22  # tokens
    limit: int = 26  # tokens of an answer
    read: int = 8000  # problems of the base
    base: tuple[int, float] = (1000, 5e-3)  # steps, rate
    longer: tuple[int, float] = (40, 2e-3)  # of the long stage
    sft: int = 200  # steps
    tuned: int = 300  # problems of SFT
    batch: int = 16  # rows of these; pairs of DPO and of the reward model
    asked: int = 128  # queries of DPO
    samples: int = 8  # answers to each
    most: int = 4  # pairs of a query
    dpo: int = 40  # steps
    merging: tuple[float, ...] = (0.0, 1e-3, 1e-2)  # ratios a
    judge: tuple[int, float, float] = (120, 2e-3, 2.0)  # steps and rate of the RM; how sharp the judge's labels are
    rounds: int = 16
    queries: int = 8  # of a round
    updates: int = 2  # optimizer steps on a round's answers
    betas: tuple[float, float] = (0.1, 1e-2)  # of DPO, and of the KL term of GRPO
    rates: tuple[tuple[float, ...], ...] = ((1e-3, 3e-3, 1e-2), (1e-5, 3e-5, 1e-4, 3e-4), (3e-5, 1e-4, 3e-4))
    every: int = 8  # steps between evaluations of GRPO
    dev: int = 128  # problems
    tests: int = 256
    at_once: int = 128
    arms: tuple[str, ...] = (LONGER, OFFLINE, ONLINE, BOTH, RANDOM, UPWARD, NOISE)
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def turned(self) -> Transformer:  # its parameters are those of `net`
        return replace(self.net, rotary_theta=self.theta)

    @property
    def how(self) -> own.TwoAxes:
        return own.TwoAxes(passes, self.length, self.limit, ((SEP,),), mannered_samples)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, or at the paper's scale."""
    net = llama(vocab=mannered_tokenizer(12).vocab, embed=64, layers=2, heads=4, mlp=192, length=192, tied=True)
    if name == "smoke":  # the same programs as of the laptop preset, for few steps
        sizes: dict[str, Any] = {"read": 400, "base": (150, 5e-3), "longer": (4, 1e-3), "sft": 40, "tuned": 60}
        sizes |= {"asked": 64, "dpo": 4, "merging": (0.0, 1e-2), "judge": (8, 1e-3, 2.0), "rounds": 4, "every": 4}
        sizes |= {"rates": ((3e-3,), (1e-3,), (1e-3,)), "tests": 128, "seeds": (0,)}
        return Config(net, Problems(steps=(1,), largest=12, wording=BRIEF), **sizes)
    if name == "pod":
        sizes = {"embed": 3584, "layers": 28, "heads": 28, "kv_heads": 4, "mlp": 18_944, "rotary_theta": 1e4}
        large = llama(vocab=152_064, length=8192, scan=True, remat="full", **sizes)
        how: dict[str, Any] = {"length": 4096, "long": 8192, "prompt": 2048, "limit": 2048, "batch": 256}
        how |= {"base": (1, 3e-4), "longer": (1, 3e-5), "sft": 7812, "tuned": 1_000_000, "asked": 50_176, "dpo": 586}
        how |= {"judge": (586, 1e-6, 2.0), "queries": 256, "updates": 1, "rounds": 196, "dev": 256, "tests": 1024}
        how |= {"at_once": 256, "rates": ((7e-6,), (7e-7,), (1e-6,)), "merging": (0.0, 1e-5), "seeds": (0,)}
        return Config(large, **how, arms=(BOTH,))
    return Config(net)


# --- data ---


def asked(cfg: Config, split: str, size: int, seed: int, constrained: float = 0.75, obeys: float = 1.0) -> Mannered:
    return Mannered(replace(cfg.problems, split=split, size=size, seed=seed), constrained, obeys)


def solved(cfg: Config, source: Mannered, length: int, **fields: Any) -> Answers:
    how = {"tokenizer": mannered_tokenizer(cfg.problems.largest), "batch": cfg.batch, "length": length - 1}
    return Answers(source=source, **how, **fields)


def raw_bytes(cfg: Config, length: int) -> CausalText:
    """General text: the standard library byte by byte."""
    code = mannered_tokenizer(cfg.problems.largest, raw=True)
    return CausalText(source=Stdlib(limit=1_000_000), tokenizer=code, batch=cfg.batch, length=length - 1)


def reading(cfg: Config, length: int) -> Mixture:
    """Problems with solutions, and bytes, which fill the rows of any length."""
    told = solved(cfg, asked(cfg, "train", cfg.read, 11, obeys=0.5), length, prompts=True)
    return Mixture(parts=(told, raw_bytes(cfg, length)), weights=(3, 2))


def prompts(cfg: Config, source: Mannered) -> PromptedText:
    how = {"tokenizer": mannered_tokenizer(cfg.problems.largest), "length": cfg.prompt, "beside": BESIDE}
    return PromptedText(source=source, batch=cfg.at_once, **how)


def held_out(cfg: Config, split: str) -> PromptedText:
    """Problems of unseen programs, for development or tests."""
    return prompts(cfg, asked(cfg, "test", *((cfg.dev, 101) if split == "dev" else (cfg.tests, 102))))


@functools.cache
def answer_flops(cfg: Config) -> float:
    return cfg.how.flops(cfg.turned, cfg.prompt)


def watched(cfg: Config, every: int | None = None) -> Evaluation:
    """Development problems, answered greedily and drawn."""
    data = held_out(cfg, "dev")
    return Evaluation(data, cfg.dev // data.batch, every, cfg.how, flops=2 * data.batch * answer_flops(cfg))


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """The base and the long stage once; then for every seed SFT, offline and online RL, and all arms."""
    found = Found(cfg)

    def read(name: str, net: Transformer, length: int, steps: int, rate: float, *start: Any) -> Any:
        optimizer = adamw(rate, warmup=0.05, end=rate / 10, clip=1.0)
        made = run.train(Stage(slug(name), net, causal_lm, optimizer, reading(cfg, length), steps), *start)
        far = raw_bytes(cfg, cfg.long).held_out(8)
        found.read[name] = run.make(f"{slug(name)}/bytes", losses_by_place, made, far, 4)
        return made

    base = read("base", cfg.net, cfg.length, *cfg.base)
    read("long, same base", cfg.net, cfg.long, *cfg.longer, base)
    begun = read("long, base changed", cfg.turned, cfg.long, *cfg.longer, base)
    for seed in cfg.seeds:
        Making(run, cfg, found, begun, seed).arms()
    return report(found)


@dataclass(frozen=True)
class Making:
    """The stages behind the long one, for one seed."""

    run: Any
    cfg: Config
    found: Found
    begun: Any  # the long stage
    seed: int

    def at(self, name: str) -> str:
        return f"{self.seed}/{slug(name)}"

    def arms(self) -> None:
        """SFT, its answers, DPO by all optimizers, the reward model, GRPO, and what runs beside them."""
        cfg, found, seed = self.cfg, self.found, self.seed
        sft, searched = self.train(SFT, self.supervised(SFT, cfg.sft), 0, self.begun)
        self.keep(SFT, (sft,), searched)
        first = self.drawn("answers", sft, asked(cfg, "train", cfg.asked, 31 + seed))
        pairs = self.run.make(self.at("pairs"), own.passing_pairs, sft, cfg.samples, cfg.most, seed, first)
        dpo: dict[str, Any] = {}
        for arm in (ADAM, *map(merged, cfg.merging)):
            dpo[arm], searched = self.preferring(arm, cfg.dpo, pairs, sft)
            self.keep(arm, (dpo[arm],), (first, *searched))
        chosen, pool = dpo[found.merged()], asked(cfg, "train", cfg.rounds * cfg.queries, 41 + seed)
        before, after = self.drawn("answers-of-sft", sft, pool), self.drawn("answers-of-dpo", chosen, pool)
        how = (mannered_rows, cfg.judge[2], cfg.samples, seed, pairs, before, after)
        labelled = self.run.make(self.at("labelled"), own.labelled_pairs, *how)
        judge = self.rewarding(labelled, sft)
        seen = self.drawn("answers-to-dev", chosen, asked(cfg, "test", cfg.dev, 101))
        tested = self.run.make(self.at("judge-on-dev"), own.ordered_right, judge, mannered_rows, cfg.samples, seen)
        found.judges[seed] = pairs, labelled, tested
        for arm in filter(cfg.arms.__contains__, REWARDED):
            alone = arm == ONLINE
            rounds = cfg.rounds + alone * cfg.asked // cfg.queries
            policy, made = self.reinforced(arm, rounds, sft if alone else chosen, judge, before if alone else after)
            results, charged = ((policy,), ()) if alone else ((chosen, policy), (first, after))
            self.keep(arm, results, (*charged, before, labelled, judge, *made))
        if OFFLINE in cfg.arms:
            many = (own.passing_pairs, sft, cfg.samples, cfg.most, seed, first, before)
            more = self.run.make(self.at("more-pairs"), *many)
            rows = cfg.rounds * cfg.updates * cfg.queries * cfg.samples  # that online RL learns
            net, searched = self.preferring(OFFLINE, cfg.dpo + rows // (2 * cfg.batch), more, sft)
            self.keep(OFFLINE, (net,), (first, before, *searched))
        if LONGER in cfg.arms:
            both = found.arms[BOTH][seed]
            spent = sum(made.cost.flops for made in (*both.results, first, before, after, judge))
            steps = max(1, round(spent / max(sft.cost.flops / sft.steps, 1)))  # a plan may know no FLOPs
            net, searched = self.train(LONGER, self.supervised(LONGER, steps), 0, sft)
            self.keep(LONGER, (net,), searched)

    def train(self, arm: str, stage: Stage, kind: int, start: Any) -> tuple[Any, tuple[Any, ...]]:
        """The arm's stage at its rate, and what finding it took: with the first seed, by development problems."""
        name = self.found.merged() if arm == OFFLINE else AT_ITS_RATE.get(arm, arm)
        how = {"start": start, "score": functools.partial(badness, arm)}
        return kept_peak(self.run, self.found.peaks, name, stage, self.cfg.rates[kind], **how)

    def keep(self, arm: str, results: tuple[Any, ...], charged: tuple[Any, ...]) -> None:
        """An arm, and what its last model answers."""
        cfg, net, at = self.cfg, policy_of(results[-1]), self.at(arm)
        self.found.arms.setdefault(arm, {})[self.seed] = Arm("", results, charged)
        how, flops = (net, held_out(cfg, "test"), cfg.how, mannered_rows, 4, 7), 5 * cfg.tests * answer_flops(cfg)
        self.found.said[arm, self.seed] = self.run.make(f"{at}/test", own.answered_twice, *how, flops=flops)
        text = raw_bytes(cfg, cfg.length).held_out(16)
        self.found.losses[arm, self.seed] = self.run.make(f"{at}/bytes", losses_by_place, net, text, 1)

    def drawn(self, name: str, net: Any, source: Mannered) -> Any:
        """Answers to every query."""
        cfg, flops = self.cfg, len(source) * self.cfg.samples * answer_flops(self.cfg)
        how = (policy_of(net), prompts(cfg, source), cfg.how, cfg.samples, self.seed)
        return self.run.make(self.at(name), drawn_answers, *how, flops=flops, sampled_tokens=drawn_tokens)

    def supervised(self, name: str, steps: int) -> Stage:
        """SFT on answers that are right and obey, of any manners."""
        cfg, optimizer = self.cfg, adamw(1.0, warmup=0.05, clip=1.0, weight_decay=0.1)
        data = solved(cfg, asked(cfg, "train", cfg.tuned, 21 + self.seed, constrained=0.03), cfg.length, seed=self.seed)
        how = {"evaluate": watched(cfg), "seed": self.seed}
        return Stage(self.at(name), cfg.turned, causal_lm, optimizer, data, steps, **how)

    def preferring(self, arm: str, steps: int, pairs: Any, sft: Any) -> tuple[Any, tuple[Any, ...]]:
        """DPO on pairs, by Adam or by the merging optimizer."""
        cfg, data = self.cfg, pair_rows(pairs, self.cfg.length, self.cfg.batch, self.seed)
        how: dict[str, Any] = {"warmup": 0.1, "decay": "linear", "clip": 1.0}
        loss, watch = Preference(cfg.betas[0]), watched(cfg)
        stage = Stage(self.at(arm), cfg.turned, loss, adam(1.0, **how), data, steps, evaluate=watch, seed=self.seed)
        if arm == ADAM:
            return self.train(arm, stage, 1, sft)
        ratio = {merged(a): a for a in cfg.merging}[self.found.merged() if arm == OFFLINE else arm]
        nets = dict.fromkeys(("policy", "tuned", "base"), cfg.turned)
        one = {name: {"policy": x, "tuned": None, "base": None}
               for name, x in (("objective", loss), ("optimizer", merging_adam(1.0, **how, ratio=ratio)))}  # fmt: skip
        stage = replace(stage, model=nets, step=merging_step, **one)
        return self.train(arm, stage, 1, {"policy": sft, "tuned": sft, "base": self.begun})

    def rewarding(self, labelled: Any, sft: Any) -> Any:
        """The reward model."""
        cfg, (steps, rate, _) = self.cfg, self.cfg.judge
        data = own.reward_rows(labelled, cfg.length, cfg.batch, self.seed)
        optimizer, take = adamw(rate, warmup=0.1, decay="linear", clip=1.0), Handover(params=from_language_model)
        stage = Stage(self.at("judge"), RewardModel(cfg.turned), bradley_terry, optimizer, data, steps, seed=self.seed)
        return self.run.train(replace(stage, handover=take), sft)

    def reinforced(self, arm: str, rounds: int, start: Any, judge: Any, drawn: Any) -> tuple[Any, tuple[Any, ...]]:
        """GRPO, on queries in their order; and these queries, and what finding the rate took."""
        cfg, n, (order, trust) = self.cfg, self.cfg.samples, REWARDED[arm]
        how, rm = (judge, n, cfg.prompt, BESIDE, order, trust, self.seed, drawn), RewardModel(cfg.turned)
        flops = cfg.rounds * cfg.queries * n * score_flops(rm, cfg.length)
        made = self.run.make(self.at(f"{arm}/queries"), own.queries_in_order, *how, flops=flops)
        data = own.query_rows(made, cfg.prompt, n, BESIDE, cfg.queries, cfg.updates)
        step, size = ScoredStep(passes, cfg.updates, n, ((SEP,),), cfg.limit), Drawn(cfg.queries * n, cfg.length)
        loss, optimizer = ClippedPolicy(kl=cfg.betas[1]), adam(1.0, decay="linear", clip=1.0)
        given = (cfg.turned, rm, size, loss, optimizer, data, rounds * cfg.updates, step)
        stage = judged(self.at(arm), *given, evaluate=watched(cfg, cfg.every), seed=self.seed)
        begin = dict.fromkeys(("policy", "reference"), policy_of(start)) | {"judge": judge}
        net, searched = self.train(arm, with_flops(stage), 2, begin)
        return net, (made, *searched)


def policy_of(result: Any) -> Any:
    return result.member("policy") if isinstance(result.model, dict) else result


def badness(arm: str, result: Any) -> float:
    """By what rates are chosen: greedy answers that do not pass, and of online RL the manners of drawn ones."""
    passed, manners = (result.history.last(name) or 0.0 for name in ("accuracy", "judged"))
    return float(1 - passed - manners / 4) if arm in REWARDED else float(1 - passed)


# --- report ---


@dataclass
class Found:
    """What was trained and measured, by arm and seed."""

    cfg: Config
    read: dict[str, Any] = field(default_factory=dict)
    peaks: Peaks = field(default_factory=dict)
    arms: dict[str, dict[int, Arm]] = field(default_factory=dict)
    said: dict[tuple[str, int], Any] = field(default_factory=dict)
    losses: dict[tuple[str, int], Any] = field(default_factory=dict)
    judges: dict[int, tuple[Any, Any, Any]] = field(default_factory=dict)

    def merged(self) -> str:
        """The paper's DPO: the ratio above 0 whose model passes most development problems, with the first seed."""
        arms = [merged(ratio) for ratio in self.cfg.merging if ratio]
        return min(arms, key=lambda arm: badness(arm, self.arms[arm][self.cfg.seeds[0]].results[0]))

    def each(self, arm: str, read: Any, of: Any = None) -> list[float]:
        """A number of what was measured of an arm, by seed; none in planning."""
        made = (self.said if of is None else of).items()
        return [read(own_made.value) for (label, _), own_made in made if label == arm and own_made.value is not None]

    def passed(self, arm: str, way: str = "greedy") -> list[float]:
        return self.each(arm, lambda value: float(np.mean(value[way])))

    def more(self, arm: str, other: str) -> list[float]:
        """By seed how much more an arm passes than another one, greedy."""
        return [ours - theirs for ours, theirs in zip(self.passed(arm), self.passed(other), strict=False)]

    def wins(self, arm: str, other: str) -> list[float]:
        """By seed how often drawn answers of an arm win against those of another one, by the judge."""
        both = ([m.value for (label, _), m in self.said.items() if label == name] for name in (arm, other))
        return [own.win_rate(a["judged"], b["judged"]) for a, b in zip(*both, strict=False) if a and b]

    def lost(self, arm: str) -> list[float]:
        return self.each(arm, lambda value: value[0], self.losses)

    def answers_to_half(self, arm: str) -> list[float]:
        """By seed how many drawn answers it takes until manners on development problems have come half as far from
        where DPO ended as random order does at its end; infinite where they never do."""
        found = []
        for seed, own_arm in self.arms.get(arm, {}).items() if RANDOM in self.arms else ():
            course, other = (curve(Arm("", it.results[-1:]), over="steps", metric="judged")
                             for it in (own_arm, self.arms[RANDOM][seed]))  # fmt: skip
            if course.points:
                steps = flops_to_reach(course, (course.points[0].y + other.last) / 2, rising=True)
                found.append(steps / self.cfg.updates * self.cfg.queries * self.cfg.samples)
        return found


def verdicts(found: Found) -> tuple[Any, ...]:
    """The claims, by the rules of the docstring."""
    dpo = found.merged()
    wins = {pair: found.wins(*pair) for pair in ((BOTH, dpo), (NOISE, dpo), (BOTH, LONGER))}
    gains = {pair: found.more(*pair) for pair in ((dpo, SFT), (BOTH, dpo), (dpo, ADAM), (BOTH, LONGER))}
    costs = {arm: [a - b for a, b in zip(found.lost(arm), found.lost(SFT), strict=True)] for arm in (dpo, ADAM)}
    needed = {arm: found.answers_to_half(arm) for arm in (BOTH, RANDOM, UPWARD)}

    def told(values: Any, form: str = "+.1%") -> str:
        return (shown(values, form) or "") if len(values) else "not measured"

    judged_by = (
        ("Offline RL teaches what a program checks", f"passes {told(gains[dpo, SFT])} over SFT",
         "2 points or more, greedy", mean(gains[dpo, SFT]) >= 0.02),
        ("Online RL teaches what a reward model judges, and keeps the rest",
         f"wins {told(wins[BOTH, dpo], '.1%')} against DPO, passes {told(gains[BOTH, dpo])}",
         "55 % or more of drawn answers by the judge, passing at most 1 point less, greedy",
         mean(wins[BOTH, dpo]) >= 0.55 and mean(gains[BOTH, dpo]) >= -0.01),
        ("The merging optimizer loses less of the base than Adam",
         f"bytes {told(costs[dpo], '+.3f')} nats over SFT, Adam {told(costs[ADAM], '+.3f')}; passes "
         f"{told(gains[dpo, ADAM])} over Adam", "less loss on held-out bytes, passing at most 1 point less, greedy",
         mean(costs[dpo]) < mean(costs[ADAM]) and mean(gains[dpo, ADAM]) >= -0.01),
        ("Queries in order of decreasing variance need fewer answers",
         f"{told(needed[BOTH], '.0f')}; random {told(needed[RANDOM], '.0f')}, increasing {told(needed[UPWARD], '.0f')}",
         "answers until manners have come half as far as random order comes, development problems",
         mean(needed[BOTH]) < mean(needed[RANDOM])),
        ("What online RL wins is no luck (ours)", f"rewards at random win {told(wins[NOISE, dpo], '.1%')} against DPO",
         "5 points less than with the reward model", mean(wins[BOTH, dpo]) - mean(wins[NOISE, dpo]) >= 0.05),
        ("Both stages of RL are worth more than as many FLOPs of SFT (ours)",
         f"wins {told(wins[BOTH, LONGER], '.1%')} against SFT longer, passes {told(gains[BOTH, LONGER])}",
         "more than half of drawn answers by the judge, passing no less, greedy",
         mean(wins[BOTH, LONGER]) > 0.5 and mean(gains[BOTH, LONGER]) >= 0),
    )  # fmt: skip
    return tuple(
        claim(statement, paper="no figure", margin=f"{margin}; means over seeds", holds=holds,
              measured=None if "not measured" in measured else measured)
        for statement, measured, margin, holds in judged_by
    )  # fmt: skip


def report(found: Found) -> Report:
    """The two axes by arm, what is lost, the reward model, orders of queries, the long stage, and the claims."""
    cfg, arms, dpo, known = found.cfg, tuple(found.arms), found.merged(), len(found.passed(SFT)) > 0
    ways: dict[str, Any] = {"wins against SFT": lambda arm: found.wins(arm, SFT)}
    ways |= {"wins against DPO": lambda arm: found.wins(arm, dpo)}
    ways |= {f"passes, {way}": lambda arm, way=way: found.passed(arm, way) for way in ("greedy", "drawn")}
    others: dict[str, Any] = {"manners": lambda value: float(np.mean(value["judged"])), "tokens": lambda v: v["length"]}
    between = [(seed, *(int(x) for x in pairs.value["prompts"]), *(int(x) for x in labels.value["counts"][[2, 0, 1]]),
                tested.value["ordered"], tested.value["passing"])
               for seed, (pairs, labels, tested) in found.judges.items()] if known else []  # fmt: skip
    courses, answers = [], []
    for arm in (name for name in REWARDED if name in arms and name != ONLINE and known):
        runs = [one.results[-1].history.evals for one in found.arms[arm].values()]
        answers = [f"{row['step'] // cfg.updates * cfg.queries * cfg.samples}" for row in runs[0]]
        courses.append((arm, *np.mean([[row["judged"] for row in run] for run in runs], axis=0).tolist()))
    return EXPERIMENT.report(
        verdicts(found), link="https://arxiv.org/abs/2412.15115",
        arms=by_seed(found.arms, LONGER if LONGER in arms else SFT), tables=(
            table_of_means("Two axes", arms, list(ways), lambda arm, way: ways[way](arm),
                           note="Test problems, in %: right number and constraint; comparisons of 4 drawn answers with "
                           f"4, a tie is half a win. Mean ± standard deviation over seeds. DPO is {dpo!r}."),
            table_of_means("What else", arms, [*others, "bytes"], lambda arm, what: found.lost(arm) if what == "bytes"
                           else found.each(arm, others[what]), scale=1, digits=3,
                           note="Drawn answers: what the judge says, and tokens. Loss on held-out bytes, nats a byte."),
            Table("Between the stages", ("seed", "queries", "of both kinds", "pairs", "labelled", "without noise",
                  "RM orders", "of passing"), tuple(between), ("", "", "", "", "", "", ".1%", ".1%"),
                  "RM on DPO's answers to development problems: pairs that the judge tells apart; right and wrong."),
            Table("Manners by answers drawn in online RL", ("arm", *answers), tuple(courses),
                  ("", *[".2f"] * len(answers)), "Drawn answers to development problems, mean over seeds."),
            Table("The long stage", ("model", *(f"quarter {k + 1}" for k in range(4))),
                  tuple((name, *made.value) for name, made in found.read.items()) if known else (),
                  ("", *[".3f"] * 4), "Loss on held-out bytes by place in a long row, nats a byte."),
            Table("Rates", ("arm", "tried", "does not pass, less a quarter of manners", "chosen", "at an end"),
                  tuple((arm, *peak.cells) for arm, peak in found.peaks.items()),
                  note="Development problems, first seed; manners count in online RL."),
        ),
        metric="accuracy", rising=True, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


NOTES = (
    "One base and one long stage for all seeds; a seed has its own solved problems, queries, answers, orders, RM.",
    "SFT longer learns the same solved problems on: queries of RL come with a checker, not with solutions.",
    "The paper's ratios, 1e-7 to 1e-4, are for thousands of steps; here they are larger. Masks halve steps: see a = 0.",
    "RM's answers are of one temperature. All arms of GRPO share a seed's RM; GRPO alone is not charged for DPO in it.",
    "Charged to an arm: what was drawn and scored for it, its other rates to the first seed; the base to none.",
    "SFT sees constraints in 3 % of its problems, by validation: with 10 % or more 97 % are obeyed, with none 3 %, and "
    "offline RL would have nothing to teach beside numbers.",
    "A pilot with seed 7 and other sizes read tests too; settings are by its development problems alone.",
    "Development and test problems are of programs that training never sees; one program may be in both.",
    "pod: a long stage of 8192 tokens, not 32,768, as attention here holds a row's whole square; generated problems.",
)

EXPERIMENT = Experiment(
    name="qwen25_offline_online_rl",
    title="Qwen2.5: longer context, SFT, offline and online RL",
    reference="Qwen Team, 2024, arXiv 2412.15115",
    paper=51,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("qwen25_offline_online_rl")
