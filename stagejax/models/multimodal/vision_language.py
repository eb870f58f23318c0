"""Eyes for a language model: patches of an image, or of several, as vectors that stand in a row of its tokens.

Letters: B batch, T tokens, N images of a row, Y, X and P rows, columns and channels of pixels, E embed, V vocab.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.speech.speech_adapter import Listener, placed
from stagejax.models.text.slots import Filled
from stagejax.models.transformer import Transformer
from stagejax.models.vit import ViT

_OF_THE_IMAGE = ("embed", "kv_heads", "q_per_kv", "head_dim", "value_dim", "mlp", "layers", "position", "classes")


@dataclass(frozen=True)
class VisionLanguage:
    """A vision transformer, a projector of two layers with GELU, and a decoder.

    Axes that both transformers have are qualified in the vision transformer: `embed.image`, `layers.image`. Its head is
    not read.

    Args:
      vision: whose patches are read behind its last block and norm.
      language: a causal model.
      marker: the token in whose k-th place the k-th patch stands; its own embedding is never read.

    Raises:
      ValueError: the language model is no decoder.

    Reference: Liu et al. 2023 (LLaVA-1.5), https://arxiv.org/abs/2310.03744.

    >>> VisionLanguage(ViT(embed=24, heads=2), Transformer()).sizes()["embed.image"]
    24
    """

    vision: ViT
    language: Transformer
    marker: int = 4

    def __post_init__(self) -> None:
        if not self.language.causal:
            raise ValueError("language: causal=False is an encoder; a row is answered by a decoder. Set causal=True.")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {f"{name}.image" if name in _OF_THE_IMAGE else name: n for name, n in self.vision.sizes().items()}
        return own | self.language.sizes() | {"projector": self.language.embed}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `VisionLanguageModel` with its initial parameters, drawn from `rngs.params`."""
        return built(VisionLanguageModel, self, rngs.params())


class VisionLanguageModel(nnx.Module):
    """The module of `VisionLanguage`.

    >>> import jax.numpy as jnp
    >>> config = VisionLanguage(ViT(image=8, patch=4, layers=1), Transformer(layers=1), marker=4)
    >>> tokens = jnp.array([[1, 4, 4, 4, 4, 9]])
    >>> config.build(nnx.Rngs(0))(tokens, jnp.zeros((1, 8, 8, 1))).shape
    (1, 6, 512)
    """

    def __init__(self, config: VisionLanguage, rngs: nnx.Rngs) -> None:
        self.config = c = config
        self.vision = axes.renamed(c.vision.build(rngs), {name: f"{name}.image" for name in _OF_THE_IMAGE})
        hidden, embed = {"projector": c.language.embed}, {"embed": c.language.embed}
        wide = c.vision.embed
        self.inner = Dense({"embed.image": wide}, hidden, std=wide**-0.5, bias=True, rngs=rngs)
        self.outer = Dense(hidden, embed, std=c.language.embed**-0.5, bias=True, rngs=rngs)
        self.language = LanguageModel(c.language, rngs)

    def __call__(self, tokens_BT: Int[Array, "B T"], images_BYXP: Float[Array, "B *N Y X P"]) -> Float[Array, "B T V"]:
        """Logits of every token."""
        return self.language.logits(self.hidden(tokens_BT, images_BYXP))

    def answers(
        self, tokens_BT: Int[Array, "B T"], images_BYXP: Float[Array, "B *N Y X P"], at_B: Int[Array, " B"]
    ) -> Float[Array, "B V"]:
        """Logits behind one token of each row."""
        x_BTE = self.hidden(tokens_BT, images_BYXP)
        last_B1E = jax.numpy.take_along_axis(x_BTE, at_B[:, None, None], axis=1, mode="clip")
        return self.language.logits(last_B1E)[:, 0]

    def hidden(self, tokens_BT: Int[Array, "B T"], images_BYXP: Float[Array, "B *N Y X P"]) -> Float[Array, "B T E"]:
        """What the head reads."""
        vectors = placed(tokens_BT, self.seen(images_BYXP), self.config.marker)
        return self.language.hidden(tokens_BT, vectors=vectors)

    def seen(self, images_BYXP: Float[Array, "B *N Y X P"]) -> Float[Array, "B S E"]:
        """The vectors that stand in the places of the marker; of N images in a row, one after the other."""
        B, (Y, X, P) = len(images_BYXP), images_BYXP.shape[-3:]
        vectors = self.outer(jax.nn.gelu(self.inner(self.vision.dense(images_BYXP.reshape(-1, Y, X, P)))))
        return vectors.reshape(B, -1, vectors.shape[-1])

    def looking(self, prompts_BT: Int[Array, "B T"], images_BYXP: Float[Array, "B *N Y X P"]) -> Filled:
        """A causal model for decoding behind these prompts, each with its image."""
        return Listener(self.language, self.config.marker).hears(prompts_BT, self.seen(images_BYXP))
