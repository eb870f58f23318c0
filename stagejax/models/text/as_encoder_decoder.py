"""The encoder-decoder of as many parameters as a decoder has."""

from __future__ import annotations

from stagejax.models.t5 import T5
from stagejax.models.transformer import Transformer


def as_encoder_decoder(net: Transformer) -> T5:
    """A T5 of the same width, heads and number of layers, half of them in the encoder, and a narrower MLP.

    A decoder's layer of T5 has twice the attention, 4 E² parameters more, so that with mlp - E in place of mlp, in all
    L layers, 2 L E² fewer, both have 4 L E² + 2 L E mlp parameters beside tables, norms and biases. A token of text is
    read by L / 2 layers, as an input or as a target.

    Raises:
      ValueError: an odd number of layers, or a feed-forward network that is not wider than the stream.

    >>> from stagejax.models import gpt
    >>> made = as_encoder_decoder(gpt(layers=4, embed=64, heads=4, mlp=256))
    >>> made.encoder_layers, made.decoder_layers, made.mlp
    (2, 2, 192)
    """
    if net.layers % 2 or net.mlp <= net.embed:
        raise ValueError(f"layers={net.layers}, mlp={net.mlp}: give an even number, and mlp above embed={net.embed}")
    half = net.layers // 2
    return T5(
        vocab=net.vocab, embed=net.embed, heads=net.heads, head_dim=net.embed // net.heads, mlp=net.mlp - net.embed,
        encoder_layers=half, decoder_layers=half, scan=net.scan, remat=net.remat,
    )  # fmt: skip
