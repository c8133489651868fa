"""The analytic witness's testimony: the reference's numbers with its own rounding bound."""

from __future__ import annotations

import numpy as np

from bpcheck import tree
from bpcheck.network.case import Case
from bpcheck.reference import build
from bpcheck.result import Testimony

__all__ = ["testify"]


def testify(case: Case) -> Testimony:
    """Loss and gradient of a case by backpropagation, with a bound on their rounding.

    Parameters
    ----------
    case : Case

    Returns
    -------
    Testimony

    Examples
    --------
    >>> from bpcheck import mlp
    >>> said = testify(Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]]))
    >>> said.loss, [str(path) for path in said.gradient]
    (2.0, ["params[0]['weight']", "params[0]['bias']"])
    """
    network = build(case.architecture)
    enclosure = network.enclose(case.params, case.x, case.y)
    gradient = dict(tree.leaves(network.gradient(case.params, case.x, case.y)))
    # At a kink the ball's middle is the middle of the interval; its half-width belongs to the error.
    error = {path: ball.rad + 2 * ball.kink for path, ball in enclosure.gradient.items()}
    return Testimony(
        "analytic",
        network.loss(case.params, case.x, case.y),
        float(enclosure.loss.rad + enclosure.loss.kink),
        {path: np.asarray(array, dtype=float) for path, array in gradient.items()},
        error,
    )


testify.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test by its name
