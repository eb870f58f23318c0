"""Languages with running text and, where there are any, tagged sentences: small corpora of `$STAGEJAX_DATA`."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.language.field_text import FieldText
from stagejax.data.named import Dataset
from stagejax.data.portion import Portion
from stagejax.data.sources import Source
from stagejax.data.tasks.tagged import DrawnSentences
from stagejax.data.together import Splits, Together


@dataclass(frozen=True)
class Language:
    """A language's running text, of which the test split is held out, and its tagged sentences where there are such."""

    name: str
    text: Source
    tagged: Source | None = None


def language(name: str, treebank: str = "", quarter: int | None = None) -> Language:
    """The training sentences of a treebank, without their tags, and a quarter of all image captions, or one of both.

    What is held out of the text are captions, where there are such.

    >>> english = language("en", "en_ewt", 0)
    >>> english.tagged, len(english.text.train.parts)
    (Dataset(name='ud', split='train', part='en_ewt', lines=False), 2)
    """
    tagged = Dataset("ud", part=treebank) if treebank else None
    texts = [FieldText(tagged, "form")] if tagged else []
    if quarter is not None:
        texts.append(FieldText(Portion(Dataset("multi30k"), start=quarter / 4, stop=(quarter + 1) / 4), name))
    return Language(name, Splits(Together(tuple(texts)), texts[-1].of_split("test")), tagged)


def five_languages() -> tuple[Language, ...]:
    """English, German, French, Czech (captions alone) and Turkish (a treebank alone); no caption is in two of them.

    >>> [own.name for own in five_languages() if own.tagged]
    ['en', 'de', 'fr', 'tr']
    """
    known = language("en", "en_ewt", 0), language("de", "de_gsd", 1), language("fr", "fr_gsd", 2)
    return (*known, language("cs", quarter=3), language("tr", "tr_imst"))


def drawn_languages(count: int, sentences: int = 300) -> tuple[Language, ...]:
    """Made-up languages, for tests: a fifth of the sentences of each is held out.

    >>> [(own.name, len(own.text), len(own.tagged.of_split("test"))) for own in drawn_languages(2)]
    [('made0', 240, 60), ('made1', 240, 60)]
    """
    drawn = [DrawnSentences(sentences, seed=seed) for seed in range(count)]
    split = [Splits(Portion(own, stop=0.8), Portion(own, start=0.8)) for own in drawn]
    return tuple(Language(f"made{i}", FieldText(own, "form"), own) for i, own in enumerate(split))
