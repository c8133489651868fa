"""The kinds of layers that a network can be made of: the public name of :mod:`bpcheck.network.layers`.

>>> from bpcheck.layers import Conv2d
>>> Conv2d(4, 3, stride=2, padding=1).output_shape((1, 8, 8))
(4, 4, 4)
"""

from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, Skip

__all__ = ["Conv1d", "Conv2d", "Dense", "Flatten", "Skip"]
