"""Weights of other libraries, in and out: models in Hugging Face layout, without torch.

    config, params = load("bert-base")       # config.json + safetensors -> our configuration and parameters
    save("grown", config, params, BERT)      # and back: a folder that `transformers` loads with from_pretrained

`names` maps tensors to parameters, `tensors` reads and writes files a tensor at a time, every architecture is one file.
"""

from stagejax.interop.bert import BERT
from stagejax.interop.checkpoint import ARCHITECTURES, Checkpoint, load, open_checkpoint, save
from stagejax.interop.gpt2 import GPT2
from stagejax.interop.llama import LLAMA, MISTRAL, QWEN2
from stagejax.interop.mixtral import MIXTRAL
from stagejax.interop.t5 import T5_MODEL
from stagejax.interop.tensors import InteropError
from stagejax.interop.vit import DEIT, VIT

__all__ = [
    "ARCHITECTURES",
    "BERT",
    "DEIT",
    "GPT2",
    "LLAMA",
    "MISTRAL",
    "MIXTRAL",
    "QWEN2",
    "T5_MODEL",
    "VIT",
    "Checkpoint",
    "InteropError",
    "load",
    "open_checkpoint",
    "save",
]
