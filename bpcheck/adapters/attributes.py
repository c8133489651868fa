"""Attributes of an object by name: read, written in place, and called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.tree import Path, Tree

__all__ = ["Attribute", "call", "give_back", "leaf_places", "named", "write"]


@dataclass(frozen=True)
class Attribute:
    """An attribute, or an entry of a list or dict in one: the names, indices and keys on the way from the object to it.

    ``name`` is what a dict of gradients calls it.
    """

    way: tuple[Any, ...]
    name: str

    @classmethod
    def parse(cls, name: str) -> Attribute:
        """``layers.0.W``: numbers are indices."""
        return cls(tuple(int(part) if part.isdigit() else part for part in name.split(".")), name)

    @property
    def text(self) -> str:
        """As it is written after the object."""
        return ".".join(map(str, self.way))

    def item(self, key: Any) -> Attribute:
        """An entry of the dict that it holds."""
        return Attribute((*self.way, key), str(key))

    def beside(self, pattern: str) -> Attribute:
        """``d{}`` for ``layers.0.W`` is ``layers.0.dW``."""
        last = pattern.format(self.way[-1])
        return Attribute((*self.way[:-1], last), last)

    def of(self, obj: Any) -> Any:
        """Its value.

        Raises
        ------
        InputError
            If the object has none.
        """
        value = obj
        for part in self.way:
            try:
                value = _step(value, part)
            except (AttributeError, IndexError, KeyError, TypeError) as error:
                raise InputError(
                    f"{type(obj).__name__} has no {self.text!r} ({error}); name attributes as they are written after obj."
                ) from error
        return value

    def set(self, obj: Any, new: Any) -> None:
        """Put another value there."""
        owner = Attribute(self.way[:-1], "").of(obj)
        last = self.way[-1]
        if isinstance(owner, Mapping | list):
            owner[last] = new  # type: ignore[index]
        else:
            setattr(owner, last, new)


def _step(value: Any, part: Any) -> Any:
    if isinstance(value, Mapping):
        return value[part]
    return value[part] if isinstance(part, int) else getattr(value, part)


def named(obj: Any, params: Any) -> list[Attribute]:
    """The attributes that hold the parameters: those in a list of names, or the entries of one dict.

    Raises
    ------
    InputError
        If they are named otherwise, or are not there.
    """
    if isinstance(params, str) and params:
        return _entries(obj, params)
    names = list(params) if hasattr(params, "__iter__") else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(
            f"params is {params!r}; give a list of names of attributes, such as ['W1', 'b1'], or the name of one that "
            "holds a dict of them."
        )
    if len(set(names)) < len(names):
        raise InputError(f"params is {params!r}; give each name once.")
    return [Attribute.parse(name) for name in names]


def _entries(obj: Any, name: str) -> list[Attribute]:
    """Those of a dict in one attribute."""
    whole = Attribute.parse(name)
    held = whole.of(obj)
    if not isinstance(held, Mapping) or not held:
        raise InputError(
            f"params is {name!r}, which is {tree.describe(held)} in {type(obj).__name__}; name the attribute of a dict of "
            f"parameters, or give a list of names of attributes: params=[{name!r}]."
        )
    return [whole.item(key) for key in held]


@dataclass(frozen=True, eq=False)
class _Place:
    """Where one leaf of the parameters lives in the object."""

    path: str
    value: Any
    set: Callable[[Any], None]


def leaf_places(obj: Any, attributes: Sequence[Attribute]) -> list[_Place]:
    """Where every number of the parameters lives, in order.

    Raises
    ------
    InputError
        If a bare number lies in a tuple, where no other can be put.
    """
    found: list[_Place] = []

    def walk(value: Any, path: Path, put: Callable[[Any], None]) -> None:
        if isinstance(value, list | dict):
            for key in list(value) if isinstance(value, dict) else range(len(value)):
                walk(value[key], path.item(key), functools.partial(value.__setitem__, key))
        elif isinstance(value, tuple):
            for index, inner in enumerate(value):
                if not isinstance(inner, np.ndarray | list | dict | tuple):
                    raise InputError(
                        f"{path.item(index)} is {tree.describe(inner)} inside a tuple, where no other number can be put: "
                        "keep it in a list or an array."
                    )
                walk(inner, path.item(index), put)
        else:
            found.append(_Place(str(path), value, put))

    for attribute in attributes:
        walk(attribute.of(obj), Path(attribute.text), functools.partial(attribute.set, obj))
    return found


def write(obj: Any, attributes: Sequence[Attribute], given: Tree) -> None:
    """Put parameters into the object: arrays in place, numbers anew.

    Raises
    ------
    InputError
        If their shapes are not those that the object holds.
    """
    places = leaf_places(obj, attributes)
    values = [np.asarray(leaf) for _, leaf in tree.leaves(given)]
    needed = [np.shape(place.value) for place in places]
    if [value.shape for value in values] != needed:
        listed = ", ".join(f"{place.path} {shape}" for place, shape in zip(places, needed, strict=True))
        raise InputError(
            f"{type(obj).__name__} holds {listed}, but parameters of shapes {[v.shape for v in values]} were to be put "
            "there. Its widths are fixed: with compare(), pass architectures=bpcheck.mlp([...]) or cases= of these "
            "widths; if they are, the layout may be another (conventions=)."
        )
    for place, value in zip(places, values, strict=True):
        if not isinstance(place.value, np.ndarray):
            place.set(value.item())
            continue
        if place.value.dtype.kind != "f":
            raise InputError(
                f"{place.path} is {tree.describe(place.value)}; keep parameters in arrays of floats."
            )
        place.value[...] = value


def give_back(obj: Any, attributes: Sequence[Attribute], given: Tree) -> None:
    """A parameter that the call changed is changed in what was given, too, so that it is seen."""
    for place, (_, leaf) in zip(leaf_places(obj, attributes), tree.leaves(given), strict=False):
        same = np.array_equal(np.asarray(place.value), np.asarray(leaf), equal_nan=True)
        if isinstance(leaf, np.ndarray) and not same and np.shape(place.value) == leaf.shape:
            leaf[...] = place.value


def call(obj: Any, what: Any, args: tuple[Any, ...]) -> Any:
    """A function ``(obj, x, y)``, or a method by its name: with ``(x, y)``, or with nothing if it takes nothing."""
    if not isinstance(what, str):
        return what(obj, *args)
    method = Attribute.parse(what).of(obj)
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # builtins have no signature
        return method(*args)
    alone = not _takes(signature, args) and _takes(signature, ())
    return method() if alone else method(*args)


def _takes(signature: inspect.Signature, args: tuple[Any, ...]) -> bool:
    try:
        signature.bind(*args)
    except TypeError:
        return False
    return True
