r"""How an error travels down a network: δ layer by layer, and the Jacobians that carry it.

A network is cut at one *node* a layer: s^l = z^l for a dense layer, s^l = x + f(x) for a skip connection. The error
there is d^l = ∂C/∂s^l, which is δ^l for a dense layer, and

    d^l = (J^l)ᵀ d^{l+1},   J^l = ∂s^{l+1}/∂s^l.

Between two dense layers J^l = W^{l+1} diag(σ'(z^l)): BP2 without the cost. Into a skip connection it is
I + ∂f/∂x, times σ'(z^l) if a dense layer lies below. All of it is one matrix an example. The last node of a network
whose loss takes logits is z^L.

Sources: S. Hochreiter, *Untersuchungen zu dynamischen neuronalen Netzen*, diploma thesis, TU München 1991; R. Pascanu,
T. Mikolov and Y. Bengio, *On the difficulty of training recurrent neural networks*, ICML 2013, §2.1 (the product of
Jacobians and its largest singular value); K. He et al., *Identity mappings in deep residual networks*, ECCV 2016,
eq. 5 (the 1 that a skip connection adds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from bpcheck.network.layers import Dense, LayerSpec, Skip
from bpcheck.network.layers.kinds import of_kind
from bpcheck.reference.layers.chain import Chain
from bpcheck.reference.layers.dense import DenseLayer
from bpcheck.reference.layers.layer import Layer
from bpcheck.reference.layers.skip import SkipLayer
from bpcheck.reference.loss import LOSS
from bpcheck.reference.network import TRAINING, Network
from bpcheck.tree import FloatArray, Path, Tree

__all__ = ["DenseFlow", "Node", "expected_factors", "nodes", "products", "spectral_norms", "step_jacobians"]

_CUT: Mapping[type[LayerSpec], type[Layer]] = MappingProxyType({Dense: DenseLayer, Skip: SkipLayer})
"""The kinds that a network can be cut at."""


@dataclass(frozen=True, eq=False)
class DenseFlow:
    """One dense layer, alone or within a skip connection: what went up through it and what came down.

    Attributes
    ----------
    path : Path
        Of its parameters, ``params[3]`` or ``params[3][0]``.
    sigma : str
        Name of its activation; identity where the loss computes it.
    weight : (n, inputs)
    activation, delta : (m, n)
        a and δ.
    slope : (m, n) or (m, n, n)
        σ'(z), or the Jacobians of softmax.
    weight_gradient, bias_gradient : (n, inputs), (n,)
        Of the data's cost, without any penalty.
    """

    path: Path
    sigma: str
    weight: FloatArray
    activation: FloatArray
    slope: FloatArray
    delta: FloatArray
    weight_gradient: FloatArray
    bias_gradient: FloatArray


@dataclass(frozen=True, eq=False)
class Node:
    """One layer of a network's chain, cut at s.

    Attributes
    ----------
    activation : (m, n)
        What the layer hands up.
    error : (m, n)
        d = ∂C/∂s, the 1/m of a mean included.
    dense : tuple of DenseFlow
        The layer itself, or the dense layers within the skip connection.
    """

    activation: FloatArray
    error: FloatArray
    dense: tuple[DenseFlow, ...]
    _layer: Layer
    _params: Tree
    _residuals: Any

    @property
    def is_skip(self) -> bool:
        """Whether the layer is a skip connection."""
        return isinstance(self._layer, SkipLayer)


def nodes(network: Network, params: Tree, x: FloatArray, y: FloatArray) -> tuple[Node, ...]:
    """One forward and one backward pass, with all that they write down.

    Parameters
    ----------
    network : Network
    params, x, y
        As a :class:`bpcheck.Case` holds them. Numbers that overflow on the way are left as they are.

    Returns
    -------
    tuple of Node
        The lowest layer first.

    Raises
    ------
    InputError
        If a layer is neither dense nor a skip connection.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> from bpcheck.reference import build
    >>> one = {"weight": np.array([[2.0]]), "bias": np.array([0.0])}
    >>> low, top = nodes(build(mlp([1, 1, 1], activation="relu")), [one, one], np.array([[3.0]]), np.array([[5.0]]))
    >>> float(top.error[0, 0]), float(low.error[0, 0])
    (7.0, 14.0)
    """
    _refuse_others(network.architecture.layers)
    layers = network.chain.layers
    outputs, residuals, output = [], [], x
    for layer, own in zip(layers, params, strict=True):
        output, saved, _ = layer.forward(own, output, TRAINING)
        outputs.append(output)
        residuals.append(saved)
    cotangent = LOSS[network.architecture.loss].gradient(output, y)
    if network.architecture.reduction == "mean":
        cotangent = cotangent / len(y)
    found = []
    for number in reversed(range(len(layers))):
        layer, own, saved = layers[number], params[number], residuals[number]
        dense, below = _down(layer, own, saved, cotangent, Path("params").item(number))
        error = cotangent if isinstance(layer, SkipLayer) else dense[0].delta
        found.append(Node(outputs[number], error, dense, layer, own, saved))
        cotangent = below
    return tuple(found[::-1])


def _refuse_others(specs: Sequence[LayerSpec]) -> None:
    for spec in specs:
        of_kind(
            _CUT,
            spec,
            wing="gradient_health()",
            instead="Of any other network give it the gradient alone, and it reads sizes off that: "
            "gradient_health(gradients=bpcheck.reference.build(architecture).gradient(params, x, y)).",
        )
        _refuse_others(spec.inner)


def _down(
    layer: Layer, params: Tree, residuals: Any, cotangent: FloatArray, path: Path
) -> tuple[tuple[DenseFlow, ...], FloatArray]:
    """The dense layers within a layer, lowest first, and the cotangent of its input."""
    if isinstance(layer, DenseLayer):
        gradient, below = layer.pullback(params, residuals, cotangent)
        flow = DenseFlow(
            path,
            layer.spec.activation,
            params["weight"],
            residuals.activation,
            residuals.derivative,
            layer.trace(params, residuals, cotangent).delta,
            gradient["weight"],
            gradient["bias"],
        )
        return (flow,), below
    assert isinstance(layer, SkipLayer)  # nodes() refused everything else
    flows, through_inner = _down_chain(layer.inner, params, residuals, cotangent, path)
    return flows, cotangent + through_inner


def _down_chain(
    chain: Chain, params: Tree, residuals: Any, cotangent: FloatArray, path: Path
) -> tuple[tuple[DenseFlow, ...], FloatArray]:
    found: tuple[DenseFlow, ...] = ()
    for number in reversed(range(len(chain.layers))):
        dense, cotangent = _down(
            chain.layers[number], params[number], residuals[number], cotangent, path.item(number)
        )
        found = dense + found
    return found, cotangent


def step_jacobians(cut: Sequence[Node], *, examples: int) -> list[FloatArray]:
    """J^l = ∂s^{l+1}/∂s^l of the first examples, for every layer but the last.

    Parameters
    ----------
    cut : sequence of Node
    examples : int
        How many rows of the batch.

    Returns
    -------
    list of (examples, n_{l+1}, n_l) arrays
        The lowest layer first.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> from bpcheck.reference import build
    >>> one = {"weight": np.array([[2.0]]), "bias": np.array([0.0])}
    >>> cut = nodes(build(mlp([1, 1, 1], activation="sigmoid")), [one, one], np.array([[0.0]]), np.array([[5.0]]))
    >>> step_jacobians(cut, examples=1)
    [array([[[0.5]]])]
    """
    found = []
    for low, high in pairwise(cut):
        body = _to_node(high, slice(0, examples))
        found.append(body if low.is_skip else _below(body, low.dense[0].slope[:examples]))
    return found


def _to_node(node: Node, rows: slice) -> FloatArray:
    """∂s/∂(input of the layer)."""
    if not node.is_skip:
        weight = node.dense[0].weight
        return np.broadcast_to(weight, (len(node.error[rows]), *weight.shape))
    return _to_output(node._layer, node._params, node._residuals, rows)


def _to_output(layer: Layer, params: Tree, residuals: Any, rows: slice) -> FloatArray:
    """∂(output)/∂(input) of a whole layer."""
    if isinstance(layer, DenseLayer):
        return _above(residuals.derivative[rows], params["weight"])
    assert isinstance(layer, SkipLayer)  # nodes() refused everything else
    through: Any = None
    for inner, own, saved in zip(layer.inner.layers, params, residuals, strict=True):
        one = _to_output(inner, own, saved, rows)
        through = one if through is None else one @ through
    return np.eye(through.shape[-1]) + through  # type: ignore[no-any-return]


def _above(slope: FloatArray, jacobian: FloatArray) -> FloatArray:
    """diag(σ') J, or that of softmax times J."""
    return slope @ jacobian if slope.ndim == 3 else slope[:, :, None] * jacobian


def _below(jacobian: FloatArray, slope: FloatArray) -> FloatArray:
    """J diag(σ'), or J times that of softmax."""
    return jacobian @ slope if slope.ndim == 3 else jacobian * slope[:, None, :]


def products(jacobians: Sequence[FloatArray]) -> list[FloatArray]:
    """∂s^L/∂s^l = J^{L−1} ⋯ J^l from the top down: the products themselves, not the products of their norms.

    Parameters
    ----------
    jacobians : sequence of (m, n_{l+1}, n_l) arrays
        The lowest layer first.

    Returns
    -------
    list of (m, n_L, n_l) arrays

    Examples
    --------
    >>> [p.ravel().tolist() for p in products([np.array([[[2.0]]]), np.array([[[3.0]]])])]
    [[6.0], [3.0]]
    """
    found: list[FloatArray] = []
    for jacobian in reversed(jacobians):
        found.append(found[-1] @ jacobian if found else jacobian)
    return found[::-1]


def spectral_norms(jacobians: FloatArray) -> FloatArray:
    """Largest singular value of each matrix: by how much it can stretch an error at most; nan where not finite.

    The root of the largest eigenvalue of J Jᵀ, which for the *largest* singular value is as exact as the singular value
    decomposition, three times as fast, and far less at the mercy of BLAS threads on a busy machine. Each J is divided
    by its largest entry first, so that squares neither vanish nor overflow.

    Examples
    --------
    >>> spectral_norms(np.array([[[3.0, 0.0], [0.0, -4.0]], [[np.inf, 0.0], [0.0, 1.0]]]))
    array([ 4., nan])
    """
    norms = np.full(len(jacobians), np.nan)
    largest = abs(jacobians).max(axis=(1, 2))
    norms[largest == 0.0] = 0.0
    usable = np.isfinite(largest) & (largest > 0.0)
    if usable.any():
        scaled = jacobians[usable] / largest[usable, None, None]
        across = scaled.swapaxes(1, 2)
        gram = scaled @ across if scaled.shape[1] <= scaled.shape[2] else across @ scaled
        norms[usable] = largest[usable] * np.sqrt(np.linalg.eigvalsh(gram)[:, -1])
    return norms


def expected_factors(cut: Sequence[Node]) -> list[float]:
    """The factor rms d^l / rms d^{l+1} that theory expects of weights which know nothing of the errors.

    With independent weights of mean zero, Var d^l = n_{l+1} Var(W^{l+1}) E[σ'(z^l)²] Var d^{l+1} (Glorot and Bengio
    2010, eq. 6; He et al. 2015, §2.2): each rule of initialisation sets n Var(W) so that this is near 1 for its σ.
    A skip connection adds 1 to the same product of its inner layers (Balduzzi et al., *The shattered gradients
    problem*, ICML 2017). Var(W) and E[σ'²] are those of the layers given, not of the rule.

    Parameters
    ----------
    cut : sequence of Node

    Returns
    -------
    list of float
        One for every layer but the last, the lowest first.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> from bpcheck.reference import build
    >>> one = {"weight": np.array([[2.0]]), "bias": np.array([0.0])}
    >>> cut = nodes(build(mlp([1, 1, 1], activation="sigmoid")), [one, one], np.array([[0.0]]), np.array([[5.0]]))
    >>> expected_factors(cut)
    [0.5]
    """
    return [
        float(np.sqrt(_gain_to_node(high) * (1.0 if low.is_skip else _slope_gain(low.dense[0].slope))))
        for low, high in pairwise(cut)
    ]


def _gain_to_node(node: Node) -> float:
    """By what a layer multiplies the variance of an error, from its s to its input."""
    if not node.is_skip:
        return _weight_gain(node.dense[0].weight)
    return _gain(node._layer, node._params, node._residuals)


def _gain(layer: Layer, params: Tree, residuals: Any) -> float:
    if isinstance(layer, DenseLayer):
        return _slope_gain(residuals.derivative) * _weight_gain(params["weight"])
    assert isinstance(layer, SkipLayer)  # nodes() refused everything else
    through = 1.0
    for inner, own, saved in zip(layer.inner.layers, params, residuals, strict=True):
        through *= _gain(inner, own, saved)
    return 1.0 + through


def _weight_gain(weight: FloatArray) -> float:
    # an entry of Wᵀδ is a sum over the n rows of W
    return float(weight.shape[0] * np.mean(weight**2))


def _slope_gain(slope: FloatArray) -> float:
    square = float(np.mean(slope**2))
    return slope.shape[-1] * square if slope.ndim == 3 else square
