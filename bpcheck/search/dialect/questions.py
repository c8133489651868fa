"""What a function asks of its arguments: recorded by arguments that answer as the real ones do and take notes.

A function that raises before it has looked at a bias raises the same whatever shape biases have: two layouts that differ
only in what was never asked need not both be tried. And keys that are asked for are not guessed: a dict answers to any
name of a weight or a bias, and remembers which it was.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from bpcheck.conventions import Conventions
from bpcheck.conventions.nesting import DEFAULT_NAMES, NUMBERED
from bpcheck.search.place import place_that_asks
from bpcheck.tree import Tree

__all__ = ["Questions", "array", "parts", "watched"]

WORDS: Mapping[str, tuple[str, ...]] = {
    "W": ("w", "weight", "weights", "kernel", "kernels", "coef", "coefs", "theta"),
    "b": ("b", "bias", "biases", "intercept", "intercepts", "offset", "offsets"),
}
"""What people call weights and biases, in lower case; a key may say more beside it: ``fc1.weight``, ``W_2``."""

PARTNERS: Mapping[str, str] = {
    "W": "b", "w": "b", "weight": "bias", "weights": "biases", "kernel": "bias", "coefs": "intercepts",
    "b": "W", "bias": "weight", "biases": "weights", "intercepts": "coefs",
}  # fmt: skip
"""The word that goes with another, where only one of the two was asked for."""

_CONTAINER = ("structure", "depth")
_KEYS = (*_CONTAINER, "keys")
_EVERYTHING = (*_KEYS, "weight", "bias")

_NO_KEY = object()

_WORD, _NUMBER = re.compile(r"[A-Za-z]+"), re.compile(r"\d+")


class Questions:
    """The record of one call.

    Attributes
    ----------
    places : set
        Where in the caller's code it was asked: the more places, the further the function got.
    asked : set of str
        What they were about: ``"structure"`` (containers), ``"keys"`` (all that there are), ``"depth"`` (how many layers
        there are), ``"weight"``, ``"bias"``, ``"x"``, ``"y"``.
    last : tuple of str
        What the last one was about.
    names : dict of str to str
        The keys that were asked for, by kind (``"W"``, ``"b"``); ``{}`` stands for the number of the layer.
    """

    def __init__(self) -> None:
        self.places: set[Any] = set()
        self.asked: set[str] = set()
        self.last: tuple[str, ...] = ()
        self.names: dict[str, str] = {}

    @classmethod
    def about_everything(cls) -> Questions:
        """What counts as asked where no notes could be taken: nothing else is ruled out then."""
        questions = cls()
        questions.asked.update((*_EVERYTHING, "x", "y"))
        questions.last = _EVERYTHING
        return questions

    def note(self, *about: str) -> None:
        """One more question, about these."""
        self.places.add(place_that_asks())
        self.asked.update(about)
        self.last = about

    def named(self, conventions: Conventions) -> Conventions:
        """The same layout with the keys that were asked for."""
        if not self.names or conventions.params not in DEFAULT_NAMES:
            return conventions
        given = dict(zip("Wb", conventions.names or DEFAULT_NAMES[conventions.params], strict=True))
        names = {**given, **self.names}
        for kind, other in ("Wb", "bW"):
            if kind in self.names and other not in self.names and names[kind] != given[kind]:
                names[other] = _partner(names[kind]) or names[other]
        changed = names != given and names["W"] != names["b"]
        return conventions.but(names=(names["W"], names["b"])) if changed else conventions


def _partner(name: str) -> str:
    for word in _WORD.findall(name):
        if word in PARTNERS:
            return name.replace(word, PARTNERS[word], 1)
    return ""


def kind_of(key: str) -> str:
    """``"W"`` or ``"b"`` for a key that names weights or biases, otherwise an empty string.

    Examples
    --------
    >>> [kind_of(key) for key in ("W1", "bias", "fc2.weight", "weigth")]
    ['W', 'b', 'W', '']
    """
    words = {word.lower() for word in _WORD.findall(key)}
    kinds = [kind for kind, known in WORDS.items() if words.intersection(known)]
    return kinds[0] if len(kinds) == 1 else ""


class _Watched:
    """An argument that takes notes, and passes every question on to the real one.

    ``about`` is what its length and its elements tell; what it does not know itself counts as a question about ``all``.
    """

    def __init__(
        self, plain: Any, questions: Questions, about: tuple[str, ...], everything: tuple[str, ...]
    ) -> None:
        self._plain = plain
        self._questions = questions
        self._about = about
        self._all = everything

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance() has no other way to be told
        return type(self._plain)

    def __getattr__(self, name: str) -> Any:
        self._questions.note(*self._all)
        return getattr(self._plain, name)

    def __len__(self) -> int:
        self._questions.note(*self._about)
        return len(self._plain)

    def __iter__(self) -> Iterator[Any]:
        self._questions.note(*self._about)
        return iter(self._plain)

    def __bool__(self) -> bool:
        self._questions.note(*self._about)
        return bool(self._plain)

    def __contains__(self, item: Any) -> bool:
        self._questions.note(*self._all)
        return item in self._plain

    def __eq__(self, other: object) -> Any:
        self._questions.note(*self._all)
        return self._plain == other

    def __setitem__(self, key: Any, value: Any) -> None:
        self._questions.note(*self._all)
        self._plain[_deep(key)] = value

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        self._questions.note(*self._all)
        return copy.deepcopy(self._plain, memo)

    __hash__ = None  # type: ignore[assignment]


class _Sequence(_Watched):
    """A list or tuple."""

    def __init__(self, plain: Any, questions: Questions) -> None:
        super().__init__(plain, questions, _CONTAINER, _EVERYTHING)

    def __getitem__(self, key: Any) -> Any:
        # an index from the front is the same in every depth that has it
        from_the_front = isinstance(key, str) or (isinstance(key, int) and 0 <= key < len(self._plain))
        self._questions.note(*(_CONTAINER[:1] if from_the_front else _CONTAINER))
        return self._plain[key]

    def __add__(self, other: Any) -> Any:
        self._questions.note(*self._all)
        return self._plain + other

    def __mul__(self, other: Any) -> Any:
        self._questions.note(*self._all)
        return self._plain * other


class _Mapping(_Watched):
    """A dict; where its keys are names of weights and biases, it answers to any such name."""

    def __init__(self, plain: dict[str, Any], questions: Questions, conventions: Conventions) -> None:
        super().__init__(plain, questions, _CONTAINER, _EVERYTHING)
        self._own = dict(zip("Wb", conventions.names or DEFAULT_NAMES[conventions.params], strict=True))
        self._numbered = conventions.params in NUMBERED

    def _key(self, key: Any) -> Any:
        """The key under which the real dict has what is asked for."""
        self._questions.note("structure")
        number = _NUMBER.search(key) if isinstance(key, str) else None
        name = key if number is None else f"{key[: number.start()]}{{}}{key[number.end() :]}"
        kind = self._kind(name)
        if not kind or self._numbered is (number is None):
            return key
        if self._questions.names.get(kind, name) != name:
            return _NO_KEY  # it has been called otherwise before: then this is a slip
        own = self._own[kind] if number is None else self._own[kind].format(int(number[0]))
        if own not in self._plain:
            self._questions.note("depth")
            return key
        self._questions.names[kind] = name
        return own

    def _kind(self, name: Any) -> str:
        """What a key names, if it is one that a convention can say."""
        own = next((kind for kind, known in self._own.items() if known == name), "")
        if own or not isinstance(name, str):
            return own
        return "" if set("{}") & set(name.replace("{}", "", 1)) else kind_of(name)

    def __iter__(self) -> Iterator[Any]:
        self._questions.note(*_KEYS)
        return iter(self._plain)

    def __getitem__(self, key: Any) -> Any:
        found = self._key(key)
        if found is _NO_KEY:
            raise KeyError(key)
        return self._plain[found]

    def __contains__(self, key: Any) -> bool:
        return self._key(key) in self._plain

    def get(self, key: Any, default: Any = None) -> Any:
        """As that of a dict."""
        return self._plain.get(self._key(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        found = self._key(key)
        self._plain[key if found is _NO_KEY else found] = value


# so that ``match`` takes them for what they stand for: it asks no instance
Sequence.register(_Sequence)
Mapping.register(_Mapping)


class _Array(NDArrayOperatorsMixin, _Watched):
    """An array; what is computed from it is a plain one."""

    def __init__(self, plain: Any, questions: Questions, about: tuple[str, ...]) -> None:
        super().__init__(plain, questions, about, about)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        self._questions.note(*self._about)  # elsewhere it may be a plain number
        return type(self._plain)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        self._questions.note(*self._about)
        return np.array(self._plain, dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        out = options.get("out", ())
        result = getattr(ufunc, method)(*_deep(inputs), **_deep(options))
        return out[0] if len(out) == 1 else result

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        return function(*_deep(arguments), **_deep(options))

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):  # a name is refused by every array, whatever its numbers are
            self._questions.note(*self._about)
        return self._plain[_deep(key)]

    def __float__(self) -> float:
        self._questions.note(*self._about)
        return float(self._plain)

    def __int__(self) -> int:
        self._questions.note(*self._about)
        return int(self._plain)


def _deep(value: Any) -> Any:
    """Arguments with the real arrays in place of those that take notes."""
    if type(value) is _Array:
        value._questions.note(*value._about)
        return value._plain
    if type(value) is tuple or type(value) is list:
        return type(value)(map(_deep, value))
    if type(value) is dict:
        return {key: _deep(inner) for key, inner in value.items()}
    return value


def watched(conventions: Conventions, params: Tree, plan: Tree, questions: Questions) -> Tree:
    """Parameters in a subject's containers, taking notes.

    Parameters
    ----------
    conventions : Conventions
    params : tree of arrays
    plan : tree of str
        The same containers with the slot of each array.
    questions : Questions

    Returns
    -------
    tree
    """
    if isinstance(plan, Mapping):
        return _Mapping(
            {key: watched(conventions, params[key], inner, questions) for key, inner in plan.items()},
            questions,
            conventions,
        )
    if isinstance(plan, list | tuple) and isinstance(params, list | tuple):
        inner = [watched(conventions, p, s, questions) for p, s in zip(params, plan, strict=True)]
        return _Sequence(type(plan)(inner), questions)
    slots = plan if isinstance(plan, list) else [plan]  # a flat vector holds all of them
    kinds = {"weight" if slot[0] == "W" else "bias" for slot in slots}
    return array(params, questions, *kinds)


def parts(params: Tree) -> tuple[Any, ...]:
    """The parts of watched parameters, each an argument of its own; nothing is noted."""
    return tuple(params._plain)


def array(plain: Any, questions: Questions, *about: str) -> Any:
    """An array that notes every question as one about these; a plain number notes it at once."""
    if isinstance(plain, np.ndarray):
        return _Array(plain, questions, about)
    questions.asked.update(about)
    return plain
