"""Mixtral: Llama with a mixture of experts in every layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stagejax.interop.architecture import Architecture, Fields, Json, require
from stagejax.interop.llama import attention_names, outer_names, shared, shared_fields
from stagejax.interop.names import Name, linear
from stagejax.interop.tensors import InteropError
from stagejax.models.transformer import Transformer, llama


def config(raw: Json) -> Transformer:
    """A `MixtralConfig` as ours."""
    field = Fields(raw)
    usual = {"num_key_value_heads": 8, "intermediate_size": 14336, "max_position_embeddings": 131072}
    if raw.get("sliding_window") is not None:
        raise InteropError(
            f"config.json sets sliding_window={raw['sliding_window']}, which is not supported: only null"
        )
    dense = llama(**shared({**usual, "rms_norm_eps": 1e-5, **raw}, default_theta=1e6))
    return replace(dense, experts=field("num_local_experts", 8), top_k=field("num_experts_per_tok", 2))


def fields(c: Transformer) -> dict[str, Any]:
    """Ours as a `MixtralConfig`."""
    require(c, "Mixtral", use_bias=False, qkv_bias=(None, False), routing="topk_softmax", capacity=None)
    if not c.experts:
        raise InteropError("a Mixtral checkpoint cannot express experts=0: write it as Llama or Mistral")
    sizes = {"num_local_experts": c.experts, "num_experts_per_tok": c.top_k}
    return {**shared_fields(c, "Mixtral"), **sizes, "sliding_window": None}


def names(c: Transformer) -> list[Name]:
    """Every tensor of a `MixtralForCausalLM`."""
    layer = "model.layers.{layers}"
    expert = f"{layer}.block_sparse_moe.experts.{{experts}}"
    return [
        *outer_names(c),
        *attention_names(c, layer),
        *linear(f"{layer}.block_sparse_moe.gate", "blocks/mlp/router", False),
        *linear(f"{expert}.w1", "blocks/mlp/gate", False),
        *linear(f"{expert}.w3", "blocks/mlp/up", False),
        *linear(f"{expert}.w2", "blocks/mlp/down", False),
    ]


MIXTRAL = Architecture(
    "MixtralForCausalLM",
    "mixtral",
    config,
    fields,
    names,
    prefix="model.",
    ignored=(r"rotary_emb\.inv_freq$", r"^lm_head\.weight$"),
    head="lm_head.weight",
    table="model.embed_tokens.weight",
)
