"""MIO: text, pictures and speech as tokens of one vocabulary, in four stages that raise the share of speech.

Paper    Wang et al., MIO: A Foundation Model on Multimodal Tokens, 2024, arXiv 2409.17692 (dossier 042).
Claim    A decoder that reads and writes all modalities as discrete tokens by next-token prediction alone; speech, which
         has most tokens, comes in gradually. Content tokens before timbre tokens: with alternating ones text-to-speech
         hardly converges and recognition learns slowly. ASR word error rate 6.3, TTS 4.2, COCO CIDEr 120.4.
Method   Stage 0 trains the tokenizers: a VQ-VAE of pictures (16 codes of 256), and a residual codec of mel frames (two
         codes of 64, 25 frames a second) whose first book is distilled from an encoder that learned on clips without
         labels. A language model of text alone grows by the rows of all codes and of four borders (mean of the old
         rows), and is trained on packed rows, documents apart, in the paper's shares of pairs : text : interleaved :
         speech: 12:2:0:2, then 2:2:6:6, then 2:1:1:12, as 25:13:32 of the steps; then on answers to instructions
         (caption, draw, transcribe, speak, edit, next frame). Pairs are in either direction; the timbre of what is to
         be understood is left out. Arms of equally many tokens from the same grown model: staged; one stage with every
         corpus at its own size; staged with alternating codes, in which timbre stays everywhere, as in the paper's
         comparison; by option one stage with equal shares, or stages without replay.
Run      stagejax run mio_tokens                                 laptop: about 3 minutes on two cores
         stagejax run mio_tokens --preset long                   all five arms
         stagejax run mio_tokens --preset smoke                  generated tones and small digits, seconds
         stagejax plan mio_tokens --preset pod --mesh data=8,fsdp=16
Holds if (i) sequential is above alternating by 5 points or more both on TTS intelligibility and on ASR; (ii) staged is
         above one stage at natural shares by 5 points or more on images (mean of captions and drawings) and not more
         than 3 points below it on ASR.
Ours     Three seeds. Sequential codes are 11.1 points above alternating ones on ASR (45.6 % and 34.5), and 8.9 below on
         TTS (5.5 and 14.3): (i) does not hold, for 28 % of sequential clips are valid (parts of equal length), 99.5 %
         of alternating ones. Of valid ones 20.3 ± 4.1 and 14.4 ± 5.6 % are understood, where a guess of a digit is
         right by 10 %. (ii) -0.1 points on images, of which a judge knows 81 % when decoded (93 % of real ones), and
         -5.2 on ASR: does not hold either. An earlier run on another processor had +12.1 and -5.6, and +1.5 and -8.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.data import Dataset, Digits, Images, Mixture, Row, Source, Stdlib, join
from stagejax.data.language.packing import Packed
from stagejax.data.multimodal.composites import CLOTHES, DIGITS, Objects
from stagejax.data.multimodal.interleave import Order, Vocabulary
from stagejax.data.multimodal.multimodal import KINDS, TASKS, Writer, corpora, words_of
from stagejax.data.multimodal.stories import FRAMES, Stories
from stagejax.data.pipeline import Data
from stagejax.data.published import C4
from stagejax.data.sound.speech import MEL, Clips, Fsdd, Spoken, Tones, sound_of
from stagejax.growth import AddRows
from stagejax.inference import Frozen
from stagejax.inference.multimodal.examination import Examination, Judges, held_out_losses
from stagejax.inference.multimodal.tokenizing import bags_of, encoded, encoding_flops, features_of, told_by
from stagejax.models import Transformer, llama
from stagejax.models.generative.tokenizer_image import ImageTokenizer
from stagejax.models.speech.tokenizer_speech import SpeechEncoder, SpeechTokenizer
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.objectives import classification
from stagejax.objectives.sound.multimodal import causal_lm_by_range
from stagejax.objectives.sound.tokenizing import hidden_frames, picture_codes, speech_codes
from stagejax.objectives.tasks.transfer import transfer
from stagejax.optimizer import adamw
from stagejax.report import Arm, Figure, Report, Table, claim, curve, table_of_means
from stagejax.report.audio import recordings
from stagejax.report.figures import draw
from stagejax.report.pictures import pictures
from stagejax.steps.codebooks import reviving_step

STAGED, NATURAL, ALTERNATING = "staged", "one stage, natural shares", "staged, alternating codes"
UNIFORM, NO_REPLAY = "one stage, equal shares", "staged, without replay"
SHARES = {"alignment": (12, 2, 0, 2), "interleaved": (2, 2, 6, 6), "speech": (2, 1, 1, 12)}
REPLAYED = {"alignment": (12, 2, 0, 2), "interleaved": (0, 2, 6, 6), "speech": (0, 0, 0, 1)}
SHOWN = 6  # answers of each arm
HEARD = "speak, if valid"  # a table's column


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer  # of text alone; the vocabulary grows from it
    objects: tuple[Objects, ...]
    spoken: Spoken
    text: Source
    image: ImageTokenizer = field(default_factory=lambda: ImageTokenizer(codes=256))
    speech: SpeechTokenizer = field(default_factory=SpeechTokenizer)
    encoder: SpeechEncoder = field(default_factory=SpeechEncoder)
    side: int = 7  # pixels of an object
    counts: tuple[int, int, int] = (4000, 700, 700)  # pictures, stories, videos
    sentences: int = 700  # of text, and as many pieces of `text`
    joins: int = 4  # others that each recording is joined to
    instructions: int = 1500  # of each task
    length: int = 72  # tokens in a row
    batch: int = 20  # rows
    prompt: int = 52  # tokens of the longest question
    limit: int = 40  # of an answer
    tokenizers: tuple[int, int, int] = (1000, 200, 400)  # steps: pictures, encoder of speech, its codec
    samples: tuple[int, int] = (64, 64)  # in their batches: of pictures, and of clips and for judges
    judges: tuple[int, int] = (1500, 250)  # steps: of pictures, of speech
    steps: tuple[int, int, int, int] = (100, 150, 78, 192)  # text alone, then the three stages
    tuning: int = 110  # steps on instructions
    peak: float = 3e-3  # learning rate
    every: int = 30  # steps between evaluations
    tests: int = 256  # questions of each task
    at_once: int = 128  # of them answered together
    precision: Precision = field(default_factory=Precision)
    arms: tuple[str, ...] = (STAGED, NATURAL, ALTERNATING)
    seeds: tuple[int, ...] = (0,)

    @property
    def words(self) -> Vocabulary:
        return Vocabulary(self.net.vocab, self.image.codes, self.speech.books, self.speech.codes)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, with all arms, or at the paper's scale."""
    if name == "smoke":
        digits, small = (Objects(Digits(), DIGITS[:4], limit=1400),), {"layers": 1, "heads": 2, "mlp": 32}
        net = llama(vocab=words_of(digits).vocab, embed=32, **small)
        return Config(
            net, digits, Tones(limit=120, words=4), Stdlib(limit=100_000), ImageTokenizer(hidden=8, codes=32),
            SpeechTokenizer(hidden=16, embed=8, codes=16, features=16),
            SpeechEncoder(frames=8, embed=16, **small), side=8, counts=(160, 60, 60),
            sentences=60, instructions=30, batch=8, tokenizers=(60, 20, 240), samples=(32, 64), judges=(60, 40),
            steps=(6, 10, 5, 13), tuning=12, every=10, tests=16, at_once=16,
        )  # fmt: skip
    named = (("mnist", DIGITS[:6]), ("fashion_mnist", CLOTHES[:3]))  # what few codes can tell apart
    objects = tuple(Objects(Dataset(name), words, 20_000, "x", "y") for name, words in named)
    net = llama(vocab=words_of(objects).vocab, embed=64, layers=2, heads=4, mlp=176)
    laptop = Config(net, objects, Fsdd(), Stdlib(limit=600_000), seeds=(0, 1, 2))
    if name == "long":
        return replace(laptop, arms=(STAGED, NATURAL, ALTERNATING, UNIFORM, NO_REPLAY))
    if name == "pod":
        sizes = {"embed": 4096, "layers": 32, "heads": 32, "kv_heads": 4, "mlp": 11_008, "rotary_theta": 5e6}
        net = llama(vocab=64_000, scan=True, remat="full", **sizes)
        return replace(
            laptop, net=net, text=C4, image=ImageTokenizer(hidden=256, embed=64, codes=8192),
            speech=SpeechTokenizer(hidden=512, embed=256, books=4, codes=1024, features=768),
            encoder=SpeechEncoder(embed=768, layers=12, heads=12, mlp=3072), length=2800, batch=2048,
            steps=(1, 24_800, 12_800, 32_200), tuning=10_000, peak=3e-5, every=1000, at_once=256, samples=(2048, 2048),
            counts=(1_000_000, 300_000, 300_000), precision=Precision(compute="bfloat16"), arms=(STAGED,), seeds=(0,),
        )  # fmt: skip
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """Tokenizers and judges; text alone; growth; then every arm from there, and what it answers."""
    encoding, price = prices(run, cfg)
    eye, encoder, ear = run.train(picture_stage(cfg)), *speech_stages(run, cfg)
    judges = eye, ear, *(run.train(stage) for stage in judge_stages(cfg))
    codes = run.make("codes", encode, cfg, eye, ear, flops=encoding)
    orders: dict[str, Order] = {arm: "alternating" if arm == ALTERNATING else "sequential" for arm in cfg.arms}
    made = {own: run.make(f"documents/{own}", written, cfg, codes, own) for own in dict.fromkeys(orders.values())}
    first = next(iter(made.values()))
    text = run.train(stage_of(cfg, "text", cfg.net, rows(cfg, first, "text"), cfg.steps[0], 0, first, ("text",)))
    large = replace(cfg.net, vocab=cfg.words.size)
    grown = run.grow("grown", text, to=large, operator=AddRows())
    found, scores, borders = {arm: [] for arm in cfg.arms}, {}, []
    ceiling = run.make("ceiling", ceilings, cfg, codes, *judges)
    for seed in cfg.seeds:
        for arm in cfg.arms:
            own, docs, at = [], made[orders[arm]], f"{seed}/{arm.replace(',', '').replace(' ', '-')}"
            for name, shares, steps in schedule(cfg, arm, docs):
                data = mixture(cfg, docs, shares, seed)
                stage = stage_of(cfg, f"{at}/{name}", large, data, steps, seed, docs, KINDS)
                own.append(run.train(stage, own[-1] if own else grown))
            learn = rows(cfg, docs, "instructions", seed=seed)
            own.append(run.train(stage_of(cfg, f"{at}/sft", large, learn, cfg.tuning, seed, docs, KINDS), own[-1]))
            inputs = cfg, orders[arm], seed, own[-1], codes, docs, *judges
            scores[arm, seed] = run.make(f"{at}/answers", answered, *inputs, flops=price)
            if arm == STAGED and seed == cfg.seeds[0]:
                borders = [run.make(f"{r.name}/losses", losses, cfg, r, docs) for r in (grown, *own)]
            label = arm if seed == cfg.seeds[0] else f"{arm}, seed {seed}"
            found[arm].append(Arm(label, tuple(own), (eye, encoder, ear, codes, text), group=arm))
    return report(cfg, found, scores, borders, ceiling, first)


