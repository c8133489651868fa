"""What the certified witness says where a derivative does not exist."""

from __future__ import annotations

import numpy as np

from bpcheck.certified import penalty
from bpcheck.errors import InputError
from bpcheck.network.case import Case

__all__ = ["refuse", "refuse_weights"]


def refuse(place: object, what: str = "is exactly at its kink") -> InputError:
    """The error for one place."""
    return InputError(
        f"{place}: it {what}, where the derivative does not exist. Move the point, or ask for the interval "
        "between the one-sided derivatives: bpcheck.certify, the analytic (bpcheck.reference) or the numeric "
        "witness (bpcheck.numeric)."
    )


def refuse_weights(case: Case) -> None:
    """Raise InputError if an l1 penalty meets a weight of exactly 0."""
    for path, where in penalty.at_kink(case).items():
        if where.any():
            index = [int(i) for i in np.argwhere(where)[0]]
            raise refuse(f"{path}{index} under the l1 penalty")
