"""A network: layers, a loss, a penalty; loss and gradient, and a bound on their rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.precision import rounded
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.layers.chain import Chain
from bpcheck.reference.layers.kinds import layer_of
from bpcheck.reference.layers.layer import Context, LayerTrace
from bpcheck.reference.loss import LOSS, reduce
from bpcheck.reference.numbers.ball import EVALUATION_ULPS, Ball, unit_roundoff
from bpcheck.reference.numbers.variance import Noisy, Rounding
from bpcheck.reference.penalty import penalty, penalty_gradient
from bpcheck.tree import Tree

__all__ = ["TRAINING", "Enclosure", "Network", "Trace", "as_network", "ball_of", "build"]


TRAINING = Context()
"""Training mode, no state, no random generator, no masks: all that dense layers need."""


@dataclass(frozen=True)
class Trace:
    """Everything a backward pass writes down.

    Attributes
    ----------
    layers : list
        One :class:`~bpcheck.reference.layers.layer.LayerTrace` a layer (a list of them for a skip connection,
        None for a layer that has none).
    """

    layers: list[Any]

    @property
    def pre_activations(self) -> list[Any]:
        """z^l for the layers in order; nested lists for skip connections."""
        return _pick(self.layers, "pre_activation")

    @property
    def activations(self) -> list[Any]:
        """a^l."""
        return _pick(self.layers, "activation")

    @property
    def deltas(self) -> list[Any]:
        """δ^l = ∂C/∂z^l, the 1/m of a mean included."""
        return _pick(self.layers, "delta")


def _pick(layers: list[Any], name: str) -> list[Any]:
    return [_pick(layer, name) if isinstance(layer, list) else getattr(layer, name, None) for layer in layers]


@dataclass(frozen=True)
class Enclosure:
    """Loss and gradient with what rounding and kinks may change.

    Attributes
    ----------
    loss : Ball
        Of shape ().
    gradient : dict of Path to Ball
        Paths start with ``params``.
    """

    loss: Ball
    gradient: Mapping[tree.Path, Ball]


@dataclass(frozen=True)
class Network:
    """The reference implementation of one architecture; made by :func:`build`.

    Attributes
    ----------
    architecture : Architecture
    """

    architecture: Architecture
    _chain: Chain
    _fused: bool

    @property
    def chain(self) -> Chain:
        """The layers; without softmax or sigmoid at the end where the loss computes it."""
        return self._chain

    def init(self, rng: np.random.Generator) -> Tree:
        """Random parameters: He or Glorot weights, zero biases.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        list
        """
        return self._chain.init(rng, self.architecture.input_shape)[0]

    def init_state(self, rng: np.random.Generator) -> Tree:
        """State of the layers before the first pass (running statistics); None where a layer has none.

        Handed over as ``Context(state=…)``; a dense network's is a list of None.
        """
        return self._chain.init(rng, self.architecture.input_shape)[1]

    def cost(self, params: Tree, x: Any, y: Any, *, context: Context = TRAINING) -> Any:
        """The cost without any checking, also for complex parameters (the complex step uses this)."""
        output, _, _ = self._chain.forward(params, x, context)
        a = self.architecture
        return reduce(LOSS[a.loss].value(output, y), a.reduction) + penalty(params, a)

    def loss(self, params: Tree, x: Any, y: Any, *, context: Context = TRAINING) -> float:
        """Cost of a batch, penalty included.

        Parameters
        ----------
        params : list
            With the shapes of ``architecture.parameter_shapes``; for dense networks
            ``[{"weight": (out, in), "bias": (out,)}, …]``.
        x : (m, *input_shape)
            (m, in) for dense networks, (m, channels, height, width) for images.
        y : (m, out)
        context : Context
            Mode, state, random generator and masks for layers that need them.

        Returns
        -------
        float

        Raises
        ------
        InputError
            If a shape does not fit or a value is not finite.

        Examples
        --------
        >>> from bpcheck import mlp
        >>> network = build(mlp([1, 1]))
        >>> network.loss([{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
        2.0
        """
        case = Case(self.architecture, params, x, y)
        return float(self.cost(case.params, case.x, case.y, context=context))

    def _forward(self, params: Tree, x: Any, y: Any, context: Context = TRAINING) -> tuple[Any, Any, Any]:
        """Residuals, cost and ∂C/∂(output of the chain)."""
        a = self.architecture
        output, residuals, _ = self._chain.forward(params, x, context)
        loss = LOSS[a.loss]
        cost = reduce(loss.value(output, y), a.reduction)
        cotangent = loss.gradient(output, y)
        return residuals, cost, cotangent / y.shape[0] if a.reduction == "mean" else cotangent

    def evaluate(self, params: Tree, x: Any, y: Any) -> tuple[Any, Tree]:
        """Loss and gradient without any checking, in whatever kind of numbers is given (simulated rounding)."""
        residuals, cost, cotangent = self._forward(params, x, y)
        gradient, _ = self._chain.pullback(params, residuals, cotangent)
        return cost + penalty(params, self.architecture), _add(
            gradient, penalty_gradient(params, self.architecture)
        )

    def gradient(self, params: Tree, x: Any, y: Any, *, context: Context = TRAINING) -> Tree:
        """∂C/∂params by backpropagation, nested as ``params``.

        Parameters
        ----------
        params, x, y
            As for :meth:`loss`.

        Returns
        -------
        list

        Raises
        ------
        InputError
            If a shape does not fit or a value is not finite.

        Examples
        --------
        >>> from bpcheck import mlp
        >>> network = build(mlp([1, 1]))
        >>> network.gradient([{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
        [{'weight': array([[6.]]), 'bias': array([2.])}]
        """
        case = Case(self.architecture, params, x, y)
        residuals, _, cotangent = self._forward(case.params, case.x, case.y, context)
        data_gradient, _ = self._chain.pullback(case.params, residuals, cotangent)
        return _add(data_gradient, penalty_gradient(case.params, self.architecture))

    def trace(self, params: Tree, x: Any, y: Any, *, context: Context = TRAINING) -> Trace:
        """Pre-activations, activations and deltas of every layer.

        Examples
        --------
        >>> from bpcheck import mlp
        >>> network = build(mlp([1, 1]))
        >>> network.trace([{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]]).deltas
        [array([[2.]])]
        """
        case = Case(self.architecture, params, x, y)
        residuals, _, cotangent = self._forward(case.params, case.x, case.y, context)
        layers = self._chain.trace(case.params, residuals, cotangent)
        last = layers[-1]
        if self._fused and isinstance(last, LayerTrace):
            # the chain ends in logits: what the book calls a^L is computed inside the loss
            output = ACTIVATION[self.architecture.output].value(last.pre_activation)
            layers[-1] = replace(last, activation=output)
        return Trace(layers)

    def enclose(self, params: Tree, x: Any, y: Any, *, dtype: Any = np.float64) -> Enclosure:
        """Loss and gradient with a bound on what any correct implementation in ``dtype`` may answer.

        The equations run on balls (:mod:`bpcheck.reference.numbers.ball`): an a-priori bound, wide (about
        1e-10 relative in float64 for deep networks) and independent of the order of sums.

        Parameters
        ----------
        params, x, y
            As for :meth:`loss`.
        dtype : dtype
            Precision of the implementation to bound.

        Returns
        -------
        Enclosure

        Raises
        ------
        InputError
            If a layer cannot bound its rounding.
        """
        if not self._chain.encloses:
            raise InputError(f"{self.architecture!r} has a layer without a rounding bound.")
        case = Case(self.architecture, params, x, y)
        u = unit_roundoff(dtype)
        with np.errstate(all="ignore"):
            balls = [ball_of(leaf, dtype, u) for _, leaf in tree.leaves(case.params)]
            params = tree.restore(case.params, balls)
            x, y = ball_of(case.x, dtype, u), ball_of(case.y, dtype, u)
            residuals, cost, cotangent = self._forward(params, x, y)
            gradient, _ = self._chain.pullback(params, residuals, cotangent)
            total = dict(tree.leaves(_add(gradient, penalty_gradient(params, self.architecture))))
            extra = penalty(tree.restore(case.params, [ball.mid for ball in balls]), self.architecture)
        loss = (cost + extra).widened(EVALUATION_ULPS * u * abs(extra) * (1 + _count(case.params)))
        return Enclosure(loss, total)

    def noisy(
        self,
        params: Tree,
        x: Any,
        y: Any,
        *,
        dtype: Any = np.float32,
        compute: Any = None,
        sums: Any = None,
        kinks: bool = True,
    ) -> tuple[Noisy, Mapping[tree.Path, Noisy]]:
        """Loss and gradient with the variance of the error that an implementation in ``dtype`` makes.

        The equations run on :class:`~bpcheck.reference.numbers.variance.Noisy` numbers. Inputs that ``dtype`` cannot
        hold have the square of what rounding them takes away as their variance.

        Parameters
        ----------
        params, x, y
            As for :meth:`loss`.
        dtype : dtype or name
            What results are stored in: float32, float16 or bfloat16.
        compute : dtype or name, optional
            What sums and elementary functions are computed in; None means float32 (or ``dtype`` if finer).
        sums : dtype or name, optional
            What sums other than products of matrices are added up in; None means as ``compute``.
        kinks : bool
            Whether units near their kink add what being on its other side would change.

        Returns
        -------
        loss : Noisy
            Of shape ().
        gradient : dict of Path to Noisy

        Raises
        ------
        InputError
            If a layer has no such model.

        Examples
        --------
        >>> from bpcheck import mlp
        >>> network = build(mlp([1, 1]))
        >>> loss, gradient = network.noisy([{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
        >>> for path, noisy in gradient.items():
        ...     print(path, noisy.value, bool(noisy.deviation < 1e-5))
        params[0]['weight'] [[6.]] True
        params[0]['bias'] [2.] True
        """
        if not self._chain.encloses:
            raise InputError(f"{self.architecture!r} has a layer without a model of its rounding.")
        case = Case(self.architecture, params, x, y)
        rounding = Rounding.of(dtype, compute, sums=sums, kinks=kinks)

        def given(array: Any) -> Noisy:
            values = np.asarray(array, dtype=float)
            return Noisy(values, (values - rounded(values, rounding.stored)) ** 2, rounding)

        with np.errstate(all="ignore"):
            own = [given(leaf) for _, leaf in tree.leaves(case.params)]
            params = tree.restore(case.params, own)
            residuals, cost, cotangent = self._forward(params, given(case.x), given(case.y))
            gradient, _ = self._chain.pullback(params, residuals, cotangent)
            total = dict(tree.leaves(_add(gradient, penalty_gradient(params, self.architecture))))
            extra = penalty(tree.restore(case.params, [noisy.value for noisy in own]), self.architecture)
            # a sum of positive terms, up to n of them one after the other, of which each is a rounded product
            loss = cost + Noisy(
                extra,
                rounding.elementary(extra) * (1 + _count(case.params) / 3) + rounding.storing(extra),
                rounding,
            )
        return loss, total


def ball_of(array: Any, dtype: Any, u: float) -> Ball:
    """Numbers as they are, with what rounding them to ``dtype`` takes away."""
    exact = Ball.exact(array, u)
    return exact.widened(abs(exact.mid - rounded(exact.mid, dtype)))


def _count(params: Tree) -> int:
    return int(sum(leaf.size for _, leaf in tree.leaves(params)))


def _add(gradient: Tree, extra: Tree) -> Tree:
    """Leafwise sum; ``extra`` is None where there is no penalty."""
    if extra is None:
        return gradient
    extras = [leaf for _, leaf in tree.leaves(extra)]
    return tree.restore(
        gradient,
        [
            leaf if added is None else leaf + added
            for (_, leaf), added in zip(tree.leaves(gradient), extras, strict=True)
        ],
    )


def build(architecture: Architecture) -> Network:
    """The reference network of an architecture.

    Parameters
    ----------
    architecture : Architecture
        From :func:`bpcheck.mlp`, or composed of layers.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        If ``architecture`` is something else.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> network = build(mlp([2, 3, 1]))
    >>> params = network.init(np.random.default_rng(0))
    >>> [layer["weight"].shape for layer in network.gradient(params, [[0.5, 1.0]], [[0.0]])]
    [(3, 2), (1, 3)]
    """
    if not isinstance(architecture, Architecture):
        raise InputError(f"architecture is {architecture!r}; make one with bpcheck.mlp([2, 3, 1]).")
    fused_output = LOSS[architecture.loss].fused_output
    fused = bool(fused_output) and architecture.output == fused_output
    specs = list(architecture.layers)
    if fused:  # softmax or sigmoid moves into the cost, see bpcheck.reference.loss
        specs[-1] = specs[-1].before_activation()
    return Network(architecture, Chain([layer_of(spec) for spec in specs]), fused)


def as_network(given: Any, *, otherwise: str = "") -> Network:
    """A network, or what is built from an architecture; ``otherwise`` ends the error about anything else."""
    if isinstance(given, Network):
        return given
    if isinstance(given, Architecture):
        return build(given)
    raise InputError(
        f"network is {tree.describe(given)}; give a bpcheck.Architecture, such as bpcheck.mlp([4, 5, 3]), or what "
        f"bpcheck.reference.build makes of one.{otherwise and ' '}{otherwise}"
    )
