"""GPT-2, whose kernels are stored as (read, written), queries, keys and values in one."""

from __future__ import annotations

from typing import Any

from stagejax.interop.architecture import Architecture, Fields, Json, require
from stagejax.interop.names import Name, norm, table
from stagejax.models.transformer import Transformer, gpt

ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu": "gelu"}


def config(raw: Json) -> Transformer:
    """A `GPT2Config` as ours."""
    field = Fields(raw)
    field.must("scale_attn_weights", True, True)
    field.must("scale_attn_by_inverse_layer_idx", False, False)
    field.must("add_cross_attention", False, False)
    embed = field("n_embd", 768)
    return gpt(
        vocab=field("vocab_size", 50257),
        embed=embed,
        layers=field("n_layer", 12),
        heads=field("n_head", 12),
        mlp=field("n_inner", 4 * embed),
        length=field("n_positions", 1024),
        activation=ACTIVATIONS[field.must("activation_function", "gelu_new", *ACTIVATIONS)],
        norm_eps=field("layer_norm_epsilon", 1e-5),
        tied=field("tie_word_embeddings", True),
        dropout=field("resid_pdrop", 0.1),
        init_std=field("initializer_range", 0.02),
    )


def fields(c: Transformer) -> dict[str, Any]:
    """Ours as a `GPT2Config`."""
    require(c, "GPT-2", causal=True, norm="layer", norm_position="pre", positions="learned", types=0)
    require(c, "GPT-2", activation=tuple(ACTIVATIONS.values()), use_bias=True, qkv_bias=None)
    require(c, "GPT-2", kv_heads=(None, c.heads), head_dim=(None, c.embed // c.heads))
    require(c, "GPT-2", embed=c.embed // c.heads * c.heads, value_dim=(None, c.embed // c.heads), experts=0)
    return {
        "vocab_size": c.vocab,
        "n_embd": c.embed,
        "n_layer": c.layers,
        "n_head": c.heads,
        "n_inner": c.mlp,
        "n_positions": c.length,
        "activation_function": next(theirs for theirs, ours in ACTIVATIONS.items() if ours == c.activation),
        "layer_norm_epsilon": c.norm_eps,
        "tie_word_embeddings": c.tied,
        "resid_pdrop": c.dropout,
        "embd_pdrop": c.dropout,
        "initializer_range": c.init_std,
    }


def conv1d(tensor: str, *modules: str) -> list[Name]:
    """A GPT-2 Conv1D, which may hold several kernels side by side."""
    return [
        Name(f"{tensor}.weight", tuple(f"{module}/kernel" for module in modules), "plain"),
        Name(f"{tensor}.bias", tuple(f"{module}/bias" for module in modules), "plain"),
    ]


def names(c: Transformer) -> list[Name]:
    """Every tensor of a `GPT2LMHeadModel`."""
    layer, block = "transformer.h.{layers}", "blocks"
    return [
        table("transformer.wte", "tokens"),
        table("transformer.wpe", "positions"),
        *norm(f"{layer}.ln_1", f"{block}/attention_norm"),
        *conv1d(f"{layer}.attn.c_attn", *(f"{block}/attention/{part}" for part in ("query", "key", "value"))),
        *conv1d(f"{layer}.attn.c_proj", f"{block}/attention/out"),
        *norm(f"{layer}.ln_2", f"{block}/mlp_norm"),
        *conv1d(f"{layer}.mlp.c_fc", f"{block}/mlp/up"),
        *conv1d(f"{layer}.mlp.c_proj", f"{block}/mlp/down"),
        *norm("transformer.ln_f", "norm"),
        *([] if c.tied else [Name("lm_head.weight", ("head/output/kernel",))]),
    ]


GPT2 = Architecture(
    "GPT2LMHeadModel",
    "gpt2",
    config,
    fields,
    names,
    prefix="transformer.",
    ignored=(r"\.attn\.(bias|masked_bias)$", r"^lm_head\.weight$"),  # the causal mask; a copy of the token table
    head="lm_head.weight",
    table="transformer.wte.weight",
)