# --- stage 0: tokenizers, and judges that stay frozen ---


def stories(cfg: Config, form: str, split: str = "train", seed: int = 0) -> Stories:
    count = cfg.counts[list(FRAMES).index(form)] if split == "train" else cfg.tests
    return Stories(cfg.objects, count, form, side=cfg.side, split=split, seed=seed)  # type: ignore[arg-type]


def forms(cfg: Config, split: str) -> dict[Any, Stories]:
    return {form: stories(cfg, form, split) for form in FRAMES}


def picture_stage(cfg: Config) -> Stage:
    data = Images(source=stories(cfg, "picture", seed=1), batch=cfg.samples[0], shape=(16, 16, 3))
    how = adamw(1e-2, warmup=0.05), data, cfg.tokenizers[0], reviving_step
    return Stage("tokenizer/pictures", cfg.image, picture_codes, *how)


def speech_stages(run: Any, cfg: Config) -> tuple[Any, Any]:
    """An encoder that fills in hidden frames; a codec whose first book must tell what the encoder makes of a clip."""
    clips, optimizer = Clips(source=cfg.spoken, batch=cfg.samples[1]), partial(adamw, warmup=0.05, clip=1.0)
    hidden = Stage("tokenizer/speech-encoder", cfg.encoder, hidden_frames, optimizer(3e-3), clips, cfg.tokenizers[1])
    encoder = run.train(hidden)
    features = run.make("tokenizer/features", features_of, encoder, replace(clips, batch=256))
    told = join(clips, features, Row("features", (cfg.spoken.frames, cfg.encoder.embed)))
    loss = partial(speech_codes, distilled=10.0)
    codec = Stage("tokenizer/speech", cfg.speech, loss, optimizer(1e-2), told, cfg.tokenizers[2], reviving_step)
    return encoder, run.train(codec)


