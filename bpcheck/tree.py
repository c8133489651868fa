"""Trees: any nesting of dict, list, tuple, namedtuple and dataclass with arrays at the leaves.

This module is the one gateway that takes parameters and gradients apart and puts them together
again. A :class:`Path` prints as the caller would write it: ``params[2]['weight']``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bpcheck.errors import InputError
from bpcheck.precision import widened

__all__ = [
    "FloatArray",
    "Path",
    "Tree",
    "arrays",
    "copy",
    "describe",
    "freeze",
    "leaves",
    "mapped",
    "restore",
    "rms",
]

Tree: TypeAlias = Any
FloatArray: TypeAlias = NDArray[np.floating[Any]]

# A structure that contains itself would recurse for ever; real parameter trees are a few levels deep.
MAX_DEPTH = 64


@dataclass(frozen=True, order=True)
class Path:
    """Where a leaf lives, printed as Python source.

    Parameters
    ----------
    root : str
        Name of the tree, for example ``"params"``.
    keys : tuple of str
        One accessor for each level, already in source form: ``"[2]"``, ``"['weight']"``, ``".bias"``.

    Examples
    --------
    >>> print(Path("params").item(2).item("weight"))
    params[2]['weight']
    """

    root: str
    keys: tuple[str, ...] = ()

    def item(self, key: object) -> Path:
        """Path of ``tree[key]``."""
        return Path(self.root, (*self.keys, f"[{key!r}]"))

    def attribute(self, name: str) -> Path:
        """Path of ``tree.name``."""
        return Path(self.root, (*self.keys, f".{name}"))

    def __str__(self) -> str:
        return self.root + "".join(self.keys)


# Leaves of every tree of parameters: known at once, without the questions that containers are asked.
_LEAVES = (np.ndarray, float, int, complex, str, np.generic, type(None))


def _names(node: Tree) -> Sequence[str] | None:
    """The attributes of a named tuple or a dataclass; None of anything else."""
    if isinstance(node, tuple):
        return getattr(node, "_fields", None)
    is_value = dataclasses.is_dataclass(node) and not isinstance(node, type)
    return [field.name for field in dataclasses.fields(node)] if is_value else None


def _values(node: Tree) -> list[Tree] | None:
    """Children of a container in order, without their paths, or None for a leaf."""
    if isinstance(node, _LEAVES):
        return None
    if isinstance(node, Mapping):
        return list(node.values())
    if isinstance(node, list | tuple):
        return list(node)
    names = _names(node)
    return None if names is None else [getattr(node, name) for name in names]


@lru_cache(maxsize=4096)
def _known(path: Path, key: str | int) -> Path:
    return path.item(key)


def _item(path: Path, key: object) -> Path:
    """Path of ``tree[key]``; those of a network are asked for thousands of times."""
    return _known(path, key) if type(key) is str or type(key) is int else path.item(key)


def _children(node: Tree, path: Path) -> list[tuple[Path, Tree]] | None:
    """Children of a container in order, or None for a leaf."""
    if isinstance(node, _LEAVES):
        return None
    if type(node) is list:
        return [(_known(path, index), value) for index, value in enumerate(node)]
    if type(node) is dict or isinstance(node, Mapping):
        return [(_item(path, key), value) for key, value in node.items()]
    names = _names(node)
    if names is not None:
        return [(path.attribute(name), getattr(node, name)) for name in names]
    if isinstance(node, list | tuple):
        return [(_known(path, index), value) for index, value in enumerate(node)]
    return None


def leaves(tree: Tree, root: str = "params") -> Iterator[tuple[Path, Any]]:
    """All leaves in order, each with its path; a leaf is whatever is not a container.

    Parameters
    ----------
    tree : tree
        Any nesting of containers.
    root : str
        What the paths start with.

    Yields
    ------
    path : Path
    leaf : object

    Raises
    ------
    InputError
        If the nesting is deeper than 64 levels (a structure that contains itself).

    Examples
    --------
    >>> [str(path) for path, _ in leaves([{"weight": 1.0, "bias": 2.0}])]
    ["params[0]['weight']", "params[0]['bias']"]
    """
    yield from _walk(tree, Path(root))


def _walk(node: Tree, path: Path) -> Iterator[tuple[Path, Any]]:
    if len(path.keys) > MAX_DEPTH:
        raise InputError(
            f"{path.root} is nested deeper than {MAX_DEPTH} levels: does it contain itself? "
            "Pass a plain nesting of dict, list or tuple with arrays at the leaves."
        )
    children = _children(node, path)
    if children is None:
        yield path, node
        return
    for child_path, child in children:
        yield from _walk(child, child_path)


def describe(leaf: object) -> str:
    """One phrase that says what a leaf is: ``float64 array of shape (3, 2)``, ``None``, ``str 'abc'``.

    Examples
    --------
    >>> describe(np.zeros((3, 2)))
    'float64 array of shape (3, 2)'
    >>> describe(None)
    'None'
    """
    if leaf is None:
        return "None"
    if isinstance(leaf, np.ndarray):
        return f"{leaf.dtype} array of shape {leaf.shape}"
    text = repr(leaf)
    return f"{type(leaf).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


def arrays(tree: Tree, root: str = "params") -> dict[Path, FloatArray]:
    """The leaves as floating-point arrays, keyed by path; copies, so that nothing is shared.

    Parameters
    ----------
    tree : tree of float or float array
        What a caller passes as parameters.
    root : str
        What the paths start with.

    Returns
    -------
    dict of Path to float array

    Raises
    ------
    InputError
        If a leaf is not a real floating-point array or number, is NaN or infinite, or there is none.

    Examples
    --------
    >>> {str(path): array.shape for path, array in arrays({"w": np.ones((2, 3)), "b": 0.5}).items()}
    {"params['w']": (2, 3), "params['b']": ()}
    """
    found = {path: real_array(leaf, path) for path, leaf in leaves(tree, root)}
    if not found:
        raise InputError(f"{root} is empty ({describe(tree)}): pass at least one float array.")
    if all(array.size == 0 for array in found.values()):
        raise InputError(f"{root} holds no numbers: every array in it has size zero.")
    return found


def real_array(leaf: object, path: Path | str) -> FloatArray:
    """One leaf as a fresh, finite array of floats, or an :class:`InputError` that names ``path``."""
    leaf = widened(leaf)
    if not isinstance(leaf, float | np.ndarray | np.floating):
        raise InputError(
            f"{path} is {describe(leaf)}, but a real float array is needed: "
            "convert it with numpy.asarray(value, dtype=float)."
        )
    array = np.array(leaf)
    if not np.issubdtype(array.dtype, np.floating):
        kind = "complex" if np.iscomplexobj(array) else str(array.dtype)
        raise InputError(
            f"{path} is {describe(leaf)}: {kind} values cannot be perturbed by small real steps. "
            "Convert it with .astype(float) (for complex parameters pass real and imaginary parts)."
        )
    if not np.isfinite(array).all():
        index = np.argwhere(~np.isfinite(array))[0]
        raise InputError(
            f"{path} holds {array[tuple(index)]} at index {tuple(int(i) for i in index)}; "
            "a gradient can only be checked at finite parameters."
        )
    return array


def restore(like: Tree, values: Sequence[Any]) -> Tree:
    """Build a tree shaped as ``like`` with ``values`` at its leaves, in order.

    A leaf that was a Python float comes back as one, so that ``params["b"] * 2`` does what it did.

    Examples
    --------
    >>> restore({"w": np.zeros(2), "b": 0.0}, [np.ones(2), np.array(3.0)])
    {'w': array([1., 1.]), 'b': 3.0}
    """
    iterator = iter(values)

    def build(node: Tree) -> Tree:
        children = _values(node)
        if children is None:
            value = next(iterator)
            is_scalar = isinstance(node, float) and not isinstance(node, np.floating)
            return value.item() if is_scalar and isinstance(value, np.ndarray) else value
        rebuilt = [build(child) for child in children]
        if isinstance(node, Mapping):
            return dict(zip(node.keys(), rebuilt, strict=True))
        if isinstance(node, list):
            return rebuilt
        names = _names(node)
        if names is None:
            return tuple(rebuilt)
        if isinstance(node, tuple):
            return type(node)(*rebuilt)
        return dataclasses.replace(node, **dict(zip(names, rebuilt, strict=True)))

    return build(like)


def mapped(change: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """A tree of what ``change`` makes of each leaf, and of the leaves of the others in its place.

    Examples
    --------
    >>> mapped(lambda a, b: a + b, [1.0, {"w": 2.0}], [10.0, {"w": 20.0}])
    [11.0, {'w': 22.0}]
    """
    columns = zip(*([leaf for _, leaf in leaves(one)] for one in (tree, *others)), strict=True)
    return restore(tree, [change(*column) for column in columns])


def copy(tree: Tree) -> Tree:
    """A deep copy of containers and arrays; other leaves are shared.

    Examples
    --------
    >>> original = [np.zeros(2)]
    >>> copied = copy(original)
    >>> copied[0][0] = 1.0
    >>> original[0][0]
    np.float64(0.0)
    """
    if isinstance(tree, np.ndarray):
        return np.array(tree)
    return restore(
        tree, [np.array(leaf) if isinstance(leaf, np.ndarray) else leaf for _, leaf in leaves(tree)]
    )


def freeze(array: Any) -> FloatArray:
    """A read-only copy: results and cases are immutable."""
    frozen = np.array(array)
    frozen.setflags(write=False)
    return frozen


def rms(array: FloatArray) -> float:
    """Root mean square, without overflow.

    Examples
    --------
    >>> rms(np.array([3.0, 4.0, 0.0, 0.0]))
    2.5
    """
    if array.size == 0:
        return 0.0
    top = float(np.max(abs(array)))
    if not np.isfinite(top) or top == 0.0:
        return top
    return top * float(np.sqrt(np.mean((array / top) ** 2)))
