"""Tülu 3: fine-tuning, preferences, and reinforcement learning against a verifier, each from the stage before.

Paper    Lambert et al., Tülu 3: Pushing Frontiers in Open Language Model Post-Training, 2024, arXiv 2411.15124
         (dossier 057).
Claim    Each stage of post-training adds to the one before: SFT, DPO with length-normalised log-probabilities, then
         PPO whose only reward is a program that checks the answer. 8B: GSM8K 84.3 after DPO, 87.6 after RLVR.
Method   Base on mixed text (word problems in two wordings, constraints obeyed half the time, bytes of the standard
         library) -> SFT on answer tokens of clean ones -> four answers a prompt, ordered by the verifier, then by
         length -> DPO-norm against cached log-probabilities of the SFT model -> a reward model on the same pairs, which
         only begins the value network -> PPO: 10 where a right answer ends, nothing otherwise, -10 where none ends,
         less a KL penalty by token to the policy that the stage began with. Two skills: the number, and a constraint
         on the form ("end with done", "use exactly 2 steps", "start with total").
         SFT, DPO and RLVR have their rates by greedy answers to prompts kept for it, with the first seed.
         Arms from the same SFT model with as many optimizer steps after it: SFT alone; DPO alone, on pairs for which
         as many tokens were drawn as RLVR draws; SFT + DPO + RLVR; SFT + RLVR.
Run      stagejax run tulu3_sft_dpo_rlvr          laptop: some 21 minutes beside other jobs
         stagejax run tulu3_sft_dpo_rlvr --preset smoke  a minute
         stagejax run tulu3_sft_dpo_rlvr --preset long   also DPO by sums, values from the policy, GRPO, other beta
         stagejax plan tulu3_sft_dpo_rlvr --preset pod --mesh data=16,fsdp=16
Holds if on held-out problems greedy answers are better after every stage (SFT < DPO <= RLVR), RLVR exceeds both DPO's
         stage and the DPO arm of equal budget by 3 points or more in the mean over seeds with a paired 95 % interval
         over prompts above 0, and the loss on bytes rises by less than 5 %.
Ours     Two seeds behind one SFT model, greedy, in %: base 37.1, SFT 60.5, DPO 60.2, RLVR 59.8 ± 1.7 (SFT + RLVR 59.8 ±
         2.2, SFT + DPO 60.4, SFT as long 60.7): neither the order nor 3 points over DPO (-0.4 ± 2.0) hold. Rates that
         move the policy lower validation answers: both lengths of DPO take the least of five, two of them beyond the
         grid, and RLVR the second. Bytes lose 0.5 %: holds. In a run before, at one rate each, the order held by a hair
         (63.3, 64.1, 64.1; on another CPU 62.5, 62.3, 62.7: not), and SFT as long had 70.1.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.data import SEP, CausalText, Mixture, Source, Stdlib
from stagejax.data.pipeline import Data
from stagejax.data.prompts.answers import Answers, PromptedText
from stagejax.data.prompts.constrained import SKILLS, Skills, contents, skills_tokenizer, verified
from stagejax.data.reasoning.problems import PLAIN, UNSEEN, Problems
from stagejax.data.selection.apart import Apart
from stagejax.inference import Frozen
from stagejax.inference.answering import Answering, ask, greedy
from stagejax.inference.prompts.preferring import drawn_tokens, own_pairs, pair_rows
from stagejax.models import Transformer, gpt, llama
from stagejax.models.text.critic import Critic, from_policy
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.rewards.policy_gradient import ClippedPolicy, ClippedValue, bradley_terry
from stagejax.objectives.rewards.preference import Preference
from stagejax.optimizer import adam, adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.search.peak import Peaks, kept_peak
from stagejax.steps.rollout import Answers as Drawn
from stagejax.steps.rollout import ReinforceStep, with_flops

SFT, DPO, FULL, DIRECT = "SFT", "SFT + DPO", "SFT + DPO + RLVR", "SFT + RLVR"
SUMS, FROM_POLICY, GRPO = "SFT + DPO by sums", "RLVR, value from policy", "SFT + DPO + GRPO"


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer
    problems: Problems = field(default_factory=lambda: Problems(steps=(1, 2)))
    unseen: Problems = field(default_factory=lambda: Problems(split="test", steps=(3,), wording=UNSEEN))
    length: int = 76  # tokens of prompt and answer
    prompt: int = 56  # tokens; the longest are those of unseen wording
    limit: int = 25  # tokens of an answer
    mixed: int = 4000  # problems of the base's text, in each wording
    base: tuple[int, int] = (600, 32)  # steps, batch
    sft: tuple[int, int] = (200, 32)
    clean: int = 1000  # problems of SFT
    pairs: int = 400  # prompts with four answers each
    dpo_batch: int = 16
    dpo_steps: int = 30
    reward_steps: int = 30
    rounds: int = 60
    prompts: int = 32  # of a round
    updates: int = 2  # optimizer steps on the answers of a round
    rates: tuple[float, float] = (3e-3, 3e-5)  # base, reward model
    peaks: tuple[tuple[float, ...], ...] = ((1e-4, 3e-4, 1e-3), *[(3e-5, 1e-4, 3e-4)] * 2)  # SFT, DPO, RLVR
    beta: float = 0.05
    tests: int = 256  # prompts of each split
    test_batch: int = 64
    arms: tuple[str, ...] = (SFT, DPO, FULL, DIRECT)
    betas: tuple[float, ...] = ()  # further ones of RLVR
    seeds: tuple[int, ...] = (0, 1)

    @property
    def rl_steps(self) -> int:
        return self.rounds * self.updates


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, with more arms, or at the paper's scale."""
    net = gpt(vocab=skills_tokenizer().vocab, embed=64, layers=3, heads=4, mlp=256, length=76)
    if name == "smoke":
        one, other = Problems(size=64, steps=(1,)), Problems(split="test", steps=(1,), wording=UNSEEN)
        sizes = {"mixed": 200, "base": (120, 16), "sft": (150, 16), "clean": 150, "pairs": 32, "dpo_batch": 8}
        sizes |= {"dpo_steps": 4, "reward_steps": 4, "rounds": 3, "prompts": 8, "tests": 32, "test_batch": 32}
        rows = {"limit": 16, "length": 64, "prompt": 48, "arms": (SFT, DPO, FULL, DIRECT, GRPO), "seeds": (0,)}
        rows |= {"rates": (1e-2, 1e-4), "peaks": ((5e-3,), (1e-4, 3e-4), (1e-4,))}
        small = replace(net, embed=32, layers=2, mlp=64, length=64)
        return Config(small, one, other, **sizes, **rows)
    if name == "long":
        arms = (SFT, DPO, FULL, DIRECT, SUMS, FROM_POLICY, GRPO)
        return Config(net, arms=arms, betas=(0.01, 0.1), seeds=(0, 1, 2), rounds=100, prompts=64)
    if name == "pod":
        sizes = {"embed": 4096, "layers": 32, "heads": 32, "kv_heads": 8, "mlp": 14_336, "rotary_theta": 5e5}
        large = llama(vocab=128_256, scan=True, remat="full", **sizes)
        how = {"length": 4096, "prompt": 2048, "limit": 2048, "base": (1, 256), "sft": (7339, 256), "clean": 939_344}
        more = {"pairs": 354_192, "dpo_batch": 256, "dpo_steps": 1384, "reward_steps": 1384, "rounds": 391}
        rest = {"prompts": 256, "test_batch": 256, "updates": 4, "arms": (FULL,), "seeds": (0,)}
        rest |= {"rates": (5e-6, 3e-6), "peaks": ((5e-6,), (5e-7,), (3e-7,))}
        return Config(large, **how, **more, **rest)
    return Config(net)


