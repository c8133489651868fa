"""Bugs of the weight penalty: what is left when the data term is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck.diagnosis.bug import Bug, Hints
from bpcheck.diagnosis.layers.dense.steps import Forward, Rules
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

RIGHT = Rules()


def _none(f: Forward, k: int, name: str, values: FloatArray) -> Any:
    return 0.0


def _times(factor: Any) -> Any:
    return lambda f, k, name, values: factor(f) * RIGHT.penalty(f, k, name, values)


def _on_bias(f: Forward, k: int, name: str, values: FloatArray) -> Any:
    a = f.case.architecture
    return a.l1 * np.sign(values) + a.l2 * values


def _not_on_bias(f: Forward, k: int, name: str, values: FloatArray) -> Any:
    return 0.0 if name == "bias" else RIGHT.penalty(f, k, name, values)


def _l1_as_l2(f: Forward, k: int, name: str, values: FloatArray) -> Any:
    a = f.case.architecture
    applies = name != "bias" or a.penalize_bias
    return (a.l1 + a.l2) * values if applies else 0.0


def _l1_missing(f: Forward, k: int, name: str, values: FloatArray) -> Any:
    applies = name != "bias" or f.case.architecture.penalize_bias
    return f.case.architecture.l2 * values if applies else 0.0


def _last_layer_only(f: Forward, k: int, name: str, values: FloatArray) -> Any:
    return RIGHT.penalty(f, k, name, values) if k == f.top else 0.0


def _bug(
    slug: str,
    title: str,
    explanation: str,
    rule: Any,
    silent: str = "λ = 0",
    *,
    question: str = "what is the derivative of the penalty by one weight?",
    line: str = "½λ‖W‖² has the gradient λW, λ‖W‖₁ has λ sign(W); both are added once, not divided by m.",
    confused: tuple[str, ...] = (),
) -> Bug:
    hints = Hints(
        "What is wrong is in proportion to the parameters themselves (or to their signs).",
        f"The penalty: {question}",
        line,
    )
    rules = RIGHT.but(penalty=rule)
    return Bug(slug, title, "penalty", explanation, hints, rules, silent=silent, confused=confused)


SCOPE = "which parameters does the loss penalise?"

BUGS = (
    _bug(
        "penalty-missing",
        "no penalty in the gradient",
        "the loss has a weight penalty, the gradient has not.",
        _none,
    ),
    _bug(
        "penalty-doubled",
        "a 2 too many at the penalty",
        "the gradient of the penalty is twice too large (2λW for λW).",
        _times(lambda f: 2.0),
    ),
    _bug(
        "penalty-halved",
        "a ½ too many at the penalty",
        "the gradient of the penalty is half of what it should be.",
        _times(lambda f: 0.5),
        confused=("penalty-averaged",),
    ),
    _bug(
        "penalty-averaged",
        "the penalty divided by m",
        "the gradient of the penalty is divided by the batch size.",
        _times(lambda f: 1.0 / f.case.batch),
        "λ = 0, batch of one",
        confused=("penalty-halved",),
    ),
    _bug(
        "penalty-not-averaged",
        "the penalty multiplied by m",
        "the gradient of the penalty is the batch size times what it should be.",
        _times(lambda f: float(f.case.batch)),
        "λ = 0, batch of one",
        question="does the loss divide it by the batch size, and the gradient too?",
        line="½λ‖W‖²/m has the gradient λW/m; ½λ‖W‖² has λW, once for the batch and not once for each example.",
        confused=("penalty-doubled",),
    ),
    _bug(
        "penalty-sign",
        "the penalty with the wrong sign",
        "the gradient of the penalty has the wrong sign.",
        _times(lambda f: -1.0),
    ),
    _bug(
        "penalty-on-bias",
        "the biases penalised",
        "the gradient penalises biases, the loss does not.",
        _on_bias,
        "λ = 0, all biases 0, a loss that penalises biases",
        question=SCOPE,
    ),
    _bug(
        "penalty-not-on-bias",
        "the biases' penalty forgotten",
        "the loss penalises biases, the gradient does not.",
        _not_on_bias,
        "λ = 0, all biases 0, a loss that does not penalise biases",
        question=SCOPE,
    ),
    _bug(
        "penalty-last-layer-only",
        "the penalty in the output layer alone",
        "only the output layer's gradient has the penalty.",
        _last_layer_only,
        "λ = 0, one layer",
        question=SCOPE,
        line="Add λW in every layer, inside the loop over layers.",
    ),
    _bug(
        "penalty-l1-as-l2",
        "the L1 penalty differentiated as a square",
        "the L1 penalty was differentiated as if it were squared.",
        _l1_as_l2,
        "λ₁ = 0",
    ),
    _bug(
        "penalty-l1-missing",
        "the L1 part forgotten",
        "the gradient of the L1 part of the penalty is left out.",
        _l1_missing,
        "λ₁ = 0",
        confused=("penalty-missing",),
    ),
)
