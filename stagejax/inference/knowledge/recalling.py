"""Whether a language model recalls the facts of a town that it has read."""

from __future__ import annotations

from typing import Any

from stagejax.data.knowledge.town import WAYS, Town, TownProse, stated
from stagejax.data.tokenizers import Tokenizer, codec
from stagejax.inference.continuing import GREEDY, continued
from stagejax.inference.frozen import Frozen


def recalled(tokenizer: Tokenizer, town: Town, net: Any) -> dict[str, list[int]]:
    """By way of stating it, for each fact whether a model names the person with whom the sentence ends: 0 or 1.

    Args:
      net: a result, whose model continues the sentence from there.

    >>> # np.mean(recalled(tokenizer, town, run.train(stage))[WAYS[0]])
    """
    code, facts, found = codec(tokenizer, TownProse(town, 1), "text"), town.facts(), {}
    for number, way in enumerate(WAYS):
        prompts = [stated(town, fact, number).removesuffix(f" {town.name(fact.t)} .") for fact in facts]
        said = continued(Frozen.of(net), code, prompts, GREEDY, length=32, limit=8, batch=100, seed=0)
        first = [text.strip().split(" ")[0] for text in said]
        found[way] = [int(name == town.name(fact.t)) for name, fact in zip(first, facts, strict=True)]
    return found
