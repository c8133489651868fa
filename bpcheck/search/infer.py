"""What does the subject compute? Activation, output, loss, reduction, from its forward values alone.

The gradient is never used: a convention is only accepted where the *loss* shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bpcheck.architecture import (
    ACTIVATIONS,
    DEFAULT_OUTPUT,
    LOSSES,
    PROBABILITY_LOSSES,
    Architecture,
    mlp,
)
from bpcheck.case import Case
from bpcheck.errors import SubjectError
from bpcheck.search.judging import UNSCALED, Judge, Scaling, network_of
from bpcheck.search.sample import GENERIC, random_case
from bpcheck.strategies.numbers import DECIMALS

__all__ = ["Inference", "Observed", "infer", "observe"]

# Depths to try, the commonest student's network first.
DEPTHS = (2, 3, 1, 4)
CASES_PER_DEPTH = 3
OUTPUTS = 3

# Without an exact fit, the nearest one is taken for what was meant if it is this close on every case
# (an ε inside a logarithm changes a loss by a relative 1e-8 … 1e-4) ...
NEAR = 1e-3
# ... and this many times closer than the next: rounding or an ε separates them, chance does not.
CLEARLY_NEARER = 10.0

SCALINGS = (
    UNSCALED,
    Scaling("2 × ", lambda a: 2.0),
    Scaling("½ × ", lambda a: 0.5),
    Scaling("1/outputs × ", lambda a: 1.0 / a.widths[-1]),
)


@dataclass(frozen=True)
class Inference:
    """A fit.

    Attributes
    ----------
    template : Architecture
        Activation, output, loss and reduction count; its widths do not.
    scaling : Scaling
    depths : tuple of int
        Numbers of weight layers that the subject accepts.
    text : str
        What was inferred, for the report.
    warnings : tuple of str
    """

    template: Architecture
    scaling: Scaling
    depths: tuple[int, ...]
    text: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """Losses of the subject on probes of one depth, or the error that it raised.

    Attributes
    ----------
    depth : int
        Number of weight layers.
    cases : tuple of Case
    losses : tuple of float
    error : SubjectError or None
    equal : bool
        Whether all widths are equal: asked only where distinct widths raise, to tell code for another
        depth from code with a bug in its shapes.
    """

    depth: int
    cases: tuple[Case, ...]
    losses: tuple[float, ...] = ()
    error: SubjectError | None = None
    equal: bool = False


def observe(
    judge: Judge,
    rng: np.random.Generator,
    *,
    widths: Sequence[int] | None = None,
    batch: int | None = None,
) -> tuple[list[Observed], str]:
    """Call the subject on probes of several depths; also a fault of its return value, if there is one.

    The targets are one-hot rows, which every loss accepts; three outputs and at least three examples
    keep means, sums and halves apart; residuals above 1 keep Huber and half MSE apart.
    """
    found: list[Observed] = []
    for depth in DEPTHS if widths is None else (len(widths) - 1,):
        drawn = [int(w) for w in rng.permutation([4, 5, 6, 2, 7])[:depth]] + [OUTPUTS]
        for equal in (False, True):
            probe = mlp(widths or ([OUTPUTS] * (depth + 1) if equal else drawn))
            # equal widths go with as many examples: then a sum over the wrong axis fits too
            cases = _probes(rng, probe, OUTPUTS if equal and batch is None else batch)
            losses: list[float] = []
            try:
                for case in cases:
                    asked = judge.ask(case)
                    faults = [f for f in asked.findings if f.path in ("loss", "return value")]
                    if faults:
                        return found, f"{faults[0].path}: {faults[0].reason}"
                    losses.append(float("nan") if asked.loss is None else asked.loss)
            except SubjectError as error:
                found.append(Observed(depth, cases, error=error, equal=equal))
                continue
            found.append(Observed(depth, cases, tuple(losses), equal=equal))
            break
    return found, ""


def _probes(rng: np.random.Generator, probe: Architecture, batch: int | None) -> tuple[Case, ...]:
    """Cases of one network: one-hot targets, and one case with large outputs."""
    cases = []
    for index in range(CASES_PER_DEPTH):
        case = random_case(rng, probe, GENERIC, batch=batch)
        stretch = 3.0 if index == 0 else 1.0
        last = {**case.params[-1], "weight": np.round(case.params[-1]["weight"] * stretch, DECIMALS)}
        classes = probe.widths[-1]
        one_hot = np.eye(classes)[rng.integers(classes, size=case.batch)]
        cases.append(replace(case, params=[*case.params[:-1], last], y=one_hot))
    return tuple(cases)


def _templates(widths: Sequence[int]) -> Iterator[Architecture]:
    hidden = ACTIVATIONS if len(widths) > 2 else ("tanh",)
    for activation in hidden:
        for loss in LOSSES:
            outputs = (DEFAULT_OUTPUT[loss],) if loss in PROBABILITY_LOSSES else ACTIVATIONS
            for output in outputs:
                yield mlp(widths, activation=activation, output=output, loss=loss)


def _misfit(judge: Judge, observed: Observed, template: Architecture, scaling: Scaling) -> tuple[bool, float]:
    """Whether a template explains every loss within its bound, and its largest relative misfit."""
    exact, worst = True, 0.0
    for case, loss in zip(observed.cases, observed.losses, strict=True):
        described = _retarget(template, case)
        ball = replace(judge, scaling=scaling).enclose(described).loss
        mid = float(ball.mid)
        difference = abs(loss - mid)
        worst = max(worst, difference / max(abs(mid), np.finfo(float).tiny))
        exact = exact and bool(difference <= 2 * float(ball.rad) + float(ball.kink))
        if not worst <= NEAR:
            return False, worst
    return exact, worst


def _retarget(template: Architecture, case: Case) -> Case:
    """The case with the template's activations and loss on its own widths."""
    hidden = template.layers[0].activation if len(template.layers) > 1 else "tanh"  # type: ignore[union-attr]
    architecture = mlp(
        case.architecture.widths,
        activation=hidden,
        output=template.output,
        loss=template.loss,
        reduction=template.reduction,
    )
    return replace(case, architecture=architecture)


