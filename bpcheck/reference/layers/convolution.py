r"""Convolution, over one axis or two: forward and backward side by side.

z[o, p] = b[o] + Σ_c Σ_q W[o, c, q] x[c, s p + q − padding], x being 0 outside. One kernel serves all places p, so its
gradient is a sum over places as well as over examples; one number of x lies under the kernel at several places, so its
cotangent is a sum over those. :mod:`derivations.convolution` derives all three. The names of the axes below: m examples,
c and o channels below and above, x y places, u v within the kernel, z perturbations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.network.layers.convolution import Convolution
from bpcheck.network.layers.spec import Shape
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.initialize import Initializer, initial
from bpcheck.reference.layers.layer import Context, LayerTrace
from bpcheck.reference.numbers.ball import EXTRA_ROUNDINGS, Ball, gamma
from bpcheck.reference.numbers.product import affine
from bpcheck.reference.numbers.variance import Noisy
from bpcheck.reference.numbers.verbs import contracted, dilated, padded, rearranged, windows
from bpcheck.reference.touching import imaginary
from bpcheck.reference.touching.touch import Entries, Known, Moved, Seed, Touch
from bpcheck.tree import FloatArray, Tree

__all__ = [
    "ConvolutionLayer",
    "ConvolutionResiduals",
    "bias_gradient",
    "error_below",
    "kernel_gradient",
    "laid_out",
]

PLACES, WITHIN = "xy", "uv"

# A butterfly of a fast Fourier transform: a rounded root of unity, a complex product and a complex sum, together
# η ≤ μ + γ_4 (√2 + μ) ≤ 8 u for μ ≤ 2 u (Higham, *Accuracy and Stability of Numerical Algorithms*, §24.1).
BUTTERFLY = 8.0

# Transforms of length n or more, most often of the next power of two of twice that: two more stages.
LONGER = 2


def _magnitude(numbers: Any) -> FloatArray:
    if isinstance(numbers, Noisy):
        return abs(numbers.value)
    return abs(numbers.mid) + numbers.rad if isinstance(numbers, Ball) else abs(np.asarray(numbers))


def _norms(numbers: Any) -> tuple[FloatArray, FloatArray]:
    """‖·‖₁ and ‖·‖₂ over all axes but the first two."""
    flat = _magnitude(numbers).reshape(*numbers.shape[:2], -1)
    return flat.sum(axis=-1), np.sqrt((flat**2).sum(axis=-1))


def _by_transform(result: Any, subscripts: str, a: Any, b: Any) -> Any:
    """What a convolution may be off by that is computed with Fourier transforms, as correct code may do.

    Each of t = log₂ n stages is off by η in the 2-norm (Higham, theorem 24.2), so a ∗ b by way of three transforms is off
    by 3 t η ‖a‖₂ ‖b‖₁ anywhere, also where all its own products are 0. Sums over channels or examples add that up.

    Parameters
    ----------
    result : array, Ball or Noisy
    subscripts : str
        How the first two axes of a and b make those of the result.
    a, b : array, Ball or Noisy
    """
    if not isinstance(result, Ball | Noisy):
        return result
    (a_one, a_two), (b_one, b_two) = _norms(a), _norms(b)
    stages = 3 * sum(math.log2(n) + LONGER for n in (*a.shape[2:], *b.shape[2:]))
    at = (..., *[None] * (result.ndim - 2))
    if isinstance(result, Ball):
        size = np.minimum(np.einsum(subscripts, a_two, b_one), np.einsum(subscripts, a_one, b_two))
        return result.widened((stages * BUTTERFLY * result.u * size)[at])
    # as :mod:`bpcheck.reference.numbers.variance` has sums: one rounding a stage, of random sign
    size = np.einsum(subscripts, a_two**2, b_two**2)
    return result.noisier((stages * result.rounding.computed.roundoff**2 * size)[at])


def laid_out(x: Any, spec: Convolution) -> Any:
    """What the kernel sees at each place, (m, c, *places, *kernel); axes behind the places stay between.

    Examples
    --------
    >>> from bpcheck.network.layers import Conv1d
    >>> laid_out(np.array([[[1.0, 2.0, 3.0]]]), Conv1d(1, 3, stride=2, padding=1))
    array([[[[0., 1., 2.],
             [2., 3., 0.]]]])
    """
    kernel, stride, padding = spec.per_axis
    widths = [(0, 0), (0, 0), *((width, width) for width in padding), *[(0, 0)] * (x.ndim - 2 - spec.axes)]
    return windows(padded(x, widths), kernel, stride, first=2)


def pre_activation(weight: Any, seen: Any, spec: Convolution) -> Any:
    """Σ_c Σ_q W[o, c, q] · what the kernel sees, without the bias."""
    places, within = PLACES[: spec.axes], WITHIN[: spec.axes]
    more = "z" if seen.ndim > 2 + 2 * spec.axes else ""
    return contracted(f"mc{places}{more}{within},oc{within}->mo{places}{more}", seen, weight)


def bias_gradient(delta: Any) -> Any:
    """∂C/∂b[o] = Σ_m Σ_p δ[m, o, p]: the bias is added at every place of every example.

    Examples
    --------
    >>> bias_gradient(np.array([[[1.0, 2.0]], [[3.0, 4.0]]]))
    array([10.])
    """
    return delta.sum(axis=(0, *range(2, delta.ndim)))


def kernel_gradient(delta: Any, seen: Any) -> Any:
    """∂C/∂W[o, c, q] = Σ_m Σ_p δ[m, o, p] x[m, c, s p + q − padding].

    Parameters
    ----------
    delta : (m, o, *places)
    seen : (m, c, *places, *kernel)
        From :func:`laid_out`.

    Returns
    -------
    (o, c, *kernel)

    Examples
    --------
    >>> from bpcheck.network.layers import Conv1d
    >>> seen = laid_out(np.array([[[1.0, 2.0, 3.0]]]), Conv1d(1, 2))
    >>> kernel_gradient(np.array([[[10.0, 1.0]]]), seen)
    array([[[12., 23.]]])
    """
    places, within = PLACES[: delta.ndim - 2], WITHIN[: delta.ndim - 2]
    return contracted(f"mo{places},mc{places}{within}->oc{within}", delta, seen)


def error_below(weight: Any, delta: Any, spec: Convolution, shape: Shape) -> Any:
    """∂C/∂x[m, c, i] = Σ_o Σ_p δ[m, o, p] W[o, c, i + padding − s p], over the p that the kernel reaches i from.

    Written as a convolution: δ with s − 1 zeros between its entries (the places that the stride skipped), under the
    kernel in reverse, for q = i + padding − s p runs backwards in p; what falls on the padding is cropped.

    Parameters
    ----------
    weight : (o, c, *kernel)
    delta : (m, o, *places)
    spec : Convolution
    shape : tuple of int
        Of x, (m, c, *sizes).

    Returns
    -------
    (m, c, *sizes)

    Examples
    --------
    >>> from bpcheck.network.layers import Conv1d
    >>> error_below(np.array([[[5.0, 7.0]]]), np.array([[[1.0, 10.0]]]), Conv1d(1, 2, stride=2), (1, 1, 5))
    array([[[ 5.,  7., 50., 70.,  0.]]])
    """
    kernel, stride, padding = spec.per_axis
    spread = dilated(delta, stride, first=2)
    widths = [(0, 0), (0, 0)]
    for size, covered, length, pad in zip(shape[2:], spread.shape[2:], kernel, padding, strict=True):
        left_over = size + 2 * pad - (covered + length - 1)  # numbers that the last place does not reach
        widths.append((length - 1, length - 1 + left_over))
    seen = windows(padded(spread, widths), kernel, [1] * spec.axes, first=2)
    backwards: Any = (..., *[slice(None, None, -1)] * spec.axes)
    turned = rearranged(weight, lambda array: np.swapaxes(array[backwards], 0, 1))
    crop: Any = (..., *(slice(pad, pad + size) for pad, size in zip(padding, shape[2:], strict=True)))
    return rearranged(pre_activation(turned, seen, spec), lambda array: array[crop])


@dataclass(frozen=True)
class ConvolutionResiduals:
    """What the backward pass needs: x, what the kernel saw of it, z, a and σ'(z)."""

    previous: Any
    seen: Any
    pre_activation: Any
    activation: Any
    derivative: Any


