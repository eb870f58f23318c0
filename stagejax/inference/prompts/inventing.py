"""A language model that writes its own examples: new inputs behind a few, then several outputs to each of them.

Reference: Zhao et al. 2024 (SELF-GUIDE), https://arxiv.org/abs/2407.12874, section 3, and its published code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from stagejax.data.tokenizers import CLS, Codec
from stagejax.decode import Prompts, Samples, completions, padded_prompts, sample
from stagejax.inference.answering import ask
from stagejax.inference.continuing import GREEDY, Sampling
from stagejax.inference.frozen import Frozen, flops_of_one

#: Makes a prompt of examples, (input, label) each, and of the label that is wanted, None for any.
Inviting = Callable[[Sequence[tuple[str, str]], str | None], str]


@dataclass(frozen=True)
class Drawing:
    """How `n` texts are drawn behind each prompt, in batches of one size.

    Args:
      prompt: tokens that [CLS, prompt] is padded to.
      limit: most new tokens.
      stop: the token that ends a text.
      how: temperature and cuts.
      batch: prompts at once.

    >>> Drawing(prompt=32, limit=6, stop=5, n=10).batch
    10
    """

    prompt: int
    limit: int
    stop: int
    n: int = 1
    how: Sampling = GREEDY
    batch: int = 10

    def flops(self, config: Any) -> float:
        """FLOPs of what is drawn behind one prompt, as if each text had all tokens that it may have.

        >>> from stagejax.models import gpt
        >>> Drawing(prompt=8, limit=4, stop=5).flops(gpt(layers=1)) > 10**5
        True
        """
        like = jax.ShapeDtypeStruct
        row = {"tokens": like((self.prompt,), "int32"), "lengths": like((), "int32"), "keys": like((2,), "uint32")}
        return float(flops_of_one(draw, config, row, self, while_trips=self.limit))


def draw(model: Any, batch: Any, drawing: Drawing) -> Samples:
    """Texts behind each prompt of a batch, each prompt with its own of the batch's `keys` (B, 2)."""
    size = {"length": drawing.prompt + drawing.limit, "limit": drawing.limit, "stops": ((drawing.stop,),)}
    how = {name: value for name, value in asdict(drawing.how).items() if name in ("temperature", "top_k")}
    prompts, keys = Prompts(batch["tokens"], batch["lengths"]), jax.random.wrap_key_data(batch["keys"])
    return sample(model, prompts, keys, n=drawing.n, **size, **how)


def drawn(net: Frozen, code: Codec, prompts: Sequence[str], drawing: Drawing, seed: int) -> list[list[str]]:
    """`n` texts behind every prompt, up to the stop or the limit; those of a prompt depend on its place and the seed.

    >>> # several = drawn(Frozen.of(result), code, ["a b c ="], Drawing(32, 6, stop=5, n=10), seed=0)
    """
    rows, said = [[CLS, *ids] for ids in code.encode(list(prompts))], []
    for start in range(0, len(rows), drawing.batch):
        part = rows[start : start + drawing.batch]
        filled = padded_prompts([*part, *part[:1] * (drawing.batch - len(part))], drawing.prompt)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), start), drawing.batch)
        batch = {"tokens": filled.tokens_BP, "lengths": filled.lengths_B, "keys": np.asarray(jax.random.key_data(keys))}
        found = completions(ask(draw, net, batch, drawing))[: len(part)]
        said += [[code.decode(each.tokens) for each in own] for own in found]
    return said


class Invented(NamedTuple):
    """An input that a model wrote, the label that it was to have, or "", and whether it passed the filter."""

    text: str
    label: str
    kept: bool


@dataclass(frozen=True)
class Inventing:
    """How inputs are invented: `rounds` of as many prompts as `drawing` has in a batch.

    A prompt shows all demonstrations, shuffled, and 1 to `earlier` of those invented and kept so far.

    Args:
      labels: one of them, drawn anew for each prompt, is asked for; empty: none is.
    """

    drawing: Drawing
    rounds: int = 20
    earlier: int = 10
    labels: tuple[str, ...] = ()

    def flops(self, config: Any) -> float:
        """FLOPs of all rounds."""
        return self.rounds * self.drawing.batch * self.drawing.flops(config)


def invented(
    net: Frozen,
    code: Codec,
    how: Inventing,
    invite: Inviting,
    shown: Sequence[tuple[str, str]],
    keep: Callable[[str], bool],
    seed: int,
) -> list[Invented]:
    """Different inputs, none of which is a demonstration's, in the order in which they were written.

    Those that the filter drops are returned as well, and shown in no later prompt.

    Args:
      invite: makes a prompt.
      shown: demonstrations, (input, label) each.
      keep: the filter of inputs.

    >>> # pool = invented(Frozen.of(result), code, Inventing(Drawing(64, 6, stop=5)), invite, shown, bool, seed=0)
    """
    draws, found = np.random.default_rng([seed, 1]), dict[str, Invented]()
    known = {text for text, _ in shown}
    for number in range(how.rounds):
        pool = [(own.text, own.label) for own in found.values() if own.kept]
        prompts, wanted = [], []
        for _ in range(how.drawing.batch):
            label = how.labels[int(draws.integers(len(how.labels)))] if how.labels else None
            few = draws.permutation(len(pool))[: draws.integers(1, how.earlier + 1)]
            examples = [shown[i] for i in draws.permutation(len(shown))] + [pool[i] for i in few]
            prompts.append(invite(examples, label))
            wanted.append(label or "")
        said = drawn(net, code, prompts, how.drawing, seed=int(np.int32(seed * 1009 + number)))
        for (text,), label in zip(said, wanted, strict=True):
            if text and text not in found and text not in known:
                found[text] = Invented(text, label, keep(text))
    return list(found.values())
