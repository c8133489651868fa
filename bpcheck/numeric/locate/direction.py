r"""Directions to probe along: every entry moves, those with a small gradient more, none by nearly zero.

.. math:: v_i = \operatorname{clip}(m / |ĝ_i|, 1/10, 10) · r_i

with m the median of the claimed |ĝ|. An error of one per cent of its entry then adds the same to
⟨e, v⟩ wherever it sits. r_i has a random sign and a magnitude that is uniform on [½, 3/2]:

- one wrong entry cannot hide, for no |r_i| is below ½ (a Gaussian one is below 0.01 once in 125 draws);
- several cannot be relied on to cancel. Whatever the others do, the interval of r_k in which
  |⟨e, v⟩| ≤ τ has length 2τ/|e_k s_k|, and the density of r_k is ½ at most:

.. math:: P(|⟨e, v⟩| ≤ τ) ≤ τ / \max_k |e_k s_k|.

With signs alone two equal errors would cancel in every second direction.
"""

from __future__ import annotations

import numpy as np

from bpcheck.numeric.locate.blocks import blocks
from bpcheck.tree import FloatArray

__all__ = ["LEAST", "draw", "typical"]

SPAN = 10.0
"""Entries move at most this much more, or less, than one of median gradient: an error relative to the
entry shows alike over two decades, and a claimed gradient that is 0 or wrong cannot blow up a direction."""

LEAST = 0.5
"""Smallest |r|; the largest is LEAST + 1, so that the density of r is ½ and the bound above has no factor."""

SAMPLE = 2**16
"""Entries from which the median is taken: its sampling error is 1/√SAMPLE of a quantile, 0.4 %."""


def typical(claim: FloatArray) -> float:
    """Median of |claim| over the entries that are not 0 (evenly spaced ones, if there are many).

    Examples
    --------
    >>> typical(np.array([0.0, -1.0, 2.0, 30.0]))
    2.0
    """
    flat = claim.reshape(-1)
    sample = abs(flat[:: max(1, flat.size // SAMPLE)])
    sample = sample[(sample > 0.0) & np.isfinite(sample)]
    return float(np.median(sample)) if sample.size else 0.0


def draw(claim: FloatArray, middle: float, seed: np.random.SeedSequence) -> FloatArray:
    """One direction for a tensor: what ``seed`` gives is the same each time.

    Parameters
    ----------
    claim : array
        Claimed gradient; entries that are not finite are left alone.
    middle : float
        Its :func:`typical` size; 0 lets every entry move alike.
    seed : numpy.random.SeedSequence

    Returns
    -------
    float32 array
        Shaped as ``claim``. These numbers are the direction, so their own rounding plays no part.

    Examples
    --------
    >>> v = draw(np.array([1.0, 1.0, 100.0]), 1.0, np.random.SeedSequence(0))
    >>> bool((abs(v) >= [0.5, 0.5, 0.05]).all() and (abs(v) <= [1.5, 1.5, 0.15]).all())
    True
    """
    rng = np.random.Generator(np.random.Philox(seed))
    direction = np.empty(claim.shape, np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        for piece in blocks(claim.shape):
            signed = np.asarray(2.0 * rng.random(direction[piece].shape, dtype=np.float32) - 1.0)
            signed += np.copysign(np.float32(LEAST), signed)
            if middle > 0.0:
                signed *= np.clip(middle / abs(claim[piece]), 1.0 / SPAN, SPAN)
            signed[~np.isfinite(claim[piece])] = 0.0
            direction[piece] = signed
    return direction
