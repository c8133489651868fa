"""What does the subject compute? Activation, output, loss, reduction, from its forward values alone.

The gradient is never used: a convention is only accepted where the *loss* shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.architecture import DEFAULT_OUTPUT, LOSSES, PROBABILITY_LOSSES, Architecture, mlp
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.search.cases.sample import GENERIC, random_case
from bpcheck.search.judging import UNSCALED, Judge, Scaling, network_of
from bpcheck.strategies.numbers import DECIMALS, readable

__all__ = ["Inference", "Observed", "infer", "observe", "probe_case"]

# Depths to try, the commonest student's network first.
DEPTHS = (2, 3, 1, 4)

# One probe for each of these batch sizes: all different, and none equal to the number of outputs, so
# that a mean over examples, a mean over outputs and a sum cannot be mistaken for one another.
BATCHES = (4, 5, 7)
OUTPUTS = 3

# Widths of hidden layers and input, shuffled: distinct from one another and from OUTPUTS.
WIDTHS = (4, 5, 6, 2, 7)

# The first probe's last layer is stretched by this, so that some residuals exceed Huber's δ = 1.
STRETCH = 3.0

# Targets between these tell Huber from half MSE even where outputs are bounded by 1.
FAR_TARGETS = (2.5, 4.0)

# A loss with a logarithm counts as meant if it is this close on every probe: an ε inside the logarithm
# changes it by a relative 1e-15 (ε = 1e-15) to some 1e-4 (ε = 1e-5) on these probes.
NEAR = 1e-3

# A penalty factor is accepted if two probes agree on it to this: far above rounding in the difference
# of two losses (1e-12), far below chance.
SAME_PENALTY = 1e-6
PENALTY_DIGITS = 4  # people write 0.1, 1e-4, 0.0005

SCALINGS = (
    UNSCALED,
    Scaling("2 × ", lambda a: 2.0),
    Scaling("½ × ", lambda a: 0.5),
    Scaling("1/outputs × ", lambda a: 1.0 / a.outputs),
)


@dataclass(frozen=True)
class Inference:
    """A fit.

    Attributes
    ----------
    template : Architecture
        Activation, output, loss, reduction and penalty count; its widths do not.
    scaling : Scaling
    depths : tuple of int
        Numbers of weight layers that the subject accepts.
    text : str
        What was inferred, for the report.
    warnings : tuple of str
    unchecked : tuple of str
        Networks that are left out, and why.
    """

    template: Architecture
    scaling: Scaling
    depths: tuple[int, ...]
    text: str
    warnings: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


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
    precisions : tuple of dtype
        What each loss was computed in.
    equal : bool
        Whether all widths are equal: asked only where distinct widths raise, to tell code for another
        depth from code with a bug in its shapes.
    """

    depth: int
    cases: tuple[Case, ...]
    losses: tuple[float, ...] = ()
    error: SubjectError | None = None
    equal: bool = False
    precisions: tuple[Any, ...] = ()


def observe(
    judge: Judge,
    rng: np.random.Generator,
    *,
    widths: Sequence[int] | None = None,
    batch: int | None = None,
) -> tuple[list[Observed], str]:
    """Call the subject on probes of several depths; also a fault of its return value, if there is one.

    The targets are one-hot rows, which every loss accepts.
    """
    found: list[Observed] = []
    outputs = OUTPUTS + 1 if batch == OUTPUTS else OUTPUTS
    for depth in DEPTHS if widths is None else (len(widths) - 1,):
        drawn = [int(w) for w in rng.permutation(WIDTHS)[:depth]] + [outputs]
        for equal in (False, True):
            probe = mlp(widths or ([outputs] * (depth + 1) if equal else drawn))
            # equal widths go with as many examples: then a sum over the wrong axis fits too
            sizes = (batch,) * len(BATCHES) if batch else (outputs,) * len(BATCHES) if equal else BATCHES
            cases = tuple(
                probe_case(rng, probe, size, STRETCH if i == 0 else 1.0) for i, size in enumerate(sizes)
            )
            losses: list[float] = []
            precisions: list[Any] = []
            try:
                for case in cases:
                    asked = judge.ask(case)
                    faults = [f for f in asked.findings if f.path in ("loss", "return value")]
                    if faults:
                        return found, f"{faults[0].path}: {faults[0].reason}"
                    losses.append(float("nan") if asked.loss is None else asked.loss)
                    precisions.append(asked.precision)
            except SubjectError as error:
                found.append(Observed(depth, cases, error=error, equal=equal))
                continue
            found.append(Observed(depth, cases, tuple(losses), equal=equal, precisions=tuple(precisions)))
            break
    return found, ""


