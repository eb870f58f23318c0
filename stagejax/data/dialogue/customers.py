"""Customers who write to a service: programs with a hidden state, which talk and are content by rules of their own.

An agent never sees the state, only what a customer says. What a reply does is read from its words: sentences of a
closed language (`service_language`), each a move such as an apology, a question or an offer, and some with the
customer's own name.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from stagejax.data.dialogue.service_language import (
    AGENT,
    ANGRY,
    ANY,
    CALM,
    CUSTOMER,
    DESIRES,
    HURRY,
    JOIN,
    MONEY,
    MOODS,
    MOVES,
    NAMES,
    NUMBERS,
    OPENINGS,
    PROBLEMS,
    QUESTIONS,
    SAID,
    TAGS,
    WANTS,
    WORRIED,
)

SPLITS = ("train", "validation", "test")
TURNS = 5  # replies of the agent at most
PATIENCE = 3  # mistakes after which the customer leaves
#: The move that is offered to who wants something, and the one that cares for a mood.
OFFER = {ANY: "solve", HURRY: "express", MONEY: "refund"}
CARE = {WORRIED: "date", ANGRY: "voucher"}


class Mix(NamedTuple):
    """The kind of a customer."""

    problem: str
    mood: str
    want: str

    @property
    def unseen(self) -> bool:
        """Whether it is kept from all training: a quarter of them; of each pair of its parts some are not."""
        parts = ((tuple(PROBLEMS), self.problem), (MOODS, self.mood), (WANTS, self.want))
        return sum(own.index(part) for own, part in parts) % 4 == 0


MIXES = tuple(Mix(problem, mood, want) for problem in PROBLEMS for mood in MOODS for want in WANTS)


@dataclass(frozen=True)
class Customer:
    """A customer: a kind, a name, an order; whether it has at hand what is asked first; and how it words things."""

    mix: Mix
    name: str
    number: str
    evasive: bool = False
    seed: int = 0


def customers(count: int, split: str, seed: int, unseen: bool = False) -> list[Customer]:
    """Customers of a split, whose names and orders no other split has together, of mixes that are trained on or not.

    Args:
      split: one of `SPLITS`.
      unseen: of the mixes that are kept from all training.

    >>> [one.mix.unseen for one in customers(2, "test", seed=0, unseen=True)]
    [True, True]
    """
    place = SPLITS.index(split)
    pairs, mixes = _pairs(place), _mixes(unseen)
    draws, found = np.random.default_rng([11, place, seed, unseen]), []
    for _ in range(count):
        name, number = pairs[int(draws.integers(len(pairs)))]
        mix, evasive = mixes[int(draws.integers(len(mixes)))], draws.random() < 0.25
        found.append(Customer(mix, name, number, bool(evasive), int(draws.integers(1 << 30))))
    return found


@functools.cache
def _pairs(place: int) -> list[tuple[str, str]]:
    """Names and orders of a split: three fifths of all, a fifth, a fifth."""
    parts = (0, 0, 0, 1, 2)
    return [(a, b) for i, a in enumerate(NAMES) for j, b in enumerate(NUMBERS) if parts[(3 * i + j) % 5] == place]


@functools.cache
def _mixes(unseen: bool) -> list[Mix]:
    return [mix for mix in MIXES if mix.unseen == unseen]


@dataclass
class Talk:
    """A dialogue with one customer, whose state the agent does not see.

    What is to be done, in this order: soothe who is not calm (angry ones by an apology, worried ones by reassurance),
    ask the question of the form (or, after "I do not have that", the other one), offer what is wanted, care for who is
    not calm (a voucher, a date), and close. A move before its time, or of no use, is a mistake: the customer is upset,
    and hears nothing but an apology, which soothes it as well. After three mistakes it leaves.

    >>> talk = Talk(Customer(Mix("late", "calm", "any"), "Ann", "301"))
    >>> talk.hear("which order is it")
    >>> talk.state
    'C hello this is Ann my parcel has not come A which order is it C that is 301 what can be done'
    >>> for reply in ("we look for the parcel", "goodbye Ann"):
    ...     talk.hear(reply)
    >>> talk.over, talk.satisfaction
    (True, 1.0)
    """

    customer: Customer
    parts: list[str] = field(default_factory=list)  # what was said in turn, the customer's first
    soothed: bool = False
    upset: bool = False
    evaded: bool = False
    informed: bool = False
    solved: bool = False
    cared: bool = False
    closed: bool = False
    mistakes: int = 0

    def __post_init__(self) -> None:
        mix = self.customer.mix
        self.soothed = self.cared = mix.mood == CALM
        told = f"{self._say(OPENINGS[mix.mood])} {self._say(PROBLEMS[mix.problem].told, 1)} {self._say(TAGS[mix.mood])}"
        self.parts.append(_tidy(told))

    @property
    def turns(self) -> int:
        """Replies heard."""
        return len(self.parts) // 2

    @property
    def over(self) -> bool:
        return self.closed or self.mistakes >= PATIENCE or self.turns >= TURNS

    @property
    def satisfaction(self) -> float:
        """The share of what was to be done, less a twentieth for each mistake; from 0 to 1."""
        calm = self.customer.mix.mood == CALM
        steps = [self.informed, self.solved, self.closed, *(() if calm else (self.soothed, self.cared))]
        return max(0.0, sum(steps) / len(steps) - 0.05 * self.mistakes)

    @property
    def state(self) -> str:
        """What an agent reads: the first message and the last three exchanges."""
        kept = self.parts if len(self.parts) <= 7 else [self.parts[0], *self.parts[-6:]]
        marks = (CUSTOMER, *(AGENT, CUSTOMER) * 3)
        return " ".join(f"{mark} {part}" for mark, part in zip(marks, kept, strict=False))

    def hear(self, reply: str) -> None:
        """Take a reply and answer it, unless the dialogue is over by it."""
        event = "idle"
        for move in self.moves(reply) or [""]:
            found = self._react(move)
            if found in _MISTAKES:
                self.mistakes, self.upset, event = self.mistakes + 1, True, found
                break
            event = found if found != "idle" else event
        if event == "idle":
            self.mistakes += 1  # a turn without any use
        self.parts += [reply, self._answer(event)]

    def moves(self, reply: str) -> list[str]:
        """What the sentences of a reply do; "" for one that makes no sense to this customer."""
        return [_known(self.customer).get(sentence.strip(), "") for sentence in reply.split(f" {JOIN} ")]

    def best(self) -> tuple[str, ...]:
        """The moves of the best next reply, which depend on nothing but what was said."""
        mix, found = self.customer.mix, []
        if self.upset or (mix.mood == ANGRY and not self.soothed):
            found.append("apologise")
        if mix.mood == WORRIED and not self.soothed:
            found.append("reassure")
        steps = []
        if not self.informed:
            steps.append("other" if self.evaded else "ask")
        else:
            steps += [] if self.solved else [OFFER[mix.want]]
            steps += [] if self.cared else [CARE[mix.mood]]
            steps += [] if steps else ["close"]
        return tuple([*found, *steps][:2])

    def habit(self) -> tuple[str, ...]:
        """The moves of an agent who goes by the book: the form's question, a remedy (the usual one, or the money back
        for who wants it), goodbye; and an apology if the customer is upset."""
        remedy = "refund" if self.customer.mix.want == MONEY else "solve"
        step = "close" if self.solved else remedy if self.informed else "ask"
        return ("apologise", step) if self.upset else (step,)

    def _react(self, move: str) -> str:
        """What one move does."""
        mood, want = self.customer.mix.mood, self.customer.mix.want
        if move == "apologise" and (self.upset or (mood == ANGRY and not self.soothed)):
            event = "recovered" if self.upset else "soothed"
            self.upset, self.soothed = False, True
            return event
        if move in ("greet", "apologise"):
            return "idle"
        if move == "":
            return "unclear"
        if self.upset:
            return "cold"
        if move == "reassure":
            if mood == ANGRY and not self.soothed:
                return "cold"
            event = "idle" if self.soothed else "soothed"
            self.soothed = True
            return event
        if move in ("explain", "hold"):
            return "useless"
        if not self.soothed:
            return "cold"
        if move in ("ask", "other"):
            return self._asked(move)
        if not self.informed:
            return "early"
        if move in OFFER.values():
            if self.solved:
                return "again"
            if move != OFFER[want]:
                return "unwanted"
            self.solved = True
            return "done" if self.cared else "solved"
        if not self.solved:
            return "early" if move != "close" else "unfinished"
        if move == "close":
            self.closed = self.cared
            return "done" if self.cared else "unfinished"
        if move != CARE.get(mood):
            return "idle"
        self.cared = True
        return "done"

    def _asked(self, move: str) -> str:
        """What a question does."""
        if self.informed:
            return "again"
        if (move == "other") != self.evaded:
            return "again" if self.evaded else "useless"
        if self.customer.evasive and not self.evaded:
            self.evaded = True
            return "evaded"
        self.informed = True
        return "informed"

    def _answer(self, event: str) -> str:
        mix = self.customer.mix
        own = self._say(SAID[f"solved {mix.mood}" if event == "solved" else event])
        told = event in ("informed", "unwanted", "again") and self.informed and not self.solved
        return _tidy(f"{own} {self._say(DESIRES[mix.want], 1) if told else ''} {self._say(TAGS[mix.mood], 2)}")

    def _say(self, ways: Sequence[str], of: int = 0) -> str:
        way = self.customer.seed >> (3 * self.turns + of) & 1
        return ways[way].format(name=self.customer.name, number=self.customer.number)


_MISTAKES = ("cold", "early", "useless", "unwanted", "again", "unfinished", "unclear")


def _tidy(text: str) -> str:
    return " ".join(text.split())


@functools.lru_cache(maxsize=4096)
def _known(customer: Customer) -> dict[str, str]:
    """Sentences that this customer understands, and what each does; a question of another form is of no use."""
    found = {way: "hold" for ways in QUESTIONS.values() for way in ways}
    found |= {way: "hold" for problem in PROBLEMS.values() for way in problem.remedy}
    for move in MOVES:
        found |= dict.fromkeys(sentences(move, customer), move)
    return found


def sentences(move: str, customer: Customer) -> tuple[str, ...]:
    """Both ways in which a move is said to a customer.

    >>> sentences("ask", Customer(Mix("broken", "calm", "any"), "Ann", "301"))
    ('please send a photo', 'can i see it')
    """
    problem = PROBLEMS[customer.mix.problem]
    ways = {"ask": QUESTIONS[problem.question], "solve": problem.remedy}.get(move, MOVES[move])
    return tuple(way.format(name=customer.name) for way in ways)


def replied(moves: Sequence[str], customer: Customer, ways: int) -> str:
    """A reply of these moves; the bits of `ways` say in which words.

    >>> replied(("apologise", "ask"), Customer(Mix("late", "angry", "any"), "Ann", "301"), 2)
    'i am sorry Ann . which order is it'
    """
    said = (sentences(move, customer)[ways >> place & 1] for place, move in enumerate(moves))
    return f" {JOIN} ".join(said)
