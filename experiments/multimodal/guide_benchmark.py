"""GUIDE: does a guideline help to caption the steps of an instructional video?

Paper    GUIDE: A Guideline-Guided Dataset for Instructional Video Comprehension, IJCAI 2024, arXiv 2406.18227
         (dossier 085). A dataset and benchmark; it proposes no training method, and its figures could not be read.
Claim    A task's guideline, what all its videos have in common, guides the captions of a video's specific steps.
Method   0  eyes        a small network learns from single frames which items, colour and operation they show, as the
                        annotations say: the stand-in for a pre-trained visual encoder; then frozen
         1  build       tasks in 8 domains, their videos, specific steps with bounds and links to the guideline's steps
         2  captioning  one video -> its specific steps; neither guideline nor task is seen
         3  summaries   1, 2, 4 or 8 videos of a task -> its guideline, from stage 2: by video (each is encoded alone,
                        a vector of its number is added, the decoder attends to all), or by text (captions in place of
                        videos: true ones in training, those of stage 2 in the test)
         4  guided      guideline + video -> specific steps, from stage 2, trained with the true guideline
         5  evaluate    all three tasks, greedy decoding
         The loss is the cross entropy of the list of steps. No real instructional video is at hand: real images
         (clothes, digits) are taken, painted, turned, shrunk, moved, boxed, dimmed, added and removed by a program;
         photographs (CIFAR-10) stand in 15 % of frames; 30 % of videos have a step more or two swapped. Guidelines are
         abstract ("color it"), steps concrete ("paint boot green"). Test tasks have sequences of operations and
         images that no stage sees. This tests the benchmark's protocol and its hypothesis, not GUIDE's data.
         Arms: stage 2 trained on without a guideline for the steps of stage 4; guided, put to the test with the true
         guideline, one predicted from 4 other videos of the task, that of the nearest training task (BM25 of captions),
         that of another task of the same domain, none, and the true one without the video; guided from scratch for the
         steps of stages 2 and 4; trained with other tasks' guidelines, a control of what the longer input does.
Run      stagejax run guide_benchmark                   laptop: minutes on two cores
         stagejax run guide_benchmark --preset smoke    generated digits, seconds
         stagejax plan guide_benchmark --preset pod --mesh data=4,fsdp=4
Holds if on unseen tasks, in means over three seeds, (1) captions with the true guideline exceed those without one, both
         from stage 2 for equal steps, by 10 % or more, relative, in CIDEr-D and in step F1 (equal steps in order);
         (2) with the predicted guideline (of the route with the lower validation loss) step F1 lies between the two;
         (3) with another task's guideline it lies below that without one; and (4) of that route's summaries step F1 is
         higher with 4 videos than with 1.
Ours     64 unseen tasks, mean ± standard deviation of three seeds; (3) and (4) hold, (1) and (2) do not. (1): step F1
         75.4 ± 1.2 without a guideline, 77.4 ± 1.9 with the true one, +2.6 %, CIDEr-D +4.4 %. (2): predicted 74.9 ±
         0.5, 0.6 ± 1.1 points below none. (3): another task's 74.4 ± 1.5, 1.1 ± 1.0 below none. (4): +7.4 ± 2.9 points,
         57.1 to 64.5; but the nearest training task's guideline has 68.7 ± 0.9, and captions 40.8 ± 3.5. Guided without
         the video 7.0. With one seed: from scratch for as many steps 83.4, other tasks' guidelines in training 73.9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.data import TFDS, Batch, Data, Dataset
from stagejax.data.retrieval.bm25 import BM25
from stagejax.data.video.guide_records import annotations, guideline_of, specific, titles
from stagejax.data.video.guided_clips import Guide, GuidedClips, Summaries, captioned, summarized
from stagejax.data.video.guidelines import numbered
from stagejax.data.video.procedure_frames import ProcedureFrames
from stagejax.data.video.procedure_videos import ProcedureVideos, real_procedures, toy
from stagejax.inference import Frozen
from stagejax.inference.multimodal.step_lists import list_flops, lists_said, step_scores
from stagejax.models import Transformer
from stagejax.models.multimodal.videos_to_text import VideosToText
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.names import slug
from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.sound.signs import said
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.search.peak import Peaks, kept_peak
from stagejax.transforms.parts import parts
from stagejax.transforms.transplant import Transplant

PLAIN, GUIDED, SCRATCH, OTHER = "no guideline", "guided", "guided, from scratch", "other tasks' guidelines"
TRUE, PREDICTED, NEAREST, WRONG = "true", "predicted", "nearest task's", "another task's"
EMPTY, BLIND = "none", "true, no video"
GUIDES = (TRUE, PREDICTED, NEAREST, WRONG, EMPTY, BLIND)
VIDEO, TEXT, ORACLE, NEAR = "videos", "captions of stage 2", "true captions", "nearest task"
#: Videos that a guideline is predicted from, none of them captioned beside it.
FOUR = 4
#: Columns of the tables, and the names of what is measured.
COLUMNS = {
    "step F1": "f1", "precision": "precision", "recall": "recall", "step F1, METEOR": "near", "METEOR": "meteor",
    "ROUGE-L": "rouge", "tau": "tau", "coverage": "coverage", "whole lists": "whole",
}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    videos: ProcedureVideos = field(default_factory=lambda: real_procedures(Dataset, 440))
    held: tuple[int, int] = (32, 64)  # tasks of validation and test
    captioned: int = 3  # videos of a test task; the last four predict its guideline
    text: int = 24  # tokens of a guideline, or of a video's captions
    length: int = 26  # tokens of what is said
    net: Transformer = field(
        default_factory=lambda: Transformer(embed=64, layers=2, heads=4, mlp=128, causal=False, init_std=0.1)
    )  # encoder and decoder, each
    image: Any = field(default_factory=lambda: strided(24, (16, 32, 64), 64))  # the network of single frames
    width: tuple[str, int] = ("hidden.1", 64)  # of its features
    eyes: tuple[int, int, float] = (1200, 64, 3e-3)  # steps, batch and learning rate of stage 0
    counts: tuple[int, ...] = (1, 2, 4, 8)  # videos of a summary
    batches: tuple[int, int] = (16, 8)  # of captions, and of summaries
    steps: tuple[int, int, int] = (600, 150, 250)  # of stages 2, 3 and 4
    peaks: tuple[float, ...] = (2e-3,)  # learning rates, from which each arm takes its own
    at_once: int = 64  # samples that are decoded together
    precision: Precision = field(default_factory=Precision)
    seeds: tuple[int, ...] = (0, 1, 2)
    beside: tuple[str, ...] = (SCRATCH, OTHER)  # with the first seed alone

    @property
    def model(self) -> VideosToText:
        net = replace(self.net, vocab=self.videos.words.vocab)
        encoder = replace(net, length=self.videos.frames + self.text)
        return VideosToText(
            self.image, self.width, encoder, replace(net, length=self.length + 1), max(self.counts)
        )  # fmt: skip

    def of(self, split: str) -> ProcedureVideos:
        """The held-out videos."""
        return replace(self.videos, split=split, count=self.held[split == "test"])


def strided(pixels: int, channels: tuple[int, ...], width: int) -> CNN:
    """Convolutions that halve a frame and the one before it, and a dense layer."""
    layers = tuple(ConvLayer(size, stride=2) for size in channels)
    return CNN((pixels, pixels, 6), layers, (width,), heads=(("label", (1,)),), norm=True, convolution="patches")


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at a larger scale."""
    if name == "smoke":
        net = Transformer(embed=16, layers=1, heads=2, mlp=32, causal=False)
        return Config(
            toy(12, videos=6), eyes=(12, 8, 3e-3), held=(4, 4), captioned=2, net=net, image=strided(16, (4, 8), 16),
            width=("hidden.1", 16), counts=(1, 2, 4), batches=(8, 4), steps=(12, 6, 8), peaks=(3e-3,),
            at_once=8, seeds=(0,), beside=(),
        )  # fmt: skip
    if name == "pod":
        eyes = replace(strided(224, (64, 128, 256, 512, 512), 512), convolution="conv")
        videos = real_procedures(TFDS, 800, ("image", "label"), videos=64, frames=32, size=224, side=112)
        net = Transformer(embed=1024, layers=12, heads=16, mlp=4096, causal=False, scan=True, remat="full")
        return Config(
            videos, held=(64, 256), captioned=8, net=net, image=eyes, width=("hidden.1", 512), batches=(64, 16),
            steps=(50_000, 10_000, 20_000), peaks=(1e-4, 3e-4), precision=Precision(compute="bfloat16"),
        )  # fmt: skip
    return Config()