def probe_case(rng: np.random.Generator, architecture: Architecture, batch: int, stretch: float) -> Case:
    """A generic case with one-hot targets."""
    case = random_case(rng, architecture, GENERIC, batch=batch)
    last = {**case.params[-1], "weight": np.round(case.params[-1]["weight"] * stretch, DECIMALS)}
    classes = architecture.outputs
    one_hot = np.eye(classes)[rng.integers(classes, size=batch)]
    return replace(case, params=[*case.params[:-1], last], y=one_hot)


def _templates(widths: Sequence[int]) -> Iterator[Architecture]:
    hidden = ACTIVATIONS if len(widths) > 2 else ("tanh",)
    for activation in hidden:
        for loss in LOSSES:
            outputs = (DEFAULT_OUTPUT[loss],) if loss in PROBABILITY_LOSSES else ACTIVATIONS
            for output in outputs:
                yield mlp(widths, activation=activation, output=output, loss=loss)


def infer(judge: Judge, rng: np.random.Generator, observations: Sequence[Observed]) -> Inference | str:
    """The simplest template that explains the losses, or a sentence that says why there is none.

    Parameters
    ----------
    judge : Judge
    rng : numpy.random.Generator
        For further probes where several templates explain everything.
    observations : sequence of Observed
        From :func:`observe`.

    Returns
    -------
    Inference or str
    """
    answered = [observed for observed in observations if observed.error is None]
    if not any(any(observed.losses) for observed in answered):
        return "its loss is 0 on every network tried, which tells nothing"
    nearest: tuple[float, Architecture, Scaling] | None = None
    for observed in answered:
        fits = []
        for template, scaling in _near(observed):
            exact, misfit = _misfit(judge, observed, template, scaling)
            if exact:
                fits.append((template, scaling))
            elif misfit <= NEAR and (nearest is None or misfit < nearest[0]):
                nearest = (misfit, template, scaling)
        if fits:
            template, scaling = _told_apart(judge, rng, observed, fits)
            return _on_all_depths(judge, observations, template, scaling, 0.0)
    if nearest is None:
        return ""
    misfit, template, scaling = nearest
    if template.loss not in PROBABILITY_LOSSES:
        return (
            f"its loss is nearly {scaling.label}{template.loss} with {_words(template)}, but off by up to a relative "
            f"{misfit:.1e}: another slope, an approximation, a penalty?"
        )
    return _on_all_depths(judge, observations, template, scaling, misfit)


def _near(observed: Observed) -> Iterator[tuple[Architecture, Scaling]]:
    """Templates whose plain cost is near the subject's on the first probes: a cheap first sieve.

    A difference that is one multiple of ½‖W‖² on two probes is a penalty with that factor.
    """
    first, second = observed.cases[0], observed.cases[1]
    half_squares = {
        biases: [_half_square(case, biases) for case in (first, second)] for biases in (False, True)
    }
    for template in _templates(dense_chain(first.architecture).widths):
        with np.errstate(all="ignore"):
            means = [float(network_of(template).cost(c.params, c.x, c.y)) for c in (first, second)]
        for reduction, size in (("mean", (1, 1)), ("sum", (first.batch, second.batch))):
            for scaling in SCALINGS:
                factor = scaling.factor(template)
                rest = [
                    loss - factor * mean * m
                    for loss, mean, m in zip(observed.losses[:2], means, size, strict=True)
                ]
                if abs(rest[0]) <= NEAR * abs(factor * means[0] * size[0]):
                    yield replace(template, reduction=reduction), scaling
                for biases, sizes in half_squares.items():
                    penalty = _penalty_factor(rest, [factor * size for size in sizes])
                    if penalty:
                        yield (
                            replace(template, reduction=reduction, l2=penalty, penalize_bias=biases),
                            scaling,
                        )


def _half_square(case: Case, biases: bool) -> float:
    """½‖W‖² of all weights, with or without the biases."""
    return 0.5 * sum(float(np.sum(w**2)) for _, w in tree.leaves(case.params) if biases or w.ndim > 1)


def _penalty_factor(rest: Sequence[float], half_squares: Sequence[float]) -> float:
    """λ of ½λ‖W‖² if that explains the rest of both losses, else 0."""
    found = [difference / size for difference, size in zip(rest, half_squares, strict=True)]
    if not (found[0] > 0 and abs(found[0] - found[1]) <= SAME_PENALTY * found[0]):
        return 0.0
    return float(f"{found[0]:.{PENALTY_DIGITS}g}")


