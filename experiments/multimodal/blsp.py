"""BLSP: a frozen language model hears by an adapter that makes it behave for speech as it does for the transcript.

Paper    Wang et al., BLSP: Bootstrapping Language-Speech Pre-training via Behavior Alignment of Continuation Writing,
         2023, arXiv 2309.00916 (dossier 061).
Claim    An adapter between a frozen speech encoder and a frozen language model, trained only to let the model go on
         with speech as it goes on with the transcript, lets it follow other instructions about speech without an
         example. An adapter trained on transcripts can only transcribe. Recognition stays behind the encoder's own.
Method   0  A speech encoder (Whisper's shape) learns words by CTC on half of the training clips, and is frozen.
         1  A language model learns texts of number words, then instructions: go on, repeat, reverse, translate, add up,
            even or odd, largest, sort; and is frozen.
         2  It goes on, greedily, with the transcript of every training utterance: the labels.
         3  Adapter: convolutions of kernel 5 and stride 2 with gates, layer norm, bottleneck. Its vectors stand in the
            place of the transcript in the row of the same instruction; the loss is that of the answer's tokens, through
            the frozen model.
         Arms of equal clips, steps and adapter: BLSP; transcripts as labels of "repeat"; half of each; continuations by
         the grammar in place of the model's own; the model's own answers to four instructions; and vectors drawn to the
         transcript's embeddings, spread evenly over time, by squared error. The peak rate of each is the best of three
         by its own loss on held-out clips of training speakers. Bounds: recognised text (a cascade) and true text.
Run      stagejax run blsp                                laptop: the committed run took 14 minutes on two cores
         stagejax run blsp --preset smoke                 generated tones, seconds
         stagejax plan blsp --preset pod --mesh data=8,fsdp=16
Holds if on two speakers whom no stage has heard, mean of three seeds, BLSP is 10 points or more above the adapter of
         transcripts in word accuracy, mean of the seven instructions that neither adapter was trained by; and the
         cascade repeats at least as well as BLSP.
Ours     The first does not hold at this scale, the second does. Of the seven instructions BLSP has 18.2 ± 1.6 % of
         words right, transcripts 10.1 ± 1.7 %: 8.1 ± 1.5 points, 10 were asked (3 seeds); of the five that no arm
         learned 15.3 ± 1.8 and 5.4 ± 1.7 %. Of the answers to the seven, 14.7 ± 4.3 % of transcripts' arm are what it
         repeats, 2.2 ± 1.0 % of BLSP's. Repeating: cascade 60.5 %, BLSP 24.6 ± 4.9 %. The seven, one seed: text
         80.2 %, cascade 50.2, both 10.2, grammar's 5.7, four instructions 15.3 (two are learned), squared error 6.7.
         Rates past the ends of the grid, once taken by pilots of 40 steps, were too high for whole runs: +1.7 ± 5.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Precision, Stage
from stagejax.data.joined import Joined, Row, join, join_more
from stagejax.data.order import random_words, uniforms
from stagejax.data.prompts.answers import Answers
from stagejax.data.prompts.number_words import (
    INSTRUCTIONS,
    NumberTasks,
    NumberTexts,
    answered,
    asked,
    spelled,
    spoken_prompt,
    spoken_rows,
    vocabulary,
)
from stagejax.data.sound.audio import LogMel
from stagejax.data.sound.speech import Fsdd, Spoken, Tones
from stagejax.data.sound.utterances import FIFTY, Speech, Utterances
from stagejax.decode.edits import same, word_accuracies
from stagejax.inference import Frozen
from stagejax.inference.continuing import GREEDY, continued, continuing_flops
from stagejax.inference.sound.hearing import (
    answering_flops,
    answers_to,
    behaves,
    keeping_flops,
    kept_states,
    near,
    recognised_words,
)
from stagejax.models import Transformer, llama
from stagejax.models.speech.recognizer import Recognizer
from stagejax.models.speech.speech_adapter import SpeechAdapter
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.objectives.sound.recognition import ctc
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.report.information import told_by_pairs
from stagejax.search.lowest import Lowest
from stagejax.search.peak import best_peak
from stagejax.steps.joint import joint_step

BLSP, ASR, BOTH, GRAMMAR = "BLSP", "transcripts", "BLSP and transcripts", "grammar's continuations"
SEVERAL, NEAR = "four instructions", "embeddings, squared error"
ARMS = (BLSP, ASR, BOTH, GRAMMAR, SEVERAL, NEAR)
TEXT, CASCADE, DEAF = "true text", "cascade", "adapter, untrained"
CLAIMED = (BLSP, ASR)  # with every seed
FOUR = ("continue", "repeat", "reverse", "sort")
HELD = tuple(name for name in INSTRUCTIONS if name not in ("continue", "repeat"))  # from BLSP and from transcripts
UNUSED = tuple(name for name in HELD if name not in FOUR)  # by any arm
CODE = vocabulary()
Said = dict[str, list[str]]  # an answer to each instruction about each utterance


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    clips: Spoken = field(default_factory=Fsdd)
    speakers: tuple[int, ...] = (0, 1, 2, 3)
    unseen: tuple[int, ...] = (4, 5)
    words: tuple[int, int] = (2, 5)  # least and most of an utterance
    longest: int = 4800  # samples of a clip
    mel: LogMel = FIFTY
    speed: float = 0.25  # perturbation, for the encoder
    hidden: int = 8  # bands that are hidden from it, at most, twice
    encoder: Recognizer = field(default_factory=lambda: Recognizer(init_std=0.1, dropout=0.15))
    llm: Transformer = field(
        default_factory=lambda: llama(vocab=CODE.vocab, embed=64, layers=2, heads=4, mlp=176, init_std=0.1)
    )
    adapter: SpeechAdapter = field(default_factory=lambda: SpeechAdapter(convolutions=2, inner=64))
    utterances: int = 2400  # that the adapter is trained on
    encoder_utterances: int = 4000
    hearing: tuple[int, int, float] = (800, 32, 3e-3)  # steps, rows and peak rate of the encoder
    texts: int = 4000  # of number words
    tasks: int = 20_000  # instructions with answers
    reading: tuple[int, int, float] = (200, 64, 3e-3)  # of the language model on texts
    tuning: tuple[int, int, float] = (1500, 64, 3e-3)  # and on instructions
    row: int = 32  # tokens in a row of text
    steps: int = 300  # of the adapter
    batch: int = 32
    kept: bool = True  # states of the encoder are computed once, not in every step
    peaks: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    pilot: int = 40  # steps with each of them
    held: tuple[int, int] = (2, 64)  # batches and rows that choose it
    tested: int = 100  # utterances of unseen speakers
    at_once: int = 100  # answers
    precision: Precision = field(default_factory=Precision)
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def heard(self) -> dict[str, Utterances]:
        """Utterances by what they are for: no clip is in two of them but those of the encoder's, in "adapter"."""
        how: dict[str, Any] = {"words": self.words, "longest": self.longest, "mel": self.mel}
        train, size = Utterances(self.clips, self.speakers, **how), self.held[0] * self.held[1]
        return {
            "encoder": replace(train, part=(0, 2), size=self.encoder_utterances, speed=self.speed, seed=1),
            "adapter": replace(train, size=self.utterances, seed=2),
            "held": replace(train, clips=self.clips.of_split("test"), size=size, seed=3),
            "test": replace(train, speakers=self.unseen, size=self.tested, seed=4),
        }

    @property
    def vectors(self) -> int:
        """Of the longest utterance."""
        return self.slots(self.heard["test"].most_frames)

    def slots(self, frames: int) -> int:
        return self.adapter.length((frames - 1) // 2 + 1)

    @property
    def sizes(self) -> tuple[int, int]:
        """Tokens of a prompt about the longest utterance, and of the longest answer with its SEP."""
        longest = max(len(asked(name, "").split()) for name in INSTRUCTIONS)
        return 1 + longest + self.vectors, self.words[1] + 2


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        return Config(
            clips=Tones(limit=120), speakers=(0, 1), unseen=(2,), words=(2, 3), longest=2560, hidden=4,
            encoder=Recognizer(embed=16, layers=1, heads=2, mlp=32),
            llm=llama(vocab=CODE.vocab, embed=16, layers=1, heads=2, mlp=32),
            adapter=SpeechAdapter(16, 16, convolutions=2, inner=16), utterances=48, encoder_utterances=64,
            hearing=(20, 16, 3e-3), texts=60, tasks=300, reading=(10, 16, 1e-2), tuning=(30, 16, 1e-2),
            steps=8, batch=8, peaks=(3e-3,), pilot=2, held=(1, 16), tested=6, at_once=6, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        sizes = {"embed": 4096, "layers": 32, "heads": 32, "mlp": 11_008}
        whisper = {"bands": 80, "embed": 768, "layers": 12, "heads": 12, "mlp": 3072}
        return Config(
            words=(4, 40), mel=LogMel(rate=8000, window=512, hop=80, bands=80, low=60.0, floor=1e-4), longest=4800,
            encoder=Recognizer(**whisper, convolution="conv", scan=True), adapter=SpeechAdapter(768, 4096),
            llm=llama(vocab=32_000, scan=True, remat="full", **sizes), utterances=3_000_000,
            encoder_utterances=3_000_000, hearing=(20_000, 256, 1e-3), tasks=52_000, reading=(5000, 512, 3e-4),
            tuning=(1200, 128, 2e-5), row=256, steps=3900, batch=768, peaks=(5e-5,), pilot=100, held=(4, 256),
            tested=2048, at_once=256, kept=False, precision=Precision(compute="bfloat16"), seeds=(0,),
        )  # fmt: skip
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """Ears and language first; labels; every arm at its rate; and what each says about unseen speakers."""
    encoder, (base, llm) = run.train(encoder_stage(cfg)), taught(run, cfg)
    sources = cfg.heard
    price, speech = continuing_flops(cfg.llm, *cfg.sizes), Speech(source=sources["test"], batch=1)
    asking = len(INSTRUCTIONS) * cfg.tested * answering_flops((cfg.encoder, cfg.llm, cfg.adapter), speech, cfg.sizes)
    own = {
        (names, part): run.make(
            f"labels/{part}/{slug(' '.join(names))}", own_answers, cfg, llm, part, names,
            flops=price * len(sources[part]), sampled_tokens=drawn_tokens,
        )
        for names in (("continue",), FOUR) for part in ("adapter", "held")
    }  # fmt: skip
    kept = {part: states_of(run, cfg, encoder, part) for part in ("adapter", "held")} if cfg.kept else {}
    frozen = {"llm": llm} | ({} if cfg.kept else {"encoder": encoder})
    rates, arms, said = {}, {}, {}
    for arm in ARMS:
        names = FOUR if arm == SEVERAL else ("continue",)
        labels = {part: own[names, part] for part in ("adapter", "held")}
        rows = {part: run.make(f"rows/{part}/{slug(arm)}", rows_of, cfg, arm, part, labels[part]) for part in labels}
        data = {part: heard_rows(cfg, part, rows[part], kept.get(part)) for part in rows}
        pilot = replace(hearing(cfg, f"pilot/{slug(arm)}", arm, data, 1.0, cfg.seeds[0]), steps=cfg.pilot)
        rates[arm] = best_peak(run, pilot, cfg.peaks, start=frozen)
        drawn = () if arm in (ASR, NEAR, GRAMMAR) else tuple(labels.values())
        for seed in cfg.seeds if arm in CLAIMED else cfg.seeds[:1]:
            stage = hearing(cfg, f"{seed}/{slug(arm)}", arm, data, rates[arm].best, seed)
            result = run.train(stage, frozen)
            arms.setdefault(arm, {})[seed] = Arm(
                "", (result,), (encoder, base, llm, *kept.values(), *drawn, *rates[arm].spent)
            )
            said[arm, seed] = run.make(f"{seed}/{slug(arm)}/answers", listened, cfg, encoder, result, flops=asking)
    first = replace(stage, name="untrained", steps=1, optimizer=stage.optimizer | {"adapter": adamw(1e-9)})
    deaf = run.train(first, frozen)
    said[DEAF, cfg.seeds[0]] = run.make("untrained/answers", listened, cfg, encoder, deaf, flops=asking)
    reading = price * len(INSTRUCTIONS) * cfg.tested
    for label, other in ((TEXT, None), (CASCADE, encoder)):
        said[label, cfg.seeds[0]] = run.make(f"{slug(label)}/answers", read, cfg, llm, other, flops=reading)
    known = run.make("known", informed, cfg, own[("continue",), "adapter"])
    return report(cfg, arms, {key: made.value for key, made in said.items()}, rates, known.value, encoder)


# --- stages 0 and 1: what is frozen ---


def encoder_stage(cfg: Config) -> Stage:
    """Words by CTC from half of the training clips; scored on other clips of the same speakers."""
    (steps, batch, peak), (count, rows) = cfg.hearing, cfg.held
    return Stage(
        name="encoder",
        model=cfg.encoder,
        objective=partial(ctc, hidden=cfg.hidden),
        optimizer=adamw(peak, warmup=0.1, clip=1.0, weight_decay=0.05),
        data=Speech(source=cfg.heard["encoder"], batch=batch),
        steps=steps,
        evaluate=Evaluation(Speech(source=cfg.heard["held"], batch=rows, count=count), count, max(1, steps // 4)),
        precision=cfg.precision,
    )


def taught(run: Any, cfg: Config) -> list[Any]:
    """The language model: on texts, then on instructions."""
    how: dict[str, Any] = {"tokenizer": CODE, "length": cfg.row}
    texts = Answers(source=NumberTexts(size=cfg.texts), fields=("title", "text"), prompts=True, batch=1, **how)
    lists = NumberTasks(size=cfg.tasks, words=cfg.words, longest=max(12, cfg.words[1]))
    tasks = Answers(source=lists, batch=1, **how)
    results: list[Any] = []
    for name, data, (steps, batch, peak) in (("base", texts, cfg.reading), ("instructed", tasks, cfg.tuning)):
        data = replace(data, batch=batch)
        stage = Stage(
            name=f"llm/{name}",
            model=cfg.llm,
            objective=causal_lm,
            optimizer=adamw(peak, warmup=0.05, clip=1.0, weight_decay=0.05),
            data=data,
            steps=steps,
            evaluate=Evaluation(data.held_out(2), 2, max(1, steps // 4)),
            precision=cfg.precision,
        )
        results.append(run.train(stage, *results))
    return results


# --- stage 2: labels, and rows of them ---


def transcripts(cfg: Config, part: str) -> list[list[int]]:
    return [words.tolist() for words in cfg.heard[part].said()]


def own_answers(cfg: Config, llm: Any, part: str, names: tuple[str, ...]) -> dict[str, list[str]]:
    """What the language model answers to one instruction about each transcript, in turn."""
    prompts = [asked(names[i % len(names)], spelled(own)) for i, own in enumerate(transcripts(cfg, part))]
    return {"said": told(cfg, llm, prompts)}


def told(cfg: Config, llm: Any, prompts: list[str]) -> list[str]:
    """The likeliest answers to prompts in words."""
    how = {"length": cfg.sizes[0], "limit": cfg.sizes[1], "batch": cfg.at_once, "seed": 0}
    return continued(Frozen.of(llm), CODE, prompts, GREEDY, **how)


def drawn_tokens(value: Mapping[str, Any]) -> int:
    return sum(len(text.split()) + 1 for text in value["said"])


def lessons(arm: str, transcript: list[list[int]], own: list[str]) -> list[tuple[str, str]]:
    """The instruction about each utterance and the answer that is learned."""
    chances = uniforms(random_words(11, np.arange(len(transcript)), 1))[:, 0]
    repeated = [("repeat", spelled(numbers)) for numbers in transcript]
    continuations = [("continue", text) for text in own]
    grammar = [("continue", answered("continue", n, float(u))) for n, u in zip(transcript, chances, strict=True)]
    return {
        BLSP: continuations,
        ASR: repeated,
        BOTH: [(continuations, repeated)[i % 2][i] for i in range(len(own))],
        GRAMMAR: grammar,
        SEVERAL: [(FOUR[i % len(FOUR)], text) for i, text in enumerate(own)],
        NEAR: repeated,
    }[arm]


def rows_of(cfg: Config, arm: str, part: str, labels: Any) -> dict[str, np.ndarray]:
    """An arm's rows, in which markers stand for an utterance's vectors."""
    lists = transcripts(cfg, part)
    return spoken_rows(lessons(arm, lists, labels.value["said"]), lists, slots(cfg, part), cfg.vectors, cfg.sizes)


def slots(cfg: Config, part: str) -> list[int]:
    """How many vectors each utterance becomes."""
    source = cfg.heard[part]
    return [cfg.slots(len(source[i]["frames"])) for i in range(len(source))]


# --- stage 3: the adapter ---


def states_of(run: Any, cfg: Config, encoder: Any, part: str) -> Any:
    speech = Speech(source=cfg.heard[part], batch=cfg.held[1])
    return run.make(f"states/{part}", kept_states, encoder, speech, flops=keeping_flops(cfg.encoder, speech))


def heard_rows(cfg: Config, part: str, made: Any, kept: Any) -> Joined:
    """Utterances with an arm's rows, and with the encoder's states where they are kept."""
    length, frames = (sum(cfg.sizes),), cfg.heard[part].most_frames
    rows = [Row("tokens", length, "int32"), Row("targets", length, "int32"), Row("weights", length)]
    data = join(Speech(source=cfg.heard[part], batch=cfg.batch), made, *rows, Row("aligned", (cfg.vectors,), "int32"))
    states = Row("states", ((frames - 1) // 2 + 1, cfg.encoder.embed), "float16")
    return data if kept is None else join_more(data, kept, states)


def hearing(cfg: Config, name: str, arm: str, data: Mapping[str, Joined], peak: float, seed: int) -> Stage:
    """An arm: the adapter alone is trained, between the frozen encoder and the frozen language model."""
    objective, own = near if arm == NEAR else behaves, data["adapter"]
    count, batch = cfg.held
    held = replace(data["held"], data=replace(data["held"].data, batch=batch, count=count))
    nets = {"llm": cfg.llm, "adapter": cfg.adapter} | ({} if cfg.kept else {"encoder": cfg.encoder})
    rate = adamw(peak, warmup=0.1, clip=1.0, weight_decay=0.05)
    return Stage(
        name=name,
        model=nets,
        objective=objective,
        optimizer=dict.fromkeys(nets) | {"adapter": rate},
        data=replace(own, data=replace(own.data, seed=seed)),
        steps=cfg.steps,
        step=joint_step,
        evaluate=Evaluation(held, count, objective=objective),
        precision=cfg.precision,
        seed=seed,
    )


# --- answers ---


def listened(cfg: Config, encoder: Any, result: Any) -> Said:
    """The answers to every instruction about every utterance of unseen speakers."""
    nets = [Frozen.of(each) for each in (encoder, result.member("llm"), result.member("adapter"))]
    counts = slots(cfg, "test")
    prompts = [spoken_prompt(name, count) for name in INSTRUCTIONS for count in counts]
    about, speech = [*range(cfg.tested)] * len(INSTRUCTIONS), Speech(source=cfg.heard["test"], batch=1)
    return by_instruction(cfg, list(map(CODE.decode, answers_to(prompts, about, speech, nets, cfg.sizes, cfg.at_once))))


def by_instruction(cfg: Config, texts: list[str]) -> Said:
    return {name: texts[k * cfg.tested : (k + 1) * cfg.tested] for k, name in enumerate(INSTRUCTIONS)}


def read(cfg: Config, llm: Any, encoder: Any) -> Said:
    """The answers to every instruction about the true transcripts, or about those that the encoder recognises."""
    words = transcripts(cfg, "test")
    if encoder is not None:
        words = recognised_words(Speech(source=cfg.heard["test"], batch=cfg.at_once), Frozen.of(encoder))
    words = [own[: cfg.vectors] for own in words]
    said = told(cfg, llm, [asked(name, spelled(own)) for name in INSTRUCTIONS for own in words])
    return by_instruction(cfg, said) | {"heard": list(map(spelled, words))}


# --- report ---


def informed(cfg: Config, labels: Any) -> dict[str, list[float]]:
    """Nats that the continuation of a longest list tells about the word at each place, beyond what chance does."""
    numbers, said = transcripts(cfg, "adapter"), labels.value["said"]
    full = [i for i, own in enumerate(numbers) if len(own) == cfg.words[1]]
    words, found = np.array([numbers[i] for i in full]), {}
    for name, texts in (("own", said), ("grammar", [text for _, text in lessons(GRAMMAR, numbers, said)])):
        ids = [own[: cfg.sizes[1]] for own in CODE.encode([texts[i] for i in full])]
        found[name] = told_by_pairs(words, np.stack([np.pad(own, (0, cfg.sizes[1] - len(own))) for own in ids]))
    return found


def scores(cfg: Config, said: Said | None, text: Said | None) -> dict[str, float]:
    """Word accuracy of each instruction and its mean over groups; agreement with the model on the transcript."""
    columns = (*INSTRUCTIONS, "held", "unused", "same", "same, continue", "transcribed")
    if said is None or text is None:
        return dict.fromkeys(columns, float("nan"))
    numbers, found = transcripts(cfg, "test"), {}
    for name in INSTRUCTIONS:
        true = text[name] if name == "continue" else [answered(name, own, 0.0) for own in numbers]
        found[name] = mean(word_accuracies(said[name], true))
    found |= {"held": mean([found[name] for name in HELD]), "unused": mean([found[name] for name in UNUSED])}
    found |= {"same": mean([same(said[name], text[name]) for name in HELD])}
    found |= {"same, continue": same(said["continue"], text["continue"])}
    return found | {"transcribed": mean([same(said[name], said["repeat"]) for name in HELD])}


def report(cfg: Config, arms: Any, said: Any, rates: dict[str, Lowest], known: Any, encoder: Any) -> Report:
    """Accuracy of each instruction, behaviour, what labels tell, and the verdicts."""
    text = said[TEXT, cfg.seeds[0]]
    scored = {key: scores(cfg, own, text) for key, own in said.items()}

    def over(label: str, what: str) -> list[float]:
        return [own[what] for (arm, _), own in scored.items() if arm == label]

    lead = [100 * (a - b) for a, b in zip(over(BLSP, "held"), over(ASR, "held"), strict=True)]
    behind = [100 * (over(CASCADE, "repeat")[0] - own) for own in over(BLSP, "repeat")]
    claims = (
        claim(
            "Behaviour alignment carries over to instructions without an example; transcripts do not",
            paper="only transcribes, whatever the instruction", measured=shown(lead, "+.1f"), unit="points",
            margin=f"10 points or more over seven instructions, mean of {len(lead)} seeds", holds=mean(lead) >= 10,
        ),
        claim(
            "The encoder's own recognition stays ahead of what the model repeats",
            paper="word error rate above 20 %, far from Whisper's", measured=shown(behind, "+.1f"), unit="points",
            margin="0 points or more, mean of the seeds", holds=mean(behind) >= 0,
        ),
    )  # fmt: skip
    rows = (TEXT, CASCADE, *ARMS, DEAF)
    means = {"repeat": "repeat", "7 held out": "held", "5 unused": "unused", "same as text": "same",
             "same, continue": "same, continue", "transcribed instead": "transcribed"}  # fmt: skip
    note = (
        f"In %, {cfg.tested} utterances of speakers {cfg.unseen}: mean ± standard deviation over seeds; "
        "without ±: one seed. Word accuracy is 1 - word errors, at least 0. Held out: from BLSP and from transcripts; "
        "unused: by any arm. "
        "Same: the very answer that the model gives to the transcript, of held-out instructions and of continuations. "
        "Transcribed: what the arm repeats, given as the answer to a held-out instruction."
    )
    tables = (
        table_of_means("Unseen speakers", rows, list(means), lambda row, name: over(row, means[name]), note=note),
        table_of_means("Word accuracy by instruction", rows, list(INSTRUCTIONS), over,
                       note="Of continue: against the model's continuation of the transcript."),
        Table("What continuations tell of lists", ("continuations", *(f"word {i + 1}" for i in range(cfg.words[1]))),
              tuple((name, *own) for name, own in (known or {}).items()), ("", *(".2f",) * cfg.words[1]),
              "Nats that the first word and the best other one tell about a word of the list; at most 2.30."),
        Table("Peak rates", ("arm", "tried", "losses", "taken", "at an end"),
              tuple((arm, *own.cells) for arm, own in rates.items()), ("", "", "", "g", ""),
              f"Pilots of {cfg.pilot} steps with the first seed, by their own loss on held-out clips."),
    )  # fmt: skip
    heard = () if not known else (recognition(cfg, encoder, said[CASCADE, cfg.seeds[0]]["heard"]),)
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2309.00916",
        arms=by_seed(arms, ASR),
        tables=tables,
        baseline=ASR, seeds=cfg.seeds, notes=(*heard, *NOTES),
    )  # fmt: skip


def recognition(cfg: Config, encoder: Any, heard: list[str]) -> str:
    """What CTC itself has right."""
    right = mean(word_accuracies(heard, [spelled(own) for own in transcripts(cfg, "test")]))
    return (
        f"CTC has {encoder.history.last('exact'):.1%} of utterances of held-out clips of the training speakers without "
        f"an error; its word accuracy with the speakers whom no stage has heard is {right:.1%}."
    )


NOTES = (
    "One encoder and one language model for all seeds. The encoder's states are kept in half precision: an adapter's "
    "steps do not pay for them; what they cost is charged.",
    "The encoder was tried with one of the training speakers left out, whose words it had 42 % right after 400 steps: "
    "then the range of speeds was widened, bands were hidden and dropout raised. With 500 steps at 2e-3 it had 30 % of "
    "the utterances of held-out clips of training speakers without an error, and was trained anew, longer and faster, "
    "before anything was built on it. Steps and tested utterances had been made fewer, for all, for the time of a run: "
    "an adapter has 300 steps, half of what was meant.",
    "Sums and parity are among the seven, though the language model itself is at chance in both, given the true text.",
    "Layer norms give vectors of another size than the embeddings of words, as in the paper. The bottleneck's last map "
    "starts small. Filters on the length of prompts have nothing to drop.",
    "The pod preset has the paper's sizes of models, adapter and batch, and the laptop's recordings and language; its "
    "states are not kept.",
)

EXPERIMENT = Experiment(
    name="blsp",
    title="BLSP: speech for a frozen language model by behaviour alignment",
    reference="Wang et al., 2023, arXiv 2309.00916",
    paper=61,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("blsp")
