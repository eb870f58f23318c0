"""Answers behind thoughts in hidden states: what is said, what it takes, and what the states tell.

Letters: N records, F states of the CoT model, D its projection, S slots.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.prompts.answers import Answers, PromptedText, token_rows
from stagejax.decode import Prompts, Samples, sample
from stagejax.inference import Frozen
from stagejax.inference.answering import Answering, greedy
from stagejax.inference.several import ask_together, compiled_together
from stagejax.objectives.probing import probe_accuracy
from stagejax.objectives.text.slots import same_rows
from stagejax.result import Result
from stagejax.stage import Batch, Metrics
from stagejax.steps.windows import interleaved

Arrays = dict[str, np.ndarray]
THOUGHTS = ("thought", "wrong")


def answered(models: Sequence[Any], batch: Batch, how: Answering) -> tuple[Samples, jax.Array]:
    """Greedy answers of a decoder, and their rewards (B, 1).

    Args:
      models: a decoder alone; or a reader and the writer that fills its slots, which reads the prompt once.
    """
    model, *writers = models
    if writers:
        model = model.filled(writers[0].hidden(batch["tokens"]))
    return greedy(model, batch, how)


@dataclass(frozen=True)
class HiddenAnswering:
    """`Answering` as an objective of evaluations for "hcot" with slots filled by "cot"."""

    how: Answering

    def __call__(self, models: Mapping[str, Any], batch: Batch, key: Any) -> tuple[jax.Array, Metrics]:
        right = answered((models["hcot"], models["cot"]), batch, self.how)[1]
        return 1 - right.mean(), {"accuracy": (right.sum(), jnp.float32(right.size))}


def scored(data: PromptedText, how: Answering, *nets: Result) -> Arrays:
    """Of every record, in the order of `data`: whether its answer is `right`, and how many tokens were `drawn`.

    Args:
      nets: as the models of `answered`.
    """
    frozen = [Frozen.of(net) for net in nets]
    found: dict[str, list[np.ndarray]] = {"right": [], "drawn": []}
    for start in range(0, data.size(), data.batch):
        samples, right = ask_together(answered, frozen, data.take(np.arange(start, start + data.batch)), how)
        found["right"].append(right[:, 0])
        found["drawn"].append((samples.ends_BN - samples.starts_BN)[:, 0])
    return {name: np.concatenate(parts)[: data.size()] for name, parts in found.items()}


def seconds_a_query(
    ways: Sequence[tuple[str, PromptedText, int]], how: Answering, calls: int, *nets: Result
) -> dict[str, float]:
    """Seconds of a batch of greedy answers over its rows, the median over `calls` batches; the ways take turns.

    Programs are compiled and run once before. Use it in a `run.make`: a time is not the same twice.

    Args:
      ways: (name, prompts, how many of the `nets` answer them), in order; the nets of each as the models of `answered`.
    """
    left, asked = iter([Frozen.of(net) for net in nets]), {}
    for name, data, models in ways:
        frozen = list(itertools.islice(left, models))
        program = compiled_together(answered, tuple(net.config for net in frozen), how)
        rows = [np.arange(data.batch) + call * data.batch for call in (0, *range(calls))]
        batches = iter([jax.device_put(data.take(own)) for own in rows])
        asked[name] = partial(_next_answers, program, [(net.params, net.rest) for net in frozen], batches)
    seconds = interleaved(asked, calls)
    return {name: float(np.median(seconds[name])) / data.batch for name, data, _ in ways}


def _next_answers(program: Any, variables: Any, batches: Iterator[Batch]) -> Any:
    return program(variables, next(batches))


# --- what is in a slot ---


def printed(models: Sequence[Any], batch: Batch, how: Answering) -> jax.Array:
    """What a writer says behind its slots, greedily: prompts and thoughts as rows of tokens (B, S)."""
    prompts = Prompts(batch["tokens"], batch["lengths"])
    options = {"length": how.length, "temperature": 0.0, "stops": how.stops}
    return sample(models[0], prompts, jax.random.key(0), **options).tokens_BNS[:, 0]


def seen(models: Sequence[Any], batch: Batch) -> dict[str, jax.Array]:
    """Of each row: `states` (B, F), the mean over its slots; `slot`, its summary; those of `thought` and `wrong`."""
    writer, tokens = models[0], batch["tokens"]
    states_BTF = writer.hidden(tokens)
    here_BT1 = (tokens == writer.marker)[..., None]
    found = {"states": (states_BTF * here_BT1).sum(1) / here_BT1.sum(1), "slot": writer.summarised(tokens, states_BTF)}
    return found | {name: writer.summary(batch[f"{name}_tokens"]) for name in THOUGHTS}


def looked_at(data: PromptedText, length: int, writer: Frozen) -> Arrays:
    """`seen` of every record of a source of thoughts, the tokens of its thought, and the integers beside it.

    Args:
      length: tokens of a thought with its slots.
    """
    rows = {f"{x}_tokens": token_rows(data.source, data.tokenizer, f"{x} in slot", length, ()) for x in THOUGHTS}
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, data.size(), data.batch):
        numbers = np.arange(start, start + data.batch)
        batch = data.take(numbers) | {name: own["tokens"][data.records(numbers)] for name, own in rows.items()}
        for name, own in (batch | ask_together(seen, [writer], batch)).items():
            found.setdefault(name, []).append(own)
    return {name: np.concatenate(parts)[: data.size()] for name, parts in found.items()}


def told_by_slots(
    train: PromptedText, test: PromptedText, how: Answering, length: int, classes: int, writer: Result
) -> dict[str, float]:
    """What a slot tells of its thought, on held-out records.

    Returns:
      `retrieved` and `against wrong` of `retrieval`; of the integers beside the records the test accuracy of linear
      probes on the slots' states; and `printed`, the share of thoughts that are said behind the slot to the last token.

    Args:
      train, test: prompts with slots, of which the first train the probes.
      length: tokens of a thought with its slots.
      classes: of the integers beside the records.
    """
    net = Frozen.of(writer)
    fit, held = (looked_at(data, length, net) for data in (train, test))
    found = retrieval(held, held["thought_tokens"])
    for name in test.beside:
        found[name] = probed([fit["states"], held["states"]], [fit[name], held[name]], classes)
    source = {"source": test.source, "tokenizer": test.tokenizer, "batch": test.batch, "seed": test.seed}
    wanted, right = Answers(**source, length=how.length - 1, fields=("asked", "thought")), []
    for start in range(0, test.size(), test.batch):
        numbers = np.arange(start, start + test.batch)
        rows = wanted.take(numbers)
        whole = np.concatenate([rows["tokens"], rows["targets"][:, -1:]], axis=1)
        right.append((ask_together(printed, [net], test.take(numbers), how) == whole).all(1))
    return found | {"printed": float(np.concatenate(right).mean())}


def retrieval(found: Arrays, thoughts: np.ndarray) -> dict[str, float]:
    """How often a slot is nearest to its own thought: among all that are not the same, and of two with the wrong one.

    Args:
      found: of `seen`, for all records.
      thoughts: their tokens.

    >>> eye = np.eye(3, dtype=np.float32)
    >>> retrieval({"slot": eye, "thought": eye, "wrong": eye[[1, 2, 2]]}, np.arange(3)[:, None])
    {'retrieved': 1.0, 'against wrong': 0.6666666666666666}
    """
    slot, thought, wrong = (found[name] for name in ("slot", "thought", "wrong"))
    near = np.where(np.asarray(same_rows(jnp.asarray(thoughts))), -np.inf, slot @ thought.T)
    return {
        "retrieved": float((near.argmax(1) == np.arange(len(near))).mean()),
        "against wrong": float((np.diagonal(near) > (slot * wrong).sum(1)).mean()),
    }


def probed(parts: Sequence[np.ndarray], labels: Sequence[np.ndarray], classes: int) -> float:
    """The test accuracy of a linear probe on states; the last fifth of the training ones chooses its decay."""
    cut = len(parts[0]) * 4 // 5
    split = [[own[0][:cut], own[0][cut:], own[1]] for own in (parts, labels)]
    return probe_accuracy(*split, (1e-3, 1e-2, 1e-1), classes=classes)
