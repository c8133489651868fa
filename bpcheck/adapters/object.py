"""Objects that keep parameters and gradients in attributes, as subjects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.adapters.attributes import Attribute, call, give_back, leaf_places, named, write
from bpcheck.adapters.copied import copied
from bpcheck.errors import InputError
from bpcheck.subject import Answer, Subject
from bpcheck.tree import Tree

__all__ = ["from_object", "parameters_of"]

Reader = Callable[[Any, tuple[Any, ...]], Tree]
"""From the object and the arguments of a call to the gradients, in the order of the parameters."""


def from_object(
    obj: Any,
    *,
    params: str | Sequence[str],
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
    params : str or list of str
        Names of attributes, each an array, a number, or any nesting of them; ``"layers.0.W"`` goes into
        lists and inner objects. Or the name of one attribute that holds a dict of all parameters.
    gradients : str, list of str or callable
        Attributes: their names, or a pattern such as ``"d{}"`` where ``{}`` stands for each name of
        ``params``. Or what has all gradients, in the order of ``params`` or as a dict of their
        names (``"W1"``, ``"dW1"``): the name of an attribute or of a method ``(x, y)``, or a function
        ``(obj, x, y)``.
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
    for role, value in (("loss", loss), ("backward", backward)):
        if value is not None and not isinstance(value, str) and not callable(value):
            raise InputError(
                f"{role} is {tree.describe(value)}; give the name of a method or a function (obj, x, y)."
            )
    if isinstance(obj, type):
        raise InputError(
            f"{obj.__name__} is a class: give an object of it, from_object({obj.__name__}(…), …)."
        )
    work = copied(obj)
    attributes = named(work, params)
    _held(work, attributes)  # fails now, not in the middle of a comparison
    read = _reader(work, gradients, attributes)
    for role, method in (("loss", loss), ("backward", backward)):
        if isinstance(method, str) and not callable(found := Attribute.parse(method).of(work)):
            raise InputError(
                f"{role} is {method!r}, which is {tree.describe(found)} in {type(obj).__name__}; a single name is that of "
                "a method."
            )
    leaf_places(work, attributes)

    def ask_loss(given: Tree, *args: Any) -> Any:
        write(work, attributes, given)
        return call(work, loss, args)

    def answer(given: Tree, *args: Any) -> Answer:
        write(work, attributes, given)
        value = None if loss is None else call(work, loss, args)
        if backward is not None:
            call(work, backward, args)
        found = read(work, args)
        give_back(work, attributes, given)
        leaves = [leaf for _, leaf in tree.leaves(found, "gradient")]
        if len(leaves) != sum(1 for _ in tree.leaves(given)):
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


def parameters_of(obj: Any, params: str | Sequence[str]) -> dict[str, Tree]:
    """The parameters of an object, copied: what :func:`bpcheck.check_gradient` is given.

    Parameters
    ----------
    obj : object
    params : str or list of str
        As for :func:`from_object`.

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
    return tree.copy(_held(obj, named(obj, params)))  # type: ignore[no-any-return]


def _held(obj: Any, attributes: Sequence[Attribute]) -> dict[str, Tree]:
    found = {attribute.name: attribute.of(obj) for attribute in attributes}
    for attribute, value in zip(attributes, found.values(), strict=True):
        tree.arrays(value, f"{type(obj).__name__}.{attribute.text}")
    return found


# --- the gradients, after a call ---------------------------------------------------------------------------------


def _reader(obj: Any, gradients: Any, attributes: list[Attribute]) -> Reader:
    """How they are read off the object."""
    if isinstance(gradients, str) and not ("{" in gradients or "}" in gradients):
        return _of_all(obj, gradients, attributes)
    if callable(gradients):
        return lambda work, args: _in_order(gradients(work, *args), attributes)
    places = _each(gradients, attributes)
    return lambda work, args: [_or_none(work, place) for place in places]


def _each(gradients: Any, attributes: list[Attribute]) -> list[Attribute]:
    """The attribute of each gradient, by a pattern or by its own name."""
    if isinstance(gradients, str):
        if not gradients.count("{}") == gradients.count("{") == gradients.count("}") == 1:
            raise InputError(
                f"gradients is {gradients!r}; a pattern holds {{}} once, for the name of a parameter, and no other braces: "
                "'d{}', say."
            )
        return [attribute.beside(gradients) for attribute in attributes]
    names = list(gradients) if hasattr(gradients, "__iter__") else []
    if len(names) != len(attributes) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"gradients is {gradients!r}; give a pattern such as 'd{{}}', a name for each of "
            f"{[attribute.name for attribute in attributes]}, or a function (obj, x, y) that returns them."
        )
    return [Attribute.parse(name) for name in names]


def _of_all(obj: Any, name: str, attributes: list[Attribute]) -> Reader:
    """One attribute or method for all of them; what is there now says which, or what is there after the first call."""
    place = Attribute.parse(name)
    there = place.of(obj)
    if callable(there):
        return lambda work, args: _in_order(call(work, name, args), attributes)
    if not isinstance(there, Mapping | list | tuple | None):
        raise InputError(
            f"gradients is {name!r}, which is {tree.describe(there)} in {type(obj).__name__}; a single name is that of a "
            "method, or of an attribute with all gradients (name single ones in a list, or by a pattern)."
        )
    return lambda work, args: _in_order(place.of(work), attributes)


def _in_order(returned: Any, attributes: list[Attribute]) -> Tree:
    """Gradients in the order of the parameters, None for one that is missing; in a dict the keys tell, not the order."""
    if not isinstance(returned, Mapping):
        return returned
    names = [attribute.name for attribute in attributes]
    if {str(key) for key in returned} <= set(names):
        by_name = {str(key): value for key, value in returned.items()}
    else:
        by_name = {_owner(str(key), names, returned): value for key, value in returned.items()}
        if len(by_name) < len(returned):
            raise _untold(names, returned)
    return [by_name.get(name) for name in names]


def _owner(key: str, names: Sequence[str], returned: Mapping[Any, Any]) -> str:
    """The parameter that a key names; of several the longest: ``dW12`` is of ``W12``, not of ``W2``."""
    fits = [name for name in names if key.startswith(name) or key.endswith(name)]
    longest = max(map(len, fits), default=0)
    fits = [name for name in fits if len(name) == longest]
    if len(fits) != 1:
        raise _untold(names, returned)
    return fits[0]


def _untold(names: Sequence[str], returned: Mapping[Any, Any]) -> InputError:
    return InputError(
        f"the gradients came as a dict with the keys {list(returned)}, and which of {list(names)} each belongs to "
        "cannot be told: use these names as keys, names such as 'dW1', or return a list in their order."
    )


def _or_none(obj: Any, place: Attribute) -> Any:
    """A gradient that was never written is None: a finding with its path, not an error."""
    try:
        return place.of(obj)
    except InputError:
        return None


def _copy_of(leaf: Any) -> Any:
    return np.array(leaf) if isinstance(leaf, np.ndarray) else leaf
