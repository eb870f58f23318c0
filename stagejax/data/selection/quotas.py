"""Examples drawn task by task: each task is as likely as any other, until it has given its quota."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words, shuffled


def drawn_by_task(
    tasks_N: Int64[np.ndarray, " N"], count: int, quota: int | None = None, seed: int = 0
) -> Int64[np.ndarray, " count"]:
    """Numbers of `count` examples: a task drawn uniformly, one of its examples that was not drawn before, and so on.

    A task leaves when it has given `quota` examples, or all that it has. So a large task does not outweigh small ones.

    Args:
      tasks_N: the task of every example.
      quota: most examples of a task; None: all.

    Raises:
      ValueError: the tasks have not so many examples to give.

    Reference: Mukherjee et al. 2023 (Orca), https://arxiv.org/abs/2306.02707, algorithm 1.

    >>> tasks = np.repeat(np.arange(3), [2, 50, 50])
    >>> np.bincount(tasks[drawn_by_task(tasks, 30, quota=15)]).tolist()
    [2, 15, 13]
    """
    names, sizes = np.unique(tasks_N, return_counts=True)
    most = sizes if quota is None else np.minimum(sizes, quota)
    if count > most.sum():
        raise ValueError(f"{count} examples of {len(names)} tasks that give {most.sum()} at most: raise the quota")
    left = {}
    for name, size, limit in zip(names.tolist(), sizes.tolist(), most.tolist(), strict=True):
        order = shuffled(seed + 1 + name, np.arange(size), size)[:limit]
        left[name] = np.flatnonzero(tasks_N == name)[order].tolist()
    draws, found = random_words(seed, np.arange(count), 1)[:, 0] >> np.uint64(16), []
    for draw in draws.tolist():
        tasks = list(left)
        own = left[tasks[draw % len(tasks)]]
        found.append(own.pop())
        left = {task: rest for task, rest in left.items() if rest} if not own else left
    return np.array(found, np.int64)
