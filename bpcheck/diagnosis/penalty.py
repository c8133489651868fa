"""Bugs of the weight penalty: what is left when the data term is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck.diagnosis.backward import Forward, Rules
from bpcheck.diagnosis.bug import Bug
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

RIGHT = Rules()


def _none(f: Forward, name: str, values: FloatArray) -> Any:
    return 0.0


def _times(factor: Any) -> Any:
    return lambda f, name, values: factor(f) * RIGHT.penalty(f, name, values)


def _on_bias(f: Forward, name: str, values: FloatArray) -> Any:
    a = f.case.architecture
    return a.l1 * np.sign(values) + a.l2 * values


def _not_on_bias(f: Forward, name: str, values: FloatArray) -> Any:
    return 0.0 if name == "bias" else RIGHT.penalty(f, name, values)


def _l1_as_l2(f: Forward, name: str, values: FloatArray) -> Any:
    a = f.case.architecture
    applies = name != "bias" or a.penalize_bias
    return (a.l1 + a.l2) * values if applies else 0.0


def _bug(slug: str, explanation: str, rule: Any, silent: str = "λ = 0") -> Bug:
    hint = "½λ‖W‖² has the gradient λW, λ‖W‖₁ has λ sign(W); both are added once, not divided by m."
    return Bug(slug, "penalty", explanation, hint, RIGHT.but(penalty=rule), silent)


BUGS = (
    _bug("penalty-missing", "the loss has a weight penalty, the gradient has not.", _none),
    _bug(
        "penalty-doubled",
        "the gradient of the penalty is twice too large (2λW for λW).",
        _times(lambda f: 2.0),
    ),
    _bug(
        "penalty-halved", "the gradient of the penalty is half of what it should be.", _times(lambda f: 0.5)
    ),
    _bug(
        "penalty-averaged",
        "the gradient of the penalty is divided by the batch size.",
        _times(lambda f: 1.0 / f.case.batch),
        "λ = 0, batch of one",
    ),
    _bug("penalty-sign", "the gradient of the penalty has the wrong sign.", _times(lambda f: -1.0)),
    _bug("penalty-on-bias", "the gradient penalises biases, the loss does not.", _on_bias),
    _bug("penalty-not-on-bias", "the loss penalises biases, the gradient does not.", _not_on_bias),
    _bug("penalty-l1-as-l2", "the L1 penalty was differentiated as if it were squared.", _l1_as_l2, "λ₁ = 0"),
)
