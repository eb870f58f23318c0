"""What README.md shows, works: its pipeline runs, its operator grows a model, its commands exist."""

import re
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.growth import Growth, Operator, Term, copy_map, grow
from stagejax.models import gpt

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(word: str) -> str:
    return next(text for text in BLOCKS if word in text)


def test_the_pipeline_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        block("with running")
        .replace("steps=300", "steps=3")
        .replace("held_out(8), batches=8", "held_out(1), batches=1")
        .replace("mine", "x")
    )
    text = text.replace('"x") as run', '"x", mesh="data=1") as run').replace("Stdlib()", "Stdlib(limit=300_000)")
    exec(compile(text, "README.md", "exec"), {})
    assert float(capsys.readouterr().out.splitlines()[-1]) < 1e-4


def test_the_operator_keeps_the_function() -> None:
    names: dict[str, object] = {
        "dataclass": dataclass,
        "Operator": Operator,
        "Term": Term,
        "copy_map": copy_map,
        "np": np,
    }
    exec(compile(block("class Double"), "README.md", "exec"), names)
    small, large = (gpt(vocab=32, embed=8, layers=1, heads=1, mlp=size, length=8) for size in (16, 32))
    growth = Growth(names["Double"](), small, large)
    params = nnx.to_pure_dict(nnx.state(small.build(nnx.Rngs(0)), nnx.Param))
    tokens = jnp.arange(8)[None]

    def logits(config: object, params: object) -> jax.Array:
        graphdef, _ = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))
        return nnx.merge(graphdef, params)(tokens)

    np.testing.assert_allclose(logits(large, grow(growth, params)), logits(small, params), atol=1e-5)


def test_its_variables_are_read_by_the_code() -> None:
    sources = "".join(path.read_text() for path in (Path(__file__).parents[1] / "stagejax").rglob("*.py"))
    for name in set(re.findall(r"STAGEJAX_[A-Z_]+", README)):
        assert name in sources, name
