"""Qwen2.5: a longer context, fine-tuning, then two stages of RL of different character, offline and online.

Paper    Qwen Team, Qwen2.5 Technical Report, 2024, arXiv 2412.15115 (dossier 051). It prints no ablation of its stages:
         the arms are ours. DPO's beta, the merging ratio and its masks, and GRPO's rate, KL and clip are not stated.
Claim    Offline RL (DPO on pairs that a program checked) teaches what a reward model judges poorly, and online RL (GRPO
         with a reward model) the rest, from queries in order of decreasing variance of their scores.
Method   Base on word problems with solutions of any manners, half of which obey their constraint, keys with numbers,
         and bytes of the standard library, 48 tokens -> 192 tokens, two fifths of rows as long as that, after the base
         of the rotary angles goes from 1e4 to 1e6 (beside it the same with 1e4) -> SFT on a few answers that are right
         -> 8 answers to each new query; right beside wrong ones; DPO (beta 0.1) by the Online Merging Optimizer: each
         update of Adam is (1 - a) M_p(d) + a M_p(SFT - base), M_p random masks, p 1/2 (beside it plain Adam, and a = 0)
         -> reward model (RM): Bradley-Terry on pairs of answers of SFT and DPO, labelled by a noisy judge of manners
         (does it address the right person, few empty words, nothing rude), and DPO's pairs -> GRPO: 8 answers to each of
         these queries, reward r(x, y), advantages in the group, clipped ratios, KL (k3) to DPO's model in the loss.
         The verifier (number and constraint) is blind to manners, the judge to numbers. From the same SFT model:
         SFT longer        as many FLOPs as both stages of RL with all that they draw
         offline only      DPO on as many drawn answers and learned rows;  online only  GRPO, as many drawn answers
         offline, online   the paper's; from the same DPO model also in random order, in order of increasing variance,
                           and with rewards at random: how far luck reaches
         Rates by development problems with the first seed: SFT and DPO by passing, what ends in the two axes by both.
Run      stagejax run qwen25_offline_online_rl                 laptop
         stagejax run qwen25_offline_online_rl --preset smoke  most of it compilation
         stagejax run qwen25_offline_online_rl --preset long   five seeds, more rounds, more ratios
         stagejax plan qwen25_offline_online_rl --preset pod --mesh data=16,fsdp=16
Holds if on problems of unseen programs, means over seeds: (1) DPO passes 2 points or more above SFT, greedy; (2) GRPO wins
         55 % or more against DPO's model by the judge, of drawn answers, and passes not more than 1 point less; (3) the
         merging optimizer loses less on held-out bytes than Adam, and passes not more than 1 point less; (4) decreasing
         variance reaches half of what random order comes to in manners with fewer answers. Ours: (5) with rewards at
         random GRPO wins 5 points less; (6) both stages win against SFT longer, and pass no less.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.data import SEP, CausalText, Mixture, Stdlib
from stagejax.data import mannered as told
from stagejax.data.answers import Answers, PromptedText
from stagejax.data.mannered import BESIDE, KeyedNumbers, Mannered, mannered_tokenizer
from stagejax.data.pipeline import Data
from stagejax.data.problems import Problems
from stagejax.data.written import BRIEF
from stagejax.decode import Samples
from stagejax.inference import Frozen, apply
from stagejax.inference import own_answers as own
from stagejax.inference.likelihood import held_out_loss
from stagejax.inference.preferring import pair_rows
from stagejax.inference.rollouts import drawn_answers, drawn_tokens
from stagejax.inference.self_improvement import score_flops
from stagejax.models import Transformer, llama
from stagejax.models.reward_model import RewardModel, from_language_model
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.policy_gradient import ClippedPolicy, bradley_terry
from stagejax.objectives.preference import Preference
from stagejax.objectives.rewarding import scores_at
from stagejax.optimizer import adam, adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.tables import table_of_rates
from stagejax.stage import Batch
from stagejax.steps.judged import JudgedStep, judged
from stagejax.steps.merging import merging_adam, merging_step
from stagejax.steps.rollout import Answers as Drawn
from stagejax.steps.rollout import with_flops

SFT, LONGER, OFFLINE, ONLINE, BOTH = "SFT", "SFT longer", "offline only", "online only", "offline, online"
RANDOM, UPWARD, NOISE = "random order", "increasing variance", "rewards at random"
ADAM = "DPO, Adam"
#: Of the arms of online RL: order of queries, and how much the reward model and noise count.
REWARDED: dict[str, tuple[own.Order, tuple[float, float]]] = {
    BOTH: ("decreasing", (1.0, 0.0)),
    ONLINE: ("decreasing", (1.0, 0.0)),
    RANDOM: ("random", (1.0, 0.0)),
    UPWARD: ("increasing", (1.0, 0.0)),
    NOISE: ("decreasing", (0.0, 1.0)),
}


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    problems: Problems = field(default_factory=lambda: Problems(steps=(1, 2), largest=12, wording=BRIEF))
    length: int = 48  # tokens of prompt and answer
    long: int = 192  # tokens of the long stage
    facts: tuple[int, int] = (11, 47)  # most keys in a row of either length
    theta: float = 1e6  # base of rotary angles from the long stage on
    prompt: int = 22  # tokens
    limit: int = 26  # tokens of an answer
    read: int = 8000  # problems of the base
    base: tuple[int, float] = (1000, 5e-3)  # steps, rate
    longer: tuple[int, float] = (80, 2e-3)  # of the long stage
    sft: int = 200  # steps
    tuned: int = 300  # problems of SFT
    batch: int = 16  # rows of these; pairs of DPO and of the reward model
    asked: int = 384  # queries of DPO
    samples: int = 8  # answers to each
    most: int = 3  # pairs of a query
    beta: float = 0.1
    dpo: int = 60  # steps
    merging: tuple[float, ...] = (0.0, 1e-4, 1e-3, 1e-2)  # ratios a
    kept: float = 0.5  # p
    sharpness: float = 2.0  # of the judge
    judge: tuple[int, float] = (200, 1e-3)  # steps, rate
    rounds: int = 30
    queries: int = 16  # of a round
    updates: int = 2  # optimizer steps on a round's answers
    kl: float = 1e-2
    rates: tuple[tuple[float, ...], ...] = ((1e-3, 3e-3), (1e-4, 3e-4, 1e-3), (1e-4, 3e-4, 1e-3))  # SFT, DPO, GRPO
    every: int = 10  # steps between evaluations of GRPO
    dev: int = 128  # problems
    tests: int = 512
    at_once: int = 64
    arms: tuple[str, ...] = (LONGER, OFFLINE, ONLINE, BOTH, RANDOM, UPWARD, NOISE)
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def turned(self) -> Transformer:
        """The network with the other base of rotary angles; its parameters are those of `net`."""
        return replace(self.net, rotary_theta=self.theta)

    @property
    def how(self) -> own.TwoAxes:
        """How problems are answered and judged."""
        return own.TwoAxes(told.passes, self.length, self.limit, ((SEP,),), told.mannered_samples)

    @property
    def pool(self) -> int:
        """Queries of online RL, each once."""
        return self.rounds * self.queries

    @property
    def more_rounds(self) -> int:
        """Of online RL alone, for as many drawn answers as offline and online RL have."""
        return self.rounds + self.asked // self.queries

    @property
    def more_pairs(self) -> int:
        """Steps of offline RL alone, for as many rows as offline and online RL learn."""
        return self.dpo + self.rounds * self.updates * self.queries * self.samples // (2 * self.batch)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, with more of everything, or at the paper's scale."""
    net = llama(vocab=mannered_tokenizer(12).vocab, embed=64, layers=3, heads=4, mlp=192, length=192, tied=True)
    if name == "smoke":
        easy = Problems(steps=(1,), largest=6, wording=BRIEF)
        small = replace(net, embed=32, layers=2, mlp=64, vocab=mannered_tokenizer(6).vocab)
        sizes: dict[str, Any] = {"read": 200, "base": (100, 1e-2), "longer": (4, 1e-3), "sft": 60, "tuned": 60}
        sizes |= {"asked": 32, "samples": 4, "dpo": 4, "merging": (0.0, 1e-2), "judge": (10, 1e-3), "rounds": 4}
        sizes |= {"queries": 8, "dev": 16, "tests": 32, "at_once": 16, "every": 4, "seeds": (0,), "batch": 8}
        sizes |= {"rates": ((5e-3,), (1e-3,), (1e-3,)), "facts": (11, 23), "long": 96}
        return Config(small, easy, **sizes)
    if name == "long":
        return replace(Config(net), merging=(0.0, 1e-4, 1e-3, 1e-2, 3e-2), rounds=80, seeds=(0, 1, 2, 3, 4))
    if name == "pod":
        sizes = {"embed": 3584, "layers": 28, "heads": 28, "kv_heads": 4, "mlp": 18_944, "rotary_theta": 1e4}
        large = llama(vocab=152_064, length=32_768, scan=True, remat="full", **sizes)
        how: dict[str, Any] = {"length": 4096, "long": 32_768, "prompt": 2048, "limit": 2048, "batch": 256}
        how |= {"base": (1, 3e-4), "longer": (1, 3e-5), "sft": 7812, "tuned": 1_000_000, "asked": 50_176, "dpo": 586}
        how |= {"judge": (586, 1e-6), "queries": 256, "updates": 1, "rounds": 196, "dev": 256, "tests": 1024}
        how |= {"at_once": 256, "rates": ((7e-6,), (7e-7,), (1e-6,)), "merging": (0.0, 1e-5), "seeds": (0,)}
        return Config(large, **how, arms=(BOTH,))
    return Config(net)


