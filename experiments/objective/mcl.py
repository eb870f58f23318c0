"""MCL: a detector of altered tokens that takes several courses, and repeats what generator and detector got wrong.

Paper    Chen et al., Pre-training Language Model as a Multi-perspective Course Learner, Findings of ACL 2023, arXiv
         2305.03981 (dossier 052).
Claim    Over ELECTRA of the same base size, 2.8 points on GLUE's average and 3.2 on SQuAD 2.0.
Method   A shallow generator G and an encoder D, which says of every token whether it is altered, share their table of
         tokens and learn together from fresh parameters. A course corrupts 15 % of a row, G fills in samples, D judges:
         RTD  tokens are masked     G learns to restore them; D finds samples that are not the original token
         STD  tokens are swapped    the same, from the swapped tokens
         ITD  masks are inserted    G fills them without a loss; D finds exactly these
         Self-correction: where G was wrong after RTD and STD its places are corrupted once more and filled anew; D then
         learns from the tokens that it had judged wrong, and as many others. The loss is the sum of all of G's, and 50
         times that of all of D's. Course soup: three quarters of the training with all courses; then RTD + STD, RTD +
         ITD or all, apart, and the mean of the three models.
         Arms at equal FLOPs, those of MCL: D alone by masked language modelling, ELECTRA (RTD), RTD + STD + ITD, MCL.
         Beside them ELECTRA with as many clean rows as MCL, the soups and their members, and no pre-training. Then each
         task has a linear probe on the frozen D, and a copy of D that is fine-tuned; both side by side in one program.
Run      stagejax run mcl                          laptop: about 4.5 minutes on two cores
         stagejax run mcl --preset smoke           a minute
         stagejax plan mcl --preset pod --mesh data=16,fsdp=16
Holds if fine-tuned MCL exceeds ELECTRA at equal FLOPs by 1 point or more, mean accuracy over the tasks, mean of three
         seeds, and by something on every seed; on held-out rows ITD's share of altered tokens is the same at every
         evaluation of MCL while RTD's falls from the first to the last, on every seed; and the uniform soup, fine-
         tuned, is not more than 0.1 points below its best member, mean of the seeds' differences.
Ours     Three seeds (no ±: one); test accuracy fine-tuned, %, the mean of it, and that of the probes:
                              trec   sst2    pos          mean        probes   clean tokens
         no pre-training      46.2   61.3   39.1          53.4          48.4              0
         MLM                  30.0   59.6   52.7          52.1          44.4        467,000
         ELECTRA              34.7   54.0   49.4    51.2 ± 1.2    41.3 ± 0.9        346,000
           equal tokens       36.7   53.6   40.3    49.3 ± 1.8    41.0 ± 2.2         72,000
         RTD + STD + ITD      44.2   53.8   40.4          51.3          40.6        122,000
         MCL                  39.7   55.4   40.3    50.6 ± 2.1    42.2 ± 1.2         72,000
         uniform soup         41.0   54.4   40.3    50.6 ± 2.3    42.4 ± 1.7        162,000
         MCL is 0.7 ± 1.0 points below ELECTRA: does not hold at this scale, where only tagging gains from pre-training,
         and only from MLM and ELECTRA's many rows. msrp stays at its majority class, or below it (MLM). MCL's D finds 3
         to 6 % of the altered tokens. ITD's share is constant, RTD's falls by 0.0037 ± 0.0005 (holds); the soup is 0.1
         ± 0.2 above its best member (holds).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from stagejax import Evaluation, Experiment, Handover, Precision, Stage
from stagejax.axes import Axes
from stagejax.budget import flops, within
from stagejax.data import BPE, Dataset, MaskedText, Source, Stdlib
from stagejax.data.abreast import Abreast, part
from stagejax.data.published import C4, WIKIPEDIA
from stagejax.data.tasks.labelled_text import LabelledText
from stagejax.data.tasks.tagged import DrawnSentences
from stagejax.data.tasks.tagged_rows import UPOS, TaggedRows
from stagejax.data.tasks.text_suites import glue
from stagejax.data.tasks.text_tasks import TextTask, synonym_tasks
from stagejax.data.together import Together
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference.serving.souping import search_flops, search_soup
from stagejax.models import Transformer, bert
from stagejax.models.text.electra import Electra
from stagejax.models.text.tagger import Tagger
from stagejax.models.text.text_classifier import TextClassifier
from stagejax.names import slug
from stagejax.objectives.loss import Macro, Metrics, weighted
from stagejax.objectives.text.corruption import mask
from stagejax.objectives.text.courses import Courses, only_masked
from stagejax.objectives.text.tagging import tagging
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.steps.joint import joint_step
from stagejax.transforms.parts import parts
from stagejax.transforms.soup import uniform

NONE, MLM, ELECTRA, SAME_TOKENS = "no pre-training", "MLM", "ELECTRA", "ELECTRA, equal clean tokens"
COURSES, FULL, SOUP, GREEDY = "RTD + STD + ITD", "MCL", "uniform soup", "greedy soup"
NO_ITD, NO_STD = "MCL, then RTD + STD", "MCL, then RTD + ITD"
MEMBERS = (FULL, NO_ITD, NO_STD)  # of the soups
LABELS = (NONE, MLM, ELECTRA, SAME_TOKENS, COURSES, FULL, NO_ITD, NO_STD, SOUP, GREEDY)
TUNED, PROBE, TAGS = "tuned", "probe", "pos"
NAMES = {"mask": "RTD", "swap": "STD", "insert": "ITD"}
TASKS = (
    TextTask("trec", Dataset("trec"), 6), TextTask("msrp", Dataset("msrp"), 2, "s1", "s2"),
    TextTask("sst2", Dataset("sst2"), 2),
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    encoder: Transformer = field(
        default_factory=lambda: bert(vocab=300, layers=3, embed=64, heads=4, positions="rotary", init_std=0.1)
    )
    generator: int = 1  # layers
    text: Source = field(default_factory=lambda: Dataset("wikitext2"))
    batch: int = 8  # clean rows
    length: int = 64  # tokens of a row of text
    rate: float = 0.15  # share of a row that a course touches
    weight: float = 50.0  # of the detector's losses
    steps: int = 140  # of MCL
    shared: float = 0.75  # share of them before soups part; the learning rate falls in the rest
    warmup: float = 0.1  # share of the steps
    peak: float = 2e-3  # learning rate
    held: int = 8  # batches of held-out rows
    every: int = 50  # steps from one of their evaluations to the next
    tasks: tuple[TextTask, ...] = TASKS
    tagged: Source | None = field(default_factory=lambda: Dataset("ud", part="en_ewt"))
    labels: tuple[str, ...] = UPOS  # its tags
    words: int = 64  # tokens of a row of a task
    rows: int = 8  # of each task in a batch
    tuning: int = 80  # steps
    tune_peak: float = 1e-3  # learning rate of fine-tuning
    probe_peak: float = 1e-2  # of the probes
    tested: int = 30  # batches of test rows
    seeds: tuple[int, ...] = (0, 1, 2)
    precision: Precision = field(default_factory=Precision)
    accumulate: int = 1  # parts of a batch of text
    save_every: int | None = None

    @property
    def pair(self) -> Electra:
        """Detector and generator, of one width."""
        return Electra(self.encoder, replace(self.encoder, layers=self.generator))


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        return Config(
            bert(vocab=300, layers=1, embed=16, heads=2, mlp=32, positions="rotary"), text=Stdlib(limit=100_000),
            batch=4, length=32, steps=12, held=2, every=6, tasks=synonym_tasks()[:1], tagged=DrawnSentences(200),
            labels=tuple(f"T{tag}" for tag in range(8)), words=32, rows=4, tuning=4, tested=2, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        return Config(
            bert(vocab=30_522, layers=12, embed=768, heads=12, mlp=3072, length=512, scan=True, remat="full"),
            generator=4, text=Together((WIKIPEDIA, C4)), batch=2048, length=512, steps=125_000, peak=5e-4, every=2_500,
            tasks=tuple(task for task in glue() if task.classes > 1), tagged=None, words=128, rows=256, tuning=10_000,
            tune_peak=5e-5, probe_peak=1e-3, tested=1, precision=Precision(compute="bfloat16"), accumulate=8,
            save_every=5_000,
        )  # fmt: skip
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """MCL sets the budget of each seed; the other arms spend as much."""
    return report(cfg, {seed: compared(run, cfg, seed) for seed in cfg.seeds})


def compared(run: Any, cfg: Config, seed: int) -> dict[str, Arm]:
    """The arms of a seed; those that no claim speaks of are trained with the first one only."""
    full = Courses(rate=cfg.rate, weight=cfg.weight)
    electra = pretraining(cfg, f"{seed}/electra", replace(full, restored=(mask,), inserted=(), corrected=False), seed)
    trained = members(run, cfg, full, seed)
    budget = flops(*trained[FULL])
    trained[ELECTRA] = (run.train(within(electra, budget)),)
    trained[SAME_TOKENS] = (run.train(replace(electra, name=f"{seed}/{slug(SAME_TOKENS)}")),)
    if seed == cfg.seeds[0]:
        courses = pretraining(cfg, f"{seed}/{slug(COURSES)}", replace(full, corrected=False), seed)
        trained[COURSES] = (run.train(within(courses, budget)),)
        trained[MLM] = (run.train(within(masked_only(cfg, f"{seed}/mlm", seed), budget)),)
        trained[NONE] = ()
    arms = {label: Arm("", (*own, tuned(run, cfg, label, seed, *own[-1:]))) for label, own in trained.items()}
    return arms | soups(run, cfg, full, seed, arms)


def members(run: Any, cfg: Config, full: Courses, seed: int) -> dict[str, tuple[Any, ...]]:
    """MCL, and two courses that go on alone from where the learning rate begins to fall, for as many FLOPs."""
    first, stage = round(cfg.shared * cfg.steps), pretraining(cfg, f"{seed}/start", full, seed)
    constant = adamw(cfg.peak, warmup=round(cfg.warmup * cfg.steps), decay="constant")
    start = run.train(replace(stage, steps=first, optimizer=constant))
    onward = Handover(moments="carry", data="carry")
    falling = replace(stage, steps=cfg.steps - first, optimizer=adamw(cfg.peak, decay="linear"), handover=onward)
    last = run.train(replace(falling, name=f"{seed}/{slug(FULL)}"), start)
    found = {FULL: (start, last)}
    for label, fewer in ((NO_ITD, {"inserted": ()}), (NO_STD, {"restored": (mask,)})):
        courses = replace(full, **fewer, corrected=False)
        own = replace(falling, name=f"{seed}/{slug(label)}", objective=courses)
        found[label] = start, run.train(within(own, flops(last)), start)
    return found


def soups(run: Any, cfg: Config, full: Courses, seed: int, arms: dict[str, Arm]) -> dict[str, Arm]:
    """The mean of all members, and of those that a greedy search keeps by the held-out loss of all courses."""
    start, own = arms[FULL].results[0], [arms[label].results[1] for label in MEMBERS]
    data = arms[FULL].results[0].stage.data.held_out(cfg.held)
    price = search_flops(full, data, cfg.pair, len(own))
    search = run.make(f"{seed}/search", search_soup, full, data, *own, flops=price)
    kept = search.value["kept"] if search.value else range(len(own))
    known = {(k,): arms[label] for k, label in enumerate(MEMBERS)}

    def soup(label: str, which: tuple[int, ...], *more: Any) -> Arm:
        if which not in known:
            mixed = run.transform(f"{seed}/{slug(label)}", uniform, *(own[k] for k in which), to=cfg.pair)
            known[which] = Arm("", (mixed, tuned(run, cfg, label, seed, mixed)))
        results = known[which].results
        return Arm("", results, tuple(one for one in (start, *own, *more) if one not in results))

    return {SOUP: soup(SOUP, tuple(range(len(own)))), GREEDY: soup(GREEDY, tuple(sorted(kept)), search)}


# --- pre-training ---


def pretraining(cfg: Config, name: str, objective: Courses, seed: int) -> Stage:
    """Detector and generator, by the recipe that all arms share."""
    text = {"source": cfg.text, "tokenizer": BPE(cfg.encoder.vocab), "batch": cfg.batch, "length": cfg.length}
    data = MaskedText(**text, seed=seed)  # of which the clean tokens are read: courses corrupt them
    return Stage(
        name=name,
        model=cfg.pair,
        objective=objective,
        optimizer=adamw(cfg.peak, warmup=cfg.warmup, decay="wsd", cooldown=1 - cfg.shared),
        data=data,
        steps=cfg.steps,
        trainable=all_but_the_language_head,
        evaluate=Evaluation(replace(data, seed=0).held_out(cfg.held), cfg.held, cfg.every),
        precision=cfg.precision, accumulate=cfg.accumulate, seed=seed, save_every=cfg.save_every,
    )  # fmt: skip


def masked_only(cfg: Config, name: str, seed: int) -> Stage:
    """The encoder alone, with its language head."""
    stage = pretraining(cfg, name, Courses(), seed)
    model, objective = TextClassifier(cfg.encoder, len(cfg.labels)), partial(only_masked, rate=cfg.rate)
    return replace(stage, model=model, objective=objective, trainable=parts("encoder"))


def all_but_the_language_head(path: str, axes: Axes) -> bool:
    return not path.startswith("encoder/head")


# --- tasks ---


def tuned(run: Any, cfg: Config, label: str, seed: int, *start: Any) -> Any:
    """An encoder on all tasks, probed and fine-tuned."""
    stage = downstream(cfg, f"{seed}/tasks/{slug(label)}", seed)
    return run.train(stage, dict.fromkeys(stage.model, *start) if start else None)


def downstream(cfg: Config, name: str, seed: int) -> Stage:
    """A frozen encoder and one to be trained for each task, with fresh heads; none sees another's rows or gradient."""
    pieces, how = BPE(cfg.encoder.vocab), {"batch": cfg.rows, "length": cfg.words, "seed": seed}
    texts = [LabelledText(task=task, tokenizer=pieces, learned_from=cfg.text, **how) for task in cfg.tasks]
    rows: dict[str, Any] = {data.task.name: data for data in texts}
    nets: dict[str, Any] = {task.name: TextClassifier(cfg.encoder, task.classes) for task in cfg.tasks}
    if cfg.tagged is not None:
        shared = LearnedFrom(pieces, cfg.text)
        rows[TAGS] = TaggedRows(sources=(cfg.tagged,), tags=cfg.labels, tokenizer=shared, **how)
        nets[TAGS] = Tagger(cfg.encoder, len(cfg.labels))
    models = {f"{way}-{task}": net for way in (TUNED, PROBE) for task, net in nets.items()}
    data = Abreast(members=tuple(rows.items()))
    rates = {TUNED: cfg.tune_peak, PROBE: cfg.probe_peak}
    learn = {TUNED: all_but_the_language_head, PROBE: parts("head")}
    return Stage(
        name=name, model=models, objective=side_by_side, data=data, steps=cfg.tuning, step=joint_step,
        optimizer={one: adamw(rates[one.partition("-")[0]], warmup=0.1, decay="linear") for one in models},
        trainable={one: learn[one.partition("-")[0]] for one in models},
        handover=Handover(params=encoder_only),
        evaluate=Evaluation(data.held_out(cfg.tested), cfg.tested, objective=side_by_side),
        precision=cfg.precision, seed=seed, save_every=cfg.save_every,
    )  # fmt: skip


