"""The figures of notebook 4, with their data: two to play with, and charts of what the experiments found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bpcheck.course.experiments import DEEP, MINIMA, TILT, TOP, Run, gradient_noise, health
from bpcheck.course.figure import Figure, figure
from bpcheck.reference.optimizer import Adam, RMSprop, Rule, constant_rate, cosine, step_decay, warm_up
from bpcheck.training import Training

__all__ = [
    "chart",
    "descent_figure",
    "first_steps_figure",
    "health_figure",
    "minima_figure",
    "noise_figure",
    "progress_figure",
    "schedules_figure",
    "stopping_figure",
]

DIGITS_SHOWN = 5
"""Of the numbers in a chart: more than a screen has pixels."""


def chart(title: str, views: Sequence[Mapping[str, Any]]) -> Figure:
    """Lines with axes, one view at a time.

    A view has a ``label`` for the choice, ``x`` and ``y`` as {"label": …, "log": …}, ``series`` as {name: points}, and
    ``says``, a list of sentences.

    Examples
    --------
    >>> view = {"label": "a line", "x": {"label": "x"}, "y": {"label": "y"}, "series": {"line": [(0, 0), (1, 2)]}}
    >>> chart("A line", [{**view, "says": ["It rises."]}])
    <Figure: A line (shown in a notebook; save("figure.html") writes a page)>
    """
    listed = []
    for number, view in enumerate(views):
        series = [
            {"name": name, "points": [[_short(x), _short(y)] for x, y in points]}
            for name, points in view["series"].items()
        ]
        listed.append({**view, "key": str(number), "series": series})
    return figure("chart", title, {"views": listed}, height=480)


def _short(value: float) -> float:
    return float(f"{float(value):.{DIGITS_SHOWN}g}")


# --- to play with ------------------------------------------------------------------------------------------

CURVATURES = (1.0, 10.0)
BOWL_START = (-9.0, 2.4)
BOWL_STEPS = 60


def descent_figure() -> Figure:
    """A quadratic bowl, with sliders for η and μ.

    Examples
    --------
    >>> descent_figure().title
    'Gradient descent in a bowl: what the learning rate and the momentum do'
    """
    data = {"curvatures": list(CURVATURES), "start": list(BOWL_START), "steps": BOWL_STEPS}
    title = "Gradient descent in a bowl: what the learning rate and the momentum do"
    return figure("descent", title, data, height=500)


MINIMA_STARTS, MINIMA_STEPS, MINIMA_REACH = 401, 2000, 2.0
MINIMA_RATES = (0.01, 0.003, 0.001)


def minima_figure() -> Figure:
    """A cost with two minima: where descent ends, from one start and from all of them.

    Examples
    --------
    >>> minima_figure().title
    'Two minima: which one momentum ends in, from 401 starts'
    """
    data = {
        "tilt": TILT,
        "minima": list(MINIMA),
        "top": TOP,
        "starts": MINIMA_STARTS,
        "steps": MINIMA_STEPS,
        "reach": MINIMA_REACH,
        "rates": list(MINIMA_RATES),
    }
    title = f"Two minima: which one momentum ends in, from {MINIMA_STARTS} starts"
    return figure("minima", title, data, height=560)


# --- what was found ----------------------------------------------------------------------------------------

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def noise_figure() -> Figure:
    """Noise of a mini-batch's gradient against its size.

    Examples
    --------
    >>> noise_figure().title
    'How far the gradient of a mini-batch is from that of all examples'
    """
    found = gradient_noise(SIZES)
    view = {
        "label": "noise",
        "x": {"label": "examples in the mini-batch, m", "log": True},
        "y": {"label": "‖g_batch − g‖ / ‖g‖", "log": True},
        "series": {
            "measured, 200 mini-batches each": [(m, measured) for m, (measured, _) in found.items()],
            "√((N − m)/((N − 1)m)) of one example's": [(m, expected) for m, (_, expected) in found.items()],
        },
        "says": [
            f"One example's gradient is {found[1][0]:.1f} times its own size away from that of all {1400:,}: most of it is "
            f"noise. Sixteen examples make it {found[1][0] / found[16][0]:.1f} times smaller, not sixteen times.",
        ],
    }
    return chart("How far the gradient of a mini-batch is from that of all examples", [view])


FIRST_STEPS = 1000


def first_steps_figure() -> Figure:
    """The size of each step of Adam while the gradient stays the same, with and without the corrections.

    Examples
    --------
    >>> first_steps_figure().title
    'The first steps of Adam, with and without bias correction'
    """
    rules: dict[str, Rule] = {
        "Adam": Adam(lr=1.0, epsilon=0.0),
        "Adam without the corrections": Adam(lr=1.0, epsilon=0.0, bias_correction=False),
        "RMSprop, ρ = 0.999": RMSprop(lr=1.0, decay=0.999, epsilon=0.0),
    }
    looks = sorted({round(10 ** (k / 8)) for k in range(8 * 3 + 1)})
    series = {}
    for name, rule in rules.items():
        w, sizes = np.array([0.0]), {}
        state = rule.init(w)
        for t in range(1, FIRST_STEPS + 1):
            new, state = rule.step(w, np.array([1.0]), state)
            sizes[t], w = float(w[0] - new[0]), new
        series[name] = [(t, sizes[t]) for t in looks]
    bare = series["Adam without the corrections"]
    largest_at, largest = max(bare, key=lambda point: point[1])
    view = {
        "label": "steps",
        "x": {"label": "step t", "log": True},
        "y": {"label": "size of the step, in units of η", "log": True},
        "series": series,
        "says": [
            "The gradient is 1 at every step, so that every step should have the size η. With the corrections each has. "
            f"Without them the first is {bare[0][1]:.2f} η, the largest about {largest:.1f} η (t = {largest_at}), and at "
            f"t = {FIRST_STEPS} it is still {bare[-1][1]:.2f} η. RMSprop, which corrects nothing, begins at "
            f"{series['RMSprop, ρ = 0.999'][0][1]:.0f} η.",
        ],
    }
    return chart("The first steps of Adam, with and without bias correction", [view])


SCHEDULED = 100


def schedules_figure() -> Figure:
    """Four schedules over 100 steps.

    Examples
    --------
    >>> schedules_figure().title
    'Four schedules of the learning rate'
    """
    schedules = {
        "constant": constant_rate(1.0),
        "÷ 10 at every 40th step": step_decay(1.0, every=40),
        "cosine": cosine(1.0, steps=SCHEDULED),
        "10 steps of warm-up, then cosine": warm_up(cosine(1.0, steps=SCHEDULED), steps=10),
    }
    view = {
        "label": "schedules",
        "x": {"label": "step"},
        "y": {"label": "η, in units of its first value"},
        "series": {
            name: [(at, eta(t)) for t in range(SCHEDULED) for at in (t, t + 1)] for name, eta in schedules.items()
        },
        "says": ["Large steps while the way is long, small ones when noise is what is left. Warm-up: small ones at the very "
                 "beginning as well."],
    }  # fmt: skip
    return chart("Four schedules of the learning rate", [view])


def stopping_figure(run: Training) -> Figure:
    """Loss in training and on examples held out, epoch by epoch."""
    held = [(epoch.number, epoch.held_out_loss or float("nan")) for epoch in run.history]
    best, lowest = min(held, key=lambda point: point[1])
    view = {
        "label": "losses",
        "x": {"label": "epoch"},
        "y": {"label": "loss", "log": True},
        "series": {"training": [(epoch.number, epoch.loss) for epoch in run.history], "held out": held},
        "says": [
            f"The training loss falls to the end, {run.last.loss:.2g}. The loss on the digits held out is lowest in epoch "
            f"{best}, {lowest:.3f}, and {held[-1][1]:.3f} in the last one.",
        ],
    }
    return chart("Training loss and loss on examples held out", [view])


def progress_figure(runs: Iterable[Run]) -> Figure:
    """The same runs against the examples seen and against the steps taken."""
    runs = list(runs)

    def view(label: str, axis: str, unit: Any, says: str) -> dict[str, Any]:
        return {
            "label": label,
            "x": {"label": axis, "log": True},
            "y": {"label": "loss on all training examples", "log": True},
            "series": {
                f"{run.batch:,} a step, η = {run.rate:g}": [
                    (at * unit(run), loss) for at, loss in zip(run.steps, run.losses, strict=True) if at
                ]
                for run in runs
            },
            "says": [says],
        }

    views = [
        view(
            "against the examples seen", "examples seen", lambda run: run.batch,
            "Against examples, small batches are ahead: they have made many steps where the whole set allows one.",
        ),
        view(
            "against the steps taken", "steps taken", lambda run: 1,
            "Against steps, the same runs, the order is the opposite: a step along a better gradient goes further, and "
            "allows a larger η.",
        ),
    ]  # fmt: skip
    return chart("One example at a time, sixteen, all: loss against examples and against steps", views)


SHOWN = ("sigmoid", "sigmoid, skips", "relu", "relu, skips", "relu, skips, small start")


def health_figure() -> Figure:
    """The error of each layer over that of the last, for the networks of ``DEEP``.

    Examples
    --------
    >>> health_figure().title
    'How the error comes down through 20 layers'
    """
    series = {}
    for name in SHOWN:
        found = health(name)
        last = found.layers[-1].error_rms
        series[name] = [(layer.number, layer.error_rms / last) for layer in found.layers]
    assert set(SHOWN) <= set(DEEP)
    view = {
        "label": "errors",
        "x": {"label": "layer (the error comes from the right)"},
        "y": {"label": "δ of the layer / δ of the last", "log": True},
        "series": series,
        "says": [
            "; ".join(f"{name}: {health(name).factor:.2f} a layer, {health(name).verdict}" for name in SHOWN)
            + "."
        ],
    }
    return chart("How the error comes down through 20 layers", [view])
