"""Where a run departs from another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stagejax import checkpoint
from stagejax.workdir import Entry, reopen_workdir


@dataclass(frozen=True)
class Fork:
    """Where a run departs from another: its stage `stage` begins with the state that the other had at `step`.

    Args:
      workdir: of the other run.
      stage: its name, in both.
      step: of one of the other's saves.
    """

    workdir: Path
    stage: str
    step: int

    @classmethod
    def parse(cls, text: str) -> Fork:
        """`runs/first/large/fpi@200`: the folder, the stage and the step.

        Raises:
          ValueError: it is not of that form, or no folder along it is a workdir.
        """
        place, at, step = text.rpartition("@")
        if not at or not step.isdigit():
            raise ValueError(f"{text!r}: write it as WORKDIR/STAGE@STEP, such as runs/first/large/fpi@200")
        parts = Path(place).parts
        for cut in range(len(parts) - 1, 0, -1):
            folder = Path(*parts[:cut])
            if (folder / "run.json").exists():
                return cls(folder.absolute(), "/".join(parts[cut:]), int(step))
        raise ValueError(f"{text!r}: no folder along {place} is the workdir of a run")

    def __str__(self) -> str:
        return f"{self.workdir}/{self.stage}@{self.step}"


def forked(fork: Fork) -> Entry:
    """The stage that a fork departs from.

    Raises:
      WorkdirError: there is no such run or stage; the error lists those there are.
    """
    return reopen_workdir(fork.workdir).find(fork.stage)


def forked_save(fork: Fork) -> Path:
    """The save that a fork begins with: once it has saves of its own, the source's may be gone.

    Raises:
      WorkdirError, ValueError: there is no such run, stage or save; the error lists those there are.
    """
    steps = forked(fork).steps
    if fork.step not in checkpoint.steps(steps):
        raise ValueError(
            f"stage {fork.stage!r} of {fork.workdir} has no save at step {fork.step}; it has "
            f"{checkpoint.steps(steps)}. Stages keep their last two saves unless they say keep=None."
        )
    return steps / str(fork.step)
