"""WavThruVec: text to speech through the vectors of a self-supervised encoder instead of mel spectrograms.

Paper    Siuzdak, Dura, van Rijn and Jacoby, WavThruVec: Latent speech representation as intermediate features for
         neural speech synthesis, Interspeech 2022, arXiv 2203.16930 (dossier 034).
Claim    Between text2vec (text to frames) and vec2wav (frames to a waveform) stand frozen wav2vec 2.0 activations. They
         are linguistic and robust to noise: text2vec may learn from poor transcribed audio, vec2wav from any audio
         without transcripts, and a speaker's vector is enough for a new voice. Quality matches the state of the art.
Method   Utterances are pairs of spoken digits of one speaker. Stage 0, once for all seeds, without labels: an encoder
         that tells k-means units of hidden frames (HuBERT; half of its audio has noise over it, with the units of the
         clean one, WavLM), frozen. Stage 1, text2vec: characters to vectors; alignment by forward sum with a
         beta-binomial prior, hard paths by monotonic search, binarisation, durations. Stage 2, vec2wav: HiFi-GAN (least
         squares, matched features, mel distance; periods and a scale) with batch norms told by a speaker's vector, on
         audio without transcripts. The vector is of a net that tells the speakers of stage 2. Arms of equal data, steps
         and widths: frames are embeddings, or mel; the transcribed audio is clean, or has 10 dB of recordings of noise
         that no other part knows; vec2wav on all five speakers, or on the three transcribed ones only. The sixth is
         heard by the encoder alone; seeds change roles. Orders of digits that are tested are in no training utterance,
         "seven" is in no transcript. A recogniser and a speaker net of other, real takes judge; real speech and copies
         by vec2wav of real frames are ceilings, other rows' texts the level of luck.
Run      stagejax run wavthruvec                    laptop: 10 minutes on two busy cores, some 6 on idle ones
         stagejax run wavthruvec --preset smoke     generated tones, about a minute
         stagejax plan wavthruvec --preset pod --mesh data=16,fsdp=16
Holds if in the mean over seeds (i) with noisy transcribed audio words by embeddings are heard right 5 points or more
         oftener than by mel; (ii) with clean audio the two are within 2 points; (iii) the voice of the sixth speaker
         is nearer, in cosine, by vec2wav of all five than by that of the three transcribed ones.
Ours     Three seeds; words heard right in %, transcribed speakers. Real speech 79.4 (the rest are the recogniser's
         errors), copies from embeddings 67.9, from mel 75.9, another row's text 2.9. Noisy: embeddings 61.7 +- 5.9, mel
         57.6 +- 8.6, 4.1 points of 5 asked, within the spread. Clean: 69.3 +- 5.5 and 75.5 +- 1.9, 6.2 below: neither
         holds. Noise takes 7.6 points from embeddings and 17.9 from mel, but embeddings begin lower, as copies do. The
         sixth voice is not met, though texts in it are heard better than its own speech (79.6, 70.4): cosine .040 +-
         .226 by vec2wav of five, .046 +- .185 by that of three (real .857, copies .522): does not hold. Voices that
         vec2wav has heard without transcripts are: .448 +- .120 against -.023 +- .381. "Seven" is heard in 37 % of its
         texts by embeddings, in 33 by mel (3.7 and 2.9 % elsewhere).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Experiment, Stage
from stagejax.data.joined import Row
from stagejax.data.multimodal.composites import DIGITS
from stagejax.data.prompts.answers import MadeRows
from stagejax.data.sound.audio import LogMel
from stagejax.data.sound.framed_waves import FramedWaves
from stagejax.data.sound.sounds import Esc10, Sounds, Whistles
from stagejax.data.sound.speech import Spoken, Tones
from stagejax.data.sound.word_pairs import Spelling, TakesOfDigits, WordPairs, noise_of, with_noise
from stagejax.inference import Frozen
from stagejax.inference.sound.listening import Ear, Listener, centred_frames, speaker_vectors
from stagejax.inference.sound.synthesising import cepstral_units, embedded, embedding_flops, said_frames, vocoded
from stagejax.models.speech.recognizer import Recognizer
from stagejax.models.speech.speaker_net import SpeakerNet
from stagejax.models.speech.speech_units import UnitEncoder
from stagejax.models.speech.text_to_frames import TextToFrames
from stagejax.models.speech.vocoder import Vocoder
from stagejax.models.speech.wave_discriminators import WaveDiscriminators
from stagejax.names import slug
from stagejax.objectives.loss import weighted
from stagejax.objectives.sound.masked_units import masked_units
from stagejax.objectives.sound.recognition import ctc
from stagejax.objectives.sound.text_to_frames import Binarised, text_to_frames
from stagejax.objectives.sound.vocoding import Vocoded, told_apart
from stagejax.optimizer import adam, adamw
from stagejax.report import Arm, Report, by_seed, claim, mean, table_of_means
from stagejax.report.audio import recordings
from stagejax.steps.alternating import Alternate, Move
from stagejax.steps.scheduled import paced_step

EMB, MEL = "embeddings", "mel"
NOISY = ", noisy transcripts"
TRANSCRIBED = "vec2wav of transcribed speakers"
ARMS = (EMB, MEL, EMB + NOISY, MEL + NOISY, TRANSCRIBED)
REAL, COPY_EMB, COPY_MEL, LUCK = "real speech", "copies from embeddings", "copies from mel", "another row's text"
SEVEN = 7
SPELLED, WHO = Spelling(DIGITS), Row("label", (), "int32")


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    synthesis: Spoken = field(default_factory=lambda: TakesOfDigits(first=10, last=30))
    judging: Spoken = field(default_factory=lambda: TakesOfDigits(first=30, last=50))
    references: Spoken = field(default_factory=lambda: TakesOfDigits(first=5, last=10))  # of speakers' vectors
    tested: Spoken = field(default_factory=lambda: TakesOfDigits("test", first=0, last=5))
    noises: tuple[Sounds, Sounds] = field(default_factory=lambda: (Esc10(), Esc10("test")))  # stage 0; transcripts
    speakers: int = 6
    roles: tuple[int, int] = (3, 2)  # transcribed speakers, others that vec2wav hears; one more is nobody's
    samples: int = 10_240  # of the longest utterance
    each: tuple[int, int] = (200, 400)  # utterances of a speaker, to synthesise from and to judge by
    shifts: tuple[int, ...] = (2, 5, 7)  # tested orders: a digit and the one so many further, "seven" left out
    development: tuple[int, ...] = (4,)  # orders that pilots looked at; neither are trained on
    decibel: float = 10.0  # of noisy transcribed audio
    mel: LogMel = field(default_factory=lambda: LogMel(window=320, hop=160, bands=40, low=60.0, floor=1e-5))
    near: LogMel = field(default_factory=lambda: LogMel(window=256, hop=64, bands=40, low=40.0, floor=1e-5))  # loss
    encoder: UnitEncoder = field(default_factory=lambda: UnitEncoder(mlp=128))
    text: TextToFrames = field(default_factory=TextToFrames)
    vocoder: Vocoder = field(default_factory=lambda: Vocoder(rates=(5, 4), fourier=8))
    discriminators: WaveDiscriminators = field(default_factory=WaveDiscriminators)
    piece: int = 12  # frames of a piece that vec2wav learns from
    voice: SpeakerNet = field(default_factory=lambda: SpeakerNet(speakers=5))
    ear: Recognizer = field(default_factory=lambda: Recognizer(40, 64, 2, 4, 128, 10, dropout=0.1))
    judge: SpeakerNet = field(default_factory=lambda: SpeakerNet(channels=(64, 64), taps=(5, 5), dilations=(1, 2)))
    steps: tuple[int, int, int] = (600, 350, 250)  # of stages 0, 1 and 2
    listening: tuple[int, int] = (1000, 200)  # steps of the recogniser, and of nets of speakers
    rates: tuple[float, float, float] = (3e-3, 3e-3, 4e-3)
    batches: tuple[int, int, int, int] = (
        24,
        16,
        16,
        32,
    )  # of stages 0, 1 and 2, and of nets that judge or tell speakers
    at_once: int = 54  # utterances that are looked at together
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def frames(self) -> int:
        return self.samples // self.mel.hop

    @property
    def look(self) -> Ear:
        return Ear(self.mel, self.frames)

    def orders(self, shifts: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """Pairs of digits but seven: every digit, and the one so many further."""
        own = [digit for digit in range(10) if digit != SEVEN]
        return tuple((digit, own[(i + shift) % 9]) for shift in shifts for i, digit in enumerate(own))

    @property
    def away(self) -> tuple[tuple[int, int], ...]:
        """Orders that nothing is trained on."""
        return self.orders((*self.shifts, *self.development))

    @property
    def texts(self) -> tuple[tuple[int, int], ...]:
        """What is said in tests: the tested orders, then "seven" before or behind every other digit in turn."""
        pairs = [(SEVEN, digit) if digit % 2 else (digit, SEVEN) for digit in range(10) if digit != SEVEN]
        return (*self.orders(self.shifts), *pairs)

    def people(self, seed: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        """Transcribed speakers, all that vec2wav hears, and the one whom nobody does: other ones for every seed."""
        turned = [(who + 2 * seed) % self.speakers for who in range(self.speakers)]
        return tuple(turned[: self.roles[0]]), tuple(turned[: sum(self.roles)]), turned[-1]

    def features(self, interface: str) -> int:
        return self.encoder.embed if interface == EMB else self.mel.bands


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        small = {"embed": 16, "layers": 1, "heads": 2, "mlp": 32}
        return Config(
            Tones(limit=150), Tones("test", limit=150), Tones("test", limit=150), Tones("test", limit=150),
            (Whistles(), Whistles("test")), speakers=3, roles=(1, 1), samples=5120, each=(24, 24), shifts=(2,),
            development=(), mel=LogMel(window=320, hop=160, bands=16, low=60.0, floor=1e-5),
            near=LogMel(window=256, hop=128, bands=16, low=40.0, floor=1e-5),
            encoder=UnitEncoder(16, (16,), (1,), (3,), units=8, **small),
            text=TextToFrames(embed=16, layers=(1, 1), filter=16, aligned=8, taps=3, speaker=8),
            vocoder=Vocoder(channels=8, rates=(5, 4), kernels=(3,), dilations=(1,), fourier=8, speaker=8),
            discriminators=WaveDiscriminators((2,), (1,), (4,), (4,)), piece=6,
            voice=SpeakerNet(16, (8,), (3,), (1,), 8, 2), ear=Recognizer(16, 16, 1, 2, 32, 10),
            judge=SpeakerNet(16, (8,), (3,), (1,), 8, 3), steps=(8, 8, 8), listening=(8, 8), batches=(8, 8, 8, 8),
            at_once=16, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        wide = {"embed": 768, "layers": 12, "heads": 12, "mlp": 3072, "units": 500, "dropout": 0.1, "scan": True}
        return Config(
            encoder=UnitEncoder(40, (512, 512, 512, 512), (1, 1, 1, 1), (3, 3, 3, 3), **wide),
            text=TextToFrames(embed=256, layers=(4, 4), filter=1024, taps=9, speaker=192, aligned=80, scan=True),
            vocoder=Vocoder(speaker=192, channels=512, rates=(5, 4, 4, 2), kernels=(3, 7, 11), dilations=(1, 3, 5),
                            convolution="conv"),
            discriminators=WaveDiscriminators((2, 3, 5, 7, 11), (1, 2, 4), (32, 128, 512, 1024), (128, 256, 512, 1024),
                                              convolution="conv"),
            piece=52, voice=SpeakerNet(40, (512, 512, 512), vector=192, speakers=5),
            judge=SpeakerNet(40, (512, 512), (5, 5), (1, 2), 192), steps=(400_000, 200_000, 1_000_000),
            listening=(20_000, 20_000), rates=(5e-4, 1e-3, 2e-4), batches=(256, 256, 256, 256), seeds=(0,),
        )  # fmt: skip
    return Config()


# --- what is learned from ---


def utterances_of(cfg: Config, seed: int) -> dict[str, np.ndarray]:
    """Utterances to synthesise from: their frames clean and with either noise, and the unit of every clean frame."""
    made, look = WordPairs(cfg.synthesis, cfg.each[0], cfg.samples, cfg.away).made(seed), cfg.look
    signal, length = made["signal"], made["length"]
    noisy = with_noise(signal, length, noise_of(cfg.noises[0], cfg.samples), (0.0, 20.0), seed)
    poor = with_noise(signal, length, noise_of(cfg.noises[1], cfg.samples), (cfg.decibel, cfg.decibel), seed + 1)
    seen, heard, worse = (look.seen(own, length) for own in (signal, noisy, poor))
    units = cepstral_units(seen, cfg.encoder.units, seed)
    found = {"mel": seen["frames"], "heard": heard["frames"], f"mel{NOISY}": worse["frames"], "real": seen["real"]}
    return made | {"signal": signal.astype(np.float16), "units": units} | found


def twice(value: Any) -> Any:
    """What stage 0 learns from: every utterance clean and with noise, both with the units of the clean one."""
    if value is None:
        return None
    seen = [centred_frames({"frames": value[name], "real": value["real"]}) for name in ("mel", "heard")]
    both = {name: np.concatenate([own[name] for own in seen]) for name in ("frames", "real")}
    return both | {"units": np.concatenate([value["units"]] * 2)}


def judged_by(cfg: Config, seed: int, speed: float) -> dict[str, np.ndarray]:
    """Utterances of real takes that no part of synthesis has, for the nets that judge."""
    made = WordPairs(cfg.judging, cfg.each[1], cfg.samples, cfg.away, speed=speed).made(seed)
    seen = cfg.look.seen(made["signal"], made["length"])
    return seen | {"words": made["words"] + 1, "label": made["speaker"]}


def features_of(cfg: Config, encoder: Any, utterances: Any) -> dict[str, np.ndarray]:
    """Both interfaces, clean and as transcribed audio has them, standardised by clean speech, and by what numbers."""
    net, made, found, real = Frozen.of(encoder), utterances.value, {}, utterances.value["real"]
    for interface in (EMB, MEL):
        clean, poor = ({"frames": made[f"mel{more}"], "real": real} for more in ("", NOISY))
        both = [embedded(net, own, cfg.at_once) if interface == EMB else own["frames"] for own in (clean, poor)]
        middle, width = both[0][real].mean(0), both[0][real].std(0) + 1e-6
        found |= {f"{interface} mean": middle, f"{interface} deviation": width}
        for more, frames in zip(("", NOISY), both, strict=True):
            found[interface + more] = ((frames - middle) / width * real[..., None]).astype(np.float32)
    return found


# --- stages ---


def identity(model: Any, batch: Any, key: Any) -> Any:
    """Cross entropy of who speaks."""
    return weighted(model(batch["frames"], batch["real"], key), batch["label"])


def seen_rows(cfg: Config, arrays: Any, of: str, more: Row, batch: int, seed: int = 0) -> MadeRows:
    """Utterances as they are seen, with one thing more of each."""
    rows = Row("frames", (cfg.frames, cfg.mel.bands)), Row("real", (cfg.frames,), "bool"), more
    return MadeRows(rows=rows, of=of, arrays=arrays, batch=batch, seed=seed)


def pipeline(run: Any, cfg: Config) -> Report:
    """Stage 0 and the judges once; then for each seed its speakers' net, text2vec and vec2wav of all arms."""
    utterances = run.make("utterances", utterances_of, cfg, 0)
    units = Row("units", (cfg.frames,), "int32")
    data = seen_rows(cfg, twice(utterances.value), utterances.fingerprint, units, cfg.batches[0])
    loss, how = partial(masked_units, seen=0.5), {"warmup": 0.1, "clip": 1.0}
    encoder = run.train(Stage("encoder", cfg.encoder, loss, adamw(cfg.rates[0], **how), data, cfg.steps[0]))
    flops = 2 * cfg.speakers * cfg.each[0] * embedding_flops(cfg.encoder, cfg.frames)
    features = run.make("features", features_of, cfg, encoder, utterances, flops=flops)
    listened = run.make("listened", judged_by, cfg, 1, 0.15)
    judging = run.make("judging", judged_by, cfg, 2, 0.0)
    data = seen_rows(cfg, listened.value, listened.fingerprint, Row("words", (2,), "int32"), cfg.batches[3])
    ear = Stage("recogniser", cfg.ear, partial(ctc, hidden=6), adamw(2e-3, **how), data, cfg.listening[0])
    data = seen_rows(cfg, judging.value, judging.fingerprint, WHO, cfg.batches[3])
    judge = Stage("judge", cfg.judge, identity, adamw(2e-3, **how), data, cfg.listening[1])
    judges = run.train(ear), run.train(judge)
    found = {seed: arms_of(run, cfg, utterances, encoder, features, judges, seed) for seed in cfg.seeds}
    return report(cfg, found)


