"""What an architecture is: how its config.json reads and is written, and which tensor holds which parameter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stagejax.interop.names import Name
from stagejax.interop.tensors import InteropError

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """One kind of model, in both directions."""

    name: str  # what config.json lists under `architectures` when we write it
    model_type: str
    config: Callable[[Json], Any]  # config.json -> model configuration
    fields: Callable[[Any], dict[str, Any]]  # model configuration -> the fields of config.json that say it
    names: Callable[[Any], Sequence[Name]]  # of a model configuration
    prefix: str = ""  # that files of the bare model leave out
    ignored: tuple[str, ...] = ()  # patterns of tensors that our model does not have
    head: str = ""  # the head's tensor, which a file of a tied model may have as a copy of `table`
    table: str = ""  # the token table's
    copies: Mapping[str, str] = field(default_factory=dict)  # tensors that files may have twice -> the one we have
    renamed: Mapping[str, str] = field(default_factory=dict)  # endings in older files -> today's

    def known_as(self, stored: str, expected: set[str]) -> str:
        """The name by which a stored tensor is expected: older endings renewed, a prefix put before it."""
        for old, new in self.renamed.items():
            stored = stored.removesuffix(old) + new if stored.endswith(old) else stored
        return self.prefix + stored if stored not in expected and self.prefix + stored in expected else stored

    def ignores(self, stored: str) -> bool:
        """Whether a stored tensor is none of our model's, and known to be."""
        return any(re.search(pattern, stored) for pattern in self.ignored)


class Fields:
    """The fields of a config.json, each with the value it has where the file leaves it out."""

    def __init__(self, raw: Json) -> None:
        self.raw = raw

    def __call__(self, name: str, default: Any) -> Any:
        """One field."""
        return default if self.raw.get(name) is None else self.raw[name]

    def must(self, name: str, default: Any, *allowed: Any) -> Any:
        """One field that may have only these values.

        Raises:
          InteropError: it has another one.

        >>> Fields({"hidden_act": "relu"}).must("hidden_act", "gelu", "gelu")
        Traceback (most recent call last):
        ...
        stagejax.interop.tensors.InteropError: config.json sets hidden_act='relu', which is not supported: only 'gelu'
        """
        value = self(name, default)
        if value not in allowed:
            shown = " or ".join(repr(a) for a in allowed)
            raise InteropError(f"config.json sets {name}={value!r}, which is not supported: only {shown}")
        return value


def require(config: Any, layout: str, **wanted: Any) -> None:
    """Refuse to write a model configuration that a layout cannot express.

    Raises:
      InteropError: a field has another value; the error names it.
    """
    for name, value in wanted.items():
        own = getattr(config, name)
        if own not in (value if isinstance(value, tuple) else (value,)):
            raise InteropError(f"a {layout} checkpoint cannot express {name}={own!r}: it must be {value!r}")
