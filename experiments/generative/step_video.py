"""Step-Video-T2V: text to video through a cascade of stages, each from the one before, then preferences of its own.

Paper    Step-Video-T2V Technical Report, 2025, arXiv 2502.10248 (dossier 056).
Claim    Images, then low-resolution video, then high-resolution video teach more than high-resolution video alone; then
         DPO on pairs of the model's own samples makes viewers prefer it (recalled: about 55 : 45 over its own base).
Method   A causal 3-D convolutional VAE of 2 x 4 x 4, then one two-path module more in both halves for 4 x 4 x 4: new
         parts first, then all; frozen from there on. On its latents flow matching with a transformer of full attention
         over frames and pixels, QK-norm, 3-D RoPE, AdaLN-single and cross-attention to a small text encoder:
         T2I -> T2VI low -> T2VI high (clips : images 3 : 1) -> SFT on clips that pass a quality filter -> DPO on pairs
         of own samples, both noised alike. Clips are real digits and clothes that move and bounce; a quarter are
         flawed. The annotator is a program: class right + direction right + confidence of a classifier of frames.
         Arms: the cascade; high-resolution video alone, with the images of T2VI high, for its FLOPs; SFT; DPO; SFT on
         the winners of the same pairs for DPO's FLOPs; DPO with noise of each sample's own. A fifth of the sentences
         are unseen in every stage of video; all samples are drawn for these, from the same noise in all arms.
Run      stagejax run step_video                laptop: about 3 minutes on two cores
         stagejax run step_video --preset smoke  seconds
         stagejax run step_video --preset long   more steps, three seeds, a VAE without shortcuts, beta 10 and 1000
         stagejax plan step_video --preset pod --mesh data=16,fsdp=16,tensor=4,sequence=8
Holds if on unseen sentences the cascade has class and direction both right 5 points more often than training from
         scratch at equal FLOPs; DPO's samples score higher than those of its SFT base in 60 % of pairs or more (ties
         count half) with a Fréchet distance at most 10 % above the base's; and at the same model and pairs the loss
         with shared noise has a lower variance over draws of noise than that with own noise.
Ours     One seed; the transformer is far from trained, so two of three say little. Both right on unseen sentences:
         cascade 3.1 %, from scratch 4.7 (its class 26 and 23 %; real clips through the VAE 75): does not hold. DPO is
         preferred to its base in 49.2 %, at +0.1 % of distance: does not hold. Shared noise lowers the variance of the
         loss from 7.0e-3 to 4.4e-3: holds. By held-out loss the cascade is ahead, 0.861 to 0.924. The same verdicts on
         another CPU (-0.8 points; 47.7 %; 7.1e-3 to 3.3e-3).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.budget import flops, within
from stagejax.data import TFDS, Dataset, Digits, Mixture
from stagejax.data.joined import Row
from stagejax.data.multimodal.composites import DIGITS, Objects
from stagejax.data.prompts.answers import MadeRows
from stagejax.data.video.moving import Clips, Moving
from stagejax.growth import Combine
from stagejax.inference import Frozen, flops_of_one
from stagejax.inference.multimodal import videos
from stagejax.models.convnet import ConvNet
from stagejax.models.generative.dit import DiT
from stagejax.models.generative.gan import Discriminator
from stagejax.models.generative.text_to_video import TextToVideo
from stagejax.models.generative.video_vae import VideoVAE, deepened, is_deep
from stagejax.names import slug
from stagejax.objectives import classification
from stagejax.objectives.flow import FlowMatching, FlowPreference
from stagejax.objectives.pictures.autoencoding import Autoencoding
from stagejax.objectives.pictures.frechet import frechet_distance
from stagejax.objectives.pictures.realistic import Realistic, real_or_decoded
from stagejax.optimizer import adam, adamw
from stagejax.report import Arm, Report, by_seed, claim, mean, table_of_means
from stagejax.report.pictures import pictures
from stagejax.report.videos import animation, strip
from stagejax.steps.alternating import Alternate, Move
from stagejax.steps.referenced import losses_over_draws, of_policy, referenced_step

CASCADE, SCRATCH, SFT, DPO = "cascade", "from scratch", "cascade + SFT", "SFT + DPO"
WINNERS, OWN_NOISE = "SFT + winners", "SFT + DPO, own noise"
REAL, THROUGH = "real clips", "real clips, through the VAE"
#: Kinds that can be told apart at a glance.
MNIST = ("zero", "one", "two", "", "four", "", "", "seven", "", "")
DIGIT = Objects(Dataset("mnist"), MNIST, image="x", label="y")
FASHION = ("", "trousers", "", "dress", "", "sandal", "", "", "bag", "boot")
CLOTHING = Objects(Dataset("fashion_mnist"), FASHION, image="x", label="y")
VERDICT = ("class", "way", "sure", "score", "jerk", "features")
NEAR = Autoencoding(squared=2.0)
FLOW = FlowMatching("latents", ("tokens",), drop=0.1, frames="frames")


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    clips: Moving = field(default_factory=lambda: Moving((DIGIT, CLOTHING), 2400, flawed=0.25))
    vae: VideoVAE = field(default_factory=lambda: VideoVAE(channels=(16, 32, 32), deep=((2, 1, 1),)))
    net: DiT = field(default_factory=lambda: DiT(text=32, scan=True))
    judge: ConvNet = field(default_factory=lambda: ConvNet(image=20, channels=(16, 32, 64), classes=10))
    sizes: tuple[int, int, int] = (20, 12, 20)  # pixels of images, of low and of high resolution
    tests: int = 256  # held-out clips
    vae_steps: tuple[int, int, int] = (600, 100, 300)  # shallow, new parts, all
    vae_batch: int = 4
    vae_rounds: int = 0  # of the VAE against a discriminator, at last
    discriminator: Discriminator = field(default_factory=lambda: Discriminator(size=20))
    vae_clip: tuple[int, int] | None = None  # frames, and pixels a side, of what the VAE learns from; None: all
    judge_steps: int = 400
    batch: int = 16
    steps: tuple[int, int, int, int] = (440, 200, 150, 50)  # T2I, low, high, SFT
    rates: tuple[float, float, float, float] = (2e-3, 1.5e-3, 1e-3, 3e-4)
    averaged: int = 1  # SFTs in orders of their own, of whose parameters the mean is taken
    samples: int = 8  # of every seen sentence, to make pairs of
    dpo: tuple[int, int] = (32, 16)  # steps, pairs of a batch
    dpo_rate: float = 1e-4
    beta: float = 100.0  # of errors that are means over coordinates
    betas: tuple[float, ...] = ()  # further ones
    sampler: videos.Sampler = field(default_factory=videos.Sampler)
    drawn: int = 16  # samples of every unseen sentence
    plain_vae: bool = False  # also one without shortcuts
    seeds: tuple[int, ...] = (0,)

    @property
    def model(self) -> TextToVideo:
        return TextToVideo(self.net, vocab=self.clips.words.vocab)

    def latent(self, frames: int, pixels: int) -> tuple[int, int, int, int]:
        return self.vae.compressed((frames, pixels, pixels))

    @property
    def high(self) -> tuple[int, int, int, int]:
        """Shape of the latent of a clip at full size."""
        return self.latent(self.clips.frames, self.sizes[2])


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller, longer, or at the paper's scale."""
    if name == "smoke":
        clips = Moving((Objects(Digits(), DIGITS),), 96, size=12, side=6, speeds=(1,), flawed=0.25)
        net = DiT(embed=32, layers=1, heads=1, mlp=64, text=16, scan=True)
        judge, vae = ConvNet(image=12, channels=(8,), classes=10), VideoVAE(channels=(8, 8, 8), deep=((2, 1, 1),))
        how = {"tests": 32, "vae_steps": (30, 8, 8), "vae_batch": 8, "judge_steps": 60, "batch": 8, "samples": 2}
        more = {"steps": (12, 8, 8, 4), "averaged": 2, "dpo": (4, 4), "dpo_rate": 1e-3, "vae_rounds": 4}
        more |= {"sampler": videos.Sampler(3), "drawn": 2}
        more |= {"discriminator": Discriminator(size=12, channels=(4, 4), hidden=8)}
        return Config(clips, vae, net, judge, (12, 8, 12), **how, **more)
    if name == "long":
        steps, vae = (3000, 2000, 2000, 300), (2000, 500, 1000)
        return Config(steps=steps, vae_steps=vae, plain_vae=True, betas=(10.0, 1000.0), seeds=(0, 1, 2))
    if name == "pod":
        clips = Moving((Objects(TFDS("mnist"), MNIST),), 256, frames=201, size=736, side=256, speeds=(4,))
        sizes = {"embed": 6144, "layers": 48, "heads": 48, "head_dim": 128, "mlp": 24_576, "text": 6144}
        net = DiT(channels=16, split=(32, 16, 16), scan=True, remat="full", turns=6, **sizes)
        levels = {"levels": ((2, 2, 2), (2, 2, 2)), "deep": ((2, 2, 2),), "channels": (128, 256, 512, 512)}
        judge = ConvNet(image=736, channels=(64, 128, 256, 512), classes=5)
        how = {"vae_steps": (1, 1, 1), "vae_batch": 256, "vae_clip": (17, 256), "vae_rounds": 1, "judge_steps": 1}
        how |= {"discriminator": Discriminator(256, (64, 128, 256, 512, 512, 512), hidden=512)}
        how |= {"batch": 256, "tests": 256, "drawn": 1}
        more = {"steps": (253_000, 430_000, 46_000, 2000), "rates": (1e-4, 6e-5, 2e-5, 1e-5), "dpo": (1000, 256)}
        rest = {"averaged": 4, "sampler": videos.Sampler(50, 13.0, 9.0), "dpo_rate": 1e-6, "samples": 64}
        return Config(clips, VideoVAE(latent=16, **levels), net, judge, (256, 256, 736), **how, **more, **rest)
    return Config()


