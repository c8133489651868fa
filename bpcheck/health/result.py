"""The result: numbers, findings, text, JSON and a picture."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from bpcheck.errors import InputError
from bpcheck.health.findings import Finding
from bpcheck.health.numbers import Clipping, LayerHealth, TensorHealth
from bpcheck.health.words import render
from bpcheck.report.plots import courses

__all__ = ["GradientHealth"]


@dataclass(frozen=True)
class GradientHealth:
    """How an error fares on its way down a network; ``str()`` is a table, :meth:`plot` a picture.

    Attributes
    ----------
    findings : tuple of Finding
        What the rules found, the gravest first; never empty.
    layers : tuple of LayerHealth
        The lowest first; empty for a gradient alone.
    tensors : tuple of TensorHealth
        Every tensor of the gradient, in its order.
    clipping : tuple of Clipping
        What clipping as asked for would do.
    drawn : tuple of str
        What was not given and therefore drawn: parameters, batch.
    seed : int or None
        It was drawn with; None if nothing was.
    examples : int
        How many examples had their Jacobians taken.

    Examples
    --------
    >>> from bpcheck import gradient_health, mlp
    >>> health = gradient_health(mlp([8] * 20, activation="sigmoid"), seed=0)
    >>> health.verdict, health.ok
    ('vanishing', False)
    """

    findings: tuple[Finding, ...]
    layers: tuple[LayerHealth, ...] = ()
    tensors: tuple[TensorHealth, ...] = ()
    clipping: tuple[Clipping, ...] = ()
    drawn: tuple[str, ...] = ()
    seed: int | None = None
    examples: int = 0

    @property
    def verdict(self) -> str:
        """One of "healthy", "vanishing", "exploding", "dead", "saturated", "no error", "not finite"."""
        return self.findings[0].rule

    @property
    def ok(self) -> bool:
        """Whether it is healthy."""
        return self.verdict == "healthy"

    @property
    def words(self) -> str:
        """The verdict with its numbers: ``vanishing: 0.24 a layer, 1e-12 over 19 layers``."""
        return self.findings[0].text

    @property
    def remedies(self) -> tuple[str, ...]:
        """What helps, the most helpful first."""
        return tuple(dict.fromkeys(text for finding in self.findings for text in finding.remedies))

    @property
    def total(self) -> float:
        """Error of the lowest layer over that of the last one; of weight gradients for a gradient alone."""
        sizes = [layer.error_rms for layer in self.layers]
        if not sizes:
            sizes = [tensor.rms for tensor in self.tensors if tensor.is_weight] or [
                t.rms for t in self.tensors
            ]
        return sizes[0] / sizes[-1] if sizes[-1] else math.nan

    @property
    def factor(self) -> float:
        """The geometric mean of the factors: what one layer does to the error; nan for a single layer."""
        count = len(self.layers) or sum(t.is_weight for t in self.tensors) or len(self.tensors)
        return float(self.total ** (1.0 / (count - 1))) if count > 1 else math.nan

    def __str__(self) -> str:
        drawn = f"drawn: {', '.join(self.drawn)}; seed {self.seed}" if self.drawn else ""
        return render(
            self.findings,
            layers=self.layers,
            tensors=self.tensors,
            clipping=self.clipping,
            examples=self.examples,
            total=self.total,
            drawn=drawn,
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; numbers that JSON has no form for (NaN, infinities) are None."""
        data = {
            "verdict": self.verdict,
            "ok": self.ok,
            "words": self.words,
            "factor": self.factor,
            "total": self.total,
            **asdict(self),
        }
        found = _for_json(data)
        assert isinstance(found, dict)
        return found

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def plot(self, ax: Any = None, *, label: str | None = None) -> Any:
        """Draw the layers, from the output down.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure if not given.
        label : str, optional
            Draws the error alone, relative to that of the last layer, under this name: so several networks share
            one picture. Without it the sizes of a, δ and ∂C/∂W are drawn.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InputError
            If matplotlib is not installed, or there are no layers (a gradient alone).
        """
        if not self.layers:
            raise InputError("there are no layers to draw: give the network, not its gradients alone.")
        numbers = [layer.number for layer in self.layers]
        errors = [layer.error_rms for layer in self.layers]
        if label is not None:
            top = errors[-1] or math.nan
            title, y = "What is left of the error", "δ, relative to the last layer's"
            return courses(numbers, {label: [error / top for error in errors]}, title=title, y=y, ax=ax)
        sizes = {
            "activation a": [layer.activation_rms for layer in self.layers],
            "error δ": errors,
            "gradient ∂C/∂W": [layer.weight_gradient_rms for layer in self.layers],
        }
        return courses(numbers, sizes, title=self.words, y="root mean square", ax=ax)


def _for_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _for_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(inner) for inner in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