@dataclass(frozen=True)
class ConvolutionLayer:
    """a = σ(W ∗ x + b), one kernel for all places.

    Parameters
    ----------
    spec : Conv1d or Conv2d
    initializer : callable, optional
        For the weights; None means He for rectifiers and Glorot otherwise.
    """

    spec: Convolution
    initializer: Initializer | None = None
    encloses: bool = True
    touches: bool = True

    def init(self, rng: np.random.Generator, shape: Shape) -> tuple[Tree, Tree, Shape]:
        """Kernels (o, c, *kernel) and zero biases (o,)."""
        return initial(self.spec, rng, shape, self.initializer), None, self.spec.output_shape(shape)

    def _with_bias(self, z: Any, bias: Any) -> Any:
        return z + rearranged(bias, lambda array: array.reshape(-1, *[1] * self.spec.axes))

    def forward(self, params: Tree, x: Any, context: Context) -> tuple[Any, ConvolutionResiduals, Tree]:
        """Z = W ∗ x + b, a = σ(z)."""
        seen = laid_out(x, self.spec)
        z = pre_activation(params["weight"], seen, self.spec)
        z = self._with_bias(_by_transform(z, "mc,oc->mo", x, params["weight"]), params["bias"])
        a, derivative = ACTIVATION[self.spec.activation].applied(z)
        return a, ConvolutionResiduals(x, seen, z, a, derivative), context.state

    def pullback(
        self, params: Tree, residuals: ConvolutionResiduals, output_cotangent: Any
    ) -> tuple[Tree, Any]:
        """δ = ā ⊙ σ'(z), then the gradients of kernel, bias and input."""
        delta = output_cotangent * residuals.derivative
        weight, x = params["weight"], residuals.previous
        kernel = _by_transform(kernel_gradient(delta, residuals.seen), "mo,mc->oc", delta, x)
        below = _by_transform(error_below(weight, delta, self.spec, x.shape), "mo,oc->mc", delta, weight)
        return {"weight": kernel, "bias": bias_gradient(delta)}, below

    def trace(self, params: Tree, residuals: ConvolutionResiduals, output_cotangent: Any) -> LayerTrace:
        """z, a, δ, each (m, o, *places)."""
        delta = output_cotangent * residuals.derivative
        return LayerTrace(residuals.pre_activation, residuals.activation, delta)

    def known(self, params: Tree, x: Ball, residuals: ConvolutionResiduals) -> tuple[Ball, Known]:
        """Z rounded once, and a: each place is an example of a dense layer whose inputs are what the kernel sees."""
        axes, weight = self.spec.axes, params["weight"]
        seen = rearranged(laid_out(x, self.spec), lambda array: np.moveaxis(array, 1, 1 + axes))
        rows = rearranged(seen, lambda array: array.reshape(-1, weight[0].size))
        z = affine(rows, weight.reshape(len(weight), -1), params["bias"])
        z = rearranged(z, lambda array: np.moveaxis(array.reshape(*seen.shape[: 1 + axes], -1), -1, 1))
        return imaginary.known(self.spec.activation, rows, z, residuals.pre_activation)

    def touched(self, params: Tree, known: Known, step: float, columns: int) -> Iterator[Touch]:
        """W[o, c, q] + ih moves z[o, p] by ih x[c, s p + q − padding] at every place p, b[o] + ih by ih: one channel."""
        kernels, places = params["weight"], known.z.shape[2:]
        size = kernels[0].size
        one_channel = np.column_stack([known.previous.mid, np.ones(len(known.previous.mid))]) * step
        for start in range(0, size + 1, columns):
            stop = min(start + columns, size + 1)
            moved = one_channel[:, start:stop].reshape(len(known.z.mid), *places, -1)
            index = np.unravel_index(np.arange(start, min(stop, size)), kernels.shape[1:])
            for o in range(len(kernels)):
                entries = [Entries(("['weight']",), (o, *index), len(index[0]))]
                if stop > size:
                    entries.append(Entries(("['bias']",), (o,), 1))
                z_moved = np.zeros((*known.z.shape, stop - start))
                z_moved[:, o] = moved
                yield Touch(tuple(entries), self._activate(known, z_moved))

    def seeds(self, params: Tree, known: Known, step: float, columns: int) -> Iterator[Seed]:
        """Each z[o, p] moved by ih; an entry of the kernel touches those of one channel, each at its place."""
        channels, *places = known.z.shape[1:]
        rows = rearranged(known.previous, lambda array: array.reshape(len(known.z.mid), *places, -1))
        for place in np.ndindex(*places):
            seen = rows[(slice(None), *place)]
            for start in range(0, channels, columns):
                units = np.arange(start, min(start + columns, channels))
                moved = np.zeros((*known.z.shape, len(units)))
                moved[(slice(None), units, *place, units - start)] = step
                gather = _Gather(seen, units, params["weight"].shape[1:])
                yield Seed(self._activate(known, Ball.exact(moved, known.z.u)), gather)

    def follow(self, params: Tree, known: Known, moved: Moved) -> Moved:
        """W ∗ x' with the imaginary parts of x alone, then σ at z + iz'."""
        return self._activate(known, pre_activation(params["weight"], laid_out(moved, self.spec), self.spec))

    def _activate(self, known: Known, z_moved: Any) -> Any:
        return imaginary.activated(self.spec.activation, known.z, known.undecided, z_moved)


@dataclass(frozen=True, eq=False)
class _Gather:
    """From ∂C/∂z[o, p] at one place, with its error, to what that adds to the error of kernel and bias."""

    seen: Ball
    units: Any
    kernel: Shape

    def __call__(self, cost: Ball) -> list[tuple[Entries, FloatArray]]:
        seen, size = self.seen, abs(cost.mid) + cost.rad
        wrong = cost.rad + gamma(len(seen.mid) + EXTRA_ROUNDINGS, seen.u) * size
        weight = wrong.T @ abs(seen.mid) + (size + wrong).T @ seen.rad
        count = len(self.units)
        return [
            (Entries(("['weight']",), (self.units,), weight.size), weight.reshape(count, *self.kernel)),
            (Entries(("['bias']",), (self.units,), count), wrong.sum(axis=0)),
        ]
