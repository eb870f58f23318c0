"""ViT and DeiT as image classifiers: pre-norm, a class token, and in DeiT a second token, with or without a head."""

from __future__ import annotations

import dataclasses
from typing import Any

from stagejax.interop.architecture import Architecture, Fields, Json, require
from stagejax.interop.names import Name, linear, norm
from stagejax.models.vit import ViT

ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}
TWO_HEADS, ONE_HEAD = "DeiTForImageClassificationWithTeacher", "DeiTForImageClassification"


def config(raw: Json) -> ViT:
    """A `ViTConfig` as ours."""
    field = Fields(raw)
    field.must("qkv_bias", True, True)
    image, patch = field("image_size", 224), field("patch_size", 16)
    if not isinstance(image, int) or not isinstance(patch, int):  # a pair, which must be a square
        field.must("image_size", 224, *([image] if isinstance(image, int) else [[image[0]] * 2]))
        field.must("patch_size", 16, *([patch] if isinstance(patch, int) else [[patch[0]] * 2]))
    return ViT(
        image=image if isinstance(image, int) else image[0],
        channels=field("num_channels", 3),
        patch=patch if isinstance(patch, int) else patch[0],
        classes=len(raw["id2label"]) if raw.get("id2label") else field("num_labels", 2),
        embed=field("hidden_size", 768),
        layers=field("num_hidden_layers", 12),
        heads=field("num_attention_heads", 12),
        mlp=field("intermediate_size", 3072),
        pool="class",
        norm_eps=field("layer_norm_eps", 1e-12),
        activation=ACTIVATIONS[field.must("hidden_act", "gelu", *ACTIVATIONS)],
        dropout=field("hidden_dropout_prob", 0.0),
        init_std=field("initializer_range", 0.02),
    )


def deit_config(raw: Json) -> ViT:
    """A `DeiTConfig` as ours; which of the two classifiers it is stands under `architectures`."""
    two = TWO_HEADS in (raw.get("architectures") or [TWO_HEADS])
    return dataclasses.replace(config(raw), distilled="head" if two else "token")


def fields(c: ViT, layout: str = "ViT") -> dict[str, Any]:
    """Ours as a `ViTConfig`."""
    head_dim = c.embed // c.heads
    require(c, layout, pool="class", norm="layer", use_bias=True, kv_heads=(None, c.heads))
    require(c, layout, head_dim=(None, head_dim), value_dim=(None, head_dim), embed=head_dim * c.heads)
    require(c, layout, distilled=None if layout == "ViT" else ("token", "head"), activation=tuple(ACTIVATIONS.values()))
    return {
        "image_size": c.image,
        "num_channels": c.channels,
        "patch_size": c.patch,
        "num_labels": c.classes,
        "hidden_size": c.embed,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "intermediate_size": c.mlp,
        "layer_norm_eps": c.norm_eps,
        "hidden_act": next(theirs for theirs, ours in ACTIVATIONS.items() if ours == c.activation),
        "hidden_dropout_prob": c.dropout,
        "initializer_range": c.init_std,
        "qkv_bias": True,
    }


def deit_fields(c: ViT) -> dict[str, Any]:
    """Ours as a `DeiTConfig`."""
    return {**fields(c, "DeiT"), "architectures": [TWO_HEADS if c.distilled == "head" else ONE_HEAD]}


def names(c: ViT) -> list[Name]:
    """Every tensor of a `ViTForImageClassification`, or of either of DeiT's classifiers."""
    root = "vit" if c.distilled is None else "deit"
    below, layer = f"{root}.embeddings", f"{root}.encoder.layer.{{layers}}"
    second = [] if c.distilled is None else [Name(f"{below}.distillation_token", ("distilled_token",), "batched")]
    return [
        Name(f"{below}.cls_token", ("class_token",), "batched"),
        *second,
        Name(f"{below}.position_embeddings", ("positions/table",), "batched"),
        Name(f"{below}.patch_embeddings.projection.weight", ("patches/kernel",), "patches"),
        Name(f"{below}.patch_embeddings.projection.bias", ("patches/bias",)),
        *norm(f"{layer}.layernorm_before", "blocks/attention_norm"),
        *linear(f"{layer}.attention.attention.query", "blocks/attention/query", True),
        *linear(f"{layer}.attention.attention.key", "blocks/attention/key", True),
        *linear(f"{layer}.attention.attention.value", "blocks/attention/value", True),
        *linear(f"{layer}.attention.output.dense", "blocks/attention/out", True),
        *norm(f"{layer}.layernorm_after", "blocks/mlp_norm"),
        *linear(f"{layer}.intermediate.dense", "blocks/mlp/up", True),
        *linear(f"{layer}.output.dense", "blocks/mlp/down", True),
        *norm(f"{root}.layernorm", "norm"),
        *linear("cls_classifier" if c.distilled == "head" else "classifier", "head", True),
        *(linear("distillation_classifier", "distilled_head", True) if c.distilled == "head" else []),
    ]


POOLER = r"pooler\.dense\.(weight|bias)$"
VIT = Architecture("ViTForImageClassification", "vit", config, fields, names, prefix="vit.", ignored=(POOLER,))
DEIT = Architecture(TWO_HEADS, "deit", deit_config, deit_fields, names, prefix="deit.", ignored=(POOLER,))
