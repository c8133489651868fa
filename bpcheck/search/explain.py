"""diagnose(): what is wrong with a gradient, without the rest of the report."""

from __future__ import annotations

from typing import Any

from bpcheck.check.gradient import check_gradient
from bpcheck.result import Diagnosis
from bpcheck.search.run import compare
from bpcheck.verdict import Verdict

__all__ = ["diagnose"]


def diagnose(*arguments: Any, **options: Any) -> tuple[Diagnosis, ...]:
    """Where a gradient is wrong, which equation and, if a known bug reproduces its numbers, which bug.

    Parameters
    ----------
    *arguments
        A subject alone, as for :func:`bpcheck.compare`; or loss, gradient and parameters (or a subject and
        parameters), as for :func:`bpcheck.check_gradient`.
    **options
        Those of the one or the other.

    Returns
    -------
    tuple of Diagnosis
        Empty if the gradient agrees. Several if several bugs are at work, or explain it equally well.

    Raises
    ------
    GradientInconclusive
        If nothing could be decided: no diagnosis is no clean bill of health then.
    InputError, SubjectError
        As the two functions raise them.

    Examples
    --------
    >>> import numpy as np, bpcheck
    >>> def linear(params, x, y):
    ...     r = x @ params[0]["weight"].T + params[0]["bias"] - y
    ...     loss = 0.5 * np.mean(np.sum(r**2, axis=1))
    ...     return loss, [{"weight": r.T @ x / len(x), "bias": r[0] / len(x)}]
    >>> found = diagnose(linear, architectures=bpcheck.mlp([3, 2]), seed=0)
    >>> [(d.equation, d.bug) for d in found]
    [('BP3', 'bias-not-summed')]
    """
    black_box = len(arguments) > 1 or "params" in options
    report = check_gradient(*arguments, **options) if black_box else compare(*arguments, **options)
    if report.verdict is Verdict.INCONCLUSIVE:
        report.raise_for_disagreement()
    return report.diagnoses
