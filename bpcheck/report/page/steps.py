"""The steps of a pass through the network, forward and backward, in the order in which they are computed."""

from __future__ import annotations

from collections.abc import Sequence

from bpcheck.report.page.layers.kinds import kind_of
from bpcheck.report.page.markup import tag
from bpcheck.report.page.numbers import layer_name, show
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.report.page.said import listed
from bpcheck.report.page.step import Step

__all__ = ["first_wrong", "numbers_of", "steps"]


def steps(found: Replay) -> tuple[Step, ...]:
    """All steps in the order in which they are computed.

    Examples
    --------
    >>> from bpcheck import Case, Report, Verdict, mlp
    >>> from bpcheck.report.page.replay import replay
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    >>> [step.kind for step in steps(replay(Report("f", Verdict.DISAGREES, counterexample=case)))]
    ['input', 'z', 'a', 'cost', 'delta', 'gradient']
    """
    name = layer_name("a", 1)
    start = Step(
        "input", 1, f"{name} = x", "The input is the activation of layer 1.",
        of_example=lambda example: listed(name, found.case.x[example]),
    )  # fmt: skip
    up = [step for layer in found.every for step in kind_of(layer.spec).forward(found, layer)]
    down, _ = _backward(found, found.layers, f"∂C/∂{found.layers[-1].name}")
    return (start, *up, _cost(found), *down)


def _cost(found: Replay) -> Step:
    architecture, top = found.case.architecture, found.layers[-1]
    penalty = " and the penalty" if architecture.l1 or architecture.l2 else ""
    examples = (
        f", the {architecture.reduction} over {found.case.batch} examples" if found.case.batch > 1 else ""
    )
    return Step(
        "cost", top.number, f"C = {architecture.loss}({top.name}, y)",
        f"How far the output is from the target y{examples}{penalty}.",
        place="the cost", of_all=tag("p", f"C = {show(found.cost)}"),
    )  # fmt: skip


def _backward(found: Replay, layers: Sequence[Layer], above: str) -> tuple[list[Step], str]:
    """The steps down through some layers, and a formula of what comes out of them at the bottom."""
    listed_steps: list[Step] = []
    for layer in reversed(layers):
        kind, inner = kind_of(layer.spec), ""
        if layer.inner:
            listed_steps += kind.arrival(found, layer, above)
            within, inner = _backward(found, layer.inner, f"∂C/∂{layer.name}")
            listed_steps += within
        listed_steps += kind.backward(found, layer, above, inner)
        above = kind.below(layer)
    return listed_steps, above


def numbers_of(listed_steps: Sequence[Step]) -> dict[tuple[str, str], int]:
    """The number of a step by its kind and the key of its layer."""
    return {(step.kind, step.key): number for number, step in enumerate(listed_steps)}


def first_wrong(listed_steps: Sequence[Step]) -> int | None:
    """Number of the first step that is wrong; None if none is.

    Examples
    --------
    >>> first_wrong((Step("z", 2, "", ""), Step("delta", 2, "", "", wrong=True)))
    1
    """
    return next((number for number, step in enumerate(listed_steps) if step.wrong), None)
