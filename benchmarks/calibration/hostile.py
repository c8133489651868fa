"""Families that resist differences: noise, heavy tails, plateaus, steps, tables, ties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.calibration.elementary import absolute, cos, exp, positive, relu, sin, tanh
from benchmarks.calibration.networks import BATCH, MLP, _mlp
from benchmarks.calibration.problem import AT_A_KINK, SMOOTH, UNDECIDABLE, Drawn, Family

__all__ = ["HELD_OUT", "TUNING"]


# --- noise ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Noisy:
    """``loss`` plus ``level`` times a fresh draw: normal, or Student's t with few degrees of freedom."""

    loss: Callable[..., Any]
    level: float
    rng: np.random.Generator
    freedom: float | None = None

    def __call__(self, params: Any, *args: Any) -> Any:
        draw = self.rng.standard_normal() if self.freedom is None else self.rng.standard_t(self.freedom)
        return self.loss(params, *args) + self.level * float(draw)


@dataclass(frozen=True)
class NoisyNetwork:
    """A tanh network, losses of about 1, and noise of this standard deviation or scale."""

    level: float
    freedom: float | None = None

    def __call__(self, rng: np.random.Generator, precision: str) -> Drawn:
        network = MLP("tanh")
        params, x, y = _mlp(rng, [2, 2, 1], network)
        source = np.random.default_rng(int(rng.integers(2**32)))
        working = Noisy(network.loss, self.level, source, self.freedom)
        return Drawn(params, (x, y), network.loss, network.gradient, working)


# --- plateaus ---------------------------------------------------------------------------------------------


def _flat_loss(x: Any) -> Any:
    return exp(-1 / (x * x)).sum() + (x[:1] ** 2).sum()


def _flat_gradient(x: Any) -> Any:
    found = 2 * exp(-1 / (x * x)) / (x * x * x)
    found[:1] += 2 * x[:1]
    return found


def _steep_loss(p: Any) -> Any:
    return tanh(30 * p["steep"]).sum() + sin(p["plain"]).sum()


def _steep_gradient(p: Any) -> Any:
    small = exp(-60 * abs(p["steep"]))
    return {"steep": 120 * small / (1 + small) ** 2, "plain": cos(p["plain"])}


def plateau(rng: np.random.Generator, precision: str) -> Drawn:
    """Dead ReLU units, exp(−1/θ²), which is flatter than any power, or tanh far out."""
    which = rng.integers(3)
    if which == 0:
        network = MLP("relu")
        params, x, y = _mlp(rng, [2, 3, 1], network)
        dead = rng.random(3) < 0.6
        params[0]["bias"] = np.where(dead, -20.0, params[0]["bias"])
        return Drawn(params, (x, y), network.loss, network.gradient, accepts=AT_A_KINK)
    if which == 1:
        return Drawn(10.0 ** rng.uniform(-1.5, 0.0, 4), (), _flat_loss, _flat_gradient)
    params = {"steep": rng.uniform(0.1, 2.0, 3), "plain": rng.standard_normal(2)}
    return Drawn(params, (), _steep_loss, _steep_gradient)


# --- steps ---------------------------------------------------------------------------------------------------


def _step_loss(x: Any, edge: float, height: float) -> Any:
    return sin(x).sum() + height * float(positive(x[0] - edge))


def _step_gradient(x: Any, edge: float, height: float) -> Any:
    return cos(x)


@dataclass(frozen=True)
class Step:
    """Σ sin θ, and a step: exactly at θ, or 1e-12 … 0.1 of θ away."""

    at_theta: bool

    def __call__(self, rng: np.random.Generator, precision: str) -> Drawn:
        x = rng.standard_normal(3)
        x = x.astype(np.float32).astype(float)  # so that the edge is where it should be in float32 too
        distance = 0.0 if self.at_theta else 10.0 ** rng.uniform(-12.0, -1.0) * rng.choice([-1.0, 1.0])
        args = float(x[0] + distance * abs(x[0])), float(rng.normal() * 10.0 ** rng.uniform(-3.0, 1.0))
        return Drawn(x, args, _step_loss, _step_gradient, accepts=UNDECIDABLE if self.at_theta else SMOOTH)


# --- tables ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rounded:
    """A loss rounded to a grid, or a loss of parameters that are rounded to one before anything is computed."""

    loss: Callable[..., Any]
    grid: float
    inside: bool

    def __call__(self, params: Any, *args: Any) -> Any:
        if not self.inside:
            return np.round(self.loss(params, *args) * self.grid) / self.grid
        coarse = [{k: np.round(v * self.grid) / self.grid for k, v in layer.items()} for layer in params]
        return self.loss(coarse, *args)


def table(rng: np.random.Generator, precision: str) -> Drawn:
    """A quantized forward pass with the straight-through gradient, that of the loss before rounding."""
    network, inside = MLP("tanh"), bool(rng.integers(2))
    params, x, y = _mlp(rng, [2, 2, 1], network)
    grid = float(2.0 ** rng.integers(0, 8))
    if inside:  # on the grid, so that the gradient of the unrounded loss is the straight-through one
        params = [{k: np.round(v * grid) / grid for k, v in layer.items()} for layer in params]
    working = Rounded(network.loss, grid, inside)
    return Drawn(params, (x, y), network.loss, network.gradient, working, accepts=UNDECIDABLE | SMOOTH)


