"""Decoding: what a model says, drawn, searched, put to the vote and judged. Pure functions; no model class is known."""

from stagejax.decode.beam import Beams, beam_search
from stagejax.decode.bleu import bleu, chrf
from stagejax.decode.distribution import restricted, unrepeated
from stagejax.decode.overlap import rouge, rouge_l, rouge_n
from stagejax.decode.prompts import Completion, Prompts, completions, padded_prompts
from stagejax.decode.protocol import CausalModel, Recomputed, Rewindable
from stagejax.decode.sample import Allowed, Samples, sample
from stagejax.decode.speculative import Speculated, speculative_sample
from stagejax.decode.steering import Caches, Steered, Together, steered
from stagejax.decode.verify import Judge, RewardRule, Verifier, verdicts
from stagejax.decode.vote import Group, Vote, answer_by, best_of, groups, majority_vote, pass_at

__all__ = [
    "Allowed",
    "Beams",
    "Caches",
    "CausalModel",
    "Completion",
    "Group",
    "Judge",
    "Prompts",
    "Recomputed",
    "RewardRule",
    "Rewindable",
    "Samples",
    "Speculated",
    "Steered",
    "Together",
    "Verifier",
    "Vote",
    "answer_by",
    "beam_search",
    "best_of",
    "bleu",
    "chrf",
    "completions",
    "groups",
    "majority_vote",
    "padded_prompts",
    "pass_at",
    "restricted",
    "rouge",
    "rouge_l",
    "rouge_n",
    "sample",
    "speculative_sample",
    "steered",
    "unrepeated",
    "verdicts",
]
