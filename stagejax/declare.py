"""Declarations: any piece of configuration as plain JSON, its fingerprint, and the difference of two.

What a stage *is* must outlive the process that ran it, so configuration consists of values that can be written down:
numbers, strings, tuples, frozen dataclasses, arrays, module-level functions and partial applications of those.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from stagejax.code import module_of, source_of

Json = Any


class NotDeclarable(TypeError):
    """A configuration value that cannot be written down, such as a lambda."""


def declare(value: Any, where: str = "config") -> Json:
    """`value` as JSON that determines it.

    A dataclass becomes its type and fields (a field with `metadata={"declared": False}` is left out), a function its
    name (and, outside of stagejax, a hash of its code without comments and docstring), a bound method its function and
    object, an array a hash of its bytes.

    Raises:
      NotDeclarable: a lambda, closure or object without declared fields; the error names where it sits.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Width:
    ...     embed: int = 64
    >>> declare(Width())["embed"]
    64
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else repr(value)
    if isinstance(value, np.generic):
        return declare(value.item(), where)
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return {"dtype": np.dtype(value).name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f for f in dataclasses.fields(value) if f.metadata.get("declared", True)]
        body = {f.name: declare(getattr(value, f.name), f"{where}.{f.name}") for f in fields}
        name = _name_of(type(value))
        return {"type": name, "fields": body} if "type" in body else {"type": name, **body}
    if isinstance(value, Mapping):
        return _declare_mapping(value, where)
    if isinstance(value, tuple | list):
        return [declare(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if hasattr(value, "__array__") and not _is_key(value):
        array = np.asarray(value)
        if not array.dtype.hasobject:  # the bytes of objects are where they lie in memory
            return {
                "array": f"{array.dtype}{list(array.shape)}",
                "sha256": hashlib.sha256(array.tobytes()).hexdigest()[:16],
            }
    if isinstance(value, functools.partial):
        return {
            "partial": declare(value.func, where),
            "args": declare(value.args, where),
            "keywords": declare(dict(sorted(value.keywords.items())), where),
        }
    if isinstance(value, type):
        return {"class": _name_of(value)}
    if inspect.ismethod(value):
        return {"method": _declare_function(value.__func__, where), "of": declare(value.__self__, where)}
    owner = getattr(value, "__self__", None)
    if inspect.isbuiltin(value) and owner is not None and not inspect.ismodule(owner) and not isinstance(owner, type):
        return {"method": {"function": f"builtins:{value.__qualname__}"}, "of": declare(owner, where)}
    if callable(value) and hasattr(value, "__qualname__") and hasattr(value, "__module__"):
        return _declare_function(value, where)
    raise NotDeclarable(
        f"{where} holds {_glimpse(value)}, which cannot be written down. Use a frozen dataclass, a number, a string, a "
        "tuple or a module-level function."
    )


def fingerprint(declaration: Json) -> str:
    """The first 16 hexadecimal digits of the sha256 of a declaration.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(declaration, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def difference(old: Json, new: Json, where: str = "") -> list[str]:
    """Each place where two declarations differ, one line a place.

    >>> difference({"steps": 600, "lr": 0.1}, {"steps": 400, "lr": 0.1})
    ['steps: 600 -> 400']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{where}.{key}" if where else str(key)
            if key not in new:
                lines.append(f"{inner}: {_short(old[key])} -> (absent)")
            elif key not in old:
                lines.append(f"{inner}: (absent) -> {_short(new[key])}")
            else:
                lines += difference(old[key], new[key], inner)
        return lines
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = zip(old, new, strict=True)
        return [line for i, (a, b) in enumerate(pairs) for line in difference(a, b, f"{where}[{i}]")]
    return [] if json.dumps(old) == json.dumps(new) else [f"{where}: {_short(old)} -> {_short(new)}"]  # 1 is not True


def _declare_mapping(value: Mapping[Any, Any], where: str) -> Json:
    """Also the order, where it is not that of the names: models that train together draw their values in turn."""
    if any(callable(key) for key in value) or len({str(key) for key in value}) < len(value):
        raise NotDeclarable(
            f"{where} has the keys {', '.join(map(repr, value))}, not to be told apart when written down. Use strings."
        )
    page = {str(key): declare(item, f"{where}[{key!r}]") for key, item in value.items()}
    return page if list(page) == sorted(page) else page | {"in the order": list(page)}


def _is_key(value: Any) -> bool:
    """Whether a value is a key of `jax.random`."""
    return str(getattr(value, "dtype", "")).startswith("key<")


def _name_of(thing: Any) -> str:
    return f"{module_of(thing)}:{thing.__qualname__}"


def _short(value: Json) -> str:
    return _cut(json.dumps(value))


def _glimpse(value: Any) -> str:
    """The first line of how a value shows itself: modules and data frames fill a page."""
    first, *more = repr(value).splitlines() or [""]
    return _cut(first + (" ..." if more else ""))


def _cut(text: str) -> str:
    return text if len(text) <= 100 else text[:97] + "..."


def _is_found_by_name(function: Any) -> bool:
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


def _declare_function(function: Any, where: str) -> Json:
    closed = getattr(function, "__closure__", None) and not _is_found_by_name(
        function
    )  # decorated ones may close over much
    if "<lambda>" in function.__qualname__ or closed:
        raise NotDeclarable(
            f"{where} holds {function.__qualname__!r} of {function.__module__}, a lambda or closure, whose meaning "
            "cannot be written down. Make it a module-level function or a frozen dataclass with __call__."
        )
    if module_of(function).split(".")[0] in ("stagejax", "optax", "jax", "numpy"):
        return {"function": _name_of(function)}
    tree = source_of(function)
    if tree is None:  # typed at a prompt, or built in: the name has to do
        return {"function": _name_of(function)}
    if isinstance(tree, ast.FunctionDef) and ast.get_docstring(tree) is not None:
        tree = copy.copy(tree)
        tree.body = tree.body[1:]
    return {"function": _name_of(function), "code": hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]}
