"""The user's own code in a declaration: what is reached counts, what is not does not, and what changed is named."""

from __future__ import annotations

import functools
import importlib
import linecache
import subprocess
import sys
from typing import Any

import jax
import optax
import pytest
from spine import go, stage

from stagejax.code import used
from stagejax.identity import declare_make, declare_train, program_key
from stagejax.workdir import WorkdirError

OWN = '''"""A module."""
import functools
from dataclasses import dataclass
from typing import ClassVar
import aside
from aside import other as renamed, RATE

SCALE = {"a": 1.0}
BASE = 2
TWICE = 2 * BASE
UNUSED = 5

class Parent:
    def helps(self):
        return 1

@dataclass(frozen=True)
class Thing(Parent):
    """Says so."""
    width: int = 3
    kind: ClassVar[int] = 1
    def __call__(self, x):
        return aside.method(x) + self.width

@dataclass(frozen=True)
class Fields:
    width: int = 3

def deeper(x):
    return x * TWICE

def helper(x):
    """Says so."""
    return deeper(x) + SCALE["a"]

def made(scale):
    def inner(x):
        nonlocal scale
        return scale * x
    return inner

half = made(0.5)
third = functools.partial(deeper, x=0.3)

def traced(f):
    return f

@traced
def f(x: Thing, unused: int = 1) -> Fields:
    """Says so."""
    SCALE_ = 1
    return helper(x) + renamed(x) * RATE + half(x) + third()

def apart(x):
    return UNUSED
'''

ASIDE = """
RATE = 0.1
def method(x):
    return x
def other(x):
    return x
def unused(x):
    return x
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Both modules, imported anew from some text."""
    monkeypatch.syspath_prepend(tmp_path)

    def modules(own: str = OWN, aside: str = ASIDE) -> Any:
        for name, text in (("own", own), ("aside", aside)):
            sys.modules.pop(name, None)
            (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        linecache.clearcache()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return importlib.import_module("own")

    yield modules
    for name in ("own", "aside"):
        sys.modules.pop(name, None)


def changes(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("x * TWICE", "x + TWICE", {"own:deeper"}),
        ("BASE = 2\n", "BASE = 3\n", {"own:BASE"}),
        ('{"a": 1.0}', '{"a": 1}', {"own:SCALE"}),
        ("made(0.5)", "made(0.6)", {"own:half"}),
        ("x=0.3", "x=0.4", {"own:third"}),
        ("return scale * x", "return scale + x", {"own:made", "own:made.<locals>.inner"}),
        ("return f\n", "return functools.cache(f)\n", {"own:traced"}),
        ("UNUSED = 5", "UNUSED = 6", set()),
        ('    """Says so."""\n    return deeper', "    # otherwise\n    return deeper", set()),
        ("class Fields:\n    width: int = 3", "class Fields:\n    width: int = 4", set()),
    ],
)
def test_what_a_function_reaches_counts(written, old, new, names):
    assert old in OWN
    before = used(written().f)
    assert "own:f" not in before  # its own code is in its declaration
    assert changes(before, used(written(OWN.replace(old, new)).f)) == names


def test_an_imported_constant_that_shows_an_address_is_no_part(written):
    own = OWN.replace("other as renamed, RATE", "other as renamed, RATE, PAIR").replace("third()", "PAIR[0](x)")
    assert used(written(own, ASIDE + "PAIR = (other, object())\n").f).keys() >= {"own:helper", "aside:other"}


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("RATE = 0.1", "RATE = 0.2", {"own:RATE"}),
        ("def other(x):\n    return x", "def other(x):\n    return -x", {"aside:other"}),
        ("def unused(x):\n    return x", "def unused(x):\n    return -x", set()),
    ],
)
def test_so_does_what_lies_in_another_module(written, old, new, names):
    before = used(written().f)
    assert changes(before, used(written(aside=ASIDE.replace(old, new)).f)) == names


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("+ self.width", "- self.width", {"own:Thing"}),
        ("kind: ClassVar[int] = 1", "kind: ClassVar[int] = 2", {"own:Thing"}),
        ("return 1", "return 2", {"own:Parent"}),
        ('"""Says so."""\n    width: int = 3', "width: int = 4", set()),
    ],
)
def test_an_object_has_the_code_of_its_class_and_fields_of_its_own(written, old, new, names):
    before = used({"a": (written().Thing(width=3),)})
    assert set(before) == {"own:Thing", "own:Parent", "aside:method"}
    assert changes(before, used([written(OWN.replace(old, new)).Thing(width=3)])) == names


def test_what_has_no_code_of_its_own_is_declared_as_before(written):
    own = written()
    assert used(own.Fields(), optax.adam, len, 3, None, functools.partial(optax.adam, 0.1)) == {}
    assert "code" not in declare_make("m", sorted, ([1], own.Fields()))


def test_a_module_run_as_main_uses_the_same(tmp_path):
    text = "from stagejax.code import used\nA = 1\ndef g(x):\n    return A\ndef f(x):\n    return g(x)\nprint(used(f))"
    (tmp_path / "door.py").write_text(text)
    runs = [["-m", "door"], ["-c", "import door"]]
    said = [subprocess.run([sys.executable, *run], cwd=tmp_path, capture_output=True, text=True).stdout for run in runs]
    assert said[0] == said[1]
    assert "door:A" in said[0]


def test_a_changed_helper_is_refused_by_its_name(written, tmp_path):
    go(tmp_path / "run", lambda run: run.make("made", apply, written().Thing(3), 2))
    with pytest.raises(WorkdirError, match=r'code\.own:Thing: "\w+" -> "\w+"'):
        go(tmp_path / "run", lambda run: run.make("made", apply, written(OWN.replace("+ self", "- self")).Thing(3), 2))


def apply(function: Any, x: int) -> int:
    return function(x)


def test_programs_of_changed_code_are_not_shared(written):
    keys = [program_key(stage(objective=written(text).Thing())) for text in (OWN, OWN.replace("+ self", "- self"))]
    assert keys[0] != keys[1]


def test_what_is_edited_while_a_run_goes_on_is_not_what_it_runs(written, tmp_path):
    """Lines move, too: what stood at a function's line would be hashed instead of it."""
    own = written()
    wanted = declare_make("m", own.f, ())

    def body(run: Any) -> Any:
        (tmp_path / "own.py").write_text(
            "# above\n" + OWN.replace("x * TWICE", "x").replace("SCALE_ = 1", "SCALE_ = 2")
        )
        linecache.clearcache()
        return declare_make("m", own.f, ())

    assert go(tmp_path / "run", body) == wanted


def test_settings_of_jax_that_change_numbers_count_where_they_are_unusual():
    plain = declare_train(stage(), None)
    with jax.default_prng_impl("rbg"), jax.default_matmul_precision("highest"):
        found = declare_train(stage(), None)
    assert found.pop("settings") == {"jax_default_prng_impl": "rbg", "jax_default_matmul_precision": "highest"}
    assert found == plain