# --- data ---


def source(cfg: Config, split: str, size: int, seed: int, **fields: Any) -> Mannered:
    return Mannered(replace(cfg.problems, split=split, size=size, seed=seed), **fields)


def text_rows(cfg: Config, length: int, **fields: Any) -> dict[str, Any]:
    return {"tokenizer": mannered_tokenizer(cfg.problems.largest), "batch": cfg.batch, "length": length - 1} | fields


def raw_bytes(cfg: Config, length: int) -> CausalText:
    """General text: the standard library byte by byte."""
    code = mannered_tokenizer(cfg.problems.largest, raw=True)
    return CausalText(source=Stdlib(limit=1_000_000), **text_rows(cfg, length, tokenizer=code))


def keyed(cfg: Config, least: int, most: int, length: int, split: str = "train") -> Answers:
    """Keys with numbers, and all of them again."""
    rows = KeyedNumbers(4000, (least, most), cfg.problems.largest, seed=most, split=split)
    return Answers(source=rows, **text_rows(cfg, length))


def reading(cfg: Config, length: int) -> Data:
    """Problems with solutions, bytes, keys; of the long stage two fifths of the rows are as long as they may be."""
    few, many = cfg.facts
    solved = Answers(source=source(cfg, "train", cfg.read, 11, obeys=0.5), prompts=True, **text_rows(cfg, length))
    parts, weights = (solved, raw_bytes(cfg, length), keyed(cfg, 4, few, length)), (5, 2, 2)
    if length == cfg.long:
        return Mixture(parts=(*parts, keyed(cfg, few, many, length)), weights=(45, 20, 15, 20))
    return Mixture(parts=parts, weights=weights)


