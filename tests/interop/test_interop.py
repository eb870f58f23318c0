"""Models of `transformers` read into ours compute the same logits, and come back as they were."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

pytest.importorskip("torch")
from reference import loaded, logits_of, random_model, saved, state, torch, transformers

from stagejax.interop import ARCHITECTURES, load, save

TOKENS = np.random.RandomState(0).randint(0, 37, (2, 9))


def bert(**fields: Any) -> Any:
    sizes = {"vocab_size": 37, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
    rest = {"intermediate_size": 20, "max_position_embeddings": 16}
    model = random_model(transformers.BertForMaskedLM, transformers.BertConfig(**{**sizes, **rest, **fields}))
    model.cls.predictions.bias.data.copy_(model.cls.predictions.decoder.bias)  # one only where the head is tied
    return model


def gpt2(**fields: Any) -> Any:
    sizes = {"vocab_size": 37, "n_embd": 12, "n_layer": 2, "n_head": 3, "n_positions": 16}
    ids = {"bos_token_id": 1, "eos_token_id": 1}
    return random_model(transformers.GPT2LMHeadModel, transformers.GPT2Config(**{**sizes, **ids, **fields}))


def llama_like(kind: Any, config: Any, **fields: Any) -> Any:
    sizes = {"vocab_size": 37, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 6}
    rest = {"num_key_value_heads": 2, "intermediate_size": 20, "max_position_embeddings": 16}
    return random_model(kind, config(**{**sizes, **rest, **fields}))


def llama(**fields: Any) -> Any:
    return llama_like(transformers.LlamaForCausalLM, transformers.LlamaConfig, **fields)


def mistral(**fields: Any) -> Any:
    return llama_like(transformers.MistralForCausalLM, transformers.MistralConfig, sliding_window=None, **fields)


def mixtral(**fields: Any) -> Any:
    return llama_like(transformers.MixtralForCausalLM, transformers.MixtralConfig, num_local_experts=4, **fields)


def qwen2(**fields: Any) -> Any:
    return llama_like(transformers.Qwen2ForCausalLM, transformers.Qwen2Config, **fields)


def t5(untied: bool = False, **fields: Any) -> Any:
    sizes = {"vocab_size": 37, "d_model": 12, "d_kv": 5, "d_ff": 20, "num_layers": 2, "num_heads": 3}
    near = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 6}
    model = random_model(transformers.T5ForConditionalGeneration, transformers.T5Config(**{**sizes, **near, **fields}))
    for name, parameter in model.named_parameters():
        if "relative_attention_bias" in name:
            parameter.data.normal_()
    if untied:  # which `transformers` sees from the tensors alone
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
    return model


def vit_like(kind: Any, config: Any, **fields: Any) -> Any:
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
    rest = {"image_size": 8, "patch_size": 4, "num_channels": 2, "num_labels": 5}
    return random_model(kind, config(**{**sizes, **rest, **fields}))


def vit(**fields: Any) -> Any:
    return vit_like(transformers.ViTForImageClassification, transformers.ViTConfig, **fields)


def deit(**fields: Any) -> Any:
    return vit_like(transformers.DeiTForImageClassification, transformers.DeiTConfig, **fields)


def distilled(**fields: Any) -> Any:
    return vit_like(transformers.DeiTForImageClassificationWithTeacher, transformers.DeiTConfig, **fields)


MODELS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (bert, {}),
    (bert, {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "type_vocab_size": 3}),
    (bert, {"tie_word_embeddings": False, "layer_norm_eps": 1e-3}),
    (gpt2, {}),
    (gpt2, {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_inner": 40, "activation_function": "gelu"}),
    (gpt2, {"tie_word_embeddings": False}),
    (llama, {}),
    (llama, {"hidden_size": 36, "head_dim": 10, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
    (llama, {"num_key_value_heads": 6, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    (mistral, {"num_key_value_heads": 1}),
    (mixtral, {}),
    (mixtral, {"hidden_size": 24, "num_experts_per_tok": 3, "num_key_value_heads": 6}),
    (qwen2, {}),
    (qwen2, {"hidden_size": 24, "num_hidden_layers": 3, "num_key_value_heads": 3, "tie_word_embeddings": True}),
    (t5, {}),
    (t5, {"d_model": 16, "num_decoder_layers": 3, "num_heads": 2, "relative_attention_max_distance": 128}),
    (t5, {"tie_word_embeddings": False}),
    (t5, {"untied": True, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    (vit, {}),
    (
        vit,
        {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 2, "layer_norm_eps": 0.1},
    ),
    (deit, {"hidden_act": "relu"}),
    (distilled, {}),
]
IDS = [f"{make.__name__}-{i}" for i, (make, _) in enumerate(MODELS)]


def ours(config: Any, params: Any, *inputs: Any, **options: Any) -> np.ndarray:
    graphdef, _, rest = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param, ...)
    return np.asarray(
        jax.jit(lambda p, *x: nnx.merge(graphdef, p, rest)(*x, **options))(params, *map(jnp.asarray, inputs))
    )


def inputs_of(model: Any) -> tuple[dict[str, np.ndarray], tuple[Any, ...], dict[str, Any]]:
    """Inputs for a model: by their names in `transformers`, and as ours takes them."""
    if hasattr(model.config, "image_size"):
        images = np.random.RandomState(0).rand(3, 2, 8, 8).astype(np.float32)
        return {"pixel_values": images}, (images.transpose(0, 2, 3, 1),), {}
    if not model.config.is_encoder_decoder:
        return {"input_ids": TOKENS}, (TOKENS,), {}
    mask = np.arange(9) < np.array([[9], [6]])
    named = {"input_ids": TOKENS, "attention_mask": mask.astype(np.int64), "decoder_input_ids": TOKENS[:, 2:]}
    return named, (TOKENS, TOKENS[:, 2:]), {"mask": jnp.asarray(mask)}


@pytest.mark.parametrize(("make", "fields"), MODELS, ids=IDS)
def test_logits_are_those_of_the_reference(make: Callable[..., Any], fields: dict[str, Any], tmp_path: Path) -> None:
    model = make(**fields)
    theirs, inputs, options = inputs_of(model)
    wanted = logits_of(model, **theirs)
    assert 0.1 < np.abs(wanted).max() < 30
    config, params = load(saved(model, tmp_path / "theirs"))
    np.testing.assert_allclose(ours(config, params, *inputs, **options), wanted, rtol=0, atol=2e-5)
    architecture = ARCHITECTURES[model.config.model_type]
    save(tmp_path / "ours", config, params, architecture)
    again = loaded(type(model), tmp_path / "ours")
    for name, value in state(model).items():
        np.testing.assert_array_equal(state(again)[name], value, err_msg=name)
    np.testing.assert_allclose(logits_of(again, **theirs), wanted, rtol=0, atol=1e-6)
