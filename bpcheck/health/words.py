"""The text of a result: the verdict, what helps, and a table that fits a screen."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import pairwise

from bpcheck.health.findings import Finding
from bpcheck.health.numbers import Clipping, LayerHealth, TensorHealth

__all__ = ["render"]

WIDTH = 80
INDENT = "  "

MOST_ROWS = 22
"""Rows that fit a terminal with the verdict above them; of more, the first and the last are shown."""

LEGEND = (
    "From the output down. a, δ: root mean squares. factor: δ over the δ above; theory: what independent weights of "
    "this size would give. ‖J‖: most that one step can stretch an error; ‖J⋯J‖: most that all steps from the output "
    "can, the norm of the product itself; medians over {examples}. dead: units with σ' = 0 for the whole batch."
)
TENSOR_LEGEND = "In the order given, the lowest layer first. factor: rms over the rms of the next weights."


def render(
    findings: Sequence[Finding],
    *,
    layers: Sequence[LayerHealth],
    tensors: Sequence[TensorHealth],
    clipping: Sequence[Clipping],
    examples: int,
    total: float,
    drawn: str,
) -> str:
    """The whole result as text; ``drawn`` says what was drawn, and from which seed, if anything was."""
    title = "gradient health: "
    advice = dict.fromkeys(text for finding in findings for text in finding.remedies)
    blocks = [
        textwrap.fill(title + findings[0].text, WIDTH, subsequent_indent=" " * len(title)),
        *(_fill(finding.text, "also ") for finding in findings[1:]),
        "\n".join(_fill(text, "or    " if i else "to do ") for i, text in enumerate(advice)),
        _layers(layers, examples) if layers else _tensors(tensors),
        _fill(_weights(layers, total), "") if len(layers) > 1 else "",
        *(_fill(_clipping(one), "") for one in clipping),
        _fill(drawn, ""),
    ]
    return "\n\n".join(filter(None, blocks))


def _fill(text: str, label: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=INDENT + label,
        subsequent_indent=INDENT + " " * len(label),
        break_on_hyphens=False,
    )


def _number(value: float) -> str:
    """Two or three digits: 0.243, 12.3, 1.2e-5, –."""
    if math.isnan(value):
        return "–"
    if value == 0 or 0.1 <= abs(value) < 1000:
        return f"{value:.3g}"
    if 0.001 <= abs(value) < 1:
        return f"{value:.2g}"
    if math.isinf(value):
        return "∞"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _aligned(rows: Sequence[Sequence[str]], left: int) -> str:
    """Columns: the one with number ``left`` to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    between = "  " if len(INDENT) + sum(widths) + 2 * (len(widths) - 1) <= WIDTH else " "
    return "\n".join(
        (
            INDENT
            + between.join(
                cell.ljust(width) if i == left else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        ).rstrip()
        for row in rows
    )


def _shortened(rows: list[Sequence[str]]) -> list[Sequence[str]]:
    if len(rows) <= MOST_ROWS:
        return rows
    half = MOST_ROWS // 2
    return [*rows[:half], ["⋮", *[""] * (len(rows[0]) - 1)], *rows[-half:]]


def _layers(layers: Sequence[LayerHealth], examples: int) -> str:
    head = ["layer", "units, σ", "a", "δ", "factor", "theory", "‖J‖", "‖J⋯J‖", "∂C/∂W", "dead"]
    rows = _shortened([_row(layer) for layer in reversed(layers)])
    legend = LEGEND.format(examples=f"{examples} example{'s' * (examples != 1)}")
    return _aligned([head, *rows], left=1) + "\n" + _fill(legend, "")


def _row(layer: LayerHealth) -> Sequence[str]:
    return [
        str(layer.number),
        layer.name,
        *map(
            _number,
            (
                layer.activation_rms,
                layer.error_rms,
                layer.factor,
                layer.expected,
                layer.jacobian,
                layer.product,
                layer.weight_gradient_rms,
            ),
        ),
        f"{layer.dead:.0%}",
    ]


def _tensors(tensors: Sequence[TensorHealth]) -> str:
    above: dict[int, float] = {}
    weights = [i for i, tensor in enumerate(tensors) if tensor.is_weight] or list(range(len(tensors)))
    for low, high in pairwise(weights):
        above[low] = tensors[low].rms / tensors[high].rms if tensors[high].rms else math.nan
    rows: list[Sequence[str]] = [
        [
            tensor.path,
            "×".join(map(str, tensor.shape)) or "one number",
            *map(_number, (tensor.rms, tensor.norm, tensor.largest)),
            _number(above.get(i, math.nan)),
            f"{tensor.zeros:.0%}",
            str(tensor.nonfinite),
        ]
        for i, tensor in enumerate(tensors)
    ]
    head = ["tensor", "shape", "rms", "norm", "largest", "factor", "zeros", "not finite"]
    return _aligned([head, *_shortened(rows)], left=0) + "\n" + _fill(TENSOR_LEGEND, "")


def _weights(layers: Sequence[LayerHealth], total: float) -> str:
    low, top = layers[0].dense[0], layers[-1].dense[-1]
    ratio = low.weight_gradient_rms / top.weight_gradient_rms if top.weight_gradient_rms else math.nan
    return (
        f"δ of the lowest layer is {_number(total)} of the last one's; ∂C/∂W, which is δ times the activations "
        f"below, {_number(ratio)}"
    )


def _clipping(clipping: Clipping) -> str:
    what = "its norm" if clipping.rule == "norm" else "each entry"
    return (
        f"clipping {what} to {clipping.limit:g}: norm {_number(clipping.norm_before)} becomes "
        f"{_number(clipping.norm_after)}, {clipping.changed:.0%} of the entries change; the lowest weights' gradient over "
        f"the last's: {_number(clipping.ratio_before)} before, {_number(clipping.ratio_after)} after"
    )
