"""Bugs of the weight penalty: what is left when the data term is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bpcheck.diagnosis.bug import Family
from bpcheck.diagnosis.step import Forward, Layer, Run
from bpcheck.diagnosis.steps import PENALTY
from bpcheck.network.names import is_penalised
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

right = PENALTY.right


def _times(factor: Callable[[Forward], float]) -> Any:
    return lambda run, layer, key, values: factor(run.forward) * right(run, layer, key, values)


def _on_bias(run: Run, layer: Layer, key: str, values: FloatArray) -> Any:
    a = run.forward.case.architecture
    if layer.spec.roles[key] != "bias":
        return right(run, layer, key, values)
    return a.l1 * np.sign(values) + a.l2 * values


def _not_on_bias(run: Run, layer: Layer, key: str, values: FloatArray) -> Any:
    return 0.0 if layer.spec.roles[key] == "bias" else right(run, layer, key, values)


def _l1_as_l2(run: Run, layer: Layer, key: str, values: FloatArray) -> Any:
    a = run.forward.case.architecture
    return (a.l1 + a.l2) * values if is_penalised(a, layer.place(key)) else 0.0


def _l1_missing(run: Run, layer: Layer, key: str, values: FloatArray) -> Any:
    a = run.forward.case.architecture
    return a.l2 * values if is_penalised(a, layer.place(key)) else 0.0


def _last_layer_only(run: Run, layer: Layer, key: str, values: FloatArray) -> Any:
    return right(run, layer, key, values) if layer.is_output else 0.0


PENALISED = Family(
    PENALTY,
    "What is wrong depends on the parameters alone, not on the data.",
    "The penalty",
    frozenset({"penalty"}),
)
DERIVATIVE = "what is the derivative of the penalty by one weight?"
SCOPE = "which parameters does the loss penalise?"
ADD = "Differentiate the penalty as it stands in the loss, and add that to the gradient, once."
FACTOR = "Take the factor before the penalty from the loss: a ½ there cancels the 2 of a square's derivative."
AVERAGED = "does the loss divide it by the batch size, and the gradient too?"
SHARE = "If the loss divides the penalty by the batch size, so does the gradient; if it does not, neither does the gradient."

BUGS = (
    PENALISED.bug(
        "penalty-missing",
        "no penalty in the gradient",
        "the loss has a weight penalty, the gradient has not.",
        DERIVATIVE,
        ADD,
        lambda run, layer, key, values: 0.0,
        silent="λ = 0",
    ),
    PENALISED.bug(
        "penalty-doubled",
        "a 2 too many at the penalty",
        "the gradient of the penalty is twice what it should be.",
        DERIVATIVE,
        FACTOR,
        _times(lambda f: 2.0),
        silent="λ = 0",
    ),
    PENALISED.bug(
        "penalty-halved",
        "a ½ too many at the penalty",
        "the gradient of the penalty is half of what it should be.",
        DERIVATIVE,
        FACTOR,
        _times(lambda f: 0.5),
        silent="λ = 0",
        confused=("penalty-averaged",),
    ),
    PENALISED.bug(
        "penalty-averaged",
        "the penalty divided by m",
        "the gradient of the penalty is divided by the batch size once too often.",
        AVERAGED,
        SHARE,
        _times(lambda f: 1.0 / f.case.batch),
        silent="λ = 0, batch of one",
        confused=("penalty-halved",),
        needs={"batch"},
    ),
    PENALISED.bug(
        "penalty-not-averaged",
        "the penalty multiplied by m",
        "the gradient of the penalty is the batch size times what it should be.",
        AVERAGED,
        SHARE,
        _times(lambda f: f.case.batch),
        silent="λ = 0, batch of one",
        confused=("penalty-doubled",),
        needs={"batch"},
    ),
    PENALISED.bug(
        "penalty-sign",
        "the penalty with the wrong sign",
        "the gradient of the penalty has the wrong sign.",
        DERIVATIVE,
        "The penalty is added to the loss, so its derivative is added to the gradient.",
        _times(lambda f: -1.0),
        silent="λ = 0",
    ),
    PENALISED.bug(
        "penalty-on-bias",
        "the biases penalised",
        "the gradient penalises biases, the loss does not.",
        SCOPE,
        "Add the penalty's derivative to the weights alone, as the loss penalises these alone.",
        _on_bias,
        silent="λ = 0, all biases 0, a loss that penalises biases",
    ),
    PENALISED.bug(
        "penalty-not-on-bias",
        "the biases' penalty forgotten",
        "the loss penalises biases, the gradient does not.",
        SCOPE,
        "Add the penalty's derivative to the biases too, as the loss penalises them.",
        _not_on_bias,
        silent="λ = 0, all biases 0, a loss that does not penalise biases",
    ),
    PENALISED.bug(
        "penalty-last-layer-only",
        "the penalty in the output layer alone",
        "only the output layer's gradient has the penalty.",
        SCOPE,
        "Add the penalty's derivative in every layer, inside the loop over layers.",
        _last_layer_only,
        silent="λ = 0, one layer",
    ),
    PENALISED.bug(
        "penalty-l1-as-l2",
        "the L1 penalty differentiated as a square",
        "the L1 penalty was differentiated as if it were squared.",
        DERIVATIVE,
        "The derivative of λ|w| is λ sign(w), not λ w.",
        _l1_as_l2,
        silent="λ₁ = 0",
        needs={"l1"},
    ),
    PENALISED.bug(
        "penalty-l1-missing",
        "the L1 part forgotten",
        "the gradient of the L1 part of the penalty is left out.",
        DERIVATIVE,
        "Add λ₁ sign(W), the derivative of λ₁‖W‖₁.",
        _l1_missing,
        silent="λ₁ = 0; no other penalty: then it is penalty-missing",
        needs={"l1", "l2"},
    ),
)
