"""One smoke run for all tests of an experiment, and what they look at in it."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from stagejax import Experiment, running
from stagejax.axes import path_name


def smoke_run(experiment: Experiment, config: Any) -> Any:
    """The fixture of a module's one run: results by name, the report and the folder."""

    @pytest.fixture(scope="module")
    def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any, Path]:
        folder = tmp_path_factory.mktemp("smoke")
        with running(folder, experiment.name, mesh="data=1") as run:
            report = experiment.pipeline(run, config)
            report.write(folder, stages=run.results)
            return {result.name: result for result in run.results}, report, folder

    return finished


def flat(result: Any) -> dict[str, np.ndarray]:
    """The parameters of a result by path."""
    params = result.state().params
    return {path_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
