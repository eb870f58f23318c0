"""Reference models of `transformers` with parameters that are random everywhere, saved as people save them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
logging.getLogger("transformers").setLevel(logging.ERROR)
transformers.utils.logging.disable_progress_bar()


def random_model(kind: Any, config: Any, seed: int = 0) -> Any:
    """A model whose every parameter is random, biases and norms too, with logits of the order of 1."""
    torch.manual_seed(seed)
    model = kind(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_gain = parameter.ndim == 1 and "bias" not in name
            scale = 0.3 if parameter.ndim == 1 else 0.5 / parameter.shape[-1] ** 0.5
            parameter.normal_(1.0 if is_gain else 0.0, scale)
    return model


def saved(model: Any, folder: Path, **options: Any) -> Path:
    model.save_pretrained(folder, **options)
    return folder


def logits_of(model: Any, **inputs: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(**{name: torch.from_numpy(np.asarray(x)) for name, x in inputs.items()}).logits.numpy()


def loaded(kind: Any, folder: Path) -> Any:
    """The model in a folder, every tensor of which `transformers` must know, and the other way round."""
    model, report = kind.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"], report["missing_keys"]
    assert not report["unexpected_keys"], report["unexpected_keys"]
    return model.eval()


def state(model: Any) -> dict[str, np.ndarray]:
    return {name: x.detach().numpy() for name, x in model.state_dict().items()}