def _misfit(judge: Judge, observed: Observed, template: Architecture, scaling: Scaling) -> tuple[bool, float]:
    """Whether a template explains every loss within its bound, and its largest relative misfit."""
    exact, worst = True, 0.0
    precisions = observed.precisions or (np.float64,) * len(observed.cases)
    for case, loss, precision in zip(observed.cases, observed.losses, precisions, strict=True):
        described = replace(
            case, architecture=dense_chain(template).with_widths(dense_chain(case.architecture).widths)
        )
        ball = replace(judge, scaling=scaling).enclose(described, precision).loss
        mid = float(ball.mid)
        difference = abs(loss - mid)
        worst = max(worst, difference / max(abs(mid), np.finfo(float).tiny))
        exact = exact and bool(difference <= 2 * float(ball.rad) + float(ball.kink))
        if not worst <= NEAR:
            return False, worst
    return exact, worst


def _told_apart(
    judge: Judge, rng: np.random.Generator, observed: Observed, fits: list[tuple[Architecture, Scaling]]
) -> tuple[Architecture, Scaling]:
    """The one of several exact fits that also fits targets far from every output."""
    if len(fits) == 1 or any(template.loss in PROBABILITY_LOSSES for template, _ in fits):
        return fits[0]
    cases = tuple(replace(case, y=readable(rng, case.y.shape, *FAR_TARGETS)) for case in observed.cases)
    try:
        answers = [judge.ask(case) for case in cases]
    except (SubjectError, InputError):  # it does not take such targets: the first fit is as good as any
        return fits[0]
    losses = tuple(float("nan") if asked.loss is None else asked.loss for asked in answers)
    far = Observed(observed.depth, cases, losses, precisions=tuple(asked.precision for asked in answers))
    return next((fit for fit in fits if _misfit(judge, far, *fit)[0]), fits[0])


def _on_all_depths(
    judge: Judge, observations: Sequence[Observed], template: Architecture, scaling: Scaling, misfit: float
) -> Inference | str:
    """The fit with the depths where it holds, unless the subject answers at a depth where it does not."""
    depths, odd, warnings, unchecked = [], [], [], []
    for observed in observations:
        if observed.error is not None:
            continue
        exact, worst = _misfit(judge, observed, template, scaling)
        if exact or (misfit and worst <= NEAR):
            depths.append(observed.depth)
        elif not observed.equal:
            odd.append(observed)
    unread = [o.depth for o in odd if o.depth > max(depths) and _leaves_unread(judge, o, max(depths))]
    if unread:
        odd = [o for o in odd if o.depth not in unread]
        unchecked.append(
            f"networks with {_listed(sorted(unread))} were not checked: the function uses the first "
            f"{max(depths)} only, whatever the parameters of the others are"
        )
    if odd:
        return (
            f"its loss is {scaling.label}{template.loss} with {_words(template)} on networks with "
            f"{_listed(sorted(set(depths)))}, but not with {_listed([o.depth for o in odd])}"
        )
    for observed in observations:
        if observed.depth in (*depths, *unread):
            continue
        if observed.error is not None and observed.equal:
            cause = observed.error.__cause__
            unchecked.append(
                f"networks with {_listed([observed.depth])} were not checked: there the function raised "
                f"{type(cause).__name__}: {cause}"
            )
        elif observed.error is None:
            unchecked.append(
                f"networks with {_listed([observed.depth])} were not checked: the function takes them only if all "
                "widths are equal, and then computes something else"
            )
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
    probes = sum(len(o.cases) for o in observations if o.error is None)
    text = f"{_words(template)}, {scaling.label}{template.loss} loss, {template.reduction} over the batch"
    if template.l2:
        text += f", l2={template.l2:g}{' on biases too' if template.penalize_bias else ''}"
    text += f" (inferred from the loss on {probes} networks)"
    return Inference(template, scaling, tuple(sorted(set(depths))), text, tuple(warnings), tuple(unchecked))


def _leaves_unread(judge: Judge, observed: Observed, used: int) -> bool:
    """Whether the loss stays the same, to the last bit, when every layer beyond the first few has other numbers.

    Code that is written for two layers, ``params["W1"] … params["b2"]``, runs on deeper networks all the same.
    """
    for case, loss in zip(observed.cases, observed.losses, strict=True):
        rest = [{name: array + 1.0 for name, array in layer.items()} for layer in case.params[used:]]
        try:
            if judge.ask(replace(case, params=[*case.params[:used], *rest])).loss != loss:
                return False
        except SubjectError:
            return False
    return True


def _words(template: Architecture) -> str:
    hidden = (
        f"{dense_chain(template).hidden} hidden layers" if len(template.layers) > 1 else "no hidden layer"
    )
    return f"{hidden}, {template.output} output"


def _listed(depths: Sequence[int]) -> str:
    numbers = ", ".join(map(str, depths[:-1])) + (" and " if len(depths) > 1 else "") + str(depths[-1])
    return f"{numbers} weight layer{'s' * (depths != [1])}"
