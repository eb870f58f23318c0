"""A language model that writes longer texts than it was taught to: it drafts them, extends its drafts, and learns both.

Two roles, a Generator that writes a response to an instruction and an Extender that rewrites a response longer. Texts
are lines that end in a full stop (`data.tables.line_reports`). `instructions`, `lengthened`, `concatenated` and
`oracle` are functions for `run.make`.

Reference: Quan et al. 2024 (Self-Lengthen), https://arxiv.org/abs/2410.23933, and the published code,
https://github.com/QwenLM/Self-Lengthen.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from stagejax.data.language.packing import documents
from stagejax.data.prompts.asked_length import AskedLength
from stagejax.data.tables.line_reports import (
    ASPECTS,
    WIDTH,
    drawn_instruction,
    facts_of,
    inviting,
    judging,
    line_report_tokenizer,
    lines_of,
    prompt,
    records_of,
    report,
)
from stagejax.data.tokenizers import CLS, SEP
from stagejax.decode.overlap import grams
from stagejax.inference.continuing import Sampling, continued, continuing_flops
from stagejax.inference.frozen import Frozen
from stagejax.models import Transformer
from stagejax.result import Result

ASKED = 24  # tokens of prompts without a draft, CLS with them
Pair = tuple[str, str]  # prompt and response
Texts = dict[str, Any]


@dataclass(frozen=True)
class Lengthening:
    """How texts are drawn, extended and kept in an iteration.

    Args:
      lines: of a text at most: where a response is cut.
      batch: prompts at once.
      how: the sampling of all texts.
      instructions: new ones of an iteration.
      pool: instructions that self-instruction begins with.
      retries: of an invented instruction, and of a response, that is not accepted.
      samples: responses to an instruction.
      attempts: extensions of a response.
      rounds: of an extension, each of two calls.
      halves: extend the first half first, and the whole behind two thirds of that; or all in one piece, in two calls.
      ratio: of words, above which an extension is kept.
      filtered: drop responses that end without a full stop or repeat a line's worth of words, and short ones.

    >>> Lengthening().length
    170
    """

    lines: int = 24
    batch: int = 64
    how: Sampling = field(default_factory=lambda: Sampling(top_p=0.98))
    instructions: int = 26
    pool: int = 40
    retries: int = 3
    samples: int = 2
    attempts: int = 2
    rounds: int = 3
    halves: bool = True
    ratio: float = 1.2
    filtered: bool = True

    @property
    def length(self) -> int:
        """Tokens of the longest prompt, with its draft and a whole response."""
        return ASKED + 2 + 2 * WIDTH * self.lines

    def said(self, net: Frozen, prompts: Sequence[str], seed: int, least: Sequence[int] | None = None) -> list[str]:
        """What the model says behind prompts without a draft."""
        how = {"length": ASKED + WIDTH * self.lines, "limit": WIDTH * self.lines, "batch": self.batch, "seed": seed}
        return continued(net, line_report_tokenizer(), prompts, self.how, **how, least=least)

    def rewritten(self, net: Frozen, prompts: Sequence[str], seed: int) -> list[str]:
        """What it says behind prompts with a draft, and perhaps with the begin of an answer."""
        how = {"length": self.length, "limit": WIDTH * self.lines, "batch": self.batch, "seed": seed}
        return continued(net, line_report_tokenizer(), prompts, self.how, **how)

    def flops(self, net: Transformer, prompts: int, drafts: int = 0) -> float:
        """FLOPs of so many responses to prompts without and with a draft, as if each had all lines that it may have."""
        limit, found = WIDTH * self.lines, 0.0
        for count, length in ((prompts, ASKED + limit), (drafts, self.length)):
            found += count * _flops_of_one(net, length, limit) if count else 0.0
        return found

    @property
    def calls(self) -> tuple[int, int]:
        """Responses without and with a draft in an iteration at most, those that are retried with them."""
        first = self.instructions * self.samples
        return first * self.retries, first * self.attempts * self.rounds * 2


@functools.cache
def _flops_of_one(net: Transformer, length: int, limit: int) -> float:
    return continuing_flops(net, length, limit)


def role(trained: Result) -> Frozen:
    """A model whose adapters, if it has any, are merged into its kernels."""
    own = Frozen.of(trained)
    if isinstance(own.config, Transformer):
        return own
    return Frozen(own.config.base, *own.config.merge(jax.random.key(0), (own.params, own.rest)))


# --- filters ---


def accepted(text: str, n: int = WIDTH) -> bool:
    """`check_response`: the text ends in a full stop, and no run of `n` words is there twice.

    Published are runs of 13 words or characters, shorter than a sentence; here they are as long as a line.

    >>> accepted("a b . c d .", 3), accepted("a b . a b .", 3), accepted("a b . c", 3), accepted("", 3)
    (True, False, False, False)
    """
    words = text.split()
    return words[-1:] == ["."] and max(grams(words, n).values(), default=1) == 1


def long_enough(texts: Sequence[str], draws: np.random.Generator) -> list[int]:
    """`drop_short`: numbers of the texts with u > 2 q³, u uniform, q = 1 - i / n, i how many texts are shorter.

    The shortest fifth, q > 0.794, is always dropped.

    >>> long_enough(["a" * size for size in range(1, 11)], np.random.default_rng(0))
    [4, 5, 6, 7, 8, 9]
    """
    sizes = np.array([len(text) for text in texts])
    q = 1 - np.searchsorted(np.sort(sizes), sizes) / max(len(sizes), 1)
    return np.flatnonzero(draws.random(len(sizes)) > 2 * q**3).tolist()


# --- an iteration ---


def instructions(seed_model: Result, how: Lengthening, seed: int, shunned: Sequence[str] = ()) -> Texts:
    """Self-instruction: "instructions", how many were "asked" for, and the "rejected" ones.

    Behind two of the pool, drawn at random, the model writes a third. It is kept, and joins the pool, if it has more
    than 3 words, few enough for a prompt, and the model says yes to the question whether it suits a long response.

    Args:
      shunned: instructions that are dropped: those of tests.
    """
    draws, net, records = np.random.default_rng([seed, 3]), role(seed_model), records_of("train")
    pool = [drawn_instruction(records[int(draws.integers(len(records)))], draws) for _ in range(how.pool)]
    found, rejected, asked = list[str](), list[str](), 0
    for number in range(how.retries * 10):
        wanted = how.instructions - len(found)
        if wanted <= 0:
            break
        both = [draws.choice(len(pool), 2, replace=False) for _ in range(min(2 * wanted, how.batch))]
        prompts = [inviting(pool[one], pool[other]) for one, other in both]
        made = how.said(net, prompts, int(np.int32(seed * 1009 + 2 * number)))
        usual = [text if 3 < len(text.split()) < ASKED - 4 else "" for text in made]
        suited = how.said(net, [judging(text) for text in usual], int(np.int32(seed * 1009 + 2 * number + 1)))
        known = len(found)
        for text, own, answer in zip(made, usual, suited, strict=True):
            (found if own and answer == "yes" and text not in shunned else rejected).append(text)
        asked += len(made)
        pool += found[known:]
    return {"instructions": found[: how.instructions], "asked": asked, "rejected": rejected}


def extended(net: Frozen, how: Lengthening, pairs: Sequence[Pair], seed: int) -> list[str]:
    """The longest accepted rewriting of each (instruction, response), the response itself if none is longer.

    In each round, from the best so far, I: (a) the first half of its lines is rewritten, F, of which the first two
    thirds stay; (b) the answer to the whole of I is forced to begin with those, and continued. In one piece: the
    answer to the whole of I, twice.
    """
    best = [response for _, response in pairs]
    for number in range(how.rounds):
        for call in range(1 if how.halves else 2):
            begun, key = [""] * len(best), int(np.int32(seed * 1009 + 2 * number + call))
            if how.halves:
                first = [" ".join(lines_of(text)[: len(lines_of(text)) // 2]) for text in best]
                asked = [prompt(instruction, own) for (instruction, _), own in zip(pairs, first, strict=True)]
                said = [lines_of(text) for text in how.rewritten(net, asked, key + 500)]
                begun = [" ".join(own[: len(own) * 2 // 3]) for own in said]
            asked = [prompt(instruction, own) for (instruction, _), own in zip(pairs, best, strict=True)]
            rows = [f"{one} {two}" for one, two in zip(asked, begun, strict=True)]
            rest = how.rewritten(net, [own if _fits(own, how) else "" for own in rows], key)
            made = [f"{one} {two}".strip() for one, two in zip(begun, rest, strict=True)]
            for at, text in enumerate(made):
                fine = _fits(rows[at], how) and (accepted(text) or not how.filtered)
                if fine and len(best[at].split()) < len(text.split()) <= WIDTH * how.lines:
                    best[at] = text
    return best


def _fits(row: str, how: Lengthening) -> bool:
    return len(row.split()) < how.length


def lengthened(how: Lengthening, seed: int, generator: Result, extender: Result, asked: Result) -> Texts:
    """An iteration: "asked", "drafts" and "extended" of equal length; all "initial" responses with "to", and "lost".

    Responses of the Generator that are not accepted are drawn again; the short ones are dropped; the Extender extends
    each several times; extensions are kept if they have more than `ratio` times as many words, and the short ones are
    dropped.
    """
    draws, net = np.random.default_rng([seed, 4]), role(generator)
    wanted = [own for own in asked.value["instructions"] for _ in range(how.samples)]
    drafts = [""] * len(wanted)
    for number in range(how.retries):
        open_ = [at for at, text in enumerate(drafts) if not text]
        if not open_:
            break
        said = how.said(net, [prompt(wanted[at]) for at in open_], int(np.int32(seed * 1009 + 900 + number)))
        for at, text in zip(open_, said, strict=True):
            drafts[at] = text if text and (accepted(text) or not how.filtered) else ""
    initial = [(own, text) for own, text in zip(wanted, drafts, strict=True) if text]
    kept = long_enough([text for _, text in initial], draws) if how.filtered else range(len(initial))
    pairs = [initial[at] for at in kept for _ in range(how.attempts)]
    best = extended(role(extender), how, pairs, seed) if pairs else []
    longer = [at for at, text in enumerate(best) if len(text.split()) > how.ratio * len(pairs[at][1].split())]
    last = long_enough([best[at] for at in longer], draws) if how.filtered else range(len(longer))
    found = [longer[at] for at in last]
    return {
        "asked": [pairs[at][0] for at in found],
        "drafts": [pairs[at][1] for at in found],
        "extended": [best[at] for at in found],
        "to": [own for own, _ in initial],
        "initial": [text for _, text in initial],
        "tried": len(pairs),
        "longer": len(longer),
    }


def drawn_words(value: Mapping[str, Any]) -> int:
    """Words of all texts of an artifact that were kept, with an end each: a lower bound of the sampled tokens.

    >>> drawn_words({"initial": ["a b ."], "extended": ["a b . c ."], "asked": ["x"]})
    10
    """
    texts = [text for name in ("initial", "extended", "instructions", "texts") for text in value.get(name, ())]
    return sum(len(text.split()) + 1 for text in texts)


# --- other ways to long texts ---


def concatenated(how: Lengthening, seed: int, most: int, generator: Result, *asked: Result) -> Texts:
    """Responses joined without the lines that were there before, 2 to `most` to each of several: "to" and "initial".

    As many for each instruction as an iteration has drafts, accepted likewise, and cut where there is no more room.
    """
    draws, net = np.random.default_rng([seed, 8]), role(generator)
    wanted = [own for made in asked for own in made.value["instructions"] for _ in range(how.samples)]
    prompts = [prompt(own) for own in wanted for _ in range(most)]
    said = how.said(net, prompts, int(np.int32(seed * 1009 + 800)))
    found: Texts = {"to": [], "initial": [], "asked": [], "drafts": [], "extended": []}
    for at, own in enumerate(wanted):
        several = said[at * most : at * most + int(draws.integers(2, most + 1))]
        every = dict.fromkeys(line for each in several for line in lines_of(each) if len(line.split()) == WIDTH)
        text = " ".join([line for line in every if line.endswith(".")][: how.lines])
        if accepted(text):
            found["to"].append(own)
            found["initial"].append(text)
    return found


def oracle(how: Lengthening, seed: int, least: int, *asked: Result) -> Texts:
    """Right lines in order, `least` to all that there is room for, drawn at random: an upper bound for all arms."""
    draws = np.random.default_rng([seed, 9])
    found: Texts = {"to": [], "initial": [], "asked": [], "drafts": [], "extended": []}
    for own in (text for made in asked for text in made.value["instructions"] for _ in range(2 * how.samples)):
        facts = facts_of(own)
        every = len(ASPECTS) * len(facts or ())
        if facts and every >= least:
            size = int(draws.integers(least, min(every, how.lines) + 1))
            found["to"].append(own)
            found["initial"].append(report(facts, np.sort(draws.choice(every, size, replace=False)).tolist()))
    return found


# --- what is learned ---


def learned(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """Documents [CLS, prompt, response, SEP], response and SEP learned, as `Packed` reads them.

    Raises:
      ValueError: there are none.

    >>> learned([("report high-area :", "area-level high .")])["weights"].tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    """
    code, made = line_report_tokenizer(), []
    if not pairs:
        raise ValueError("no response was accepted: train the seed model longer, or ask for more `instructions`")
    for asked, response in pairs:
        first, last = code.encode([asked, response])
        tokens = np.concatenate([np.int32([CLS]), first, last, np.int32([SEP])])
        made.append((tokens, (np.arange(len(tokens) - 1) >= len(first)).astype(np.float32)))
    return documents(made)


def role_pairs(made: Mapping[str, Any], share: float, seed: int) -> dict[str, list[Pair]]:
    """What the roles learn of an iteration, "generator" and "extender".

    The Generator learns to give extended responses to instructions; the Extender to make them of an outline, each line
    of the draft kept with probability `share`. Where no extension was kept, they learn the drafts.
    """
    draws, found = np.random.default_rng([seed, 6]), dict[str, list[Pair]](generator=[], extender=[])
    names = ("asked", "drafts", "extended") if made["extended"] else ("to", "initial", "initial")
    for asked, draft, text in zip(*(made[name] for name in names), strict=True):
        outline = " ".join(own for own in lines_of(draft) if draws.random() < share)
        found["generator"].append((prompt(asked), text))
        found["extender"].append((prompt(asked, outline), text))
    return found


def constrained(pairs: Sequence[Pair], least: int, most: int, seed: int) -> list[Pair]:
    """Of (instruction, response) those with `least` to `most` lines, a length that they follow put before each.

    >>> constrained([("report high-area", "area-level high . area-size large .")], 1, 9, seed=1)
    [('about 0 2 ; report high-area :', 'area-level high . area-size large .')]
    """
    draws, found = np.random.default_rng([seed, 7]), []
    for instruction, text in pairs:
        size = len(lines_of(text))
        if least <= size <= most:
            found.append((prompt(instruction, asked=AskedLength.drawn(size, draws)), text))
    return found