def judge_stages(cfg: Config) -> Iterator[Stage]:
    """Classifiers of real pictures and of real clips: they see no code while they learn."""
    layers, seen = (ConvLayer(16, pool=True), ConvLayer(32, pool=True)), stories(cfg, "picture", seed=2)
    sizes = {"pictures": (16, 16, 3), "speech": (cfg.spoken.frames, MEL.bands, 1)}
    classes = {"pictures": len(seen.names) * len(seen.colors), "speech": len(DIGITS)}
    for name, source, steps in zip(sizes, (seen, cfg.spoken), cfg.judges, strict=True):
        net = CNN(sizes[name], layers, heads=(("label", (64, classes[name])),), convolution="patches")
        data, optimizer = Images(source=source, batch=cfg.samples[1], shape=sizes[name]), adamw(3e-3, warmup=0.05)
        yield Stage(f"judge/{name}", net, classification, optimizer, data, steps)


def encode(cfg: Config, eye: Any, ear: Any) -> dict[str, np.ndarray]:
    """The codes of all pictures and clips: from here on nothing else of them is seen."""
    nets = Frozen.of(eye), Frozen.of(ear)
    first, last = (encoded(forms(cfg, s), cfg.spoken.of_split(s), *nets, prefix=f"{s}/") for s in ("train", "test"))
    return first | last