# --- stages ---


def listing(model: Any, batch: Batch, key: Any) -> tuple[Any, Metrics]:
    """The mean cross entropy of a list of steps, token by token."""
    return said(model(batch["inputs"], batch["tokens"], rows=batch["rows"], key=key), batch, 0.0)


def seeing(model: Any, batch: Batch, key: Any) -> tuple[Any, Metrics]:
    """The sum of the cross entropies of all labels of single frames."""
    features = model.features(batch["inputs"], key)
    found = {name: weighted(model.head(features, name, key), batch[name]) for name, _ in model.config.heads}
    accuracies = {name: metrics["accuracy"] for name, (_, metrics) in found.items()}
    loss = sum(own for own, _ in found.values())
    return loss, accuracies | {"loss": loss}


def eyes(cfg: Config) -> Stage:
    """Stage 0, one for all seeds and arms."""
    steps, batch, peak = cfg.eyes
    data = ProcedureFrames(source=cfg.videos, batch=batch)
    held = replace(data, source=cfg.of("valid"), count=1)
    image = replace(cfg.image, heads=tuple((name, (size,)) for name, size in data.classes.items()))
    optimizer = adamw(peak, warmup=0.1, clip=1.0, weight_decay=1e-3)
    return Stage(
        "eyes", image, seeing, optimizer, data, steps, evaluate=Evaluation(held, 1)
    )  # fmt: skip


