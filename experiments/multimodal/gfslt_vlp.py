"""GFSLT-VLP: sign-language translation without glosses, pre-trained on whole videos beside whole sentences.

Paper    Zhou et al., Gloss-free Sign Language Translation: Improving from Visual-Language Pretraining, ICCV 2023,
         arXiv 2307.14768 (dossier 016).
Claim    Pre-training that aligns videos with sentences while a decoder restores masked ones raises BLEU-4 on
         PHOENIX14T from 19.66 to 21.44 (from memory), without a gloss.
Method   0  text       an encoder-decoder restores masked phrases: the stand-in for mBART
         1  VLP        a dual encoder of videos and texts by a KL to softmax(10 I), every step; in every 5th step a
                       decoder with its own AdamW restores, from the text encoder without gradient, a phrase whose last
                       words are masked (v2); without it: v1
         2  GFSLT      the visual encoder, a fresh sign embedding and the decoder are put together and fine-tuned on
                       videos and sentences; label smoothing 0.2, beam search
         Videos: a drawer of omniglot draws a letter for each word that carries meaning; function words are not signed,
         places come first and deeds last. Sentences: runs of the 100 most frequent words of multi30k's English
         captions. Drawers and phrases of the test are in no stage. Arms: SLT without VLP for the steps of stage 2, and
         for the FLOPs of stages 1 and 2; v1; v2; v2 with masks at random places. Every decoder begins with the tables
         of words and positions of stage 0: those of v2 in stage 1, which trains them, all others in stage 2. What VLP
         does to the encoders is the same in v1 and v2.
Run      stagejax run gfslt_vlp                         laptop: about 23 minutes on two cores
         stagejax run gfslt_vlp --preset smoke          made-up letters and captions, seconds
         stagejax plan gfslt_vlp --preset pod --mesh data=16,sequence=16
Holds if on unseen phrases by unseen drawers, in means over three seeds, (1) v2 has 2 BLEU-4 or more above SLT without
         VLP at equal FLOPs, and (2) v2 has at least as much as v1.
Ours     180 phrases of the test, mean ± standard deviation of seeds 0 to 2, BLEU-4. (1) does not hold: v2 -0.73 ± 3.08
         against SLT without VLP at equal FLOPs (19.9 ± 2.4 and 20.6 ± 4.5), ahead with one seed by 2.3. (2) holds by
         the means, not apart from 0 by three seeds: +1.44 ± 1.12 over v1 (18.5 ± 1.5). With the first seed v2 has 17.3,
         SLT for the steps of stage 2 12.2, random masks 20.5. Put to other videos all have 3.5 at most, so the video is
         read. Behind VLP the own text is the nearest of 180 in 15.4 ± 5.0 %. Few phrases are right as a whole, 3.3 % at
         most. All took the middle of three rates. A run before, on another CPU and with the lower two of them, had
         -3.84 ± 3.91 and +0.04 ± 2.85: the same verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.budget import flops, within
from stagejax.data import BPE, TFDS, Batch, Data, Dataset, Source, Tokenizer
from stagejax.data.language.field_text import FieldText
from stagejax.data.language.phrases import DrawnCaptions, Phrases
from stagejax.data.language.restoring import Masking, Restored
from stagejax.data.pictures.omniglot import Omniglot
from stagejax.data.video.sign_clips import Distortion, SignClips, features_of
from stagejax.data.video.signing import DrawnLetters, Signed
from stagejax.data.vocabulary.common_words import CommonWords
from stagejax.decode import bleu
from stagejax.decode.overlap import rouge
from stagejax.inference import Frozen, flops_of_one
from stagejax.inference.answering import ask
from stagejax.inference.tasks.translating import Decoding, generated, said_of
from stagejax.models import Transformer
from stagejax.models.convnet import ResNet
from stagejax.models.multimodal.sign_translation import SignEncoder, SignText, SignTranslator, TextDecoder
from stagejax.models.text.coupled import Coupled
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.names import slug
from stagejax.objectives.sound.signs import alignment, both, denoising, restoration, translation
from stagejax.optimizer import Optimizer, adamw, decayed_sgd
from stagejax.report import Arm, Report, Table, by_seed, claim, shown, table_of_means
from stagejax.steps.alternating import Alternate, Move, with_flops
from stagejax.transforms.transplant import Transplant

SHORT, EQUAL, V1, V2, RANDOM = "SLT only", "SLT only, equal FLOPs", "VLP v1", "VLP v2", "VLP v2, random masks"
LABELS = (SHORT, EQUAL, V1, V2, RANDOM)
#: Videos and texts in a batch, each with its mask.
PAIR = ("inputs", "mask", "text", "text_mask")
#: Of the decoder of stage 0, what every decoder begins with.
TABLES = ("decoder/tokens", "decoder/positions")


def phrases(limit: int | None) -> Phrases:
    return Phrases(Dataset("multi30k"), 100, content=(3, 5), field="en", limit=limit)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    texts: Source = field(default_factory=lambda: phrases(None))
    videos: Source = field(default_factory=lambda: Signed(phrases(1500), Omniglot()))
    tokenizer: Tokenizer = field(default_factory=lambda: CommonWords(100))
    length: int = 9  # tokens of a text, its end counted
    frames: int = 28  # of a video, padding counted
    pad: int = 4  # frames before and behind
    pixels: int = 20
    channels: int = 1
    distortion: Distortion = field(default_factory=Distortion)
    image: Any = field(default_factory=lambda: strided(20, (8, 16, 32), 64))  # the network of single frames
    width: tuple[str, int] = ("hidden.1", 64)  # of its features
    kernels: tuple[int, ...] = (3, 3)  # along time
    net: Transformer = field(
        default_factory=lambda: Transformer(embed=96, layers=2, heads=4, mlp=192, causal=False, init_std=0.1)
    )  # both encoders, and the decoder; initial kernels of 1 / sqrt(embed)
    noise: Masking = field(default_factory=lambda: Masking(0.5, last=False))  # of stage 0
    masking: Masking = field(default_factory=Masking)  # of VLP
    every: int = 5  # steps of VLP in which the decoder learns
    smoothing: float = 0.2
    batches: tuple[int, int, int] = (64, 32, 16)  # of stage 0, VLP and SLT
    steps: tuple[int, int, int] = (800, 600, 800)
    optimizers: tuple[Optimizer, Optimizer, Optimizer, Optimizer] = field(
        default_factory=lambda: (rate(3e-3), rate(2e-3), rate(2e-3), rate(1e-3))
    )  # of stage 0, the dual encoder, the restoring decoder and SLT
    peaks: tuple[float, ...] = (1e-3, 3e-3, 1e-2)  # learning rates of SLT, from which each arm takes its own
    splits: tuple[str, str] = ("val", "test")  # by which rates are chosen, and which is translated
    tests: int = 180  # videos
    beams: int = 4
    precision: Precision = field(default_factory=Precision)
    seeds: tuple[int, ...] = (0, 1, 2)
    beside: tuple[str, ...] = (SHORT, RANDOM)  # with the first seed alone

    @property
    def text_net(self) -> Transformer:
        return replace(self.net, vocab=self.tokenizer.vocab, length=self.length + 1)

    @property
    def sign(self) -> SignEncoder:
        features = features_of(self.frames, self.kernels)
        return SignEncoder(self.image, self.width, self.kernels, replace(self.net, vocab=1, length=features + 1))

    @property
    def pair(self) -> SignText:
        return SignText(self.sign, self.text_net)

    @property
    def translator(self) -> SignTranslator:
        return SignTranslator(self.sign, self.text_net)


def strided(pixels: int, channels: tuple[int, ...], width: int) -> CNN:
    """Convolutions that halve a grey frame each, and a dense layer."""
    layers = tuple(ConvLayer(size, stride=2) for size in channels)
    how: dict[str, Any] = {"norm": True, "convolution": "patches"}
    return CNN((pixels, pixels, 1), layers, (width,), heads=(("label", (1,)),), **how)


def rate(peak: float) -> adamw:
    return adamw(peak, warmup=0.05, clip=1.0, b2=0.98, weight_decay=1e-3)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        drawn = Phrases(DrawnCaptions(160), 20)
        net = Transformer(embed=16, layers=1, heads=2, mlp=32, causal=False, dropout=0.1)
        return Config(
            drawn, Signed(replace(drawn, limit=64), DrawnLetters(24), size=12, side=9), CommonWords(20),
            pixels=12, image=strided(12, (4, 8), 16), width=("hidden.1", 16), net=net, batches=(16, 8, 8),
            steps=(20, 12, 8), peaks=(1e-3, 3e-3), tests=8, beams=2, seeds=(0,), beside=(),
        )  # fmt: skip
    if name == "pod":
        resnet = ResNet(224, 3, (64, 128, 256, 512), (2, 2, 2, 2), 1000, stem=64, stem_size=7, stem_pool=True)
        net = Transformer(embed=1024, layers=3, heads=8, mlp=4096, causal=False, dropout=0.1, scan=True, remat="full")
        sgd = decayed_sgd(0.01, end=1e-8, weight_decay=1e-3)
        restoring = adamw(1e-3, b2=0.98, end=1e-8, weight_decay=1e-3)
        return Config(
            FieldText(TFDS("wmt19_translate/de-en", test="validation"), "de"),
            TFDS("phoenix14t", test="test"), BPE(8000), length=64, frames=320, pad=8, pixels=224,
            channels=3, distortion=Distortion(shift=10.0), image=resnet, width=("channels.4", 512), kernels=(5, 5),
            net=net, batches=(512, 16, 16), steps=(20_000, 35_480, 88_700),
            optimizers=(adamw(3e-4, warmup=0.05), replace(sgd, weight_decay=0.0), restoring, sgd), peaks=(0.01,),
            splits=("validation", "test"), tests=512, precision=Precision(compute="bfloat16"), seeds=(0,),
        )  # fmt: skip
    return Config()


# --- data and stages ---


def restored(cfg: Config, source: Source, batch: int, seed: int, masking: Masking) -> Restored:
    how = {"tokenizer": cfg.tokenizer, "learned_from": cfg.texts, "length": cfg.length, "masking": masking}
    return Restored(source=source, batch=batch, seed=seed, **how)


def clips(cfg: Config, batch: int, seed: int, masking: Masking | None = None) -> SignClips:
    return SignClips(
        texts=restored(cfg, cfg.videos, batch, seed, masking or cfg.masking), frames=cfg.frames, pad=cfg.pad,
        kernels=cfg.kernels, pixels=cfg.pixels, channels=cfg.channels, distortion=cfg.distortion,
    )  # fmt: skip


def held(cfg: Config, data: Data, objective: Any = None) -> Evaluation:
    """The loss of the validation's videos or texts at a stage's end."""
    count = max(1, cfg.tests // data.batch)
    return Evaluation(data.held_out(count, cfg.splits[0]), count, objective=objective)


def text(cfg: Config) -> Stage:
    """Stage 0, one for all seeds and arms."""
    data = restored(cfg, cfg.texts, cfg.batches[0], 0, cfg.noise)
    model = Coupled(cfg.text_net, cfg.text_net)
    return Stage(
        "text", model, denoising, cfg.optimizers[0], data, cfg.steps[0], evaluate=held(cfg, data),
        precision=cfg.precision,
    )  # fmt: skip


def vlp(cfg: Config, seed: int, masking: Masking, name: str) -> Stage:
    """Stage 1: the dual encoder in every step, the decoder in every fifth."""
    data = clips(cfg, cfg.batches[1], seed, masking)
    moves = Move("pair", alignment), Move("decoder", partial(restoration, smoothing=cfg.smoothing), every=cfg.every)
    return with_flops(
        Stage(
            f"{seed}/{name}",
            model={"pair": cfg.pair, "decoder": TextDecoder(cfg.text_net)},
            objective=None,
            optimizer={"pair": cfg.optimizers[1], "decoder": cfg.optimizers[2]},
            data=data,
            steps=cfg.steps[1],
            step=Alternate(moves),
            evaluate=held(cfg, data, partial(both, smoothing=cfg.smoothing)),
            precision=cfg.precision,
            seed=seed,
        )
    )


def slt(cfg: Config, seed: int, name: str, peak: float) -> Stage:
    """Stage 2."""
    data, optimizer = clips(cfg, cfg.batches[2], 100 + seed), replace(cfg.optimizers[3], peak=peak)
    objective = partial(translation, smoothing=cfg.smoothing)
    return Stage(
        f"{seed}/{name}/slt-{peak:g}", cfg.translator, objective, optimizer, data, cfg.steps[2],
        evaluate=held(cfg, data), precision=cfg.precision, seed=seed,
    )  # fmt: skip


def pipeline(run: Any, cfg: Config) -> Report:
    """Stage 0 once; of every seed the arms, and what they say of the videos of the test."""
    base = run.train(text(cfg))
    arms: dict[str, dict[int, Arm]] = {label: {} for label in LABELS}
    scores: dict[tuple[str, int], Any] = {}
    aligned: dict[int, Any] = {}
    peaks: dict[str, float] = {}
    for seed in cfg.seeds:
        for label, (before, stages) in compared(run, cfg, seed, base, peaks).items():
            chosen = best(stages)
            peaks.setdefault(label, chosen.stage.optimizer.peak)
            charged = base, *(result for result in stages if result is not chosen)
            arms[label][seed] = Arm("", (*before, chosen), charged)
            scores[label, seed] = scored(run, cfg, f"{seed}/{slug(label)}/said", chosen)
            if label == V2:
                row = {name: clips(cfg, 1, 0).sample_spec()[name] for name in PAIR}
                cost = float(cfg.tests * flops_of_one(scores_of, cfg.pair, row))
                aligned[seed] = run.make(f"{seed}/retrieved", retrieval, cfg, before[0].member("pair"), flops=cost)
    return report(cfg, arms, scores, aligned, peaks)


def best(stages: Sequence[Any]) -> Any:
    """The result with the smallest loss of the validation."""
    return min(stages, key=lambda result: result.history.last("loss"))


#: Results of the stages before the last one, and those of the last one by learning rate.
Trained = tuple[tuple[Any, ...], list[Any]]


def compared(run: Any, cfg: Config, seed: int, base: Any, peaks: Mapping[str, float]) -> dict[str, Trained]:
    """The results of every arm of a seed behind stage 0; arms without a rate of their own yet are tuned by all."""
    found: dict[str, Trained] = {}
    beside = cfg.beside if seed == cfg.seeds[0] else ()
    whole = (0, "sign", "sign"), (1, "decoder", "decoder"), (1, "cross", "cross")

    def tables(of: int) -> tuple[tuple[int, str, str], ...]:
        return tuple((of, path, path) for path in TABLES)

    def begun(name: str, to: Any, parts: tuple[Any, ...], *starts: Any) -> Any:
        return run.transform(f"{seed}/{name}", Transplant(to, parts, seed), *starts, to=to)

    def pretrained(name: str, masking: Masking) -> Any:
        pair = begun(f"{name}/pair", cfg.pair, ((0, "encoder", "text"),), base)
        decoder = begun(f"{name}/decoder", TextDecoder(cfg.text_net), tables(0), base)
        return run.train(vlp(cfg, seed, masking, name), {"pair": pair, "decoder": decoder})

    def tuned(
        label: str, parts: tuple[Any, ...], *starts: Any, budget: float = 0.0, like: str | None = None
    ) -> list[Any]:
        start = begun(f"{slug(label)}/begun", cfg.translator, parts, *starts)
        among = (best(found[like][1]).stage.optimizer.peak,) if like else cfg.peaks
        stages = [slt(cfg, seed, slug(label), peak) for peak in ((peaks[label],) if label in peaks else among)]
        return [run.train(within(stage, budget) if budget else stage, start) for stage in stages]

    first = pretrained("vlp", cfg.masking)
    pair, decoder = first.member("pair"), first.member("decoder")
    found[V2] = (first,), tuned(V2, whole, pair, decoder)
    found[V1] = (first,), tuned(V1, (whole[0], *tables(1)), pair, base)
    found[EQUAL] = (), tuned(EQUAL, tables(0), base, budget=flops(first, found[V2][1][0]))
    if SHORT in beside:
        found[SHORT] = (), tuned(SHORT, tables(0), base, like=EQUAL)
    if RANDOM in beside:
        other = pretrained("random", replace(cfg.masking, last=False))
        found[RANDOM] = (other,), tuned(RANDOM, whole, other.member("pair"), other.member("decoder"), like=V2)
    return found


# --- measures ---


def videos_of(cfg: Config) -> Mapping[str, np.ndarray]:
    """The held-out videos with their texts."""
    return clips(cfg, cfg.tests, 0).held_out(1, cfg.splits[1]).take(np.arange(cfg.tests))


def scored(run: Any, cfg: Config, name: str, result: Any) -> Any:
    row, length = {name: clips(cfg, 1, 0).sample_spec()[name] for name in PAIR[:2]}, cfg.length + 1
    cost = flops_of_one(said_of, cfg.translator, row, True, cfg.beams, length, while_trips=length)
    return run.make(name, translated, cfg, result, flops=float(cfg.tests * cost))


def translated(cfg: Config, result: Any) -> dict[str, Any]:
    """BLEU-4, BLEU-1 and the F1 of words, BLEU of the same answers put to other videos, and some texts."""
    batch, code = videos_of(cfg), restored(cfg, cfg.videos, 1, 0, cfg.masking).code
    wanted = [code.decode(row) for row in batch["targets"]]
    inputs = {name: batch[name] for name in PAIR[:2]}
    found, _ = generated(Frozen.of(result), inputs, code, Decoding(True, cfg.beams, cfg.length + 1))
    texts = [each[0] for each in found]
    return {
        "bleu": bleu(texts, wanted),
        "bleu1": bleu(texts, wanted, 1),
        "f1": 100 * rouge(texts, wanted)["rouge1"],
        "exact": 100 * float(np.mean([a == b for a, b in zip(texts, wanted, strict=True)])),
        "blind": bleu(texts, wanted[1:] + wanted[:1]),
        "texts": list(zip(texts, wanted, strict=True))[:8],
    }


def scores_of(model: Any, batch: Batch) -> Any:
    """Scaled cosines of all videos and all texts."""
    return model(*(batch[name] for name in PAIR))


def retrieval(cfg: Config, pair: Any) -> dict[str, float]:
    """How often the own text is the nearest of all held-out ones, and the own video."""
    found = ask(scores_of, Frozen.of(pair), {name: videos_of(cfg)[name] for name in PAIR})
    own = np.arange(len(found))
    return {"text": float((found.argmax(1) == own).mean()), "video": float((found.argmax(0) == own).mean())}


# --- report ---


def report(
    cfg: Config,
    arms: Mapping[str, Mapping[int, Arm]],
    scores: Mapping[tuple[str, int], Any],
    aligned: Mapping[int, Any],
    peaks: Mapping[str, float],
) -> Report:
    """What all arms say, and the claims."""

    def over(label: str, what: str) -> list[float]:
        return [own.value[what] for (name, _), own in scores.items() if name == label and own.value]

    def ahead(label: str, least: float, statement: str, paper: str) -> Any:
        """The lead of v2 over another arm, in BLEU-4, by seed."""
        found = np.subtract(over(V2, "bleu"), over(label, "bleu"))
        return claim(
            statement, paper=paper, measured=shown(found, "+.2f") if len(found) else None, unit="BLEU-4",
            margin=f"{least:g} BLEU-4 or more, mean of {len(cfg.seeds)} seeds",
            holds=bool(found.mean() >= least) if len(found) else None,
        )  # fmt: skip

    claims = (
        ahead(EQUAL, 2, "VLP v2 and then SLT exceeds SLT without VLP at equal FLOPs", "19.66 to 21.44 (from memory)"),
        ahead(V1, 0, "With masked restoration VLP is at least as good as without", "v2 above v1"),
    )
    columns = {"BLEU-4": "bleu", "BLEU-1": "bleu1", "F1 of words": "f1", "exact": "exact", "BLEU-4, blind": "blind"}
    by = "; ".join(f"{label}: {', '.join(f'{x:.1f}' for x in over(label, 'bleu'))}" for label in arms if arms[label])
    note = (
        f"{cfg.tests} unseen phrases by unseen drawers; mean ± standard deviation over seeds, one seed where there is "
    )
    note += f"no ±. Blind: the same answers put to other videos. BLEU-4 by seed: {by}."
    nearest = {"its text": "text", "its video": "video"}
    texts = tuple(
        (label, *pair)
        for (label, seed), own in scores.items()
        if seed == cfg.seeds[0] and own.value
        for pair in own.value["texts"][:4]
    )
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2307.14768",
        arms=by_seed(arms, EQUAL),
        tables=(
            table_of_means("Translations of the test", LABELS, list(columns),
                           lambda row, name: over(row, columns[name]), scale=1.0, note=note),
            table_of_means("The nearest one behind stage 1 (R@1)", [V2], list(nearest),
                           lambda row, name: [own.value[nearest[name]] for own in aligned.values() if own.value],
                           note=f"In %, among {cfg.tests} of the test."),
            Table("Learning rates of SLT", ("arm", "peak"), tuple(peaks.items()), ("", "g"),
                  note=f"Of {', '.join(f'{peak:g}' for peak in cfg.peaks)}, by the loss of the validation."),
            Table("Said and wanted", ("arm", "said", "wanted"), texts, note="First seed."),
        ),
        baseline=EQUAL, metric="accuracy", rising=True, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


NOTES = (
    "No sign corpus is small enough: the videos are made from real handwriting by a program. Stage 0 stands for mBART; "
    "it reads all phrases of the training captions, the videos show 1500 of them.",
    "SLT without VLP at equal FLOPs, v1 and v2 choose their rate of stage 2 by the validation's loss with the first "
    "seed, out of the same ones, with all steps; what was not chosen is charged. SLT for fewer steps takes the rate of "
    "the one, random masks that of v2. All took 0.003, of three. Rates of stages 0 and 1 were not searched.",
    "A first run (initial kernels of 0.02, dropout, 350 and 600 steps of VLP and SLT) was given up by its figures of "
    "training and validation: VLP found the own text among 32 in 13 %, SLT said no phrase right. These settings were "
    "changed then; the old run went on for some minutes and translated the test with two seeds (BLEU-4: SLT at equal "
    "FLOPs 16.3 and 16.2, v1 8.5 and 6.3, v2 10.8 and 7.6). Nothing was changed by that.",
    "Scores of the test with the first seed were seen before the other seeds ran, and nothing was changed by them. The "
    "report was changed after all seeds: costs are compared by the accuracy of words (teacher forced, validation), not "
    "by the loss, which for VLP is that of the alignment.",
    "Networks begin at random, not from ImageNet, so AdamW with warm-up takes the place of SGD (pod: SGD).",
    "v2 and random masks begin stage 2 with the decoder's tables as VLP trained them, v1 and SLT only with those of "
    "stage 0. Phrases are short: nearly always one word is hidden, with v2 the last one.",
    "The decoder's steps do not touch the encoders, so v1 takes those of v2, and is charged for these steps too.",
    "No gloss is seen. A video has one drawer: 1 to 14 in training, 15 and 16 in the validation, 17 to 20 in the test. "
    "Phrases of validation and test are in no stage, not even as text.",
    "Five signs at most, 28 frames with those repeated at both ends, kernels of 3 along time; no embedding is scaled.",
)

EXPERIMENT = Experiment(
    name="gfslt_vlp",
    title="GFSLT-VLP: gloss-free sign language translation by visual-language pre-training",
    reference="Zhou et al., ICCV 2023, arXiv 2307.14768",
    paper=16,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("gfslt_vlp")