# --- documents: everything as tokens ---


def writer(cfg: Config, codes: Any, order: Order, split: str) -> Writer:
    own = {name.removeprefix(f"{split}/"): x for name, x in codes.value.items() if name.startswith(f"{split}/")}
    return Writer(cfg.words, order, forms(cfg, split), own)


def written(cfg: Config, codes: Any, order: Order) -> dict[str, np.ndarray]:
    """The documents of every kind and split."""
    found = {}
    for seed, split in enumerate(("train", "test")):
        how = {"sentences": cfg.sentences, "instructions": cfg.instructions, "size": cfg.length - 2, "joins": cfg.joins}
        made = corpora(writer(cfg, codes, order, split), cfg.text.of_split(split), seed=5 + seed, **how)
        found |= {f"{split}/{name}": array for name, array in made.items()}
    return found


def rows(cfg: Config, docs: Any, kind: str, split: str = "train", seed: int = 0) -> Packed:
    how = {"of": docs.fingerprint, "arrays": docs.value, "batch": cfg.batch, "length": cfg.length, "seed": seed}
    return Packed(keep=f"{split}/{kind}/", **how)


def mixture(cfg: Config, docs: Any, shares: Any, seed: int = 0, split: str = "train", count: int | None = None) -> Data:
    parts = tuple(rows(cfg, docs, kind, split, seed) for kind, share in zip(KINDS, shares, strict=True) if share)
    return Mixture(parts=parts, weights=tuple(share for share in shares if share), count=count)


# --- stages of the language model ---