# --- the autoencoder and the judge ---


def clips(cfg: Config, batch: int, split: str = "train", **fields: Any) -> Clips:
    """Clips in full, of all sentences and without flaws unless the fields say otherwise."""
    own = {name: fields.pop(name) for name in ("sentences", "flawed", "count") if name in fields}
    source = replace(cfg.clips, **{"flawed": 0.0, "split": split, **own})
    return Clips(source=source, batch=batch, **{"frames": source.frames, "pixels": source.size, **fields})


def autoencoder(run: Any, cfg: Config, name: str, vae: VideoVAE) -> tuple[Any, ...]:
    """2 x 4 x 4 first; then the deeper module alone, and all of it; then all against a discriminator of frames."""
    shape = dict(zip(("frames", "pixels"), cfg.vae_clip or (), strict=False))
    tests = Evaluation(replace(clips(cfg, cfg.vae_batch, "test", count=cfg.vae_batch * 16, **shape), count=16), 16)
    rate, data, steps = adamw(5e-3, warmup=0.05, clip=1.0), clips(cfg, cfg.vae_batch, **shape), cfg.vae_steps
    every = Stage(f"{name}/all", vae, NEAR, replace(rate, peak=4e-3), data, steps[2], evaluate=tests)
    shallow = run.train(replace(every, name=f"{name}/shallow", model=vae.shallow, optimizer=rate, steps=steps[0]))
    new = replace(every, name=f"{name}/new", optimizer=rate, steps=steps[1], trainable=is_deep, evaluate=None)
    added = run.train(replace(new, handover=Handover(params=deepened)), shallow)
    whole = run.train(every, added)
    if not cfg.vae_rounds:
        return shallow, added, whole
    against = replace(
        every, name=f"{name}/adversarial", model={"autoencoder": vae, "discriminator": cfg.discriminator},
        objective={"autoencoder": Realistic(NEAR), "discriminator": real_or_decoded},
        optimizer={"autoencoder": replace(rate, peak=1e-3), "discriminator": adam(1e-3, b1=0.5)}, steps=cfg.vae_rounds,
        step=Alternate((Move("discriminator"), Move("autoencoder"))),
        evaluate=replace(tests, objective=of_autoencoder),
    )  # fmt: skip
    return shallow, added, whole, run.train(against, {"autoencoder": whole})


