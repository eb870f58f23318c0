"""LLM efficiency: the options of a survey measured on one model, and its two case studies in earnest.

Paper    Achieving Peak Performance for Large Language Models: A Systematic Review, IEEE Access 12, 2024,
         arXiv 2409.04833 (dossier 019). Case studies: SparseGPT (arXiv 2301.00774) and QMoE (arXiv 2310.16795). The
         review's own tables were not read; its figures are of other papers.
Claim    SparseGPT prunes half of the weights at nearly the perplexity of the dense model, where magnitude pruning
         degrades; 2:4 is worse than unstructured. Ternary experts by a GPTQ-style pass are far better than by
         rounding, at less than one bit a weight. A KV cache, rematerialisation and eight-bit weights do what they are
         known for.
Method   One decoder and one Switch-style mixture of experts on the same text. A row of the taxonomy is a configuration
         of a stage: training (scan, bfloat16, accumulation, rematerialisation, optimizers, LoRA), inference (cache,
         weights of 8 and 4 bits, speculative sampling), serving (static and continuous batching, length bucketing).
         Of each: tokens/s, bytes, perplexity. Then case study A: SparseGPT against magnitude, with its mask alone and
         with calibration on random tokens as controls; B: ternary experts and their entropy code.
Smaller  3 layers of width 64 for the paper's billions of parameters, one training run of each model. Not there: 8-bit Adam
         (optax has none), multi-query, beam search, prefix cache, packing, and shardings, of which a mesh is one run.
Run      stagejax run llm_efficiency_survey_bench                       laptop: about five minutes on two idle cores
         stagejax run llm_efficiency_survey_bench --preset smoke        a minute, most of it compilation
         stagejax plan llm_efficiency_survey_bench --preset pod --mesh data=16,fsdp=16
Holds if (1) at 50 % sparsity SparseGPT adds at most half of the perplexity that magnitude pruning adds, (2) ternary
         experts by the GPTQ-style pass at most a third of what rounding adds (means over calibration draws); (3) a
         cache gives 3 times the tokens/s at the whole length; (4) rematerialisation takes 30 % off the activations for
         at most 50 % more time a step; (5) 8-bit weights change the perplexity by less than 1 %; (6) 2:4 is worse than
         50 % unstructured on every draw; (7) the ternary words take less than a bit a weight on every draw; (8)
         continuous batching serves more of the tokens asked for a second than static batching in every repeat. Times
         are compared window by window in one process.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Handover, Precision, Stage
from stagejax.data import BPE, CausalText, Dataset, Source, Stdlib
from stagejax.data.learned import LearnedFrom
from stagejax.data.published import C4, WIKIPEDIA
from stagejax.inference import Frozen, serving
from stagejax.inference.compressing import (
    MaskOf, Solved, Uncalibrated, compressed, kernels, with_kernels,
)  # fmt: skip
from stagejax.inference.frozen import flops_of_one
from stagejax.inference.likelihood import held_out_loss
from stagejax.inference.token_rates import Rates, token_rates
from stagejax.models import Transformer, gpt
from stagejax.names import slug
from stagejax.objectives import causal_lm, with_experts
from stagejax.optimizer import adafactor, adamw
from stagejax.report import Arm, Claim, Report, Table, claim, shown
from stagejax.steps.windows import matmul_peak, ratio, stage_windows
from stagejax.transforms import LoRA, Reparameterized, adapters, update_kernels
from stagejax.transforms.prune import Masked
from stagejax.transforms.quantize import Quantized, Uniform, rounded
from stagejax.transforms.sparsegpt import SemiStructured, Unstructured, magnitude
from stagejax.transforms.ternary import Ternary, symbols, ternary
from stagejax.transforms.ternary_code import TernaryCode, entropy
