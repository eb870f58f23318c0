"""Declarations: what determines a value, what does not, and what cannot be written down."""

import functools
import subprocess
import sys
from dataclasses import dataclass, field

import jax
import numpy as np
import optax
import pytest

from stagejax.declare import NotDeclarable, declare, difference, fingerprint


@dataclass(frozen=True)
class Config:
    width: int = 64
    rate: float = 0.1
    name: str = field(default="a", metadata={"declared": False})

    def double(self) -> int:
        return 2 * self.width


def module_level(x: int) -> int:
    return x + 1


def test_a_dataclass_is_its_type_and_declared_fields():
    assert declare(Config()) == {"type": "test_declare:Config", "width": 64, "rate": 0.1}
    assert declare(Config(name="b")) == declare(Config())
    assert declare(Config(width=65)) != declare(Config())


def test_values_are_json_that_tells_them_apart():
    values = [
        1,
        1.5,
        "1",
        True,
        None,
        (1, 2),
        (1, 2, 3),
        {"a": 1},
        np.float32(0.5),
        np.dtype("int32"),
        np.arange(3),
        np.arange(3.0),
    ]
    values += [module_level, functools.partial(module_level, 1), functools.partial(module_level, 2), Config, Config()]
    marks = [fingerprint(declare(value)) for value in values]
    assert len(set(marks)) == len(marks)


@dataclass(frozen=True)
class One:
    type: str = "x"


@dataclass(frozen=True)
class Other:
    type: str = "x"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (One(), Other()),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),  # models that train together draw their values in turn
        (np.array(3), np.array([3])),
        ({"a": 1}.get, {"a": 2}.get),
        (0.0, -0.0),
        (1, 1.0),
    ],
)
def test_what_means_something_else_is_declared_otherwise(one, other):
    assert fingerprint(declare(one)) != fingerprint(declare(other))
    assert difference(declare({"x": one}), declare({"x": other}))


def test_the_order_of_keywords_means_nothing():
    one, other = functools.partial(module_level, a=1, b=2), functools.partial(module_level, b=2, a=1)
    assert declare(one) == declare(other)


@pytest.mark.parametrize(
    "value",
    [{1: "a", "1": "b"}, {module_level: 1}, np.array([module_level, 1], object), jax.random.key(0), str.upper],
)
def test_what_would_be_told_by_its_address_or_not_at_all_is_refused(value):
    with pytest.raises(NotDeclarable, match=r"config\.rate"):
        declare(Config(rate=value))


def test_not_finite_numbers_are_declared():
    assert declare(float("nan")) == "nan"
    assert declare(float("-inf")) == "-inf"


def test_a_bound_method_is_its_function_and_its_object():
    assert declare(Config(width=1).double) != declare(Config(width=2).double)
    assert declare(Config(width=1).double) == declare(Config(width=1).double)


@pytest.mark.parametrize("function", [jax.nn.relu, jax.nn.gelu, optax.adam, np.tanh, len, jax.numpy.tanh])
def test_functions_of_libraries_are_their_names(function):
    assert set(declare(function)) == {"function"}


def test_lambdas_closures_and_objects_are_refused_with_their_place():
    def closure():
        return Config

    def around(x):
        return closure

    with pytest.raises(NotDeclarable, match=r"config\.rate holds .*<lambda>.*module-level function"):
        declare(Config(rate=lambda step: 0.1))
    with pytest.raises(NotDeclarable, match="closure"):
        declare(around)
    with pytest.raises(NotDeclarable, match=r"config\['a'\]\[1\] holds <object"):
        declare({"a": (1, object())})
    with pytest.raises(NotDeclarable, match=r"config\[0\]"):
        declare(optax.adam(1e-3))  # a tuple of closures: give a function that makes it


@functools.cache
def decorated(x: int) -> int:
    return x


def closing(function):
    @functools.wraps(function)
    def inner(x):
        return function(x)

    return inner


@closing
def wrapped(x: int) -> int:
    return x


def test_decorated_functions_are_declared_by_the_name_they_have():
    assert declare(wrapped)["function"] == "test_declare:wrapped"
    assert declare(decorated)["code"] != declare(wrapped)["code"]
    with pytest.raises(NotDeclarable, match="closure"):
        declare(closing(module_level))


def variant(tmp_path, text):
    page = tmp_path / "own.py"
    page.write_text(text)
    sys.path.insert(0, str(tmp_path))
    try:
        sys.modules.pop("own", None)
        import linecache

        linecache.clearcache()
        import own

        return declare(own.f)
    finally:
        sys.path.remove(str(tmp_path))


def test_code_counts_but_comments_and_docstrings_do_not(tmp_path):
    plain = variant(tmp_path, "def f(x, a=1):\n    return x + a\n")
    assert variant(tmp_path, 'def f(x, a=1):\n    """Says so."""\n    # why\n    return x + a\n') == plain
    assert variant(tmp_path, "def f(x, a=2):\n    return x + a\n") != plain
    assert variant(tmp_path, "def f(x, a=1):\n    return x - a  # other code\n") != plain


def test_a_module_run_as_main_declares_the_same(tmp_path):
    (tmp_path / "door.py").write_text(
        "from stagejax.declare import declare, fingerprint\n"
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class C:\n    a: int = 1\n"
        "def f(x):\n    return x\n"
        "MARK = fingerprint(declare((C(), f)))\n"
        "if __name__ == '__main__':\n    print(MARK)\n"
    )
    out = subprocess.run([sys.executable, "-m", "door"], cwd=tmp_path, capture_output=True, text=True, check=True)
    sys.path.insert(0, str(tmp_path))
    try:
        import door
    finally:
        sys.path.remove(str(tmp_path))
    assert out.stdout.strip() == door.MARK


def test_difference_names_each_place_once():
    old = {"stage": {"steps": 600, "data": {"batch": 8}, "names": ["a", "b"]}, "gone": 1}
    new = {"stage": {"steps": 400, "data": {"batch": 8}, "names": ["a", "c"]}, "new": None}
    lines = difference(old, new)
    assert lines == [
        "stage.steps: 600 -> 400",
        'stage.names[1]: "b" -> "c"',
        "gone: 1 -> (absent)",
        "new: (absent) -> null",
    ]
    assert difference(old, old) == []
    assert difference([1], [1, 2], "x") == ["x: [1] -> [1, 2]"]
