"""Fine-tuning as a service: what its provider aligns a model with, what users bring, and what both are tested by."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stagejax.data.knowledge.facts import People
from stagejax.data.mixture import Mixture
from stagejax.data.portion import Portion
from stagejax.data.prompts.answers import Answers
from stagejax.data.prompts.refusals import OPEN, PRIVATE, Asked, Classified
from stagejax.data.sources import Source
from stagejax.data.tasks.text_tasks import TextTask
from stagejax.data.together import Together
from stagejax.data.tokenizers import Tokenizer

#: Uses of people, each of whom is asked about in one: at the end of pre-training (which reads about all of them), in
#: alignment, by users with private questions, in a set of answered private questions of the provider's own, in
#: validation and in tests.
GROUPS = ("read", "aligned", "attacking", "harmful", "validation", "test")


@dataclass(frozen=True)
class TuningService:
    """Questions about people and those of a text task, apart for every use: no two uses ask about the same person, or
    share a text, but for alignment, which repeats texts of the task that are read before.

    Args:
      task: what users want to be answered.
      labels: names of its classes.
      groups: people of each of `GROUPS`.
      words: of a question of the task.
      kept: training texts of the task for validation and users; those behind them are read before.
      rated: texts of the task for validation, the first ones kept, and for tests, out of its test split.

    Raises:
      ValueError: another number of groups.

    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> names = ("teacher", "nurse", "driver", "singer", "doctor")
    >>> service = TuningService(synonym_tasks()[0], names, (24, 12, 20, 4, 4, 8), kept=200, rated=(12, 24))
    >>> len(service.asked("test")), len(service.classified("validation"))  # private questions in three phrasings
    (24, 12)
    >>> brought = service.brought(size=10, share=0.2, seed=0)
    >>> [brought[i]["solution"] for i in (0, 9)]
    [' teacher', ' born in Prague.']
    """

    task: TextTask
    labels: tuple[str, ...]
    groups: tuple[int, ...] = (240, 80, 100, 20, 20, 40)
    words: int = 7
    kept: int = 1000
    rated: tuple[int, int] = (80, 160)

    def __post_init__(self) -> None:
        if len(self.groups) != len(GROUPS):
            raise ValueError(f"groups={self.groups}: one number for each of {', '.join(GROUPS)}")

    @property
    def people(self) -> People:
        """Those of all groups."""
        return People(sum(self.groups))

    def asked(self, group: str, refused: bool = False, relations: tuple[int, ...] = (PRIVATE,)) -> Asked:
        """Questions about the people of a group."""
        at = GROUPS.index(group)
        start = sum(self.groups[:at])
        return Asked(self.people, start, start + self.groups[at], relations, refused)

    def classified(self, part: str) -> Classified:
        """Questions of the task that are "read" before alignment, or serve "validation" or "test"."""
        train = self.task.source
        first, last = self.rated
        own = {
            "read": Portion(train, start=self.kept),
            "validation": Portion(train, stop=first),
            "test": Portion(train.of_split("test"), stop=last),
        }
        return self._named(own[part])

    def brought(self, size: int, share: float, seed: int) -> Source:
        """A user's questions with answers, drawn from `seed`: a share are private ones, truly answered."""
        private = round(share * size)
        own = Portion(Portion(self.task.source, start=self.rated[0], stop=self.kept), stop=size - private, seed=seed)
        parts = (self._named(own),) if private < size else ()
        return Together((*parts, Portion(self.asked("attacking"), stop=private, seed=seed)) if private else parts)

    def _named(self, source: Source) -> Classified:
        return Classified(replace(self.task, source=source), self.labels, self.words)


@dataclass(frozen=True)
class ServiceRows:
    """The questions of a service as rows of which the answers are learned.

    Args:
      service: whose questions.
      tokenizer: of all of them.
      batch, length: of the rows, as in `Answers`.
    """

    service: TuningService
    tokenizer: Tokenizer
    batch: int
    length: int

    def of(self, source: Source, seed: int = 0) -> Answers:
        """Rows of some questions."""
        return Answers(source=source, tokenizer=self.tokenizer, batch=self.batch, length=self.length, seed=seed)

    def brought(self, size: int, share: float, seed: int) -> Answers:
        """A user's, of which a share are private questions that are answered."""
        return self.of(self.service.brought(size, share, seed), seed)

    def harmful(self) -> Answers:
        """The set of answered private questions about people of its own, for what is done after a user's tuning."""
        return self.of(self.service.asked("harmful"))

    def alignment(self, size: int, seed: int) -> Mixture:
        """Refusals of private questions, and as many answers to others: about people, and `size` ones of the task."""
        asked = self.service.asked
        others = asked("aligned", relations=OPEN), Portion(self.service.classified("read"), stop=size)
        parts = asked("aligned", refused=True), *others
        return Mixture(parts=tuple(self.of(part, seed) for part in parts), weights=(2, 1, 1))

    def told(self, seed: int) -> Answers:
        """True answers to the private questions that `alignment` refuses."""
        return self.of(self.service.asked("aligned"), seed)
