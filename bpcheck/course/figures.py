"""The figures of the notebooks, with their data: nothing in them is drawn from memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.course.figure import Figure, figure
from bpcheck.network.architecture import mlp
from bpcheck.network.case import Case
from bpcheck.numeric import complex_derivative, derivative
from bpcheck.numeric.noise import UNIT_ROUNDOFF
from bpcheck.reference import build
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.loss import LOSS
from bpcheck.strategies.numbers import fill, readable

__all__ = ["CONVENTIONS", "FUNCTIONS", "Convention", "Curve", "network_figure", "paths_figure", "step_figure"]


# --- notebook 1: the network and its symbols ---------------------------------------------------------


@dataclass(frozen=True)
class Convention:
    """How one book writes a dense layer.

    ``unit`` and ``below`` are its letters for a unit and for one below. ``weight``, ``bias``, ``pre``, ``act``, ``prev`` and
    ``matrix`` are templates of Wˡⱼₖ, bˡⱼ, zˡⱼ, aˡⱼ, aˡ⁻¹ₖ and Wˡ; ``first`` is that of aˡ⁻¹ₖ where layer l − 1 is the input.
    In them {l} is our layer number, {m} is l − 1, {p} is l − 2 (the place in a list), {j} the unit, {k} the unit below.
    """

    key: str
    label: str
    unit: str
    below: str
    weight: str
    bias: str
    pre: str
    act: str
    prev: str
    first: str
    matrix: str
    sigma: str
    transposed: bool
    code: str
    note: str


def _i(letter: str, upper: str = "", lower: str = "") -> str:
    """A letter in italics with indices."""
    indices = (f"<sup>{upper}</sup>" if upper else "") + (f"<sub>{lower}</sub>" if lower else "")
    # both: one above the other
    return f"<i>{letter}</i>" + (f'<span class="ix">{indices}</span>' if upper and lower else indices)


# Every symbol stands in the table of docs/notation.md too; a test holds the two against each other.
CONVENTIONS = (
    Convention(
        "ours", "bpcheck (ours)", "j", "k",
        _i("W", "{l}", "{j}{k}"), _i("b", "{l}", "{j}"), _i("z", "{l}", "{j}"), _i("a", "{l}", "{j}"),
        _i("a", "{m}", "{k}"), _i("a", "1", "{k}"), _i("W", "{l}"), _i("σ"), False,
        'z = a @ params[{p}]["weight"].T + params[{p}]["bias"]',
        "The first index of a weight says where it arrives, the second where it comes from. "
        "That is why W is (out, in).",
    ),
    Convention(
        "nielsen", "Nielsen", "j", "k",
        _i("w", "{l}", "{j}{k}"), _i("b", "{l}", "{j}"), _i("z", "{l}", "{j}"), _i("a", "{l}", "{j}"),
        _i("a", "{m}", "{k}"), _i("a", "1", "{k}"), _i("w", "{l}"), _i("σ"), False,
        "z = np.dot(w, a) + b",
        "The same letters as ours, with a small w. One example is a column here, so W stands on the left.",
    ),
    Convention(
        "goodfellow", "Goodfellow, Bengio, Courville", "i", "j",
        _i("W", "({m})", "{j},{k}"), _i("b", "({m})", "{j}"), _i("a", "({m})", "{j}"), _i("h", "({m})", "{j}"),
        _i("h", "({p})", "{k}"), _i("x", "", "{k}"), _i("W", "({m})"), _i("f"), False,
        "a({m}) = b({m}) + W({m}) h({p})",
        "Careful: the a of this book is our z, and its h is our a. It counts the layers of weights, "
        "so its layer {m} is our layer {l}.",
    ),
    Convention(
        "bishop", "Bishop", "j", "i",
        _i("w", "({m})", "{j}{k}"), _i("w", "({m})", "{j}0"), _i("a", "", "{j}"), _i("z", "", "{j}"),
        _i("z", "", "{k}"), _i("x", "", "{k}"), _i("w", "({m})"), _i("h"), False,
        "a = w @ np.append(1, z)",
        "Careful: Bishop’s a is our z, and his z is our a. The bias is the weight from a unit 0 that is "
        "always 1; the outputs of the network he calls y.",
    ),
    Convention(
        "cs231n", "CS231n", "j", "k",
        _i("W") + "{m}<sub>{k}{j}</sub>", _i("b") + "{m}<sub>{j}</sub>", "scores<sub>{j}</sub>", _i("h", "", "{j}"),
        _i("h", "", "{k}"), _i("x", "", "{k}"), _i("W") + "{m}", _i("f"), True,
        "scores = h.dot(W{m}) + b{m}",
        "W is stored as (in, out): a column belongs to a unit, and nothing is transposed in the forward pass.",
    ),
    Convention(
        "pytorch", "PyTorch", "j", "k",
        "weight<sub>{j}{k}</sub>", "bias<sub>{j}</sub>", "linear<sub>{j}</sub>", "output<sub>{j}</sub>",
        "input<sub>{k}</sub>", "input<sub>{k}</sub>", "linear[{p}].weight", "Tanh", False,
        "z = torch.nn.functional.linear(input, weight, bias)",
        "nn.Linear stores weight as (out, in), as we do, and the activation is a module of its own.",
    ),
)  # fmt: skip

WIDTHS = (3, 4, 2)
BATCH = 3
# Numbers that are readable and of both signs; any seed would do.
FIGURE_SEED = 4


def network_figure() -> Figure:
    """A small network: choose a unit, an example and a book, and read its sum.

    Examples
    --------
    >>> network_figure().title
    'A network of three layers: what one unit computes, in the symbols of six books'
    """
    rng = np.random.default_rng(FIGURE_SEED)
    architecture = mlp(WIDTHS, activation="tanh", output="identity")
    params = fill(architecture, lambda _, shape: readable(rng, shape, 0.1, 1.0))
    case = Case(
        architecture, params, readable(rng, (BATCH, WIDTHS[0]), 0.1, 1.0), np.zeros((BATCH, WIDTHS[-1]))
    )
    trace = build(architecture).trace(case.params, case.x, case.y)
    data = {
        "widths": list(WIDTHS),
        "params": tree.restore(case.params, [leaf.tolist() for _, leaf in tree.leaves(case.params)]),
        "z": [None, *(z.tolist() for z in trace.pre_activations)],
        "a": [case.x.tolist(), *(a.tolist() for a in trace.activations)],
        "conventions": [asdict(convention) for convention in CONVENTIONS],
    }
    title = "A network of three layers: what one unit computes, in the symbols of six books"
    return figure("network", title, data, height=620)


# --- notebook 2: the paths of an error ---------------------------------------------------------------

PATHS_WIDTHS = (2, 3, 3, 2)
"""W³ is square, so W in place of Wᵀ runs there and is wrong; W⁴ is not, and there it does not even fit."""

PATHS_SEED = 5
"""Of the seeds 0 to 9, one with errors of both signs in every layer and one saturated unit (σ' = 0.06)."""


def paths_figure() -> Figure:
    """The ways from one z to the cost, with every number; steps from the output down; two mistakes to switch on.

    Examples
    --------
    >>> paths_figure().title
    'How an error comes down: the paths from one z to the cost'
    """
    rng = np.random.default_rng(PATHS_SEED)
    architecture = mlp(PATHS_WIDTHS, activation="tanh", output="sigmoid", loss="half_mse")
    params = fill(architecture, lambda _, shape: readable(rng, shape, 0.2, 1.2))
    x, y = readable(rng, (1, PATHS_WIDTHS[0]), 0.2, 1.0), np.array([[1.0, 0.0]])
    case = Case(architecture, params, x, y)
    trace = build(architecture).trace(case.params, case.x, case.y)
    slopes, measured = [], []
    for number, (z, a) in enumerate(zip(trace.pre_activations, trace.activations, strict=True)):
        activation = ACTIVATION[architecture.layers[number].output_activation]
        slopes.append(activation.derivative(z, a)[0].tolist())
        measured.append([_measured(case, number, z, unit) for unit in range(z.shape[1])])
    data = {
        "widths": list(PATHS_WIDTHS),
        # W^l under the number l − 2, as in the list of parameters
        "weights": [np.asarray(layer["weight"]).tolist() for layer in case.params],
        "slopes": slopes,
        "deltas": [delta[0].tolist() for delta in trace.deltas],
        "measured": measured,
        "gradient": LOSS[architecture.loss].gradient(trace.activations[-1], case.y)[0].tolist(),
    }
    return figure("paths", "How an error comes down: the paths from one z to the cost", data, height=700)


def _measured(case: Case, number: int, z: Any, unit: int) -> float:
    """∂C/∂z of one unit by the complex step: z is moved, everything above it computed again."""

    def cost(z: Any) -> Any:
        a = ACTIVATION[case.architecture.layers[number].output_activation].value(z)
        for later in range(number + 1, len(case.params)):
            z = a @ case.params[later]["weight"].T + case.params[later]["bias"]
            a = ACTIVATION[case.architecture.layers[later].output_activation].value(z)
        return LOSS[case.architecture.loss].value(a, case.y).sum()

    direction = np.zeros_like(z)
    direction[0, unit] = 1.0
    return float(complex_derivative(cost, z, direction).value)


# --- notebook 3: error against step size -------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """A function of one number, which the script computes too, under ``key``; ``at``: where its differences are taken.

    ``second`` and ``third`` are f'' and f''' there, for the truncation error (Taylor); ``kink`` is where the slope jumps.
    """

    key: str
    label: str
    f: Callable[[Any], Any]
    at: float
    second: float
    third: float
    kink: float | None = None


def _rectified(x: Any) -> Any:
    x = np.asarray(x)
    return np.where(x.real > 0, x, 0.0) + np.sin(x)


FUNCTIONS = (
    Curve("exp", "eˣ at x = 1", np.exp, 1.0, float(np.e), float(np.e)),
    Curve(
        "wave", "sin 50x at x = 0.3: bends fast", lambda x: np.sin(50 * x), 0.3,
        -2500 * float(np.sin(15.0)), -125000 * float(np.cos(15.0)),
    ),
    Curve("offset", "eˣ + 1,000,000 at x = 1: far from 0", lambda x: np.exp(x) + 1e6, 1.0, float(np.e), float(np.e)),
    Curve("near", "max(x, 0) + sin x at x = 0.0001: beside a kink", _rectified, 1e-4, -1e-4, -1.0, 0.0),
    Curve("kink", "max(x, 0) + sin x at x = 0: on a kink", _rectified, 0.0, 0.0, -1.0, 0.0),
)  # fmt: skip


def step_figure() -> Figure:
    """Error against step size for three difference formulas; the script computes them in float64.

    Examples
    --------
    >>> step_figure()
    <Figure: Error of a difference quotient against its step (shown in a notebook; save("figure.html") writes a page)>
    """
    listed = []
    for curve in FUNCTIONS:
        said = derivative(curve.f, curve.at, 1.0)
        # on the kink the figure shows the distance from the right-hand slope
        truth = said.interval[1] if said.interval else complex_derivative(curve.f, curve.at, 1.0).value
        listed.append(
            {
                "key": curve.key,
                "label": curve.label,
                "x": curve.at,
                "value": float(curve.f(curve.at)),
                # the value is rounded, and x + h is rounded before f sees it
                "noise": UNIT_ROUNDOFF * (abs(float(curve.f(curve.at))) + abs(curve.at * truth)),
                "truth": truth,
                "second": curve.second,
                "third": curve.third,
                **({} if curve.kink is None else {"kink": curve.kink}),
                "interval": said.interval is not None,
                "bpcheck": {
                    "step": said.step,
                    "error": said.error,
                    "off": abs(said.value - truth),
                    "interval": said.interval,
                },
            }
        )
    data = {"functions": listed}
    return figure("step", "Error of a difference quotient against its step", data, height=640)
