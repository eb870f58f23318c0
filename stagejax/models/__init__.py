"""Models: Flax NNX modules whose parameters name their axes. A stage declares a config; `build` makes the module.

Here are the parts that all are built of, and the families that growth and interop know; in rooms, the architectures for
text, vision, generative, speech and multimodal work.
"""

from stagejax.models.attention import Attention, attend
from stagejax.models.cache import Cache
from stagejax.models.language_model import LanguageModel
from stagejax.models.moe import Mixture, MoE, RouterStatistics
from stagejax.models.t5 import T5, EncoderDecoder
from stagejax.models.transformer import Transformer, bert, gpt, llama
from stagejax.models.vit import VisionTransformer, ViT

__all__ = [
    "T5",
    "Attention",
    "Cache",
    "EncoderDecoder",
    "LanguageModel",
    "Mixture",
    "MoE",
    "RouterStatistics",
    "Transformer",
    "ViT",
    "VisionTransformer",
    "attend",
    "bert",
    "gpt",
    "llama",
]
