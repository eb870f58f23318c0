"""Skill-It: mixture weights that follow a learned graph of skills and what is not learned yet.

Paper    Chen et al., Skill-it! A Data-Driven Skills Framework for Understanding and Training Language Models, NeurIPS
         2023, arXiv 2307.14430 (dossier 046).
Claim    On LEGO Skill-It is 36.5 points of accuracy above random sampling (99.4 % at the end), and half-way 9.9 to 25.9
         points above the other samplers; on Natural Instructions its loss is 3.2 % below random's.
Method   Skill i asks for the i-th variable of a chain of assignments. Short runs on each skill alone and on each pair,
         half and half and of as many steps, from the same start, make the graph: an edge i -> j where the loss on j
         ends lower with i than alone; 1 on the diagonal, 0.5 on edges. Then rounds of training, segments of one run
         with one optimizer and one schedule: the shares of a round are exp(eta sum of A L over the last w evaluations),
         L the held-out loss of each skill; the first round takes all losses as 1. Only the data changes from round to
         round, so all arms share one compiled step. The start, a pre-trained model in the paper, is a short run on
         chains of one clause.
Run      stagejax run skill_it                              laptop: three skills, one seed, 16 minutes beside other work
         stagejax run skill_it --clauses 4 --shares 1 1 2 4 --steps 1200 --seeds 0 1 2        the dossier's full size
         stagejax run skill_it --task sums                  digits of sums; again three skills
         stagejax run skill_it --preset smoke               seconds
         stagejax plan skill_it --preset pod --mesh data=16,fsdp=16
Holds if half-way or at the end Skill-It (eta 0.5) has a mean held-out loss per skill, over seeds, that is not above
         stratified sampling's and at least 10 % below that of random (imbalanced) sampling. Then again with the graph's
         cost charged: Skill-It's last evaluation within the FLOPs that these two spend.
Ours     Neither holds with three skills and one seed, and the run says little: 600 steps learn hardly any of them in a
         mixture, at the best of four rates for stratified sampling (4e-3). Mean loss per skill half-way Skill-It 0.646,
         stratified 0.645, random 0.643; at the end 0.626, 0.625, 0.640, with accuracies of 0.68. Skill 1, alone learned
         in 200 steps (loss 0.01), ends in mixtures at 0.41 to 0.53 of 0.69 nats of chance. Of the graph's six edges one
         is found, skill 1 helps 2, and it costs more than an arm. The curricula are last half-way (1.779, 1.871); at
         the end the one is ahead of all (0.589), the other last (0.657). A run before, at 2e-3 and with weights by the
         rows that all are judged on, had no edge: at the end Skill-It 0.593, stratified 0.577, random 0.663. The full
         size, run before whole rows were learned (answers alone): 0.663, 0.617, 0.669 at the end of 1200 steps, chance
         again but for two seeds of stratified (0.595). Stratified sampling for 2400 steps, or after 600 to 1000 steps
         on looking values up, stays there (one seed); what the paper's pre-trained model of 125M brings along may be
         what is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import TFDS, Bytes, CausalText, Source
from stagejax.data.published import C4
from stagejax.data.reasoning.skills import Lego, Sums
from stagejax.data.selection.rounds import Pool, Round, linear_pool
from stagejax.data.selection.weights import ExponentialWeights, FixedWeights, MixtureWeights, counts_of, skill_graph
from stagejax.handover import Handover
from stagejax.inference import Frozen, apply, flops_of_one
from stagejax.models import gpt
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.loss import cross_entropy
from stagejax.objectives.text.skills import by_skill
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, claim, curve, table_of_means
from stagejax.search.lowest import Lowest
from stagejax.search.peak import best_peak
from stagejax.steps.side_by_side import side_by_side, side_by_side_flops

SKILL_IT, SLOWER, STRATIFIED, RANDOM = "Skill-It", "Skill-It, eta 0.1", "stratified", "random"
EASY, HARD, NO_GRAPH, FULL_GRAPH = "curriculum", "anticurriculum", "Skill-It, A = identity", "Skill-It, A = ones"
ARMS = (SKILL_IT, SLOWER, STRATIFIED, RANDOM, EASY, HARD, NO_GRAPH, FULL_GRAPH)
CARRY = Handover(moments="carry", schedule="carry")
GRAPHS = {
    "lego": "LEGO, five skills: skill 2 helps 1, 3 and 4",
    "sums": "addition: skill 2 helps 1",
    "text": "Natural Instructions: 42.7 % of all edges",
}


@dataclass(frozen=True)
class Size:
    """A decoder."""

    embed: int = 64
    layers: int = 3
    heads: int = 4


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    task: Literal["lego", "sums", "text"] = "lego"
    clauses: int = 3  # of LEGO, as many as skills
    sources: tuple[Source, ...] = ()  # of text, each a skill
    vocab: int = 37  # tokens; 37 are those of LEGO and enough for sums; of text, bytes
    shares: tuple[float, ...] = (1, 1, 2)  # of the skills in random sampling
    arms: tuple[str, ...] = ARMS
    size: Size = Size()
    graph_size: Size | None = None  # of the model that learns the graph; None: the same
    length: int = 28  # tokens in a row
    batch: int = 64  # rows
    steps: int = 600  # of training, over all rounds
    rounds: int = 6
    every: int = 25  # steps between evaluations
    window: int = 3  # evaluations that the weights look at
    eta: float = 0.5
    start: int = 100  # steps of the start
    graph: int = 200  # steps of each of the graph's runs
    peak: float = 2e-3  # learning rate of the start
    peaks: tuple[float, ...] = (1e-3, 2e-3, 4e-3)  # of all else: what suits stratified sampling best
    tested: int = 256  # held-out rows of each skill
    seeds: tuple[int, ...] = field(default=(0,))

    @property
    def skills(self) -> int:
        return {"lego": self.clauses, "sums": 3, "text": len(self.sources)}[self.task]


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        return Config(
            clauses=2, shares=(1, 2), size=Size(16, 1, 2), length=19, batch=8, steps=24, rounds=3, every=4, start=6,
            graph=6, tested=16, peaks=(2e-3,),
        )  # fmt: skip
    if name == "pod":
        return Config(
            task="text", sources=(C4, TFDS("wiki40b/en"), TFDS("lm1b")), vocab=Bytes().vocab,
            shares=(8, 3, 1),
            arms=(SKILL_IT, STRATIFIED, RANDOM, NO_GRAPH), size=Size(2048, 24, 16), graph_size=Size(768, 12, 12),
            length=2048, batch=512, steps=6000, rounds=6, every=50, start=1000, graph=500, peak=2e-4, peaks=(2e-4,),
            tested=512,
        )  # fmt: skip
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """The rate and the graph, once; then every arm from the same start, for every seed."""
    small = cfg.graph_size or cfg.size
    starts = {seed: run.train(starting(cfg, f"{seed}/start", cfg.size, seed)) for seed in cfg.seeds}
    source = run.train(starting(cfg, "graph/start", small, cfg.seeds[0]))
    rate = searched(run, cfg, starts[cfg.seeds[0]])
    cfg = replace(cfg, peak=rate.best)
    stage = graph_stage(cfg, small)
    flops = side_by_side_flops(stage, len(pairs(cfg.skills))) if getattr(run, "price", True) else 0.0
    measured = run.make("graph/losses", influence, cfg, stage, source, flops=float(flops))
    graph = learned(cfg, measured.value)
    found: dict[str, list[Arm]] = {}
    for seed, start in starts.items():
        rankings = pool(run, cfg, seed, start) if {EASY, HARD} & set(cfg.arms) else None
        for label in cfg.arms:
            charged = [start, *rate.spent]
            if label in (SKILL_IT, SLOWER):
                charged += [measured] if source.fingerprint == start.fingerprint else [source, measured]
            if label in (EASY, HARD):
                assert rankings is not None
                charged.append(rankings[1])
                data = partial(opened, cfg, seed, *rankings, label)
            else:
                data = partial(mixed, cfg, seed, weights_of(cfg, graph)[label])
            results = segments(run, cfg, f"{seed}/{slug(label)}", seed, start, data)
            found.setdefault(label, []).append(Arm(label, results, tuple(charged)))
    return report(cfg, found, measured.value, graph, rate)


def searched(run: Any, cfg: Config, start: Any) -> Lowest:
    """The learning rate of stratified sampling, by rows that no arm is judged on; all arms take it."""
    seed, steps = cfg.seeds[0], cfg.steps // cfg.rounds * cfg.rounds
    counts = counts_of((1 / cfg.skills,) * cfg.skills, steps * cfg.batch)
    data = Round(parts=skills_of(cfg, seed), counts=counts, batch=cfg.batch, seed=seed)
    pilot = recipe(cfg, "rate", cfg.size, data, steps, seed)

    def loss(result: Any) -> float:
        return float(np.mean([result.history.last(name) for name in seen(cfg)]))

    return best_peak(run, pilot, cfg.peaks, start=start, score=loss, beyond=2)


# --- skills and stages ---


def skills_of(cfg: Config, seed: int, split: str = "train", answer_only: bool = False) -> tuple[Any, ...]:
    """The data of each skill. Of puzzles every word is learned, as by a language model; the answer alone is tested."""
    rows = {"batch": cfg.batch, "length": cfg.length, "seed": seed}
    if cfg.task != "text":
        rows |= {"split": split, "answer_only": answer_only or split == "test"}
    if cfg.task == "lego":
        return tuple(Lego(skill=i, clauses=cfg.clauses, **rows) for i in range(cfg.skills))
    if cfg.task == "sums":
        return tuple(Sums(skill=i, **rows) for i in range(cfg.skills))
    return tuple(CausalText(source=source.of_split(split), tokenizer=Bytes(), **rows) for source in cfg.sources)


def recipe(cfg: Config, name: str, size: Size, data: Any, steps: int, seed: int, horizon: int | None = None) -> Stage:
    """A decoder on rows of skills, evaluated skill by skill on held-out rows: what all stages share.

    Twice as many as are reported: the second half of every skill's rows is what weights, graph and rates go by.
    """
    both = 2 * cfg.skills
    starts = (0,) * cfg.skills + (cfg.tested,) * cfg.skills
    held = Round(parts=2 * skills_of(cfg, 0, "test"), counts=(cfg.tested,) * both, starts=starts, batch=cfg.tested)
    sizes = {"embed": size.embed, "layers": size.layers, "heads": size.heads, "mlp": 4 * size.embed}
    return Stage(
        name=name,
        model=gpt(vocab=cfg.vocab, length=cfg.length, **sizes),
        objective=causal_lm,
        optimizer=adamw(cfg.peak, warmup=0.05, decay="linear", clip=1.0, horizon=horizon),
        data=data,
        steps=steps,
        evaluate=Evaluation(held, both, cfg.every, partial(by_half, skills=cfg.skills)),
        seed=seed,
    )


def by_half(model: Any, batch: Any, key: Any, *, skills: int) -> Any:
    """`by_skill` of both halves of the held-out rows; loss and accuracy are those of the first, which is reported."""
    metrics = by_skill(model, batch, key, skills=2 * skills)[1]
    weights = batch.get("weights", jnp.ones(batch["targets"].shape)) * (batch["skill"] < skills)[:, None]
    loss, reported = causal_lm(model, {**batch, "weights": weights}, key)
    return loss, {**metrics, **reported}


def starting(cfg: Config, name: str, size: Size, seed: int) -> Stage:
    """What stands for the pre-trained model: chains of a single clause, or all skills alike."""
    one = Lego(clauses=1, batch=cfg.batch, length=cfg.length, seed=seed)
    parts = (one,) if cfg.task == "lego" else skills_of(cfg, seed + 1000)
    counts = counts_of((1 / len(parts),) * len(parts), cfg.start * cfg.batch)
    return recipe(cfg, name, size, Round(parts=parts, counts=counts, batch=cfg.batch, seed=seed), cfg.start, seed)


def segments(
    run: Any, cfg: Config, name: str, seed: int, start: Any, data: Callable[[tuple[Any, ...]], Any]
) -> tuple[Any, ...]:
    """The rounds of one run, each on what `data` makes of the rounds before it."""
    done: tuple[Any, ...] = ()
    for number in range(cfg.rounds):
        steps = cfg.steps // cfg.rounds
        stage = recipe(cfg, f"{name}/{number + 1}", cfg.size, data(done), steps, seed, horizon=steps * cfg.rounds)
        done = (*done, run.train(replace(stage, handover=CARRY) if done else stage, done[-1] if done else start))
    return done


def mixed(cfg: Config, seed: int, weights: MixtureWeights, done: tuple[Any, ...]) -> Round:
    """The next round of a mixture: its shares from all evaluations so far, its samples those that come next."""
    for losses in evaluations(cfg, done):
        weights = weights.observe(losses)
    counts = counts_of(weights.p, cfg.steps // cfg.rounds * cfg.batch)
    starts = np.sum([result.stage.data.counts for result in done], axis=0).tolist() if done else [0] * cfg.skills
    return Round(parts=skills_of(cfg, seed), counts=counts, starts=tuple(starts), batch=cfg.batch, seed=seed)


def evaluations(cfg: Config, done: tuple[Any, ...]) -> list[list[float]]:
    """The held-out losses of every skill after each evaluation; a round's first is the last of the round before."""
    rows = [row for result in done for row in result.history.evals if row["step"] > 0]
    return [[row[name] for name in seen(cfg)] for row in rows]


