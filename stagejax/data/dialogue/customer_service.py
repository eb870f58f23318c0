"""What agents of a customer service learn from: replies by habit, by a strategy or like an example; what a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stagejax.data.dialogue.customers import TURNS, Customer, Mix, Talk, customers, replied
from stagejax.data.dialogue.service_language import (
    AGENT,
    DIRECTIVES,
    EXAMPLE,
    MOVES,
    NAMES,
    NUMBERS,
    PROBLEMS,
    STRATEGY,
    directed,
)
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

#: What an agent is asked for: a reply by habit, under a strategy, like an example.
HABIT, TOLD, SHOWN = "habit", "told", "shown"
#: And a teacher: the best reply, a strategy for an agent who replied so, and another one behind one that failed.
REPLY, ADVICE, AGAIN = "reply", "advice", "again"
_ALL = (0, 1, 2)


def prompt(state: str, *parts: tuple[str, str], wanted: str = AGENT) -> str:
    """What was said so far, what is given beside it, and the mark of what is wanted.

    >>> prompt("C please help", (STRATEGY, "calm them"))
    'C please help S calm them A'
    """
    given = (f"{mark} {text}" for mark, text in parts)
    return " ".join([state, *given, wanted])


def taught(agent: int) -> dict[str, tuple[int, ...]]:
    """Of each move the two of three wordings in strategies that an agent was taught; the third differs among agents.

    >>> taught(0)["greet"], taught(1)["greet"]
    ((1, 2), (0, 2))
    """
    return {
        move: tuple(way for way in _ALL if way != (place + agent) % len(_ALL)) for place, move in enumerate(DIRECTIVES)
    }


@dataclass(frozen=True)
class ServiceTexts(Source):
    """Prompts and what is to be said behind them: records {"question", "solution", "kind"} about states of dialogues.

    States are those of customers of the train split, of no mix that is kept from training, who heard replies of which
    some were the best ones, some by habit and some at random. What an agent says under a strategy or like an example
    is drawn at random as well, so that it learns to obey, and nothing of what is best; an example is a reply to
    another customer, who may have another problem, and asks for the same moves.

    Args:
      kinds: in turn, one a record.
      agent: whose wordings strategies have; of `taught`.
      names: share of a teacher's strategies that name the customer, as careless experts do.

    Raises:
      ValueError: an unknown kind.

    >>> record = ServiceTexts((TOLD,))[0]
    >>> record["question"].split(" S ")[1], record["solution"]
    ('add a gift then bid welcome A', 'here is a voucher . good day Ann')
    """

    kinds: tuple[str, ...]
    size: int = 4000
    agent: int = 0
    names: float = 0.25
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if set(self.kinds) - {HABIT, TOLD, SHOWN, REPLY, ADVICE, AGAIN} or not self.kinds:
            raise ValueError(f"kinds={self.kinds}: at least one of habit, told, shown, reply, advice, again")

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        index = range(self.size)[index]
        draws = np.random.default_rng([13, self.seed, index])
        kind, talk = self.kinds[index % len(self.kinds)], drawn_talk(draws)
        asked, said = getattr(self, f"_{kind}")(talk, draws)
        return {"question": asked, "solution": said, "kind": kind}

    def digest(self) -> str:
        return joint_digest(str(self))

    def _habit(self, talk: Talk, draws: np.random.Generator) -> tuple[str, str]:
        return prompt(talk.state), _said(talk.habit(), talk, draws)

    def _told(self, talk: Talk, draws: np.random.Generator) -> tuple[str, str]:
        moves, known = any_moves(draws), taught(self.agent)
        ways = [int(draws.choice(known[move])) for move in moves]
        return prompt(talk.state, (STRATEGY, directed(moves, ways))), _said(moves, talk, draws)

    def _shown(self, talk: Talk, draws: np.random.Generator) -> tuple[str, str]:
        moves = any_moves(draws)
        return prompt(talk.state, (EXAMPLE, example_of(moves, talk, draws))), _said(moves, talk, draws)

    def _reply(self, talk: Talk, draws: np.random.Generator) -> tuple[str, str]:
        return prompt(talk.state), _said(talk.best(), talk, draws)

    def _advice(self, talk: Talk, draws: np.random.Generator) -> tuple[str, str]:
        before = _said(_weak(talk, draws), talk, draws)
        ways = [int(draws.choice(_ALL)) for _ in talk.best()]
        return prompt(talk.state, (AGENT, before), wanted=STRATEGY), self._named(
            directed(talk.best(), ways), talk, draws
        )

    def _again(self, talk: Talk, draws: np.random.Generator) -> tuple[str, str]:
        """A strategy that failed: what the reply did is asked for in the same words, what it did not do in others."""
        best = talk.best()
        tried = best if draws.random() < 0.85 else any_moves(draws)
        ways = {move: int(draws.choice(_ALL)) for move in (*tried, *best)}
        done = [move for move in best if draws.random() < 0.4][: len(best) - 1]
        weak = any_moves(draws) if draws.random() < 0.5 else _weak(talk, draws)
        did = [*done, *(move for move in weak if move not in best)][:2] or list(weak)
        named = [ways[move] if move in done and move in tried else _other(ways[move], draws) for move in best]
        failed = directed(tried, [ways[move] for move in tried])
        asked = prompt(talk.state, (STRATEGY, failed), (AGENT, _said(did, talk, draws)), wanted=STRATEGY)
        return asked, self._named(directed(best, named), talk, draws)

    def _named(self, strategy: str, talk: Talk, draws: np.random.Generator) -> str:
        return f"{strategy} for {talk.customer.name}" if draws.random() < self.names else strategy


def drawn_talk(draws: np.random.Generator) -> Talk:
    """A dialogue with a customer of the train split that is not over, behind none to four replies of all kinds.

    >>> talk = drawn_talk(np.random.default_rng(0))
    >>> talk.over, talk.turns < TURNS
    (False, True)
    """
    (customer,) = customers(1, "train", int(draws.integers(1 << 30)))
    talk, count = Talk(customer), int(draws.integers(TURNS))
    last, share = Talk(customer), draws.random()
    for _ in range(count):
        kind = draws.random()
        moves = talk.best() if kind < 0.3 + 0.5 * share else talk.habit() if kind < 0.9 else any_moves(draws)
        said = _said(moves, talk, draws)
        talk.hear(said)
        if talk.over:
            break
        last.hear(said)
    return last


def any_moves(draws: np.random.Generator) -> tuple[str, ...]:
    """One or two moves at random.

    >>> any_moves(np.random.default_rng(2))
    ('apologise', 'ask')
    """
    return tuple(str(move) for move in draws.choice(list(MOVES), int(draws.integers(1, 3)), replace=False))


def example_of(moves: Sequence[str], talk: Talk, draws: np.random.Generator) -> str:
    """A reply of these moves to another customer, of the same problem or of another.

    >>> example_of(("hold",), drawn_talk(np.random.default_rng(0)), np.random.default_rng(0))
    'one moment please'
    """
    mix = talk.customer.mix
    problem = str(draws.choice(list(PROBLEMS))) if draws.random() < 0.5 else mix.problem
    other = Customer(Mix(problem, *mix[1:]), str(draws.choice(NAMES)), str(draws.choice(NUMBERS)))
    return replied(moves, other, int(draws.integers(4)))


def _weak(talk: Talk, draws: np.random.Generator) -> tuple[str, ...]:
    return talk.habit() if draws.random() < 0.6 else any_moves(draws)


def _said(moves: Sequence[str], talk: Talk, draws: np.random.Generator) -> str:
    return replied(moves, talk.customer, int(draws.integers(4)))


def _other(way: int, draws: np.random.Generator) -> int:
    return (way + int(draws.integers(1, 3))) % len(_ALL)
