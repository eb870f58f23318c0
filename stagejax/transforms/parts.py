"""Parts of a model by name: what a stage trains, and what it takes over from the stage before."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.axes import Axes


@dataclass(frozen=True)
class Parts:
    """The parameters of some attributes of a model, as a stage's `trainable`. Make it by `parts`.

    >>> parts("bank", "heads")("heads/kernel", Axes((), ())), parts("bank")("banked", Axes((), ()))
    (True, False)
    """

    names: tuple[str, ...]

    def __call__(self, path: str, axes: Axes) -> bool:
        return path.partition("/")[0] in self.names


def parts(*names: str) -> Parts:
    """`trainable=parts("bank", "heads")`: these attributes of the model are trained, all others are frozen."""
    return Parts(names)


@dataclass(frozen=True)
class Kept:
    """A rule for the parameters of a hand-over: some attributes are carried, all others begin anew. Make it by `kept`.

    >>> rule = kept("encoder")
    >>> rule("encoder/tokens/table", Axes((), ())), rule("heads/kernel", Axes((), ()))
    ('carry', 'reset')
    """

    parts: Parts

    def __call__(self, path: str, axes: Axes) -> str:
        return "carry" if self.parts(path, axes) else "reset"


def kept(*names: str) -> Kept:
    """`Handover(params=kept("encoder"))`: these attributes come from the stage before, all others are drawn afresh."""
    return Kept(Parts(names))
