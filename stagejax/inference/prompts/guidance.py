"""A library of scenarios and strategies: a teacher writes it for a student who is not trained, likeness finds in it.

A scenario is a state of a dialogue without the names and numbers of its case; beside it stands what is put into the
student's prompt. Libraries are JSON, so that anyone can read, correct or delete an entry. All functions of results are
for `run.make`.

Reference: Using Advanced LLMs to Enhance Smaller LLMs: An Interpretable Knowledge Distillation Approach, 2024,
https://arxiv.org/abs/2408.07238.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from stagejax.data.dialogue.customer_service import prompt
from stagejax.data.dialogue.customers import Customer, Talk
from stagejax.data.dialogue.service_language import AGENT, CUSTOMER, MARKS, STRATEGY, masked
from stagejax.data.dialogue.service_language import service_words as words
from stagejax.data.prompts.answers import answer_row, encoded
from stagejax.data.retrieval.tfidf import tf_idf
from stagejax.data.tokenizers import SPECIAL
from stagejax.inference.frozen import Frozen, apply
from stagejax.inference.likelihood import row_losses
from stagejax.inference.reasoning.two_calls import Calling, replies

Json = dict[str, Any]


class Entry(NamedTuple):
    """A scenario and what is to be done in it."""

    scenario: str
    text: str
    gain: float = 0.0  # of the judge's score, in nats, where it was written
    round: int = 0
    tries: int = 1


def likeness(states: Sequence[str], scenarios: Sequence[str], before: float = 0.5) -> Float[np.ndarray, "N M"]:
    """Cosines of states with scenarios: of vectors of TF-IDF of the last message, and of all before it times `before`.

    Names and numbers do not count. Rare are words that few of the scenarios have.

    >>> likeness(["C hello Ann my lamp is broken"], ["C hello _ my lamp is broken", "C i hope"]).round(2).tolist()
    [[1.0, 0.0]]
    """
    if not states or not scenarios:
        return np.zeros((len(states), len(scenarios)))

    first = SPECIAL + len(MARKS)  # marks do not count

    def parts(texts: Sequence[str]) -> list[np.ndarray]:
        split = [masked(text).rpartition(f"{CUSTOMER} ") for text in texts]
        rows = words().encode([part for own in split for part in (own[2], own[0])])
        size = max(map(len, rows)) + 1
        full = np.stack([np.pad(np.where(row < first, 0, row), (0, size - len(row))) for row in rows])
        return [full[0::2], full[1::2]]

    own, other, size = parts(states), parts(scenarios), words().vocab
    pairs = zip((1.0, before), own, other, strict=True)
    found = sum(weight**2 * tf_idf(a, b, size) @ tf_idf(b, b, size).T for weight, a, b in pairs)
    norms = [np.sqrt(1 + before**2 * (part[1] > 0).any(1)) for part in (own, other)]
    return found / np.outer(*norms)


@dataclass(frozen=True)
class Guide:
    """What is put into a prompt: where an entry is as near as `threshold`, the text of the nearest, or of a random one.

    Args:
      entries: of a library; none: nothing is put.
      mark: what begins the text: a strategy or an example.
      threshold: least cosine.
      random: take any entry instead, where one is as near.

    >>> library = (Entry("C my lamp is broken", "say sorry"), Entry("C it is urgent", "send it fast"))
    >>> Guide(library).texts(["C it is urgent thanks", "C what now"])
    (['send it fast', ''], [1, -1])
    """

    entries: tuple[Entry, ...] = ()
    mark: str = STRATEGY
    threshold: float = 0.5
    random: int | None = None  # the seed

    def texts(self, states: Sequence[str], turn: int = 0) -> tuple[list[str], list[int]]:
        """For each state a text, "" for none, and the number of its entry, -1 for none."""
        if not self.entries:
            return [""] * len(states), [-1] * len(states)
        near = likeness(states, [entry.scenario for entry in self.entries])
        chosen = near.argmax(1)
        if self.random is not None:
            chosen = np.random.default_rng([self.random, turn]).integers(len(self.entries), size=len(states))
        places = np.where(near.max(1) >= self.threshold, chosen, -1)
        return [self.entries[at].text if at >= 0 else "" for at in places.tolist()], places.tolist()


@dataclass
class Served:
    """Dialogues that were held, and every reply: what was read, which entry was put (-1: none) and said."""

    talks: list[Talk]
    states: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)  # number of the dialogue


def said(net: Frozen, states: Sequence[str], texts: Sequence[str], mark: str, how: Calling) -> list[str]:
    """The likeliest replies to states, each under a text or, where it is "", under none.

    >>> # said(Frozen.of(student), ["C my lamp is broken"], ["say sorry"], STRATEGY, Calling(104, 14, 32))
    """
    asked = [prompt(own, *(((mark, text),) if text else ())) for own, text in zip(states, texts, strict=True)]
    return replies(net, words(), asked, how, CUSTOMER).texts if asked else []


def serve(net: Frozen, people: Sequence[Customer], guide: Guide, how: Calling) -> Served:
    """Dialogues of an agent with customers, all abreast, until the last one is over.

    >>> # serve(Frozen.of(student), customers(32, "train", 0), Guide(library), Calling(104, 14, 32)).talks
    """
    made = Served([Talk(one) for one in people])
    turn = 0
    while open_ := [number for number, talk in enumerate(made.talks) if not talk.over]:
        states = [made.talks[number].state for number in open_]
        texts, places = guide.texts(states, turn)
        found = said(net, states, texts, guide.mark, how)
        for number, reply in zip(open_, found, strict=True):
            made.talks[number].hear(reply)
        made.states, made.texts, made.replies = made.states + states, made.texts + texts, made.replies + found
        made.places, made.owners, turn = made.places + places, made.owners + open_, turn + 1
    return made


# --- teacher ---


@dataclass(frozen=True)
class Refining:
    """How a library grows.

    Args:
      dialogues: of a round, with customers of the train split.
      scenarios: that are taken up in a round.
      near: cosine from which a state is covered by an entry, or by another state of the round.
      threshold: of the student's retrieval while the library grows.
      tries: strategies for a scenario at most; 1: the first one is kept, and nothing is compared.
      slack: nats by which the judge may find a reply worse than the teacher's and be content.
      temperature: of strategies.
      student, teacher: how both are asked.
    """

    dialogues: int = 32
    scenarios: int = 20
    near: float = 0.9
    threshold: float = 0.5
    tries: int = 4
    slack: float = 2.5
    temperature: float = 0.7
    student: Calling = field(default_factory=lambda: Calling(104, 14, 32))
    teacher: Calling = field(default_factory=lambda: Calling(112, 17, 32))


def scores(teacher: Frozen, states: Sequence[str], said: Sequence[str], how: Calling) -> Float[np.ndarray, " N"]:
    """The judge: log p_T(reply | state) in nats, its end with it.

    >>> # scores(Frozen.of(teacher), states, replies, Calling(112, 17, 32)) - scores_of_its_own
    """
    if not states:
        return np.zeros(0)
    rows = rows_of_replies(states, said, how.prompt + how.limit)
    return -apply(row_losses, teacher, rows, how.batch) * rows["weights"].sum(1)


def rows_of_replies(states: Sequence[str], said: Sequence[str], length: int) -> dict[str, np.ndarray]:
    """Rows of states with replies, of which the replies are learned: "tokens", "targets" and "weights"."""
    rows = [answer_row(*encoded(words(), prompt(s), y), length) for s, y in zip(states, said, strict=True)]
    tokens, weights = (np.stack(part) for part in zip(*rows, strict=True))
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights}


def advised(teacher: Frozen, asked: Sequence[tuple[str, str, str]], how: Refining, seed: int) -> list[str]:
    """Strategies for states, given what the student replied and, where it is not "", the strategy that it was under.

    >>> # advised(Frozen.of(teacher), [(state, "which order is it", "")], Refining(), seed=0)
    """
    prompts = [
        prompt(state, *(((STRATEGY, failed),) if failed else ()), (AGENT, reply), wanted=STRATEGY)
        for state, reply, failed in asked
    ]
    return replies(teacher, words(), prompts, how.teacher, CUSTOMER, how.temperature, seed).texts if asked else []


def allowed(strategy: str) -> bool:
    """The rule filter: a strategy says something, and names nobody and no number.

    >>> allowed("say sorry"), allowed("say sorry for Ann"), allowed("")
    (True, False, False)
    """
    return bool(strategy) and masked(strategy) == strategy


class Refined(NamedTuple):
    """What the loop left: entries, and how many answers of the teacher it took."""

    entries: list[Entry]
    queries: int
    mastered: int
    written: int  # strategies
    rejected: int  # of these, taken out by the filter


def refined(
    student: Frozen, teacher: Frozen, states: Sequence[str], before: Sequence[str], how: Refining, round: int, seed: int
) -> Refined:
    """Assess, write, obey, compare and revise, for all states abreast.

    A reply with which the judge is content needs no strategy. For the others the teacher writes one, the student
    replies under it, and the judge compares: the best strategy so far is kept, and the next is written given the last
    and what came of it; until the judge is content, two tries in a row gain nothing, or there were `tries`. A strategy
    without any gain is not stored. One that the filter takes out is a try as well.

    Args:
      before: the student's replies as things are.

    Returns:
      Entries; queries are replies, strategies and judgements of the teacher.
    """
    if how.tries == 1:
        found = advised(teacher, [(s, y, "") for s, y in zip(states, before, strict=True)], how, seed)
        kept = [Entry(masked(s), g, 0.0, round) for s, g in zip(states, found, strict=True) if allowed(g)]
        return Refined(kept, len(states), 0, len(found), len(found) - len(kept))
    wanted = said(teacher, states, [""] * len(states), AGENT, how.teacher)
    goal, start = (scores(teacher, states, own, how.teacher) for own in (wanted, before))
    best, text = start.copy(), [""] * len(states)
    reply, failed, idle, tries = list(before), [""] * len(states), np.zeros(len(states), int), [0] * len(states)
    queries, written, rejected, mastered = 2 * len(states), 0, 0, int((start >= goal - how.slack).sum())
    for number in range(how.tries):
        open_ = [at for at in range(len(states)) if best[at] < goal[at] - how.slack and idle[at] < 2]
        asked = [(states[at], reply[at], failed[at]) for at in open_]
        found = dict(zip(open_, advised(teacher, asked, how, 97 * seed + number), strict=True))
        good = [at for at in open_ if allowed(found[at])]
        queries, written = queries + len(open_) + len(good), written + len(open_)
        rejected += len(open_) - len(good)
        now = said(student, [states[at] for at in good], [found[at] for at in good], STRATEGY, how.student)
        score = scores(teacher, [states[at] for at in good], now, how.teacher)
        for at, own, value in zip(good, now, score.tolist(), strict=True):
            reply[at], failed[at] = own, found[at]
            idle[at] = 0 if value > best[at] else idle[at] + 1
            if value > best[at]:
                best[at], text[at], tries[at] = value, found[at], number + 1
    kept = [
        Entry(masked(states[at]), text[at], float(best[at] - start[at]), round, tries[at])
        for at in range(len(states))
        if text[at]
    ]
    return Refined(kept, queries, mastered, written, rejected)


def uncovered(
    states: Sequence[str], scenarios: Sequence[str], near: float, count: int, draws: np.random.Generator
) -> list[int]:
    """Numbers of `count` states at random of which none is near to a scenario or to another of them.

    >>> len(uncovered(["C what now"] * 2 + ["C it is urgent"], ["C it is urgent"], 0.9, 3, np.random.default_rng(0)))
    1
    """
    order = draws.permutation(len(states)).tolist()
    shuffled = [states[at] for at in order]
    if scenarios:
        far = likeness(shuffled, scenarios).max(1) < near
        order, shuffled = ([own for own, free in zip(part, far, strict=True) if free] for part in (order, shuffled))
    among, taken = likeness(shuffled, shuffled), list[int]()
    for at in range(len(order)):
        if len(taken) < count and (not taken or among[at, taken].max() < near):
            taken.append(at)
    return [order[at] for at in taken]


def library_of(value: Mapping[str, Any]) -> tuple[Entry, ...]:
    """The entries of a library as `run.make` keeps it.

    >>> library_of({"entries": [["C what now", "say sorry", 1.5, 0, 2]]})[0].gain
    1.5
    """
    return tuple(Entry(*entry) for entry in value["entries"])
