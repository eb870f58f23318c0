"""The rules of the house: who may import whom, how long a file may be, and what an import may load."""

import ast
import dataclasses
import importlib
import itertools
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "stagejax").rglob("*.py"))
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.py"))

#: What the files of a folder may import from stagejax, beside their own folder.
MAY_IMPORT = {
    "models": {"axes"},
    "objectives": set(),
    "data": set(),
    "decode": set(),
    "growth": {"axes", "declare"},
    "transforms": {"axes", "state"},
    "report": {"committed", "declare", "ledger"},
    "search": {"data", "inference", "models", "objectives", "result", "stage", "state"},
}

#: Rooms that stand on the spine: it knows none of them.
ABOVE_THE_SPINE = {"cli", "commands", "inference", "interop", "search", "steps"}


def imported(path: Path) -> set[str]:
    """Modules named in the import statements of a file, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_it_may_know(folder: str) -> None:
    allowed = MAY_IMPORT[folder] | {folder}
    for path in sorted((ROOT / "stagejax" / folder).rglob("*.py")):
        rooms = {name.split(".")[1] for name in imported(path) if name.startswith("stagejax.")}
        assert rooms <= allowed, f"{path.relative_to(ROOT)} imports stagejax.{', stagejax.'.join(rooms - allowed)}"


def test_the_spine_knows_no_room_above_it() -> None:
    for path in sorted((ROOT / "stagejax").glob("*.py")):
        rooms = {name.split(".")[1] for name in imported(path) if name.startswith("stagejax.")}
        assert path.name == "cli.py" or not rooms & ABOVE_THE_SPINE, f"{path.name} imports {rooms & ABOVE_THE_SPINE}"


def test_the_library_knows_no_experiment() -> None:
    for path in LIBRARY:
        if path.name != "experiment.py":
            assert not any(name.split(".")[0] == "experiments" for name in imported(path)), path


def test_experiments_do_not_import_each_other() -> None:
    for path in EXPERIMENTS:
        others = {name for name in imported(path) if name.startswith("experiments.")}
        assert not others, f"{path.relative_to(ROOT)} imports {others}"


def test_no_file_is_longer_than_a_reader_can_bear() -> None:
    for path in LIBRARY + EXPERIMENTS:
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 500, f"{path.relative_to(ROOT)} has {lines} lines: split it by its nouns"


def test_no_room_holds_more_files_than_a_newcomer_looks_over() -> None:
    for folder in sorted({path.parent for path in LIBRARY}):
        files = len(list(folder.glob("*.py")))
        assert files <= 50, f"{folder.relative_to(ROOT)} holds {files} files: make rooms by what they are about"


def test_shapes_are_strings() -> None:
    """An annotation that cannot be evaluated, as `Float[Array, ...]`, is checked by nobody and says so to nobody."""
    kinds = {"Bool", "Float", "Float32", "Float64", "Inexact", "Int", "Int32", "Key", "Num", "Shaped", "UInt"}
    for path in LIBRARY + EXPERIMENTS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in kinds:
                shape = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
                assert isinstance(getattr(shape, "value", None), str), f"{path.relative_to(ROOT)}:{node.lineno}"


def test_test_files_have_names_of_their_own() -> None:
    """Two of one name cannot be collected together, which only a run of all tests would show."""
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, other in itertools.pairwise(names) if name == other] == []


def test_import_loads_nothing_heavy() -> None:
    code = "import stagejax.public, sys; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = [
        "tensorflow_datasets",
        "sklearn",
        "scipy.optimize",
        "matplotlib",
        "tokenizers",
        "grain",
        "orbax",
        "tyro",
        "torch",
    ]
    found = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_public_names_exist() -> None:
    import stagejax

    assert all(hasattr(stagejax, name) for name in stagejax.__all__)
    assert stagejax.__all__ == sorted(stagejax.__all__)


def test_help_of_a_public_name_tells_its_fields() -> None:
    """Comments beside fields are not shown by help(), where a newcomer looks."""
    import stagejax
    from stagejax.growth import Map, Receipt, Term
    from stagejax.report import Arm, Report

    for thing in (*(getattr(stagejax, name) for name in stagejax.__all__), Arm, Report, Map, Receipt, Term):
        for field in dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ():
            named = rf"^ +(\w+, )*{field.name}(, \w+)*: |`{field.name}` likewise"
            assert field.name[0] == "_" or re.search(named, thing.__doc__, re.MULTILINE), (thing, field.name)


def test_no_file_takes_the_place_of_a_public_name() -> None:
    """Importing a file sets its name in the folder: one that the folder gives to something else would be lost."""
    for folder in sorted({path.parent for path in LIBRARY if path.name == "__init__.py"}):
        room = importlib.import_module(".".join(folder.relative_to(ROOT).parts))
        for name in sorted({path.stem for path in folder.iterdir()} & set(getattr(room, "__all__", ()))):
            importlib.import_module(f"{room.__name__}.{name}")
            assert not isinstance(getattr(room, name), ModuleType), f"{folder / name}.py takes a public name"
