"""A knowledge graph of program text: what code does, as (subject, predicate, object), beside what its docstring says.

The triples are read off the code; no rule looks at the docstring. Which objects it names is found afterwards, as for a
graph of papers whose abstracts are at hand (`object_spans`).
"""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from stagejax.data.language.documentation import paragraphs
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source, Stdlib

Pair = tuple[str, str]  # predicate and object
_KINDS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class LibraryTriples(Derived):
    """Records {"subject", "text", "predicate", "object"}: a docstring, and what the code under it tells.

    Predicates of modules: "imports", "defines class", "defines function"; of classes: "base class", "method",
    "attribute", "constructor argument"; of functions: "first parameter", "second parameter", "optional parameter",
    "keyword parameter", "variadic parameter", "default value", "parameter type", "return type", "raises", "handles",
    "checks type", "returns", "yields". These are what a docstring may be expected to tell; what else a body does is
    left out. A predicate may have several objects, in the order of the code. Of equal docstrings the first one is
    taken.

    Args:
      source: records of Python files, "name" and "text"; what is no Python is left out.
      least, most: words of a docstring.

    >>> triples = LibraryTriples(Stdlib(limit=100_000), 10, 60)
    >>> sorted(triples[0])
    ['object', 'predicate', 'subject', 'text']
    """

    source: Source = field(default_factory=Stdlib)
    least: int = 20
    most: int = 60

    def __len__(self) -> int:
        return len(_triples(self.source, self.least, self.most))

    def __getitem__(self, index: int) -> Record:
        return _triples(self.source, self.least, self.most)[index]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"triples of code {self.least} {self.most}")


@functools.lru_cache(maxsize=4)
def _triples(files: Source, least: int, most: int) -> tuple[Record, ...]:
    found, said = [], set()
    for index in range(len(files)):
        name = files[index]["name"]
        for node in _nodes(files[index]["text"]) if name.endswith(".py") else ():
            text = paragraphs(ast.get_docstring(node) or "").replace("\n", " ")
            if least <= len(text.split()) <= most and text not in said:
                said.add(text)
                subject = f"{name.removesuffix('.py')}.{getattr(node, 'name', '')}".rstrip(".")
                pairs = dict.fromkeys(facts(node))
                found += [{"subject": subject, "text": text, "predicate": p, "object": o} for p, o in pairs]
    return tuple(found)


def _nodes(text: str) -> Iterator[ast.AST]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes and comparisons in other people's files
        try:
            tree = ast.parse(text)
        except SyntaxError:
            return
    yield from (node for node in ast.walk(tree) if isinstance(node, _KINDS))


def facts(node: ast.AST) -> Iterator[Pair]:
    """Predicates and objects of a module, a class or a function, in the order of the code.

    >>> code = "def f(path, mode='read'):\\n 'Doc.'\\n if not path:\\n  raise ValueError(path)\\n return path.name"
    >>> list(facts(ast.parse(code).body[0]))[:3]
    [('first parameter', 'path'), ('second parameter', 'mode'), ('optional parameter', 'mode')]
    >>> next(facts(ast.parse("async def f(path): 'Doc.'").body[0]))
    ('first parameter', 'path')
    """
    own = _of_module if isinstance(node, ast.Module) else _of_class if isinstance(node, ast.ClassDef) else _of_function
    yield from ((predicate, said) for predicate, said in own(node) if said)


def _of_module(node: ast.Module) -> Iterator[Pair]:
    for inner in node.body:
        if isinstance(inner, ast.Import):
            yield from (("imports", alias.name) for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            yield "imports", inner.module or ""
        elif isinstance(inner, ast.ClassDef):
            yield "defines class", inner.name
        elif isinstance(inner, ast.FunctionDef):
            yield "defines function", inner.name


def _of_class(node: ast.ClassDef) -> Iterator[Pair]:
    yield from (("base class", _name(base)) for base in node.bases)
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef):
            yield "method", inner.name
            if inner.name == "__init__":
                yield from (("constructor argument", each.arg) for each in inner.args.args[1:])
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store) and _name(inner.value) == "self":
            yield "attribute", inner.attr


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Pair]:
    args = node.args
    plain = [each for each in (*args.posonlyargs, *args.args) if each.arg not in ("self", "cls")]
    yield from zip(("first parameter", "second parameter"), (each.arg for each in plain), strict=False)
    yield from (("optional parameter", each.arg) for each in args.args[len(args.args) - len(args.defaults) :])
    yield from (("keyword parameter", each.arg) for each in args.kwonlyargs)
    if args.vararg:
        yield "variadic parameter", args.vararg.arg
    yield from (("default value", _said(each)) for each in (*args.defaults, *args.kw_defaults) if each is not None)
    typed = (each.annotation for each in (*plain, *args.kwonlyargs) if each.annotation is not None)
    yield from (("parameter type", _said(each)) for each in typed)
    if node.returns is not None:
        yield "return type", _said(node.returns)
    for statement in node.body[1:]:
        for inner in ast.walk(statement):
            yield from _of_body(inner)


def _of_body(node: ast.AST) -> Iterator[Pair]:
    match node:
        case ast.Raise(exc=ast.AST() as what):
            yield "raises", _name(what)
        case ast.ExceptHandler(type=ast.AST() as what):
            yield "handles", _name(what)
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, what]):
            yield "checks type", _name(what)
        case ast.Return(value=ast.AST() as what):
            yield "returns", _said(what)
        case ast.Yield(value=ast.AST() as what):
            yield "yields", _said(what)


def _name(node: ast.AST) -> str:
    """The last name in an expression, or nothing."""
    match node:
        case ast.Name(id=said) | ast.Attribute(attr=said):
            return said
        case ast.Call(func=inner):
            return _name(inner)
    return ""


def _said(node: ast.AST) -> str:
    """A constant as text, or a name."""
    return str(node.value) if isinstance(node, ast.Constant) and node.value is not ... else _name(node)
