"""Trained networks at work between stages: a function of a frozen model over many rows, and what is asked of it.

frozen        functions of a model over rows, in batches of one size     several       functions of several networks
answering     a language model answers prompts, a rule judges            saying        answers as text, in batches
choosing      the likeliest of several endings, probes of whole texts    likelihood    losses of texts, of mutants
continuing    texts continued behind prompts                             generated     samples of a generator, judged
scoring       queries and items scored by encoders                       closeness     how far networks are apart

Rooms: prompts (answers drawn, compared, written by the model itself), reasoning (answers in steps), selection (which
records to label or to learn from), tasks (labels, tags, translations), knowledge, retrieval, pictures, sound,
multimodal, molecules, serving (smaller, mixed, served).
"""

from stagejax.inference.frozen import (
    Frozen,
    apply,
    compiled,
    concatenated,
    features_of,
    flops_of_one,
    logits_for_every_record,
    logits_of,
    logits_of_members,
)

__all__ = [
    "Frozen",
    "apply",
    "compiled",
    "concatenated",
    "features_of",
    "flops_of_one",
    "logits_for_every_record",
    "logits_of",
    "logits_of_members",
]
