"""Rounds in which a library of strategies grows from what its student does, what it is compared with, and their tests.

All are functions for `run.make`; their values are JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stagejax.data.dialogue.customer_service import any_moves, drawn_talk, example_of, taught
from stagejax.data.dialogue.customers import Customer, Talk, customers
from stagejax.data.dialogue.service_language import AGENT, EXAMPLE, STRATEGY, directed, directives, masked
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts.guidance import (
    Entry,
    Guide,
    Json,
    Refined,
    Refining,
    Served,
    library_of,
    refined,
    rows_of_replies,
    said,
    serve,
    uncovered,
)
from stagejax.inference.reasoning.two_calls import Calling
from stagejax.result import Result


@dataclass(frozen=True)
class Clients:
    """Customers of a split: so many of mixes that are trained on, and of others.

    >>> [one.mix.unseen for one in Clients("test", 1, 1).drawn()]
    [False, True]
    """

    split: str
    seen: int
    unseen: int = 0
    seed: int = 0

    def drawn(self) -> list[Customer]:
        """Those of seen mixes first."""
        return [
            one for count, new in ((self.seen, False), (self.unseen, True)) if count
            for one in customers(count, self.split, self.seed, new)
        ]  # fmt: skip


def library_round(student: Result, teacher: Result, how: Refining, number: int, seed: int, *before: Result) -> Json:
    """One round: dialogues of the student with the library so far, new scenarios of them, strategies for these.

    Args:
      before: the round before; none: the library is empty.

    Returns:
      "entries", all so far; "states", those taken up; "visited", all states of the round; "queries" of the teacher;
      "mastered" and "rejected".
    """
    entries = library_of(before[-1].value) if before else ()
    net, guide = Frozen.of(student), Guide(entries, threshold=how.threshold)
    people = customers(how.dialogues, "train", 1000 * seed + number)
    return _grown(net, Frozen.of(teacher), serve(net, people, guide, how.student), entries, how, number, seed)


def unrevised_round(
    student: Result, teacher: Result, how: Refining, number: int, seed: int, budget: Result, *before: Result
) -> Json:
    """The same without comparison: the first strategy of each scenario, of as many as `budget` took queries."""
    how = replace(how, tries=1, scenarios=int(budget.value["queries"]))
    return library_round(student, teacher, how, number, seed, *before)


def teacher_visited(student: Result, teacher: Result, how: Refining, rounds: int, seed: int) -> Json:
    """One round on the states that the teacher's own dialogues visit, of as many customers and scenarios as all rounds.

    The teacher's replies in these dialogues are not counted among the queries.
    """
    net, master = Frozen.of(student), Frozen.of(teacher)
    people = [one for k in range(rounds) for one in customers(how.dialogues, "train", 1000 * seed + k)]
    held = serve(master, people, Guide(), how.teacher)
    how = replace(how, scenarios=rounds * how.scenarios)
    found = said(net, held.states, [""] * len(held.states), STRATEGY, how.student)
    return _grown(net, master, replace(held, replies=found), (), how, 0, seed)


def _grown(
    net: Frozen, teacher: Frozen, held: Served, entries: Sequence[Entry], how: Refining, number: int, seed: int
) -> Json:
    draws = np.random.default_rng([17, seed, number])
    taken = uncovered(held.states, [entry.scenario for entry in entries], how.near, how.scenarios, draws)
    states, before = ([own[at] for at in taken] for own in (held.states, held.replies))
    found: Refined = refined(net, teacher, states, before, how, number, 31 * seed + number)
    return {
        "entries": [*entries, *found.entries], "states": states, "visited": held.states, "queries": found.queries,
        "mastered": found.mastered, "rejected": found.rejected, "written": found.written,
        "satisfaction": float(np.mean([talk.satisfaction for talk in held.talks])),
    }  # fmt: skip


def teacher_replies(teacher: Result, how: Refining, seed: int, *rounds: Result) -> Json:
    """The teacher's replies to as many states as a library took queries: those it took up, and others it visited.

    Returns:
      "entries": the state of each, as a scenario, and the reply as it is; "states", as they are; "queries".
    """
    budget = sum(own.value["queries"] for own in rounds)
    first = [state for own in rounds for state in own.value["states"]]
    others = sorted({state for own in rounds for state in own.value["visited"]} - set(first))
    order = np.random.default_rng([19, seed]).permutation(len(others))
    states = list(dict.fromkeys([*first, *(others[at] for at in order)]))[:budget]
    found = said(Frozen.of(teacher), states, [""] * len(states), AGENT, how.teacher)
    entries = [Entry(masked(state), reply) for state, reply in zip(states, found, strict=True)]
    return {"entries": entries, "states": states, "queries": len(states)}


def reply_rows(made: Result, length: int) -> dict[str, np.ndarray]:
    """Rows of `teacher_replies` of which the replies are learned: "tokens", "targets" and "weights"."""
    return rows_of_replies(made.value["states"], [entry[1] for entry in made.value["entries"]], length)


# --- tests ---


def examined(net: Result, how: Calling, clients: Clients, guide: Guide, *library: Result) -> Json:
    """Whole dialogues with customers: how content each is, and how strategies were used.

    Args:
      guide: with the entries of the library, if one is given.

    Returns:
      "seen" and "unseen": satisfaction of the customers of either; "mistakes" and "turns" of a dialogue, means;
      "guided", the share of replies under an entry, and "obeyed", that of these whose moves are those of the strategy;
      "uses": how often each entry was put, and "content", how content those customers were; "tokens" said.
    """
    if library:
        guide = replace(guide, entries=library_of(library[-1].value))
    return judged(serve(Frozen.of(net), clients.drawn(), guide, how), clients, guide)


def judged(held: Served, clients: Clients, guide: Guide) -> Json:
    """What `examined` says of dialogues."""
    content = [talk.satisfaction for talk in held.talks]
    obeyed = [
        directives(text) == tuple(held.talks[owner].moves(reply))
        for text, reply, owner in zip(held.texts, held.replies, held.owners, strict=True)
        if text and guide.mark == STRATEGY
    ]
    uses = Counter(str(place) for place in held.places if place >= 0)
    return {
        "seen": content[: clients.seen], "unseen": content[clients.seen :],
        "mistakes": float(np.mean([talk.mistakes for talk in held.talks])),
        "turns": float(np.mean([talk.turns for talk in held.talks])),
        "guided": float(np.mean([place >= 0 for place in held.places])),
        "obeyed": float(np.mean(obeyed)) if obeyed else None,
        "uses": dict(uses), "tokens": sum(len(reply.split()) + 1 for reply in held.replies),
        "shown": [talk.parts for talk in held.talks[:2]],
    }  # fmt: skip


def said_tokens(value: Mapping[str, Any]) -> int:
    """Tokens that were said in what `examined` found."""
    return int(value["tokens"])


def best_general(student: Result, how: Calling, clients: Clients, count: int, library: Result) -> Json:
    """Of the library's most frequent strategies the one that is best as the only one for all states.

    Returns:
      "entries" of this one, for every state; "tried" and "content": strategies, and how content customers were.
    """
    common = Counter(entry.text for entry in library_of(library.value)).most_common(count)
    content = []
    for text, _ in common:
        held = serve(Frozen.of(student), clients.drawn(), Guide((Entry("", text),), threshold=-1.0), how)
        content.append(float(np.mean([talk.satisfaction for talk in held.talks])))
    best = common[int(np.argmax(content))][0]
    return {"entries": [Entry("", best)], "tried": [text for text, _ in common], "content": content, "queries": 0}


def obedience(student: Result, how: Calling, agent: int, count: int) -> Json:
    """The share of replies that do what strategies at random say, in wordings that an agent was taught and in others;
    and of those that do what an example does."""
    net, found = Frozen.of(student), {}
    for kind in ("taught", "untaught", "example"):
        draws, talks, texts, wanted = np.random.default_rng(23), list[Talk](), [], []
        for number in range(count):
            talk = drawn_talk(np.random.default_rng([29, number]))
            moves, known = any_moves(draws), taught(agent)
            ways = [
                int(draws.choice([way for way in range(3) if (way in known[move]) == (kind == "taught")]))
                for move in moves
            ]
            own = example_of(moves, talk, draws) if kind == "example" else directed(moves, ways)
            talks, texts, wanted = [*talks, talk], [*texts, own], [*wanted, list(moves)]
        mark = EXAMPLE if kind == "example" else STRATEGY
        replies = said(net, [talk.state for talk in talks], texts, mark, how)
        done = [talk.moves(reply) == own for talk, reply, own in zip(talks, replies, wanted, strict=True)]
        found[kind] = float(np.mean(done))
    return found
