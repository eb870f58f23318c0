"""What an encoder-decoder answers to tables, greedily, and whether that is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from stagejax.data.sources import Record
from stagejax.data.tables.table_tasks import TableToText
from stagejax.data.tokenizers import codec
from stagejax.inference import Frozen
from stagejax.inference.answering import ask
from stagejax.inference.tasks.speaking import likeliest
from stagejax.result import Result


def answers(net: Result, data: TableToText, verify: Callable[[Record, str], bool]) -> dict[str, Any]:
    """For every record of `data.source`, in its order: what is "said", whether it is "right"; how many "tokens".

    >>> # made = run.make("said", answers, tuned, replace(data, source=test), right)
    >>> # float(np.mean(made.value["right"]))
    """
    frozen, size, drawn = Frozen.of(net), data.size(), 0
    code, said = codec(data.tokenizer, data.source), [""] * data.size()
    for start in range(0, size, data.batch):
        numbers = np.arange(start, start + data.batch)
        batch, records = data.take(numbers), data.records(numbers)
        found = ask(likeliest, frozen, batch, data.outputs, data.tokenizer.vocab)
        for at, (tokens, begin, end) in enumerate(zip(*found, strict=True)):
            if numbers[at] < size:
                said[records[at]] = code.decode(tokens[begin:end]).strip()
                drawn += int(end - begin)
    judged = [verify(data.source[at], text) for at, text in enumerate(said)]
    return {"said": said, "right": judged, "tokens": drawn}


def drawn_tokens(made: Mapping[str, Any]) -> int:
    """How many tokens were drawn for what `answers` found."""
    return int(made["tokens"])
