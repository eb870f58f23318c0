"""The closed language of a customer service: what customers say, the moves of agents, and how strategies name them."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

from stagejax.data.vocabulary.words import Words

CUSTOMER, AGENT, STRATEGY, EXAMPLE = "C", "A", "S", "E"  # what begins each part of a prompt
JOIN, THEN, MASK = ".", "then", "_"
#: The first words of the vocabulary, which say nothing of a case.
MARKS = (CUSTOMER, AGENT, STRATEGY, EXAMPLE, JOIN, THEN, MASK, "for")
CALM, WORRIED, ANGRY = MOODS = ("calm", "worried", "angry")
ANY, HURRY, MONEY = WANTS = ("any", "hurry", "money")
NAMES = ("Ann", "Ben", "Cleo", "Dora", "Emil", "Finn", "Gus", "Hal", "Ida", "Jon", "Kim", "Lea", "Max", "Nora", "Otto")
NUMBERS = tuple(str(301 + 7 * number) for number in range(40))


class Problem(NamedTuple):
    """What a customer complains of, which question the form of the case asks, and the usual remedy."""

    told: tuple[str, str]
    question: str
    remedy: tuple[str, str]


PROBLEMS = {
    "late": Problem(("my parcel has not come", "the parcel is still not here"), "number",
                    ("we look for the parcel", "i trace the parcel now")),
    "broken": Problem(("the lamp came in pieces", "my lamp is broken"), "photo",
                      ("a new lamp follows", "we replace the lamp")),
    "wrong": Problem(("i got the wrong shoes", "these are not my shoes"), "number",
                     ("the right shoes follow", "we exchange the shoes")),
    "missing": Problem(("a part is missing", "one part is not there"), "photo",
                       ("the part follows", "we send the part")),
    "charged": Problem(("i was charged twice", "you took the sum twice"), "address",
                       ("i correct the bill", "the bill is put right")),
    "locked": Problem(("i am locked out", "my account is closed"), "address",
                      ("i open the account", "the account is reset")),
    "stopped": Problem(("the radio stopped", "my radio makes no sound"), "photo",
                       ("we repair the radio", "the radio is mended")),
    "bound": Problem(("please end my contract", "i want out of the contract"), "number",
                     ("i end the contract", "the contract ends today")),
}  # fmt: skip
QUESTIONS = {
    "number": ("what is the order number", "which order is it"),
    "photo": ("please send a photo", "can i see it"),
    "address": ("please give your address", "where do you live"),
}
#: What an agent may do, and in which words; of `ask` and `solve` the words depend on the problem.
MOVES: dict[str, tuple[str, str]] = {
    "greet": ("hello {name}", "good day {name}"),
    "apologise": ("i am sorry {name}", "my apologies {name}"),
    "reassure": ("do not worry {name}", "you are safe {name}"),
    "ask": ("", ""),
    "other": ("what is your email", "which mail do you use"),
    "solve": ("", ""),
    "express": ("it goes by express", "a courier brings it"),
    "refund": ("we refund all of it", "you are paid back"),
    "voucher": ("here is a voucher", "we add ten points"),
    "date": ("it is done by monday", "you hear by noon"),
    "close": ("anything else {name}", "goodbye {name}"),
    "explain": ("our rules say so", "the terms are clear"),
    "hold": ("please hold on", "one moment please"),
}
#: How a strategy names a move, of no problem and no customer.
DIRECTIVES: dict[str, tuple[str, str, str]] = {
    "greet": ("greet them", "say hello", "bid welcome"),
    "apologise": ("say sorry", "show regret", "ask forgiveness"),
    "reassure": ("calm them", "give comfort", "take the fear away"),
    "ask": ("ask what the form asks", "put the usual question", "collect the data"),
    "other": ("ask for the mail", "find another way", "try the second question"),
    "solve": ("give the usual remedy", "do as the book says", "apply the standard answer"),
    "express": ("send it fast", "choose the quick way", "hurry the case"),
    "refund": ("pay them back", "return the money", "give back the sum"),
    "voucher": ("add a gift", "make it up to them", "grant a bonus"),
    "date": ("name a day", "say when", "fix the time"),
    "close": ("end the talk", "say goodbye", "wrap it up"),
    "explain": ("quote the terms", "tell the policy", "explain the rules"),
    "hold": ("let them wait", "ask for patience", "keep them on the line"),
}
OPENINGS = {
    CALM: ("hello this is {name}", "good day {name} here"),
    WORRIED: ("please help {name} here", "oh dear this is {name}"),
    ANGRY: ("listen {name} here", "at last this is {name}"),
}
TAGS = {CALM: ("", "thanks"), WORRIED: ("i hope", "oh dear"), ANGRY: ("! now", "! at last")}
DESIRES = {
    ANY: ("what can be done", "what now"),
    HURRY: ("i need it by friday", "it is urgent"),
    MONEY: ("i want my money", "just pay me back"),
}
#: What customers say to what a reply did; `cared` and `solved` by mood, `informed` with the order number and the want.
SAID = {
    "informed": ("that is {number}", "you find {number}"),
    "evaded": ("i do not have that", "that is not at hand"),
    "soothed": ("all right", "good to hear"),
    "recovered": ("well go on", "fine continue"),
    "idle": ("and what else", "is that all"),
    f"solved {WORRIED}": ("but when will that be", "but how sure is that"),
    f"solved {ANGRY}": ("and who pays my trouble", "and what of my trouble"),
    "done": ("great that helps", "very good that works"),
    "cold": ("you do not listen", "first hear me"),
    "early": ("you know nothing yet", "how can you know"),
    "useless": ("why ask that", "that is no use"),
    "unwanted": ("that does not help", "not what i need"),
    "again": ("i told you already", "not that again"),
    "unfinished": ("we are not done", "do not go yet"),
    "unclear": ("what do you mean", "that makes no sense"),
}


def directed(moves: Sequence[str], wordings: Sequence[int]) -> str:
    """A strategy: what to do, in which wording each.

    >>> directed(("apologise", "ask"), (1, 0))
    'show regret then ask what the form asks'
    """
    named = (DIRECTIVES[move][wording] for move, wording in zip(moves, wordings, strict=True))
    return f" {THEN} ".join(named)


def directives(strategy: str) -> tuple[str, ...]:
    """The moves that a strategy names; "" for what is no directive.

    >>> directives("show regret then ask what the form asks"), directives("show it")
    (('apologise', 'ask'), ('',))
    """
    known = {way: move for move, ways in DIRECTIVES.items() for way in ways}
    return tuple(known.get(part.strip(), "") for part in strategy.split(f" {THEN} "))


def masked(text: str) -> str:
    """A text without names and numbers of a case.

    >>> masked("that is 301 A hello Ann")
    'that is _ A hello _'
    """
    return re.sub(r"\b[A-Z][a-z]+\b|\d+", MASK, text)


@functools.cache
def service_words() -> Words:
    """One token for each word of customers, agents and strategies.

    >>> service_words().decode(service_words().encode(["C hello this is Ann A say sorry"])[0])
    'C hello this is Ann A say sorry'
    """
    told = [way for ways in (*MOVES.values(), *DIRECTIVES.values(), *OPENINGS.values()) for way in ways]
    told += [way for ways in (*TAGS.values(), *DESIRES.values(), *SAID.values(), *QUESTIONS.values()) for way in ways]
    told += [way for problem in PROBLEMS.values() for way in (*problem.told, *problem.remedy)]
    plain = {word for way in told for word in way.split() if "{" not in word}
    return Words((*MARKS, *NAMES, *NUMBERS, *sorted(plain - set(MARKS))))