def schedule(cfg: Config, arm: str, docs: Any) -> list[tuple[str, tuple[float, ...], int]]:
    """Name, shares and steps of an arm's stages before instructions; all arms have as many rows of tokens."""
    if arm in (NATURAL, UNIFORM):
        shares = natural(docs.value) if arm == NATURAL else (1, 1, 1, 1)
        return [("all", shares, sum(cfg.steps[1:]))]
    shares = REPLAYED if arm == NO_REPLAY else SHARES
    return [(name, own, steps) for (name, own), steps in zip(shares.items(), cfg.steps[1:], strict=True)]


def natural(value: Any) -> tuple[float, ...]:
    """The share of each corpus in all tokens; equal ones while planning."""
    if value is None:
        return (1.0,) * len(KINDS)
    sizes = np.array([len(value[f"train/{kind}/tokens"]) for kind in KINDS], float)
    return tuple((sizes / sizes.sum()).round(4).tolist())


def stage_of(
    cfg: Config, name: str, net: Transformer, data: Data, steps: int, seed: int, docs: Any, tested: tuple[str, ...]
) -> Stage:
    ends = (0, cfg.words.text, cfg.words.speech, cfg.words.borders[0])
    names = ("text", "image", "speech") if net.vocab == cfg.words.size else ("text",)
    ranges = tuple(zip(names, ends, ends[1:], strict=False))
    held_out = mixture(cfg, docs, [int(kind in tested) for kind in KINDS], split="test", count=2)
    optimizer = adamw(cfg.peak, warmup=0.03, clip=1.0, weight_decay=0.01)
    loss = partial(causal_lm_by_range, ranges=ranges)
    return Stage(
        name, net, loss, optimizer, data, steps, evaluate=Evaluation(held_out, 2, cfg.every), seed=seed,
        precision=cfg.precision,
    )  # fmt: skip


# --- answers ---


def examination(cfg: Config) -> Examination:
    words = words_of(cfg.objects).words.vocab
    return Examination(cfg.words, words, cfg.image.count, cfg.prompt, cfg.limit, at_once=cfg.at_once)


def answered(cfg: Config, order: Order, seed: int, result: Any, codes: Any, docs: Any, *judging: Any) -> dict[str, Any]:
    """Which held-out answers are right, task by task; some pictures and clips; the loss on every kind of document."""
    net, write, found = Frozen.of(result), writer(cfg, codes, order, "test"), {}
    judges = Judges(*map(Frozen.of, judging), cfg.spoken.frames)
    for task in (*TASKS, "story"):
        asked = [write.question(task, i) for i in range(cfg.tests)]
        made = examination(cfg).answers(net, task, asked, seed)
        if task in ("caption", "transcribe"):
            found[task] = judges.said(made, [write.answer(task, i) for i in range(cfg.tests)])
        elif task == "speak":
            heard, valid, frames = judges.heard(cfg.words, order, made)
            found |= {task: heard == write.codes["words"][: cfg.tests], "valid": valid, "said": frames[:SHOWN]}
        else:
            images = judges.pictures(cfg.words, made)
            found |= {task: judges.shown(images, task, write), f"{task}/shown": images[:SHOWN]}
    return found | {f"loss/{kind}": np.float32(loss)[None] for kind, loss in losses(cfg, result, docs).items()}


def losses(cfg: Config, result: Any, docs: Any) -> dict[str, float]:
    return held_out_losses(Frozen.of(result), {kind: rows(cfg, docs, kind, "test") for kind in KINDS})


def ceilings(cfg: Config, codes: Any, *judging: Any) -> dict[str, float]:
    """What judges say of real pictures and clips, and of those decoded from their own codes; what streams tell."""
    write, learn = writer(cfg, codes, "sequential", "test"), writer(cfg, codes, "sequential", "train").codes
    real = [cfg.spoken.of_split("test")[i]["image"] for i in range(cfg.tests)]
    found = Judges(*map(Frozen.of, judging), cfg.spoken.frames).ceilings(write, real)
    for q, stream in enumerate(("content", "timbre")):
        both = [bags_of(own["clips"][..., q], own["lengths"], cfg.speech.codes) for own in (learn, write.codes)]
        for what in ("words", "speakers"):
            found[f"{what}, told by {stream} codes"] = told_by(*both, learn[what], write.codes[what])
    return found