def prompts(cfg: Config, asked: Mannered, batch: int) -> PromptedText:
    code = mannered_tokenizer(cfg.problems.largest)
    return PromptedText(source=asked, tokenizer=code, length=cfg.prompt, batch=batch, beside=BESIDE)


def held_out(cfg: Config, split: str) -> PromptedText:
    """Problems of unseen programs, for development or tests."""
    size, seed = (cfg.dev, 101) if split == "dev" else (cfg.tests, 102)
    return prompts(cfg, source(cfg, "test", size, seed), min(cfg.at_once, size))


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
    steps, rate = cfg.base
    optimizer = adamw(rate, warmup=0.05, end=rate / 10, clip=1.0)
    base = run.train(Stage("base", cfg.net, causal_lm, optimizer, reading(cfg, cfg.length), steps))
    found = Found(cfg)
    found.recalled["base"] = run.make("base/recall", recall, cfg, base)
    for name, net in (("long, same base", cfg.net), ("long, base changed", cfg.turned)):
        optimizer = adamw(cfg.longer[1], warmup=0.1, clip=1.0)
        stage = Stage(slug(name), net, causal_lm, optimizer, reading(cfg, cfg.long), cfg.longer[0])
        begun = run.train(stage, base)
        found.recalled[name] = run.make(f"{slug(name)}/recall", recall, cfg, begun)
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
        sft, searched = self.best(SFT, self.supervised(SFT, cfg.sft), cfg.rates[0], self.begun)
        self.keep(SFT, (sft,), searched)
        first = self.drawn("answers", sft, source(cfg, "train", cfg.asked, 31 + seed))
        pairs = self.run.make(self.at("pairs"), own.passing_pairs, sft, cfg.samples, cfg.most, seed, first)
        found.pairs[seed] = pairs
        dpo: dict[str, Any] = {}
        for arm in (ADAM, *map(merged, cfg.merging)):
            dpo[arm], searched = self.preferring(arm, cfg.dpo, pairs, sft)
            self.keep(arm, (dpo[arm],), (first, *searched))
        arm = found.merged(cfg)
        pool = source(cfg, "train", cfg.pool, 41 + seed)
        before, after = self.drawn("answers-of-sft", sft, pool), self.drawn("answers-of-dpo", dpo[arm], pool)
        how = (told.mannered_rows, cfg.sharpness, cfg.samples, seed, pairs, before, after)
        labelled = self.run.make(self.at("labelled"), own.labelled_pairs, *how)
        judge = self.rewarding(labelled, sft)
        seen = self.drawn("answers-to-dev", dpo[arm], source(cfg, "test", cfg.dev, 101))
        made = (own.ordered_right, judge, told.mannered_rows, cfg.samples, seen)
        found.judges[seed] = labelled, self.run.make(self.at("judge/dev"), *made)
        shared = (first, before, after, labelled, judge)
        for name in (BOTH, ONLINE, RANDOM, UPWARD, NOISE):
            if name in cfg.arms:
                alone = name == ONLINE
                start, own_rounds = (sft, cfg.more_rounds) if alone else (dpo[arm], cfg.rounds)
                policy, searched = self.reinforced(name, own_rounds, start, judge, before if alone else after)
                charged = (before, labelled, judge) if alone else shared
                self.keep(name, (policy,) if alone else (dpo[arm], policy), (*charged, *searched))
        if OFFLINE in cfg.arms:
            many = (own.passing_pairs, sft, cfg.samples, cfg.most, seed, first, before)
            net, searched = self.preferring(OFFLINE, cfg.more_pairs, self.run.make(self.at("more-pairs"), *many), sft)
            self.keep(OFFLINE, (net,), (first, before, *searched))
        if LONGER in cfg.arms:
            spent = sum(result.cost.flops for result in (*found.arms[BOTH][seed].results, *shared))
            steps = max(1, round(spent / (sft.cost.flops / sft.steps)))
            self.keep(LONGER, *self.alone(*self.best(LONGER, self.supervised(LONGER, steps), cfg.rates[0], sft)))

    @staticmethod
    def alone(result: Any, searched: tuple[Any, ...]) -> tuple[tuple[Any], tuple[Any, ...]]:
        return (result,), searched

    def best(self, arm: str, stage: Stage, rates: tuple[float, ...], start: Any) -> tuple[Any, tuple[Any, ...]]:
        """The arm's stage at its rate, and what finding it took: with the first seed, by development problems."""
        found, tried, like = self.found, {}, AS.get(arm, arm)
        for rate in [found.rates[like]] if like in found.rates else rates:
            optimizers = stage.optimizer
            policy = optimizers["policy"] if isinstance(optimizers, dict) else optimizers
            policy = replace(policy, peak=rate, end=rate / 10)
            optimizer = optimizers | {"policy": policy} if isinstance(optimizers, dict) else policy
            tried[rate] = self.run.train(replace(stage, name=f"{stage.name}/{rate:g}", optimizer=optimizer), start)
        scores = {rate: goodness(arm, result) for rate, result in tried.items()}
        chosen = found.rates.setdefault(like, max(scores, key=scores.__getitem__))
        if len(tried) > 1:
            found.tried[arm] = scores
            found.searches[arm] = tuple(result for rate, result in tried.items() if rate != chosen)
        return tried[chosen], found.searches.get(arm, ())

    def keep(self, arm: str, results: tuple[Any, ...], charged: tuple[Any, ...]) -> None:
        """An arm, and what its last model answers."""
        cfg, net = self.cfg, results[-1].member("policy") if isinstance(results[-1].model, dict) else results[-1]
        self.found.arms.setdefault(arm, {})[self.seed] = Arm("", results, charged)
        how = (net, held_out(cfg, "test"), cfg.how, told.mannered_rows, 4, 7)
        flops = 5 * cfg.tests * answer_flops(cfg)
        self.found.said[arm, self.seed] = self.run.make(
            self.at(f"{slug(arm)}/test"), own.answered_twice, *how, flops=flops
        )
        self.found.losses[arm, self.seed] = self.run.make(self.at(f"{slug(arm)}/losses"), losses, cfg, net)

    def drawn(self, name: str, net: Any, asked: Mannered) -> Any:
        """Answers to every query."""
        cfg, own_net = self.cfg, net.member("policy") if isinstance(net.model, dict) else net
        how = (own_net, prompts(cfg, asked, min(cfg.at_once, len(asked))), cfg.how, cfg.samples, self.seed)
        flops = len(asked) * cfg.samples * answer_flops(cfg)
        return self.run.make(self.at(name), drawn_answers, *how, flops=flops, sampled_tokens=drawn_tokens)

    def supervised(self, name: str, steps: int) -> Stage:
        """SFT on answers that are right and obey, of any manners."""
        cfg = self.cfg
        data = Answers(
            source=source(cfg, "train", cfg.tuned, 21 + self.seed), seed=self.seed, **text_rows(cfg, cfg.length)
        )
        optimizer = adamw(1e-3, warmup=0.05, clip=1.0, weight_decay=0.1)
        return Stage(
            self.at(name), cfg.turned, causal_lm, optimizer, data, steps, evaluate=watched(cfg), seed=self.seed
        )

    def preferring(self, arm: str, steps: int, pairs: Any, sft: Any) -> tuple[Any, tuple[Any, ...]]:
        """DPO on pairs, by Adam or by the merging optimizer."""
        cfg, data = self.cfg, pair_rows(pairs, self.cfg.length, self.cfg.batch, self.seed)
        ratio = next((a for a in cfg.merging if merged(a) == (self.found.merged(cfg) if arm == OFFLINE else arm)), None)
        stage = Stage(self.at(arm), cfg.turned, Preference(cfg.beta), adam(1e-3, warmup=0.1, decay="linear", clip=1.0),
                      data, steps, evaluate=watched(cfg), seed=self.seed)  # fmt: skip
        if ratio is None:
            return self.best(arm, stage, cfg.rates[1], sft)
        optimizer = merging_adam(1e-3, warmup=0.1, decay="linear", clip=1.0, ratio=ratio, kept=cfg.kept)
        models = {"policy": cfg.turned, "tuned": cfg.turned, "base": cfg.turned}
        losses, optimizers = ({"policy": x, "tuned": None, "base": None} for x in (stage.objective, optimizer))
        stage = replace(stage, model=models, objective=losses, optimizer=optimizers, step=merging_step)
        return self.best(arm, stage, cfg.rates[1], {"policy": sft, "tuned": sft, "base": self.begun})

    def rewarding(self, labelled: Any, sft: Any) -> Any:
        """The reward model."""
        cfg, (steps, rate) = self.cfg, self.cfg.judge
        data = own.reward_rows(labelled, cfg.length, cfg.batch, self.seed)
        optimizer, take = adamw(rate, warmup=0.1, decay="linear", clip=1.0), Handover(params=from_language_model)
        stage = Stage(self.at("judge"), RewardModel(cfg.turned), bradley_terry, optimizer, data, steps, seed=self.seed)
        return self.run.train(replace(stage, handover=take), sft)

    def reinforced(self, arm: str, rounds: int, start: Any, judge: Any, drawn: Any) -> tuple[Any, tuple[Any, ...]]:
        """GRPO, on queries in their order."""
        cfg, n, (order, trust) = self.cfg, self.cfg.samples, REWARDED[arm]
        how = (judge, n, cfg.prompt, BESIDE, order, trust, self.seed, drawn)
        flops = cfg.pool * n * score_flops(RewardModel(cfg.turned), cfg.length)
        made = self.run.make(self.at(f"{slug(arm)}/queries"), own.queries_in_order, *how, flops=flops)
        data = own.query_rows(made, cfg.prompt, n, BESIDE, cfg.queries, cfg.updates)
        step = ScoredStep(told.passes, cfg.updates, n, ((SEP,),), cfg.limit)
        loss, optimizer = ClippedPolicy(kl=cfg.kl), adam(1e-3, decay="linear", clip=1.0)
        size = Drawn(cfg.queries * n, cfg.length)
        given = (cfg.turned, RewardModel(cfg.turned), size, loss, optimizer, data, rounds * cfg.updates, step)
        stage = judged(self.at(arm), *given, evaluate=watched(cfg, cfg.every), seed=self.seed)
        policy = start.member("policy") if isinstance(start.model, dict) else start
        net, searched = self.best(
            arm, with_flops(stage), cfg.rates[2], {"policy": policy, "reference": policy, "judge": judge}
        )
        self.found.queries[arm, self.seed] = made
        return net, (made, *searched)