def chosen(utterances: Any, people: tuple[int, ...], transcribed: bool = False) -> Any:
    """Which utterances are of these speakers; of transcribed ones, those without "seven" and with frames enough."""
    value = utterances.value
    own = np.isin(value["speaker"], people)
    if transcribed:
        letters = (SPELLED(value["words"]) > 0).sum(1)
        own &= (value["words"] != SEVEN).all(1) & (value["real"].sum(1) >= letters)
    return np.flatnonzero(own)


def arms_of(
    run: Any, cfg: Config, utterances: Any, encoder: Any, features: Any, judges: Any, seed: int
) -> dict[str, Any]:
    """One seed: stages of every arm, and what is heard of them."""
    few, many, _ = cfg.people(seed)
    known = None
    if utterances.value is not None:
        value, own = utterances.value, chosen(utterances, many)
        label = np.array([many.index(who) for who in value["speaker"][own]], np.int32)
        known = {"frames": value["mel"][own], "real": value["real"][own], "label": label}
    data = seen_rows(cfg, known, f"{utterances.fingerprint}/{many}", WHO, cfg.batches[3], seed)
    how = adamw(2e-3, warmup=0.1, clip=1.0)
    voice = run.train(Stage(f"{seed}/voice", cfg.voice, identity, how, data, cfg.listening[1], seed=seed))
    vectors = run.make(f"{seed}/vectors", vectors_of, cfg, voice, utterances)
    text, wave = {}, {}
    for arm in ARMS[:4]:
        data = transcripts(cfg, utterances, features, vectors, arm, few, seed)
        net = replace(cfg.text, features=cfg.features(arm.removesuffix(NOISY)), vocab=SPELLED.vocab)
        how, step = adamw(cfg.rates[1], warmup=0.1, clip=1.0), partial(paced_step, options=Binarised())
        name = f"{seed}/text2vec/{slug(arm)}"
        text[arm] = run.train(Stage(name, net, text_to_frames, how, data, cfg.steps[1], step=step, seed=seed))
    for arm, people in ((EMB, many), (MEL, many), (TRANSCRIBED, few)):
        interface = MEL if arm == MEL else EMB
        stage = vec2wav(cfg, f"{seed}/vec2wav/{slug(arm)}", utterances, features, vectors, interface, people, seed)
        wave[arm] = run.train(stage)
    arms = {arm: (text[EMB if arm == TRANSCRIBED else arm], wave[arm.removesuffix(NOISY)]) for arm in ARMS}
    generators = [own.member("generator") for own in wave.values()]
    inputs = encoder, features, voice, *judges, *text.values(), *generators
    heard = run.make(f"{seed}/heard", heard_of, cfg, seed, *inputs)
    charged = {arm: (voice, vectors) if arm.startswith(MEL) else (voice, vectors, encoder, features) for arm in ARMS}
    return {"arms": arms, "heard": heard, "charged": charged}