def prices(run: Any, cfg: Config) -> tuple[float, float]:
    """FLOPs of encoding everything, and of an arm's answers, if each is as long as it may be."""
    if not getattr(run, "price", True):
        return 0.0, 0.0
    shown = sum(FRAMES[form] * (count + cfg.tests) for form, count in zip(FRAMES, cfg.counts, strict=True))
    large, asked = replace(cfg.net, vocab=cfg.words.size), (*TASKS, "story")
    answers = sum(examination(cfg).flops(large, task) for task in asked)
    codes = encoding_flops(cfg.image, cfg.speech, shown, cfg.spoken.limit, cfg.spoken.frames)
    return codes, answers * cfg.tests


# --- report ---


def report(cfg: Config, found: dict[str, list[Arm]], scores: Any, borders: Any, ceiling: Any, docs: Any) -> Report:
    """Answers by arm, what was forgotten, pictures and sound, and the claims."""

    def over(arm: str, what: str) -> list[float]:
        known = [v.value for (own, _), v in scores.items() if own == arm and v.value is not None]
        if what == HEARD:
            return [heard_if_valid(value) for value in known]
        return [float(value[what].mean()) for value in known]

    def mean(arm: str, *what: str) -> float:
        values = [over(arm, name) for name in what]
        return float(np.mean(values)) if values[0] else float("nan")

    def points(*gains: float) -> str | None:
        return None if np.isnan(gains).any() else " and ".join(f"{100 * gain:+.1f} points" for gain in gains)

    order = [mean(STAGED, task) - mean(ALTERNATING, task) for task in ("speak", "transcribe")]
    images, asr = (mean(STAGED, *own) - mean(NATURAL, *own) for own in (("caption", "draw"), ("transcribe",)))
    claims = (
        claim(
            "Content codes before timbre codes are learned better than alternating ones",
            paper="alternating: text-to-speech hardly converges, recognition improves much more slowly",
            measured=points(*order),
            margin="TTS intelligibility and ASR word accuracy, each 5 points or more",
            holds=min(order) >= 0.05,
        ),
        claim(
            "Stages that raise the share of speech serve images, and speech as well",
            paper="the reason for four stages; not measured there",
            measured=points(images, asr),
            margin="captions and drawings, in the mean, 5 points above one stage at natural shares; ASR at most 3 less",
            holds=images >= 0.05 and asr >= -0.03,
        ),
    )
    shown = {arm: v.value for (arm, seed), v in scores.items() if seed == cfg.seeds[0] and v.value is not None}
    tables = [
        table_of_means("Right answers, held out", list(found), [*TASKS, "story", "valid", HEARD], over,
                       note="In %: mean ± standard deviation over seeds. Valid: spoken answers that are a clip at all. "
                       "If valid: of these, in which a guess of one of ten digits is right by 10 %."),
        table_of_means("Held-out loss", list(found), list(KINDS), lambda arm, kind: over(arm, f"loss/{kind}"),
                       scale=1.0, digits=3, note="In nats a token: mean ± standard deviation over seeds."),
    ]  # fmt: skip
    figures = []
    if shown:
        tables.append(Table("Judges and codes", ("what", "share right"), tuple(ceiling.value.items()), ("", ".1%")))
        tables.append(forgetting([border.value for border in borders]))
        shares = {**SHARES, "natural": natural(docs.value)}
        cells = tuple((name, *(share / sum(own) for share in own)) for name, own in shares.items())
        tables.append(Table("Shares of rows", ("stage", *KINDS), cells, ("", *(".1%",) * 4)))
        figures = [by_modality(found[STAGED][0]), *seen_and_heard(cfg, shown)]
    return EXPERIMENT.report(
        link="https://arxiv.org/abs/2409.17692", claims=claims,
        arms=tuple(arm for own in found.values() for arm in own),
        tables=tuple(tables), figures=tuple(figures), baseline=NATURAL if NATURAL in found else None,
        seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


def heard_if_valid(value: dict[str, np.ndarray]) -> float:
    """The share of spoken answers that say the word, of those that are a clip at all; NaN where none is."""
    said = value["speak"][value["valid"]]
    return float(said.mean()) if len(said) else float("nan")


def forgetting(losses: list[dict[str, float]]) -> Table:
    """The staged arm's held-out loss after growth and after each stage; each stage is taken to teach one kind."""
    kinds = ("text", "pairs", "interleaved", "speech")
    seen = np.array([[-own[kind] for kind in kinds] for own in losses])
    found = transfer(seen[:4])
    names = ("grown from text", *SHARES, "instructions")
    cells = tuple((name, *(-row).tolist(), float(np.exp(-row[0]))) for name, row in zip(names, seen, strict=True))
    note = f"Forgetting up to the third stage {found.forgetting:.3f} nats, backward transfer {found.backward:+.3f}."
    columns, formats = ("after", *kinds, "text perplexity"), ("", *(".3f",) * 4, ".1f")
    return Table("Staged: held-out loss by stage", columns, cells, formats, note)


def by_modality(arm: Arm) -> Figure:
    """The staged arm's held-out loss on tokens of each modality, with its stage borders."""
    curves = [replace(curve(arm, over="steps", metric=m), name=m, group=m) for m in ("text", "image", "speech")]
    drawn = draw(curves, baseline="text", xlabel="steps", ylabel="held-out loss")
    return Figure("Staged, by modality", drawn, "Lines break where one stage ends and the next begins.")


def seen_and_heard(cfg: Config, shown: dict[str, Any]) -> list[Figure]:
    """What the arms draw and say for the first held-out requests."""
    asked = [stories(cfg, "picture", "test").texts(i)[0].removeprefix("a ") for i in range(SHOWN)]
    drawn, last = ([list(v[f"{task}/shown"]) for v in shown.values()] for task in ("draw", "story"))
    true = [stories(cfg, "story", "test")[i]["images"][2] / 255 for i in range(SHOWN)]
    words = [DIGITS[cfg.spoken.of_split("test")[i]["label"]] for i in range(3)]
    clips = [(f"{arm}: {words[i]}", v["said"][i], sound_of(v["said"][i])) for arm, v in shown.items() for i in range(3)]
    told = [f"story {i + 1}" for i in range(SHOWN)]
    return [
        pictures("Drawn", asked, drawn, names=list(shown)),
        pictures("The last picture of stories", told, [true, *last], names=["true", *shown]),
        recordings("Said", clips, MEL.rate, "Sound by Griffin and Lim from decoded frames; silence: no valid clip."),
    ]


NOTES = (
    "Of 256 answers to a task, a share has a standard error of up to 3 points.",
    "With alternating codes timbre stays in what is transcribed, as in the paper: two differences, order and this.",
    "A spoken digit has about as many tokens as a picture, not a hundred times as many: recordings are also joined to "
    "others in pairs, so that speech is most of natural shares, which are the sizes of the corpora as they are here.",
    "Pictures show one object of nine kinds, on a grid of the 4 x 4 pixels of a code. They have 256 codes, the model 2 "
    "layers and rows 72 positions: chosen by decoded pictures and measured steps, before any arm was compared.",
    "Spoken answers are judged as decoded frames by a classifier of real clips. Transcription is not reworded.",
    "pod: tokenizers of this module, with the paper's codebooks, stand for SEED and SpeechTokenizer, and all corpora "
    "but c4 are those of the laptop.",
    "The learning rate is one for all arms and was not searched. Staged arms anneal and begin it anew before each "
    "stage, that of one stage anneals once.",
)

EXPERIMENT = Experiment(
    name="mio_tokens", title="MIO: one vocabulary for text, pictures and speech", pipeline=pipeline, preset=preset,
    reference="Wang et al., 2024, arXiv 2409.17692", paper=42, presets=("smoke", "laptop", "long", "pod"),
)  # fmt: skip

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("mio_tokens")
