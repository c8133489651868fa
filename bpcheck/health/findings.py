"""The rules: when errors are called vanishing, exploding, dead or saturated, and what helps.

A rule compares the error of a layer with that of the last one, δ^l / δ^L, and asks what that does to training at *one*
learning rate, the one that suits the last layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bpcheck.health.numbers import DenseHealth, LayerHealth, TensorHealth
from bpcheck.precision import format_of
from bpcheck.reference.activation import ACTIVATION

__all__ = ["EXPLODED", "TYPICAL_UPDATE", "VANISHED", "Finding", "judge", "judge_tensors"]

TYPICAL_UPDATE = 2.0**-10
"""About 1e-3: how large a step usually is beside the weights that it changes (Stanford's CS231n notes, *Ratio of
weights:updates*). Experience, not theory: the one constant here that is not derived."""

VANISHED = format_of("float32").roundoff / TYPICAL_UPDATE
"""2^−14 = 6e-5. Where the last layer moves by 2^−10 of its weights, a layer whose error is 2^−14 of the last one's moves
by 2^−24 of its own (weights and activations being of like size): float32 rounds that away, and it stands still."""

EXPLODED = 1.0 / TYPICAL_UPDATE
"""2^10. Where the last layer moves by 2^−10 of its weights, a layer whose error is 2^10 times as large moves by all of
its own: one step overwrites what it has learnt."""

BY_CHANCE = 0.5
"""Share of the units that may be off for a whole batch by nothing but the draw: a ReLU unit with symmetric weights is
off for half of all inputs, and deep networks make the examples of a batch alike (Poole et al. 2016)."""

DEVIATIONS = 4.0
"""Standard deviations of a binomial variable beyond which a share is no chance: 3e-5 of the layers."""

FARTHEST = 10_000
"""Layers beyond which nobody asks when an error would vanish."""


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found.

    Attributes
    ----------
    rule : str
        "not finite", "no error", "exploding", "vanishing", "dead", "saturated" or "healthy".
    text : str
        What, with its numbers.
    remedies : tuple of str
        What helps, the most helpful first.
    """

    rule: str
    text: str
    remedies: tuple[str, ...] = ()


CLIPPING_IS_NO_HELP = (
    "Clipping does not help: it bounds a step that is too large and cannot enlarge one that is too small."
)
NORMALISE = (
    "Normalise between the layers, and keep skip connections: batch normalisation alone makes errors grow by some 1.2 a "
    "layer in relu networks (Yang et al. 2019)."
)


def judge(layers: Sequence[LayerHealth]) -> tuple[Finding, ...]:
    """What the rules say of a network, the lowest layer first; the first finding, there always is one, is the verdict."""
    overflow = _not_finite(layers)
    if overflow:
        return (overflow,)
    top = layers[-1]
    if top.error_rms == 0.0:
        text = (
            "no error: ∂C/∂z of the last layer is exactly 0, so there is nothing that could vanish or explode"
        )
        return (Finding("no error", text, ("Give a batch that the network does not fit exactly.",)),)
    dead, saturated = _shut(layers)
    sizes = [layer.error_rms / top.error_rms for layer in layers]
    zeros = [layer.number for layer in layers if layer.error_rms == 0.0]
    exactly = f"exactly 0 from layer {zeros[-1]} down" if zeros else ""
    found = _extremes(sizes, layers, zero=exactly)
    blocked = any(layer.dead == 1.0 and layer.kind == "dense" for layer in layers)
    found = [*dead, *found] if blocked else [*found, *dead]
    found += saturated
    return tuple(found) or (_healthy(sizes[0], len(layers) - 1),)


def judge_tensors(tensors: Sequence[TensorHealth]) -> tuple[Finding, ...]:
    """What the rules say of a gradient alone; weights are held against weights, the lowest first."""
    broken = [tensor for tensor in tensors if tensor.nonfinite]
    if broken:
        first = broken[0]
        text = f"not finite: {first.path} has {first.nonfinite} entries that are NaN or infinite"
        others = f", and so have {len(broken) - 1} more tensors" if len(broken) > 1 else ""
        return (Finding("not finite", text + others, _AGAINST_OVERFLOW),)
    weights = [tensor for tensor in tensors if tensor.is_weight] or list(tensors)
    top = weights[-1]
    if top.rms == 0.0:
        text = f"no error: {top.path}, the last tensor, is exactly 0"
        return (Finding("no error", text, ("Give the tensors from the lowest layer to the last one.",)),)
    sizes = [tensor.rms / top.rms for tensor in weights]
    found = _extremes(sizes, (), each="a tensor")
    return tuple(found) or (_healthy(sizes[0], len(weights) - 1, "a tensor"),)


def _extremes(
    sizes: Sequence[float], layers: Sequence[LayerHealth], *, each: str = "a layer", zero: str = ""
) -> list[Finding]:
    """What the largest and the smallest size, relative to the last one, say; ``zero`` if the smallest is 0."""
    largest, smallest = max(sizes), min(sizes)
    found = []
    if largest >= EXPLODED:
        steps = len(sizes) - 1 - sizes.index(largest)
        text = f"exploding: {_course(largest, steps, each)}"
        found.append(Finding("exploding", text, _against_explosion(layers)))
    if smallest <= VANISHED:
        steps = len(sizes) - 1 - sizes.index(smallest)
        text = f"vanishing: {zero or _course(smallest, steps, each)}"
        found.append(Finding("vanishing", text, _against_vanishing(layers)))
    return found


def _course(total: float, steps: int, each: str = "a layer") -> str:
    """``0.24 a layer, 1e-12 over 19 layers``."""
    if steps == 0:
        return f"{total:.2g}"
    over = f"over {steps} {each.split()[-1]}{'s' if steps > 1 else ''}"
    if total == 0.0:
        return f"exactly 0 {over}"
    return f"{_short(total ** (1.0 / steps))} {each}, {_short(total)} {over}"