def clips(cfg: Config, guide: Guide, seed: int) -> GuidedClips:
    """Videos with their specific steps."""
    how = {"text": cfg.text, "length": cfg.length}
    return GuidedClips(source=cfg.videos, batch=cfg.batches[0], guide=guide, seed=seed, **how)


def summaries(cfg: Config, route: Any, seed: int) -> Summaries:
    """Several videos with their guideline."""
    how = {"counts": cfg.counts, "text": cfg.text, "length": cfg.length}
    return Summaries(source=cfg.videos, batch=cfg.batches[1], route=route, seed=seed, **how)


def stage(cfg: Config, name: str, data: Any, steps: int, seed: int) -> Stage:
    """The recipe that all stages share."""
    held: Data = replace(data, source=cfg.of("valid"))
    count = max(1, held.size() // data.batch)
    optimizer = adamw(cfg.peaks[0], warmup=0.1, clip=1.0, b2=0.98, weight_decay=1e-3)
    return Stage(
        name, cfg.model, listing, optimizer, data, steps, evaluate=Evaluation(replace(held, count=count), count),
        trainable=parts("project", "frame_norm", "encoder", "numbers", "decoder", "cross"), precision=cfg.precision,
        seed=seed,
    )  # fmt: skip


# --- pipeline ---


@dataclass
class Found:
    """What the seeds have given so far."""

    peaks: Peaks = field(default_factory=dict)
    arms: dict[str, dict[int, Arm]] = field(default_factory=dict)
    captions: dict[tuple[str, int], Any] = field(default_factory=dict)  # by arm and seed
    guidelines: dict[tuple[str, int], Any] = field(default_factory=dict)  # by route and videos, and seed
    chosen: dict[int, str] = field(default_factory=dict)  # the route with the lower validation loss


def pipeline(run: Any, cfg: Config) -> Report:
    """Stage 1 once; of every seed stages 2 to 4, and what all say of the test."""
    built, sight, found = run.make("build", annotated, cfg), run.train(eyes(cfg)), Found()
    for seed in cfg.seeds:
        of_seed(run, cfg, seed, built, sight, found)
    return report(cfg, found)


def of_seed(run: Any, cfg: Config, seed: int, built: Any, sight: Any, found: Found) -> None:
    """Stages 2 to 4 of a seed, and the test."""

    def tuned(name: str, data: Any, steps: int, start: Any = None, like: str | None = None) -> tuple[Any, tuple]:
        if like:
            found.peaks.setdefault(name, found.peaks[like])
        own = stage(cfg, f"{seed}/{slug(name)}", data, steps, seed)
        return kept_peak(run, found.peaks, name, own, cfg.peaks, start=start)

    whole = Transplant(cfg.model, tuple((0, part, f"frames/{part}") for part in ("convolutions", "hidden")), seed)
    begun = run.transform(f"{seed}/begun", whole, sight, to=cfg.model)
    base, spent = tuned("captioning", clips(cfg, "none", seed), cfg.steps[0], begun)
    video, spent_video = tuned("summaries, videos", summaries(cfg, "video", seed), cfg.steps[1], base)
    text, spent_text = tuned("summaries, captions", summaries(cfg, "text", seed), cfg.steps[1], base)
    own = read(run, cfg, f"{seed}/captions", captions_of_all, built, base, count=cfg.held[1] * cfg.videos.videos)
    told, four = partial(summarized_test, run, cfg, seed, built), FOUR
    lists = {(VIDEO, n): told(VIDEO, n, video) for n in cfg.counts} | {
        (TEXT, n): told(TEXT, n, text, own) for n in cfg.counts
    }
    lists[ORACLE, four] = told(ORACLE, four, text)
    lists[NEAR, four] = run.make(f"{seed}/nearest", nearest, cfg, built, own, four)
    found.guidelines |= {(f"{route}, {n}", seed): result for (route, n), result in lists.items()}
    route = found.chosen[seed] = VIDEO if lower(video, text) else TEXT

    def arm(label: str, guide: Guide, steps: int, start: Any = base, like: str | None = None) -> Any:
        result, more = tuned(label, clips(cfg, guide, seed), steps, start, like)
        before, charged = ((base,), spent) if start is base else ((), ())
        found.arms.setdefault(label, {})[seed] = Arm("", (*before, result), (sight, *charged, *more))
        return result

    def test(label: str, result: Any, guide: str, given: Any = None) -> None:
        count = cfg.held[1] * cfg.captioned
        made = read(run, cfg, f"{seed}/{slug(label)}", captions_of_test, built, result, guide, given, count=count)
        found.captions[label, seed] = made

    test(PLAIN, arm(PLAIN, "none", cfg.steps[2]), EMPTY)
    guided = arm(GUIDED, "gold", cfg.steps[2])
    given = {PREDICTED: lists[route, four], NEAREST: lists[NEAR, four]}
    for guide in GUIDES:
        test(f"{GUIDED}: {guide}", guided, guide, given.get(guide))
    own_arm, routes = found.arms[GUIDED][seed], (video, *spent_video, text, *spent_text)  # one was chosen of both
    charged = (*own_arm.charged, *routes, *([own] if route == TEXT else []), given[PREDICTED])
    found.arms.setdefault(f"{GUIDED}, {PREDICTED}", {})[seed] = replace(own_arm, charged=charged)
    if seed == cfg.seeds[0]:
        if SCRATCH in cfg.beside:
            test(SCRATCH, arm(SCRATCH, "gold", cfg.steps[0] + cfg.steps[2], begun, "captioning"), TRUE)
        if OTHER in cfg.beside:
            test(OTHER, arm(OTHER, "other", cfg.steps[2], like=GUIDED), WRONG)


def lower(one: Any, other: Any) -> bool:
    """Whether the first has the lower validation loss; also in a plan."""
    return not one.history.last("loss") > other.history.last("loss")


def read(run: Any, cfg: Config, name: str, function: Any, built: Any, result: Any, *more: Any, count: int) -> Any:
    """What a captioner says of single videos; all tokens that it may say are charged."""
    each = list_flops(cfg.model, clips(cfg, "none", 0).sample_spec(), cfg.length)
    return run.make(f"{name}/said", function, cfg, built, result, *more, flops=count * each)


def summarized_test(
    run: Any, cfg: Config, seed: int, built: Any, route: str, n: int, result: Any, own: Any = None
) -> Any:
    """The guidelines of all test tasks from n videos each, or what is said of them."""
    spec = summaries(cfg, "video" if route == VIDEO else "text", 0).sample_spec()
    cost = cfg.held[1] * list_flops(cfg.model, spec, cfg.length)
    name = f"{seed}/{slug(route)}/{n}"
    return run.make(name, guidelines_of_test, cfg, built, result, own, n, route == VIDEO, flops=cost)


# --- what is made and said; functions for `run.make` ---


def annotated(cfg: Config) -> dict[str, Any]:
    """Stage 1: the records of all splits as in GUIDE's schema, by the name of the split."""
    return {
        split: annotations(cfg.videos if split == "train" else cfg.of(split)) for split in ("train", "valid", "test")
    }


def captions_of_all(cfg: Config, built: Any, result: Any) -> dict[str, Any]:
    """What is said of every test video without a guideline: {"lists"}."""
    source = cfg.of("test")
    inputs = captioned(source, range(len(source)), [""] * len(source), cfg.text)
    return {"lists": lists_said(Frozen.of(result), inputs, source.words, cfg.length, cfg.at_once)}


def captions_of_test(cfg: Config, built: Any, result: Any, guide: str, given: Any = None) -> dict[str, Any]:
    """What is said of the first videos of every test task beside a guideline: {"lists", "wanted", "scores"}."""
    source, tasks = cfg.of("test"), built.value["test"]
    beside = guides_of(cfg, tasks, guide, given)
    pairs = [(at, at * source.videos + k) for at in range(len(tasks)) for k in range(cfg.captioned)]
    inputs = captioned(source, [video for _, video in pairs], [beside[at] for at, _ in pairs], cfg.text)
    if guide == BLIND:
        inputs["rows"][..., : source.frames] = 0
    lists = lists_said(Frozen.of(result), inputs, source.words, cfg.length, cfg.at_once)
    wanted = [titles(tasks[at], video) for at, video in pairs]
    links = [[step["guideline_step"] for step in specific(tasks[at], video)] for at, video in pairs]
    return {"lists": lists[:9], "wanted": wanted[:9], "scores": step_scores(lists, wanted, links)}


def guides_of(cfg: Config, tasks: Sequence[Mapping[str, Any]], guide: str, given: Any) -> list[str]:
    """The guideline beside the videos of each test task, as a text."""
    if guide in (PREDICTED, NEAREST):
        lists = given.value["lists"]
    elif guide == WRONG:  # of the next task of the same domain
        lists = []
        for at, task in enumerate(tasks):
            later = [*tasks[at + 1 :], *tasks[:at]]
            lists.append(next(guideline_of(own) for own in later if own["category"] == task["category"]))
    else:
        lists = [[] if guide == EMPTY else guideline_of(task) for task in tasks]
    return [numbered(own) for own in lists]


def last_videos(cfg: Config, n: int) -> list[list[int]]:
    """The numbers of the last n videos of every test task."""
    each = cfg.videos.videos
    return [[at * each + each - 1 - k for k in range(n)] for at in range(cfg.held[1])]


def guidelines_of_test(cfg: Config, built: Any, result: Any, own: Any, n: int, seeing: bool) -> dict[str, Any]:
    """The guidelines of all test tasks: {"lists", "scores"}, from their last n videos, or from what is said of these:
    by stage 2 where `own` is given, else truly."""
    source, tasks, chosen = cfg.of("test"), built.value["test"], last_videos(cfg, n)
    told = None
    if not seeing:
        told = [
            [numbered(titles(task, video) if own is None else own.value["lists"][video]) for video in videos]
            for task, videos in zip(tasks, chosen, strict=True)
        ]
    inputs = summarized(source, chosen, told, max(cfg.counts), cfg.text)
    return measured(lists_said(Frozen.of(result), inputs, source.words, cfg.length, cfg.at_once), tasks)


def measured(lists: list[list[str]], tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    wanted = [guideline_of(task) for task in tasks]
    return {"lists": lists, "scores": step_scores(lists, wanted, [range(1, len(own) + 1) for own in wanted])}


def nearest(cfg: Config, built: Any, own: Any, n: int) -> dict[str, Any]:
    """The guideline of the training task whose true captions are the nearest to what stage 2 says of n videos."""
    train, tasks = built.value["train"], built.value["test"]
    documents = [[word for video in task["videos"] for word in terms(titles(task, int(video)))] for task in train]
    queries = [
        [word for video in videos for word in terms(own.value["lists"][video])] for videos in last_videos(cfg, n)
    ]
    best, _ = BM25().best(queries, documents, 1)
    return measured([guideline_of(train[at]) for at in best[:, 0].tolist()], tasks)


def terms(steps: Sequence[str]) -> list[str]:
    """The words of steps, and which deed follows which."""
    deeds = [step.split()[0] for step in steps]
    return [*" ".join(steps).split(), *(f"{a}>{b}" for a, b in pairwise(deeds))]


# --- report ---


def report(cfg: Config, found: Found) -> Report:
    """The three tasks, and the claims."""

    captions, guidelines = found.captions, found.guidelines

    def over(made: Mapping[tuple[str, int], Any], label: str, what: str) -> np.ndarray:
        own = [result.value["scores"][what] for (name, _), result in made.items() if name == label and result.value]
        return np.array(own)

    def of(guide: str, what: str = "f1") -> np.ndarray:
        return over(captions, f"{GUIDED}: {guide}", what)

    def lead(one: np.ndarray, other: np.ndarray, form: str = "+.1f", scale: float = 100) -> str | None:
        return shown(scale * (one - other), form) if len(one) else None

    plain, seeds = over(captions, PLAIN, "f1"), f"mean of {len(cfg.seeds)} seeds"
    gains = {name: mean(of(TRUE, name)) / max(mean(over(captions, PLAIN, name)), 1e-9) - 1 for name in ("cider", "f1")}
    known = len(plain) > 0
    by_route = {
        n: np.array([guidelines[f"{found.chosen[s]}, {n}", s].value["scores"]["f1"] for s in cfg.seeds if known])
        for n in cfg.counts
    }
    least, four = min(cfg.counts), FOUR
    between = f"{lead(of(PREDICTED), plain)} to none, {lead(of(PREDICTED), of(TRUE))} to the true one"
    claims = (
        claim("On unseen tasks the true guideline improves captions of specific steps",
              paper="not read", margin=f"+10 % or more, relative, of CIDEr-D and of step F1, {seeds}",
              measured=f"CIDEr-D {gains['cider']:+.1%}, step F1 {gains['f1']:+.1%}" if known else None,
              holds=min(gains.values()) >= 0.1 if known else None),
        claim("With a predicted guideline captions lie between those without one and those with the true one",
              paper="not read", unit="points of step F1", margin=f"above none and below the true one, {seeds}",
               measured=between if known else None,
              holds=bool(plain.mean() < of(PREDICTED).mean() < of(TRUE).mean()) if known else None),
        claim("With another task's guideline captions are worse than without one",
              paper="not compared", unit="points of step F1", margin=f"below none, {seeds}",
              measured=lead(of(WRONG), plain), holds=bool(of(WRONG).mean() < plain.mean()) if known else None),
        claim("Guidelines are summarized better from more videos",
              paper="not read", unit="points of step F1", margin=f"{four} videos above {least}, {seeds}",
              measured=lead(by_route[four], by_route[least]),
              holds=bool(by_route[four].mean() > by_route[least].mean()) if known else None),
    )  # fmt: skip
    rows = list(dict.fromkeys(label for label, _ in captions))
    routes = list(dict.fromkeys(label for label, _ in guidelines))
    raw = {"CIDEr-D": "cider", "BLEU-4": "bleu", "steps off": "off"}
    routed = ", ".join(f"seed {seed}: {route}" for seed, route in found.chosen.items())
    note = f"In %, tau times 100: mean ± standard deviation over seeds. {cfg.held[1]} unseen tasks"
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2406.18227",
        arms=by_seed(found.arms, PLAIN),
        tables=(
            table_of_means("Step captioning", rows, list(COLUMNS), lambda r, c: over(captions, r, COLUMNS[c]).tolist(),
                           note=f"{note}, {cfg.captioned} videos each."),
            table_of_means("Step captioning, by n-grams and length", rows, list(raw),
                           lambda r, c: over(captions, r, raw[c]).tolist(), scale=1.0, digits=2,
                           note="CIDEr-D from 0 to 10, BLEU-4 from 0 to 100; steps too many or too few."),
            table_of_means("Guideline summarization", routes, list(COLUMNS),
                           lambda r, c: over(guidelines, r, COLUMNS[c]).tolist(),
                           note=f"{note}; from how many videos. Predicted guidelines are of {four}: {routed}."),
            table_of_means("Guideline summarization, by n-grams and length", routes, list(raw),
                           lambda r, c: over(guidelines, r, raw[c]).tolist(), scale=1.0, digits=2, note=""),
            Table("Learning rates", ("stage", "tried", "validation loss", "chosen", "at an end"),
                  tuple((name, *peak.cells) for name, peak in found.peaks.items()), ("", "", "", "g", ""),
                  note="With the first seed, by the validation's loss."),
            examples(cfg, captions),
        ),
        baseline=PLAIN, metric="loss", seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


def examples(cfg: Config, captions: Mapping[tuple[str, int], Any]) -> Table:
    """The first videos of the first tasks."""
    shown_of = (PLAIN, *(f"{GUIDED}: {guide}" for guide in (TRUE, PREDICTED, WRONG)))
    rows = []
    for label in shown_of:
        value = captions[label, cfg.seeds[0]].value
        for said_, wanted in (
            zip(value["lists"][:: cfg.captioned], value["wanted"][:: cfg.captioned], strict=True) if value else ()
        ):
            rows.append((label, numbered(said_), numbered(wanted)))
    return Table("Said and wanted", ("arm", "said", "wanted"), tuple(rows), note="First seed.")


NOTES = (
    "The paper's models, metrics and figures could not be read. The list matching by dynamic programming (after SODA), "
    "exact step F1, tau and coverage are this experiment's own choice, and so is every model.",
    "Settings were chosen on validation tasks: captions alone, with random networks of frames, told the operations (F1 "
    "53 %) and not the items (8 % of first steps, 12 kinds; step F1 5 %). So stage 0 was added, items were cut to 8 "
    "kinds and steps put in fewer words, before any test.",
    "A pilot of the last settings was stopped at step 135 of stage 2 (validation loss 0.76 at 100), then steps raised.",
    "All stages behind stage 0 have one learning rate, 0.002, which was not searched: the two early pilots with 0.002 "
    "and 0.003 differed in more than it, had 12 kinds of items and a random, trained network of frames.",
    "Stage 0 reads labels that a program knows; it sees no guideline and no task, and is charged to all arms. "
    "Predicted guidelines are charged with both routes, as one of them is chosen.",
    "The guided captioner always had a true guideline in training: none is new to it, and so is a wrong one.",
    "Metrics are of the steps without their numbers. CIDEr-D takes its document frequencies from the test's lists.",
    "GUIDE's annotations are given on request: the pod preset makes more and larger videos by the same program.",
)

EXPERIMENT = Experiment(
    name="guide_benchmark",
    title="GUIDE: guideline-guided comprehension of instructional videos",
    reference="GUIDE, IJCAI 2024, arXiv 2406.18227",
    paper=85,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("guide_benchmark")
