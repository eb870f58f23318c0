"""What is asked about the newcomers to a town, of whom a model has read nothing, and which it is then taught."""

from __future__ import annotations

from dataclasses import replace

from stagejax.data.knowledge.town import Town, TownQuestions
from stagejax.data.portion import Portion
from stagejax.data.sources import Source
from stagejax.data.together import Together
from stagejax.inference.prompts.quizzes import Quiz

NEW, CHAINED, FRONT, DEV = "new fact", "two hops over it", "in front", "dev"


def about_newcomers(town: Town, hops: Quiz, most: int = 60) -> dict[str, Quiz]:
    """New facts in one hop; two hops over one of them and an old fact that no example speaks of; these once more with
    both facts in prose before the question; and, to choose by, new facts beside two hops over them and other old facts.

    Args:
      hops: on two hops of this town, in rows that are long enough; prose takes 22 tokens more.
      most: questions of either half of what is chosen by.

    >>> from stagejax.data.reasoning.mistakes import HOPS
    >>> town = Town(residents=40, newcomers=6, degree=3)
    >>> asked = about_newcomers(town, Quiz(HOPS, TownQuestions(town, ("ood",)), 9, length=32, limit=18), most=5)
    >>> {name: (quiz.questions, quiz.length) for name, quiz in asked.items()}
    {'new fact': (12, 32), 'two hops over it': (5, 32), 'in front': (5, 54), 'dev': (10, 32)}
    >>> asked[FRONT].source[0]["question"]
    'burton calls as doctor on baker . baker calls as friend on briggs . who is the friend of the doctor of burton ?'
    """

    def quiz(source: Source, more: int = 0) -> Quiz:
        return replace(hops, source=source, questions=len(source), length=hops.length + more)

    kinds = ("new",), ("new-old", "old-new"), ("familiar new-old", "familiar old-new")
    new, chained, familiar = (TownQuestions(town, own) for own in kinds)
    half = min(most, len(new), len(familiar))
    return {
        NEW: quiz(new),
        CHAINED: quiz(chained),
        FRONT: quiz(replace(chained, context=True), more=22),
        DEV: quiz(Together((Portion(new, stop=half), Portion(familiar, stop=half)))),
    }
