"""Monte-Carlo arithmetic: run a NumPy function as if every operation were rounded in a coarser format.

A :class:`MonteCarlo` array computes in float64 and then rounds each result to a random grid that is as coarse
as the format asked for (after Parker, *Monte Carlo Arithmetic*, UCLA CSD-970002, 1997). Run a few times, the
spread of the results is the error that low precision makes, with no derivation; what is run is the caller's own
float64 reference.

Rounding is no dice: equal numbers are rounded equally, and nearly equal ones nearly so. So the dice are thrown
once a run, not once a result: x is rounded as s·x would be in the format, with one random factor s in [1, 2) for
the whole run. Identical examples in a batch, identical units, a softmax that hardly changes from example to
example err together here as they do in a machine, and their errors add up.

Followed are NumPy's functions, its operators and every ufunc (SciPy's too). What leaves NumPy is computed as it
is, without errors of its own: ``math.exp``, ``float(x)``, a function that calls ``np.asarray`` on what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.precision import FloatFormat, format_of, rounded
from bpcheck.tree import FloatArray, Path, Tree

__all__ = ["Arithmetic", "MonteCarlo", "simulate", "smoothed_variance"]

# Results that carry no rounding: signs, choices, whole numbers.
# fmt: off
EXACT = frozenset((
    "negative", "positive", "absolute", "fabs", "conjugate", "sign", "maximum", "minimum", "fmax",
    "fmin", "clip", "copysign", "floor", "ceil", "trunc", "rint", "heaviside", "ldexp", "frexp",
    "modf", "nextafter", "spacing", "fmod", "remainder",
))
# fmt: on

# One rounding each; anything else is an elementary function, with an error of its own besides.
ARITHMETIC = frozenset(
    ["add", "subtract", "multiply", "divide", "true_divide", "square", "reciprocal", "sqrt"]
)

# Standard deviation of an elementary function's error in units of u: as ELEMENTARY_ROUNDINGS of
# bpcheck/reference/numbers/variance.py, from the same measurement.
ELEMENTARY_DEVIATION = 2.0

# Sums of products, in whatever form: their rounding is followed from the squares of the operands.
CONTRACTIONS = ("dot", "vdot", "inner", "outer", "tensordot", "einsum", "convolve", "correlate", "kron")

# Digits by which two numbers are told apart: more than any coarse format has, fewer than the last bits in which
# two orders of summation differ in float64.
DIGITS_COMPARED = 30
MANTISSA_BITS = 52

# Median of the square of a standard normal number (chi-squared with one degree of freedom).
MEDIAN_SQUARE = 0.4549

# Keeps the stream of random factors apart from any other that a seed is used for.
GRID = 0x6772_6964


@dataclass(frozen=True)
class Arithmetic:
    """How results are perturbed.

    Attributes
    ----------
    stored : FloatFormat
        Format that every result is rounded to.
    computed : FloatFormat
        Format inside an operation: products of matrices, solvers, elementary functions.
    added : FloatFormat
        Format that plain sums are added up in.
    seed : int
    amplification : float
        Factor on every error, a power of two: larger errors find what small ones rarely reach, a unit near
        its kink.
    """

    stored: FloatFormat
    computed: FloatFormat
    added: FloatFormat
    seed: int = 0
    amplification: float = 1.0

    @classmethod
    def of(
        cls, dtype: Any, compute: Any = None, *, sums: Any = None, seed: int = 0, amplification: float = 1.0
    ) -> Arithmetic:
        """From names of formats: ``compute=None`` means float32 (or ``dtype`` if finer), ``sums=None`` as that."""
        stored, single = format_of(dtype), format_of("float32")
        finer = single if single.digits > stored.digits else stored
        computed = finer if compute is None else format_of(compute)
        return cls(stored, computed, computed if sums is None else format_of(sums), seed, amplification)

    def stir(self, values: FloatArray, salt: int) -> FloatArray:
        """Uniform in [−√3, √3] (variance 1), one number for each value: equal digits, equal number."""
        bits = np.ascontiguousarray(values, dtype=float).view(np.uint64) & np.uint64((1 << MANTISSA_BITS) - 1)
        drop = MANTISSA_BITS - DIGITS_COMPARED
        bits = (bits + np.uint64(1 << (drop - 1))) >> np.uint64(drop)
        # splitmix64 (Steele, Lea & Flood 2014): a bijection that leaves no pattern
        mixed = (self.seed * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03) & ((1 << 64) - 1)
        with np.errstate(over="ignore"):
            bits = bits * np.uint64(0x9E3779B97F4A7C15) + np.uint64(mixed)
            bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            bits = bits ^ (bits >> np.uint64(31))
        uniform = (bits >> np.uint64(11)).astype(float) * 2.0**-52 - 1.0
        return np.asarray(np.sqrt(3.0) * uniform).reshape(np.shape(values))

    def store(self, values: FloatArray, own: Any = 0.0) -> FloatArray:
        """Values with the error of the operation (standard deviation ``own``), rounded to the grid of this run."""
        values = np.asarray(values, dtype=float)
        with np.errstate(all="ignore"):
            changed = values + self.amplification * own * self.stir(values, 2)
            return rounded(changed * self.factor, self.grid) / self.factor

    @cached_property
    def factor(self) -> float:
        """S in [1, 2): where the numbers of the format lie in this run."""
        return 1.0 + float(np.random.default_rng((self.seed, GRID)).random())

    @cached_property
    def grid(self) -> FloatFormat:
        """The format, with fewer digits if errors are amplified."""
        return replace(self.stored, digits=self.stored.digits - round(math.log2(self.amplification)))

    def summing(self, squares: FloatArray, total: FloatArray, terms: Any, *, products: bool) -> FloatArray:
        """Standard deviation of adding ``terms`` numbers one after the other, from Σt² and their sum."""
        walk = (float(products) + np.asarray(terms) / 2) * squares + np.asarray(terms) / 3 * total**2
        return np.asarray((self.computed if products else self.added).roundoff * np.sqrt(walk / 3))


class MonteCarlo(np.ndarray[Any, np.dtype[np.float64]]):
    """A float64 array whose every operation is followed by a random rounding error.

    Make one with :meth:`of`; NumPy's functions and operators return further ones.

    Examples
    --------
    >>> x = MonteCarlo.of(np.ones(3) / 3, Arithmetic.of("bfloat16", seed=1))
    >>> y = x @ x
    >>> bool(y != 1 / 3), bool(abs(y - 1 / 3) < 0.01)
    (True, True)
    """

    arithmetic: Arithmetic

    @classmethod
    def of(cls, array: Any, arithmetic: Arithmetic) -> MonteCarlo:
        """An array's numbers, exact so far."""
        found = np.array(array, dtype=float).view(cls)
        found.arithmetic = arithmetic
        return found

    def __array_finalize__(self, source: Any) -> None:
        self.arithmetic = getattr(source, "arithmetic", None)  # type: ignore[assignment]

    def _wrap(self, values: Any) -> Any:
        """Floats as arrays of this kind, also numbers and those inside a tuple or list."""
        if isinstance(values, tuple | list) and not hasattr(values, "_fields"):
            return type(values)(self._wrap(value) for value in values)
        if isinstance(values, np.ndarray | np.floating) and np.asarray(values).dtype.kind == "f":
            found = np.asarray(values, dtype=float).view(MonteCarlo)
            found.arithmetic = self.arithmetic
            return found
        return values

    def __getitem__(self, key: Any) -> Any:
        return self._wrap(super().__getitem__(key))

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        how = next(x.arithmetic for x in (*inputs, *options.get("out", ())) if isinstance(x, MonteCarlo))
        plain = [_plain(x) for x in inputs]
        out = options.pop("out", None)
        if method == "at":
            _at(how, ufunc, inputs[0], plain)
            return None
        # where= leaves the rest of the output as it was: it must be there from the start
        kept = out is not None and "where" in options
        with np.errstate(all="ignore"):
            result = getattr(ufunc, method)(
                *plain,
                **({"out": tuple(np.array(_plain(o)) for o in out)} if kept else {}),
                **_plain(options),
            )
        results = result if isinstance(result, tuple) else (result,)
        if ufunc.__name__ not in EXACT:
            results = tuple(
                how.store(r, _own(how, ufunc, method, plain, options, r)) if _is_float(r) else r
                for r in results
            )
        if out is not None:
            for target, values in zip(out, results, strict=True):
                np.copyto(_plain(target), values, casting="unsafe")
            results = tuple(out)
        wrapped = tuple(self._wrap(r) if not isinstance(r, MonteCarlo) else r for r in results)
        return wrapped if isinstance(result, tuple) else wrapped[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name, module = function.__name__, function.__module__
        how = self.arithmetic
        if name in CONTRACTIONS and module == "numpy":
            return self._wrap(_contracted(how, function, args, kwargs))
        if module == "numpy.linalg" or name == "interp":
            return self._wrap(_backward_stable(how, function, args, kwargs))
        if name in ("cumsum", "cumprod"):
            accumulate = np.add.accumulate if name == "cumsum" else np.multiply.accumulate
            array, axis = args[0], kwargs.get("axis", args[1] if len(args) > 1 else None)
            return accumulate(array.reshape(-1) if axis is None else array, axis=0 if axis is None else axis)
        return self._wrap(super().__array_function__(function, types, args, kwargs))

    # Methods that are written in C and ask neither of the two protocols.
    def dot(self, other: Any, out: Any = None) -> Any:
        """As ``np.dot``."""
        return np.dot(self, other)

    def cumsum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """As ``np.cumsum``."""
        return np.cumsum(self, axis=axis)

    def cumprod(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """As ``np.cumprod``."""
        return np.cumprod(self, axis=axis)

    def trace(self, *args: Any, **kwargs: Any) -> Any:
        """As ``np.trace``."""
        return np.diagonal(self, *args, **kwargs).sum(axis=-1)


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f"


def _plain(value: Any) -> Any:
    """The same without our class, also inside containers."""
    if isinstance(value, MonteCarlo):
        return value.view(np.ndarray)
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return type(value)(_plain(v) for v in value)
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return value


def _own(how: Arithmetic, ufunc: Any, method: str, plain: list[Any], options: Any, result: Any) -> Any:
    """Standard deviation of what a ufunc adds inside, before its result is stored."""
    name = ufunc.__name__
    if name in ("matmul", "vecdot", "matvec", "vecmat") and method == "__call__":
        a, b = (np.asarray(operand, dtype=float) for operand in plain)
        terms = a.shape[-1]
        return how.summing(ufunc(a**2, b**2, **options), result, terms, products=True)
    if method == "reduce" and name == "add":
        values = np.asarray(plain[0], dtype=float)
        options = {key: value for key, value in options.items() if key not in ("initial", "dtype")}
        terms = values.size // max(np.size(result), 1)
        return how.summing(np.add.reduce(values**2, *plain[1:], **options), result, terms, products=False)
    if method == "accumulate" and name == "add":
        axis = options.get("axis", plain[1] if len(plain) > 1 else 0)
        return how.added.roundoff * np.sqrt(np.cumsum(np.square(result), axis=axis) / 3)
    if method in ("reduce", "accumulate", "reduceat"):
        terms = np.size(plain[0]) // max(np.size(result), 1) if method != "accumulate" else np.size(plain[0])
        return how.computed.roundoff * np.sqrt(max(terms, 1)) * abs(result)
    return 0.0 if name in ARITHMETIC else ELEMENTARY_DEVIATION * how.computed.roundoff * abs(result)


def _at(how: Arithmetic, ufunc: Any, target: Any, plain: list[Any]) -> None:
    """``np.add.at`` and its kin: numbers scattered into an array that already holds some."""
    values = _plain(target)
    touched = np.zeros(values.shape)
    np.add.at(touched, plain[1], 1.0)
    ufunc.at(values, *plain[1:])
    own = how.added.roundoff * np.sqrt(touched / 3) * abs(values)
    values[...] = np.where(touched > 0, how.store(values, own), values)


def _contracted(how: Arithmetic, function: Any, args: Any, kwargs: Any) -> Any:
    """A sum of products: the numbers, and the walk of its partial sums from the squared operands."""
    kwargs = {key: value for key, value in kwargs.items() if key != "out"}
    plain = [_plain(a) for a in args]

    def mapped(change: Callable[[Any], Any]) -> Any:
        numbers = [change(a) if _is_float(np.asarray(a)) and not isinstance(a, str) else a for a in plain]
        return function(*numbers, **_plain(kwargs))

    result = mapped(lambda a: a)
    if not _is_float(np.asarray(result)):
        return result
    terms = mapped(lambda a: np.ones(np.shape(a)))
    return how.store(result, how.summing(mapped(np.square), result, terms, products=True))


def _backward_stable(how: Arithmetic, function: Any, args: Any, kwargs: Any) -> Any:
    """Solvers and factorisations: the exact result of slightly wrong arguments (Higham 2002, §1.5), rounded."""

    def disturbed(value: Any) -> Any:
        plain = _plain(value)
        if isinstance(plain, tuple | list):
            return type(plain)(disturbed(v) for v in plain)
        if not _is_float(plain):
            return plain
        size = how.computed.roundoff * np.sqrt(max(np.shape(plain), default=1) / 3)
        return plain * (1.0 + how.amplification * size * how.stir(plain, 3))

    result = function(*(disturbed(a) for a in args), **{k: disturbed(v) for k, v in kwargs.items()})

    def stored(value: Any) -> Any:
        if isinstance(value, tuple):
            parts = [stored(v) for v in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        return how.store(value) if _is_float(value) else value

    return stored(result)


def simulate(
    function: Callable[..., Tree], arguments: tuple[Any, ...], arithmetic: Arithmetic
) -> Mapping[Path, FloatArray]:
    """A gradient as one random run in low precision gives it.

    Parameters
    ----------
    function : callable
        ``function(*arguments)``, the gradient as a tree; written in NumPy.
    arguments : tuple of trees
        Float arrays in them are followed (they count as exact); the rest is handed on as it is.
    arithmetic : Arithmetic

    Returns
    -------
    dict of Path to float64 array
        Paths start with ``params``.

    Raises
    ------
    InputError
        If a result that depends on the arguments is a plain array: its roundings were not followed.

    Examples
    --------
    >>> runs = [
    ...     simulate(lambda w: w * w * w, (np.array([3.0]),), Arithmetic.of("float16", seed=seed))
    ...     for seed in range(3)
    ... ]
    >>> [bool(0 < abs(run[Path("params")][0] - 27) < 27 * 2 * 2.0**-11) for run in runs]
    [True, True, True]
    """

    def followed(leaf: Any) -> Any:
        is_array = isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"
        return MonteCarlo.of(leaf, arithmetic) if is_array else leaf

    given = tuple(tree.restore(a, [followed(leaf) for _, leaf in tree.leaves(a)]) for a in arguments)
    with np.errstate(all="ignore"):
        answer = dict(tree.leaves(function(*given)))
    lost = [
        path
        for path, leaf in answer.items()
        if not isinstance(leaf, MonteCarlo)
        and not (np.asarray(leaf).dtype.kind in "fiub" and not np.any(leaf))
    ]
    if lost:
        raise InputError(
            f"the reference's {lost[0]} is {tree.describe(answer[lost[0]])}: it was not computed by NumPy's functions "
            "from the arrays that the reference was given, so its rounding cannot be followed. Pass all arrays as "
            "arguments, and do not convert them with np.asarray, float() or math functions inside."
        )
    return {path: np.array(leaf, dtype=float) for path, leaf in answer.items()}


def smoothed_variance(deviations: FloatArray, *, typical: bool = False) -> FloatArray:
    """Variance of every entry from a few samples, steadied by those in its row and column.

    Few samples say little about one entry, but the errors of a gradient are nearly of rank one: large in the
    rows of loud units and the columns of large inputs. The product of the axes' means is the estimate; what an
    entry itself shows beyond that counts too.

    Parameters
    ----------
    deviations : (samples, ...)
        Differences from the exact values.
    typical : bool
        From the median of the squares instead of their mean: what a jump in one or two samples does not change.

    Returns
    -------
    array of shape (...)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sizes = np.outer([1.0, 2.0, 3.0], [1.0, 5.0, 5.0, 5.0])
    >>> seen = smoothed_variance(sizes * rng.standard_normal((200, 3, 4)))
    >>> bool(np.all(abs(seen / sizes**2 - 1) < 0.4))
    True
    """
    squares = np.square(deviations)
    own = np.median(squares, axis=0) / MEDIAN_SQUARE if typical else np.mean(squares, axis=0)
    mean = own.mean() if own.size else 0.0
    if not mean > 0.0:
        return np.asarray(own)
    smooth = np.full(own.shape, mean)
    if own.ndim > 1:
        for axis in range(own.ndim):
            others = tuple(other for other in range(own.ndim) if other != axis)
            smooth = smooth * own.mean(axis=others, keepdims=True) / mean
    return np.asarray(smooth if typical else np.maximum(smooth, own))
