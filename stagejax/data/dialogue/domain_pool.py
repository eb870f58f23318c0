"""Dialogues of several domains, one of which has only a few: as they are, without terms, without other strings."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.dialogue.delexicalized import Delexicalized
from stagejax.data.dialogue.domain_terms import DomainTerms, RandomTerms
from stagejax.data.portion import Portion
from stagejax.data.sources import Source
from stagejax.data.together import Together

#: Forms in which dialogues are read.
PLAIN, MASKED, RANDOM = "plain", "masked", "random"


@dataclass(frozen=True)
class Domain:
    """Dialogues of one domain: records {"turns": [{"text", "facts"}, ...]}."""

    name: str
    train: Source
    validation: Source
    test: Source


@dataclass(frozen=True)
class DomainPool:
    """What is trained on where one domain is the target: all dialogues of the others, and few of its own.

    Dictionaries are made of these dialogues and of nothing else: each domain's against the others.

    Args:
      domains: with names of their own.
      target: the name of one.
      share: of its training dialogues.
      least: times that a keyword is there; see `DomainTerms`.
      seed: of which few dialogues, and of random terms.

    Raises:
      ValueError: no domain has the target's name.

    >>> from stagejax.data.dialogue.drawn_dialogues import DrawnDialogues
    >>> splits = ("train", "validation", "test")
    >>> domains = tuple(Domain(name, *(DrawnDialogues(name, 60, s) for s in splits)) for name in ("park", "film"))
    >>> pool = DomainPool(domains, "park", share=0.1, least=10)
    >>> len(pool.dialogues("park")), len(pool.together(PLAIN)), pool.together(MASKED)[60]["turns"][0]["text"]
    (6, 66, 'do you know □ ?')
    """

    domains: tuple[Domain, ...]
    target: str
    share: float
    least: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.target not in self.names:
            raise ValueError(f"target={self.target!r} is none of the domains {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Of all domains."""
        return tuple(own.name for own in self.domains)

    def domain(self, name: str) -> Domain:
        """One of them."""
        return next(own for own in self.domains if own.name == name)

    def dialogues(self, name: str) -> Source:
        """What is trained on of a domain, as it is."""
        own = self.domain(name).train
        return Portion(own, stop=self.share, seed=self.seed) if name == self.target else own

    def dictionary(self, name: str) -> DomainTerms:
        """The terms of a domain."""
        others = tuple(self.dialogues(other) for other in self.names if other != name)
        return DomainTerms(self.dialogues(name), others, least=self.least)

    def read(self, name: str, source: Source, form: str) -> Source:
        """Dialogues of a domain in one of the forms, those that are held out as well."""
        terms = self.dictionary(name)
        ways = {MASKED: terms, RANDOM: RandomTerms(terms, self.seed)}
        return source if form == PLAIN else Delexicalized(source, ways[form])

    def together(self, form: str) -> Source:
        """All that is trained on, in one form."""
        return Together(tuple(self.read(name, self.dialogues(name), form) for name in self.names))
