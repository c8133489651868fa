"""What does the subject compute? Activation, output, loss, reduction, penalty, from its forward values alone.

The gradient is never used: a convention is only accepted where the *loss* shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bpcheck.errors import InputError, SubjectError
from bpcheck.network.architecture import PROBABILITY_LOSSES, Architecture
from bpcheck.network.dense_chain import dense_chain
from bpcheck.search.cost.observe import Observations, Observed
from bpcheck.search.cost.sieve import NEAR, Fit, near
from bpcheck.search.judging import Judge
from bpcheck.search.scaling import UNSCALED, Scaling
from bpcheck.strategies.numbers import readable

__all__ = ["Inference", "infer", "words"]

# Targets between these tell Huber from half MSE even where outputs are bounded by 1.
FAR_TARGETS = (2.5, 4.0)


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
    divided : bool
        Whether the penalty is divided by the batch size: the template then says what m times the cost is.
    """

    template: Architecture
    scaling: Scaling
    depths: tuple[int, ...]
    text: str
    warnings: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    divided: bool = False


def infer(judge: Judge, rng: np.random.Generator, observations: Observations) -> Inference | str:
    """The simplest network and cost that explain the losses, or a sentence that says why there is none.

    Parameters
    ----------
    judge : Judge
    rng : numpy.random.Generator
        For further probes where several explain everything.
    observations : Observations
        From :func:`bpcheck.search.cost.observe.observe`.

    Returns
    -------
    Inference or str
    """
    answered = observations.answered
    if not any(any(observed.losses) for observed in answered):
        return "its loss is 0 on every network tried, which tells nothing"
    nearly: list[tuple[float, Fit]] = []
    for observed in answered:
        tried = [(*_misfit(judge, observed, fit), fit) for fit in _near(judge, observed)]
        fits = [fit for exact, _, fit in tried if exact]
        if fits:
            return _on_all_depths(judge, observations, _told_apart(judge, rng, observed, fits), 0.0)
        nearly += [(misfit, fit) for _, misfit, fit in tried if misfit <= NEAR]
    if not nearly:
        return ""
    misfit, fit = min(nearly, key=lambda one: one[0])
    if fit.template.loss not in PROBABILITY_LOSSES:
        return (
            f"its loss is nearly {_cost(fit)}, but off by up to a relative {misfit:.1e}: another slope, an approximation, a "
            "penalty?"
        )
    return _on_all_depths(judge, observations, fit, misfit)


def _near(judge: Judge, observed: Observed) -> Iterator[Fit]:
    """What may be meant: one example at a time shows no sum, and nothing that is divided by the batch size."""
    said = judge.conventions
    return near(observed, sums=not said.per_example, divided=not said.per_example and said.penalty is None)


def _misfit(judge: Judge, observed: Observed, fit: Fit) -> tuple[bool, float]:
    """Whether a fit explains every loss within its bound, and its largest relative misfit."""
    exact, worst = True, 0.0
    template = dense_chain(fit.template)
    for case, loss, precision in zip(observed.cases, observed.losses, observed.precisions, strict=True):
        described = replace(case, architecture=template.with_widths(dense_chain(case.architecture).widths))
        ball = replace(judge, scaling=fit.scaling).enclose(described, precision).loss
        mid = float(ball.mid)
        difference = abs(loss * (case.batch if fit.divided else 1) - mid)
        worst = max(worst, difference / max(abs(mid), np.finfo(float).tiny))
        exact = exact and bool(difference <= 2 * float(ball.rad) + float(ball.kink))
        if not worst <= NEAR:
            return False, worst
    return exact, worst


def _told_apart(judge: Judge, rng: np.random.Generator, observed: Observed, fits: list[Fit]) -> Fit:
    """The one of several exact fits that also fits targets far from every output."""
    if len(fits) == 1 or any(fit.template.loss in PROBABILITY_LOSSES for fit in fits):
        return fits[0]
    cases = tuple(
        judge.fitted(replace(case, y=readable(rng, case.y.shape, *FAR_TARGETS))) for case in observed.cases
    )
    try:
        answers = [judge.ask(case) for case in cases]
    except (SubjectError, InputError):  # it does not take such targets: the first fit is as good as any
        return fits[0]
    losses = tuple(float("nan") if asked.loss is None else asked.loss for asked in answers)
    far = replace(
        observed, cases=cases, losses=losses, precisions=tuple(asked.precision for asked in answers)
    )
    return next((fit for fit in fits if _misfit(judge, far, fit)[0]), fits[0])