def vectors_of(cfg: Config, voice: Any, utterances: Any) -> dict[str, np.ndarray]:
    """The speaker's vector of every utterance, clean and with noise."""
    net, made = Frozen.of(voice), utterances.value
    seen = [{"frames": made[f"mel{more}"], "real": made["real"]} for more in ("", NOISY)]
    return {more: speaker_vectors(net, own, cfg.at_once) for more, own in zip(("clean", "noisy"), seen, strict=True)}


def transcripts(
    cfg: Config, utterances: Any, features: Any, vectors: Any, arm: str, people: tuple[int, ...], seed: int
) -> MadeRows:
    """Texts with frames of one interface, of transcribed audio as clean as the arm has it."""
    arrays, length = None, SPELLED([(0, 0)]).shape[1]
    if features.value is not None:
        own = chosen(utterances, people, transcribed=True)
        arrays = {
            "tokens": SPELLED(utterances.value["words"][own]),
            "frames": features.value[arm][own],
            "count": utterances.value["real"][own].sum(1).astype(np.int32),
            "speaker": vectors.value["noisy" if NOISY in arm else "clean"][own],
        }
    width = cfg.features(arm.removesuffix(NOISY))
    rows = (Row("tokens", (length,), "int32"), Row("frames", (cfg.frames, width)), Row("count", (), "int32"))
    rows += (Row("speaker", (cfg.voice.vector,)),)
    of = f"{features.fingerprint}/{vectors.fingerprint}/{people}/{arm}"
    return MadeRows(rows=rows, of=of, arrays=arrays, batch=cfg.batches[1], seed=seed)


