"""What is kept fits, in every field, and nothing that fits is left out."""

from stagejax.data.reasoning.problems import Problems
from stagejax.data.selection.fitting import Fitting


def test_records_that_fit_are_kept_in_order() -> None:
    problems = Problems(size=60, steps=(1, 2, 3))
    words = problems.tokenizer()
    fitting = Fitting(problems, words, ("question", "solution"), (28, 14))
    fits = [r for r in map(problems.__getitem__, range(60)) if len(r["question"].split()) <= 28 and r["steps"] < 3]
    assert [fitting[i] for i in range(len(fitting))] == fits
    assert 0 < len(fits) < 60
    assert fitting.of_split("test").source.split == "test"
    assert fitting.digest() != Fitting(problems, words, ("question",), (28,)).digest()
