"""Monte-Carlo tree search over the steps of answers, with many trees abreast: a V and an expansion of each at a time.

Every tree of a batch is one simulation further after two calls of programs of fixed shapes: a value network reads the
leaves, and the policy draws the steps that may follow them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.prompts.answers import PromptedText
from stagejax.decode import Prompts, sample
from stagejax.inference import Frozen
from stagejax.inference.answering import Answering, ask
from stagejax.inference.reasoning.rollouts import Arrays, Rollouts, completed
from stagejax.objectives.rewards.rewarding import scores_at
from stagejax.result import Result
from stagejax.search.mcts import WRONG, Action, Node, back_up, expand, new_tree, select
from stagejax.stage import Batch


@dataclass(frozen=True)
class TreeSearch:
    """How answers are searched step by step. A step ends in `separator`, the last one in a stop string of `how`.

    A simulation selects a leaf by PUCT, backs up its value V(s) in (-1, 1), and expands it: so many steps are drawn
    behind it, equal ones are one. An answer is terminal, +1 where the rule of `how` accepts it and else -1; so is, with
    -1, a step that is not of the form, too deep, or not ended when the limit of tokens comes.

    Args:
      how: judges answers, and says how long they may be.
      separator: the token that ends a step.
      formed: whether a step or an answer, as tokens without the stop string of an answer, is of the form.
      simulations: of a tree, at most; a tree all of whose leaves are terminal is done before.
      children: steps drawn behind the root, and behind other nodes.
      c: of PUCT.
      temperature: of the draws; priors are of the model itself.
      depth: steps of an answer at most.
      at_once: trees that are searched together.

    Reference: CPL, https://arxiv.org/abs/2409.08642; value and expansion as in AlphaMath,
    https://arxiv.org/abs/2405.03553.
    """

    how: Answering
    separator: int
    formed: Callable[[np.ndarray, bool], bool]
    simulations: int = 16
    children: tuple[int, int] = (5, 3)
    c: float = 1.5
    temperature: float = 0.7
    depth: int = 6
    at_once: int = 64

    def flops(self, config: Any, trees: int, tokens: int) -> float:
        """Of a search whose trees all have all their simulations: at each a V, a prefix read, and the steps drawn.

        Args:
          tokens: that a step has, on average.
        """
        token = self.how.flops(config, self.how.length) / (self.how.length + self.how.limit)
        drawn = tokens * (self.children[0] + (self.simulations - 1) * self.children[1])
        return trees * token * (2 * self.simulations * self.how.length + drawn)


def searched(
    policy: Result, value: Result, data: PromptedText, search: TreeSearch, seed: int, least: Result | None = None
) -> Arrays:
    """A tree for every prompt of `data`, as an artifact for `run.make`.

    What a tree draws is a function of its number, the networks and the seed, whatever stands beside it in a batch.

    Args:
      value: a network with a number behind each token, whose tanh is V.
      least: of another search, or of `drawn_answers`: prompts are searched again, from the first on, until as many
        tokens have been drawn as for that one.

    Returns:
      One row a node, a parent before its children: "tree", its number; "prompt", the number of its record; "parent", a
      row or -1; "tokens" (nodes, S), with "first", "start" and "end": where the answer, the node's own step, and what
      is behind it begin; "visits", "value" Q and "prior"; "reward", 0 of what is not terminal; "final", 1 of answers;
      and what the data has beside its prompts. Beside them one row a simulation: "drawn", its tokens, and "at", the
      number of its tree.

    >>> # trees = run.make("trees", searched, policy, critic, prompts, search, 0, sampled_tokens=tokens_of)
    """
    nets, wanted = (Frozen.of(policy), Frozen.of(value)), 0 if least is None else tokens_of(least.value)
    trees: list[_Tree] = []
    drawn: list[tuple[int, int]] = []
    while not trees or sum(tokens for _, tokens in drawn) < wanted:
        start, size = len(trees) % data.size(), data.size()
        numbers = np.arange(start, min(start + search.at_once, size) if trees else size)
        batch, records = data.take(numbers), data.records(numbers)
        own = [
            _Tree(len(trees) + i, int(records[i]), {name: x[i] for name, x in batch.items()}, seed)
            for i in range(len(numbers))
        ]
        while ready := [tree for tree in own if not tree.root.closed and tree.simulations < search.simulations]:
            fresh = [tree for tree in ready if not tree.simulations]
            drawn += _simulate(nets, (fresh or ready)[: search.at_once], search)
        trees += own
    at, tokens = np.array(drawn).T
    return _rows(trees, data, search) | {"at": at, "drawn": tokens}


def tokens_of(made: Arrays) -> int:
    """How many tokens were drawn for a search, or for `drawn_answers`."""
    return int(made["drawn"].sum() if "drawn" in made else (made["ends"] - made["starts"]).sum())


def against_completions(
    trees: Result, policy: Result, value: Result, rollouts: Rollouts, nodes: int, seed: int
) -> dict[str, float]:
    """How Q of nodes, and V, agree with completions of the same prefixes, which the policy draws at temperature 1.

    Args:
      nodes: how many are looked at, drawn among those that were visited and are neither root nor terminal.

    Returns:
      "nodes", and the correlations "Q" and "V" with 2 p - 1, p the share of right completions; 0 where one is constant.
    """
    told = trees.value
    inner = np.flatnonzero((told["parent"] >= 0) & (told["reward"] == 0) & (told["visits"] > 0))
    rows = np.random.default_rng(seed).permutation(inner)[:nodes]
    prefixes, ends = told["tokens"][rows].astype(np.int32), told["end"][rows].astype(np.int32)
    beside = {"starts": told["first"][rows].astype(np.int32), "answer": told["answer"][rows].astype(np.int32)}
    right, _ = completed(Frozen.of(policy), prefixes, ends, beside, rollouts, seed)
    said = ask(state_values, Frozen.of(value), {"tokens": prefixes, "ends": ends})
    truth, found = 2 * right / rollouts.n - 1, {"nodes": float(len(rows))}
    for name, own in (("Q", told["value"][rows]), ("V", said)):
        found[name] = float(np.corrcoef(own, truth)[0, 1]) if len(rows) > 1 and np.std(own) * np.std(truth) > 0 else 0.0
    return found


class _Tree:
    """A search of one prompt."""

    def __init__(self, number: int, record: int, prompt: Batch, seed: int) -> None:
        self.number, self.record, self.prompt = number, record, prompt
        self.root, self.simulations = new_tree(), 0
        self.rng = np.random.default_rng((seed, number))
        self.seed = zlib.crc32(np.array([seed, number], "<i4").tobytes())

    def tokens(self, node: Node, length: int) -> tuple[np.ndarray, int]:
        """The prompt with the steps up to a node, padded, and where they end."""
        row, end = np.zeros(length, np.int32), int(self.prompt["lengths"])
        row[:end] = self.prompt["tokens"][:end]
        for step in node.path()[1:]:
            row[end : end + len(step.action.tokens)] = step.action.tokens
            end += len(step.action.tokens)
        return row, end


def _simulate(nets: tuple[Frozen, Frozen], trees: list[_Tree], search: TreeSearch) -> list[tuple[int, int]]:
    """One simulation of each of these trees: the number of each, and how many tokens it drew."""
    policy, value = nets
    n = search.children[trees[0].simulations > 0]
    leaves = [select(tree.root, search.c, tree.rng) for tree in trees]
    prefixes = [tree.tokens(leaf, search.how.length) for tree, leaf in zip(trees, leaves, strict=True)]
    tokens, ends = (np.stack(x) for x in zip(*prefixes, strict=True))
    full = np.resize(np.arange(len(trees)), search.at_once)  # the last batch goes round
    beside = {name: np.stack([tree.prompt[name] for tree in trees])[full] for name in trees[0].prompt}
    rounds = np.array([(tree.seed, tree.simulations) for tree in trees], np.uint32)[full]
    batch = beside | {"tokens": tokens[full], "ends": ends[full].astype(np.int32), "rounds": rounds}
    batch["limit"] = batch["lengths"] + search.how.limit - batch["ends"]
    values = ask(state_values, value, {name: batch[name] for name in ("tokens", "ends")})
    found = ask(_expansions, policy, batch, search.how, search.separator, search.temperature, n)
    made = []
    for i, (tree, leaf) in enumerate(zip(trees, leaves, strict=True)):
        back_up(leaf, float(values[i]))
        expand(leaf, [_action(found, i, k, search) for k in range(n)], search.depth)
        tree.simulations += 1
        made.append((tree.number, int((found["ends"][i] - ends[i]).sum())))
    return made


def _action(found: Arrays, i: int, k: int, search: TreeSearch) -> Action:
    """The k-th step that was drawn behind the i-th leaf."""
    start, end, stop = found["starts"][i], found["ends"][i, k], int(found["stops"][i, k])
    own = found["tokens"][i, k, start:end]
    prior = math.exp(found["logprobs"][i, k].sum() / max(len(own), 1))
    ended = stop > 0
    goes_on = ended and own[-1] == search.separator
    form = bool(ended and search.formed(own[:-1] if goes_on else own[: len(own) - stop], not goes_on))
    reward = (None if goes_on else 2 * float(found["right"][i, k]) - 1) if form else WRONG
    return Action(tuple(own.tolist()), prior, reward, form and not goes_on)


def state_values(model: Any, batch: Batch) -> jax.Array:
    """V(s) = tanh of the number behind the last token of each prefix: "tokens" (B, S) up to "ends" (B,)."""
    return jnp.tanh(scores_at(model, batch["tokens"], batch["ends"]))


def _expansions(
    model: Any, batch: Batch, how: Answering, separator: int, temperature: float, n: int
) -> dict[str, jax.Array]:
    fold = jax.random.fold_in
    keys = jax.vmap(lambda own: fold(fold(jax.random.key(0), own[0]), own[1]))(batch["rounds"])
    found = sample(
        model, Prompts(batch["tokens"], batch["ends"]), keys, length=how.length, n=n, limit=batch["limit"],
        temperature=temperature, stops=((separator,), *how.stops),
    )  # fmt: skip
    right = how.rule(found, batch)
    return {"tokens": found.tokens_BNS, "starts": batch["ends"], "ends": found.ends_BN, "stops": found.stop_sizes_BN,
            "logprobs": found.logprobs_BNS, "right": right}  # fmt: skip


def _rows(trees: list[_Tree], data: PromptedText, search: TreeSearch) -> Arrays:
    found: dict[str, list[Any]] = {}
    at: dict[int, int] = {}
    for tree in trees:
        first = int(tree.prompt["lengths"])
        for node in tree.root.walk():
            tokens, end = tree.tokens(node, search.how.length)
            at[id(node)] = len(at)
            own = {
                "tree": tree.number, "prompt": tree.record, "parent": at[id(node.parent)] if node.parent else -1,
                "tokens": tokens, "first": first, "start": end - len(node.action.tokens), "end": end,
                "visits": node.visits, "value": node.value, "prior": node.action.prior,
                "reward": node.action.reward or 0.0, "final": float(node.action.answer),
            }  # fmt: skip
            for name, x in (own | {name: tree.prompt[name] for name in data.beside}).items():
                found.setdefault(name, []).append(x)
    return {name: np.array(x) for name, x in found.items()}