def encoder_only(path: str, axes: Axes) -> str:
    """What tasks take over of whatever trained the encoder."""
    return {"encoder": "carry", "head": "reset"}.get(path.partition("/")[0], "drop")


def labelling(model: Any, rows: Any, key: jax.Array | None) -> tuple[jax.Array, Metrics]:
    return weighted(model.answers(rows["tokens"]), rows["label"])


def side_by_side(models: Any, batch: Any, key: jax.Array | None) -> tuple[jax.Array, Metrics]:
    """The sum of the losses of networks that share nothing, the accuracy of each, and the mean over tasks by way."""
    loss, found = jnp.float32(0), {}
    for name, model in models.items():
        rows = part(batch, name.partition("-")[2])
        own, metrics = (tagging if "targets" in rows else labelling)(model, rows, None)
        loss, found[name] = loss + own, metrics["accuracy"]
    means = {
        way: Macro(*map(jnp.stack, zip(*(pair for name, pair in found.items() if name.startswith(way)), strict=True)))
        for way in (TUNED, PROBE)
    }
    return loss, found | means | {"loss": (loss, 1.0)}


# --- report ---


def report(cfg: Config, arms: dict[int, dict[str, Arm]]) -> Report:
    """Accuracies of all arms, what the courses are made of, what they cost, and the verdicts."""
    tasks = [*(task.name for task in cfg.tasks), *([TAGS] if cfg.tagged is not None else [])]

    def over(label: str, what: str) -> list[float]:
        return [own[label].results[-1].history.last(what) for own in arms.values() if label in own]

    def scores(way: str, title: str) -> Table:
        columns = {**{task: f"{way}-{task}" for task in tasks}, "mean": way}
        note = "Accuracy on test rows, %: mean ± standard deviation over seeds; without ±: the first seed alone."
        return table_of_means(title, LABELS, list(columns), lambda label, task: over(label, columns[task]), note=note)

    gains = [100 * (a - b) for a, b in zip(over(FULL, TUNED), over(ELECTRA, TUNED), strict=True)]
    best = [max(scored) for scored in zip(*(over(label, TUNED) for label in MEMBERS), strict=True)]
    behind = [100 * (soup - one) for soup, one in zip(over(SOUP, TUNED), best, strict=True)]
    way = [[row for result in own[FULL].results[:2] for row in result.history.evals] for own in arms.values()]
    falls = [rows[0]["mask_altered"] - rows[-1]["mask_altered"] for rows in way if rows]
    shares = [[row["insert_altered"] for row in rows] for rows in way if rows]
    moves = max((max(own) - min(own) for own in shares), default=0.0)
    claims = (
        claim(
            "MCL exceeds ELECTRA at equal FLOPs",
            paper="+2.8 points on GLUE, +3.2 on SQuAD 2.0", measured=shown(gains, "+.1f"), unit="points",
            margin="+1 point or more, mean of the seeds, and above 0 on each",
            holds=mean(gains) >= 1 and min(gains) > 0,
        ),
        claim(
            "ITD's share of altered tokens stays, while RTD's falls",
            paper="no figure known",
            measured=f"ITD moves by {moves:.1e}, RTD falls by {shown(falls, '.4f')}" if falls else None,
            margin="ITD by less than 1e-6; RTD from the first to the last evaluation of MCL on every seed",
            holds=moves < 1e-6 and min(falls, default=0.0) > 0,
        ),
        claim(
            "A uniform course soup is as good as its best member",
            paper="no figure known", measured=shown(behind, "+.1f"), unit="points",
            margin="-0.1 points or more, mean of the seeds", holds=mean(behind) >= -0.1,
        ),
    )  # fmt: skip
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2305.03981",
        arms=by_seed({label: {s: own[label] for s, own in arms.items() if label in own} for label in LABELS}, ELECTRA),
        tables=(
            scores(TUNED, "Fine-tuned"), scores(PROBE, "Linear probes of the frozen encoder"),
            spent(cfg, arms[cfg.seeds[0]]), courses(arms), notes_of_the_way(way[0]),
        ),
        baseline=ELECTRA, metric=TUNED, rising=True, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