def weights_of(cfg: Config, graph: tuple[tuple[float, ...], ...]) -> dict[str, MixtureWeights]:
    """How each arm's mixture begins, and moves."""
    k = cfg.skills
    own = partial(ExponentialWeights, eta=cfg.eta, window=cfg.window)
    identity = tuple(tuple(row) for row in np.eye(k).tolist())
    return {
        SKILL_IT: own(graph=graph),
        SLOWER: own(graph=graph, eta=0.1),
        NO_GRAPH: own(graph=identity),
        FULL_GRAPH: own(graph=((1.0,) * k,) * k),
        STRATIFIED: FixedWeights((1,) * k),
        RANDOM: FixedWeights(cfg.shares),
    }


# --- the graph ---


def graph_stage(cfg: Config, size: Size) -> Stage:
    """What each of the graph's runs does, on data of its own."""
    data = Round(
        parts=skills_of(cfg, 2000), counts=pairs(cfg.skills, cfg.graph * cfg.batch)[0], batch=cfg.batch, seed=2000
    )
    return recipe(cfg, "graph", size, data, cfg.graph, 0)


def pairs(skills: int, samples: int = 2) -> list[tuple[int, ...]]:
    """Samples of each skill in each run: on i and j for i <= j, half and half. The pair (j, i) is the same run."""
    halves = [(i, j) for i in range(skills) for j in range(i, skills)]
    return [tuple(samples // 2 * ((k == i) + (k == j)) for k in range(skills)) for i, j in halves]


def influence(cfg: Config, stage: Stage, start: Any) -> dict[str, np.ndarray]:
    """The held-out loss on every skill after each of the runs, all of them in one program."""
    counts = pairs(cfg.skills, cfg.graph * cfg.batch)
    _, scores = side_by_side(stage, [replace(stage.data, counts=own) for own in counts], start)
    return {"losses": np.stack([scores[name] for name in seen(cfg)], axis=1)}


def pairwise(cfg: Config, value: dict[str, np.ndarray]) -> np.ndarray:
    """[i, j]: the loss on j after training on i and j; on the diagonal, on j alone."""
    found = np.zeros((cfg.skills, cfg.skills))
    for own, losses in zip(pairs(cfg.skills), value["losses"], strict=True):
        i, j = np.flatnonzero(own)[[0, -1]]
        found[i, j], found[j, i] = losses[j], losses[i]
    return found


def learned(cfg: Config, value: dict[str, np.ndarray] | None) -> tuple[tuple[float, ...], ...]:
    """The graph; without edges while planning."""
    if value is None:
        return tuple(tuple(row) for row in np.eye(cfg.skills).tolist())
    found = pairwise(cfg, value)
    return skill_graph(np.diag(found), found)


# --- curriculum ---


def answer_loss(model: Any, rows: jax.Array) -> jax.Array:
    """The loss on the answer of each row, given as (B, 3, T): tokens, targets and weights."""
    losses_BT, _ = cross_entropy(model(rows[:, 0]), rows[:, 1])
    return (losses_BT * rows[:, 2]).sum(-1) / rows[:, 2].sum(-1)


def pool(run: Any, cfg: Config, seed: int, start: Any) -> tuple[Round, Any]:
    """As many samples as are trained on, of all skills alike, with what the start model loses on each."""
    samples = cfg.steps // cfg.rounds * cfg.rounds * cfg.batch
    counts = counts_of((1 / cfg.skills,) * cfg.skills, samples)
    data = Round(parts=skills_of(cfg, seed), counts=counts, batch=cfg.batch, seed=seed)
    answers = replace(data, parts=skills_of(cfg, seed, answer_only=True))
    row = jax.ShapeDtypeStruct((3, cfg.length), np.dtype("int32"))
    flops = float(samples) * flops_of_one(answer_loss, start.model, row)
    return data, run.make(f"{seed}/scores", scores, answers, start, flops=flops)


def scores(data: Round, start: Any) -> dict[str, np.ndarray]:
    """The loss of every sample."""
    batch = data.take(np.arange(data.size()))
    rows = np.stack([batch["tokens"], batch["targets"], batch["weights"].astype(np.int32)], axis=1)
    return {"loss": apply(answer_loss, Frozen.of(start), rows)}


def opened(cfg: Config, seed: int, data: Round, scored: Any, label: str, done: tuple[Any, ...]) -> Pool:
    """The next round of a curriculum: draws from the easiest samples (the hardest), ever more of them."""
    update = len(done) + 1
    ranking = None
    if scored.value is not None:
        ranking = np.argsort(scored.value["loss"] * (1 if label == EASY else -1), kind="stable")
    limit = linear_pool(update, cfg.rounds, data.size())
    return Pool(
        data=data, limit=limit, of=f"{label} {scored.fingerprint}", ranking=ranking, seed=100 * seed + update,
        count=cfg.steps // cfg.rounds,
    )  # fmt: skip


# --- report ---


def at_share(cfg: Config, arm: Arm, share: float, metric: str = "loss") -> float:
    """A metric after a share of the rounds."""
    return arm.results[max(1, round(share * cfg.rounds)) - 1].history.last(metric)


def within(arm: Arm, budget: float) -> float:
    """The last loss within a budget of FLOPs, what the arm builds on included; NaN if that alone exceeds it."""
    found = [point.y for point in curve(arm, with_source=True).points if point.x <= budget]
    return found[-1] if found else math.nan


def better(own: float, stratified: float, random: float) -> bool:
    """The dossier's rule at one point."""
    return own <= stratified and own <= 0.9 * random


def report(
    cfg: Config, found: dict[str, list[Arm]], value: Any, graph: tuple[tuple[float, ...], ...], rate: Lowest
) -> Report:
    """Losses half-way and at the end, the graph, the mixtures, and the two claims."""
    points = {"half-way": 0.5, "end": 1.0}

    def over(label: str, point: str) -> list[float]:
        return [at_share(cfg, arm, points[point]) for arm in found[label]]

    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    judged = {point: [mean(over(label, point)) for label in (SKILL_IT, STRATIFIED, RANDOM)] for point in points}
    budgets = [curve(arm, with_source=True).points for arm in found[STRATIFIED]]
    inside = [within(arm, own[-1].x) if own else math.nan for arm, own in zip(found[SKILL_IT], budgets, strict=True)]
    charged = [mean(inside), *judged["end"][1:]]
    tested = not np.isnan(judged["end"]).any()
    dearer = tested and math.isnan(charged[0])

    def shown(values: list[float]) -> str:
        return " / ".join("none" if math.isnan(value) else f"{value:.4f}" for value in values)

    claims = (
        claim(
            "Skill-It ends, or is half-way, below stratified and well below imbalanced random sampling",
            paper="LEGO: 9.9 to 25.9 points of accuracy above the others half-way",
            measured="; ".join(f"{point} {shown(values)}" for point, values in judged.items()) if tested else None,
            margin="loss of Skill-It / stratified / random: not above the second, 10 % below the third, at one point",
            holds=any(better(*values) for values in judged.values()),
        ),
        claim(
            "The same at equal FLOPs with the graph charged",
            paper="not counted",
            measured=("the graph alone costs more; " if dearer else "") + shown(charged) if tested else None,
            margin="the same rule for Skill-It's last evaluation within the FLOPs of a whole stratified run",
            holds=better(*charged),
        ),
    )
    skills = [f"skill {i + 1}" for i in range(cfg.skills)]
    end = Table(
        "Each skill at the end",
        ("arm", *(f"loss, {name}" for name in skills), "accuracy"),
        tuple(
            (label, *(mean([at_share(cfg, arm, 1.0, m) for arm in arms]) for m in (*ids(cfg), "accuracy")))
            for label, arms in found.items()
        ),
        ("", *[".4f"] * cfg.skills, ".1%"),
    )
    losses = np.full((cfg.skills,) * 2, math.nan) if value is None else pairwise(cfg, value)
    density = (np.count_nonzero(graph) - cfg.skills) / max(1, cfg.skills * (cfg.skills - 1))
    edges = Table(
        "The learned graph",
        ("training on", *(f"A, {name}" for name in skills), *(f"loss, {name}" for name in skills)),
        tuple((name, *graph[i], *losses[i].tolist()) for i, name in enumerate(skills)),
        ("", *[".1f"] * cfg.skills, *[".4f"] * cfg.skills),
        note=f"Beside it the losses that it is made of: on the column's skill after training on both, half and half. "
        f"Edges: {density:.0%} of all. The paper's: {GRAPHS[cfg.task]}.",
    )
    moving = Table(
        "Shares of the data, round by round",
        ("arm", *map(str, range(1, cfg.rounds + 1))),
        tuple((label, *map(share_text, arms[0].results)) for label, arms in found.items() if label not in (EASY, HARD)),
        note="In % of skill 1, 2, ...; of the first seed.",
    )
    return EXPERIMENT.report(
        link="https://arxiv.org/abs/2307.14430",
        claims=claims,
        arms=tuple(named(cfg, found)),
        tables=(
            table_of_means("Mean loss per skill", list(found), list(points), over, scale=1, digits=4, note="In nats."),
            end, edges, moving,
            Table("Learning rate, by stratified sampling", ("tried", "mean loss per skill", "chosen", "at an end"),
                  (rate.cells,), note="On held-out rows beside those that are reported."),
        ),
        baseline=STRATIFIED,
        seeds=cfg.seeds,
        notes=NOTES,
    )  # fmt: skip


NOTES = (
    "Every word of a puzzle is learned, as by a language model, though most letters cannot be predicted. The losses "
    "that are shown, and that weights, graph and curricula go by, are of the answer's token alone.",
    "The pair (i, j) is trained once: the same run says whether i helps j and j helps i. So k (k + 1) / 2 runs make "
    "the graph, not k^2. It is learned with the first seed, used by all, and charged to Skill-It of each.",
    "An edge is any lower loss, however little, as in the paper's algorithm: with one seed some edges are chance.",
    "Held-out rows come twice: weights, the graph and the rate go by one half, all arms are judged on the other.",
    "Curricula draw from as many stratified samples as a run takes, ranked by the loss of the start; that is charged.",
)


def ids(cfg: Config) -> list[str]:
    """The losses that are reported, skill by skill."""
    return [f"loss_{skill}" for skill in range(cfg.skills)]


def seen(cfg: Config) -> list[str]:
    """The losses that choices go by: of other rows."""
    return [f"loss_{cfg.skills + skill}" for skill in range(cfg.skills)]


def share_text(result: Any) -> str:
    counts = result.stage.data.counts
    return " ".join(f"{100 * count / sum(counts):.0f}" for count in counts)


def named(cfg: Config, found: dict[str, list[Arm]]) -> list[Arm]:
    """Every arm of every seed, measured against stratified sampling of its seed."""
    made = []
    for label, arms in found.items():
        for seed, arm in zip(cfg.seeds, arms, strict=True):
            suffix = "" if seed == cfg.seeds[0] else f", seed {seed}"
            made.append(replace(arm, name=label + suffix, group=label, against=STRATIFIED + suffix))
    return made


EXPERIMENT = Experiment(
    name="skill_it",
    title="Skill-It: a mixture of skills that follows a learned graph",
    reference="Chen et al., NeurIPS 2023, arXiv 2307.14430",
    paper=46,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("skill_it")
