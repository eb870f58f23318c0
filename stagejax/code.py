"""Code: what a declaration uses of the user's own code, each piece with a hash of what it says.

A piece is a function, a class or a constant at the top of a module. Comments, docstrings and annotations of arguments
do not count. Libraries are left out, and what is imported inside of a function.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import dataclasses
import functools
import hashlib
import inspect
import symtable
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

#: What is no library wherever it is installed.
OWN = ("experiments", "__main__")

#: What lies at the top of a module: its name with that of the module, its source, and the names that it may use.
Piece = tuple[str, ast.stmt, Mapping[str, Any]]


def used(*values: Any) -> dict[str, str]:
    """Every piece of the user's own code that declared values lead to, by `module:name`, with a hash of it.

    A function that is one of these values is not among them: its declaration has a hash of its code.
    """
    found: dict[str, str] = {}
    for thing in _things(values):
        found |= _reached(thing)
    return dict(sorted(found.items()))


def module_of(thing: Any) -> str:
    """The module a thing is imported from, also where `python -m` runs that module as `__main__`."""
    return _known_as(thing.__module__ or "builtins")


def _known_as(module: str) -> str:
    spec = getattr(sys.modules.get(module), "__spec__", None) if module == "__main__" else None
    return spec.name.removesuffix(".__main__") if spec else module


def text_of(tree: ast.stmt) -> str:
    """What code says, without comments and docstrings."""
    tree = copy.deepcopy(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _things(value: Any) -> Iterator[Any]:
    """The functions and classes that a declared value consists of."""
    if isinstance(value, Mapping | tuple | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _things(item)
    elif isinstance(value, functools.partial):
        yield from _things((value.func, value.args, value.keywords))
    elif inspect.ismethod(value):
        yield from _things((value.__func__, value.__self__))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield type(value)
        for field in dataclasses.fields(value):
            if field.metadata.get("declared", True):
                yield from _things(getattr(value, field.name))
    elif _is_code(value):
        yield value


def _is_code(value: Any) -> bool:
    return callable(value) and hasattr(value, "__qualname__") and hasattr(value, "__module__")


@functools.cache
def _reached(thing: Any) -> dict[str, str]:
    """The pieces that a function or class leads to. A class itself too, without its fields: an object has them."""
    first, found = _piece(thing), dict[str, str]()
    waiting = [first] if first else []
    while waiting:
        place, tree, names = waiting.pop()
        if place in found:
            continue
        if first and place == first[0]:
            tree = _without_fields(tree)
        found[place] = hashlib.sha256(text_of(tree).encode()).hexdigest()[:12]
        waiting += [piece for piece in _mentioned(tree, names) if piece]
    if first and (not isinstance(thing, type) or not _says_more(first[1])):
        del found[first[0]]
    return found


def _piece(thing: Any) -> Piece | None:
    """A function or class; None if it is a library's, or its source is not there."""
    tree = None if _is_library(module_of(thing)) else source_of(thing)
    if tree is None:
        return None
    names = getattr(inspect.unwrap(thing), "__globals__", None) or vars(sys.modules[thing.__module__])
    return f"{module_of(thing)}:{thing.__qualname__}", tree, names


def source_of(thing: Any) -> ast.stmt | None:
    """The definition of a function or class, as its module was when it was first read; None if it is not there."""
    line = getattr(getattr(inspect.unwrap(thing), "__code__", None), "co_firstlineno", None)
    found = _definitions(_read(sys.modules.get(thing.__module__))).get(thing.__qualname__, ())
    for node in reversed(found):
        if line in (None, node.lineno, *(decorator.lineno for decorator in node.decorator_list)):
            return node
    try:  # typed into a notebook
        return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
    except (OSError, SyntaxError, TypeError, IndexError):
        return None


def remember() -> None:
    """Read the user's modules as they are: what is edited while a run goes on is not what it runs."""
    for name, module in sys.modules.copy().items():  # at once: other threads import meanwhile
        if not _is_library(name):
            _read(module)


#: The sources that were read, by the specs of their modules: a module that is imported again has a new one.
_READ: dict[Any, tuple[Any, str]] = {}


def _read(module: ModuleType | None) -> str:
    """The source of a module; empty if it has none."""
    spec, path = getattr(module, "__spec__", None), getattr(module, "__file__", None) or ""
    mark = path if spec is None else id(spec)
    if mark not in _READ and path.endswith(".py"):
        with contextlib.suppress(OSError, UnicodeError):
            _READ[mark] = spec, Path(path).read_text(encoding="utf-8")
    return _READ.get(mark, (None, ""))[1]