#: Arms whose rate is that of another one.
AS = {RANDOM: BOTH, UPWARD: BOTH, NOISE: BOTH}


def merged(ratio: float) -> str:
    return f"DPO, merged, a = {ratio:g}"


def goodness(arm: str, result: Any) -> float:
    """By what rates are chosen: greedy answers that pass, and for arms of both axes also the manners of drawn ones."""
    passed, manners = (result.history.last(name) or 0.0 for name in ("accuracy", "judged"))
    return float(passed + manners / 4) if arm in (LONGER, OFFLINE, *REWARDED) else float(passed)


@dataclass(frozen=True)
class ScoredStep(JudgedStep):
    """A `JudgedStep` whose rewards are the reward model's scores, or noise that stands in the batch."""

    def scores(
        self, model: Callable[[str], nnx.Module], drawn: Samples, rewards_BN: jax.Array, batch: Batch
    ) -> jax.Array:
        """The rewards (B, N); without an end `unended`, where the reward model counts."""
        tokens_BNS = drawn.tokens_BNS
        scores = scores_at(model("judge"), tokens_BNS.reshape(-1, tokens_BNS.shape[-1]), drawn.ends_BN.reshape(-1))
        ended_BN = jnp.where(drawn.stop_sizes_BN > 0, scores.reshape(rewards_BN.shape), self.unended)
        judge_B1, noise_B1 = batch["trust"].T[..., None]
        return judge_B1 * ended_BN + noise_B1 * batch["noise"]