def spent(cfg: Config, arms: dict[str, Arm]) -> Table:
    """What pre-training cost each arm."""
    rows = []
    for label in LABELS:
        arm = arms[label]
        stages = [one for one in (*arm.charged, *arm.results[:-1]) if one.kind == "train"]
        steps = sum(one.steps for one in stages)
        rows.append((label, steps, steps * cfg.batch * cfg.length, sum(float(one.cost.flops) for one in stages)))
    note = "Of the first seed. Clean tokens are those before any course; a soup is charged for all its members."
    return Table("Pre-training", ("arm", "steps", "clean tokens", "FLOPs"), tuple(rows), ("", "", "si", "si"), note)


def courses(arms: dict[int, dict[str, Arm]]) -> Table:
    """What each course is made of at the end."""
    rows = []
    for label in (ELECTRA, COURSES, FULL):
        for course, name in list(NAMES.items())[: 1 if label == ELECTRA else None]:
            own = [arm[label].results[-2].history for arm in arms.values() if label in arm]
            found = (mean([one.last(f"{course}_{what}") for one in own]) for what in ("altered", "found", "restored"))
            rows.append((label, name, *found))
    columns = ("arm", "course", "altered tokens", "of them found", "restored by the generator")
    note = "On held-out rows at the end of pre-training; means over seeds."
    return Table("The courses", columns, tuple(rows), ("", "", *[".1%"] * 3), note)


