"""What a model reads first: what the tasks of `mistakes` are about, and nothing of how they are answered."""

from __future__ import annotations

from stagejax.data.knowledge.town import Town, TownProse
from stagejax.data.prompts import enumerations
from stagejax.data.prompts.enumerations import ThingProse
from stagejax.data.reasoning import prose
from stagejax.data.reasoning.list_programs import ListPrograms
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.prose import CodeProse, StoryProse, SumProse
from stagejax.data.reasoning.written import BRIEF, words_of
from stagejax.data.sources import Source


def first_reading(town: Town, text: Source, documents: int, largest: int = 20) -> tuple[tuple[Source, float], ...]:
    """Sources with their weights in a mixture: other text; residents; sums; stories with numbers, of which nothing is
    asked; list programs and what their statements are called; things and their kinds.

    Programs and stories are drawn from another seed than those of `drawn_tasks`, from the same training split.

    Args:
      documents: how many of stories, programs and things; twice as many of residents, four times of sums.
      largest: number in sums and stories.

    >>> from stagejax.data import Stdlib
    >>> read = first_reading(Town(residents=40, newcomers=6, degree=3), Stdlib(), 10)
    >>> [(type(source).__name__, weight) for source, weight in read[1:4]]
    [('TownProse', 8.0), ('SumProse', 2.0), ('StoryProse', 1.0)]
    """
    told = Problems(steps=(1, 2, 3, 4), largest=largest, wording=BRIEF, seed=5)
    return (
        (text, 1.0),
        (TownProse(town, 2 * documents), 8.0),
        (SumProse(4 * documents, largest=largest), 2.0),
        (StoryProse(documents, problems=told), 1.0),
        (CodeProse(documents, programs=ListPrograms(seed=5)), 1.5),
        (ThingProse(documents), 0.5),
    )


def known_words(town: Town, largest: int = 20) -> tuple[str, ...]:
    """All words of this reading but its other text, and of the questions and answers of the tasks, each once.

    >>> words = known_words(Town(residents=40, newcomers=6, degree=3))
    >>> len(words) == len(set(words)), {"ans", "boss", "plus", "20", "PEAR"} <= set(words)
    (True, True)
    """
    every = (*town.words(), *words_of((BRIEF,), largest).words, *prose.words(largest), *enumerations.words())
    return tuple(dict.fromkeys(every))
