"""Trained networks at work between stages: a function of a frozen model over many rows, and what is asked of it.

frozen        functions of a model over rows, in batches of one size     generated     samples of a generator, judged
answering     a language model answers prompts, a rule judges            unlearning    what a generator still makes
speaking      answers of encoder-decoders and prefix decoders, by ROUGE  tokenizing    pictures and clips to codes
examination   a model of several modalities is asked                     videos        latents, samples, verdicts
preferring    pairs of own answers, ordered                              several       functions of several networks
choosing      the likeliest of several endings, probes of whole texts    responding    responses of encoder-decoders
selection     records worth training on, by what a proxy says            closeness     how far networks are apart
emulating     a base steered by what tuning changed elsewhere            speculating   two samplers, compared
in_context    learners that read their examples, and descent on these    cur           scores from a few of them
scoring       queries and items scored by encoders                       reranking     search within a budget of scores
residual      streams of decoders, read early and patched                consistency   several answers to a question
tagging       sequences labelled token by token                          active        rounds of bought labels
asking        which texts to label, and with what features               pseudo_labels predictions to learn from
rollouts      what a step of an answer is worth                          stepwise      right answers, pairs cut at one
pruning       adapters without the entries that some data uses most      refusing      what a model refuses
prompting     labels by prompts, for every text of a pool                tags          words of languages, tagged
continuing    texts continued behind prompts                             likelihood    losses of texts, of mutants
kmers         sequences as bags of pieces, a judge that is no network    souping       which models to average
dense         what features of patches are worth, and what they tell    separating    features without their place
slots         answers behind hidden thoughts, what their slots tell    quizzes       answers, and what they lack
newcomers     what is asked about people that no text told of           recalling     facts that were read
retrieving    banks of demonstrations in a pipeline                     bag_of_words  what words alone tell of a task
demonstrations  found for questions, and answers behind them
tree_search   steps of answers searched, trees abreast                   tree_rows     paths, pairs and values of trees
fragment_search  pieces of responses searched and judged     fragment_rows  records worth a search, pairs of pieces
page_planning boxes for words, said by a planner              page_drawing  pages drawn, the best kept, words repainted
page_reading  words found on pages and read, and their scores
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
