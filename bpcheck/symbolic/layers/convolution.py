"""Convolutions from their definition: z[o, p] = b[o] + Σ_c Σ_q W[o, c, q] x[c, stride·p + q − padding]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.network.layers.convolution import Convolution
from bpcheck.network.layers.spec import Shape
from bpcheck.symbolic.layers.layer import Expressions, Site, activated

__all__ = ["ConvolutionFormula"]


@dataclass(frozen=True)
class ConvolutionFormula:
    """A convolution over any number of axes, for inputs of ``shape``."""

    spec: Convolution
    shape: Shape

    def forward(self, params: Any, x: Expressions, site: Site) -> Expressions:
        """σ(z); outside of its range x is 0, and nothing is added."""
        weight, bias = params["weight"], params["bias"]
        z = np.empty(self.spec.output_shape(self.shape), dtype=object)
        for o, *p in np.ndindex(z.shape):
            total = bias[o]
            for c, *q in np.ndindex(weight.shape[1:]):
                place = self._place(p, q)
                if all(0 <= i < size for i, size in zip(place, self.shape[1:], strict=True)):
                    total = total + weight[(o, c, *q)] * x[(c, *place)]
            z[(o, *p)] = total
        return activated(self.spec.activation, z, site)

    def _place(self, p: list[int], q: list[int]) -> list[int]:
        """Stride·p + q − padding, along each axis."""
        _, stride, padding = self.spec.per_axis
        return [s * i + k - n for s, i, k, n in zip(stride, p, q, padding, strict=True)]

    @property
    def paths(self) -> int:
        """One for each entry of the kernel, in every channel below."""
        return self.shape[0] * math.prod(self.spec.per_axis[0])

    @property
    def connections(self) -> int:
        """Kernel and bias at every position of the output."""
        return math.prod(self.spec.output_shape(self.shape)) * (self.paths + 1)
