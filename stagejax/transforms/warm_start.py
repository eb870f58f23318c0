"""A coupled encoder-decoder from pre-trained language models: what they have is copied, all else is drawn afresh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from flax import nnx

Side = Literal["encoder", "decoder"]


@dataclass(frozen=True)
class WarmStart:
    """The variables of a model of several attributes from those of pre-trained ones, one for each of some attributes.

    Its `function` is that of a `run.transform` from as many results. Leaves of an attribute are copied by path; what
    the pre-trained model has and the attribute has not, such as an encoder's head, is left behind; an attribute that
    gets no model, such as cross-attention, keeps the initial values that are drawn.

    Args:
      to: configuration of the model, such as `models.text.coupled.Coupled`.
      sides: the attributes, in the order of the results.

    Reference: Rothe et al. 2020, https://arxiv.org/abs/1907.12461.

    >>> # warm = WarmStart(coupled, ("encoder", "decoder"))
    >>> # start = run.transform("start", warm.function, proteins, molecules, to=coupled)
    """

    to: Any
    sides: tuple[Side, ...]

    def function(self, key: Any, *sources: Any) -> tuple[Any, Any]:
        """(parameters, other variables) of the new model.

        Raises:
          ValueError: a side has a leaf that its pre-trained model lacks, or in another shape.
        """
        model = self.to.build(nnx.Rngs(params=key))
        params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
        rest = nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.Param)))
        for side, (source, _) in zip(self.sides, sources, strict=True):
            params[side] = _copied(params[side], source, side)
        return params, rest


def _copied(fresh: Any, source: Any, where: str) -> Any:
    """The leaves of `source` at the paths of `fresh`."""
    if isinstance(fresh, dict):
        missing = [] if not isinstance(source, dict) else sorted(set(map(str, fresh)) - set(map(str, source)))
        if missing or not isinstance(source, dict):
            raise ValueError(f"warm start: the pre-trained model has no {where}/{', '.join(missing) or '...'}")
        return {name: _copied(leaf, source[name], f"{where}/{name}") for name, leaf in fresh.items()}
    if fresh.shape != source.shape:
        raise ValueError(f"warm start: {where} is {source.shape} in the pre-trained model and {fresh.shape} here")
    return source
