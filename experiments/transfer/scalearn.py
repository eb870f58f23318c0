"""ScaLearn: what a task learns from others is how strongly to add each one's adapter.

Paper    Frohmann et al., ScaLearn: Simple and Highly Parameter-Efficient Task Transfer by Learning to Scale, Findings
         of ACL 2024, arXiv 2310.01217 (dossier 049).
Claim    RoBERTa-base on GLUE, average: single-task adapters 83.83, AdapterFusion 85.01, ScaLearn 85.36, its smallest
         variant, of 8 numbers for a target, 85.14; ScaLearn trains 0.35 % of AdapterFusion's transfer parameters.
Method   An encoder is pre-trained once (MLM on running text and the tasks' texts) and frozen for good. Behind the feed-
         forward network of every block, before its norm, sit adapters u_t = up_t relu(down_t h).
         1  adapter          for each task its own adapter and head
         2  transfer         the adapters of all tasks, the target's own among them, are frozen; fresh heads, and
            AdapterFusion    attention over the u_t, three d x d matrices in each layer
            ScaLearn         sum of omega_t * u_t; omega (layers, T, d), free, from Normal(2/T, .001), dropout .3
            Uniform, ++      omega (layers, T); (T, d) for all layers; Uniform++ (T), without dropout
         Beside them omega under a softmax; one adapter for all tasks (joint); full fine-tuning; and adapters with twice
         the steps, as many as both stages have. All other stages have equal steps, with equally many rows of every task
         in a batch. Targets share no trained parameter, so they are trained side by side in one program exactly as they
         would be apart. Pre-training and, for transfer, all adapters are charged.
         Few-shot: 16 or 100 rows of a target train its adapter and the transfer to it; sources keep all of theirs.
Run      stagejax run scalearn                      laptop: about 7 minutes on two cores
         stagejax run scalearn --preset smoke       seconds
         stagejax plan scalearn --preset pod --mesh data=16,fsdp=16
Holds if the mean test score of ScaLearn over all tasks is that of adapters + .5 points or more, and that of
         AdapterFusion - .3 or more, with less than 1 % of its transfer parameters; and that of Uniform++ is that of
         adapters or more. Means over seeds.
Ours     Three seeds (no ±: one); test scores, %, and what transfer trains for a target beside a head:
                               sst2   trec   agnews   qnli   msrp   stsb         mean   parameters
         adapter               54.6   58.9     47.7   56.2   66.1   45.0   54.8 ± 0.8
         twice the steps       57.9   69.9     51.4   56.2   62.9   44.9   57.2 ± 0.4
         AdapterFusion         54.0   54.3     42.9   56.0   64.6   40.0   52.0 ± 0.1       49,152
         ScaLearn              55.4   55.5     45.7   56.2   65.4   40.3   53.1 ± 0.7        1,536
         ScaLearnUniform++     55.3   58.5     46.8   56.9   64.8   39.3   53.6 ± 0.6            6
         full fine-tuning      64.8   72.4     53.8   55.4   61.2   33.7   56.9
         Means: ScaLearn++ 54.0, ScaLearnUniform 52.9, softmax 52.0, joint 52.9. Transfer does not pay at this scale:
         ScaLearn is 1.7 points below a task's own adapter, Uniform++ 1.2. It is 1.1 above AdapterFusion, with 3.1 % of
         its parameters. Each target adds its own adapter most. msrp is at its majority class; few-shot arms are alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage, names
from stagejax.axes import Axes
from stagejax.data import BPE, Dataset, MaskedText, Source, Stdlib
from stagejax.data.published import C4
from stagejax.data.tasks.text_suites import CORRELATED, glue, small_suite
from stagejax.data.tasks.text_tasks import TaskBatches, TaskText, TextTask, synonym_tasks
from stagejax.data.together import Splits, Together
from stagejax.models import Transformer, bert
from stagejax.models.text.adapters import Adapted
from stagejax.models.text.combiners import Fusion, Own, Scale, transfer_parameters
from stagejax.objectives import masked_lm
from stagejax.objectives.tasks.several_tasks import accuracy, correlation, scored, several_tasks
from stagejax.optimizer import adam, adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.report.heat import heat_map
from stagejax.transforms.parts import kept, parts

ADAPTER, LONGER, JOINT, FULL = "adapter", "adapter, twice the steps", "joint adapter", "full fine-tuning"
FUSION, SCALEARN, SMALLEST = "AdapterFusion", "ScaLearn", "ScaLearnUniform++"
TRANSFERS: dict[str, Fusion | Scale] = {
    FUSION: Fusion(),
    SCALEARN: Scale(),
    SMALLEST: Scale(shared=True, uniform=True, dropout=0.0),
    "ScaLearnUniform": Scale(uniform=True),
    "ScaLearn++": Scale(shared=True),
    "ScaLearn, softmax": Scale(constraint="softmax"),
}
CLAIMED = (ADAPTER, FUSION, SCALEARN, SMALLEST)  # every seed, and few-shot


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    tasks: tuple[TextTask, ...] = field(default_factory=small_suite)
    correlated: tuple[str, ...] = ("stsb",)  # tasks scored by correlation; the others by accuracy
    encoder: Transformer = field(
        default_factory=lambda: bert(vocab=1024, layers=4, embed=64, heads=4, mlp=256, positions="rotary")
    )
    bottleneck: int = 16  # of an adapter
    text: Source = field(default_factory=lambda: Dataset("wikitext2"))  # for pre-training, beside the tasks' texts
    pretraining: tuple[int, int, float] = (2000, 16, 3e-3)  # steps, rows of a batch, learning rate
    masked: float = 0.3  # share of the tokens, in pre-training
    length: int = 48  # tokens of a row
    rows: int = 8  # of each task in a batch
    alone: int = 8  # of the one task of full fine-tuning
    steps: int = 240  # of each stage
    peak: float = 1e-2  # learning rate of adapters, joint or not
    fusion: float = 1e-2  # of AdapterFusion
    scale: float = 1e-2  # of ScaLearn
    full: float = 1e-3  # of full fine-tuning
    tested: tuple[int, int] = (100, 10)  # test rows of each task in a batch, batches
    few: tuple[tuple[int, int], ...] = ((1, 16), (4, 16), (1, 100), (4, 100))  # (number of the target, its rows)
    few_seeds: int = 2  # the first ones, of the few-shot stages
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def learned_from(self) -> Source:
        """What the tokenizer and the encoder are trained on; the encoder is tested on running text."""
        return Splits(Together((self.text, *map(TaskText, self.tasks))), self.text.of_split("test"))


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        tiny = bert(vocab=300, layers=2, embed=16, heads=2, mlp=32, length=32)
        text = Stdlib(limit=100_000)
        small = {"length": 32, "rows": 4, "alone": 4, "steps": 20, "tested": (25, 4), "few": ((0, 16), (2, 100))}
        rates = {"peak": 1e-2, "fusion": 3e-3, "scale": 1e-2, "full": 5e-3}
        return Config(
            synonym_tasks(), ("score",), tiny, 4, text, (20, 8, 5e-3), **small, **rates, seeds=(0,)
        )  # fmt: skip
    if name == "pod":
        base = bert(vocab=50_265, layers=12, embed=768, heads=12, mlp=3072, length=512, scan=True)
        size = {"masked": 0.15, "length": 128, "rows": 32, "alone": 256, "steps": 30_000, "tested": (32, 1264)}
        rates = {"peak": 3e-4, "fusion": 5e-5, "scale": 6e-3, "full": 2e-5, "few_seeds": 3}
        few = tuple((target, rows) for rows in (4, 16, 32, 100) for target in (6, 7))
        return Config(glue(), CORRELATED, base, 48, C4, (125_000, 2048, 7e-4), **size, **rates, few=few)
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """One encoder; for every seed the adapters of all tasks, what is made of them, and the same from few rows."""
    encoder = run.train(pretraining(cfg))
    arms = {seed: compared(run, cfg, seed, encoder) for seed in cfg.seeds}
    few = {
        seed: few_shot(run, cfg, seed, encoder, arms[seed][ADAPTER].results[0]) for seed in cfg.seeds[: cfg.few_seeds]
    }
    omega = run.make("omega", coefficients, *(own[SCALEARN].results[0] for own in arms.values()))
    return report(cfg, arms, few, omega.value)


def compared(run: Any, cfg: Config, seed: int, encoder: Any) -> dict[str, Arm]:
    """The arms of one seed; variants, joint training and full fine-tuning are trained with the first one only."""
    at, first = f"{seed}/{{}}".format, seed == cfg.seeds[0]
    own = adapters(cfg, at("adapter"), cfg.tasks, seed)
    source = run.train(own, encoder)
    longer = run.train(replace(own, name=at("longer"), steps=2 * cfg.steps), encoder)
    arms = {ADAPTER: Arm("", (source,), (encoder,)), LONGER: Arm("", (longer,), (encoder,))}
    for label, combine in TRANSFERS.items():
        if first or label in CLAIMED:
            stage = transfer(cfg, own, at(slug(label)), combine)
            arms[label] = Arm("", (run.train(stage, source),), (encoder, source))
    if first:
        joint = replace(own, name=at("joint"), model=replace(own.model, adapters=1))
        arms[JOINT] = Arm("", (run.train(joint, encoder),), (encoder,))
        tuned = [run.train(full(cfg, at(f"full/{task.name}"), task, seed), encoder) for task in cfg.tasks]
        arms[FULL] = Arm("", (tuned[0],), (encoder, *tuned[1:]))
    return arms


def few_shot(run: Any, cfg: Config, seed: int, encoder: Any, source: Any) -> dict[str, Any]:
    """Results by arm for targets with few rows. Of its own task, a target sees the adapter of these rows only."""
    if not cfg.few:
        return {}
    at, count = f"{seed}/few/{{}}".format, len(cfg.tasks)
    targets = tuple(cfg.tasks[target].few(rows, seed) for target, rows in cfg.few)
    own = adapters(cfg, at("adapter"), targets, seed)
    found = {ADAPTER: run.train(own, encoder)}
    sees = tuple((*(a for a in range(count) if a != target), count + new) for new, (target, _) in enumerate(cfg.few))
    together = replace(own.model, adapters=count + len(targets), combine=Own(first=count))
    bank = run.transform(at("bank"), one_bank, source, found[ADAPTER], to=together)
    for label in CLAIMED[1:]:
        stage = transfer(cfg, own, at(slug(label)), replace(TRANSFERS[label], sees=sees))
        found[label] = run.train(replace(stage, model=replace(together, combine=stage.model.combine)), bank)
    return found


def one_bank(key: Any, source: Any, own: Any) -> Any:
    """The variables of `own` behind the adapters of `source`: its own are the last ones."""
    bank = {name: jnp.concatenate([source[0]["bank"][name], own[0]["bank"][name]], 1) for name in ("down", "up")}
    return {**own[0], "bank": bank}, own[1]


# --- stages ---


def pretraining(cfg: Config) -> Stage:
    """The encoder that all arms and seeds share."""
    steps, rows, peak = cfg.pretraining
    text = {"tokenizer": BPE(cfg.encoder.vocab), "length": cfg.length}
    data = MaskedText(source=cfg.learned_from, batch=rows, rate=cfg.masked, **text)
    return Stage(
        name="encoder",
        model=Adapted(cfg.encoder, len(cfg.tasks), classes(cfg)),
        objective=masked_lm,
        optimizer=adamw(peak, warmup=0.1, decay="linear", clip=1.0),
        data=data,
        steps=steps,
        trainable=parts("encoder"),
        evaluate=Evaluation(data.held_out(4), 4, max(1, steps // 4)),
    )


def adapters(cfg: Config, name: str, tasks: tuple[TextTask, ...], seed: int) -> Stage:
    """Task learning: every task's own adapter and head, side by side. The recipe that all arms share."""
    data = rows_of(cfg, tasks, cfg.rows, seed)
    return Stage(
        name=name,
        model=Adapted(cfg.encoder, len(tasks), classes(cfg), len(tasks), cfg.bottleneck, Own()),
        objective=partial(several_tasks, tasks=len(tasks)),
        optimizer=adam(cfg.peak, decay="linear"),
        data=data,
        steps=cfg.steps,
        trainable=parts("bank", "heads"),
        handover=Handover(params=kept("encoder")),
        evaluate=tested(cfg, data),
        seed=seed,
    )