# --- data ---


def train_source(cfg: Config, size: int, seed: int) -> Skills:
    return Skills(replace(cfg.problems, size=size, seed=seed))


def splits(cfg: Config) -> dict[str, Source]:
    """Held-out prompts: of the known wording; of one unseen in post-training, with a step more; and to choose by."""
    dev = Skills(replace(cfg.problems, split="test", size=cfg.tests, seed=101))
    unseen = Skills(replace(cfg.unseen, size=cfg.tests, seed=102))
    more = Skills(replace(dev.problems, size=2 * cfg.tests, seed=103))
    return {"dev": dev, "unseen": unseen, "choice": Apart(more, (dev,), "program")}


def prompts(cfg: Config, source: Source, batch: int, **fields: Any) -> PromptedText:
    beside = ("skill", "wanted")
    return PromptedText(
        source=source, tokenizer=skills_tokenizer(), batch=batch, length=cfg.prompt, beside=beside, **fields
    )


def base_data(cfg: Config) -> Data:
    """Problems in both wordings and up to one step more, sloppy about constraints, and bytes."""
    size, steps = cfg.mixed, (*cfg.problems.steps, max(cfg.problems.steps) + 1)
    how = {"tokenizer": skills_tokenizer(), "batch": cfg.base[1], "length": cfg.length - 1, "prompts": True}
    mixed = [Problems(size=size, steps=steps, wording=w, seed=11 + i) for i, w in enumerate((PLAIN, UNSEEN))]
    texts = [Answers(source=Skills(problems, 0.5), seed=i, **how) for i, problems in enumerate(mixed)]
    return Mixture(parts=(*texts, raw_bytes(cfg)), weights=(2, 1, 1))


