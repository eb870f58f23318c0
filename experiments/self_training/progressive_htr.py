"""Progressive few-shot transcription: lines of an alphabet of which five images a symbol are known, and no line.

Paper    Souibgui, Fornés, Kessentini and Megyesi, Few Shots Are All You Need: A Progressive Few Shot Learning Approach
         for Low Resource Handwritten Text Recognition, 2022, arXiv 2107.10064 (dossier 070).
Claim    Competitive transcription of ciphered manuscripts with a large reduction of human effort: a detector that is
         asked for one symbol at a time, adapted to the manuscript by progressively adding its own surest detections.
Method   Stages, each on the same losses of Faster R-CNN for pairs of a line and a query symbol:
         1 pre-train    synthetic lines of Omniglot's letters, and of their turns, boxes known
         2 fine-tune    synthetic lines of the few shots of the target alphabet, under strips of the manuscript
         3 progressive  the manuscript's lines without labels: every shot of every symbol is looked for in every line;
                        the surest detections become boxes, up to a quota; the weights of stage 2 are trained on all
                        boxes so far; the best look by validation chooses the next ones; and again from stage 2
         A line is read from the matrix of symbols by columns that its detections make. Beside it, in as many steps as
         all rounds have together and with as many looks: stage 2 going on; weights kept between rounds; all detections
         at once; true boxes (an upper bound). A CTC recogniser on the synthetic lines has the steps of all three
         stages. Stages 1 and 2 alone; with one shot, stages 2 and 3.
Run      stagejax run progressive_htr                    laptop: 5e12 FLOPs, 14 minutes on two shared cores
         stagejax run progressive_htr --preset smoke     under a minute
         stagejax plan progressive_htr --preset pod --mesh data=16,fsdp=16
Holds if the symbol error rate (SER) of the progressive arm is 20 % or more below that of stage 2, relatively, at 5
         shots; it is below that of stage 2 going on for as many steps with as many looks; it is no higher than that of
         all detections at once; and 90 % or more of the first round's pseudo-labels are right. Means over seeds, on
         test lines of other writers. (The second was added before the run: the first could be met without a label.)
Ours     One of the four holds, the second, by chance: progressive is below stage 2 going on by .3 points, one symbol;
         with one of the two seeds it is above. SER on test lines in %, mean and each seed: stage 1 only 49.3 (46.0,
         52.6), stage 2 42.3 (40.2, 44.4), stage 2 going on 41.1 (37.2, 45.0), progressive 40.8 (39.1, 42.6), weights
         kept 39.2 (36.2, 42.3), all at once 40.6 (40.2, 41.0), true boxes 37.1 (34.6, 39.7), CTC 73.7 (71.0, 76.5);
         with one shot 56.1 (49.7, 62.4), and progressive 54.8 (48.4, 61.1). So progressive is 3 % below stage 2, of 20
         asked, and a symbol above all at once. Of its first 100 labels 84.5 % are right, of 274 in the end 72 %, of the
         664 of all at once 51 %. True boxes gain but 5 points over stage 2: labels have little room here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Experiment, Handover, Stage
from stagejax.data import TFDS, Digits, Source
from stagejax.data.handwriting.alphabets import Symbols, hands, records
from stagejax.data.handwriting.lines import Hand, Lines, Turned
from stagejax.data.handwriting.spotting import Spotting, labelled
from stagejax.data.pictures.omniglot import Omniglot
from stagejax.data.pictures.scenes import Detection
from stagejax.data.together import Together
from stagejax.inference import Frozen
from stagejax.inference.pictures.spotting import Progressive, Spotter, flops_of_spotting, spot, starting
from stagejax.inference.pictures.transcribing import Reading, matrices, precision, recogniser_errors, symbol_error_rates
from stagejax.models.speech.recognizer import Recognizer
from stagejax.models.vision.matching_detector import MatchingDetector
from stagejax.names import slug
from stagejax.objectives.pictures.matching_detection import Regions, matching_detection
from stagejax.objectives.sound.recognition import columns_ctc
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, by_seed, claim, mean, table_of_means
from stagejax.report.pictures import pictures

FIRST, SECOND, LONGER = "stage 1 only", "stage 2", "stage 2, longer"
OURS, KEPT, ONCE = "progressive", "weights kept", "all at once"
TRUE, CTC, NOTHING = "true boxes", "CTC on synthetic lines", "nothing read"
ONE_SECOND, ONE_OURS = "stage 2, one shot", "progressive, one shot"
PSEUDO = (OURS, KEPT, ONCE)
ARMS = (FIRST, SECOND, LONGER, OURS, KEPT, ONCE, TRUE, CTC, ONE_SECOND, ONE_OURS)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    letters: Source = field(default_factory=lambda: Turned(Omniglot()))  # of stage 1
    symbols: Symbols = field(default_factory=lambda: hands(1))  # Tagalog, 17 symbols
    net: MatchingDetector = field(default_factory=MatchingDetector)
    regions: Regions = field(default_factory=Regions)
    shape: tuple[int, int] = (32, 160)  # of a line, in pixels
    side: int = 28  # of a symbol's image
    length: tuple[int, int] = (5, 8)  # symbols of a line
    hand: Hand = field(default_factory=Hand)  # of synthetic lines
    manuscript: Hand = field(
        default_factory=lambda: Hand(gap=(-3, 8), ruled=0.5, blur=(0.2, 0.7), noise=0.06)
    )  # of target lines
    shots: int = 5
    lines: tuple[int, int, int] = (100, 20, 60)  # unlabelled, validation, test
    written: tuple[int, int] = (3000, 500)  # synthetic lines of stages 1 and 2
    starting: int = 6  # synthetic lines among the progressive arm's
    batch: tuple[int, int] = (4, 8)  # lines of a step of stages 1 and 2, and of stage 3
    queries: tuple[int, int] = (4, 1)  # symbols asked for in each
    most: int = 12  # boxes of a pair
    steps: tuple[int, int] = (1200, 120)  # of stages 1 and 2
    rounds: int = 3
    looks: tuple[int, ...] = (25, 15)  # steps of a round, with a look at validation behind each
    peak: float = 3e-3  # learning rate of stage 1
    tuned: float = 1e-3  # of all later ones
    chosen: Progressive = field(
        default_factory=lambda: Progressive(first=100, more=0.5)
    )  # 15 % of the boxes, then more than .2: there are few rounds
    reading: Reading = field(default_factory=lambda: Reading(17, run=4, gap=6))  # columns: 22 and 20 of 105 rows
    speech: Recognizer = field(default_factory=lambda: Recognizer(32, 48, 2, 4, 192, 17))
    speech_peak: float = 3e-3
    speech_batch: int = 8  # lines
    chunk: int = 10  # lines that are looked at in one go
    seeds: tuple[int, ...] = (0, 1)

    @property
    def of_a_round(self) -> int:
        return sum(self.looks)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        digits, hand = Digits(), Hand(gap=(1, 4), lines=(0, 2))
        net = MatchingDetector(((8,), (16,), (16,)), ((2, 2), (2, 2)), ((16, 8), (16, 12)), None, (3, 3), 24, groups=4)
        return Config(
            Turned(digits, "label"), records(digits, 300, 200, 900), net,
            Regions(16, 8, 0.7, 24, 12), (16, 64), 12, (3, 5), hand, hand,
            shots=2, lines=(12, 4, 4), written=(60, 20), starting=2, batch=(4, 4), queries=(2, 1), most=8, chunk=4,
            steps=(60, 20), rounds=2, looks=(8, 4), peak=5e-3, chosen=Progressive(sure=0.2, first=8),
            reading=Reading(10, 0.2, 1, 3), speech=Recognizer(16, 16, 1, 2, 32), speech_batch=4, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        vgg = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
        shapes = tuple((112, width) for width in (24, 40, 56, 80, 112))
        far = Hand(gap=(-4, 30), lines=(10, 20), pen=(-0.5, 2.0), blur=(0.0, 1.0))
        near = replace(far, gap=(-8, 30), ruled=0.5, blur=(0.5, 1.5), noise=0.06)
        net = MatchingDetector(vgg, ((2, 2),) * 4, shapes, None, (7, 7), 512, groups=32, convolution="conv")
        return Config(
            Turned(TFDS("omniglot"), "label"), records(TFDS("emnist/balanced"), 20_000, 10_000, 70_000),
            net, Regions(2000, 1000, 0.7, 256, 512), (112, 2048), 100, (35, 50), far, near,
            lines=(500, 20, 100), written=(10_000, 2000),
            starting=10, batch=(256, 256), queries=(1, 1), most=64, steps=(3000, 600), rounds=10,
            looks=(140, 40, 40, 40, 40),
            peak=1e-3, tuned=3e-4, chosen=Progressive(), reading=Reading(47), seeds=(0,), speech_batch=256,
            speech=Recognizer(112, 512, 6, 8, 2048, 47),
        )  # fmt: skip
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """One pre-training, and from it all arms with every seed."""
    first = run.train(pretraining(cfg))
    return report(cfg, first, {seed: compared(run, cfg, seed, first) for seed in cfg.seeds})


def compared(run: Any, cfg: Config, seed: int, first: Any) -> dict[str, Any]:
    """All arms of one seed: what each made, its chosen looks, what it chose as labels, and how it reads test lines."""
    few, one = (replace(cfg, shots=shots, seeds=()) for shots in (cfg.shots, 1))  # what is made knows of no other seed
    second = run.train(finetuning(few, f"{seed}/stage-2", seed), first)
    single = run.train(finetuning(one, f"{seed}/stage-2-one-shot", seed), first)
    made = {FIRST: ((), [first], []), SECOND: ((second,), [second], []), ONE_SECOND: ((single,), [single], [])}
    made |= {arm: adapted(run, few, arm, seed, second) for arm in (LONGER, OURS, KEPT, ONCE, TRUE)}
    made |= {ONE_OURS: adapted(run, one, ONE_OURS, seed, single)}
    speech, heard = recognised(run, few, seed)
    tested = {
        arm: looked(run, one if "one shot" in arm else few, f"{seed}/{slug(arm)}/test", "test", seed, best[-1])
        for arm, (_, best, _) in made.items()
    }
    tested[CTC] = run.make(f"{seed}/ctc/test", transcribed, few, "test", seed, heard)
    made[CTC] = (speech, [heard], [])
    judged = {
        arm: [run.make(f"{pick.name}/right", right, few, seed, pick) for pick in picks]
        for arm, (_, _, picks) in made.items()
    }
    how = (spotter_of(few, seed), seed, second, made[OURS][1][-1])
    drawn = run.make(f"{seed}/drawn", shown, few, *how) if seed == cfg.seeds[0] else None
    return {"made": made, "tested": tested, "right": judged, "second": second, "single": single, "drawn": drawn}


# --- lines ---


def shots_of(cfg: Config, seed: int) -> Source:
    """The few images of each symbol that are known."""
    return cfg.symbols.few(cfg.shots, seed)


def written_lines(cfg: Config, symbols: Source, count: int, seed: int, **own: Any) -> Lines:
    how = {"shape": cfg.shape, "side": cfg.side, "symbols_of_a_line": cfg.length, "hand": cfg.hand}
    return Lines(symbols, count, seed=seed, **(how | own))


def target(cfg: Config, part: str, seed: int) -> Lines:
    """Lines of the manuscript: "lines" are those without labels."""
    count = dict(zip(("lines", "validation", "test"), cfg.lines, strict=True))[part]
    own = 4 * seed + 1 + ("lines", "validation", "test").index(part)  # no two parts share the layout of their lines
    return written_lines(cfg, getattr(cfg.symbols, part), count, own, hand=cfg.manuscript)


def few_shot_lines(cfg: Config, seed: int) -> Lines:
    """Synthetic lines of the shots, under strips of the manuscript."""
    strips = target(cfg, "lines", seed)
    return written_lines(cfg, shots_of(cfg, seed), cfg.written[1], 4 * seed, neighbours=strips)


def start_of(cfg: Config, seed: int) -> Lines:
    """The few synthetic lines that pseudo-labels are added to."""
    return replace(few_shot_lines(cfg, seed), count=cfg.starting)


def annotated(cfg: Config, seed: int) -> Together:
    """What pseudo-labels are about: a few synthetic lines, then all lines without labels."""
    return Together((start_of(cfg, seed), target(cfg, "lines", seed)))


# --- stages ---


def spotting(cfg: Config, lines: Source, seed: int) -> Spotting:
    """Lines with queries among the shots."""
    how = {"shape": cfg.shape, "side": cfg.side, "batch": cfg.batch[1], "queries": cfg.queries[1], "most": cfg.most}
    return Spotting(lines=lines, shots=shots_of(cfg, seed), seed=seed, **how)


def detecting(cfg: Config, name: str, lines: Source, steps: int, seed: int, peak: float) -> Stage:
    """The recipe of every stage of the detector."""
    return Stage(
        name=name,
        model=cfg.net,
        objective=partial(matching_detection, regions=cfg.regions),
        optimizer=adamw(peak, warmup=0.1, clip=5.0),
        data=spotting(cfg, lines, seed),
        steps=steps,
        seed=seed,
    )


def pretraining(cfg: Config) -> Stage:
    """Stage 1: letters of many alphabets in one line, and queries among them."""
    lines = written_lines(cfg, cfg.letters, cfg.written[0], 0)
    stage = with_many_queries(cfg, detecting(cfg, "pre-trained", lines, cfg.steps[0], 0, cfg.peak))
    return replace(stage, data=replace(stage.data, shots=cfg.letters))


def finetuning(cfg: Config, name: str, seed: int) -> Stage:
    """Stage 2."""
    return with_many_queries(cfg, detecting(cfg, name, few_shot_lines(cfg, seed), cfg.steps[1], seed, cfg.tuned))


def with_many_queries(cfg: Config, stage: Stage) -> Stage:
    """Fewer lines, each with more queries, where every line has boxes of several symbols."""
    return replace(stage, data=replace(stage.data, batch=cfg.batch[0], queries=cfg.queries[0]))


def adapted(run: Any, cfg: Config, arm: str, seed: int, second: Any) -> tuple[tuple[Any, ...], list[Any], list[Any]]:
    """The rounds of an arm behind stage 2: all that it made, the best look of each round and of all, its labels."""
    at, every, best, picks = f"{seed}/{slug(arm)}", [], [], []
    spotter, now, labels = spotter_of(cfg, seed), second, None
    for r in range(cfg.rounds):
        stage = detecting(cfg, f"{at}/{r}", few_shot_lines(cfg, seed), cfg.of_a_round, seed + 1000 * r, cfg.tuned)
        if arm == TRUE:
            stage = replace(stage, data=replace(stage.data, lines=target(cfg, "lines", seed)))
        elif arm != LONGER:
            if r == 0 or arm != ONCE:
                rule = replace(cfg.chosen, first=None) if arm == ONCE else cfg.chosen
                inputs = cfg, spotter, rule, seed, labels, now
                labels = run.make(f"{at}/{r}/labels", chosen, *inputs, flops=flops_of(cfg, spotter, "lines"))
                picks.append(labels)
                every.append(labels)
            stage = replace(stage, data=labelled(replace(stage.data, lines=annotated(cfg, seed)), labels))
        start = second if arm in (OURS, ONE_OURS) else now  # the reset
        see = lambda name, own: looked(run, cfg, name, "validation", seed, own)  # noqa: E731
        made, looks = with_looks(run, stage, start, cfg.looks, see)
        every += made
        now, score = lowest(looks)
        best.append((now, score))
    return tuple(every), [*(own for own, _ in best), lowest(best)[0]], picks


Looks = list[tuple[Any, float]]  # states, and their SER on validation lines


def with_looks(run: Any, stage: Stage, start: Any, lengths: tuple[int, ...], see: Any) -> tuple[list[Any], Looks]:
    """One schedule in parts, with a look at validation lines behind each: all that was made, and the looks."""
    made, looks, horizon = [], [], sum(lengths)
    for i, steps in enumerate(lengths):
        further = Handover(moments="carry", schedule="carry", data="carry") if i else Handover()
        optimizer = replace(stage.optimizer, horizon=horizon)
        part = replace(stage, name=f"{stage.name}/{i}", steps=steps, optimizer=optimizer, handover=further)
        start = run.train(part, start)
        seen = see(f"{part.name}/validation", start)
        made += [start, seen]
        looks.append((start, float("nan") if seen.value is None else seen.value["ser"]))
    return made, looks


def lowest(looks: Looks) -> tuple[Any, float]:
    """The first look of the lowest SER; the last one in planning."""
    scores = [score for _, score in looks]
    return looks[-1 if np.isnan(scores).any() else int(np.argmin(scores))]


def recognised(run: Any, cfg: Config, seed: int) -> tuple[tuple[Any, ...], Any]:
    """The recogniser, in as many steps as stages 1, 2 and 3 have, with as many looks: all that was made, the best."""
    how = {"batch": cfg.speech_batch, "shape": (*cfg.shape, 1), "most": cfg.length[1], "seed": seed}
    stage = Stage(
        name=f"{seed}/ctc",
        model=cfg.speech,
        objective=columns_ctc,
        optimizer=adamw(cfg.speech_peak, warmup=0.1, clip=1.0),
        data=Detection(source=few_shot_lines(cfg, seed), **how),
        steps=1,
        seed=seed,
    )
    lengths = (sum(cfg.steps) + cfg.looks[0], *cfg.looks[1:], *cfg.looks * (cfg.rounds - 1))
    see = lambda name, own: run.make(name, transcribed, cfg, "validation", seed, own)  # noqa: E731
    made, looks = with_looks(run, stage, None, lengths, see)
    return tuple(made), lowest(looks)[0]


# --- looking, choosing, reading ---


def spotter_of(cfg: Config, seed: int) -> Spotter:
    """Every shot of every symbol is looked for."""
    return Spotter(shots_of(cfg, seed), cfg.side, cfg.regions, cfg.chosen.sure / 2, cfg.chunk)


def flops_of(cfg: Config, spotter: Spotter, part: str) -> float:
    """Of looking at all lines of a part."""
    count = dict(zip(("lines", "validation", "test"), cfg.lines, strict=True))[part]
    return flops_of_spotting(spotter, cfg.net, count, cfg.shape, cfg.shots * cfg.reading.classes)


def chosen(cfg: Config, spotter: Spotter, rule: Progressive, seed: int, before: Any, result: Any) -> dict[str, Any]:
    """Pseudo-labels: those `before`, or those of the starting lines, and the surest detections of a detector."""
    known = starting(start_of(cfg, seed)) if before is None else before.value
    found = spot(spotter, target(cfg, "lines", seed), Frozen.of(result))
    return rule(found | {"line": found["line"] + cfg.starting}, known)


def right(cfg: Config, seed: int, labels: Any) -> dict[str, float]:
    """How many pseudo-labels there are, and how many of them are right."""
    return precision(labels.value, target(cfg, "lines", seed), cfg.starting)


def looked(run: Any, cfg: Config, name: str, part: str, seed: int, result: Any) -> Any:
    """How a detector reads the lines of a part."""
    spotter = spotter_of(cfg, seed)
    return run.make(name, transcripts, cfg, spotter, part, seed, result, flops=flops_of(cfg, spotter, part))


def transcripts(cfg: Config, spotter: Spotter, part: str, seed: int, result: Any) -> dict[str, float]:
    """The error rates of what a detector reads."""
    lines = target(cfg, part, seed)
    return symbol_error_rates(cfg.reading, spot(spotter, lines, Frozen.of(result)), lines)


def shown(cfg: Config, spotter: Spotter, seed: int, *results: Any) -> dict[str, np.ndarray]:
    """Some test lines, and the similarity matrices that detectors make of them, as pictures."""
    lines = replace(target(cfg, "test", seed), count=min(cfg.chunk, 4))
    images = np.stack([lines[i]["image"] for i in range(len(lines))])
    seen = [matrices(cfg.reading, spot(spotter, lines, Frozen.of(own)), len(lines), cfg.shape[1]) for own in results]
    rows = {"line": images[..., 0], **{str(i): np.stack(own).repeat(3, 1) for i, own in enumerate(seen)}}
    return {
        name: (255 * np.clip(1 - own, 0, 1)).astype(np.uint8)[..., None].repeat(3, -1) for name, own in rows.items()
    }


def transcribed(cfg: Config, part: str, seed: int, result: Any) -> dict[str, float]:
    """SER of the recogniser."""
    return recogniser_errors(result, target(cfg, part, seed))


# --- report ---


def report(cfg: Config, first: Any, found: dict[int, dict[str, Any]]) -> Report:
    """SER of all arms, the pseudo-labels of every round, and the claims."""

    def tested(arm: str, what: str = "ser", only: int | None = None) -> list[float]:
        values = [own["tested"][arm].value for seed, own in found.items() if only in (None, seed)]
        return [value[what] for value in values if value is not None and what in value]

    def picked(row: str, what: str) -> list[float]:
        arm, _, r = row.rpartition(", round ")
        made = [own["right"][arm] for own in found.values()]
        values = [own[int(r) - 1].value for own in made]
        return [float(value[what]) for value in values if value is not None]

    ser = {arm: mean(tested(arm)) for arm in ARMS}
    fall = 1 - ser[OURS] / ser[SECOND]
    precision = mean(picked(f"{OURS}, round 1", "precision"))
    claims = (
        claim(
            "Progressive pseudo-labels make the few-shot detector read the manuscript better",
            paper="what the third stage is for; its figures were not read",
            measured=fall,
            unit="%",
            margin="an SER 20 % or more below that of stage 2, relatively, at 5 shots",
            holds=fall >= 0.2,
        ),
        claim(
            "It is the pseudo-labels that do it",
            paper="why lines without labels are used",
            measured=100 * (ser[OURS] - ser[LONGER]),
            unit="points",
            margin="an SER below that of stage 2 going on for as many steps, with as many looks",
            holds=ser[OURS] < ser[LONGER],
        ),
        claim(
            "Adding the surest detections bit by bit is no worse than adding all of them at once",
            paper="why labels are added progressively",
            measured=100 * (ser[OURS] - ser[ONCE]),
            unit="points",
            margin="an SER no higher than that of all at once",
            holds=ser[OURS] <= ser[ONCE],
        ),
        claim(
            "The first pseudo-labels are right",
            paper="the surest detections are taken first",
            measured=precision,
            unit="%",
            margin="90 % or more of those of the first round",
            holds=precision >= 0.9,
        ),
    )
    marks = [arm for arm in ARMS if arm != CTC]
    rows = [f"{arm}, round {r + 1}" for arm in (*PSEUDO, ONE_OURS) for r in range(1 if arm == ONCE else cfg.rounds)]
    each = {"SER": None} | {f"seed {seed}": seed for seed in found}
    columns = {"raw": "raw", "marks taken off": "adjusted", "marked": "unsure"}
    tables = (
        table_of_means(
            "Symbol error rate", [*ARMS, NOTHING], list(each),
            lambda arm, column: [1.0] if arm == NOTHING else tested(arm, only=each[column]),
            note="On test lines, spaces left out, every symbol read; in %: mean ± standard deviation over seeds.",
        ),
        table_of_means(
            f"Symbols below {cfg.reading.sure} marked as unsure", marks, list(columns),
            lambda arm, column: tested(arm, columns[column]),
            note="SER where a mark is an error, and with the marks taken off the errors as the authors do; in %.",
        ),
        table_of_means(
            "Pseudo-labels that are right", rows, ["precision", "coverage"], picked,
            note="Of all that were added until then: over a true box of the symbol by half; coverage: of all symbols.",
        ),
        table_of_means("Pseudo-labels", rows, ["count"], picked, scale=1.0, digits=0, note="Added until then."),
    )  # fmt: skip
    arms = {
        arm: {seed: Arm("", own["made"][arm][0], charged(arm, first, own)) for seed, own in found.items()}
        for arm in ARMS
    }
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2107.10064",
        arms=by_seed(arms, SECOND),
        tables=tables,
        figures=drawn(found[cfg.seeds[0]]["drawn"].value),
        baseline=SECOND,
        metric="loss",
        seeds=cfg.seeds,
        notes=NOTES,
    )


def drawn(value: Any) -> tuple[Any, ...]:
    """Test lines and their similarity matrices."""
    if not value:
        return ()
    rows = [[value[name][i] for name in ("line", "0", "1")] for i in range(len(value["line"]))]
    caption = "A row for each symbol, from the first at the top; the darker, the surer. Test lines of the first seed."
    return (pictures("Similarity matrices", ("line", SECOND, OURS), rows, caption),)


def charged(arm: str, first: Any, own: dict[str, Any]) -> tuple[Any, ...]:
    """What an arm builds on: the stages before its own."""
    if arm == CTC:
        return ()
    before = {SECOND: (), ONE_SECOND: (), FIRST: (), ONE_OURS: (own["single"],)}
    return (first, *before.get(arm, (own["second"],)))


NOTES = (
    "The manuscript is written with Tagalog's 17 letters of Omniglot, which stage 1 has not seen; shots, validation, "
    "unlabelled and test lines are of other hands each. Digits of MNIST were tried first and read with 60 % errors. "
    "Lines have 5 to 8 symbols, and there are 100, 20 and 60 of them: fewer than planned. No real manuscript is here. "
    "A test symbol is .27 points of SER. Five shots are all that there are, so both seeds know the same ones.",
    "Stage 1 has 178 letters and three turns of each, and trained once: a spread over seeds is that of all else. The "
    "detector begins without ImageNet, with group norms and AdamW. Anchors span the line. Rates were not searched.",
    "Read from the code: proposals are any box of a pair; what has no box is ground, also where it holds the symbol; "
    "a label stays once added; the score that marks a symbol as unsure is the one it needs to be read, so no mark is "
    "given: here marks are below .6. Duplicates are merged over shots. The quota grows by .5, not .2, in 3 rounds.",
    "All arms behind stage 2 choose their look by the SER on 20 transcribed validation lines (122 and 116 symbols), as "
    "authors do: labels that few-shot does not count. The best look of all rounds is tested, not that of the last.",
)

EXPERIMENT = Experiment(
    name="progressive_htr",
    title="Progressive few-shot transcription: a detector learns an alphabet from its own surest detections",
    reference="Souibgui et al. 2022, arXiv 2107.10064",
    paper=70,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("progressive_htr")
