"""The reverse pass: forward, then the error of every layer from the top down, in any numbers.

The same lines run in balls (rigorous at any precision), in balls widened like a caller's dtype (how far off
honest code may be) and in rationals (exact). Rows are examples: Z = A Wᵀ + 1 bᵀ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bpcheck import tree
from bpcheck.certified import penalty
from bpcheck.certified.activation import LOW_SLOPE, SMOOTH, softmax, softmax_pullback
from bpcheck.certified.loss import LOSS
from bpcheck.network.architecture import PROBABILITY_LOSSES
from bpcheck.network.case import Case
from bpcheck.network.layers import Dense, LayerSpec
from bpcheck.tree import Path

__all__ = ["Pass", "Unit", "propagate"]

# ḡ ↦ (gradients of the parameters, ∂C/∂input); the second is None where nobody needs it.
Pullback: TypeAlias = Callable[[Any, bool], tuple[Any, Any]]


@dataclass(frozen=True, order=True)
class Unit:
    """A unit of relu or leaky_relu in one example, for what happens at its kink.

    Attributes
    ----------
    path : Path
        Of its layer.
    example, unit : int
    activation : str
    """

    path: Path
    example: int
    unit: int
    activation: str

    @property
    def slopes(self) -> tuple[float, float]:
        """The one-sided derivatives at z = 0."""
        return LOW_SLOPE[self.activation], 1.0

    def __str__(self) -> str:
        return f"unit {self.unit} of {self.path} ({self.activation}), example {self.example}"


@dataclass(frozen=True, eq=False)
class Pass:
    """Cost and gradient of a case.

    Attributes
    ----------
    loss : number
    gradient : dict of Path to matrix
        A bias is one row.
    slopes : dict of Unit to float
        σ' of every unit that has a kink and is certainly not at it.
    kinks : dict of Unit to bool
        Units whose z may be 0, and whether it certainly is.
    """

    loss: Any
    gradient: Mapping[Path, Any]
    slopes: Mapping[Unit, float]
    kinks: Mapping[Unit, bool]


def propagate(case: Case, numbers: Any, *, slopes: Mapping[Unit, float | None] | None = None) -> Pass:
    """Cost and gradient of a case in balls or in rationals.

    Parameters
    ----------
    case : Case
    numbers : Balls, Working or Rationals
    slopes : mapping of Unit to float or None, optional
        σ' to take for some units, whatever their z is; None for a ball from one one-sided derivative to
        the other, which is what a unit gets whose z may be 0.

    Returns
    -------
    Pass

    Examples
    --------
    >>> from bpcheck import Case, mlp
    >>> from bpcheck.certified.balls import Balls
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], x=[[3.0]], y=[[5.0]])
    >>> found = propagate(case, Balls(128))
    >>> found.loss, [matrix.entries() for matrix in found.gradient.values()]
    (2.00000000000000, [[6.00000000000000], [2.00000000000000]])
    """
    with numbers.working():
        run = _Run(numbers, {} if slopes is None else slopes)
        return run.all(case)


def _weight_gradient(numbers: Any, delta: Any, a: Any) -> Any:
    return numbers.product(delta.transpose(), a)


def _bias_gradient(numbers: Any, delta: Any, ones: Any) -> Any:
    return numbers.product(ones.transpose(), delta)


def _error_below(numbers: Any, delta: Any, weight: Any) -> Any:
    return numbers.product(delta, weight)


@dataclass(eq=False)
class _Run:
    """One pass through one network."""

    numbers: Any
    chosen: Mapping[Unit, float | None]
    slopes: dict[Unit, float] = field(default_factory=dict)
    kinks: dict[Unit, bool] = field(default_factory=dict)

    def all(self, case: Case) -> Pass:
        numbers, network = self.numbers, case.architecture
        layers = _for_logits(network.layers) if network.loss in PROBABILITY_LOSSES else network.layers
        out, pullback = self.chain(layers, case.params, numbers.given(case.x), Path("params"))
        targets = numbers.rows(numbers.given(case.y))
        loss, slopes = LOSS[network.loss](numbers.rows(out), targets, numbers)
        delta = numbers.matrix(len(slopes), len(slopes[0]), [value for row in slopes for value in row])
        if network.reduction == "mean":
            loss, delta = loss / case.batch, delta / case.batch
        found, _ = pullback(delta, False)
        gradient = dict(tree.leaves(found))
        loss = loss + penalty.add(case, gradient, numbers)
        return Pass(loss, gradient, self.slopes, self.kinks)

    def chain(self, specs: Sequence[LayerSpec], params: Any, a: Any, path: Path) -> tuple[Any, Pullback]:
        pullbacks: list[Pullback] = []
        for index, spec in enumerate(specs):
            layer = self.dense if isinstance(spec, Dense) else self.skip
            a, pullback = layer(spec, params[index], a, path.item(index))
            pullbacks.append(pullback)

        def back(g: Any, below: bool) -> tuple[Any, Any]:
            found: list[Any] = []
            for index, pullback in reversed(list(enumerate(pullbacks))):
                gradient, g = pullback(g, below or index > 0)
                found.insert(0, gradient)
            return found, g

        return a, back

    def skip(self, spec: Any, params: Any, a: Any, path: Path) -> tuple[Any, Pullback]:
        inner, pullback = self.chain(spec.layers, params, a, path)

        def back(g: Any, below: bool) -> tuple[Any, Any]:
            gradient, through = pullback(g, below)
            return gradient, g + through if below else None

        return a + inner, back

    def dense(self, spec: Any, params: Any, a: Any, path: Path) -> tuple[Any, Pullback]:
        numbers, examples = self.numbers, a.nrows()
        weight, bias = numbers.given(params["weight"]), numbers.given(params["bias"])
        ones = numbers.matrix(examples, 1, [1] * examples)
        z = numbers.product(a, weight.transpose()) + ones * bias
        out, back_through = self.activate(spec.activation, z, path)

        def back(g: Any, below: bool) -> tuple[Any, Any]:
            delta = back_through(g)
            gradient = {
                "weight": _weight_gradient(numbers, delta, a),
                "bias": _bias_gradient(numbers, delta, ones),
            }
            return gradient, _error_below(numbers, delta, weight) if below else None

        return out, back

    def activate(self, name: str, z: Any, path: Path) -> tuple[Any, Callable[[Any], Any]]:
        """σ(z), and ∂C/∂a ↦ ∂C/∂z."""
        numbers = self.numbers
        shape = z.nrows(), z.ncols()
        if name == "identity":
            return z, lambda g: g
        if name == "softmax":
            p = [numbers.stored(softmax(row)[0]) for row in numbers.rows(z)]

            def back(g: Any) -> Any:
                pairs = zip(p, numbers.rows(g), strict=True)
                rows = [numbers.stored(softmax_pullback(*pair)) for pair in pairs]
                return numbers.matrix(*shape, _flat(rows))

            return numbers.matrix(*shape, _flat(p)), back
        entries = z.entries()
        if name in LOW_SLOPE:
            low = numbers.number(LOW_SLOPE[name])
            values = [numbers.above(value, low) for value in entries]
            places = [Unit(path, i, k, name) for i in range(shape[0]) for k in range(shape[1])]
            slopes = [self.slope(*pair) for pair in zip(places, entries, strict=True)]
        else:
            smooth = SMOOTH[name]
            values = numbers.evaluated([smooth.value(value) for value in entries], entries)
            pairs = zip(entries, values, strict=True)
            slopes = numbers.evaluated([smooth.slope(value, a) for value, a in pairs], entries)

        def multiply(g: Any) -> Any:
            products = [a * b for a, b in zip(g.entries(), slopes, strict=True)]
            return numbers.matrix(*shape, numbers.stored(products))

        return numbers.matrix(*shape, values), multiply

    def slope(self, unit: Unit, z: Any) -> Any:
        """σ' of a unit that has a kink at z = 0."""
        side = self.numbers.side(z)
        if side:
            self.slopes[unit] = unit.slopes[side > 0]
        else:
            self.kinks[unit] = side == 0
        chosen = self.chosen.get(unit, self.slopes.get(unit))
        return self.numbers.between(*unit.slopes) if chosen is None else self.numbers.number(chosen)


def _for_logits(layers: Sequence[LayerSpec]) -> list[LayerSpec]:
    """The layers without the output activation, which the two cross-entropies compute themselves."""
    last = layers[-1]
    return [*layers[:-1], Dense(last.units) if isinstance(last, Dense) else last]


def _flat(rows: list[list[Any]]) -> list[Any]:
    return [value for row in rows for value in row]
