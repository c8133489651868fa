"""Bugs of the weight penalty: what is left when the data term is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bpcheck.diagnosis.bug import Bug, Hints
from bpcheck.diagnosis.step import Forward, Layer, Rules, Run
from bpcheck.diagnosis.steps import PENALTY
from bpcheck.network.names import is_penalised
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

right = PENALTY.right


def _none(run: Run, layer: Layer, key: str, values: FloatArray) -> Any:
    return 0.0


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


def _bug(
    slug: str,
    title: str,
    explanation: str,
    rule: Any,
    silent: str = "λ = 0",
    *,
    question: str = "what is the derivative of the penalty by one weight?",
    line: str,
    confused: tuple[str, ...] = (),
    needs: frozenset[str] = frozenset({"penalty"}),
) -> Bug:
    hints = Hints(
        "What is wrong depends on the parameters alone, not on the data.",
        f"The penalty: {question}",
        line,
    )
    rules = Rules().but(PENALTY, rule)
    return Bug(
        slug, title, "penalty", explanation, hints, rules, silent=silent, confused=confused, needs=needs
    )


SCOPE = "which parameters does the loss penalise?"
ADD = "Differentiate the penalty as it stands in the loss, and add that to the gradient, once."
FACTOR = "Take the factor before the penalty from the loss: a ½ there cancels the 2 of a square's derivative."
SHARE = "If the loss divides the penalty by the batch size, so does the gradient; if it does not, neither does the gradient."

BUGS = (
    _bug(
        "penalty-missing",
        "no penalty in the gradient",
        "the loss has a weight penalty, the gradient has not.",
        _none,
        line=ADD,
    ),
    _bug(
        "penalty-doubled",
        "a 2 too many at the penalty",
        "the gradient of the penalty is twice what it should be.",
        _times(lambda f: 2.0),
        line=FACTOR,
    ),
    _bug(
        "penalty-halved",
        "a ½ too many at the penalty",
        "the gradient of the penalty is half of what it should be.",
        _times(lambda f: 0.5),
        line=FACTOR,
        confused=("penalty-averaged",),
    ),
    _bug(
        "penalty-averaged",
        "the penalty divided by m",
        "the gradient of the penalty is divided by the batch size once too often.",
        _times(lambda f: 1.0 / f.case.batch),
        "λ = 0, batch of one",
        question="does the loss divide it by the batch size, and the gradient too?",
        line=SHARE,
        confused=("penalty-halved",),
        needs=frozenset({"penalty", "batch"}),
    ),
    _bug(
        "penalty-not-averaged",
        "the penalty multiplied by m",
        "the gradient of the penalty is the batch size times what it should be.",
        _times(lambda f: float(f.case.batch)),
        "λ = 0, batch of one",
        question="does the loss divide it by the batch size, and the gradient too?",
        line=SHARE,
        confused=("penalty-doubled",),
        needs=frozenset({"penalty", "batch"}),
    ),
    _bug(
        "penalty-sign",
        "the penalty with the wrong sign",
        "the gradient of the penalty has the wrong sign.",
        _times(lambda f: -1.0),
        line="The penalty is added to the loss, so its derivative is added to the gradient.",
    ),
    _bug(
        "penalty-on-bias",
        "the biases penalised",
        "the gradient penalises biases, the loss does not.",
        _on_bias,
        "λ = 0, all biases 0, a loss that penalises biases",
        question=SCOPE,
        line="Add the penalty's derivative to the weights alone, as the loss penalises these alone.",
    ),
    _bug(
        "penalty-not-on-bias",
        "the biases' penalty forgotten",
        "the loss penalises biases, the gradient does not.",
        _not_on_bias,
        "λ = 0, all biases 0, a loss that does not penalise biases",
        question=SCOPE,
        line="Add the penalty's derivative to the biases too, as the loss penalises them.",
    ),
    _bug(
        "penalty-last-layer-only",
        "the penalty in the output layer alone",
        "only the output layer's gradient has the penalty.",
        _last_layer_only,
        "λ = 0, one layer",
        question=SCOPE,
        line="Add the penalty's derivative in every layer, inside the loop over layers.",
    ),
    _bug(
        "penalty-l1-as-l2",
        "the L1 penalty differentiated as a square",
        "the L1 penalty was differentiated as if it were squared.",
        _l1_as_l2,
        "λ₁ = 0",
        line="The derivative of λ|w| is λ sign(w), not λ w.",
        needs=frozenset({"l1"}),
    ),
    _bug(
        "penalty-l1-missing",
        "the L1 part forgotten",
        "the gradient of the L1 part of the penalty is left out.",
        _l1_missing,
        "λ₁ = 0; no other penalty: then it is penalty-missing",
        line="Add λ₁ sign(W), the derivative of λ₁‖W‖₁.",
        needs=frozenset({"l1", "l2"}),
    ),
)