def vec2wav(
    cfg: Config, name: str, utterances: Any, features: Any, vectors: Any, interface: str, people: Any, seed: int
) -> Stage:
    """A vocoder against its discriminators, on clean audio of these speakers; no text is looked at."""
    arrays = None
    if features.value is not None:
        own = chosen(utterances, people)
        value = utterances.value
        arrays = {"signal": value["signal"][own], "count": value["length"][own] // cfg.mel.hop}
        arrays |= {"frames": features.value[interface][own], "speaker": vectors.value["clean"][own]}
    of = f"{features.fingerprint}/{vectors.fingerprint}/{interface}/{people}"
    data = FramedWaves(
        arrays=arrays, of=of, piece=cfg.piece, hop=cfg.mel.hop, features=cfg.features(interface),
        vector=cfg.voice.vector, batch=cfg.batches[2], seed=seed,
    )  # fmt: skip
    net = replace(cfg.vocoder, features=cfg.features(interface))
    nets = {"generator": net, "discriminator": cfg.discriminators}
    objectives = {"generator": Vocoded(cfg.near), "discriminator": told_apart}
    how = adam(cfg.rates[2], b1=0.8, b2=0.99, warmup=0.05)
    step = Alternate((Move("discriminator"), Move("generator")))
    return Stage(name, nets, objectives, {"generator": how, "discriminator": how}, data, cfg.steps[2], step, seed=seed)


# --- what is heard ---


def heard_of(
    cfg: Config, seed: int, encoder: Any, features: Any, voice: Any, ear: Any, judge: Any, *nets: Any
) -> dict[str, np.ndarray]:
    """All texts by all arms in all voices, real speech and its copies: what judges say of them, (speakers, texts)."""
    texts, tested, waves = cfg.texts, cfg.orders(cfg.shifts), dict(zip((EMB, MEL, TRANSCRIBED), nets[4:], strict=True))
    speakers, batch = tuple(range(cfg.speakers)), cfg.at_once
    real = WordPairs(cfg.tested, len(texts), cfg.samples, only=texts).made(50 + seed, speakers)
    shown = WordPairs(cfg.references, len(texts), cfg.samples, ()).made(60 + seed, speakers)
    listener = Listener.of(cfg.look, Frozen.of(ear), Frozen.of(judge), real, batch)
    vectors = speaker_vectors(Frozen.of(voice), cfg.look.seen(shown["signal"], shown["length"]), batch)
    tokens, found = np.tile(SPELLED(texts), (len(speakers), 1)), {}

    def judged(name: str, signals: np.ndarray, lengths: np.ndarray) -> None:
        own = listener.hears(signals, lengths, real["words"], real["speaker"])
        own["apart"] = listener.apart(signals, lengths, real["signal"], real["length"])
        if name == REAL:
            own["luck"] = listener.hears(signals, lengths, np.roll(real["words"], 5, 0), real["speaker"])["right"]
        own["seven"] = (own.pop("said") == SEVEN + 1).any(1)
        found.update({f"{name}/{what}": x.reshape(len(speakers), len(texts)) for what, x in own.items()})
        if seed == cfg.seeds[0]:
            found[f"{name}/wave"] = signals[: len(tested) : max(1, len(tested) // 3)].astype(np.float16)

    judged(REAL, real["signal"], real["length"])
    seen = cfg.look.seen(real["signal"], real["length"])
    frames = {EMB: embedded(Frozen.of(encoder), seen, batch), MEL: seen["frames"]}
    for name, interface in ((COPY_EMB, EMB), (COPY_MEL, MEL)):
        middle, width = (features.value[f"{interface} {what}"] for what in ("mean", "deviation"))
        own = ((frames[interface] - middle) / width * seen["real"][..., None]).astype(np.float32)
        judged(name, *vocoded(Frozen.of(waves[interface]), own, vectors, seen["real"].sum(1), batch))
    for arm, net in zip((*ARMS[:4], TRANSCRIBED), (*nets[:4], nets[0]), strict=True):
        made, counts = said_frames(Frozen.of(net), tokens, vectors, cfg.frames, batch)
        judged(arm, *vocoded(Frozen.of(waves[arm.removesuffix(NOISY)]), made, vectors, counts, batch))
    return found


# --- report ---


def report(cfg: Config, found: dict[int, dict[str, Any]]) -> Report:
    """What is heard of every arm by the speaker's part in training, the claims, and waves."""
    tested = len(cfg.orders(cfg.shifts))

    def over(row: str, what: str, who: str = "transcribed", seven: bool = False, scale: float = 100.0) -> list[float]:
        """One mean over texts and speakers for each seed."""
        values = []
        for seed, own in found.items():
            few, many, nobody = cfg.people(seed)
            people = {"transcribed": few, "heard": many[len(few) :], "unseen": (nobody,)}[who]
            if own["heard"].value is not None:
                name = f"{REAL}/luck" if row == LUCK else f"{row}/{what}"
                texts = own["heard"].value[name][list(people)]
                values.append(scale * float((texts[:, tested:] if seven else texts[:, :tested]).mean()))
        return values

    noisy = mean(over(EMB + NOISY, "right")) - mean(over(MEL + NOISY, "right"))
    clean = mean(over(EMB, "right")) - mean(over(MEL, "right"))
    near = [mean(over(arm, "similarity", "unseen", scale=1.0)) for arm in (EMB, TRANSCRIBED)]
    claims = (
        claim(
            "Embeddings let text2vec learn from noisy transcribed audio",
            paper="wav2vec embeddings are robust to noise; poor transcribed audio can be used",
            measured=noisy, unit="points",
            margin="words heard right, 10 dB of noise over transcribed audio: 5 points or more above mel",
            holds=noisy >= 5,
        ),
        claim(
            "With clean audio the interfaces are alike",
            paper="quality of the state of the art with mel spectrograms",
            measured=clean, unit="points",
            margin="words heard right, embeddings less mel: within 2 points",
            holds=abs(clean) <= 2,
        ),
        claim(
            "Audio without transcripts brings new voices nearer",
            paper="better generalisation to unseen speakers",
            measured=near[0] - near[1], unit="cosine",
            margin="of the speaker whom the encoder alone has heard: vec2wav of all five above that of the transcribed",
            holds=near[0] > near[1],
        ),
    )  # fmt: skip
    rows, roles = (REAL, COPY_EMB, COPY_MEL, *ARMS), ("transcribed", "heard", "unseen")
    tables = (
        table_of_means("Words heard right", (*rows, LUCK), roles, lambda row, who: over(row, "right", who),
                       scale=1.0, digits=1, note="In %, 1 - word errors / words, by the speaker's part in training; "
                       "texts in tested orders. Mean ± standard deviation over seeds."),
        table_of_means("A word of no transcript", rows, ("texts with seven", "seven heard there", "and elsewhere"),
                       lambda row, what: over(row, "right" if what[0] == "t" else "seven", seven=what[0] != "a"),
                       scale=1.0, digits=1, note="In %: words heard right in texts with \"seven\", and how often it is "
                       "heard in them and in texts without it. Transcribed speakers."),
        table_of_means("Similarity to the speaker", rows, roles,
                       lambda row, who: over(row, "similarity", who, scale=1.0), scale=1.0, digits=3,
                       note="Cosine of the judge's vectors to the mean of the speaker's tested speech."),
        table_of_means("Mel-cepstral distance", rows[1:], roles,
                       lambda row, who: over(row, "apart", who, scale=1.0), scale=1.0, digits=2,
                       note="In dB, with warping, to real speech of the same words and speaker."),
    )  # fmt: skip
    arms = {arm: {s: Arm("", own["arms"][arm], own["charged"][arm]) for s, own in found.items()} for arm in ARMS}
    return EXPERIMENT.report(
        claims, link="https://arxiv.org/abs/2203.16930", arms=by_seed(arms, MEL), tables=tables,
        figures=listened_to(cfg, found[cfg.seeds[0]]["heard"].value), baseline=MEL, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


def listened_to(cfg: Config, heard: Any) -> tuple[Any, ...]:
    """Waves of the first seed: one text by a transcribed speaker in every arm."""
    if heard is None:
        return ()
    clips = []
    for row in (REAL, COPY_EMB, COPY_MEL, *ARMS):
        wave = heard[f"{row}/wave"][0].astype(np.float32)
        clips.append((row, cfg.look.seen(wave[None], np.array([len(wave)]))["frames"][0], wave))
    a, b = cfg.texts[0]
    return (recordings("Waves", clips, cfg.mel.rate, f"“{DIGITS[a]} {DIGITS[b]}”, the first tested order."),)


NOTES = (
    "The encoder stands for wav2vec 2.0: it reads log-mel frames by convolutions, not samples, its targets are units "
    "as HuBERT's, and half of its audio has noise over it, with the units of the clean one, as WavLM's. It has heard "
    "all six speakers without labels (not the takes of judges or tests); one encoder serves all seeds.",
    "Noise over transcribed audio is of recordings (ESC-10, fold 5) that the encoder has not heard, of the same kinds.",
    "laptop: the generator ends in an inverse Fourier transform in place of its last transposed convolutions by 8 "
    "(iSTFTNet). No weight norm, no noise vector beside the speaker's, no post-net in text2vec.",
    "The speaker's vector is of a net trained here on the speakers of vec2wav, not of ECAPA-TDNN. That of the smaller "
    "vec2wav is the same net: the arms differ in what vec2wav has heard alone.",
    "Clips longer than 0.64 s are left out: slow speakers lose more of them. End-to-end training is not compared.",
    "Pilots on other takes and orders, one seed, by training errors after 250 steps: of rates .0015, .003 and .006 of "
    "text2vec embeddings had the least at .006, mel at .003; of .001, .002 and .004 of vec2wav both at .004, the edge "
    "of the grid. All arms were seen once, with shorter stages 1.",
    "pod: the networks' sizes are the paper's or its re-implementation's; the corpus stays that of the laptop.",
)

EXPERIMENT = Experiment(
    name="wavthruvec", title="WavThruVec: speech from text through vectors of a self-supervised encoder",
    reference="Siuzdak et al. 2022 (Interspeech), arXiv 2203.16930", paper=34, pipeline=pipeline, preset=preset,
)  # fmt: skip

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("wavthruvec")