def transfer(cfg: Config, own: Stage, name: str, combine: Fusion | Scale) -> Stage:
    """The second stage behind `own`: encoder and adapters frozen, fresh heads, and what combines the adapters."""
    peak = cfg.fusion if isinstance(combine, Fusion) else cfg.scale
    return replace(
        own,
        name=name,
        model=replace(own.model, combine=combine),
        optimizer=replace(own.optimizer, peak=peak),
        trainable=parts("combine", "heads"),
        handover=Handover(params=kept("encoder", "bank")),
    )


def full(cfg: Config, name: str, task: TextTask, seed: int) -> Stage:
    """The whole encoder, without adapters, on one task."""
    stage, data = adapters(cfg, name, (task,), seed), rows_of(cfg, (task,), cfg.alone, seed)
    return replace(
        stage,
        model=replace(stage.model, adapters=0),
        optimizer=replace(stage.optimizer, peak=cfg.full),
        data=data,
        trainable=all_but_the_language_head,
        evaluate=tested(cfg, data),
    )


def rows_of(cfg: Config, tasks: tuple[TextTask, ...], rows: int, seed: int) -> TaskBatches:
    text = {"tokenizer": BPE(cfg.encoder.vocab), "learned_from": cfg.learned_from, "length": cfg.length}
    return TaskBatches(tasks=tasks, rows=rows, seed=seed, **text)


