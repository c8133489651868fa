"""Data that comes with bpcheck: the UCI handwritten digits (source and licence in README.md beside this)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from bpcheck.tree import FloatArray, freeze

__all__ = ["Digits", "load_digits"]

CLASSES = 10
# Each of the 64 numbers counts the dark points in a 4 × 4 block of the scanned digit.
MAXIMUM = 16


@dataclass(frozen=True, eq=False)
class Digits:
    """Handwritten digits, one example a row; all arrays are read-only.

    Attributes
    ----------
    images : (1797, 64) float64
        8 × 8 pixels row by row, from 0 (white) to 1 (black).
    labels : (1797,) int64
        The digit, 0 to 9.
    one_hot : (1797, 10) float64
        The target that the losses take: 1 in the label's column, 0 elsewhere.
    """

    images: FloatArray
    labels: NDArray[np.int64]
    one_hot: FloatArray


def load_digits() -> Digits:
    """The 1797 digits that come with bpcheck.

    Returns
    -------
    Digits

    Examples
    --------
    >>> digits = load_digits()
    >>> digits.images.shape, digits.one_hot.shape, digits.labels[:5].tolist()
    ((1797, 64), (1797, 10), [0, 1, 2, 3, 4])
    """
    with resources.files(__name__).joinpath("digits.npz").open("rb") as file, np.load(file) as archive:
        images, labels = archive["images"], archive["labels"]
    indices = labels.astype(np.int64)
    indices.setflags(write=False)
    # Division by 16 is exact: the pixels are whole numbers.
    return Digits(freeze(images / MAXIMUM), indices, freeze(np.eye(CLASSES)[indices]))
