"""Search: spaces of subnets in one supernet, which of them are trained, and which is found; the parts of a schedule.

space      subnets as codes: masks over shared weights, their FLOPs, networks of their own
sampler    which subnets a step trains: the sandwich rule, banks of like FLOPs, a memory of scores
supernet   the step and the loss of a supernet, and the accuracy of its subnets
conflict   how far the gradients of neighbouring steps agree
evolution  the best code by a score, within limits
greedy     the cheapest choice for each part of a schedule, one after the other
likeness   the clusters of a pool that are most like a target
lowest     the best of some numbers by their losses, and beyond their ends
peak       the learning rate of the best of some short trainings
annealing  states of the least energy, by moves that may go uphill while it is hot
layouts    boxes of words on a page, taken apart by annealing
mcts       trees of actions: PUCT, values backed up, what is done closed
fragments  trees of pieces of responses, inserted as chains with a cheap reward
"""

from stagejax.search.conflict import Recalling
from stagejax.search.evolution import Evolution
from stagejax.search.sampler import Memory, Sampler
from stagejax.search.space import Code, Space
from stagejax.search.supernet import SupernetStep, accuracy_by_bank, search_bank, subnet_accuracy, supernet_loss, taught

__all__ = [
    "Code",
    "Evolution",
    "Memory",
    "Recalling",
    "Sampler",
    "Space",
    "SupernetStep",
    "accuracy_by_bank",
    "search_bank",
    "subnet_accuracy",
    "supernet_loss",
    "taught",
]