# --- measures ---


def losses(cfg: Config, net: Any) -> dict[str, float]:
    """Loss on held-out text, nats a token: bytes, and problems with solutions as the base read them."""
    own_net, rows = Frozen.of(net), text_rows(cfg, cfg.length)
    solved = Answers(
        source=source(cfg, "test", cfg.tests, 103, obeys=0.5), prompts=True, count=cfg.tests // cfg.batch, **rows
    )
    return {"bytes": held_out_loss(own_net, raw_bytes(cfg, cfg.length).held_out(16)),
            "problems": held_out_loss(own_net, solved)}  # fmt: skip


def recall(cfg: Config, net: Any) -> dict[str, float]:
    """Of the numbers behind keys that come again the share that is likeliest, at several lengths; the loss on bytes."""
    found, own_net, (few, many) = {}, Frozen.of(net), cfg.facts
    for name, facts, length in (
        ("short", few, cfg.length),
        ("half", (few + many) // 2, cfg.long),
        ("long", many, cfg.long),
    ):
        batch = keyed(cfg, facts, facts, length, "test").take(np.arange(4 * cfg.batch))
        right, asked = apply(likeliest_numbers, own_net, batch, 4 * cfg.batch).sum(0)
        found[name] = float(right / asked)
    return found | {"bytes": held_out_loss(own_net, raw_bytes(cfg, cfg.long).held_out(4), batch=16)}


def likeliest_numbers(model: Any, batch: Batch) -> jax.Array:
    """(rows, 2): of the numbers asked for, which stand behind their keys, the likeliest ones, and all."""
    keys = jnp.array([told.token_of(key) for key in told.KEYS])
    asked = (batch["weights"] > 0) & jnp.isin(batch["tokens"], keys)
    right = asked & (model(batch["tokens"]).argmax(-1) == batch["targets"])
    return jnp.stack([right.sum(1), asked.sum(1)], 1)


# --- report ---


@dataclass
class Found:
    """What was trained and measured, by arm and seed."""

    cfg: Config
    recalled: dict[str, Any] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    tried: dict[str, dict[float, float]] = field(default_factory=dict)
    searches: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    arms: dict[str, dict[int, Arm]] = field(default_factory=dict)
    said: dict[tuple[str, int], Any] = field(default_factory=dict)
    losses: dict[tuple[str, int], Any] = field(default_factory=dict)
    pairs: dict[int, Any] = field(default_factory=dict)
    judges: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    queries: dict[tuple[str, int], Any] = field(default_factory=dict)

    def merged(self, cfg: Config) -> str:
        """The paper's DPO: of the ratios above 0 that whose model passes most development problems, with the first seed."""
        arms = {merged(ratio): ratio for ratio in cfg.merging if ratio}
        passed = {arm: goodness(arm, self.arms[arm][cfg.seeds[0]].results[0]) for arm in arms}
        return max(passed, key=passed.__getitem__)

    def each(self, arm: str, read: Callable[[Any], float], of: dict[Any, Any] | None = None) -> list[float]:
        """A number of what was made for an arm, by seed; none in planning."""
        made = self.said if of is None else of
        return [read(x.value) for (label, _), x in made.items() if label == arm and x.value is not None]

    def passed(self, arm: str, way: str = "greedy") -> list[float]:
        return self.each(arm, lambda value: float(np.mean(value[way])))

    def wins(self, arm: str, other: str) -> list[float]:
        """By seed how often drawn answers of an arm win against those of another one, by the judge."""
        both = [[x.value for (label, _), x in self.said.items() if label == name] for name in (arm, other)]
        return [own.win_rate(a["judged"], b["judged"]) for a, b in zip(*both, strict=False) if a and b]

    def answers_to(self, arm: str, share: float = 0.5) -> list[float]:
        """By seed how many drawn answers it takes until drawn answers to development problems have come so far in manners
        from where DPO ended as random order does at its end; infinite where never."""
        found = []
        for seed, run in self.arms.get(arm, {}).items():
            level_of = self.arms[RANDOM][seed].results
            start, end = (result.history.last("judged") for result in level_of)
            if start is None or end is None:
                return []
            rows = [(0, start), *((row["step"], row["judged"]) for row in run.results[-1].history.evals)]
            found.append(
                crossing(rows, start + share * (end - start)) / self.cfg.updates * self.cfg.queries * self.cfg.samples
            )
        return found


def crossing(rows: list[tuple[float, float]], level: float) -> float:
    """Where a course reaches a level first, between its points as on a line; infinite where it never does.

    >>> crossing([(0, 0.0), (10, 1.0), (20, 2.0)], 1.5)
    15.0
    """
    for (before, low), (after, high) in zip(rows, rows[1:], strict=False):
        if high >= level:
            return before + (after - before) * (level - low) / (high - low) if high > low else float(before)
    return float("inf")


def verdicts(found: Found, dpo: str) -> tuple[Any, ...]:
    """The claims, by the rules of the docstring."""
    known = bool(found.passed(SFT))
    passed = {arm: np.array(found.passed(arm)) for arm in found.arms}
    lost = {arm: np.array(found.each(arm, lambda value: value["bytes"], found.losses)) for arm in (SFT, ADAM, dpo)}
    wins = {pair: found.wins(*pair) for pair in ((BOTH, dpo), (NOISE, dpo), (BOTH, LONGER))}
    needed = {arm: found.answers_to(arm) for arm in (BOTH, RANDOM, UPWARD)}

    def points(more: str, less: str) -> np.ndarray:
        return passed[more] - passed[less] if more in passed and less in passed else np.zeros(0)

    def said(*parts: str) -> str | None:
        return ", ".join(parts) if known else None

    def plus(values: Any, form: str = "+.1%") -> str:
        return shown(values, form) or "" if len(values) else "not measured"

    costs = {arm: lost[arm] - lost[SFT] for arm in (ADAM, dpo)}
    return (
        claim("Offline RL teaches what a program checks", paper="no figure",
              measured=said(f"{dpo} passes {plus(points(dpo, SFT))} over SFT"),
              margin="2 points or more, greedy, mean over seeds", holds=mean(points(dpo, SFT)) >= 0.02),
        claim("Online RL teaches what a reward model judges, and keeps the rest", paper="no figure",
              measured=said(f"wins {plus(wins[BOTH, dpo], '.1%')} against DPO", f"passes {plus(points(BOTH, dpo))}"),
              margin="55 % or more wins of drawn answers by the judge, passing not more than 1 point less",
              holds=mean(wins[BOTH, dpo]) >= 0.55 and mean(points(BOTH, dpo)) >= -0.01),
        claim("The merging optimizer loses less of the base than Adam", paper="no figure in this report",
              measured=said(*(f"{arm}: bytes {plus(costs[arm], '+.3f')} nats over SFT" for arm in (dpo, ADAM)),
                            f"passes {plus(points(dpo, ADAM))}"),
              margin="a smaller loss on held-out bytes, passing not more than 1 point less than after Adam",
              holds=mean(costs[dpo]) < mean(costs[ADAM]) and mean(points(dpo, ADAM)) >= -0.01),
        claim("Queries in order of decreasing variance teach in fewer answers", paper="no figure",
              measured=said(*(f"{arm if arm != BOTH else 'decreasing variance'} {plus(own, '.0f')} answers"
                              for arm, own in needed.items() if own)),
              margin="to half of what random order comes to in manners on development problems, mean over seeds",
              holds=bool(needed[RANDOM]) and mean(needed[BOTH]) < mean(needed[RANDOM])),
        claim("What online RL wins is no luck", paper="ours",
              measured=said(f"with rewards at random wins {plus(wins[NOISE, dpo], '.1%')} against DPO"),
              margin="5 points less than with the reward model",
              holds=bool(wins[NOISE, dpo]) and mean(wins[BOTH, dpo]) - mean(wins[NOISE, dpo]) >= 0.05),
        claim("Both stages of RL are worth more than as many FLOPs of SFT", paper="ours",
              measured=said(f"wins {plus(wins[BOTH, LONGER], '.1%')} against SFT longer",
                            f"passes {plus(points(BOTH, LONGER))}"),
              margin="more than half of the comparisons of drawn answers, and passing no less, greedy",
              holds=mean(wins[BOTH, LONGER]) > 0.5 and mean(points(BOTH, LONGER)) >= 0),
    )  # fmt: skip


def report(found: Found) -> Report:
    """The two axes by arm, what is lost, the reward model, orders of queries, the long stage, and the claims."""
    cfg, arms, dpo = found.cfg, tuple(found.arms), found.merged(found.cfg)
    measures = {
        "passes, greedy": lambda arm: found.passed(arm),
        "passes, drawn": lambda arm: found.passed(arm, "drawn"),
        "wins against SFT": lambda arm: found.wins(arm, SFT),
        "wins against DPO": lambda arm: found.wins(arm, dpo),
    }
    sizes = {"manners": lambda value: float(np.mean(value["judged"])), "tokens": lambda value: value["length"]}
    known = bool(found.passed(SFT))
    made = [(seed, *found.pairs[seed].value["prompts"].tolist(), len(found.pairs[seed].value["chosen"]),
             *labelled.value["counts"].tolist()[:2], tested.value["ordered"], tested.value["passing"])
            for seed, (labelled, tested) in found.judges.items()] if known else []  # fmt: skip
    courses = []
    for arm in (BOTH, RANDOM, UPWARD, NOISE):
        runs = [own_arm.results[-1].history.evals for own_arm in found.arms.get(arm, {}).values()]
        if known and runs:
            at = [[row["judged"] for row in run] for run in runs]
            courses.append((arm, *(float(value) for value in np.mean(at, axis=0)), shown(found.answers_to(arm), ".0f")))
    steps = [row["step"] for row in found.arms[BOTH][cfg.seeds[0]].results[-1].history.evals] if courses else []
    answers = tuple(f"{step // cfg.updates * cfg.queries * cfg.samples} answers" for step in steps)
    return EXPERIMENT.report(
        verdicts(found, dpo),
        link="https://arxiv.org/abs/2412.15115",
        arms=by_seed(found.arms, LONGER if LONGER in arms else SFT),
        tables=(
            table_of_means("Two axes", arms, list(measures), lambda arm, column: measures[column](arm),
                           note="Test problems, in %: right number and constraint; comparisons of 4 drawn answers with 4, "
                           "ties half. Mean ± standard deviation over seeds. DPO is that of the chosen ratio."),
            table_of_means("Answers", arms, list(sizes), lambda arm, column: found.each(arm, sizes[column]), scale=1,
                           digits=2, note="Of drawn answers: the judge's mean, from 1 down, and tokens."),
            table_of_means("Loss on other text", arms, ["bytes", "problems"],
                           lambda arm, column: found.each(arm, lambda value: value[column], found.losses), scale=1, digits=3,
                           note="Held out, nats a token; problems as the base read them."),
            Table("Between the stages", ("seed", "queries", "of mixed answers", "pairs", "labelled", "as without noise",
                  "RM orders", "of passing"), tuple(made), ("", "", "", "", "", "", ".1%", ".1%"),
                  "RM on answers of DPO to development problems: pairs that the judge tells apart, and right and wrong."),
            Table("Manners while queries come in an order", ("arm", *answers, "answers to half"), tuple(courses),
                  ("", *[".2f"] * len(answers), ""), "Drawn answers to development problems, means over seeds; half of "
                  "what random order comes to."),
            Table("The long stage", ("model", "short", "half", "long", "bytes"),
                  tuple((name, *own_made.value.values()) for name, own_made in found.recalled.items()) if known else (),
                  ("", ".1%", ".1%", ".1%", ".3f"), "Recall of numbers by keys, at the base's length, half way to and at "
                  "the long stage's; loss on bytes at the long length."),
            table_of_rates(found.tried, "Rates: by what they were chosen, development problems, first seed"),
        ),
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )  # fmt: skip


NOTES = (
    "One base and one long stage for all seeds; a seed has its own solved problems, queries, answers, orders and RM.",
    "A program stands for the people and models that judge helpfulness; its noisy labels train the RM, never the policy.",
    "SFT longer learns the same solved problems on: queries of RL come with a checker, not with solutions.",
    "The paper's ratios, 1e-7 to 1e-4, are for thousands of steps; here are as few as the pairs give, so larger ones are "
    "tried too. Masks halve Adam's steps: compare a = 0.",
    "RM's pairs are of SFT's and DPO's answers at temperature 1, not of several temperatures. All arms of GRPO of a seed "
    "share one RM, which has seen DPO's answers, also online RL alone.",
    "Charged to an arm: what was drawn, labelled and scored for it, and its other rates; the base to none.",
    "Problems for development and tests are of programs that training never sees; programs may be in both.",
    "pod: 4 x 4096 tokens of context in one stage to 32,768; the other lengths of Turbo are left out; as many answers as "
    "50,000 queries have. Generated problems.",
)

EXPERIMENT = Experiment(
    name="qwen25_offline_online_rl",
    title="Qwen2.5: longer context, SFT, offline and online RL",
    reference="Qwen Team, 2024, arXiv 2412.15115",
    paper=51,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "long", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("qwen25_offline_online_rl")
