"""gradient_health(): what becomes of an error on its way down, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.options import seed_or_drawn
from bpcheck.errors import InputError
from bpcheck.health.findings import judge, judge_tensors
from bpcheck.health.measure import clipped, layer_health, tensor_health
from bpcheck.health.result import GradientHealth
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.options import positive, whole
from bpcheck.precision import widened
from bpcheck.reference.initialize import initializer, zeros
from bpcheck.reference.jacobian import Node, nodes
from bpcheck.reference.network import Network, as_network
from bpcheck.strategies.numbers import fill, random_targets
from bpcheck.tree import FloatArray, Tree

__all__ = ["gradient_health"]

RANDOM_EXAMPLES = 32
"""Of a batch that is drawn: a common mini-batch."""

JACOBIANS = 16
"""Examples whose Jacobians are taken unless the caller wants more: a median of 16 is good to some 10 %, and 20 layers of
64 units take 0.1 s."""


def gradient_health(
    network: Network | Architecture | None = None,
    params: Tree = None,
    x: Any = None,
    y: Any = None,
    *,
    gradients: Tree = None,
    initialization: str | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    jacobians: int | None = None,
    seed: int | None = None,
) -> GradientHealth:
    """Say whether gradients vanish or explode, by which factor a layer, and what helps.

    Parameters
    ----------
    network : Network or Architecture, optional
        From :func:`bpcheck.mlp`, or composed of ``Dense`` and ``Skip``, or what ``bpcheck.reference.build`` makes of one.
        Of a network with other layers give the gradient alone, as ``gradients``.
    params : list, optional
        Its parameters; drawn as ``initialization`` says if not given. Not changed, nor are x and y.
    x, y : (batch, in) and (batch, out) arrays, optional
        A batch. Without x, 32 inputs are drawn from a normal distribution, and targets that suit the loss.
    gradients : tree of arrays, optional
        Instead of a network: a gradient from any framework, as a list, a mapping or any nesting of them, the lowest layer
        first, such as ``[p.grad for p in model.parameters()]``. Sizes alone can be read off it.
    initialization : str, optional
        How weights are drawn: "he", "glorot", "lecun", "orthogonal", "small_random", "normal(0.1)" (a standard
        deviation), "orthogonal(1.4)" (times 1.4). By default he for relu and its kin, glorot otherwise. Biases are 0.
    clip_norm, clip_value : float, optional
        Also say what clipping would do: the whole gradient scaled to this norm, or each entry cut off at ± this value.
    jacobians : int, optional
        From how many examples to take the Jacobians, 16 (or all, if there are fewer); 0 for none, which is much faster
        for layers of many hundred units.
    seed : int, optional
        For what is drawn; drawn itself, and reported, if not given.

    Returns
    -------
    GradientHealth
        ``verdict`` is "healthy", "vanishing", "exploding", "dead", "saturated", "no error" or "not finite"; the rules
        and where their constants come from are in :mod:`bpcheck.health.findings`.

    Raises
    ------
    InputError
        If an argument cannot be used as given.

    Notes
    -----
    Sources: S. Hochreiter, diploma thesis, TU München 1991; Y. Bengio, P. Simard and P. Frasconi, *Learning long-term
    dependencies with gradient descent is difficult*, IEEE Transactions on Neural Networks 5, 1994; X. Glorot and
    Y. Bengio, *Understanding the difficulty of training deep feedforward neural networks*, AISTATS 2010; R. Pascanu,
    T. Mikolov and Y. Bengio, *On the difficulty of training recurrent neural networks*, ICML 2013; K. He et al.,
    *Delving deep into rectifiers*, ICCV 2015, and *Deep residual learning for image recognition*, CVPR 2016.

    Examples
    --------
    >>> import bpcheck
    >>> deep = [32] * 21
    >>> print(gradient_health(bpcheck.mlp(deep, activation="sigmoid"), seed=0).words)
    vanishing: 0.24 a layer, 1e-12 over 19 layers
    >>> print(gradient_health(gradients=[np.full((2, 2), 1e-9), np.ones((2, 2))]).words)
    vanishing: 1e-9 a tensor, 1e-9 over 1 tensor
    """
    clips = [("norm", clip_norm), ("value", clip_value)]
    limits = {by: positive(f"clip_{by}", limit) for by, limit in clips if limit is not None}
    if gradients is not None:
        given = {"network": network, "params": params, "x": x, "y": y, "initialization": initialization}
        also = [name for name, value in given.items() if value is not None]
        if also:
            raise InputError(f"gradients was given, and {also[0]} too; give a network, or gradients alone.")
        arrays = _arrays(gradients)
        findings = judge_tensors([tensor_health(path, array) for path, array in arrays.items()])
        return _result(arrays, limits, findings=findings)
    built = as_network(network, otherwise="A gradient of another framework goes to gradients=.")
    used = seed_or_drawn(seed)
    case, drawn = _case(built, params, x, y, initialization, np.random.default_rng(used))
    count = JACOBIANS if jacobians is None else whole("jacobians", jacobians, least=0, of="examples")
    count = min(count, case.batch)
    with np.errstate(all="ignore"):  # numbers that overflow are a finding, not a warning
        cut = nodes(built, case.params, case.x, case.y)
        layers = layer_health(cut, examples=count)
    return _result(
        _gradients(cut),
        limits,
        findings=judge(layers),
        layers=layers,
        drawn=drawn,
        seed=used if drawn else None,
        examples=count,
    )


def _gradients(cut: Sequence[Node]) -> dict[str, FloatArray]:
    arrays = {}
    for flow in (flow for node in cut for flow in node.dense):
        arrays[str(flow.path.item("weight"))] = flow.weight_gradient
        arrays[str(flow.path.item("bias"))] = flow.bias_gradient
    return arrays


def _result(arrays: dict[str, FloatArray], limits: dict[str, float], **known: Any) -> GradientHealth:
    finite = all(np.isfinite(array).all() for array in arrays.values())
    clipping = tuple(clipped(arrays, by, limit) for by, limit in limits.items() if finite)
    tensors = tuple(tensor_health(path, array) for path, array in arrays.items())
    return GradientHealth(tensors=tensors, clipping=clipping, **known)


def _case(
    network: Network, params: Tree, x: Any, y: Any, initialization: str | None, rng: np.random.Generator
) -> tuple[Case, tuple[str, ...]]:
    """The point to look at, and what of it was drawn."""
    architecture = network.architecture
    drawn = []
    if params is None:
        if initialization is None:
            params = network.init(rng)
            rule = "he for relu and its kin, glorot otherwise"
        else:
            draw = initializer(initialization)
            params = fill(
                architecture,
                lambda role, shape: draw(rng, shape) if role == "weight" else zeros(rng, shape),
            )
            rule = initialization
        drawn.append(f"parameters ({rule})")
    elif initialization is not None:
        raise InputError("params and initialization were both given; give the one that you mean.")
    if x is None and y is not None:
        raise InputError("y was given without x; give both, or neither to have a batch drawn.")
    if x is None:
        x = rng.normal(size=(RANDOM_EXAMPLES, *architecture.input_shape))
        drawn.append(f"inputs ({RANDOM_EXAMPLES} examples)")
    if y is None:
        y = random_targets(rng, architecture.loss, (len(x), *architecture.output_shape))  # type: ignore[arg-type]
        drawn.append("targets")
    return Case(architecture, params, x, y), tuple(drawn)


def _arrays(gradients: Tree) -> dict[str, FloatArray]:
    """Every tensor of a gradient as floats, NaN and infinities included."""
    found = {}
    for path, leaf in tree.leaves(gradients, "gradients"):
        if leaf is None:
            raise InputError(
                f"{path} is None: no gradient reached this tensor. Leave it out, or find out why."
            )
        try:
            array = np.asarray(widened(leaf))
            array = array.astype(float) if array.dtype.kind in "fiu" else array
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{path} is no array of numbers: {error}.") from error
        if array.dtype.kind != "f" or not array.size:
            raise InputError(
                f"{path} is {tree.describe(leaf)}, but a real array with numbers in it is needed."
            )
        found[str(path)] = array
    if not found:
        raise InputError("gradients is empty; give the arrays of one gradient, the lowest layer first.")
    return found
