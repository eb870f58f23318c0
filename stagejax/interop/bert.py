"""BERT with its masked-language-model head. Pooler and next-sentence head, which our model lacks, are left out."""

from __future__ import annotations

from typing import Any

from stagejax.interop.architecture import Architecture, Fields, Json, require
from stagejax.interop.names import Name, linear, norm, table
from stagejax.models.transformer import Transformer, bert


def config(raw: Json) -> Transformer:
    """A `BertConfig` as ours."""
    field = Fields(raw)
    field.must("hidden_act", "gelu", "gelu")
    field.must("position_embedding_type", "absolute", "absolute")
    field.must("is_decoder", False, False)
    return bert(
        vocab=field("vocab_size", 30522),
        embed=field("hidden_size", 768),
        layers=field("num_hidden_layers", 12),
        heads=field("num_attention_heads", 12),
        mlp=field("intermediate_size", 3072),
        length=field("max_position_embeddings", 512),
        types=field("type_vocab_size", 2),
        norm_eps=field("layer_norm_eps", 1e-12),
        tied=field("tie_word_embeddings", True),
        dropout=field("hidden_dropout_prob", 0.1),
        init_std=field("initializer_range", 0.02),
    )


def fields(c: Transformer) -> dict[str, Any]:
    """Ours as a `BertConfig`."""
    require(c, "BERT", causal=False, norm="layer", norm_position="post", positions="learned", activation="gelu")
    require(c, "BERT", use_bias=True, qkv_bias=None, kv_heads=(None, c.heads), head_dim=(None, c.embed // c.heads))
    require(c, "BERT", embed=c.embed // c.heads * c.heads, value_dim=(None, c.embed // c.heads), experts=0)
    return {
        "vocab_size": c.vocab,
        "hidden_size": c.embed,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "intermediate_size": c.mlp,
        "hidden_act": "gelu",
        "max_position_embeddings": c.length,
        "type_vocab_size": c.types,
        "layer_norm_eps": c.norm_eps,
        "tie_word_embeddings": c.tied,
        "hidden_dropout_prob": c.dropout,
        "initializer_range": c.init_std,
    }


def names(c: Transformer) -> list[Name]:
    """Every tensor of a `BertForMaskedLM`."""
    layer, block = "bert.encoder.layer.{layers}", "blocks"
    return [
        table("bert.embeddings.word_embeddings", "tokens"),
        table("bert.embeddings.position_embeddings", "positions"),
        *([table("bert.embeddings.token_type_embeddings", "types")] if c.types else []),
        *norm("bert.embeddings.LayerNorm", "embed_norm"),
        *linear(f"{layer}.attention.self.query", f"{block}/attention/query", True),
        *linear(f"{layer}.attention.self.key", f"{block}/attention/key", True),
        *linear(f"{layer}.attention.self.value", f"{block}/attention/value", True),
        *linear(f"{layer}.attention.output.dense", f"{block}/attention/out", True),
        *norm(f"{layer}.attention.output.LayerNorm", f"{block}/attention_norm"),
        *linear(f"{layer}.intermediate.dense", f"{block}/mlp/up", True),
        *linear(f"{layer}.output.dense", f"{block}/mlp/down", True),
        *norm(f"{layer}.output.LayerNorm", f"{block}/mlp_norm"),
        *linear("cls.predictions.transform.dense", "head/dense", True),
        *norm("cls.predictions.transform.LayerNorm", "head/norm"),
        Name("cls.predictions.bias", ("head/bias",)),
        *([] if c.tied else linear("cls.predictions.decoder", "head/output", False)),
        # The bias that an untied head adds; the one above is then a copy of it.
        *([] if c.tied else [Name("cls.predictions.decoder.bias", ("head/bias",))]),
    ]


BERT = Architecture(
    "BertForMaskedLM",
    "bert",
    config,
    fields,
    names,
    prefix="bert.",
    ignored=(
        r"pooler\.dense\.(weight|bias)$",
        r"^cls\.seq_relationship\.(weight|bias)$",
        r"embeddings\.position_ids$",
        r"^cls\.predictions\.decoder\.(weight|bias)$",  # copies of the token table and of the bias
    ),
    head="cls.predictions.decoder.weight",
    table="bert.embeddings.word_embeddings.weight",
    copies={"cls.predictions.decoder.bias": "cls.predictions.bias"},
    renamed={".gamma": ".weight", ".beta": ".bias"},
)