# --- ties -------------------------------------------------------------------------------------------------------


def tied_relu(rng: np.random.Generator, precision: str) -> Drawn:
    """All three units are at their kink for one example: the one-sided derivatives bound no gradient any more."""
    network = MLP("relu", at_kink=float(rng.integers(2)))
    params, x, y = _mlp(rng, [2, 3, 1], network)
    grid = 2.0 ** (12 if precision == "float64" else 6)
    params = [{k: np.round(v * grid) / grid for k, v in layer.items()} for layer in params]
    x = np.round(x * grid) / grid
    params[0]["bias"] = -(params[0]["weight"] @ x[int(rng.integers(BATCH))])
    return Drawn(params, (x, y), network.loss, network.gradient, accepts=AT_A_KINK)


def _lasso_loss(w: Any, x: Any, y: Any, weight: float) -> Any:
    residual = x @ w - y
    return (residual * residual).sum() / (2 * len(y)) + weight * absolute(w).sum()


def _lasso_gradient(w: Any, x: Any, y: Any, weight: float) -> Any:
    return x.T @ (x @ w - y) / len(y) + weight * np.sign(w)


def lasso(rng: np.random.Generator, precision: str) -> Drawn:
    """Least squares with an L1 penalty; about half the weights are exactly 0, where sign(0) = 0 is chosen."""
    w = np.where(rng.random(5) < 0.5, 0.0, rng.standard_normal(5))
    args = rng.standard_normal((6, 5)), rng.standard_normal(6), float(10.0 ** rng.uniform(-3.0, 0.0))
    return Drawn(w, args, _lasso_loss, _lasso_gradient, accepts=AT_A_KINK if (w == 0).any() else SMOOTH)


def _larger(a: Any, b: Any) -> Any:
    return b + relu(a - b)


def _pool_loss(p: Any, x: Any) -> Any:
    z = x @ p["weight"]
    top = _larger(_larger(z[:, 0], z[:, 1]), z[:, 2])
    return (sin(top)).sum() / len(x)


def _pool_gradient(p: Any, x: Any) -> Any:
    z = x @ p["weight"]
    winner = z.argmax(axis=1)  # the first of several
    chosen = np.eye(3)[winner].astype(z.dtype) * cos(z.max(axis=1))[:, None] / len(x)
    return {"weight": x.T @ chosen}


def max_pool(rng: np.random.Generator, precision: str) -> Drawn:
    """The largest of three; two columns of weights are equal, so that every example is tied where they win."""
    weight = rng.standard_normal((2, 3))
    weight[:, 1] = weight[:, 0]
    return Drawn(
        {"weight": weight}, (rng.standard_normal((BATCH, 2)),), _pool_loss, _pool_gradient, accepts=AT_A_KINK
    )


TUNING = (
    *(
        Family(
            f"noise {level:.0e}",
            NoisyNetwork(level),
            analytic=False,
            share=share,
            meaning="2-2-1 tanh; normal noise of that standard deviation on a loss of about 1",
        )
        for level, share in ((1e-9, 1.0), (1e-6, 0.1), (1e-3, 0.06))
    ),
    Family(
        "relu, three kinks at θ",
        tied_relu,
        ("float64",),
        kink_at_theta=True,
        smooth=False,
        share=0.06,
        meaning="2-3-1; all units tied at once",
    ),
    Family(
        "max-pool tie",
        max_pool,
        analytic=False,
        kink_at_theta=True,
        smooth=False,
        share=0.08,
        meaning="two of three inputs equal",
    ),
    Family(
        "step at θ",
        Step(True),
        analytic=False,
        smooth=False,
        differentiable=False,
        share=0.25,
        meaning="no derivative there",
    ),
    Family(
        "table",
        table,
        analytic=False,
        smooth=False,
        differentiable=False,
        share=0.1,
        meaning="quantized, straight-through gradient",
    ),
)

HELD_OUT = (
    *(
        Family(
            f"heavy tails {level:.0e}",
            NoisyNetwork(level, freedom=1.5),
            held_out=True,
            analytic=False,
            smooth=False,
            share=share,
            meaning="the same, Student's t with 1.5 degrees of freedom: no variance",
        )
        for level, share in ((1e-9, 1.0), (1e-4, 0.06))
    ),
    Family("plateau", plateau, held_out=True, smooth=False, meaning="dead ReLU, exp(−1/θ²), tanh far out"),
    Family(
        "lasso",
        lasso,
        held_out=True,
        analytic=False,
        kink_at_theta=True,
        smooth=False,
        share=0.08,
        meaning="half of the weights exactly 0",
    ),
    Family(
        "step nearby", Step(False), held_out=True, analytic=False, smooth=False, meaning="1e-12 … 0.1 from θ"
    ),
)