def notes_of_the_way(way: list[dict[str, Any]]) -> Table:
    """The notebook and the share of altered tokens at every evaluation of MCL; its two stages follow each other."""
    kinds = [(course, k) for course in ("mask", "swap") for k in (1, 2, 3, 4)]
    columns = ("step", *(f"{NAMES[course]} {k}" for course, k in kinds), "ITD altered")
    rows = [(row["step"], *(row[f"{c}_pos{k}"] for c, k in kinds), row["insert_altered"]) for row in way]
    kind = "1 original, so judged; 2 original, judged altered; 3 altered, judged original; 4 altered, so judged"
    note = f"Tokens of a held-out row, first seed: {kind}. Steps begin anew where the learning rate begins to fall."
    return Table("The notebook of MCL", columns, tuple(rows), ("", *[".2f"] * 8, ".1%"), note)


NOTES = (
    "No code of the paper was found: rates, weights, what is corrupted again and how soups are made are not confirmed. "
    "Places where the generator was wrong are masked, or have their swapped tokens, again.",
    "SQuAD 2.0 is left out. Every task is scored by accuracy, on equally many test rows. RTD + STD and RTD + ITD are "
    "trained as members of the soup only, from MCL's first three quarters.",
    "Sizes were set by time; rate and initial values of the text and its 300 pieces by what ELECTRA alone learned on "
    "another seed: with 2,048 pieces as many FLOPs left its encoder no better for any task than fresh values, with 300 "
    "it tagged better than those. Rates of the tasks were not searched. D judges through an inner layer, as ELECTRA's "
    "does; without it, high rates left its encoder with constant features.",
)


EXPERIMENT = Experiment(
    name="mcl",
    title="MCL: several courses and self-correction for ELECTRA-style pre-training",
    reference="Chen et al., Findings of ACL 2023, arXiv 2305.03981",
    paper=52,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("mcl")
