"""The testimony: a rigorous reverse pass at as many bits as it takes, rounded to float64 once."""

from __future__ import annotations

import numpy as np

from bpcheck import tree
from bpcheck.certified.balls import Balls, nearest, radii
from bpcheck.certified.kink import refuse, refuse_weights
from bpcheck.certified.reverse import Pass, propagate
from bpcheck.errors import InputError
from bpcheck.network.case import Case
from bpcheck.result import Testimony
from bpcheck.tree import FloatArray

__all__ = ["MAX_PRECISION", "START", "checked", "testify"]

# Bits to begin with: float64 twice over and 22 more, which settles 784-30-10 in one pass
# (benchmarks/certified_bound.py). What cancels further, or is 0 without being exactly 0, takes another.
START = 128

# Where doubling ends: enough for numbers that cancel to below the smallest double (2^-1074), and a pass
# through 784-30-10 still takes less than a second.
MAX_PRECISION = 1 << 13

# 2^-60 of the value is 1/64 of half an ulp, so that the float64 is settled; so is what is known to within the
# smallest positive double.
SETTLED = 2.0**-60
SMALLEST = float(np.finfo(float).smallest_subnormal)


def checked(case: Case, precision: int) -> None:
    """Raise InputError for arguments that make no sense."""
    if not isinstance(case, Case):
        raise InputError(
            f"case is {tree.describe(case)}; make one with bpcheck.Case(architecture, params, x, y)."
        )
    if (
        isinstance(precision, bool)
        or not isinstance(precision, int)
        or not START // 2 <= precision <= MAX_PRECISION
    ):
        raise InputError(f"precision is {precision!r}; give bits between {START // 2} and {MAX_PRECISION}.")


def testify(case: Case, *, precision: int = START) -> Testimony:  # noqa: PT028  # a witness's word, not a test
    """Loss and gradient in ball arithmetic, each with a rigorous bound on its error.

    Backpropagation in ``arb_mat``, at ``precision`` bits and at twice as many until every float64 is
    settled, or it is clear that more bits do not settle it; no formula is shared with the other witnesses.
    :func:`bpcheck.certified.confirm` holds it against a second route that knows no derivative at all.

    Parameters
    ----------
    case : Case
        Of any size: the 23,860 derivatives of a 784-30-10 network take about 50 ms (``benchmarks/certified_bound.py``).
    precision : int
        Bits to begin with, at least 64.

    Returns
    -------
    Testimony
        ``error`` bounds the distance from the exact derivative: about half an ulp, 0 where it is a float64.

    Raises
    ------
    InputError
        If a derivative does not exist (relu or leaky_relu at exactly z = 0, an l1 penalty at a weight
        of 0), a value is beyond the range of float64, or python-flint is missing.

    Examples
    --------
    >>> from bpcheck import Case, mlp
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], x=[[3.0]], y=[[5.0]])
    >>> testimony = testify(case)
    >>> testimony.loss
    2.0
    >>> {str(path): value.tolist() for path, value in testimony.gradient.items()}
    {"params[0]['weight']": [[6.0]], "params[0]['bias']": [2.0]}
    """
    with np.errstate(all="ignore"):  # whatever the caller's settings are: what overflows is looked at below
        return _testify(case, precision)


def _testify(case: Case, precision: int) -> Testimony:
    checked(case, precision)
    refuse_weights(case)
    found = _settled(case, precision)
    loss, loss_error = nearest([found.loss])
    gradient, error = {}, {}
    for path, leaf in tree.leaves(case.params):
        values, errors = nearest(found.gradient[path].entries())
        gradient[path] = tree.freeze(values.reshape(leaf.shape))
        error[path] = tree.freeze(errors.reshape(leaf.shape))
    for what, errors in [("the cost", loss_error), *error.items()]:
        if not np.isfinite(errors).all():
            name = what if isinstance(what, str) else f"the gradient of {what}"
            raise InputError(
                f"{name} is beyond the range of float64, or cannot be enclosed with {MAX_PRECISION} bits; "
                "use smaller parameters, inputs or targets."
            )
    return Testimony("certified", float(loss[0]), float(loss_error[0]), gradient, error)


def _settled(case: Case, precision: int) -> Pass:
    """A pass whose float64 values are settled, or the one with the most bits."""
    while True:
        found = propagate(case, Balls(precision))
        at_kink = next((unit for unit, certain in found.kinks.items() if certain), None)
        if at_kink is not None:
            raise refuse(at_kink)
        if not found.kinks and _is_settled(found):
            return found
        if 2 * precision > MAX_PRECISION:
            break
        precision *= 2
    if found.kinks:
        place = next(iter(found.kinks))
        raise refuse(place, f"cannot be told apart from its kink with {precision} bits")
    return found


def _is_settled(found: Pass) -> bool:
    for entries in ([found.loss], *(matrix.entries() for matrix in found.gradient.values())):
        rad: FloatArray = radii(entries)
        size = abs(np.array([float(entry) for entry in entries]))
        if not (rad <= np.maximum(SETTLED * size, SMALLEST)).all():
            return False
    return True


testify.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test by its name
