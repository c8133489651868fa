"""Objects that keep parameters and gradients in attributes, as subjects."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.subject import Answer, Subject
from bpcheck.tree import FloatArray, Path, Tree

__all__ = ["from_object", "parameters_of"]


def from_object(
    obj: Any,
    *,
    params: Sequence[str],
    gradients: str | Sequence[str] | Callable[..., Any],
    loss: str | Callable[..., Any] | None = None,
    backward: str | Callable[..., Any] | None = None,
) -> Subject:
    """A subject from an object that keeps its parameters in attributes.

    The object is copied once, now; the copy is worked on, and what it keeps from call to call (a sum
    that is never reset) is seen. Arrays are written in place, ``a[...] = v``: binding a new array would
    leave behind every alias that the object holds, a flat buffer for example.

    Parameters
    ----------
    obj : object
        Of fixed widths: with :func:`bpcheck.compare`, give ``architectures=`` or ``cases=`` of these.
    params : list of str
        Names of attributes, each an array, a number, or any nesting of them; ``"layers.0.W"`` goes into
        lists and inner objects.
    gradients : str, list of str or callable
        Attributes: their names, or a pattern such as ``"d{}"`` where ``{}`` stands for each name of
        ``params``. Or what returns the gradients, in the order of ``params`` or as a dict of their
        names (``"W1"``, ``"dW1"``): the name of a method ``(x, y)``, or a function ``(obj, x, y)``.
    loss : str or callable, optional
        A method ``(x, y)``, or a function ``(obj, x, y)``. It runs first.
    backward : str or callable, optional
        What fills the attributes of ``gradients``, if ``loss`` does not do that already; a method may
        also take no arguments.

    Returns
    -------
    Subject
        It takes parameters in any nesting whose leaves are in the order of ``params`` and have their
        shapes, and returns the gradient in the same nesting.

    Raises
    ------
    InputError
        If an attribute is missing or holds no numbers, or the object cannot be copied.

    Examples
    --------
    >>> import bpcheck
    >>> class Line:
    ...     def __init__(self):
    ...         self.w, self.b = np.array([1.0, 2.0]), np.array([0.5])
    ...     def cost(self, x, y):
    ...         r = x @ self.w + self.b - y
    ...         self.dw, self.db = x.T @ r, np.array([r.sum()])
    ...         return 0.5 * np.sum(r**2)
    >>> line = Line()
    >>> subject = from_object(line, params=["w", "b"], gradients="d{}", loss="cost")
    >>> x, y = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([0.3, 0.1])
    >>> bpcheck.check_gradient(subject, parameters_of(line, ["w", "b"]), x, y, seed=0).ok
    True
    """
    names = _names(params)
    for role, value in (("loss", loss), ("backward", backward)):
        if value is not None and not isinstance(value, str) and not callable(value):
            raise InputError(
                f"{role} is {tree.describe(value)}; give the name of a method or a function (obj, x, y)."
            )
    read = _reader(gradients, names)
    work = _copied(obj)
    parameters_of(work, names)  # fails now, not in the middle of a comparison
    for role, method in (("loss", loss), ("backward", backward), ("gradients", gradients)):
        if isinstance(method, str) and "{}" not in method and not callable(found := _attribute(work, method)):
            raise InputError(
                f"{role} is {method!r}, which is {tree.describe(found)} in {type(obj).__name__}; a single name is that of "
                f"a method{' (name attributes in a list, or by a pattern)' if role == 'gradients' else ''}."
            )
    _places(work, names)

    def ask_loss(given: Tree, *args: Any) -> Any:
        _write(work, names, given)
        return _call(work, loss, args)

    def answer(given: Tree, *args: Any) -> Answer:
        _write(work, names, given)
        value = None if loss is None else _call(work, loss, args)
        if backward is not None:
            _call(work, backward, args)
        found = read(work, args)
        _give_back(work, names, given)
        leaves = [leaf for _, leaf in tree.leaves(found)]
        if len(leaves) != len(list(tree.leaves(given))):
            return Answer(value, found)  # judged as a wrong structure
        return Answer(value, tree.restore(given, [_copy_of(leaf) for leaf in leaves]))

    notes = () if loss is not None else ("the subject has no loss, so only its gradient was compared",)
    return Subject(
        f"{type(obj).__name__} object",
        answer,
        None if loss is None else ask_loss,
        notes=notes,
        gradient_like_params=True,
    )


def parameters_of(obj: Any, params: Sequence[str]) -> dict[str, Tree]:
    """The parameters of an object, copied: what :func:`bpcheck.check_gradient` is given.

    Parameters
    ----------
    obj : object
    params : list of str
        As for :func:`from_object`.

    Returns
    -------
    dict of str to tree of arrays

    Raises
    ------
    InputError
        If an attribute is missing, or holds anything but floats.

    Examples
    --------
    >>> class Network:
    ...     weights = [np.ones((2, 3)), np.ones((1, 2))]
    >>> [w.shape for w in parameters_of(Network(), ["weights"])["weights"]]
    [(2, 3), (1, 2)]
    """
    found = {name: _attribute(obj, name) for name in _names(params)}
    for name, value in found.items():
        tree.arrays(value, f"{type(obj).__name__}.{name}")
    return tree.copy(found)  # type: ignore[no-any-return]


def _names(params: Any) -> list[str]:
    names = [] if isinstance(params, str) else list(params) if hasattr(params, "__iter__") else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"params is {params!r}; give a list of names of attributes, such as ['W1', 'b1'].")
    if len(set(names)) < len(names):
        raise InputError(f"params is {params!r}; give each name once.")
    return names


def _attribute(obj: Any, name: str) -> Any:
    """An attribute by a dotted name, in which numbers are indices."""
    value = obj
    for part in name.split("."):
        try:
            value = value[int(part)] if part.isdigit() else getattr(value, part)
        except (AttributeError, IndexError, TypeError) as error:
            raise InputError(
                f"{type(obj).__name__} has no {name!r} ({error}); name attributes as they are written after obj."
            ) from error
    return value


@dataclass(frozen=True, eq=False)
class _Place:
    """Where one leaf of the parameters lives in the object."""

    path: str
    value: Any
    set: Callable[[Any], None]


def _places(obj: Any, names: Sequence[str]) -> list[_Place]:
    found: list[_Place] = []

    def walk(value: Any, path: Path, put: Callable[[Any], None]) -> None:
        if isinstance(value, list | dict):
            keys = value if isinstance(value, dict) else range(len(value))
            for key in list(keys):
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

    for name in names:
        owner_name, _, last = name.rpartition(".")
        owner = _attribute(obj, owner_name) if owner_name else obj

        def put(new: Any, owner: Any = owner, last: str = last) -> None:
            if last.isdigit():
                owner[int(last)] = new
            else:
                setattr(owner, last, new)

        walk(_attribute(obj, name), Path(name), put)
    return found


def _write(obj: Any, names: Sequence[str], given: Tree) -> None:
    """Put parameters into the object: arrays in place, numbers anew."""
    places, values = _places(obj, names), [np.asarray(leaf) for _, leaf in tree.leaves(given)]
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


def _give_back(obj: Any, names: Sequence[str], given: Tree) -> None:
    """A parameter that the call changed is changed in what was given, too, so that it is seen."""
    for place, (_, leaf) in zip(_places(obj, names), tree.leaves(given), strict=False):
        same = np.array_equal(np.asarray(place.value), np.asarray(leaf), equal_nan=True)
        if isinstance(leaf, np.ndarray) and not same and np.shape(place.value) == leaf.shape:
            leaf[...] = place.value


def _reader(gradients: Any, names: list[str]) -> Callable[[Any, tuple[Any, ...]], Tree]:
    """How the gradient is read off the object after a call."""
    if isinstance(gradients, str) and ("{" in gradients or "}" in gradients):
        if not gradients.count("{}") == gradients.count("{") == gradients.count("}") == 1:
            raise InputError(
                f"gradients is {gradients!r}; a pattern holds {{}} once, for the name of a parameter, and no other braces: "
                "'d{}', say."
            )
        attributes = [_patterned(gradients, name) for name in names]
    elif isinstance(gradients, str) or callable(gradients):

        def ask(obj: Any, args: tuple[Any, ...]) -> Tree:
            returned = _call(obj, gradients, args)
            return _by_name(returned, names) if isinstance(returned, dict) else returned

        return ask
    else:
        attributes = list(gradients) if hasattr(gradients, "__iter__") else []
        if len(attributes) != len(names) or not all(isinstance(name, str) for name in attributes):
            raise InputError(
                f"gradients is {gradients!r}; give a pattern such as 'd{{}}', a name for each of {names}, or a function "
                "(obj, x, y) that returns them."
            )
    return lambda obj, args: [_or_none(obj, name) for name in attributes]


def _by_name(returned: dict[Any, Any], names: list[str]) -> Tree:
    """A dict of gradients in the order of the parameters, told apart by its keys and never by their order.

    A key is the name of a parameter or holds it at one of its ends, as ``dW1`` and ``W1_grad`` do. What is
    missing is None: a finding with its path.
    """
    if set(returned) <= set(names):
        return [returned.get(name) for name in names]
    found: dict[str, Any] = {}
    for key, value in returned.items():
        text = str(key)
        fits = [name for name in names if text.startswith(name) or text.endswith(name)]
        longest = max(map(len, fits), default=0)  # "dW12" is of W12, not of W1
        fits = [name for name in fits if len(name) == longest]
        if len(fits) != 1 or fits[0] in found:
            raise InputError(
                f"the gradients came as a dict with the keys {list(returned)}, and which of {names} each belongs to "
                "cannot be told: use these names as keys, names such as 'dW1', or return a list in their order."
            )
        found[fits[0]] = value
    return [found.get(name) for name in names]


def _patterned(pattern: str, name: str) -> str:
    """``d{}`` for ``layers.0.W`` is ``layers.0.dW``."""
    owner, dot, last = name.rpartition(".")
    return f"{owner}{dot}{pattern.format(last)}"


def _or_none(obj: Any, name: str) -> Any:
    """A gradient that was never written is None: a finding with its path, not an error."""
    try:
        return _attribute(obj, name)
    except InputError:
        return None


def _call(obj: Any, what: Any, args: tuple[Any, ...]) -> Any:
    if not isinstance(what, str):
        return what(obj, *args)
    method = _attribute(obj, what)
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


def _copy_of(leaf: Any) -> Any:
    return np.array(leaf) if isinstance(leaf, np.ndarray) else leaf


def _copied(obj: Any) -> Any:
    """A deep copy in which views still look into the copy of what they looked into."""
    memo: dict[int, Any] = {}
    for array in _arrays_in(obj, set()):
        base = array.base
        if isinstance(base, np.ndarray) and base.flags.forc:
            fresh = memo.setdefault(id(base), base.copy(order="K"))
            memo[id(array)] = _same_view(array, base, fresh)
    try:
        return copy.deepcopy(obj, memo)
    except (TypeError, RuntimeError) as error:
        raise InputError(
            f"the object ({type(obj).__name__}) cannot be copied: {error}. Keep only arrays and plain values in it, or "
            "write a function (params, x, y) -> (loss, gradient) around it."
        ) from error


def _same_view(array: FloatArray, base: FloatArray, fresh: FloatArray) -> FloatArray:
    start = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    buffer = fresh.reshape(-1, order="A")  # a view: what owns its memory lies in one piece
    return np.ndarray(array.shape, array.dtype, buffer=buffer, offset=start, strides=array.strides)


def _arrays_in(node: Any, seen: set[int]) -> list[FloatArray]:
    """Every array that can be reached through attributes and containers."""
    if id(node) in seen:
        return []
    seen.add(id(node))
    if isinstance(node, np.ndarray):
        return [node]
    inner = list(node.values()) if isinstance(node, dict) else []
    inner += list(node) if isinstance(node, list | tuple | set) else []
    inner += list(getattr(node, "__dict__", {}).values()) if not isinstance(node, type) else []
    return [array for value in inner for array in _arrays_in(value, seen)]