@functools.cache
def _definitions(text: str) -> dict[str, list[Any]]:
    """The functions and classes of a module by their qualified names, in the order in which they stand there."""
    found: dict[str, list[Any]] = {}

    def look(node: ast.AST, before: str) -> None:
        for inner in ast.iter_child_nodes(node):
            if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                look(inner, before)
                continue
            found.setdefault(before + inner.name, []).append(inner)
            look(inner, f"{before}{inner.name}." + ("" if isinstance(inner, ast.ClassDef) else "<locals>."))

    look(ast.parse(text), "")
    return found


def _constant(name: str, value: Any, names: Mapping[str, Any]) -> Piece | None:
    """What a module assigns to a name, as written there. What it imported, or what was typed at a prompt: its value."""
    module = names.get("__name__", "")
    written = _assigned(names).get(name)
    if written is None:
        if not _is_plain(value):
            return None
        written = ast.parse(f"{name} = {value!r}").body[0]
    return f"{_known_as(module)}:{name}", written, names


def _is_plain(value: Any) -> bool:
    """Whether a value can be written down, and read again, as it shows itself."""
    return all(map(_is_plain, value)) if type(value) is tuple else type(value) in (bool, int, float, str)


def _assigned(names: Mapping[str, Any]) -> dict[str, ast.stmt]:
    return _assignments(_read(sys.modules.get(names.get("__name__", ""))))


@functools.cache
def _assignments(text: str) -> dict[str, ast.stmt]:
    """The assignments at the top of a module, by name; the last one counts."""
    found: dict[str, ast.stmt] = {}
    for line in ast.parse(text).body:
        if isinstance(line, ast.Assign | ast.AnnAssign):
            targets = line.targets if isinstance(line, ast.Assign) else [line.target]
            found |= {node.id: line for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return found


def _mentioned(tree: ast.stmt, names: Mapping[str, Any]) -> Iterator[Piece | None]:
    """What code uses of its module, and of other modules that it has there under a name."""
    tree = _without_annotations(tree)
    for name in sorted(_global_names(tree) & set(names)):
        if not isinstance(names[name], ModuleType):
            yield from _named(name, names)
        elif not _is_library(names[name].__name__):
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
                    yield from _named(node.attr, vars(names[name]))


def _named(name: str, names: Mapping[str, Any]) -> Iterator[Piece | None]:
    """What has a name in a module: code, and what it was assigned where it was not defined under that name."""
    value = names.get(name)
    if _is_code(value):
        yield _piece(value)
    if not _is_code(value) or name in _assigned(names):
        yield _constant(name, value, names)


def _global_names(tree: ast.stmt) -> set[str]:
    """The names that code takes from around it."""
    try:
        tables, names = [symtable.symtable(ast.unparse(tree), "piece", "exec")], set[str]()
    except SyntaxError:  # a `nonlocal` of what stands around it
        return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    while tables:
        table = tables.pop()
        tables += table.get_children()
        around = table.get_type() == "module"  # decorators, default values, bases
        names |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and (around or s.is_global())}
    return names


def _without_annotations(tree: ast.stmt) -> ast.stmt:
    """Code without what only annotations name: a field added to the class of an argument is no change."""
    tree = copy.deepcopy(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(0)
    return tree


def _without_fields(tree: ast.stmt) -> ast.stmt:
    if isinstance(tree, ast.ClassDef):
        tree = copy.copy(tree)
        tree.body = [line for line in tree.body if not _is_field(line)] or [ast.Pass()]
    return tree


def _says_more(tree: ast.stmt) -> bool:
    """Whether a class has more than fields and a docstring."""
    empty = ast.Pass | ast.Expr
    return isinstance(tree, ast.ClassDef) and not all(isinstance(x, empty) or _is_field(x) for x in tree.body)


def _is_field(line: ast.stmt) -> bool:
    return isinstance(line, ast.AnnAssign) and "ClassVar" not in ast.unparse(line.annotation)


def _is_library(module: str) -> bool:
    return _is_package_of_library(module.split(".")[0])


@functools.cache
def _is_package_of_library(top: str) -> bool:
    """Whether a package comes with Python, with stagejax or from an index of packages."""
    place = Path(getattr(sys.modules.get(top), "__file__", None) or "")
    return top not in OWN and (
        top in sys.stdlib_module_names or top == "stagejax" or bool({"site-packages", "dist-packages"} & {*place.parts})
    )
