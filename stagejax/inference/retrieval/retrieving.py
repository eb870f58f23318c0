"""Banks of demonstrations in a pipeline: the vectors of their parts, and questions put behind what is found in them."""

from __future__ import annotations

from typing import Any, NamedTuple

from stagejax.data.retrieval.demonstrations import Demonstrated, behind
from stagejax.data.sources import Source
from stagejax.data.together import Together
from stagejax.inference.retrieval.demonstrations import Finder, nearest, text_vectors, vector_flops
from stagejax.result import Result


class Bank(NamedTuple):
    """Demonstrations, and the vectors of all of them, part by part."""

    source: Together = Together(())
    vectors: tuple[Result, ...] = ()

    def joined(self, source: Source, vectors: Result) -> Bank:
        """With one part more.

        >>> # bank.joined(few, vectors_of(run, "few", questions, retriever, 96))
        """
        return Bank(Together((*self.source.parts, source)), (*self.vectors, vectors))


def vectors_of(run: Any, name: str, questions: Demonstrated, retriever: Result, rows: int) -> Result:
    """`text_vectors` of the questions' source; charged are those of so many rows.

    >>> # bank = Bank(source, (vectors_of(run, "bank", replace(questions, source=source), retriever, 10_000),))
    """
    sizes, how = (questions.shown, questions.asked), (questions.tokenizer, questions.learned_from)
    flops = rows * vector_flops(retriever.model, *sizes)
    return run.make(name, text_vectors, retriever, questions.source, *how, *sizes, flops=flops)


def retrieved(
    run: Any,
    name: str,
    questions: Demonstrated,
    vectors: Result,
    bank: Bank,
    finder: Finder | None,
    count: int,
    scale: float,
) -> tuple[Demonstrated, tuple[Result, ...]]:
    """Questions behind what a finder finds for them in a bank, and what that is charged with.

    Args:
      vectors: of the questions; only `nearest` looks at vectors.
      finder: None leaves the questions as they are.

    >>> # rows, owed = retrieved(run, "found", questions, own, bank, nearest, 2, 20.0)
    """
    if finder is None:
        return questions, ()
    used = (vectors, *bank.vectors) if finder is nearest else ()
    made = run.make(name, finder, questions.source, bank.source, count, scale, *used)
    return behind(questions, bank.source, made, count), (made, *used)
