"""A T5 that sees: features of an image beside the text, fused behind the encoder by attention and a gate.

Letters: B batch, S tokens of the encoder, T tokens of the decoder, E embed, M places of the image, D their features.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax.axes import Axes
from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.linear import Dense
from stagejax.models.masks import Masks, check_masks
from stagejax.models.t5 import T5, EncoderDecoder


@dataclass(frozen=True)
class SeeingT5(T5):
    """A T5 whose decoder reads text and image: with text states H and features X of M places,

        V = X W_x + b_x,   H_v = A(H, V),   g = sigmoid(H W_h + H_v W_v + b),   H' = (1 - g) H + g H_v

    A is attention of one head with projections of its own; W_h and W_v are the two halves of the gate's kernel.

    Args:
      features: D, of every place of an image; they are given, by whatever network made them.

    Reference: Zhang et al. 2023 (Multimodal-CoT), https://arxiv.org/abs/2302.00923, section 4.2, equations 1 to 3.

    >>> SeeingT5(features=256).sizes()["features"]
    256
    """

    features: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features < 1:
            raise ValueError(f"features={self.features}: give a size of at least 1")

    @classmethod
    def of(cls, text: T5, features: int) -> SeeingT5:
        """The same sizes and choices, and features of so many numbers."""
        return cls(**{field.name: getattr(text, field.name) for field in fields(text)}, features=features)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {"features": self.features, "embed_out": self.embed, "seen_key": self.embed, "seen_value": self.embed}
        return super().sizes() | own

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SeeingEncoderDecoder` with its initial parameters, drawn from `rngs.params`."""
        return built(SeeingEncoderDecoder, self, rngs.params())


class GatedSight(nnx.Module):
    """H' of H and X, as in `SeeingT5`."""

    def __init__(self, config: SeeingT5, rngs: nnx.Rngs) -> None:
        E, D = config.embed, config.features
        text, image = {"embed": E}, {"embed_out": E}
        key, value, std = {"seen_key": E}, {"seen_value": E}, E**-0.5
        self.image = Dense({"features": D}, image, std=D**-0.5, bias=True, rngs=rngs)
        self.query = Dense(text, key, std=std, bias=True, rngs=rngs)
        self.key = Dense(image, key, std=std, bias=True, rngs=rngs)
        self.value = Dense(image, value, std=std, bias=True, rngs=rngs)
        self.out = Dense(value, text, std=std, bias=True, rngs=rngs)
        half = (2 * E) ** -0.5
        self.gate_text = Dense(text, image, std=half, bias=True, rngs=rngs)
        self.gate_image = Dense(value, image, std=half, bias=False, rngs=rngs)

    def __call__(self, text_BSE: Float[Array, "B S E"], image_BMD: Float[Array, "B M D"]) -> Float[Array, "B S E"]:
        seen_BSE = self.attended(text_BSE, image_BMD)
        gate_BSE = jax.nn.sigmoid(self.gate_text(text_BSE) + self.gate_image(seen_BSE))
        return (1 - gate_BSE) * text_BSE + gate_BSE * seen_BSE

    def attended(self, text_BSE: Float[Array, "B S E"], image_BMD: Float[Array, "B M D"]) -> Float[Array, "B S E"]:
        """What each token of the text sees."""
        places_BME = self.image(image_BMD.astype(text_BSE.dtype))
        scores_BSM = jnp.einsum("bse,bme->bsm", self.query(text_BSE), self.key(places_BME)) * text_BSE.shape[-1] ** -0.5
        shares_BSM = jax.nn.softmax(scores_BSM.astype(jnp.float32), axis=-1).astype(text_BSE.dtype)
        return self.out(jnp.einsum("bsm,bme->bse", shares_BSM, self.value(places_BME)))


class SeeingEncoderDecoder(EncoderDecoder):
    """The module of `SeeingT5`. Without an image it is the T5 that it would be without sight.

    >>> model = SeeingT5(features=8).build(nnx.Rngs(0))
    >>> model(jnp.zeros((1, 7), int), jnp.zeros((1, 5), int), image=jnp.zeros((1, 9, 8))).shape
    (1, 5, 512)
    """

    config: SeeingT5

    def __init__(self, config: SeeingT5, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs)
        self.sight = GatedSight(config, rngs)

    def __call__(  # type: ignore[override]
        self,
        tokens_BS: Int[Array, "B S"],
        targets_BT: Int[Array, "B T"],
        *,
        image: Float[Array, "B M D"] | None = None,
        mask: Bool[Array, "B S"] | None = None,
        key: Key | None = None,
        masks: Masks | None = None,
    ) -> Float[Array, "B T vocab"]:
        """Logits of every token behind `targets_BT`, as of an `EncoderDecoder`, of a text and an image."""
        check_masks(masks, self.config.sizes())
        keys = (None, None) if key is None else jax.random.split(key)
        memory_BSE = self.encode(tokens_BS, image=image, mask=mask, key=keys[0], masks=masks)
        return self.logits(self.decode(targets_BT, memory_BSE, mask=mask, key=keys[1], masks=masks))

    def encode(
        self,
        tokens_BS: Int[Array, "B S"],
        *,
        image: Float[Array, "B M D"] | None = None,
        mask: Bool[Array, "B S"] | Bool[Array, "B S S"] | None = None,
        key: Key | None = None,
        masks: Masks | None = None,
    ) -> Float[Array, "B S E"]:
        """What the decoder attends to."""
        text_BSE = super().encode(tokens_BS, mask=mask, key=key, masks=masks)
        return text_BSE if image is None else self.sight(text_BSE, image)


def into_seeing(path: str, leaf: Axes) -> str:
    """The hand-over of parameters from a T5 to one that sees: all but its sight, which begins anew.

    >>> into_seeing("encoder/0/mlp/up/kernel", Axes((), ())), into_seeing("sight/out/kernel", Axes((), ()))
    ('carry', 'reset')
    """
    return "reset" if path.startswith("sight/") else "carry"