def _short(value: float) -> str:
    """``0.24``, ``1e-12``."""
    if 0.01 <= value < 100:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _healthy(total: float, steps: int, each: str = "a layer") -> Finding:
    if steps == 0:
        return Finding("healthy", "healthy: one layer, so there is nothing on the way down")
    text = f"healthy: {_course(total, steps, each)}"
    slope = math.log(total) / steps
    limit = math.log(VANISHED if slope < 0 else EXPLODED)
    if slope and limit / slope < FARTHEST:
        word = "vanish" if slope < 0 else "explode"
        text += f"; at that rate it would {word} over {math.ceil(limit / slope)} {each.split()[-1]}s"
    return Finding("healthy", text)


def _not_finite(layers: Sequence[LayerHealth]) -> Finding | None:
    for layer in layers:
        if not math.isfinite(layer.activation_rms):
            text = f"not finite: the activations of layer {layer.number} overflow on the way up"
            return Finding("not finite", text, _AGAINST_OVERFLOW)
    for layer in reversed(layers):
        # δ at the last layer is where it can start; then down
        numbers = [layer.error_rms, *(one.weight_gradient_rms for one in layer.dense)]
        if not all(map(math.isfinite, numbers)):
            text = f"not finite: the error overflows at layer {layer.number} on the way down"
            return Finding("not finite", text, _AGAINST_OVERFLOW)
    return None


_AGAINST_OVERFLOW = (
    "Look for the first layer that is not finite: a learning rate or weights that are too large, or a logarithm of 0.",
    "Clip the gradient by its norm before it gets there; a NaN that has been taken into the weights stays.",
)


def _shut(layers: Sequence[LayerHealth]) -> tuple[list[Finding], list[Finding]]:
    """Layers most of whose units pass no error: dead ones, and ones that are only saturated."""
    dead, saturated = [], []
    hidden = [
        (layer, one)
        for layer in layers
        for one in layer.dense
        if layer is not layers[-1] or layer.kind == "skip"
    ]
    worst = max(hidden, key=lambda pair: pair[1].dead, default=None)
    if worst and _no_chance(worst[1].dead, worst[1].units):
        dead.append(_dead(*worst))
    worst = max(hidden, key=lambda pair: pair[1].saturated - pair[1].dead, default=None)
    if worst and _no_chance(worst[1].saturated, worst[1].units) and worst[1].saturated > worst[1].dead:
        saturated.append(_saturated(*worst))
    return dead, saturated


def _no_chance(share: float, units: int) -> bool:
    return share == 1.0 or share > BY_CHANCE + DEVIATIONS * math.sqrt(BY_CHANCE * (1 - BY_CHANCE) / units)


def _dead(layer: LayerHealth, one: DenseHealth) -> Finding:
    where = (
        f"layer {layer.number}"
        if layer.kind == "dense"
        else f"layer {layer.number}, within the skip connection,"
    )
    share = "all" if one.dead == 1.0 else f"{one.dead:.0%}"
    text = f"dead: {share} of the units of {where} never pass an error (σ' = 0 for every example)"
    return Finding(
        "dead",
        text,
        (
            "A smaller learning rate and biases of 0: large steps push units to where they are always off.",
            "An activation that is not flat there: leaky_relu, gelu, silu.",
        ),
    )


def _saturated(layer: LayerHealth, one: DenseHealth) -> Finding:
    share = "all" if one.saturated == 1.0 else f"{one.saturated:.0%}"
    text = f"saturated: {share} of the units of layer {layer.number} are flat for every example ({one.activation})"
    return Finding(
        "saturated",
        text,
        ("Smaller weights (glorot), or inputs of unit size: z lies where σ is flat.",),
    )


def _against_vanishing(layers: Sequence[LayerHealth]) -> tuple[str, ...]:
    found = []
    flat = {
        one.activation
        for layer in layers
        for one in layer.dense
        if ACTIVATION[one.activation].lipschitz < 0.5
    }
    if flat:
        name = min(flat)
        found.append(
            f"Activation: the slope of {name} is {ACTIVATION[name].lipschitz:g} at most. Use relu with he weights, or tanh "
            "with glorot."
        )
    else:
        found += _other_weights(layers)
    if not any(layer.kind == "skip" for layer in layers):
        found.append("Skip connections: x + f(x) hands the error down as it is, and adds what f passes.")
    return (*found, NORMALISE, CLIPPING_IS_NO_HELP)


def _against_explosion(layers: Sequence[LayerHealth]) -> tuple[str, ...]:
    found = list(_other_weights(layers))
    if any(layer.kind == "skip" for layer in layers):
        found.append(
            "Skip connections add up: scale what is added, x + f(x)/√L with L of them, or start f's last layer at 0."
        )
    found.append(
        "Clip the gradient by its norm: that bounds the step, though not the ratio between the layers."
    )
    return (*found, NORMALISE)


def _other_weights(layers: Sequence[LayerHealth]) -> tuple[str, ...]:
    """By what to multiply the weights so that theory expects a factor of 1, where it is as simple as that."""
    known = [layer.expected for layer in layers[:-1]]
    if any(layer.kind == "skip" for layer in layers) or not known or not all(e > 0 for e in known):
        return (
            ("Initialisation: he for relu, glorot for tanh, orthogonal for linear layers.",)
            if not layers
            else ()
        )
    mean = math.exp(sum(map(math.log, known)) / len(known))
    return (
        f"Initialisation: weights {_short(1 / mean)} times as large would have an expected factor of 1 a layer, as long "
        "as σ' stays as it is (he for relu, glorot for tanh).",
    )
