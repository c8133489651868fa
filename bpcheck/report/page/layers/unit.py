"""What all layers with weights, biases and an activation share: their steps for a and δ, and what stands in a box."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bpcheck.diagnosis.step import Step as BackwardStep
from bpcheck.report.page.markup import Html, tag
from bpcheck.report.page.numbers import layer_name, show
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.report.page.said import came_down, listed
from bpcheck.report.page.station import Numbers, Row, beside_rows, matrix
from bpcheck.report.page.step import Step

__all__ = [
    "activation_step",
    "caption",
    "delta_step",
    "equal",
    "named",
    "rows_of",
    "target_row",
    "worst_item",
]


def named(*steps: BackwardStep) -> str:
    """What a diagnosis calls these steps of a backward pass, as the beginning of an equation."""
    return ", ".join(step.equation.name if step.equation else step.name for step in steps) + ": "


def equal(name: str, formula: str) -> str:
    """``name = formula``, or the name alone where that is all that is known."""
    return name if formula == name else f"{name} = {formula}"


def activation_step(layer: Layer, meaning: str) -> Step:
    """The step a = σ(z)."""
    n = layer.number
    return Step(
        "a", n, f"{layer.name} = {layer.activation}({layer_name('z', n)})", meaning,
        key=layer.key, of_example=lambda example: listed(layer.name, layer.a[example]),
    )  # fmt: skip


def delta_step(found: Replay, layer: Layer, above: str, rule: str, meaning: str) -> Step:
    """δ = (what comes down) ⊙ σ'(z)."""
    n, name = layer.number, layer_name("δ", layer.number)
    comes = above if above.startswith("∂C/∂") else f"({above})"
    return Step(
        "delta", n, f"{rule}{name} = {comes} ⊙ σ'({layer_name('z', n)})", meaning, layer.delta.is_wrong, layer.key,
        of_example=lambda example: came_down(found, name, layer.delta, example),
    )  # fmt: skip


def worst_item(layer: Layer) -> int | None:
    """The unit or map whose gradient has the worst wrong entry."""
    for role in ("bias", "weight"):
        comparison = layer.comparisons.get(role)
        if (
            comparison is not None
            and layer.wrong_gradient(role).any()
            and comparison.in_our_layout.worst_index
        ):
            return int(comparison.in_our_layout.worst_index[0])
    return None


def caption(layer: Layer, numbers: Numbers) -> Callable[[int], Sequence[Html]]:
    """The bias of a unit or map, marked where its gradient is wrong."""
    wrong = layer.wrong_gradient("bias")
    cross = tag("tspan", " ✗", class_="bad", data_at=numbers["gradient", layer.key])

    def said(item: int) -> Sequence[Html]:
        bias = tag("tspan", f"   b {show(float(layer.params['bias'][item]), 3)}", class_="soft")
        return (bias, cross) if wrong[item] else (bias,)

    return said


def target_row(found: Replay, layer: Layer, item: int, example: int, numbers: Numbers) -> list[Row]:
    """The target, where the layer's output is the network's."""
    if not layer.is_output:
        return []
    return [Row("target y", found.case.y[example, item], numbers["cost", ""])]


def coming(found: Replay, layer: Layer, numbers: Numbers) -> int | None:
    """The step that computes ∂C/∂a of a layer, where one of its own does."""
    above = (one for one in found.every if one.entering == layer.name and not one.through)
    return next((numbers["down", one.key] for one in above if ("down", one.key) in numbers), None)


def coming_row(found: Replay, layer: Layer, item: int, example: int, numbers: Numbers) -> list[Row]:
    """∂C/∂a, where a step of its own computes it."""
    step = coming(found, layer, numbers)
    return [] if step is None else beside_rows("∂C/∂a", layer.down[example, item], step)


def rows_of(found: Replay, layer: Layer, numbers: Numbers) -> Callable[[int, int], Sequence[Row]]:
    """The numbers of a box: z and a, the target at the output, what comes down where a step of its own says it, and δ."""
    key = layer.key
    names = {"z": "z", "a": "a"} if ("a", key) in numbers else {"z": "z = a"}

    def rows(item: int, example: int) -> Sequence[Row]:
        values = {"z": layer.z[example, item], "a": layer.a[example, item]}
        return [
            *(Row(name, matrix(values[kind]), numbers[kind, key]) for kind, name in names.items()),
            *target_row(found, layer, item, example, numbers),
            *coming_row(found, layer, item, example, numbers),
            *beside_rows("δ", layer.delta[example, item], numbers["delta", key]),
        ]

    return rows
