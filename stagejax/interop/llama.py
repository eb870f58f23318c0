"""Llama, Mistral without a window, and Qwen2: RMSNorm, rotary positions, grouped queries, SwiGLU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stagejax.interop.architecture import Architecture, Fields, Json, require
from stagejax.interop.names import Name, linear, norm, table
from stagejax.interop.tensors import InteropError
from stagejax.models.transformer import Transformer, llama

FULL = "full_attention"  # what Qwen2 calls a layer without a window


def theta(raw: Json, default: float) -> float:
    """The base of the rotary frequencies, in any spelling; of two the older one, `rope_scaling`, counts.

    Raises:
      InteropError: the frequencies are scaled, partial or of several kinds, which our rotary positions do not do.

    >>> theta({"rope_theta": None, "rope_parameters": {"rope_theta": 500.0}}, 1e4)
    500.0
    """
    spelled = [raw.get("rope_scaling") or {}, raw.get("rope_parameters") or {}]
    Fields(raw).must("partial_rotary_factor", 1.0, 1.0)
    for said in spelled:
        kind, part = said.get("rope_type", said.get("type", "default")), said.get("partial_rotary_factor", 1.0)
        if kind != "default" or part != 1.0 or any(isinstance(value, Mapping) for value in said.values()):
            raise InteropError(
                f"config.json scales rotary frequencies ({said}), which is not supported: only rope_type 'default', "
                "whole heads, the same in all layers"
            )
    bases = [(spelled[0] or spelled[1]).get("rope_theta"), raw.get("rope_theta"), default]
    return float(next(base for base in bases if base is not None))


def shared(raw: Json, default_theta: float = 1e4) -> dict[str, Any]:
    """What these families' configurations have in common, as fields of ours."""
    field = Fields(raw)
    field.must("hidden_act", "silu", "silu")
    heads = field("num_attention_heads", 32)
    kv_heads, embed = field("num_key_value_heads", heads), field("hidden_size", 4096)
    head_dim = field("head_dim", None)
    return {
        "vocab": field("vocab_size", 32000),
        "embed": embed,
        "layers": field("num_hidden_layers", 32),
        "heads": heads,
        "kv_heads": None if kv_heads == heads else kv_heads,
        "head_dim": None if head_dim in (None, embed // heads) else head_dim,
        "mlp": field("intermediate_size", 11008),
        "length": field("max_position_embeddings", 2048),
        "norm_eps": field("rms_norm_eps", 1e-6),
        "rotary_theta": theta(raw, default_theta),
        "tied": field("tie_word_embeddings", False),
        "init_std": field("initializer_range", 0.02),
    }


def llama_config(raw: Json) -> Transformer:
    """A `LlamaConfig` as ours."""
    field = Fields(raw)
    biased = field("attention_bias", False)
    field.must("mlp_bias", False, biased)
    return llama(**shared(raw), use_bias=biased)


def mistral_config(raw: Json) -> Transformer:
    """A `MistralConfig` as ours."""
    said = {"num_key_value_heads": 8, "intermediate_size": 14336, "max_position_embeddings": 131072, **raw}
    window = said.get("sliding_window", 4096)
    if window is not None and window < said["max_position_embeddings"]:
        raise InteropError(f"config.json sets sliding_window={window}, which is not supported: only null")
    return llama(**shared(said))


def qwen2_config(raw: Json) -> Transformer:
    """A `Qwen2Config` as ours."""
    Fields(raw).must("use_sliding_window", False, False)
    kinds = raw.get("layer_types") or []
    Fields(raw).must("layer_types", [], [FULL] * len(kinds))
    usual = {"vocab_size": 151936, "intermediate_size": 22016, "max_position_embeddings": 32768}
    usual["num_key_value_heads"] = 32
    return llama(**shared({**usual, **raw}), qkv_bias=True)


def shared_fields(c: Transformer, layout: str) -> dict[str, Any]:
    """Ours as the fields that these families' configurations have in common."""
    require(c, layout, causal=True, norm="rms", norm_position="pre", positions="rotary", activation="swiglu", types=0)
    head_dim = c.sizes()["head_dim"]
    require(c, layout, value_dim=(None, head_dim), embed=c.embed // c.heads * c.heads)
    return {
        "vocab_size": c.vocab,
        "hidden_size": c.embed,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads or c.heads,
        "head_dim": head_dim,
        "intermediate_size": c.mlp,
        "hidden_act": "silu",
        "max_position_embeddings": c.length,
        "rms_norm_eps": c.norm_eps,
        "rope_theta": c.rotary_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": c.rotary_theta},
        "tie_word_embeddings": c.tied,
        "initializer_range": c.init_std,
    }


def llama_fields(c: Transformer) -> dict[str, Any]:
    """Ours as a `LlamaConfig`."""
    require(c, "Llama", qkv_bias=(None, c.use_bias), experts=0)
    return {**shared_fields(c, "Llama"), "attention_bias": c.use_bias, "mlp_bias": c.use_bias}


def mistral_fields(c: Transformer) -> dict[str, Any]:
    """Ours as a `MistralConfig`."""
    require(c, "Mistral", use_bias=False, qkv_bias=(None, False), experts=0)
    return {**shared_fields(c, "Mistral"), "sliding_window": None}


def qwen2_fields(c: Transformer) -> dict[str, Any]:
    """Ours as a `Qwen2Config`."""
    require(c, "Qwen2", use_bias=False, qkv_bias=True, experts=0)
    return {**shared_fields(c, "Qwen2"), "use_sliding_window": False, "layer_types": [FULL] * c.layers}


def attention_names(c: Transformer, layer: str) -> list[Name]:
    """The norms and the attention of a layer."""
    inner = c.use_bias if c.qkv_bias is None else c.qkv_bias
    return [
        *norm(f"{layer}.input_layernorm", "blocks/attention_norm", False),
        *linear(f"{layer}.self_attn.q_proj", "blocks/attention/query", inner),
        *linear(f"{layer}.self_attn.k_proj", "blocks/attention/key", inner),
        *linear(f"{layer}.self_attn.v_proj", "blocks/attention/value", inner),
        *linear(f"{layer}.self_attn.o_proj", "blocks/attention/out", c.use_bias),
        *norm(f"{layer}.post_attention_layernorm", "blocks/mlp_norm", False),
    ]


def outer_names(c: Transformer) -> list[Name]:
    """What is below and above the layers."""
    head = [] if c.tied else linear("lm_head", "head/output", False)
    return [table("model.embed_tokens", "tokens"), *norm("model.norm", "norm", False), *head]


def names(c: Transformer) -> list[Name]:
    """Every tensor of a `LlamaForCausalLM`; those of the other two are called alike."""
    layer = "model.layers.{layers}"
    return [
        *outer_names(c),
        *attention_names(c, layer),
        *linear(f"{layer}.mlp.gate_proj", "blocks/mlp/gate", c.use_bias),
        *linear(f"{layer}.mlp.up_proj", "blocks/mlp/up", c.use_bias),
        *linear(f"{layer}.mlp.down_proj", "blocks/mlp/down", c.use_bias),
    ]


def _like_llama(
    name: str, kind: str, config: Callable[[Json], Any], fields: Callable[[Any], dict[str, Any]]
) -> Architecture:
    ignored = (r"rotary_emb\.inv_freq$", r"^lm_head\.weight$")  # computed; a copy of the token table
    ends = {"head": "lm_head.weight", "table": "model.embed_tokens.weight"}
    return Architecture(name, kind, config, fields, names, prefix="model.", ignored=ignored, **ends)


LLAMA = _like_llama("LlamaForCausalLM", "llama", llama_config, llama_fields)
MISTRAL = _like_llama("MistralForCausalLM", "mistral", mistral_config, mistral_fields)
QWEN2 = _like_llama("Qwen2ForCausalLM", "qwen2", qwen2_config, qwen2_fields)
