"""The published sizes of T5."""

from __future__ import annotations

from typing import Any

from stagejax.models.t5 import T5

#: Width, heads, width of the feed-forward networks and layers on each side, of the published models of version 1.1.
V1_1 = {
    "small": (512, 6, 1024, 8),
    "base": (768, 12, 2048, 12),
    "large": (1024, 16, 2816, 24),
    "XL": (2048, 32, 5120, 24),
    "XXL": (4096, 64, 10_240, 24),
}


def t5_v1_1(name: str, **options: Any) -> T5:
    """A T5 of version 1.1 in a published size; `options` are other fields of `T5`, such as `vocab` and `scan`.

    Reference: Shazeer 2020, https://arxiv.org/abs/2002.05202; Raffel et al. 2019, the released checkpoints.

    Raises:
      ValueError: no size has this name.

    >>> t5_v1_1("base", vocab=32_128).sizes()["layers.encoder"]
    12
    """
    if name not in V1_1:
        raise ValueError(f"no T5 of version 1.1 is called {name!r}: choose one of {', '.join(V1_1)}")
    embed, heads, mlp, layers = V1_1[name]
    sizes = {"embed": embed, "heads": heads, "mlp": mlp, "encoder_layers": layers, "decoder_layers": layers}
    return T5(**sizes, head_dim=64, activation="geglu", tied=False, **options)