def infer(judge: Judge, observations: Sequence[Observed]) -> Inference | None:
    """The simplest template that explains the losses; None if there is none.

    Parameters
    ----------
    judge : Judge
    observations : sequence of Observed
        From :func:`observe`.

    Returns
    -------
    Inference or None
    """
    answered = [observed for observed in observations if observed.error is None]
    for observed in answered:
        fits: list[tuple[float, Architecture, Scaling]] = []
        for template, scaling in _near(observed):
            exact, misfit = _misfit(judge, observed, template, scaling)
            if exact:
                return _describe(judge, answered, observations, template, scaling, 0.0)
            if misfit <= NEAR:
                fits.append((misfit, template, scaling))
        fits.sort(key=lambda fit: fit[0])
        if fits and (len(fits) == 1 or fits[0][0] * CLEARLY_NEARER <= fits[1][0]):
            misfit, template, scaling = fits[0]
            return _describe(judge, answered, observations, template, scaling, misfit)
    return None


def _near(observed: Observed) -> Iterator[tuple[Architecture, Scaling]]:
    """Templates whose plain cost is near the subject's on the first probe: a cheap first sieve."""
    case, loss = observed.cases[0], observed.losses[0]
    for template in _templates(case.architecture.widths):
        with np.errstate(all="ignore"):
            mean = float(network_of(template).cost(case.params, case.x, case.y))
        for reduction, value in (("mean", mean), ("sum", mean * case.batch)):
            for scaling in SCALINGS:
                expected = value * scaling.factor(template)
                if abs(loss - expected) <= NEAR * abs(expected):
                    yield replace(template, reduction=reduction), scaling


def _describe(
    judge: Judge,
    answered: Sequence[Observed],
    observations: Sequence[Observed],
    template: Architecture,
    scaling: Scaling,
    misfit: float,
) -> Inference:
    depths = sorted({o.depth for o in answered if _misfit(judge, o, template, scaling)[1] <= NEAR})
    warnings = []
    if misfit:
        warnings.append(
            f"the loss is only nearly {scaling.label}{template.loss}: it differs by up to a relative {misfit:.1e} "
            "(an ε inside a logarithm?)"
        )
    if scaling is not UNSCALED:
        warnings.append(
            f"the loss is {scaling.label}{template.loss}, and the gradient was held to the same factor: "
            "a convention, not a bug"
        )
    for observed in observations:
        if observed.depth in depths:
            continue
        if observed.error is not None and observed.equal:
            cause = observed.error.__cause__
            warnings.append(
                f"networks with {_layers(observed.depth)} were not checked: there the function raised "
                f"{type(cause).__name__}: {cause}"
            )
        elif observed.error is None:
            warnings.append(
                f"networks with {_layers(observed.depth)} were not checked: there the loss is not that of such a network"
            )
    hidden = template.layers[0].activation if len(template.layers) > 1 else None  # type: ignore[union-attr]
    words = [f"{hidden} hidden layers"] if hidden else ["no hidden layer"]
    words += [
        f"{template.output} output",
        f"{scaling.label}{template.loss} loss",
        f"{template.reduction} over the batch",
    ]
    probes = sum(len(o.cases) for o in answered)
    text = ", ".join(words) + f" (inferred from the loss on {probes} networks)"
    return Inference(template, scaling, tuple(depths), text, tuple(warnings))


def _layers(depth: int) -> str:
    return "1 weight layer" if depth == 1 else f"{depth} weight layers"