def tested(cfg: Config, data: TaskBatches) -> Evaluation:
    """Equally many rows in a batch whatever the number of tasks, and batches for at least as many rows of each."""
    (rows, batches), count, all_of_them = cfg.tested, len(data.tasks), len(cfg.tasks)
    batches = -(-batches * count // all_of_them)
    held = replace(data, rows=rows * all_of_them // count).held_out(batches)
    return Evaluation(held, batches, objective=partial(scored, tasks=count))


def classes(cfg: Config) -> int:
    return max(task.classes for task in cfg.tasks)


def all_but_the_language_head(path: str, axes: Axes) -> bool:
    return not path.startswith("encoder/head")


def slug(label: str) -> str:
    return names.slug(label.replace("++", " shared"))


# --- measures and report ---


def coefficients(*results: Any) -> dict[str, np.ndarray]:
    """omega of ScaLearn, the mean over layers and coordinates: (seeds, targets, sources)."""
    found = [np.asarray(result.state().params["combine"]["omega"]).mean((1, 3)) for result in results]
    return {"omega": np.stack(found)}


def score(cfg: Config, result: Any, task: TextTask, number: int) -> float:
    """A task's test score, from 0 to 1."""
    measure = correlation if task.name in cfg.correlated else accuracy
    return measure(result.history.last, number)


def scores(cfg: Config, label: str, arm: Arm) -> dict[str, float]:
    """An arm's score on every task, and their mean; full fine-tuning has a network for each."""
    networks = (*arm.results, *arm.charged[1:]) if label == FULL else arm.results * len(cfg.tasks)
    found = {
        task.name: score(cfg, network, task, 0 if label == FULL else number)
        for number, (task, network) in enumerate(zip(cfg.tasks, networks, strict=True))
    }
    return found | {"mean": mean(list(found.values()))}


def report(cfg: Config, arms: dict[int, dict[str, Arm]], few: dict[int, dict[str, Any]], omega: Any) -> Report:
    """Scores of all arms on all tasks, from all rows and from few, transfer parameters, and what was learned to add."""
    labels, few_columns = list(arms[cfg.seeds[0]]), [f"{cfg.tasks[task].name}, {rows}" for task, rows in cfg.few]
    found = {seed: {label: scores(cfg, label, arm) for label, arm in own.items()} for seed, own in arms.items()}

    def over(label: str, task: str) -> list[float]:
        return [own[label][task] for own in found.values() if label in own]

    def from_few(label: str, column: str) -> list[float]:
        number = few_columns.index(column)
        return [score(cfg, own[label], cfg.tasks[cfg.few[number][0]], number) for own in few.values()]

    gain, behind, small = (
        100 * (mean(over(label, "mean")) - mean(over(other, "mean")))
        for label, other in ((SCALEARN, ADAPTER), (SCALEARN, FUSION), (SMALLEST, ADAPTER))
    )
    width = len(cfg.tasks), cfg.encoder.layers, cfg.encoder.embed
    sizes = {label: transfer_parameters(combine, *width) for label, combine in TRANSFERS.items()}
    share = sizes[SCALEARN] / sizes[FUSION]
    claims = (
        claim(
            "Learning to scale the adapters of other tasks beats a task's own adapter",
            paper="GLUE 85.36 over 83.83, SuperGLUE 75.55 over 73.19", measured=gain, unit="points",
            margin="+.5 or more, mean over tasks and seeds", holds=gain >= 0.5,
        ),
        claim(
            "It is as good as AdapterFusion",
            paper="GLUE 85.36 over 85.01, SuperGLUE 75.55 over 73.60", measured=behind, unit="points",
            margin="-.3 or more", holds=behind >= -0.3,
        ),
        claim(
            "It trains a hundredth of AdapterFusion's transfer parameters or less",
            paper="0.35 %", measured=None if np.isnan(gain) else share, unit="%",
            margin="less than 1 %; the share is T / 3d, so it needs a wide encoder", holds=share < 0.01,
        ),
        claim(
            "One number for each source is enough to be no worse than a task's own adapter",
            paper="GLUE 85.14 over 83.83, SuperGLUE 74.93 over 73.19", measured=small, unit="points",
            margin="0 or more", holds=small >= 0,
        ),
    )  # fmt: skip
    note = f"In %: accuracy, of {', '.join(cfg.correlated)} correlation; mean ± standard deviation over seeds."
    tables = [table_of_means("Test scores", labels, [*(task.name for task in cfg.tasks), "mean"], over, note=note)]
    if cfg.few:
        told = "Target and number of its training rows, others for every seed; its sources have all of theirs."
        tables.append(table_of_means("From few rows", CLAIMED, few_columns, from_few, note=told))
    rows = [
        (label, size, size / sizes[FUSION], transfer_parameters(TRANSFERS[label], 8, 12, 768))
        for label, size in sizes.items()
    ]
    sized = ("arm", "transfer parameters of a target", "of AdapterFusion's", "RoBERTa-base, 8 tasks")
    tables.append(Table("What transfer trains, beside a head", sized, tuple(rows), ("", ",", ".3%", ",")))
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2310.01217",
        arms=by_seed({label: {s: own[label] for s, own in arms.items() if label in own} for label in labels}, ADAPTER),
        tables=tuple(tables),
        figures=learned(cfg, omega),
        baseline=ADAPTER,
        seeds=cfg.seeds,
        notes=NOTES,
    )


def learned(cfg: Config, omega: Any) -> tuple[Any, ...]:
    """The coefficients of ScaLearn, target by source."""
    if not omega:
        return ()
    names = [task.name for task in cfg.tasks]
    table, start = np.asarray(omega["omega"]).mean(0), 2 / len(names)
    largest = sum(int(row.argmax() == target) for target, row in enumerate(table))
    caption = (
        f"Rows are targets, columns sources; means over layers, coordinates and seeds; all began at {start:.2f}. "
        f"A target's own adapter has the largest coefficient in {largest} of {len(names)} rows."
    )
    return (heat_map("How strongly ScaLearn adds each source", names, names, table, caption),)


NOTES = (
    "Stages have a fixed number of steps and their last state is scored, on the test split; the paper trains up to 30 "
    "epochs and keeps the checkpoint with the best development score.",
    "Published learning rates are for hundreds of times as many steps. Those of adapters, AdapterFusion and full fine-"
    "tuning were chosen by the scores of these baselines on rows that no arm is trained or tested on. ScaLearn's was "
    "not chosen: it is that of the adapters, where the paper has 20 times that. The encoder was chosen by its own "
    "loss: with learned positions in place of rotary ones it stayed near that of knowing how frequent tokens are.",
    "The heads read means over the tokens of each text, their difference and product, not the first token: an encoder "
    "of this size has not learned to compare two texts. Regression is on grades divided by 5.",
    "Fresh adapters begin with up = 0 and have no bias; AdapterFusion has no penalty on V. Every batch has equally "
    "many rows of every task, so small tasks see each of theirs more often.",
    "The curve of full fine-tuning is that of its first task; the cost of the other networks is charged to it. The "
    "few-shot stages are in the table of stages only.",
)


EXPERIMENT = Experiment(
    name="scalearn",
    title="ScaLearn: transfer by scaling the adapters of other tasks",
    reference="Frohmann et al., Findings of ACL 2024, arXiv 2310.01217",
    paper=49,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("scalearn")
