"""Self-Lengthen: a Generator writes, an Extender rewrites longer, and both learn what came of it, without longer data.

Paper    Quan et al., Language Models can Self-Lengthen to Generate Long Texts, 2024, arXiv 2410.23933 (dossier 087: the
         abstract and the published code were read, result figures were not).
Claim    An instruct model answers with no more than the one or two thousand words of its fine-tuning data. Three
         iterations, in which it extends its own responses in two halves and learns to write what came of it, make it
         write up to eight thousand at the same quality, better than other ways to get long data.
Method   0  seed        a small decoder reads the samples of `breast_cancer`: instructions to report on eight features
                        of a sample ("report radius low area high ..."), and reports of 3 to 6 of the 48 right lines
                        ("most exceed radius ."), in order; some with a length; reports extended by lines, to 6 at most;
                        invented instructions; whether one suits a long response. Of long texts it has read only others:
                        questions about single features, in no order, with a line each
         Iterations     1 to 3. In the first both roles are the seed, later LoRAs, each trained on from the last:
            instruct    behind two instructions a third is invented, kept if the seed says that it suits a long response
            draft       2 responses to each by the Generator; drawn again if they end without a full stop or repeat a
                        line (check_response); the short ones dropped, u <= 2 q³ (drop_short)
            extend      2 attempts for each, of 3 rounds: (a) the Extender rewrites the first half, 2/3 of that stay;
                        (b) its answer to the whole begins with those, and goes on. A longer one that passes the check
                        is extended next. More than 1.2 times the words of the draft, or dropped; drop_short again
            train       Generator: instruction -> extended. Extender: instruction and draft, each line of it kept with
                        probability 0.8 -> extended
         Final          LoRA on the seed: all responses of 7 to 24 lines, each with a length put before it: about N (40
                        %), from N to M (25 %), over N, under N
         Arms with the same instructions and final steps, each at the rate, of three, that is best on validation:
         Self-Lengthen; extended in one piece; Extender not trained; without filters; one iteration on all instructions;
         concatenation (responses of the seed joined, lines that it repeats dropped); long data (the oracle's own lines,
         an upper bound). Without training: the seed, and forced (no end before the length). Controls made of texts:
         the seed's lines said again until they are enough; Self-Lengthen's own, shuffled.
Measure  Valid lines: the longest chain of right lines in the order of features and forms, so that neither repeated nor
         wrong nor shuffled lines count. Following: LonGen's score of a length, 1 in its interval and falling to 0, of
         the valid lines on reports of 8 to 20 lines about test samples.
Run      stagejax run self_lengthen_generator_extender
         stagejax run self_lengthen_generator_extender --preset smoke
         stagejax plan self_lengthen_generator_extender --preset pod --mesh data=16,fsdp=16
Holds if, means over three seeds (of all draws), (1) valid lines of the Generator's reports, no length asked for, grow
         1.5 times or more in every iteration, up to 20 of the 24 that there is room for; (2) Self-Lengthen follows
         lengths by 10 points more than forced decoding and than concatenation; (3) its shares of wrong and of repeated
         lines are not above the seed's; (4) in one piece reports grow less; (5), ours, it follows by more than without
         training of the Extender and than one iteration, each by more than the deviation of paired differences; (6),
         ours, it is not length alone: both controls are 10 points or more below it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Experiment, Precision, Stage
from stagejax.data.line_reports import LineReports, checked, facts_of, line_report_tokenizer, lines_of
from stagejax.data.packed_answers import PackedAnswers
from stagejax.data.packing import Packed
from stagejax.inference.lengthening import (
    Lengthening,
    LongTests,
    answered,
    concatenated,
    constrained,
    drawn_words,
    instructions,
    learned,
    lengthened,
    oracle,
    role_pairs,
)
from stagejax.models import Transformer, llama
from stagejax.names import slug
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, by_seed, claim, mean, shown, table_of_means
from stagejax.report.tables import table_of_rates
from stagejax.report.together import charged_once
from stagejax.transforms import LoRA, Reparameterized
from stagejax.transforms import adapters as factors

OWN, WHOLE, FIXED, RAW = "Self-Lengthen", "in one piece", "Extender not trained", "no filters"
ONCE, JOINED, GOLD = "one iteration", "concatenation", "long data"
SEED, FORCED = "seed", "seed, forced"
AGAIN, SHUFFLED = "seed's lines again", "own lines shuffled"
IN_TURN, ARMS = (OWN, WHOLE, FIXED, RAW), (OWN, WHOLE, FIXED, RAW, ONCE, JOINED, GOLD)
ROLES = ("generator", "extender")


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    net: Transformer = field(default_factory=lambda: decoder(embed=64, layers=3, heads=2, mlp=160))
    texts: LineReports = field(default_factory=lambda: LineReports(12_000))
    base: tuple[int, int, float] = (600, 12, 5e-3)  # steps, rows and rate
    how: Lengthening = field(default_factory=Lengthening)
    iterations: int = 3
    kept: float = 0.8  # probability of a line of an outline
    form: LoRA = field(default_factory=lambda: LoRA(rank=8))
    roles: tuple[int, float] = (30, 3e-3)  # steps of a role in an iteration, and rate
    final: int = 60  # steps
    batch: int = 8  # rows of roles and final stages
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)  # of final stages
    least: int = 7  # lines of what is learned in the end: more than the seed has read
    valid: LongTests = field(default_factory=lambda: LongTests("validation", 64, (8, 12, 16, 20)))
    tests: LongTests = field(default_factory=lambda: LongTests("test", 96, (8, 12, 16, 20)))
    arms: tuple[str, ...] = ARMS
    seeds: tuple[int, ...] = (0, 1, 2)
    precision: Precision = field(default_factory=Precision)
    save_every: int | None = None

    @property
    def tuned(self) -> Reparameterized:
        """The decoder with adapters on all linear maps."""
        return Reparameterized(self.net, self.form)

    @property
    def row(self) -> int:
        """Tokens of a row: an instruction, a draft and its extension."""
        return self.how.length + 2

    @property
    def free(self) -> LongTests:
        """Tests without a length."""
        return replace(self.tests, sizes=())


def decoder(embed: int, **fields: Any) -> Transformer:
    """Llama with one table for inputs and outputs, whose initial values grow as its width shrinks: 0.02 at 768."""
    own = {"vocab": line_report_tokenizer().vocab, "length": 512, "tied": True}
    return llama(embed=embed, init_std=round(0.02 * (768 / embed) ** 0.5, 3), **{**own, **fields})


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        return Config(
            decoder(embed=32, layers=2, heads=2, mlp=64), LineReports(400), (30, 8, 1e-2),
            Lengthening(lines=10, batch=8, instructions=3, pool=8, retries=2, rounds=1, filtered=False), 2,
            roles=(2, 3e-3), final=2, batch=2, rates=(1e-3, 3e-3), least=1, valid=LongTests("validation", 8, (4, 8)),
            tests=LongTests("test", 8, (4, 8)), seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        sizes = {"embed": 3584, "layers": 28, "heads": 28, "kv_heads": 4, "mlp": 18_944, "vocab": 152_064}
        return Config(
            decoder(**{**sizes, "tied": False, "scan": True, "remat": "full", "length": 16_384}),
            LineReports(200_000), (1000, 256, 1e-4), Lengthening(instructions=5000, batch=256, retries=10),
            form=LoRA(8, 2.0), roles=(160, 1e-4), final=300, batch=256, rates=(1e-4,),
            valid=LongTests("validation", 256, (8, 12, 16, 20)), tests=LongTests("test", 512, (8, 12, 16, 20)),
            seeds=(0,), precision=Precision(compute="bfloat16"), save_every=500,
        )  # fmt: skip
    return Config()
