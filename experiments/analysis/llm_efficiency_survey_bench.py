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
"""
