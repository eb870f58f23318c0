"""T5, both versions: relu with one table for everything, or gated gelu with a head of its own."""

from __future__ import annotations

from typing import Any

from stagejax.interop.architecture import Architecture, Fields, Json, require
from stagejax.interop.names import Name, linear, norm, table
from stagejax.models.t5 import T5

ACTIVATIONS = {"relu": "relu", "gated-gelu": "geglu"}
THEIRS = {"relu": ("relu", False), "gated-gelu": ("gelu_new", True)}  # the same in two fields more


def config(raw: Json) -> T5:
    """A `T5Config` as ours. The scale before a tied head is kept as a number, so that growth does not change it."""
    field = Fields(raw)
    embed, tied = field("d_model", 512), field("tie_word_embeddings", True)
    projection = field.must("feed_forward_proj", "relu", *ACTIVATIONS)
    function, gated = THEIRS[projection]
    field.must("dense_act_fn", function, function)  # which files may say once more
    field.must("is_gated_act", gated, gated)
    scaled = field("scale_decoder_outputs", tied)
    return T5(
        vocab=field("vocab_size", 32128),
        embed=embed,
        encoder_layers=field("num_layers", 6),
        decoder_layers=field("num_decoder_layers", field("num_layers", 6)),
        heads=field("num_heads", 8),
        head_dim=field("d_kv", 64),
        mlp=field("d_ff", 2048),
        buckets=field("relative_attention_num_buckets", 32),
        distance=field("relative_attention_max_distance", 128),
        activation=ACTIVATIONS[projection],
        tied=tied,
        head_scale=embed**-0.5 if scaled else 1.0,
        norm_eps=field("layer_norm_epsilon", 1e-6),
        dropout=field("dropout_rate", 0.1),
        init_scale=field("initializer_factor", 1.0),
    )


def fields(c: T5) -> dict[str, Any]:
    """Ours as a `T5Config`. A scale that it cannot say goes into the gain of the decoder's last norm (see `names`)."""
    require(c, "T5", activation=tuple(ACTIVATIONS.values()))
    return {
        "vocab_size": c.vocab,
        "d_model": c.embed,
        "num_layers": c.encoder_layers,
        "num_decoder_layers": c.decoder_layers,
        "num_heads": c.heads,
        "d_kv": c.head_dim,
        "d_ff": c.mlp,
        "relative_attention_num_buckets": c.buckets,
        "relative_attention_max_distance": c.distance,
        "feed_forward_proj": next(theirs for theirs, ours in ACTIVATIONS.items() if ours == c.activation),
        "tie_word_embeddings": c.tied,
        "scale_decoder_outputs": _scaled(c),
        "layer_norm_epsilon": c.norm_eps,
        "dropout_rate": c.dropout,
        "initializer_factor": c.init_scale,
        "is_encoder_decoder": True,
    }


def attention(tensor: str, module: str) -> list[Name]:
    """The four kernels of an attention."""
    parts = {"q": "query", "k": "key", "v": "value", "o": "out"}
    return [name for theirs, ours in parts.items() for name in linear(f"{tensor}.{theirs}", f"{module}/{ours}", False)]


def stack(side: str, last: int, activation: str) -> list[Name]:
    """The blocks of the encoder or the decoder; `last` is the number of the feed-forward network in a block."""
    block = f"{side}.block.{{layers}}.layer"
    mlp = {"up": "wi"} if activation == "relu" else {"gate": "wi_0", "up": "wi_1"}
    return [
        *attention(f"{block}.0.SelfAttention", f"{side}/attention"),
        *norm(f"{block}.0.layer_norm", f"{side}/attention_norm", False),
        *(
            name
            for ours, theirs in {**mlp, "down": "wo"}.items()
            for name in linear(f"{block}.{last}.DenseReluDense.{theirs}", f"{side}/mlp/{ours}", False)
        ),
        *norm(f"{block}.{last}.layer_norm", f"{side}/mlp_norm", False),
        Name(f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (POSITIONS[side],), "plain"),
    ]


def _scaled(c: T5) -> bool:
    """Whether the layout multiplies what the head reads with 1 / sqrt(embed)."""
    return c.head_scale != 1.0


POSITIONS = {side: f"{side}_positions/table" for side in ("encoder", "decoder")}


def names(c: T5) -> list[Name]:
    """Every tensor of a `T5ForConditionalGeneration`."""
    block, theirs = "decoder.block.{layers}.layer.1", c.embed**-0.5 if _scaled(c) else 1.0
    return [
        table("shared", "tokens"),
        *stack("encoder", 1, c.activation),
        *norm("encoder.final_layer_norm", "encoder_norm", False),
        *stack("decoder", 2, c.activation),
        *attention(f"{block}.EncDecAttention", "decoder/cross"),
        *norm(f"{block}.layer_norm", "decoder/cross_norm", False),
        Name("decoder.final_layer_norm.weight", ("decoder_norm/gain",), factor=c.head_scale / theirs),
        *([] if c.tied else linear("lm_head", "output", False)),
    ]


T5_MODEL = Architecture(
    "T5ForConditionalGeneration",
    "t5",
    config,
    fields,
    names,
    ignored=(
        r"^(encoder|decoder)\.embed_tokens\.weight$",  # copies of the shared table
        r"^lm_head\.weight$",  # likewise, if tied
        r"EncDecAttention\.relative_attention_bias\.weight$",  # in some published files, never used
    ),
    head="lm_head.weight",
    table="shared.weight",
    copies={f"{side}.embed_tokens.weight": "shared.weight" for side in ("encoder", "decoder")},
)