def raw_bytes(cfg: Config) -> CausalText:
    """The non-target text: the standard library byte by byte."""
    how = {"tokenizer": skills_tokenizer(raw=True), "batch": cfg.base[1], "length": cfg.length - 1}
    return CausalText(source=Stdlib(limit=1_000_000), **how)


# --- stages ---


def pipeline(run: Any, cfg: Config) -> Report:
    """Base and SFT once, then every arm for every seed, and what they answer."""
    clean = run.make("decontamination", decontaminated, cfg)
    peaks: Peaks = {}

    def best(name: str, stage: Stage, rates: tuple[float, ...], start: Any) -> Any:
        return kept_peak(run, peaks, name, stage, rates, start=start, score=wrong_answers, beyond=2)[0]

    (sft_rates, dpo_rates, rl_rates), optimizer = cfg.peaks, adamw(cfg.rates[0], warmup=0.05, clip=1.0)
    base = run.train(
        Stage("base", cfg.net, causal_lm, optimizer, base_data(cfg), cfg.base[0], evaluate=greedy_tests(cfg))
    )
    sft = best(SFT, tuning(cfg, "sft", cfg.sft[0], 0), sft_rates, base)
    found: dict[str, dict[int, Any]] = {arm: {} for arm in (*cfg.arms, *map(named, cfg.betas))}
    stages: dict[int, Any] = {}
    for seed in cfg.seeds:
        at = f"{seed}/{{}}".format
        pairs = made_pairs(run, cfg, at("pairs"), sft, cfg.pairs, seed)
        dpo = best("stage DPO", preferring(cfg, at("dpo"), pairs, cfg.dpo_steps, seed), dpo_rates, sft)
        more = made_pairs(run, cfg, at("more-pairs"), sft, sampled_prompts(cfg), seed + 50) if DPO in cfg.arms else None
        reward = replace(preferring(cfg, at("reward"), pairs, cfg.reward_steps, seed), model=Critic(cfg.net))
        fields = {"objective": bradley_terry, "optimizer": adam(cfg.rates[1], decay="linear"), "evaluate": None}
        reward = run.train(replace(reward, handover=Handover(params=from_policy), **fields), sft)
        stages[seed] = {"SFT": sft, "DPO": dpo}
        total = cfg.dpo_steps + cfg.rl_steps
        for arm in found:
            if arm == SFT:
                last = best(SFT, tuning(cfg, at("sft-more"), total, seed), sft_rates, sft)
                found[arm][seed] = (last,), others(peaks, SFT, sft)
            elif arm in (DPO, SUMS):
                loss = Preference(0.1) if arm == SUMS else Preference(5.0, mean=True)
                stage = preferring(cfg, at("dpo-long" if arm == DPO else "dpo-sums"), more, total, seed)
                last = best(arm, replace(stage, objective=loss), dpo_rates, sft)
                found[arm][seed] = (last,), (more, *others(peaks, arm, last))
            else:
                direct = arm == DIRECT
                policy, steps = (sft, total // cfg.updates * cfg.updates) if direct else (dpo, cfg.rl_steps)
                beta = next((b for b in cfg.betas if named(b) == arm), cfg.beta)
                stage = reinforced(cfg, at(slug(arm)), steps, seed, beta, arm == GRPO)
                start = {"policy": policy, "reference": policy}
                if arm != GRPO:
                    start["value"] = reward
                if arm == FROM_POLICY:
                    start["value"], stage = policy, replace(stage, handover=Handover(params=from_policy))
                searched = GRPO if arm == GRPO else "RLVR"
                last = best(searched, stage, rl_rates, start)
                own, tried = ((last,) if direct else (dpo, last)), (searched,) if direct else ("stage DPO", searched)
                charged = (pairs,) if arm in (GRPO, FROM_POLICY) else (pairs, reward)
                found[arm][seed] = own, (*charged, *(net for name in tried for net in others(peaks, name, *own)))
    scores = {}
    for name, seed, result in scored_states(cfg, found, stages):
        flops = 2 * cfg.tests * answer_flops(cfg)
        scores[name, seed] = run.make(f"{seed}/scores/{slug(name)}", scored, cfg, result, flops=flops)
    scores["base", cfg.seeds[0]] = run.make("scores/base", scored, cfg, base)
    return report(cfg, found, scores, clean, peaks)


def wrong_answers(net: Any) -> float:
    """The share of the prompts that choose."""
    return 1 - net.history.last("accuracy")


def others(peaks: Peaks, name: str, *own: Any) -> tuple[Any, ...]:
    """What a search has trained beside an arm's own stages: all that have its rate owe it."""
    return tuple(net for net in peaks[name].spent if all(net is not stage for stage in own))


def named(beta: float) -> str:
    return f"RLVR, beta = {beta}"


def sampled_prompts(cfg: Config) -> int:
    """Prompts for as many answers, four each, as the pairs of DPO and RLVR draw together."""
    return cfg.pairs + cfg.rounds * cfg.prompts // 4


def scored_states(cfg: Config, found: Any, stages: Any) -> Iterator[tuple[str, int, Any]]:
    yield "stage SFT", cfg.seeds[0], stages[cfg.seeds[0]]["SFT"]
    for seed in cfg.seeds:
        yield "stage DPO", seed, stages[seed]["DPO"]
        for arm, own in found.items():
            last = own[seed][0][-1]
            yield arm, seed, last.member("policy") if isinstance(last.model, dict) else last


def tuning(cfg: Config, name: str, steps: int, seed: int) -> Stage:
    """SFT on the answers of clean problems, in an order of the seed's own."""
    how = {"tokenizer": skills_tokenizer(), "batch": cfg.sft[1], "length": cfg.length - 1, "seed": seed}
    data = Answers(source=train_source(cfg, cfg.clean, 21), **how)
    optimizer = adam(cfg.peaks[0][0], warmup=0.03, decay="linear")
    return Stage(name, cfg.net, causal_lm, optimizer, data, steps, evaluate=greedy_tests(cfg), seed=seed)


def preferring(cfg: Config, name: str, pairs: Any, steps: int, seed: int) -> Stage:
    """DPO-norm on pairs, with the reference's log-probabilities beside them."""
    data = pair_rows(pairs, cfg.length, cfg.dpo_batch, seed)
    optimizer = adam(cfg.peaks[1][0], warmup=0.1, decay="linear")
    loss, tests = Preference(5.0, mean=True), greedy_tests(cfg)
    return Stage(name, cfg.net, loss, optimizer, data, steps, evaluate=tests, seed=seed)


def reinforced(cfg: Config, name: str, steps: int, seed: int, beta: float, grouped: bool) -> Stage:
    """PPO with a value network, or GRPO with as many answers to a quarter of the prompts."""
    n = 4 if grouped else 1
    optimizer = adam(cfg.peaks[2][0], decay="linear", eps=1e-5)
    models = {"policy": cfg.net, "reference": cfg.net, "value": Critic(cfg.net)}
    models |= {"answers": Drawn(cfg.prompts, cfg.length)}
    losses = {"policy": ClippedPolicy(kl=0.01) if grouped else ClippedPolicy(), "value": ClippedValue()}
    kept = [name for name in models if not (grouped and name == "value")]
    source = train_source(cfg, max(len(cfg.problems), cfg.prompts), 41 + seed)
    stage = Stage(
        name,
        {name: models[name] for name in kept},
        {name: losses.get(name) for name in kept},
        {name: optimizer if name in losses else None for name in kept},
        prompts(cfg, source, cfg.prompts // n, repeat=cfg.updates, seed=seed),
        steps,
        ReinforceStep(
            verified, cfg.updates, n, ((SEP,),), cfg.limit, beta=beta, unended=0.0 if grouped else -10.0
        ),
        evaluate=greedy_tests(cfg),
        seed=seed,
    )  # fmt: skip
    return with_flops(stage)


# --- answers ---


def answering(cfg: Config) -> Answering:
    return Answering(verified, cfg.length, cfg.limit, ((SEP,),))


@functools.cache
def answer_flops(cfg: Config) -> float:
    return answering(cfg).flops(cfg.net, cfg.prompt)


def held_out(cfg: Config, split: str) -> PromptedText:
    """All prompts of a split."""
    return prompts(cfg, splits(cfg)[split], cfg.test_batch, count=cfg.tests // cfg.test_batch)


def greedy_tests(cfg: Config) -> Evaluation:
    """Greedy answers to the prompts that choose, at the end of a stage."""
    data = held_out(cfg, "choice")
    return Evaluation(data, data.count, None, answering(cfg), flops=data.batch * answer_flops(cfg))


def loss_on(model: Any, batch: Any) -> Any:
    return causal_lm(model, batch, None)[1]["loss"]


def made_pairs(run: Any, cfg: Config, name: str, sft: Any, count: int, seed: int) -> Any:
    """Pairs of answers of SFT as a durable artifact; four answers to each prompt are charged."""
    data = prompts(cfg, train_source(cfg, count, 31 + seed), min(64, count), seed=seed)
    flops = 4.0 * count * answer_flops(cfg)
    return run.make(name, own_pairs, sft, data, answering(cfg), seed, flops=flops, sampled_tokens=drawn_tokens)


def scored(cfg: Config, result: Any) -> dict[str, Any]:
    """Verdicts on every prompt of the tests with its skill, the first answers as text, and the loss on bytes."""
    net, code, found = Frozen.of(result), skills_tokenizer(), {}
    for split in ("dev", "unseen"):
        right, texts, skills = [], [], []
        for batch in held_out(cfg, split).batches():
            answers, verdict = ask(greedy, net, batch, answering(cfg))
            right += verdict[:, 0].tolist()
            skills += batch["skill"].tolist()
            rows = zip(answers.tokens_BNS[:, 0], answers.starts_BN[:, 0], answers.ends_BN[:, 0], strict=True)
            texts += [[code.decode(row[:begin]), code.decode(row[begin:end])] for row, begin, end in rows]
        found[split] = {"right": right, "skill": skills, "texts": texts[:4]}
    losses = [ask(loss_on, net, batch) for batch in raw_bytes(cfg).held_out(2).batches()]
    return found | {"bytes": float(sum(t for t, _ in losses) / sum(n for _, n in losses))}


def decontaminated(cfg: Config) -> dict[str, int]:
    """No prompt that is trained on, nor the program of its problem, is one that is tested.

    Raises:
      ValueError: one is.
    """
    sources = [part.source for part in base_data(cfg).parts[:2]] + [train_source(cfg, cfg.clean, 21)]
    for seed in cfg.seeds:
        sources += [train_source(cfg, cfg.pairs, 31 + seed), train_source(cfg, sampled_prompts(cfg), 81 + seed)]
        sources.append(train_source(cfg, max(len(cfg.problems), cfg.prompts), 41 + seed))
    trained, tested = contents(sources), contents(splits(cfg).values())
    if trained & tested:
        raise ValueError(
            f"{len(trained & tested)} prompts or programs are trained on and tested: {min(trained & tested)!r}"
        )
    return {"trained": len(trained), "tested": len(tested), "shared": 0}


# --- report ---


def report(cfg: Config, found: dict[str, Any], scores: dict[Any, Any], clean: Any, peaks: Peaks) -> Report:
    """Answers by stage and arm on both splits, rates, KL, examples and the claims."""

    def over(name: str, read: Any) -> list[Any]:
        return [read(made.value) for (own, _), made in scores.items() if own == name and made.value]

    def rate(split: str, skill: int | None = None) -> Any:
        return lambda v: float(
            np.mean([r for r, s in zip(v[split]["right"], v[split]["skill"], strict=True) if skill in (None, s)])
        )

    def bytes_lost(v: Any) -> float:
        return v["bytes"]

    def ahead(other: str) -> tuple[float, float]:
        """RLVR less another, on the same prompts: the mean, and half of its 95 % interval."""
        ours, theirs = (over(name, lambda v: v["dev"]["right"]) for name in (FULL, other))
        if not ours or not theirs:
            return float("nan"), float("nan")
        gain = np.mean(ours, axis=0) - np.mean(theirs, axis=0)
        return float(gain.mean()), float(1.96 * gain.std(ddof=1) / len(gain) ** 0.5)

    names = ("base", "stage SFT", "stage DPO", *found)
    sft, dpo, rl = (mean(over(name, rate("dev"))) for name in ("stage SFT", "stage DPO", FULL))
    gains = {name: ahead(name) for name in ("stage DPO", *([DPO] if DPO in found else []))}
    worse = mean(over(FULL, bytes_lost)) / mean(over("base", bytes_lost)) - 1
    tested = not np.isnan(rl)
    claims = (
        claim(
            "Every stage of post-training answers more held-out problems right",
            paper="GSM8K, 8B: 84.3 after DPO, 87.6 after RLVR",
            measured=f"SFT {sft:.1%}, DPO {dpo:.1%}, RLVR {rl:.1%}" if tested else None,
            margin="SFT < DPO <= RLVR, greedy, mean over seeds",
            holds=sft < dpo <= rl,
        ),
        claim(
            "Rewards of a verifier add to preferences",
            paper="+3.3 points on GSM8K, +1.7 on MATH",
            measured=", ".join(f"over {n} {g:+.1%} ± {h:.1%}" for n, (g, h) in gains.items()) if tested else None,
            margin="3 points or more over DPO's stage and over DPO at equal budget, paired 95 % intervals above 0",
            holds=all(g >= 0.03 and g > h for g, h in gains.values()),
        ),
        claim(
            "What is not trained for is kept",
            paper="the other skills stay in the average",
            measured=worse,
            unit="%",
            margin="the loss on bytes of the standard library rises by less than 5 % from the base to RLVR",
            holds=worse < 0.05,
        ),
    )
    columns = {"dev": rate("dev"), "unseen": rate("unseen")} | {SKILLS[k]: rate("dev", k) for k in range(4)}
    history = {arm: [own[0][-1].history.train for own in seeds.values()] for arm, seeds in found.items()}
    shown = ("reward", "kl", "ended", "answer_length")
    learned = tuple(
        (arm, *(float(np.mean([h[what][-1] for h in own])) for what in shown))
        for arm, own in history.items()
        if own and all("kl" in h for h in own)
    )
    texts = tuple(
        (name, question, answer)
        for name in ("stage SFT", "stage DPO", FULL)
        for value in over(name, lambda v: v["dev"]["texts"])[:1]
        for question, answer in value
    )
    arms = {arm: {seed: Arm("", *own) for seed, own in seeds.items()} for arm, seeds in found.items()}
    checked = "" if clean.value is None else f"{clean.value['trained']} prompts and programs of training and " \
        f"{clean.value['tested']} of evaluation: {clean.value['shared']} shared."  # fmt: skip
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2411.15124",
        arms=by_seed(arms, cfg.arms[0]),
        tables=(
            table_of_means("Right answers, held out", names, list(columns), lambda n, c: over(n, columns[c])),
            table_of_means("Loss on bytes", names, ["nats"], lambda n, _: over(n, bytes_lost), scale=1.0,
                           digits=3, note="Of the standard library's held-out text, nats a byte."),
            Table("Learning rates", ("search", "tried", "wrong answers", "chosen", "at an end"),
                  tuple((name, *rate.cells) for name, rate in peaks.items()), note="With the first seed."),
            Table("The last round of RLVR", ("arm", "reward", "KL to the start", "ended", "tokens"), learned,
                  ("", ".1%", ".3f", ".1%", ".1f"), "KL in nats an answer, as the k1 estimate."),
            Table("Greedy answers", ("model", "prompt", "answer"), texts),
        ),
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=(*NOTES, checked),
    )  # fmt: skip


NOTES = (
    "One base and one SFT model for all seeds; a seed draws its own pairs, prompts, answers and orders.",
    "Answers are drawn by the policy as it is, not one step before; the value behind an answer's end is 0.",
    "A constraint is judged by its predicate alone, as in the paper; the number then does not count.",
    "Problems have one or two steps, so that prompt and answer fit into 76 tokens; unseen ones have three.",
    "The length of base and SFT was chosen by what SFT alone answers, before DPO or RLVR had been run at this size.",
    "Rates of SFT, of both lengths of DPO and of RLVR are chosen by greedy answers to prompts of their own split, of "
    "which no program is tested; SFT goes on at SFT's, SFT + RLVR has RLVR's. Those of base and reward are set.",
    "svamp and gsm8k are not tested: with one token a word of a closed vocabulary they cannot be written.",
    "pod: batches of 128 and 224 are 256, for 256 devices; prompts are of the generated problems.",
)

EXPERIMENT = Experiment(
    name="tulu3_sft_dpo_rlvr",
    title="Tülu 3: SFT, DPO and RL with verifiable rewards",
    reference="Lambert et al., 2024, arXiv 2411.15124",
    paper=57,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "long", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("tulu3_sft_dpo_rlvr")
