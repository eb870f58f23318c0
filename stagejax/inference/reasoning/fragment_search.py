"""Monte-Carlo tree search over fragments of responses, with many trees abreast: draws, fast rewards, a judge.

The policy draws whole responses behind a node; they are cut into fragments and inserted as chains. Where a rollout
comes to is graded against the gold response by the policy itself, by the probabilities of four words.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.prompts.tool_prompts import GoldPrompts
from stagejax.data.tokenizers import CLS, SPECIAL
from stagejax.decode import Prompts, sample
from stagejax.inference.answering import Answering, ask
from stagejax.inference.frozen import Frozen, flops_of_one
from stagejax.inference.reasoning.rollouts import Arrays
from stagejax.result import Result
from stagejax.search.fragments import Rule, fast_reward, fragments, insert, judged_reward, rolled_out, select, ucb
from stagejax.search.mcts import Node, back_up, new_tree
from stagejax.stage import Batch

#: Who rewards where a rollout comes to: the policy's own grades, those of a program, or nobody.
JUDGES = ("policy", "verifier", "none")


@dataclass(frozen=True)
class Grading:
    """How a response is graded against the gold one.

    Args:
      marks: tokens before the gold response, before the one that is judged, and before the grade.
      grades: tokens of the four grades, the best one first.
      graded: (said, gold) as tokens -> 0 to 3: the program that a judge is checked by.
      length: tokens of what a judge reads.
    """

    marks: tuple[int, int, int]
    grades: tuple[int, int, int, int]
    graded: Callable[[np.ndarray, np.ndarray], int]
    length: int

    def rows(self, said: list[np.ndarray], gold: list[np.ndarray]) -> Batch:
        """What the judge reads: tokens (B, length) and where they end (B,)."""
        first, second, last = self.marks
        tokens, ends = np.zeros((len(said), self.length), np.int32), np.zeros(len(said), np.int32)
        for row, (own, right) in enumerate(zip(said, gold, strict=True)):
            ids = [CLS, first, *right, second, *own, last]
            tokens[row, : len(ids)], ends[row] = ids, len(ids)
        return {"tokens": tokens, "ends": ends}


@dataclass(frozen=True)
class FragmentSearch:
    """How responses are searched.

    A simulation selects a node by `rule`, draws `samples` responses behind it and inserts their fragments, each with
    its fast reward as W; it follows `rollout` children of largest W, has what was said so far graded, and adds that
    reward to W, and 1 to N, from there to the root.

    Args:
      how: length of prompt and response, its limit and end.
      separators: tokens that end a fragment.
      closing: tokens that end calls, for the fast reward.
      grading: how a response is judged.
      judge: one of `JUDGES`.
      whole: every simulation draws behind the prompt, and a response is one fragment, each of which is judged: the
        best and the worst of `simulations` x `samples`.
      group: pieces in a fragment.
      temperature, repetition: of the draws; priors are of the model itself.
      at_once: trees that are searched together.

    Raises:
      ValueError: an unknown judge.

    Reference: iTool, https://arxiv.org/abs/2501.09766, and its published code, whose values are the defaults.
    """

    how: Answering
    separators: tuple[int, ...]
    closing: tuple[int, ...]
    grading: Grading
    judge: str = "policy"
    whole: bool = False
    simulations: int = 5
    samples: int = 3
    depth: int = 3
    rollout: int = 2
    c: float = 1.0
    rule: Rule = ucb
    group: int = 1
    temperature: float = 1.5
    repetition: float | None = 0.75
    at_once: int = 60

    def __post_init__(self) -> None:
        if self.judge not in JUDGES:
            raise ValueError(f"judge={self.judge!r} is unknown: choose one of {JUDGES}")

    def flops(self, config: Any, trees: int, prompt: int) -> float:
        """Of a search whose trees have all their simulations, each of whose draws has all tokens that it may have."""
        drawn = self.simulations * self.samples * _answer_flops(self.how, config, prompt)
        judged = self.simulations * (self.samples if self.whole else 1) if self.judge == "policy" else 0
        return trees * (drawn + judged * _judge_flops(config, self.grading))


@functools.cache
def _answer_flops(how: Answering, config: Any, prompt: int) -> float:
    return how.flops(config, prompt)


@functools.cache
def _judge_flops(config: Any, grading: Grading) -> float:
    like = jax.ShapeDtypeStruct
    row = {"tokens": like((grading.length,), "int32"), "ends": like((), "int32")}
    return float(flops_of_one(grades, config, row, grading.grades))


def searched(policy: Result, data: GoldPrompts, chosen: Result, search: FragmentSearch, seed: int) -> Arrays:
    """A tree for every chosen record of `data`, as an artifact for `run.make`.

    What a tree draws is a function of its record, the network and the seed, whatever stands beside it in a batch.

    Args:
      chosen: an artifact with "records", the numbers of records of the source of `data`.

    Returns:
      One row a node, a parent before its children: "tree"; "parent", a row or -1; "tokens" (nodes, S), with "first",
      "start" and "end": where the response, the node's own fragment, and what is behind it begin; "visits", "total" W,
      "prior", and "closed", 1 where the response ends. Beside them "drawn", tokens of each draw, and one row a
      judgement: "grades" (judgements, 4), zeros without a judge, and "graded", by the program.

    >>> # trees = run.make("trees", searched, policy, data, chosen, search, 0, sampled_tokens=tokens_of)
    """
    net, columns, records = Frozen.of(policy), data.columns(), chosen.value["records"]
    trees = [_Tree(int(record), {name: x[record] for name, x in columns.items()}, seed) for record in records]
    drawn: list[int] = []
    judged: list[tuple[np.ndarray, int]] = []
    for start in range(0, len(trees), search.at_once):
        own = trees[start : start + search.at_once]
        for number in range(search.simulations):
            if search.whole:
                ready = [(tree, tree.root) for tree in own]
            else:
                found = [(tree, select(tree.root, search.rule, search.c, search.samples, search.depth)) for tree in own]
                ready = [(tree, node) for tree, node in found if node is not None]
            if ready:
                drawn += _expand(net, ready, search, number)
                judged += _judge(net, ready, search)
    grades, graded = zip(*judged, strict=True) if judged else ((), ())
    beside = {"drawn": np.array(drawn), "grades": np.array(grades).reshape(-1, 4), "graded": np.array(graded, int)}
    return _rows(trees, search.how.length) | beside


def tokens_of(made: Arrays) -> int:
    """How many tokens were drawn for a search."""
    return int(made["drawn"].sum())


class _Tree:
    """A search of one prompt."""

    def __init__(self, record: int, prompt: Batch, seed: int) -> None:
        self.record, self.prompt, self.root = record, prompt, new_tree()
        self.seed = zlib.crc32(np.array([seed, record], "<i4").tobytes())
        self.gold = _plain(prompt["gold"])

    def said(self, node: Node) -> list[int]:
        """The response up to a node."""
        return [token for own in node.path()[1:] for token in own.action.tokens]

    def tokens(self, node: Node, length: int) -> tuple[np.ndarray, int]:
        """The prompt with the response up to a node, padded, and where they end."""
        row, begin, said = np.zeros(length, np.int32), int(self.prompt["lengths"]), self.said(node)
        row[:begin] = self.prompt["tokens"][:begin]
        row[begin : begin + len(said)] = said
        return row, begin + len(said)


def _plain(tokens: Any) -> np.ndarray:
    """Without special tokens."""
    own = np.asarray(tokens, np.int32)
    return own[own >= SPECIAL]


def _expand(net: Frozen, ready: list[tuple[_Tree, Node]], search: FragmentSearch, number: int) -> list[int]:
    """Draw behind these nodes, and insert what was drawn: the tokens of each draw."""
    rows = [tree.tokens(node, search.how.length) for tree, node in ready]
    tokens, ends = (np.stack(x) for x in zip(*rows, strict=True))
    firsts = np.array([tree.prompt["lengths"] for tree, _ in ready])
    limit = (firsts + search.how.limit - ends).astype(np.int32)
    batch = {"tokens": tokens, "ends": ends.astype(np.int32), "limit": limit}
    batch["rounds"] = np.array([(tree.seed, number) for tree, _ in ready], np.uint32)
    full = np.resize(np.arange(len(ready)), search.at_once)  # the last batch goes round
    how = (search.how, search.samples, search.temperature, search.repetition)
    made = ask(_draws, net, {name: x[full] for name, x in batch.items()}, *how)
    counts = []
    for row, (tree, node) in enumerate(ready):

        def reward(fragment: Any, gold: np.ndarray = tree.gold) -> float:
            return fast_reward(_plain(fragment.tokens), gold, search.closing)

        for k in range(search.samples):
            span = slice(ends[row], made["ends"][row, k])
            own, told = made["tokens"][row, k, span], made["logprobs"][row, k, span]
            separators = () if search.whole else search.separators
            chain = fragments(own.tolist(), told.tolist(), separators, bool(made["stops"][row, k] > 0), search.group)
            insert(node, chain, search.depth, reward)
            counts.append(len(own))
    return counts


def _judge(net: Frozen, ready: list[tuple[_Tree, Node]], search: FragmentSearch) -> list[tuple[np.ndarray, int]]:
    """Grade where rollouts behind these nodes come to, and back the reward up: the grades, and those of the program."""
    if search.whole:
        reached = [(tree, child) for tree, node in ready for child in node.children[-search.samples :]]
    else:
        reached = [(tree, rolled_out(node, search.rollout)) for tree, node in ready]
    said = [_plain(tree.said(node)) for tree, node in reached]
    gold = [tree.gold for tree, _ in reached]
    known = [search.grading.graded(own, right) for own, right in zip(said, gold, strict=True)]
    told = np.eye(4)[known] if search.judge == "verifier" else np.zeros((len(known), 4))
    if search.judge == "policy":
        told = policy_grades(net, search.grading, said, gold, search.at_once)
    for (_, node), own in zip(reached, judged_reward(told).tolist(), strict=True):
        back_up(node, own)
    return list(zip(told, known, strict=True))


def policy_grades(
    net: Frozen, grading: Grading, said: list[np.ndarray], gold: list[np.ndarray], at_once: int
) -> np.ndarray:
    """The probabilities (responses, 4) that a model gives to the four grades of each response."""
    found = []
    for start in range(0, len(said), at_once):
        part = range(start, min(start + at_once, len(said)))
        full = np.resize(part, at_once)
        rows = grading.rows([said[i] for i in full], [gold[i] for i in full])
        found.append(ask(grades, net, rows, grading.grades)[: len(part)])
    return np.concatenate(found)


def grades(model: Any, batch: Batch, words: tuple[int, ...]) -> jax.Array:
    """The probabilities of some words behind each row: "tokens" (B, S) up to "ends" (B,)."""
    logits_BSV = model(batch["tokens"])
    last_BV = jnp.take_along_axis(logits_BSV, (batch["ends"] - 1)[:, None, None], axis=1)[:, 0]
    return jax.nn.softmax(last_BV)[:, jnp.array(words)]


def _draws(
    model: Any, batch: Batch, how: Answering, n: int, temperature: float, repetition: float | None
) -> dict[str, jax.Array]:
    fold = jax.random.fold_in
    keys = jax.vmap(lambda own: fold(fold(jax.random.key(0), own[0]), own[1]))(batch["rounds"])
    found = sample(
        model, Prompts(batch["tokens"], batch["ends"]), keys, length=how.length, n=n, limit=batch["limit"],
        temperature=temperature, repetition=repetition, stops=how.stops,
    )  # fmt: skip
    return {"tokens": found.tokens_BNS, "ends": found.ends_BN, "stops": found.stop_sizes_BN,
            "logprobs": found.logprobs_BNS}  # fmt: skip


def _rows(trees: list[_Tree], length: int) -> Arrays:
    found: dict[str, list[Any]] = {}
    at: dict[int, int] = {}
    for number, tree in enumerate(trees):
        first = int(tree.prompt["lengths"])
        for node in tree.root.walk():
            tokens, end = tree.tokens(node, length)
            at[id(node)] = len(at)
            own = {
                "tree": number, "parent": at[id(node.parent)] if node.parent else -1, "tokens": tokens, "first": first,
                "start": end - len(node.action.tokens), "end": end, "visits": node.visits, "total": node.total,
                "prior": node.action.prior, "closed": float(node.closed),
            }  # fmt: skip
            for name, x in own.items():
                found.setdefault(name, []).append(x)
    return {name: np.array(x) for name, x in found.items()}
