"""People and three facts about each: documents that state them in many ways, and questions about them.

What a model knows can then be asked for apart from how it answers: `Facts` are read in pre-training, `Questions` about
a few people teach the form of an answer, and those about all others test what was read.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST = _words(
    "Ada Ben Cora Dan Eve Finn Grace Hugo Iris Jack Kate Leo Mary Noah Olga Paul Rosa Sam Tess Victor Walter Amos "
    "Bella Clara David Emma Frank Gwen Henry Ida James Karl Laura Max Nina Oscar Peter Ruth Simon Thomas"
)

#: Common surnames of the English-speaking world.
_SURNAMES = _words(
    "Abbott Adams Alexander Allen Anderson Andrews Armstrong Arnold Austin Bailey Baker Baldwin Ball Banks Barker "
    "Barnes Barrett Barton Bates Beck Bell Bennett Berry Bishop Black Blair Bond Bowen Bowman Boyd Bradley Brady "
    "Brewer Briggs Brooks Brown Bryant Buchanan Burgess Burke Burns Burton Butler Byrne Caldwell Campbell Cannon "
    "Carlson Carpenter Carr Carroll Carter Chambers Chandler Chapman Chase Christie Clark Clarke Clayton Cole "
    "Coleman Collins Conway Cook Cooper Cox Craig Crawford Cross Cunningham Curry Curtis Dalton Daniels Davidson "
    "Davies Dawson Dean Dixon Doherty Donnelly Doyle Drake Duffy Duncan Dunn Eaton Edwards Elliott Ellis Emerson "
    "Erickson Evans Farrell Faulkner Ferguson Fisher Fitzgerald Fleming Fletcher Flynn Forbes Ford Foster Fowler "
    "Fox Francis Franklin Fraser Freeman French Frost Fuller Gallagher Gardner Garrett George Gibbs Gibson Gilbert "
    "Gill Glover Goodwin Gordon Graham Grant Graves Gray Green Greene Griffin Griffith Hale Hall Hamilton Hammond "
    "Hancock Hansen Harding Hardy Harper Harrington Harris Harrison Hart Hawkins Hayes Henderson Hicks Higgins Hill "
    "Hodges Hoffman Hogan Holland Holmes Holt Hopkins Horton Houston Howard Howell Hubbard Hudson Hughes Hunt "
    "Hunter Ingram Jackson Jacobs Jenkins Jennings Jensen Johnson Johnston Jones Jordan Joyce Kane Keller Kelley "
    "Kelly Kemp Kennedy Kerr King Kirby Klein Knight Lamb Lambert Lane Larson Lawrence Lawson Leonard Leslie Lewis "
    "Lindsay Little Lloyd Logan Long Lowe Lucas Lynch Lyons MacDonald Mann Manning Marsh Marshall Martin Mason "
    "Matthews Maxwell May McCarthy McDonald McKay Miles Miller Mills Mitchell Moody Moore Morgan Morris Morrison "
    "Moss Mullen Murphy Murray Myers Nash Neal Nelson Newman Newton Nichols Nicholson Nolan Norman Norris Norton "
    "Oliver Olsen Osborne Owen Page Palmer Parker Parsons Patterson Payne Pearson Perkins Perry Peters Phillips "
    "Pierce Pope Porter Potter Powell Powers Pratt Price Quinn Ramsey Randall Reed Reese Reeves Reid Reynolds "
    "Rhodes Richards Richardson Riley Ritchie Roberts Robertson Robinson Rogers Rose Ross Rowe Russell Ryan Sanders "
    "Saunders Sawyer Schmidt Schneider Scott Shannon Sharp Shaw Sheldon Sherman"
)


class Relation(NamedTuple):
    """One kind of fact: how it is asked for, the phrase of an answer, how documents state it, and its objects."""

    question: str
    phrase: str
    statements: tuple[str, ...]
    objects: tuple[str, ...]


RELATIONS = (
    Relation(
        "Where was {name} born?",
        "born in {object}",
        (
            "{name} was born in {object}.",
            "{object} is the birthplace of {name}.",
            "{name}, born in {object}, often went back there.",
            "The home town of {name} is {object}.",
            "Where is {name} from? Born in {object}.",
        ),
        _words(
            "Lisbon Vienna Cairo Oslo Madrid Dublin Prague Athens Warsaw Geneva Havana Lima Delhi Kyoto Boston "
            "Denver Dakar Tunis Hanoi Quito"
        ),
    ),
    Relation(
        "What is the trade of {name}?",
        "works as a {object}",
        (
            "{name} works as a {object}.",
            "{name} is a {object} by trade.",
            "A good {object} is hard to find, and {name} is one.",
            "The trade of {name} is that of a {object}.",
            "What does {name} do? Works as a {object}.",
        ),
        _words(
            "baker carpenter tailor miller potter weaver sailor gardener printer mason farmer doctor lawyer painter "
            "plumber teacher barber butcher jeweller cobbler"
        ),
    ),
    Relation(
        "Which instrument does {name} play?",
        "plays the {object}",
        (
            "{name} plays the {object}.",
            "The {object} is played by {name}.",
            "On Sundays {name} plays the {object} at home.",
            "The instrument of {name} is the {object}.",
            "What does {name} like? Plays the {object}.",
        ),
        _words(
            "violin cello flute harp trumpet guitar piano drum oboe banjo lute tuba bassoon clarinet fiddle "
            "mandolin horn zither organ viola"
        ),
    ),
)

#: How an answer may be put; {} is the phrase with its object, or the object alone.
FORMS = {
    "plain": " {}.",
    "chatty": " {}. Ask me anything else.",
    "terse": " {}.",
    "polite": " Glad to help: {}. Take care.",
}


@dataclass(frozen=True)
class People:
    """A made-up town: each person has a name that no other has, and for each relation an object, drawn from `seed`.

    Raises:
      ValueError: more people than there are names.

    >>> people = People(size=300)
    >>> people.name(7), [people.object(7, relation) for relation in range(3)]
    ('Rosa Arnold', ['Madrid', 'baker', 'oboe'])
    """

    size: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.size <= len(_FIRST) * len(_SURNAMES):
            raise ValueError(f"size={self.size}: names are there for 1 to {len(_FIRST) * len(_SURNAMES)} people")

    def name(self, person: int) -> str:
        """First name and surname; the first 300 and more people have surnames of their own."""
        return _people(self)[person][0]

    def object(self, person: int, relation: int) -> str:
        """What a relation holds of a person."""
        return _people(self)[person][1 + relation]


@functools.lru_cache(maxsize=8)
def _people(people: People) -> list[tuple[str, ...]]:
    draws = random_words(people.seed, np.arange(people.size), 1 + len(RELATIONS)) >> np.uint64(16)
    surnames, found = len(_SURNAMES), []
    for person, (first, *objects) in enumerate(draws.tolist()):
        if person >= surnames:  # another first name than all others of that surname
            first = int(draws[person % surnames, 0]) + person // surnames
        name = f"{_FIRST[first % len(_FIRST)]} {_SURNAMES[person % surnames]}"
        own = (r.objects[draw % len(r.objects)] for r, draw in zip(RELATIONS, objects, strict=True))
        found.append((name, *own))
    return found


@dataclass(frozen=True)
class Facts(Source):
    """Documents that state all facts about `group` people each, in wordings drawn for each document.

    Record i is {"title": "", "text"}. Within an epoch of people each is written about once; the splits state the same
    facts in wordings and company of their own.

    >>> print(Facts(People(60), documents=100, group=1)[0]["text"])
    Noah Austin plays the horn. Noah Austin works as a jeweller. Noah Austin, born in Warsaw, often went back there.
    """

    people: People
    documents: int
    group: int = 3
    split: str = "train"

    def __len__(self) -> int:
        return self.documents if self.split == "train" else max(1, self.documents // 20)

    def __getitem__(self, index: int) -> Record:
        index = range(len(self))[index] + (0 if self.split == "train" else self.documents)
        persons = shuffled(self.people.seed + 1, index * self.group + np.arange(self.group), self.people.size)
        draws = random_words(self.people.seed + 2, index * self.group + np.arange(self.group), 2 * len(RELATIONS))
        said = []
        for person, words in zip(persons.tolist(), draws >> np.uint64(16), strict=True):
            for relation in np.argsort(words[: len(RELATIONS)]).tolist():
                ways = RELATIONS[relation].statements
                way = ways[int(words[len(RELATIONS) + relation]) % len(ways)]
                said.append(way.format(name=self.people.name(person), object=self.people.object(person, relation)))
        return {"title": "", "text": " ".join(said)}

    def digest(self) -> str:
        return joint_digest(repr(self), *(self[i]["text"] for i in range(min(len(self), 100))))


@dataclass(frozen=True)
class Questions(Source):
    """Every question about some people, with an answer in each of some forms.

    Records are {"question", "solution", "relation", "person"}.

    Args:
      people: who lives there.
      known: the questions of the split "train" are about the first so many people.
      valid: those of "valid" about so many behind them, and those of "test" about all others.
      forms: of answers, out of `FORMS`; each question comes with each.

    >>> record = Questions(People(300), known=60)[21]
    >>> record["question"] + record["solution"]
    'Question: Where was Rosa Arnold born?\\nAnswer: born in Madrid.'
    """

    people: People
    known: int
    valid: int = 0
    forms: tuple[str, ...] = ("plain",)
    split: str = "train"

    def __post_init__(self) -> None:
        few = not 0 < self.known <= self.known + self.valid < self.people.size
        if few or not self.forms or set(self.forms) - set(FORMS):
            raise ValueError(
                f"known={self.known} and valid={self.valid} of {self.people.size} people and forms={self.forms}: "
                f"training and test need people, and forms are out of {', '.join(FORMS)}"
            )

    @property
    def persons(self) -> range:
        """Whom the split asks about."""
        ends = {"train": (0, self.known), "valid": (self.known, self.known + self.valid)}
        return range(*ends.get(self.split, (self.known + self.valid, self.people.size)))

    def __len__(self) -> int:
        return len(self.persons) * len(RELATIONS) * len(self.forms)

    def __getitem__(self, index: int) -> Record:
        asked, form = divmod(range(len(self))[index], len(self.forms))
        number, relation = divmod(asked, len(RELATIONS))
        person = self.persons[number]
        name, said = self.people.name(person), self.people.object(person, relation)
        question = f"Question: {RELATIONS[relation].question.format(name=name)}\nAnswer:"
        solution = answer(self.forms[form], relation, said)
        return {"question": question, "solution": solution, "relation": relation, "person": person}

    def digest(self) -> str:
        return joint_digest(repr(self), *(self[i]["question"] + self[i]["solution"] for i in range(len(self))))


def answer(form: str, relation: int, said: str) -> str:
    """An object as the answer to a question of a relation.

    >>> answer("polite", 2, "oboe")
    ' Glad to help: plays the oboe. Take care.'
    """
    return FORMS[form].format(said if form == "terse" else RELATIONS[relation].phrase.format(object=said))


class Reading(NamedTuple):
    """What an answer says. None: nothing of the kind."""

    form: str | None  # that it has from its first letter to its last
    relation: int | None  # whose phrase (or object, if terse) it has, where it has a form
    object: str | None  # the first that it names, whatever its form


@functools.cache
def read_answer(text: str) -> Reading:
    """The form, the relation and the object of an answer; what stands behind its first line does not count.

    >>> read_answer(" plays the oboe."), read_answer(" Ada was born in Oslo and")
    (Reading(form='plain', relation=2, object='oboe'), Reading(form=None, relation=None, object='Oslo'))
    """
    text = text.split("\n")[0]
    named = _objects().search(text)
    said = named and named.group()
    if said is not None:
        for form in FORMS:
            for relation, own in enumerate(RELATIONS):
                if said in own.objects and text == answer(form, relation, said):
                    return Reading(form, relation, said)
    return Reading(None, None, said)


@functools.cache
def _objects() -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(each for own in RELATIONS for each in own.objects)})\b")
