"""Is the answer laid out as the parameters are? Nothing is ever broadcast or guessed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.precision import widened
from bpcheck.result import Comparison
from bpcheck.tree import Path, Tree, describe
from bpcheck.verdict import Verdict

__all__ = ["Matched", "match", "scalar_loss"]


@dataclass(frozen=True, eq=False)
class Matched:
    """A gradient leaf by leaf, and what is wrong with its form.

    Attributes
    ----------
    arrays : dict of Path to array
        The leaves that have the right form, copied, in the dtype they came in.
    findings : tuple of Comparison
        One WRONG_STRUCTURE for each leaf that has not.
    """

    arrays: Mapping[Path, Any]
    findings: tuple[Comparison, ...]


def match(gradient: Tree, params: Tree, *, root: str = "params") -> Matched:
    """Pair a gradient with the parameters it belongs to.

    Parameters
    ----------
    gradient : tree
        Whatever the subject returned.
    params : tree of arrays
    root : str
        What paths start with.

    Returns
    -------
    Matched

    Examples
    --------
    >>> matched = match([np.zeros((2, 1)), None], [np.zeros(2), np.zeros(3)])
    >>> for finding in matched.findings:
    ...     print(finding.path, "-", finding.reason)
    params[0] - its gradient has shape (2, 1), but the parameter has shape (2,)
    params[1] - there is no gradient for it (None)
    """
    arrays: dict[Path, Any] = {}
    findings: list[Comparison] = []
    for path, given, shape in _pairs(gradient, params, Path(root)):
        leaf = given if shape is None else as_array(given)
        reason = leaf if shape is None else _fault(leaf, shape)
        if reason:
            findings.append(Comparison(str(path), Verdict.WRONG_STRUCTURE, reason))
        else:
            arrays[path] = np.array(leaf)
    return Matched(arrays, tuple(findings))


def _pairs(answer: Any, like: Any, path: Path) -> Iterator[tuple[Path, Any, tuple[int, ...] | None]]:
    """Each parameter leaf with its answer and shape, or with a fault and None."""
    if isinstance(like, Mapping):
        if not isinstance(answer, Mapping):
            yield (
                path,
                f"its gradient is {describe(answer)}, but a dict with keys {list(like)} is needed",
                None,
            )
            return
        for key, value in like.items():
            if key in answer:
                yield from _pairs(answer[key], value, path.item(key))
            else:
                yield path.item(key), f"there is no gradient for it (the keys are {list(answer)})", None
        for key in answer:
            if key not in like:
                yield path.item(key), "there is a gradient, but no such parameter", None
    elif isinstance(like, tuple) and hasattr(like, "_fields"):
        yield from _attributes(answer, like, like._fields, path)
    elif isinstance(like, list | tuple):
        if not isinstance(answer, list | tuple):
            yield path, f"its gradient is {describe(answer)}, but a list of {len(like)} is needed", None
            return
        for index, value in enumerate(like):
            if index < len(answer):
                yield from _pairs(answer[index], value, path.item(index))
            else:
                yield (
                    path.item(index),
                    f"there is no gradient for it (the list has length {len(answer)})",
                    None,
                )
        for index in range(len(like), len(answer)):
            yield path.item(index), "there is a gradient, but no such parameter", None
    elif dataclasses.is_dataclass(like) and not isinstance(like, type):
        yield from _attributes(answer, like, [field.name for field in dataclasses.fields(like)], path)
    else:
        yield path, answer, np.shape(like)


def _attributes(
    answer: Any, like: Any, names: Any, path: Path
) -> Iterator[tuple[Path, Any, tuple[int, ...] | None]]:
    for name in names:
        if hasattr(answer, name):
            yield from _pairs(getattr(answer, name), getattr(like, name), path.attribute(name))
        else:
            reason = f"there is no gradient for it ({describe(answer)} has no attribute {name!r})"
            yield path.attribute(name), reason, None


def _fault(leaf: Any, shape: tuple[int, ...]) -> str:
    """What is wrong with one leaf, or an empty string."""
    if leaf is None:
        return "there is no gradient for it (None)"
    if not isinstance(leaf, np.ndarray | np.generic | int | float | complex):
        remedy = "; call .detach().cpu().numpy() on it" if hasattr(leaf, "detach") else ""
        return f"its gradient is {describe(leaf)}, not an array{remedy}"
    array = np.asarray(widened(leaf))
    if np.iscomplexobj(array):
        return f"its gradient is complex ({describe(leaf)}); return the real gradient"
    if array.dtype.kind not in "fiu":
        return f"its gradient is {describe(leaf)}; an array of floats is needed"
    if array.shape != shape:
        return f"its gradient has shape {array.shape}, but the parameter has shape {shape}"
    return ""


def as_array(leaf: Any) -> Any:
    """A foreign array (of JAX, CuPy-like, pandas) as NumPy's; anything else as it is.

    A tensor that has to be detached first stays as it is: the finding says so.
    """
    known = isinstance(leaf, np.ndarray | np.generic | int | float | complex)
    if known or not hasattr(leaf, "__array__") or hasattr(leaf, "detach"):
        return leaf
    try:
        return np.asarray(leaf)
    except Exception:  # whatever another library raises: the finding says what it is
        return leaf


def scalar_loss(value: Any) -> tuple[float, str]:
    """The loss as a float, and what is wrong with it (empty if nothing).

    Examples
    --------
    >>> scalar_loss(np.array([[2.0]]))
    (2.0, '')
    >>> scalar_loss(np.ones(3))[1]
    'it is float64 array of shape (3,), but one number is needed: reduce it over the batch'
    """
    if isinstance(value, float):  # np.float64 is one: nearly every call, and nothing to ask
        return float(value), ""
    value = as_array(value)
    if isinstance(value, np.ndarray | np.generic | int) and not isinstance(value, bool):
        array = np.asarray(widened(value))
        if array.size == 1 and array.dtype.kind in "fiu":
            return float(array.reshape(())), ""
        if array.dtype.kind in "fiu":
            return float(
                "nan"
            ), f"it is {describe(value)}, but one number is needed: reduce it over the batch"
    detach = "; call .item() on it" if hasattr(value, "detach") and hasattr(value, "item") else ""
    return float("nan"), f"it is {describe(value)}, but one real number is needed{detach}"
