"""The value that says how a subject lays out its numbers, and the presets of well-known books and libraries."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from types import MappingProxyType
from typing import Any

from bpcheck.conventions.nesting import DEFAULT_NAMES, NESTINGS, NUMBERED, WEIGHTS_ALONE
from bpcheck.errors import InputError
from bpcheck.network.architecture import REDUCTIONS, Architecture

__all__ = ["PRESETS", "Conventions"]

_BIASES = {
    "vector": "biases (n,)",
    "column": "biases (n, 1)",
    "row": "biases (1, n)",
    "folded first": "biases folded into the first column of the weights (that of a leading 1)",
    "folded last": "biases folded into the last column of the weights (that of a trailing 1)",
    "none": "no biases",
}
_BATCHES = {
    "first": "examples as rows",
    "last": "examples as columns",
    "one": "one example (n,) at a time",
    "one column": "one example (n, 1) at a time",
    "one row": "one example (1, n) at a time",
}
_TARGETS = {
    "as given": "targets one-hot or numbers",
    "index": "targets as class indices",
    "±1": "targets as −1 and 1",
    "flat": "targets (m,), a number for each example",
}

_CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "weight": ("out, in", "in, out"),
        "bias": tuple(_BIASES),
        "batch": tuple(_BATCHES),
        "params": tuple(NESTINGS),
        "gradients": ("", *NESTINGS),
        "targets": tuple(_TARGETS),
        "reduction": (None, *REDUCTIONS),
        "penalty": (None, "λ/2", "λ", "λ/2m", "λ/m"),
        "penalize_bias": (None, False, True),
        "spread": (False, True),
    }
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Conventions:
    """How a subject lays out parameters, examples, targets and gradients, and how it counts its loss.

    :func:`bpcheck.compare` translates between this and its own layout, exactly: by transposing,
    reshaping, reordering and by going from example to example. No convention changes a number of the
    gradient alone, so none can make a wrong gradient pass.

    Parameters
    ----------
    weight : {"out, in", "in, out"}
        Orientation of a weight matrix.
    bias : {"vector", "column", "row", "folded first", "folded last", "none"}
        A bias of shape (n,), (n, 1) or (1, n), or a column of the weight matrix (with weights stored
        (in, out): a row of it), for an activation of 1 put first or last. ``"none"``: the subject has no
        biases, and is compared with networks whose biases are 0.
    batch : {"first", "last", "one", "one column", "one row"}
        Examples as rows, as columns, or one example at a time, of shape (n,), (n, 1) or (1, n). What is
        called with one example at a time has the mean over the batch as its cost.
    params : str
        Containers and order of the parameters, written as they look for two layers: ``"[{W, b}]"``,
        ``"[(W, b)]"``, ``"([b], [W])"``, ``"[W1, b1, W2, b2]"``, ``"{W1, b1, W2, b2}"``, ``"[W1, W2]"``
        (no biases, or folded ones), ``"vector W1 b1 W2 b2"``, … (``bpcheck.conventions.nesting.NESTINGS``).
    gradients : str
        The same for the gradient; ``""`` means: as the parameters.
    names : (str, str), optional
        Keys of weight and bias where a dict holds them; ``{}`` stands for the number of the layer.
    number_from : int
        Number of the first layer in such a key.
    gradient_names : str
        Key of a gradient, ``{}`` standing for the key of its parameter: ``"d{}"``.
    spread : bool
        Whether the parts of ``params`` are arguments of their own: ``f(weights, biases, x, y)``.
    targets : {"as given", "index", "±1", "flat"}
        Rows of numbers (one-hot for classes), class indices, −1 and 1 for 0 and 1, or, where there is one
        output, an array (m,) instead of (m, 1).
    reduction : {"mean", "sum"}, optional
        Pins how the subject puts the examples together; otherwise the architecture says it, or the loss
        shows it.
    factor : float or "1/outputs", optional
        Pins a factor that loss and gradient share; otherwise it is read off the loss, and reported.
    penalty : {"λ/2", "λ", "λ/2m", "λ/m"}, optional
        What stands before ‖W‖² in the cost, m being the batch size and λ the ``l2`` of the architecture.
    penalize_bias : bool, optional
        Pins whether the penalty covers biases.

    Raises
    ------
    InputError
        With the field, what was given and what is possible.

    Examples
    --------
    >>> Conventions()
    Conventions()
    >>> Conventions.preset("keras")
    Conventions(weight='in, out', params='[W1, b1, W2, b2]')
    >>> print(Conventions.preset("cs231n").words)
    weights (in, out), biases (n,), examples as rows, params {W1, b1, W2, b2}, targets as class indices
    """

    weight: str = "out, in"
    bias: str = "vector"
    batch: str = "first"
    params: str = "[{W, b}]"
    gradients: str = ""
    names: tuple[str, str] | None = None
    number_from: int = 1
    gradient_names: str = "{}"
    spread: bool = False
    targets: str = "as given"
    reduction: str | None = None
    factor: float | str | None = None
    penalty: str | None = None
    penalize_bias: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.names, list):
            object.__setattr__(self, "names", tuple(self.names))
        if complaint := next(filter(None, (rule(self) for rule in _RULES)), ""):
            raise InputError(complaint)
        if self.factor not in (None, "1/outputs"):
            object.__setattr__(self, "factor", float(self.factor))

    @classmethod
    def preset(cls, name: str) -> Conventions:
        """The conventions of a well-known book, course or library.

        Parameters
        ----------
        name : {"nielsen", "torch", "keras", "sklearn", "cs231n"}

        Raises
        ------
        InputError
            If nobody of that name is known.

        Examples
        --------
        >>> Conventions.preset("nielsen")
        Conventions(bias='column', batch='one column', params='([b], [W])')
        """
        if not isinstance(name, str) or name not in PRESETS:
            raise InputError(f"there are no conventions {name!r}; known are {', '.join(map(repr, PRESETS))}.")
        return PRESETS[name]

    def but(self, **changes: Any) -> Conventions:
        """The same conventions with some fields changed.

        Examples
        --------
        >>> Conventions.preset("keras").but(targets="index")
        Conventions(weight='in, out', params='[W1, b1, W2, b2]', targets='index')
        """
        known = {field.name for field in dataclasses.fields(self)}
        for name in changes:
            if name not in known:
                raise InputError(f"conventions have no {name!r}; they have {', '.join(sorted(known))}.")
        return replace(self, **changes)

    @property
    def folded(self) -> bool:
        """Whether biases are part of the weight matrices."""
        return self.bias.startswith("folded")

    @property
    def has_biases(self) -> bool:
        """Whether biases are tensors of their own."""
        return not self.folded and self.bias != "none"

    @property
    def per_example(self) -> bool:
        """Whether the subject takes one example at a time."""
        return self.batch.startswith("one")

    @property
    def times_batch(self) -> bool:
        """Whether loss and gradient are multiplied by m to become a sum over the batch plus ½λ‖W‖².

        A mean with a penalty λ/2m is 1/m times that sum; no architecture of ours says so by itself.
        """
        return self.penalty in ("λ/2m", "λ/m")

    @property
    def is_ours(self) -> bool:
        """Whether nothing has to be translated."""
        return replace(self, **_UNSAID) == Conventions() and not self.times_batch

    @property
    def words(self) -> str:
        """The layout in words, for reports."""
        parts = [f"weights ({self.weight})", _BIASES[self.bias], _BATCHES[self.batch]]
        keys = f" with keys {self.names[0]!r} and {self.names[1]!r}" if self.names else ""
        number = f" from {self.number_from}" if self.number_from != 1 else ""
        spread = ", each part an argument of its own" if self.spread else ""
        parts.append(f"params {self.params}{keys}{number}{spread}")
        if self.gradients and self.gradients != self.params:
            parts.append(f"gradients {self.gradients}")
        if self.gradient_names != "{}":
            parts.append(
                f"keys of gradients {self.gradient_names.format(self.names[0] if self.names else 'W1')!r}, …"
            )
        if self.targets != "as given":
            parts.append(_TARGETS[self.targets])
        return ", ".join(parts)

    def describe(self, architecture: Architecture) -> Architecture:
        """The architecture that the subject computes, in our words, if ``architecture`` is meant in its own.

        Raises
        ------
        InputError
            For a penalty divided by the batch size beside a sum over the batch, which no network of ours has;
        for a sum over a batch beside one example at a time.

        Examples
        --------
        >>> from bpcheck import mlp
        >>> Conventions(reduction="sum", penalty="λ").describe(mlp([2, 1], l2=0.1))
        mlp([2, 1], output='identity', loss='half_mse', reduction='sum', l2=0.2)
        """
        reduction = self.reduction or architecture.reduction
        if self.per_example and reduction == "sum":
            raise InputError(
                f"the network has reduction='sum', but batch={self.batch!r} hands over one example at a time, and the mean "
                "over the examples is what is compared: give the network reduction='mean'."
            )
        if self.times_batch:
            if reduction != "mean":
                raise InputError(
                    f"penalty={self.penalty!r} is divided by the batch size, but the loss is a sum over the batch: "
                    "use penalty='λ/2' or 'λ', or reduction='mean'."
                )
            reduction = "sum"
        l2 = architecture.l2 * (2.0 if self.penalty in ("λ", "λ/m") else 1.0)
        biases = architecture.penalize_bias if self.penalize_bias is None else self.penalize_bias
        return replace(architecture, reduction=reduction, l2=l2, penalize_bias=biases)

    def held_to(self, architecture: Architecture) -> Architecture:
        """A network that was found, with what these conventions pin of its cost.

        Examples
        --------
        >>> from bpcheck import mlp
        >>> Conventions(reduction="sum").held_to(mlp([2, 1])).reduction
        'sum'
        """
        reduction = "sum" if self.times_batch else self.reduction or architecture.reduction
        biases = architecture.penalize_bias if self.penalize_bias is None else self.penalize_bias
        return replace(architecture, reduction=reduction, penalize_bias=biases)

    def as_given(self, architecture: Architecture) -> Architecture:
        """The inverse of :meth:`describe`: our words in the subject's own.

        Examples
        --------
        >>> from bpcheck import mlp
        >>> sklearn = Conventions.preset("sklearn")
        >>> sklearn.as_given(sklearn.describe(mlp([2, 1], l2=0.1))) == mlp([2, 1], l2=0.1)
        True
        """
        if self.penalty is None:
            return architecture
        reduction = "mean" if self.times_batch else architecture.reduction
        l2 = architecture.l2 / (2.0 if self.penalty in ("λ", "λ/m") else 1.0)
        return replace(architecture, reduction=reduction, l2=l2)

    def __repr__(self) -> str:
        said = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"Conventions({', '.join(said)})"


# --- what is refused: each rule returns what is wrong and what is possible, or an empty string -----------------------


def _wrong_choice(given: Conventions) -> str:
    for name, options in _CHOICES.items():
        value = getattr(given, name)
        if not any(value is option or (isinstance(value, str) and value == option) for option in options):
            listed = ", ".join(map(repr, options))
            return f"{name} is {value!r}; a convention for it is one of {listed}."
    return ""


def _wrong_names(given: Conventions) -> str:
    names = given.names
    if names is None:
        return ""
    if not isinstance(names, tuple) or len(names) != 2 or not all(isinstance(n, str) and n for n in names):
        return f"names is {names!r}; give two keys, such as ('W', 'b') or ('W{{}}', 'b{{}}')."
    return _names_without_keys(given, names) or _wrong_patterns(names)


def _names_without_keys(given: Conventions, names: tuple[str, str]) -> str:
    if given.params not in DEFAULT_NAMES and given.gradients not in DEFAULT_NAMES:
        return f"names is {names!r}, but params={given.params!r} has no keys: leave it out."
    if given.params in NUMBERED and not all("{}" in name for name in names):
        return (
            f"names is {names!r}, but params={given.params!r} needs a key for each layer: write {{}} for the number, such "
            "as 'W{}'."
        )
    return ""


def _wrong_patterns(names: tuple[str, str]) -> str:
    if names[0] == names[1]:
        return f"names is {names!r}; weights and biases need keys of their own."
    if not all(_holes(name) in (0, 1) for name in names):
        return (
            f"names is {names!r}; {{}} stands for the number of the layer, once, and no other braces are taken: 'W{{}}', "
            "say."
        )
    return ""


def _wrong_numbers(given: Conventions) -> str:
    first = given.number_from
    if isinstance(first, bool) or not isinstance(first, int) or first < 0:
        return f"number_from is {first!r}; give the first layer's number, such as 0 or 1."
    return ""


def _wrong_gradient_names(given: Conventions) -> str:
    pattern = given.gradient_names
    if not isinstance(pattern, str) or _holes(pattern) != 1:
        return f"gradient_names is {pattern!r}; write {{}} for the key of the parameter, such as 'd{{}}'."
    return ""


def _wrong_factor(given: Conventions) -> str:
    factor = given.factor
    if factor is None or factor == "1/outputs":
        return ""
    if isinstance(factor, str | bool) or not isinstance(factor, Real) or not _is_a_factor(factor):
        return f"factor is {factor!r}; give a positive number, '1/outputs' or None."
    return ""


def _wrong_place_of_biases(given: Conventions) -> str:
    for role in ("params", "gradients"):
        nesting = getattr(given, role)
        if nesting and given.has_biases and nesting in WEIGHTS_ALONE:
            return (
                f"{role} is {nesting!r}, which has no biases: say where they are with bias='folded first' or "
                "bias='folded last', say bias='none' if there are none, or choose a nesting that holds them."
            )
        if nesting and not given.has_biases and nesting not in WEIGHTS_ALONE:
            why = "puts the biases into the weights" if given.folded else "says that there are none"
            return (
                f"{role} is {nesting!r}, but bias={given.bias!r} {why}: use {role}='[W1, W2]' (a list) or '{{W1, W2}}' (a "
                "dict)."
            )
    return ""


def _batch_without_batch(given: Conventions) -> str:
    if not given.per_example or not (given.reduction == "sum" or given.times_batch):
        return ""
    said = "reduction='sum'" if given.reduction == "sum" else f"penalty={given.penalty!r}"
    return (
        f"{said} is about a batch, but batch={given.batch!r} hands over one example at a time, whose cost is that of one: "
        f"leave it out{' (or say λ/2 or λ)' if given.times_batch else ''}, or say which batches it takes."
    )


def _wrong_spread(given: Conventions) -> str:
    if given.spread and given.params.startswith(("{", "vector")):
        return f"spread=True hands over the parts of a list or tuple; params is {given.params!r}."
    return ""


_RULES = (
    _wrong_choice,
    _wrong_names,
    _wrong_numbers,
    _wrong_gradient_names,
    _wrong_factor,
    _wrong_place_of_biases,
    _batch_without_batch,
    _wrong_spread,
)


def _is_a_factor(number: float) -> bool:
    """Whether it is a positive float, or a whole number that still is one."""
    return 0 < number < float("inf") and not (isinstance(number, int) and number > sys.float_info.max)


def _holes(text: str) -> int:
    """How many ``{}`` a pattern has; −1 if it has any other brace, which str.format would stumble over."""
    holes = text.count("{}")
    return holes if text.count("{") == text.count("}") == holes else -1


# Fields about the cost, not about the layout.
_UNSAID: dict[str, Any] = {"reduction": None, "factor": None, "penalty": None, "penalize_bias": None}

PRESETS: Mapping[str, Conventions] = MappingProxyType(
    {
        # Nielsen, Neural Networks and Deep Learning, chapter 2: column vectors, one example at a time, the
        # attributes biases and weights, and a backward pass that returns them in this order.
        "nielsen": Conventions(bias="column", batch="one column", params="([b], [W])"),
        # PyTorch: nn.Linear keeps (out, in); the order is that of module.parameters().
        "torch": Conventions(params="[W1, b1, W2, b2]"),
        # Keras: a Dense kernel is (in, out); the order is that of model.get_weights().
        "keras": Conventions(weight="in, out", params="[W1, b1, W2, b2]"),
        # scikit-learn's multi-layer perceptrons: coefs_ and intercepts_, penalty ½·alpha·‖W‖² / batch size.
        "sklearn": Conventions(weight="in, out", params="([W], [b])", penalty="λ/2m"),
        # Stanford's course CS231n: a dict W1, b1, …, class indices, (loss, dict of gradients).
        "cs231n": Conventions(weight="in, out", params="{W1, b1, W2, b2}", targets="index"),
    }
)
"""Conventions by the name of who uses them."""
