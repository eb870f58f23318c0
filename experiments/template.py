"""template: one sentence that says what the system does.

Paper    Authors, Title, venue and year, arXiv number.
Claim    What the paper says, with its figure.
Method   The stages in order, and the arms beside them, at which equal budget.
Run      stagejax run template                      laptop: about a minute on two cores
         stagejax run template --preset smoke       seconds
         stagejax plan template --preset pod --mesh data=16,fsdp=16
Holds if the criterion of the paper with a margin, written here before the first run.
Ours     What came out, with seeds and spread. "Does not hold at this scale" is a result.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.data.published import C4
from stagejax.models import Transformer, gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, by_seed, claim, mean, table_of_means

# The blank method: the same steps in two stages, whose second one starts the learning rate anew.
STAGED, PLAIN = "two stages", "one stage"


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    model: Transformer = field(default_factory=lambda: gpt(vocab=260, layers=2, embed=48, heads=3, mlp=192, length=64))
    source: Any = field(default_factory=lambda: Stdlib(limit=1_000_000))
    batch: int = 16
    steps: tuple[int, int] = (150, 150)  # of the two stages
    peak: float = 2e-3  # learning rate, of all arms
    seeds: tuple[int, ...] = (0, 1, 2)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        tiny = gpt(vocab=260, layers=1, embed=16, heads=2, mlp=32, length=16)
        return Config(tiny, Stdlib(limit=100_000), batch=8, steps=(8, 8), seeds=(0,))
    if name == "pod":
        base = gpt(vocab=260, layers=12, embed=768, heads=12, mlp=3072, length=1024)
        return Config(base, C4, batch=512, steps=(100_000, 100_000), peak=6e-4)
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """Every arm with every seed, and what the paper claims."""
    arms = {seed: {STAGED: staged(run, cfg, seed), PLAIN: (run.train(plain(cfg, seed)),)} for seed in cfg.seeds}
    return report(cfg, arms)


# --- stages ---


def plain(cfg: Config, seed: int) -> Stage:
    """One stage of all steps: the recipe that all arms share."""
    data = CausalText(source=cfg.source, tokenizer=Bytes(), batch=cfg.batch, length=cfg.model.length, seed=seed)
    return Stage(
        name=f"plain/{seed}",
        model=cfg.model,
        objective=causal_lm,
        optimizer=adamw(cfg.peak),
        data=data,
        steps=sum(cfg.steps),
        evaluate=Evaluation(replace(data, seed=0).held_out(4), batches=4, every=max(1, sum(cfg.steps) // 6)),
        seed=seed,
    )


def staged(run: Any, cfg: Config, seed: int) -> tuple[Any, ...]:
    """The same steps in two stages: the second one goes on with the first one's moments and place in the data."""
    first = run.train(replace(plain(cfg, seed), name=f"first/{seed}", steps=cfg.steps[0]))
    second = replace(plain(cfg, seed), name=f"second/{seed}", steps=cfg.steps[1])
    return first, run.train(replace(second, handover=Handover(moments="carry", data="carry")), first)


# --- report ---


def report(cfg: Config, arms: dict[int, dict[str, tuple[Any, ...]]]) -> Report:
    """Last losses of every arm over the seeds, and the verdicts."""

    def over(arm: str, what: str) -> list[float]:
        return [own[arm][-1].history.last(what) for own in arms.values()]

    gain = mean(over(PLAIN, "loss")) - mean(over(STAGED, "loss"))
    return EXPERIMENT.report(
        claims=(
            claim(
                "Two stages end at a lower loss than one of as many steps",
                paper="the paper's figure",
                measured=gain,
                unit="nats",
                margin="0.02 nats or more, mean over seeds",
                holds=gain >= 0.02,
            ),
        ),
        arms=by_seed({arm: {seed: Arm("", own[arm]) for seed, own in arms.items()} for arm in (STAGED, PLAIN)}, PLAIN),
        tables=(table_of_means("Last losses", (STAGED, PLAIN), ["loss"], over, scale=1.0, digits=3, note="In nats."),),
        baseline=PLAIN,
        seeds=cfg.seeds,
        notes=("Departures from the paper, and surprises.",),
    )


EXPERIMENT = Experiment(
    name="template",
    title="What the system does, in a few words",
    reference="Authors, venue and year, arXiv number",
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("template")
