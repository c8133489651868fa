"""Functions and classes of a file, as far as its text tells."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bpcheck.errors import InputError

__all__ = ["Class", "Function", "read"]

RATES = ("lr", "eta", "rate", "alpha", "learning_rate", "step_size")
"""What people call a learning rate."""


@dataclass(frozen=True)
class Function:
    """A function or method.

    Attributes
    ----------
    name : str
    takes : tuple of str
        Arguments that must be given, without ``self``.
    optional : tuple of str
    returns : int
        How many values its ``return`` gives at most: a pair is loss and gradient.
    """

    name: str
    takes: tuple[str, ...]
    optional: tuple[str, ...]
    returns: int

    @classmethod
    def of(cls, node: ast.FunctionDef, *, method: bool = False) -> Function:
        """As it is written."""
        places = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        named = dict(zip((a.arg for a in node.args.kwonlyargs), node.args.kw_defaults, strict=True))
        needed = len(places) - len(node.args.defaults)
        takes = [*places[method:needed], *(name for name, default in named.items() if default is None)]
        optional = [*places[needed:], *(name for name, default in named.items() if default is not None)]
        returns = [_count(one.value) for one in _own(node) if isinstance(one, ast.Return)]
        return cls(node.name, tuple(takes), tuple(optional), max(returns, default=0))

    @property
    def text(self) -> str:
        """``name(a, b)``."""
        return f"{self.name}({', '.join((*self.takes, *(f'{name}=…' for name in self.optional)))})"

    @property
    def is_step(self) -> bool:
        """Whether it has a learning rate."""
        return any(name in RATES for name in (*self.takes, *self.optional))


@dataclass(frozen=True)
class Class:
    """A class.

    Attributes
    ----------
    name : str
    is_module : bool
        Whether it is a module of PyTorch.
    arguments : tuple of str
        Those that its constructor must be given.
    methods : tuple of Function
    attributes : tuple of str
        What is assigned to ``self``.
    dicts : mapping of str to tuple of str
        Attributes that hold dicts, with their keys as far as they are written out.
    """

    name: str
    is_module: bool
    arguments: tuple[str, ...]
    methods: tuple[Function, ...]
    attributes: tuple[str, ...]
    dicts: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, node: ast.ClassDef) -> Class:
        """As it is written."""
        bodies = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        functions = _called(bodies)
        made = [target for body in bodies for statement in _own(body) for target in _assigned(statement)]
        constructors = [one.takes for one in functions if one.name == "__init__"]
        return cls(
            node.name,
            any(ast.unparse(base).endswith("Module") for base in node.bases),
            (*constructors, _fields(node))[0],
            tuple(_spoken(functions)),
            tuple(dict.fromkeys(one.attribute for one in made if not one.is_entry)),
            {one.attribute: _keys(made, one.attribute) for one in made if one.is_dict},
        )


Named = TypeVar("Named", Function, Class)


def _spoken(found: Iterable[Named]) -> list[Named]:
    """Those whose names do not begin with an underscore."""
    return [one for one in found if not one.name.startswith("_")]


@dataclass(frozen=True)
class _Assigned:
    """An assignment to an attribute of ``self`` or to an entry of one; ``keys`` of the dict, None if it is no dict."""

    attribute: str
    is_entry: bool
    keys: tuple[str, ...] | None

    @property
    def is_dict(self) -> bool:
        """Whether the attribute holds a dict."""
        return self.is_entry or self.keys is not None


def _keys(made: list[_Assigned], attribute: str) -> tuple[str, ...]:
    found = [key for one in made if one.attribute == attribute for key in one.keys or ()]
    return tuple(dict.fromkeys(found))


def _called(bodies: Iterable[ast.FunctionDef]) -> list[Function]:
    """The methods; a property is none, for nobody calls it."""
    return [
        Function.of(one, method=not _has(one, "staticmethod")) for one in bodies if not _has(one, "property")
    ]


def _has(node: ast.FunctionDef, decorator: str) -> bool:
    return any(ast.unparse(one) == decorator for one in node.decorator_list)


def _own(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """Everything in a function but for what is in functions within it."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        one = waiting.pop(0)
        yield one
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(one)


def _count(value: ast.expr | None) -> int:
    if value is None or (isinstance(value, ast.Constant) and value.value is None):
        return 0
    return len(value.elts) if isinstance(value, ast.Tuple) else 1


def _fields(node: ast.ClassDef) -> tuple[str, ...]:
    """The fields of a dataclass that have no default: its constructor is not written."""
    return tuple(
        one.target.id
        for one in node.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.value is None
    )


def _assigned(statement: ast.AST) -> Iterator[_Assigned]:
    """What a statement assigns to ``self``."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    for target in targets:
        for part in target.elts if isinstance(target, ast.Tuple) else [target]:
            key = part.slice if isinstance(part, ast.Subscript) else None
            owner = part.value if isinstance(part, ast.Subscript) else part
            if not isinstance(owner, ast.Attribute) or not _is_self(owner.value):
                continue
            if key is None:
                yield _Assigned(owner.attr, False, _keys_of(statement.value))
            elif _is_key(key):
                yield _Assigned(owner.attr, True, _written(key))


def _is_key(node: ast.expr) -> bool:
    """Whether it is the text of a key, and no index."""
    return isinstance(node, ast.JoinedStr) or bool(_written(node))


def _written(key: ast.expr | None) -> tuple[str, ...]:
    return (key.value,) if isinstance(key, ast.Constant) and isinstance(key.value, str) else ()


def _keys_of(value: ast.expr | None) -> tuple[str, ...] | None:
    if not isinstance(value, ast.Dict):
        return None
    return tuple(key for one in value.keys for key in _written(one))


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def read(path: Path) -> tuple[list[Function], list[Class]]:
    """The functions and classes of a file, without those whose names begin with an underscore.

    Raises
    ------
    InputError
        If the file is not written in Python.
    """
    try:
        body = ast.parse(path.read_text(encoding="utf-8"), path.name).body
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read as Python: {error}.") from error
    functions = [Function.of(node) for node in body if isinstance(node, ast.FunctionDef)]
    classes = [Class.of(node) for node in body if isinstance(node, ast.ClassDef)]
    return _spoken(functions), _spoken(classes)
