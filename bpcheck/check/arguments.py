"""Positional arguments of a function of arrays: which are differentiated, moved, handed on; and its outputs.

:func:`real_part_of` is the one place that decides what a number is. A function of complex values would enter
there: a complex leaf as its real and its imaginary part, two real blocks. A second derivative is the same
check with the VJP itself as f.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.structure import match
from bpcheck.errors import InputError
from bpcheck.result import Comparison
from bpcheck.tree import FloatArray, Path, Tree, rms
from bpcheck.verdict import Verdict

__all__ = ["Arguments", "Block", "Outputs", "is_real", "parse", "real_part_of"]


def is_real(leaf: object) -> bool:
    """Whether a leaf is differentiated: floating-point arrays and numbers are, integers and flags are not."""
    return isinstance(leaf, float | np.floating) or (
        isinstance(leaf, np.ndarray) and np.issubdtype(leaf.dtype, np.floating)
    )


def real_part_of(leaf: Any, path: Path | str) -> FloatArray:
    """The real numbers of one leaf of an output, as float64; NaN and infinity are let through.

    Raises
    ------
    InputError
        If the leaf holds anything else; complex values have no place here yet.
    """
    if is_real(leaf):
        return np.asarray(leaf, dtype=np.float64)
    what = tree.describe(leaf)
    if np.iscomplexobj(leaf):
        raise InputError(
            f"f returned complex numbers ({path} is {what}), and only real functions can be checked: "
            "let f return the real and the imaginary part as two arrays."
        )
    hint = "; call .detach().cpu().numpy() on it" if hasattr(leaf, "detach") else ""
    raise InputError(f"f returned {what} as {path}, but an array of floats is needed{hint}.")


@dataclass(frozen=True, eq=False)
class Block:
    """One tensor that is differentiated.

    Attributes
    ----------
    argument : int
        Of which positional argument it is a leaf.
    path : Path
    array : float array
        A copy, in its own precision.
    size : float
        What counts as a relative step of 1: the root mean square, 1 if it is zero.
    """

    argument: int
    path: Path
    array: FloatArray
    size: float


@dataclass(frozen=True, eq=False)
class Arguments:
    """The arguments of one call.

    Attributes
    ----------
    values : tuple
        As the caller gave them.
    names : tuple of str
    is_tuple : bool
        Whether the caller gave a tuple.
    selected : tuple of int
        The arguments that a cotangent or a tangent belongs to, in order.
    blocks : tuple of Block
        Every tensor that is differentiated.
    """

    values: tuple[Any, ...]
    names: tuple[str, ...]
    is_tuple: bool
    selected: tuple[int, ...]
    blocks: tuple[Block, ...]

    def copies(self, arrays: Mapping[int, FloatArray] | None = None) -> tuple[Any, ...]:
        """Fresh copies of all arguments, some blocks replaced."""
        replaced = {self.blocks[number].argument for number in arrays or {}}
        given = []
        for argument, value in enumerate(self.values):
            if argument not in replaced:
                given.append(tree.copy(value))
                continue
            mine = [number for number, block in enumerate(self.blocks) if block.argument == argument]
            fresh = {number: (arrays or {}).get(number, self.blocks[number].array).copy() for number in mine}
            given.append(self._nest(argument, fresh, keep=True))
        return tuple(given)

    def moved(self, steps: Mapping[int, FloatArray]) -> tuple[Any, ...]:
        """Copies with the blocks moved by ``steps``, each rounded once to its own precision."""
        arrays = {
            number: (self.blocks[number].array.astype(np.float64) + step).astype(
                self.blocks[number].array.dtype
            )
            for number, step in steps.items()
        }
        return self.copies(arrays)

    def beside(self, steps: Mapping[int, FloatArray]) -> Arguments:
        """The same arguments at another point."""
        values = self.moved(steps)
        arrays = {
            path: leaf
            for value, name in zip(values, self.names, strict=True)
            for path, leaf in tree.leaves(value, name)
        }
        blocks = tuple(replace(block, array=np.asarray(arrays[block.path])) for block in self.blocks)
        return replace(self, values=values, blocks=blocks)

    def tangent(self, steps: Mapping[int, FloatArray]) -> Any:
        """What a jvp gets as its tangent: zero where ``steps`` says nothing, None for what is no float."""
        parts = []
        for argument in self.selected:
            mine = {
                number: np.asarray(
                    steps.get(number, np.zeros(block.array.shape)), dtype=block.array.dtype
                ).copy()
                for number, block in enumerate(self.blocks)
                if block.argument == argument
            }
            parts.append(self._nest(argument, mine, keep=False) if mine else None)
        return tuple(parts) if self.is_tuple else parts[0]

    def _nest(self, argument: int, arrays: Mapping[int, FloatArray], *, keep: bool) -> Tree:
        """An argument with its blocks replaced; its other leaves are copied or, if not ``keep``, None."""
        if isinstance(self.values[argument], np.ndarray) and len(arrays) == 1:
            return next(iter(arrays.values()))  # a bare array: nothing to nest
        by_path = {self.blocks[number].path: array for number, array in arrays.items()}
        values = []
        for path, leaf in tree.leaves(self.values[argument], self.names[argument]):
            array = by_path.get(path)
            if array is None:
                values.append((np.array(leaf) if isinstance(leaf, np.ndarray) else leaf) if keep else None)
            else:  # restore() makes a plain float of an array where there was one
                values.append(array[()] if isinstance(leaf, np.floating) else array)
        return tree.restore(self.values[argument], values)

    def take_apart(self, returned: Any) -> tuple[dict[int, FloatArray], list[Comparison], list[Any]]:
        """Sort what a vjp returned into the blocks.

        Returns
        -------
        arrays : dict of int to array
            By number of the block; in float64.
        findings : list of Comparison
            A WRONG_STRUCTURE for every block whose cotangent is missing or has another form.
        leaves : list
            The leaves as returned, for their precision and memory.
        """
        parts = self._parts(returned)
        if isinstance(parts, str):
            return {}, [Comparison("return value of vjp", Verdict.WRONG_STRUCTURE, parts)], []
        arrays: dict[int, FloatArray] = {}
        findings: list[Comparison] = []
        seen: list[Any] = []
        for argument, part in parts.items():
            name = self.names[argument]
            matched = match(part, self.values[argument], root=name)
            leaves = list(tree.leaves(part, name))
            shapes = {str(path): np.shape(leaf) for path, leaf in leaves}
            seen += [leaf for _, leaf in leaves]
            mine = {
                str(b.path): (number, b) for number, b in enumerate(self.blocks) if b.argument == argument
            }
            for finding in matched.findings:
                text = _cotangent_words(finding.reason)
                if finding.path in mine:
                    needed = mine[finding.path][1].array.shape
                    text += _shape_hint(shapes.get(finding.path, ()), needed, finding.path)
                elif "no such" not in text and not any(path.startswith(finding.path) for path in mine):
                    continue  # a leaf that is not differentiated may have no cotangent
                findings.append(Comparison(finding.path, Verdict.WRONG_STRUCTURE, text))
            for path, leaf in matched.arrays.items():
                if str(path) in mine:
                    arrays[mine[str(path)][0]] = np.asarray(leaf, dtype=np.float64)
        return arrays, findings, seen

    def _parts(self, returned: Any) -> dict[int, Any] | str:
        """Which argument each part of a returned value belongs to, or what is wrong."""
        needed = [argument for argument in self.selected if self._is_differentiated(argument)]
        plain_tuple = isinstance(returned, tuple) and not hasattr(returned, "_fields")
        own_tuple = len(needed) == 1 and isinstance(self.values[needed[0]], tuple) and not self.is_tuple
        if len(needed) == 1 and (not plain_tuple or own_tuple):
            return {needed[0]: returned}
        if not isinstance(returned, tuple | list):
            return (
                f"it returned {tree.describe(returned)}, but a tuple of {len(needed)} cotangents is needed, "
                f"one for each of {', '.join(self.names[i] for i in needed)}"
            )
        for positions in (self.selected, tuple(needed), tuple(range(len(self.values)))):
            if len(returned) == len(positions):
                found = dict(zip(positions, returned, strict=True))
                return {argument: found[argument] for argument in needed}
        return (
            f"it returned {len(returned)} cotangents, but {len(needed)} are needed, "
            f"one for each of {', '.join(self.names[i] for i in needed)}"
        )

    def _is_differentiated(self, argument: int) -> bool:
        return any(block.argument == argument for block in self.blocks)


def _cotangent_words(reason: str) -> str:
    words = (
        reason.replace("gradient", "cotangent").replace("the parameter has", "the argument has")
    ).replace("no such parameter", "no such entry in the argument")
    if "(None)" in words:
        words += "; if it is not to be differentiated, name in wrt= the arguments that are"
    return words


def _shape_hint(given: tuple[int, ...], needed: tuple[int, ...], path: str) -> str:
    if given == needed[::-1] and given != needed:
        return "; it looks transposed"
    try:
        broadcast = len(given) >= len(needed) and np.broadcast_shapes(given, needed) == given != needed
    except ValueError:
        broadcast = False
    return f"; sum it over the axes along which {path} was broadcast" if broadcast else ""


def parse(f: Callable[..., Any], at: Any, wrt: Any) -> Arguments:
    """Take the arguments apart.

    Parameters
    ----------
    f : callable
        For the names of its arguments.
    at : tuple of arguments, or one argument
    wrt : None, int, str or a sequence of them
        The arguments to differentiate; by default all that hold floating-point numbers.

    Returns
    -------
    Arguments

    Raises
    ------
    InputError
        If ``wrt`` names no argument or one without floats, or a float is NaN or infinite.
    """
    is_tuple = isinstance(at, tuple) and not hasattr(at, "_fields")
    values = tuple(at) if is_tuple else (at,)
    if not values:
        raise InputError("at is an empty tuple: give at least one argument of f.")
    names = _names(f, len(values), is_tuple)
    chosen = tuple(range(len(values))) if wrt is None else _chosen(wrt, names)
    blocks: list[Block] = []
    for argument in chosen:
        found = 0
        for path, leaf in tree.leaves(values[argument], names[argument]):
            if np.iscomplexobj(leaf):
                tree.real_array(leaf, path)
            if not is_real(leaf):
                continue
            found += 1
            array = tree.real_array(leaf, path)
            if array.size:
                blocks.append(Block(argument, path, array, rms(array.astype(np.float64)) or 1.0))
        if wrt is not None and not found:
            raise InputError(
                f"wrt names {names[argument]}, which is {tree.describe(values[argument])}: "
                "only floating-point numbers can be differentiated. Convert it with .astype(float)."
            )
    if not blocks:
        what = ", ".join(f"{n} is {tree.describe(v)}" for n, v in zip(names, values, strict=True))
        raise InputError(
            f"at holds no floating-point numbers to differentiate ({what}); convert one with "
            "numpy.asarray(value, dtype=float)."
        )
    return Arguments(values, names, is_tuple, chosen, tuple(blocks))


def _names(f: Callable[..., Any], count: int, is_tuple: bool) -> tuple[str, ...]:
    try:
        found = [
            name
            for name, parameter in inspect.signature(f).parameters.items()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):  # a built-in function tells nothing about itself
        found = []
    if len(found) >= count:
        return tuple(found[:count])
    return tuple(f"at[{i}]" for i in range(count)) if is_tuple else ("at",)


def _chosen(wrt: Any, names: tuple[str, ...]) -> tuple[int, ...]:
    items = list(wrt) if isinstance(wrt, tuple | list) else [wrt]
    chosen = []
    for item in items:
        if isinstance(item, str) and item in names:
            chosen.append(names.index(item))
        elif (
            isinstance(item, int | np.integer)
            and not isinstance(item, bool)
            and -len(names) <= item < len(names)
        ):
            chosen.append(int(item) % len(names))
        else:
            raise InputError(
                f"wrt holds {item!r}; give a position from 0 to {len(names) - 1} or a name of "
                f"{', '.join(names)}."
            )
    if not chosen:
        raise InputError("wrt is empty: name at least one argument, or leave it out for all.")
    if len(set(chosen)) != len(chosen):
        raise InputError(f"wrt is {wrt!r}: it names an argument twice.")
    return tuple(chosen)


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a function returns: a tree of real arrays, read as one long vector.

    Attributes
    ----------
    like : tree
        As returned at the point itself.
    paths : tuple of Path
    shapes : tuple of shapes
    dtypes : tuple of dtypes
    """

    like: Tree
    paths: tuple[Path, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]

    @classmethod
    def of(cls, returned: Any) -> Outputs:
        """Learn the form from a first answer.

        Raises
        ------
        InputError
            If a leaf is no real array, or there is nothing in it.
        """
        leaves = list(tree.leaves(tree.copy(returned), "output"))
        arrays = [real_part_of(leaf, path) for path, leaf in leaves]
        if not sum(array.size for array in arrays):
            raise InputError(
                f"f returned {tree.describe(returned)}: there is no number in it to differentiate."
            )
        dtypes = tuple(np.asarray(leaf).dtype for _, leaf in leaves)
        return cls(
            tree.copy(returned), tuple(path for path, _ in leaves), tuple(a.shape for a in arrays), dtypes
        )

    @property
    def sizes(self) -> list[int]:
        """Numbers in each leaf."""
        return [int(np.prod(shape)) for shape in self.shapes]

    def slices(self) -> list[slice]:
        """Where each leaf lies in the long vector."""
        ends = np.cumsum(self.sizes)
        return [slice(int(end) - size, int(end)) for end, size in zip(ends, self.sizes, strict=True)]

    def vector(self, returned: Any, name: str = "f") -> FloatArray:
        """Read another answer as a long vector.

        Raises
        ------
        InputError
            If its form is not that of the first answer.
        """
        leaves = list(tree.leaves(returned, "output"))
        if [path for path, _ in leaves] != list(self.paths):
            raise InputError(
                f"{name} returned another structure at another point: {tree.describe(returned)}."
            )
        arrays = [real_part_of(leaf, path) for path, leaf in leaves]
        for path, array, shape in zip(self.paths, arrays, self.shapes, strict=True):
            if array.shape != shape:
                raise InputError(
                    f"{name} returned {path} of shape {array.shape} at one point and of shape {shape} at "
                    "another; a derivative needs one form."
                )
        return np.concatenate([array.ravel() for array in arrays])

    def rounded(self, vector: FloatArray) -> FloatArray:
        """A long vector as the output's own precision can hold it."""
        parts = [
            vector[s].astype(dtype).astype(np.float64)
            for s, dtype in zip(self.slices(), self.dtypes, strict=True)
        ]
        return np.concatenate(parts)

    def nest(self, vector: FloatArray) -> Tree:
        """A long vector nested as the output: a cotangent, of fresh arrays."""
        values: list[Any] = []
        for (_, leaf), s, shape, dtype in zip(
            tree.leaves(self.like, "output"), self.slices(), self.shapes, self.dtypes, strict=True
        ):
            array = vector[s].astype(dtype).reshape(shape)
            values.append(array[()] if isinstance(leaf, np.floating) else array)
        return tree.restore(self.like, values)