def of_autoencoder(models: Any, batch: Any, key: Any) -> Any:
    """How near it decodes, of both models of its last stage."""
    return NEAR(models["autoencoder"], batch, key)


def judge_of(run: Any, cfg: Config, vae: Any) -> Any:
    """A classifier of single frames, real ones and decoded ones alike: the eyes of the program that judges."""
    shown = run.make("shown", videos.both_ways, clips(cfg, 64), vae, 4)
    side, size, frames = cfg.clips.size, cfg.vae_batch, len(range(0, cfg.clips.frames, 4))
    spec = (Row("video", (frames, side, side, 1)), Row("label", (), "int32"))
    data = MadeRows(rows=spec, of=shown.fingerprint, arrays=shown.value, batch=6 * size)
    count = max(1, cfg.tests // size)
    tests = Evaluation(replace(clips(cfg, size, "test", count=cfg.tests), count=count), count)
    objective, rate = partial(videos.by_frame, classification), adamw(5e-3, warmup=0.05)
    return run.train(Stage("judge", cfg.judge, objective, rate, data, cfg.judge_steps, evaluate=tests))


def latents(run: Any, cfg: Config, vae: Any, scale: Any) -> dict[Any, Any]:
    """Artifacts by kind, pixels and split. Clips have seen sentences only; images say no direction."""
    made = {}
    for pixels in dict.fromkeys(cfg.sizes):
        most = cfg.latent(cfg.clips.frames, pixels)[0]
        for kind, frames in (("images", 1), ("clips", cfg.clips.frames)):
            for split, flawed, count in (("train", cfg.clips.flawed, cfg.clips.count), ("valid", 0.0, cfg.tests)):
                shown = {"sentences": "seen", "flawed": flawed, "count": count}
                data = clips(cfg, 64, split, frames=frames, pixels=pixels, **shown)
                name, cost = f"latents/{kind}-{pixels}-{split}", videos.encoded_flops(data, cfg.vae)
                made[kind, pixels, split] = run.make(name, videos.encoded, data, most, vae, scale, flops=cost)
    return made


# --- the cascade ---


def cascade(cfg: Config, made: dict[Any, Any], seed: int) -> list[Stage]:
    """T2I, T2VI at low and at high resolution: the same objective, more and more to see."""

    def stage(place: int, name: str, data: Any, held_out: Any) -> Stage:
        tests = Evaluation(held_out, held_out.count)
        optimizer = adamw(cfg.rates[place], warmup=0.05, clip=1.0)
        return Stage(f"{seed}/{name}", cfg.model, FLOW, optimizer, data, cfg.steps[place], evaluate=tests, seed=seed)

    image, whole, count = cfg.sizes[0], cfg.clips.frames, cfg.tests // cfg.batch
    pictures = (
        videos.latent_rows(made["images", image, split], cfg.latent(1, image), batch=cfg.batch, seed=seed)
        for split in ("train", "valid")
    )
    stages = [stage(0, "t2i", *(data if i == 0 else replace(data, count=count) for i, data in enumerate(pictures)))]
    for place, name in ((1, "low"), (2, "high")):
        pixels = cfg.sizes[place]
        shape, how = cfg.latent(whole, pixels), {"batch": cfg.batch, "seed": seed}
        parts = [videos.latent_rows(made[kind, pixels, "train"], shape, **how) for kind in ("clips", "images")]
        held_out = videos.latent_rows(made["clips", pixels, "valid"], shape, count=count, **how)
        stages.append(stage(place, name, Mixture(parts=tuple(parts), weights=(3, 1)), held_out))
    return stages


def filtered(judge: Any, made: Any, data: Clips, batch: int) -> dict[str, np.ndarray]:
    """Latents of the training clips that pass: class and direction seen by the judge, surely, without jerks."""
    seen = videos.watched(data, Frozen.of(judge))
    passes = seen["class"] & seen["way"] & (seen["sure"] > 0.9) & (seen["jerk"] < 0.05)
    passes = passes if passes.sum() >= batch else seen["score"] >= np.median(seen["score"])
    flaws = {"flawed_before": seen["flawed"], "flawed_after": seen["flawed"][passes]}
    return {name: values[passes] for name, values in made.value.items()} | flaws


def preferring(cfg: Config, name: str, pairs: Any, beta: float, shared: bool, held_out: Any, seed: int) -> Stage:
    """DPO of flow matching beside the model that drew the pairs."""
    spec = (*(Row(side, cfg.high) for side in ("chosen", "rejected")), Row("tokens", (4,), "int32"))
    data = MadeRows(rows=spec, of=pairs.fingerprint, arrays=pairs.value, batch=cfg.dpo[1], seed=seed)
    losses = {"policy": FlowPreference(beta, condition=("tokens",), shared=shared), "reference": None}
    optimizers = {"policy": adam(cfg.dpo_rate, warmup=0.1, decay="constant", clip=1.0), "reference": None}
    models = {"policy": cfg.model, "reference": cfg.model}
    tests = Evaluation(held_out, held_out.count, objective=partial(of_policy, FLOW))
    return Stage(name, models, losses, optimizers, data, cfg.dpo[0], referenced_step, evaluate=tests, seed=seed)


# --- samples ---


def drawn(cfg: Config, net: Any, tools: Any, which: str, each: int, seed: int) -> dict[str, np.ndarray]:
    vae, scale, judge = tools
    source, latents = replace(cfg.clips, sentences=which), videos.Latents.of(vae, scale)
    return videos.clips_of(source, each, Frozen.of(net), latents, Frozen.of(judge), cfg.sampler, seed)


def preferred(cfg: Config, sft: Any, vae: Any, scale: Any, judge: Any, seed: int) -> dict[str, np.ndarray]:
    """Pairs of the model's own samples of one seen sentence; the chosen ones also as data of flow matching."""
    made = drawn(cfg, sft, (vae, scale, judge), "seen", cfg.samples, seed)
    best, worst = videos.best_with_worst(made["score"], cfg.samples, 0.05)
    found = {"chosen": made["latents"][best], "rejected": made["latents"][worst], "tokens": made["tokens"][best]}
    found |= {"latents": found["chosen"], "frames": np.full(len(best), cfg.high[0], np.int32)}
    return found | {"scores": np.stack([made["score"][best], made["score"][worst]], 1)}


def tested(cfg: Config, net: Any, vae: Any, scale: Any, judge: Any, seed: int) -> dict[str, np.ndarray]:
    """Verdicts on samples of the unseen sentences, and the first clip of each."""
    made = drawn(cfg, net, (vae, scale, judge), "unseen", cfg.drawn, 1000 + seed)
    return {name: made[name] for name in VERDICT} | {"video": made["video"][:: cfg.drawn]}


def real(cfg: Config, judge: Any, vae: Any = None) -> dict[str, np.ndarray]:
    """The same of held-out clips of the unseen sentences, through the autoencoder where there is one."""
    data = clips(cfg, 64, "test", sentences="unseen", count=cfg.tests)
    seen = videos.watched(data, Frozen.of(judge), vae and Frozen.of(vae))
    first = [int(np.argmax((seen["label"] == a) & (seen["direction"] == b))) for a, b in data.source.pairs()]
    return {name: seen[name] for name in VERDICT} | {"video": seen["video"][first]}


# --- all of it ---


def pipeline(run: Any, cfg: Config) -> Report:
    """The frozen parts once, then every arm for every seed, and what they draw."""
    stages = autoencoder(run, cfg, "vae", cfg.vae)
    plain = autoencoder(run, cfg, "vae-plain", replace(cfg.vae, shortcut=False)) if cfg.plain_vae else (None,)
    vae = stages[-1].member("autoencoder") if cfg.vae_rounds else stages[-1]
    judge = judge_of(run, cfg, vae)
    scale = run.make("scale", videos.scale_of, vae, clips(cfg, 64, sentences="seen"))
    made = latents(run, cfg, vae, scale)
    data = clips(cfg, 64, sentences="seen", flawed=cfg.clips.flawed)
    watched = float(flops_of_one(videos.seen_by, cfg.judge, data.sample_spec()["video"]))
    highest = made["clips", cfg.sizes[2], "train"]
    kept = run.make("filtered", filtered, judge, highest, data, cfg.batch, flops=cfg.clips.count * watched)
    truth = {
        REAL: run.make("real", real, cfg, judge, flops=cfg.tests * watched),
        THROUGH: run.make("through", real, cfg, judge, vae, flops=cfg.tests * watched),
    }
    tools, found, spreads = (vae, scale, judge), {}, {"shared": [], "own": []}
    values: dict[str, list[Any]] = {name: [made.value] for name, made in truth.items()}
    one = cfg.sampler.flops(cfg.model, cfg.vae, cfg.high) + watched
    unseen = len(replace(cfg.clips, sentences="unseen").pairs()) * cfg.drawn
    for seed in cfg.seeds:
        own, pairs = arms(run, cfg, seed, made, kept, tools, one)
        base = (*stages, scale, *made.values())
        charged = {CASCADE: base, SCRATCH: base, SFT: (*base, judge, kept)}
        found[seed] = {arm: (results, charged.get(arm, (*charged[SFT], pairs))) for arm, results in own.items()}
        for arm, results in own.items():
            last = results[-1].member("policy") if isinstance(results[-1].model, dict) else results[-1]
            name = f"{seed}/scores/{slug(arm)}"
            values.setdefault(arm, []).append(run.make(name, tested, cfg, last, *tools, seed, flops=unseen * one).value)
        for name, shared in (("shared", True), ("own", False)):
            loss = FlowPreference(cfg.beta, condition=("tokens",), shared=shared)
            nets = (own[DPO][-1].member("policy"), own[SFT][-1], pairs)
            spreads[name].append(run.make(f"{seed}/spread/{name}", losses_over_draws, loss, *nets, 64, 32).value)
    return report(cfg, found, values, spreads, kept, {"VAE": stages[-1], "VAE, no shortcuts": plain[-1]})


def sft_of(run: Any, cfg: Config, stage: Stage, start: Any) -> tuple[Any, ...]:
    """SFT, with all that went into it before: once, or several times in orders of their own and then the mean."""
    if cfg.averaged == 1:
        return (run.train(stage, start),)
    seeds = [stage.seed + 1000 * i for i in range(cfg.averaged)]
    orders = [replace(stage, seed=seed, data=replace(stage.data, seed=seed)) for seed in seeds]
    runs = [run.train(replace(one, name=f"{stage.name}-{i}"), start) for i, one in enumerate(orders)]
    others = {f"model{i}": one for i, one in enumerate(runs) if i}
    mean = Combine.mean(cfg.averaged)
    return (*runs, run.grow(stage.name, runs[0], to=cfg.model, operator=mean, others=others))


def arms(run: Any, cfg: Config, seed: int, made: Any, kept: Any, tools: Any, one: float) -> tuple[dict, Any]:
    """The stages of every arm, and the pairs that were made on the way."""
    image, low, high = cascade(cfg, made, seed)
    first = run.train(image)
    second = run.train(low, first)
    third = run.train(high, second)
    alone = replace(high, name=f"{seed}/scratch", optimizer=image.optimizer)
    scratch = run.train(within(alone, flops(first, second, third)))
    how = {"batch": cfg.batch, "seed": seed}
    tuning = replace(
        high, name=f"{seed}/sft", data=videos.latent_rows(kept, cfg.high, **how), steps=cfg.steps[3],
        optimizer=adamw(cfg.rates[3], warmup=0.1, clip=1.0),
    )  # fmt: skip
    tuned = sft_of(run, cfg, tuning, third)
    sft = tuned[-1]
    count = len(replace(cfg.clips, sentences="seen").pairs()) * cfg.samples
    pairs = run.make(f"{seed}/pairs", preferred, cfg, sft, *tools, seed, flops=count * one)
    before = (first, second, third)
    found = {CASCADE: before, SCRATCH: (scratch,), SFT: (*before, *tuned)}
    losses = {DPO: (cfg.beta, True), OWN_NOISE: (cfg.beta, False)}
    losses |= {f"{DPO}, beta = {beta:g}": (beta, True) for beta in cfg.betas}
    for arm, (beta, shared) in losses.items():
        stage = preferring(cfg, f"{seed}/{slug(arm)}", pairs, beta, shared, high.evaluate.data, seed)
        found[arm] = (*before, *tuned, run.train(stage, {"policy": sft, "reference": sft}))
    winners = replace(tuning, name=f"{seed}/{slug(WINNERS)}", data=videos.latent_rows(pairs, cfg.high, **how))
    found[WINNERS] = (*before, *tuned, run.train(within(winners, flops(found[DPO][-1])), sft))
    return found, pairs


# --- report ---


def report(cfg: Config, found: Any, values: Any, spreads: Any, kept: Any, vaes: Any) -> Report:
    """What the samples of every arm are worth, the claims, and clips that move. `values`: verdicts by row."""
    names = list(next(iter(found.values())))

    def over(name: str, read: Any) -> list[float]:
        return [float(read(value)) for value in values[name] if value]

    def frechet(v: Any) -> float:
        return frechet_distance(v["features"], values[REAL][0]["features"])

    def liked(name: str) -> list[float]:
        both = zip(values[name], values[SFT], strict=True) if name in names else ()
        return [videos.liked(own, other) for own, other in both if own]

    gain = mean(over(CASCADE, videos.exact)) - mean(over(SCRATCH, videos.exact))
    farther, share = mean(over(DPO, frechet)) / mean(over(SFT, frechet)) - 1, mean(liked(DPO))
    shared, own = (np.mean([v["loss"].var() for v in spreads[of] if v] or [np.nan]) for of in ("shared", "own"))
    known = not np.isnan(shared)
    claims = (
        claim("A cascade is worth more than high-resolution video alone at equal FLOPs",
              paper="trained as a cascade; not compared", measured=100 * gain, unit="points",
              margin="5 points or more of class and direction both right, on unseen sentences", holds=gain >= 0.05),
        claim("DPO on its own samples makes the program prefer the model, and its clips no less real",
              paper="about 55 : 45 by people over its own base, as recalled",
              measured=f"{share:.1%}, Fréchet distance {farther:+.1%}" if known else None,
              margin="60 % or more of pairs on unseen sentences, Fréchet distance at most +10 %",
              holds=share >= 0.6 and farther <= 0.1),
        claim("Shared noise lowers the variance of the loss", paper="fixed noise and time stabilise training",
              measured=f"variance {shared:.2e} against {own:.2e}" if known else None,
              margin="lower than with own noise, at the same model and pairs over draws",
              holds=bool(shared < own)),
    )  # fmt: skip
    columns = {"class and direction": videos.exact} | {
        name: lambda v, field=field: v[field].mean()
        for name, field in (("class", "class"), ("direction", "way"), ("confidence", "sure"))
    }
    distances = {"Fréchet distance": frechet, "jerk": lambda v: v["jerk"].mean()}
    first = next(iter(found.values()))
    stages = dict(zip(("T2I", "T2VI low", "T2VI high", "SFT"), first[SFT][0], strict=False))
    stages |= {SCRATCH: first[SCRATCH][0][-1]} | {name: vae for name, vae in vaes.items() if vae}
    drawings: tuple[Any, ...] = ()
    if known:
        source, shown = replace(cfg.clips, sentences="unseen"), [REAL, SCRATCH, CASCADE, SFT, DPO]
        texts = [source.sentence(*pair) for pair in source.pairs()]
        rows = [[values[name][0]["video"][i, ..., 0] for name in shown] for i in range(len(texts))]
        strips = [[strip(clip, 4) for clip in row] for row in rows]
        drawings = (
            animation("Clips of unseen sentences", shown, rows, "The first sample of each.", texts),
            pictures("First, middle and last frame", shown, strips, names=texts),
        )
    flaws = [] if kept.value is None else [kept.value[f"flawed_{when}"].mean() for when in ("before", "after")]
    passed = ["Of training clips {:.1%} are flawed, of those that pass {:.1%}.".format(*flaws)] if flaws else ()
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2502.10248",
        figures=drawings,
        baseline=SCRATCH,
        seeds=cfg.seeds,
        notes=(*NOTES, *passed),
        arms=by_seed({arm: {seed: Arm("", *own[arm]) for seed, own in found.items()} for arm in names}, SCRATCH),
        tables=(
            table_of_means("Unseen sentences", [REAL, THROUGH, *names], [*columns, "preferred to SFT"],
                           lambda n, c: over(n, columns[c]) if c in columns else liked(n)),
            table_of_means("Against held-out clips", [THROUGH, *names], list(distances),
                           lambda n, c: over(n, distances[c]), scale=1.0, digits=3,
                           note="Fréchet distance of the judge's features; jerk in pixels a frame²."),
            table_of_means("Held-out loss of every stage", list(stages), ["loss"],
                           lambda name, _: [stages[name].history.last("loss")], scale=1.0, digits=4,
                           note="Of flow matching; of the autoencoder its errors and divergence."),
        ),
    )  # fmt: skip


NOTES = (
    "The annotator is a program, not people: class right + direction right + confidence of a classifier of frames that "
    "was trained on real and on decoded clips; the direction is that of the centroid over four steps.",
    "The VAE has L1, KL and squared errors, without which it stayed black; no perceptual loss, for want of a network "
    "that was trained, and no adversarial one but at pod, where a discriminator sees single frames.",
    "The text encoder is small and trained along; the paper's two are frozen. One object a clip, ten kinds.",
    "T2I has the pixels of the last stage. In T2VI images are samples of one frame, filled up to a clip and masked.",
    "No reward model, and no distillation to few steps (Turbo). SFT runs once; at pod it is the mean of four.",
    "pod: 201 frames and 736 x 736 pixels for 204 and 544 x 992; generated clips; the VAE's steps are not known, and "
    "it learns from 17 frames of 256 x 256.",
    "No learning rate was searched, nor DPO's, nor its beta.",
)

EXPERIMENT = Experiment(
    name="step_video",
    title="Step-Video: a cascade of flow matching, then preferences",
    reference="Step-Video-T2V Technical Report, 2025, arXiv 2502.10248",
    paper=56,
    pipeline=pipeline,
    preset=preset,
    presets=("smoke", "laptop", "long", "pod"),
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("step_video")
