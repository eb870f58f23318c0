"""What is known of a document beside its text, such as where it is from, written before it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record


def host(url: str) -> str:
    """A URL without its scheme, up to the first slash; sub-domains stay.

    >>> host("https://en.wikipedia.org/wiki/Ada"), host("email/message.py"), host("abc.py")
    ('en.wikipedia.org', 'email', 'abc.py')
    """
    scheme, found, rest = url.partition("://")
    return (rest if found else scheme).partition("/")[0]


def hashed(url: str) -> str:
    """Eight hexadecimal digits for a URL's host: documents are grouped as hosts group them, but nothing is named.

    >>> hashed("email/message.py") == hashed("email/policy.py") != hashed("json/tool.py")
    True
    """
    return hashlib.sha256(host(url).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Metadata:
    """Words before a document: a template around what a field of its record says.

    Args:
      value: of what the field holds; `host`, `hashed`, or any function of it.
      of_field: of the record.
      template: with {} for the value.

    Reference: Gao et al. 2025 (MeCo), https://arxiv.org/abs/2501.01956, section 2.

    >>> Metadata().of({"url": "https://en.wikipedia.org/wiki/Ada", "text": "Ada was"})
    'URL: en.wikipedia.org\\n\\n'
    """

    value: Callable[[str], str] = field(default=host, repr=False)  # its repr differs from process to process
    of_field: str = "url"
    template: str = "URL: {}\n\n"

    def of(self, record: Record) -> str:
        """What is written before the document of a record."""
        return self.words(record[self.of_field])

    def words(self, said: str) -> str:
        """The same, of what the field would say: also of a document that does not exist."""
        return self.template.format(self.value(said))


@dataclass(frozen=True)
class Prefixes(Derived):
    """What is written before each document of a source, as records {"text"} in the source's order."""

    metadata: Metadata = Metadata()

    def __getitem__(self, index: int) -> Record:
        return {"text": self.metadata.of(self.source[index])}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), repr(self.metadata), self.metadata.value.__qualname__)
