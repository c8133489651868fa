"""What is known of one layer, of one tensor, and of clipping: numbers without judgement."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Clipping", "DenseHealth", "LayerHealth", "TensorHealth"]


@dataclass(frozen=True)
class DenseHealth:
    """One dense layer, alone or within a skip connection.

    Attributes
    ----------
    path : str
        Of its parameters: ``params[3]``.
    units : int
    activation : str
        σ; "identity" at an output that the loss turns into probabilities itself.
    activation_rms, delta_rms : float
        Root mean square of a and of δ, over examples and units.
    weight_rms, weight_gradient_rms, bias_gradient_rms : float
        Of W, ∂C/∂W and ∂C/∂b. Penalties are left out: they hide a gradient that has vanished.
    dead : float
        Share of the units whose σ' is exactly 0 for every example: no error passes.
    saturated : float
        Share of the units whose |σ'| is below 2^−8 of its largest possible value for every example, dead ones
        included.
    """

    path: str
    units: int
    activation: str
    activation_rms: float
    delta_rms: float
    weight_rms: float
    weight_gradient_rms: float
    bias_gradient_rms: float
    dead: float
    saturated: float


@dataclass(frozen=True)
class LayerHealth:
    """One layer of the network's chain: a dense layer, or a whole skip connection.

    Attributes
    ----------
    number : int
        As books count: the input is layer 1, the first of ``params`` layer 2.
    kind : {"dense", "skip"}
    activation_rms : float
        Of what the layer hands up.
    error_rms : float
        Of δ^l = ∂C/∂z^l; for a skip connection of ∂C/∂(x + f(x)).
    factor : float
        ``error_rms`` divided by that of the layer above: below 1 it shrinks on its way down. nan for the last layer.
    expected : float
        That factor by theory, for independent weights of this size (:func:`bpcheck.reference.jacobian.expected_factors`).
    jacobian, jacobian_max : float
        Largest singular value of J^l, the Jacobian from this layer to the next: median and maximum over the
        examples. An error cannot grow by more in this one step.
    product, product_max : float
        The same of the product J^{L−1} ⋯ J^l itself, from this layer to the last one; not the product of the norms,
        which is an upper bound of it and often far above.
    dense : tuple of DenseHealth
        The layer itself, or the dense layers within the skip connection, lowest first.
    """

    number: int
    kind: str
    activation_rms: float
    error_rms: float
    factor: float
    expected: float
    jacobian: float
    jacobian_max: float
    product: float
    product_max: float
    dense: tuple[DenseHealth, ...]

    @property
    def dead(self) -> float:
        """Share of dead units, of the worst dense layer in it."""
        return max(one.dead for one in self.dense)

    @property
    def saturated(self) -> float:
        """Share of saturated units, of the worst dense layer in it."""
        return max(one.saturated for one in self.dense)

    @property
    def weight_gradient_rms(self) -> float:
        """Root mean square of ∂C/∂W; within a skip connection of the dense layer with the smallest."""
        return min(one.weight_gradient_rms for one in self.dense)

    @property
    def name(self) -> str:
        """``64 relu``, or ``skip 64 relu``."""
        top = self.dense[-1]
        inner = "" if len(self.dense) == 1 else f"{len(self.dense)}× "
        return f"{'skip ' if self.kind == 'skip' else ''}{inner}{top.units} {self.dense[0].activation}"


@dataclass(frozen=True)
class TensorHealth:
    """One tensor of a gradient, from whatever framework.

    Attributes
    ----------
    path : str
    shape : tuple of int
    rms, norm, largest : float
        Root mean square, Euclidean norm and largest magnitude of its finite entries.
    zeros : float
        Share of the entries that are exactly 0.
    nonfinite : int
        Entries that are NaN or infinite.
    """

    path: str
    shape: tuple[int, ...]
    rms: float
    norm: float
    largest: float
    zeros: float
    nonfinite: int

    @property
    def is_weight(self) -> bool:
        """Whether it has two axes or more, as weights and kernels have, and biases have not."""
        return len(self.shape) > 1


@dataclass(frozen=True)
class Clipping:
    """What clipping does to a gradient, before the step.

    Attributes
    ----------
    rule : {"norm", "value"}
        The whole gradient scaled down to a Euclidean norm (Pascanu et al. 2013, algorithm 1), or each entry cut off.
    limit : float
    norm_before, norm_after : float
        Of the whole gradient, all tensors together.
    changed : float
        Share of the entries that it changed.
    ratio_before, ratio_after : float
        rms of the lowest weight gradient over that of the last.
    """

    rule: str
    limit: float
    norm_before: float
    norm_after: float
    changed: float
    ratio_before: float = math.nan
    ratio_after: float = math.nan