def _on_all_depths(judge: Judge, observations: Observations, fit: Fit, misfit: float) -> Inference | str:
    """The fit with the depths where it holds, unless the subject answers at a depth where it does not."""
    holds = [observed for observed in observations.answered if _holds(judge, observed, fit, misfit)]
    depths = sorted({observed.depth for observed in holds})
    odd = [observed for observed in observations.distinct if observed not in holds]
    unread = [o.depth for o in odd if o.depth > depths[-1] and _leaves_unread(judge, o, depths[-1])]
    if len(unread) < len(odd):
        other = [observed.depth for observed in odd if observed.depth not in unread]
        return f"its loss is {_cost(fit)} on networks with {_listed(depths)}, but not with {_listed(other)}"
    left = [observed for observed in observations.seen if observed.depth not in (*depths, *unread)]
    unchecked = tuple(filter(None, (_unread(unread, depths[-1]), *map(_why_not_checked, left))))
    probes = sum(len(observed.cases) for observed in observations.answered)
    text = f"{words(fit)} (inferred from the loss on {probes} networks)"
    warnings = tuple(_on_the_cost(fit, misfit))
    return Inference(fit.template, fit.scaling, tuple(depths), text, warnings, unchecked, fit.divided)


def _on_the_cost(fit: Fit, misfit: float) -> list[str]:
    """What to say of a loss that is only nearly the one that was found, or that times a factor."""
    cost, said = f"{fit.scaling.label}{fit.template.loss}", []
    if misfit:
        said.append(
            f"the loss is only nearly {cost}: it differs by up to a relative {misfit:.1e} (an ε inside a logarithm?)"
        )
    if fit.scaling is not UNSCALED:
        said.append(
            f"the loss is {cost}, and the gradient was held to the same factor: a convention, not a bug"
        )
    return said


def _holds(judge: Judge, observed: Observed, fit: Fit, misfit: float) -> bool:
    exact, worst = _misfit(judge, observed, fit)
    return exact or (misfit > 0 and worst <= NEAR)


def _unread(depths: list[int], used: int) -> str:
    if not depths:
        return ""
    return (
        f"networks with {_listed(sorted(depths))} were not checked: the function uses the first {used} only, whatever the "
        "parameters of the others are"
    )


def _why_not_checked(observed: Observed) -> str:
    """What to say of a depth at which the fit does not hold; empty where nothing was learnt."""
    where = f"networks with {_listed([observed.depth])} were not checked"
    if observed.error is not None and observed.equal:
        cause = observed.error.__cause__
        return f"{where}: there the function raised {type(cause).__name__}: {cause}"
    if observed.error is None:
        return (
            f"{where}: the function takes them only if all widths are equal, and then computes something else"
        )
    return ""


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


def words(fit: Fit | Inference) -> str:
    """The network and its cost: ``tanh hidden layers, identity output, half_mse loss, mean over the batch``."""
    template = fit.template
    reduction = "mean" if fit.divided else template.reduction
    text = f"{_network(template)}, {fit.scaling.label}{template.loss} loss, {reduction} over the batch"
    penalties = [f"{name}={getattr(template, name):g}" for name in ("l1", "l2") if getattr(template, name)]
    if penalties:
        text += f", {', '.join(penalties)}{' on biases too' if template.penalize_bias else ''}"
    return text + (", divided by the batch size" if fit.divided else "")


def _cost(fit: Fit) -> str:
    return f"{fit.scaling.label}{fit.template.loss} with {_network(fit.template)}"


def _network(template: Architecture) -> str:
    hidden = (
        f"{dense_chain(template).hidden} hidden layers" if len(template.layers) > 1 else "no hidden layer"
    )
    return f"{hidden}, {template.output} output"


def _listed(depths: Sequence[int]) -> str:
    numbers = ", ".join(map(str, depths[:-1])) + (" and " if len(depths) > 1 else "") + str(depths[-1])
    return f"{numbers} weight layer{'s' * (list(depths) != [1])}"
