"""Every network and cost whose forward values come near those observed: a cheap first sieve, for all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.network.architecture import DEFAULT_OUTPUT, LOSSES, PROBABILITY_LOSSES, Architecture, mlp
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.network.names import is_penalised
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.loss import LOSS
from bpcheck.search.cost.observe import Observed
from bpcheck.search.scaling import UNSCALED, Scaling
from bpcheck.tree import FloatArray

__all__ = ["NEAR", "Fit", "near"]

# A loss with a logarithm counts as meant if it is this close on every probe: an ε inside the logarithm
# changes it by a relative 1e-15 (ε = 1e-15) to some 1e-4 (ε = 1e-5) on these probes.
NEAR = 1e-3

# Penalties are accepted if all probes agree on them to this: far above rounding in the difference
# of two losses (1e-12), far below chance.
SAME_PENALTY = 1e-6
PENALTY_DIGITS = 6  # people write 0.1, 1e-4, 0.0005

SCALINGS = (
    UNSCALED,
    Scaling("2 × ", lambda a: 2.0),
    Scaling("½ × ", lambda a: 0.5),
    Scaling("1/outputs × ", lambda a: 1.0 / a.outputs),
)


@dataclass(frozen=True)
class Fit:
    """A network and how its cost is counted.

    Attributes
    ----------
    template : Architecture
        Its widths do not count.
    scaling : Scaling
    divided : bool
        Whether the penalty is divided by the batch size, as λ/2m beside a mean; the template then says what m times the
        cost is: a sum with the penalty.
    """

    template: Architecture
    scaling: Scaling
    divided: bool = False


def near(observed: Observed, *, sums: bool, divided: bool) -> Iterator[Fit]:
    """Networks whose plain cost is near the first loss, then those that a penalty brings to all of them.

    Parameters
    ----------
    observed : Observed
    sums, divided : bool
        Whether the cost may be a sum over the batch, and a penalty divided by its size: not where each loss is the mean of
        those of single examples.
    """
    counts = list(_counts(observed, ("mean", "sum") if sums else ("mean",)))
    plain = np.array([values for _, values in counts])
    with np.errstate(all="ignore"):
        rest = np.array(observed.losses) - plain
        close = abs(rest[:, 0]) <= NEAR * abs(plain[:, 0])
    yield from (counts[index][0] for index in np.flatnonzero(close))
    factors = np.array([fit.scaling.factor(fit.template) for fit, _ in counts])
    for penalty in _penalties(observed.cases, (False, True) if divided else (False,)):
        for index, strengths in penalty.explained(rest / factors[:, None]):
            fit = counts[index][0]
            said = replace(fit.template, penalize_bias=penalty.biases, **strengths)
            if not penalty.divided:
                yield Fit(said, fit.scaling)
            elif said.reduction == "mean":
                yield Fit(replace(said, reduction="sum"), fit.scaling, divided=True)


def _counts(observed: Observed, reductions: Sequence[str]) -> Iterator[tuple[Fit, FloatArray]]:
    """Every network without a penalty, in every count, with its cost on each probe."""
    sizes = np.array([case.batch for case in observed.cases], dtype=float)
    for template, means in _means(observed.cases):
        for reduction in reductions:
            values = means * sizes if reduction == "sum" else means
            counted = replace(template, reduction=reduction)
            for scaling in SCALINGS:
                yield Fit(counted, scaling), scaling.factor(template) * values


def _means(cases: Sequence[Case]) -> Iterator[tuple[Architecture, FloatArray]]:
    """Every network and loss with its mean on each case; what is shared is computed once."""
    widths = dense_chain(cases[0].architecture).widths
    with np.errstate(all="ignore"):
        for activation in ACTIVATIONS if len(widths) > 2 else ("tanh",):
            logits = [_logits(case, activation) for case in cases]
            outputs = {output: [ACTIVATION[output].value(z) for z in logits] for output in ACTIVATIONS}
            for loss in LOSSES:
                fused = loss in PROBABILITY_LOSSES
                for output in (DEFAULT_OUTPUT[loss],) if fused else ACTIVATIONS:
                    values = zip(logits if fused else outputs[output], cases, strict=True)
                    means = np.array([float(np.mean(LOSS[loss].value(a, case.y))) for a, case in values])
                    yield mlp(widths, activation=activation, output=output, loss=loss), means


def _logits(case: Case, activation: str) -> FloatArray:
    """What goes into the last activation."""
    a = np.asarray(case.x)
    for index, layer in enumerate(case.params):
        z = np.asarray(a @ layer["weight"].T + layer["bias"])
        a = z if index == len(case.params) - 1 else ACTIVATION[activation].value(z)
    return a


@dataclass(frozen=True)
class _Penalty:
    """A penalty of unknown strength.

    Attributes
    ----------
    names : tuple of str
        ``"l1"``, ``"l2"`` or both.
    sizes : array of shape (probes, names)
        What each would add at strength 1.
    biases, divided : bool
        Whether it covers biases; whether it is divided by the batch size.
    """

    names: tuple[str, ...]
    sizes: FloatArray
    biases: bool
    divided: bool

    def explained(self, rest: FloatArray) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of ``rest`` that it explains on every probe, with its strengths."""
        with np.errstate(all="ignore"):
            found = rest @ np.linalg.pinv(self.sizes).T
            off = abs(rest - found @ self.sizes.T)
            good = (off <= SAME_PENALTY * abs(rest)).all(axis=1) & (found > 0).all(axis=1)
        for index in np.flatnonzero(good):
            yield int(index), {n: _short(float(s)) for n, s in zip(self.names, found[index], strict=True)}


def _short(strength: float) -> float:
    """The shortest number that is the same to SAME_PENALTY."""
    for digits in range(1, PENALTY_DIGITS):
        if abs(float(f"{strength:.{digits}g}") - strength) <= SAME_PENALTY * strength:
            return float(f"{strength:.{digits}g}")
    return float(f"{strength:.{PENALTY_DIGITS}g}")


def _penalties(cases: Sequence[Case], ways: Sequence[bool]) -> Iterator[_Penalty]:
    """Undivided and divided ones, the simplest first."""
    batches = np.array([[float(case.batch)] for case in cases])
    for divided in ways:
        for names in (("l2",), ("l1",), ("l1", "l2")):
            for biases in (False, True):
                sizes = np.array([[_size(case, name, biases=biases) for name in names] for case in cases])
                yield _Penalty(names, sizes / batches if divided else sizes, biases, divided)


def _size(case: Case, name: str, *, biases: bool) -> float:
    """‖W‖₁ or ½‖W‖² of all that is penalised."""
    architecture = replace(case.architecture, penalize_bias=biases)
    penalised = [leaf for path, leaf in tree.leaves(case.params) if is_penalised(architecture, path)]
    return float(sum(np.sum(abs(w)) if name == "l1" else 0.5 * np.sum(w**2) for w in penalised))
