"""Families outside of networks: likelihoods, test functions of optimization, an ODE, poles, waves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.calibration.elementary import cos, exp, log, log1p_exp, sigmoid, sin, sqrt
from benchmarks.calibration.problem import Drawn, Family

__all__ = ["HELD_OUT", "TUNING"]

BOTH = ("float64", "float32")


# --- logistic regression with a penalty ----------------------------------------------------------------


def _logistic_loss(p: Any, x: Any, y: Any, weight: float) -> Any:
    z = x @ p["w"] + p["b"]
    return (log1p_exp(z) - y * z).sum() / len(y) + weight / 2 * (p["w"] ** 2).sum()


def _logistic_gradient(p: Any, x: Any, y: Any, weight: float) -> Any:
    delta = (sigmoid(x @ p["w"] + p["b"]) - y) / len(y)
    return {"w": x.T @ delta + weight * p["w"], "b": delta.sum(keepdims=True)}


def logistic(rng: np.random.Generator, precision: str) -> Drawn:
    params = {"w": 2.0 * rng.standard_normal(4), "b": rng.standard_normal(1)}
    args = (
        rng.standard_normal((8, 4)),
        rng.integers(2, size=8).astype(float),
        float(10.0 ** rng.uniform(-4, 0)),
    )
    return Drawn(params, args, _logistic_loss, _logistic_gradient)


# --- Rosenbrock ------------------------------------------------------------------------------------------


def _rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def _rosenbrock_gradient(x: Any) -> Any:
    gap = x[1:] - x[:-1] ** 2
    found = x * 0
    found[1:] += 200 * gap
    found[:-1] += -400 * x[:-1] * gap - 2 * (1 - x[:-1])
    return found


def rosenbrock(rng: np.random.Generator, precision: str) -> Drawn:
    x = rng.standard_normal(6)
    if rng.random() < 0.1:  # close to the minimum, or in it, where the gradient is zero
        x = np.ones(6) + float(rng.choice([0.0, 1e-6, 1e-3])) * rng.standard_normal(6)
    return Drawn(x, (), _rosenbrock, _rosenbrock_gradient)


# --- poles and logarithms ---------------------------------------------------------------------------------


def _poles_loss(x: Any, poles: Any, weights: Any) -> Any:
    gap = x - poles
    return (weights / gap).sum() - log(gap).sum()


def _poles_gradient(x: Any, poles: Any, weights: Any) -> Any:
    gap = x - poles
    return -weights / (gap * gap) - 1 / gap


def poles(rng: np.random.Generator, precision: str) -> Drawn:
    x = rng.standard_normal(3)
    near = 10.0 ** rng.uniform(-6.0 if precision == "float64" else -2.0, 0.0, 3)
    return Drawn(
        x, (x - near * np.maximum(abs(x), 0.1), rng.standard_normal(3)), _poles_loss, _poles_gradient
    )


# --- oscillation --------------------------------------------------------------------------------------------


def _waves_loss(x: Any, slow: Any, fast: Any) -> Any:
    return (sin(slow * x) + sin(fast * x) / 1000).sum()


def _waves_gradient(x: Any, slow: Any, fast: Any) -> Any:
    return slow * cos(slow * x) + fast * cos(fast * x) / 1000


def waves(rng: np.random.Generator, precision: str) -> Drawn:
    top = 4.0 if precision == "float64" else 2.0
    args = 10.0 ** rng.uniform(-1.0, top / 2, 4), 10.0 ** rng.uniform(0.0, top, 4)
    return Drawn(rng.standard_normal(4), args, _waves_loss, _waves_gradient)


# --- likelihood of a Gaussian process, through a Cholesky factor -------------------------------------------


def _factor(K: Any) -> Any:
    """Cholesky–Banachiewicz, for any number."""
    n = len(K)
    L = K * 0
    for i in range(n):
        for j in range(i + 1):
            rest = K[i, j] - (L[i, :j] * L[j, :j]).sum()
            L[i, j] = sqrt(rest) if i == j else rest / L[j, j]
    return L


def _lower_solve(L: Any, b: Any) -> Any:
    y = b + L[0, 0] * 0
    for i in range(len(b)):
        y[i] = (b[i] - L[i, :i] @ y[:i]) / L[i, i]
    return y


def _upper_solve(U: Any, b: Any) -> Any:
    return _lower_solve(U[::-1, ::-1], b[::-1])[::-1]


def _is_lapack(K: Any) -> bool:
    return K.dtype in (np.float64, np.float32)


def _kernel(p: Any, x: Any) -> tuple[Any, Any]:
    length, amplitude, noise = p["log"]
    square = (x[:, None] - x[None, :]) ** 2
    smooth = exp(2 * amplitude) * exp(-square / (2 * exp(2 * length)))
    return smooth, smooth + exp(2 * noise) * np.eye(len(x)).astype(square.dtype)


def _gaussian_loss(p: Any, x: Any, y: Any) -> Any:
    K = _kernel(p, x)[1]
    try:
        L = np.linalg.cholesky(K) if _is_lapack(K) else _factor(K)
    except np.linalg.LinAlgError:
        return math.nan
    w = np.linalg.solve(L, y - p["mean"]) if _is_lapack(K) else _lower_solve(L, y - p["mean"])
    return (w * w).sum() / 2 + log(np.diagonal(L)).sum()


def _gaussian_gradient(p: Any, x: Any, y: Any) -> Any:
    smooth, K = _kernel(p, x)
    n = len(x)
    L = np.linalg.cholesky(K) if _is_lapack(K) else _factor(K)
    inverse_factor = np.stack([_lower_solve(L, e) for e in np.eye(n).astype(K.dtype)], axis=1)
    inverse = inverse_factor.T @ inverse_factor
    alpha = inverse @ (y - p["mean"])
    inner = inverse - np.outer(alpha, alpha)  # dL/dK, twice
    length, _, noise = p["log"]
    square = (x[:, None] - x[None, :]) ** 2
    by_log = [
        (inner * smooth * square).sum() / (2 * exp(2 * length)),
        (inner * smooth).sum(),
        np.trace(inner) * exp(2 * noise),
    ]
    return {"log": np.array(by_log, dtype=K.dtype), "mean": -alpha.sum(keepdims=True)}


def gaussian_process(rng: np.random.Generator, precision: str) -> Drawn:
    logs = [rng.normal(0.0, 0.5), rng.normal(0.0, 0.5), math.log(10.0) * rng.uniform(-2.0, -0.3)]
    params = {"log": np.array(logs), "mean": rng.standard_normal(1)}
    return Drawn(
        params, (np.sort(rng.standard_normal(5)), rng.standard_normal(5)), _gaussian_loss, _gaussian_gradient
    )


# --- mixture of Gaussians -----------------------------------------------------------------------------------


def _log_parts(p: Any, x: Any) -> tuple[Any, Any]:
    scaled = (x[:, None] - p["mean"]) / exp(p["log_width"])
    return scaled, p["logit"] - p["log_width"] - scaled * scaled / 2


def _log_sum(parts: Any) -> Any:
    top = np.array(
        [max(v.real for v in row) for row in parts], dtype=object if parts.dtype == object else None
    )
    return log(exp(parts - top[:, None]).sum(axis=1)) + top


def _mixture_loss(p: Any, x: Any) -> Any:
    return _log_sum(p["logit"][None, :])[0] - _log_sum(_log_parts(p, x)[1]).sum() / len(x)


def _mixture_gradient(p: Any, x: Any) -> Any:
    scaled, parts = _log_parts(p, x)
    share = exp(parts - _log_sum(parts)[:, None]) / len(x)
    prior = exp(p["logit"] - _log_sum(p["logit"][None, :]))
    return {
        "logit": prior - share.sum(axis=0),
        "mean": -(share * scaled / exp(p["log_width"])).sum(axis=0),
        "log_width": (share * (1 - scaled * scaled)).sum(axis=0),
    }


def mixture(rng: np.random.Generator, precision: str) -> Drawn:
    params = {
        "logit": rng.standard_normal(3),
        "mean": 2.0 * rng.standard_normal(3),
        "log_width": 0.5 * rng.standard_normal(3) - 0.5,
    }
    return Drawn(params, (2.0 * rng.standard_normal(8),), _mixture_loss, _mixture_gradient)


# --- an ordinary differential equation -----------------------------------------------------------------------

LORENZ_STEPS, LORENZ_STEP = 25, 0.04
"""Time 1: an error of the start grows about e^0.9."""


def _scalars(array: Any) -> list[Any]:
    """Python floats for float64 (fast), NumPy's own scalars for every other precision."""
    return array.tolist() if array.dtype == np.float64 else list(array)


def _field(x: Any, y: Any, z: Any, sigma: Any, rho: Any, beta: Any) -> tuple[Any, Any, Any]:
    return sigma * (y - x), x * (rho - z) - y, x * y - beta * z


def _lorenz_loss(p: Any, target: Any) -> Any:
    x, y, z = _scalars(p["start"])
    c = _scalars(p["coefficients"])
    h = LORENZ_STEP
    for _ in range(LORENZ_STEPS):
        a1, a2, a3 = _field(x, y, z, *c)
        b1, b2, b3 = _field(x + h / 2 * a1, y + h / 2 * a2, z + h / 2 * a3, *c)
        c1, c2, c3 = _field(x + h / 2 * b1, y + h / 2 * b2, z + h / 2 * b3, *c)
        d1, d2, d3 = _field(x + h * c1, y + h * c2, z + h * c3, *c)
        x = x + h / 6 * (a1 + 2 * b1 + 2 * c1 + d1)
        y = y + h / 6 * (a2 + 2 * b2 + 2 * c2 + d2)
        z = z + h / 6 * (a3 + 2 * b3 + 2 * c3 + d3)
    t1, t2, t3 = _scalars(target)
    return ((x - t1) ** 2 + (y - t2) ** 2 + (z - t3) ** 2) / 2


def _lorenz_gradient(p: Any, target: Any) -> Any:
    """Forward sensitivities: S' = J S + ∂field/∂coefficients, by the same Runge–Kutta steps."""
    state, (sigma, rho, beta) = p["start"], p["coefficients"]
    dtype = state.dtype
    tangents = np.concatenate([np.eye(3), np.zeros((3, 3))], axis=1).astype(dtype)
    h = LORENZ_STEP

    def move(s: Any, S: Any) -> tuple[Any, Any]:
        x, y, z = s
        jacobian = np.array([[-sigma, sigma, 0], [rho - z, -1, -x], [y, x, -beta]], dtype=dtype)
        change = jacobian @ S
        change[0, 3] += y - x
        change[1, 4] += x
        change[2, 5] -= z
        return np.array(_field(x, y, z, sigma, rho, beta), dtype=dtype), change

    for _ in range(LORENZ_STEPS):
        a, A = move(state, tangents)
        b, B = move(state + h / 2 * a, tangents + h / 2 * A)
        c, C = move(state + h / 2 * b, tangents + h / 2 * B)
        d, D = move(state + h * c, tangents + h * C)
        state = state + h / 6 * (a + 2 * b + 2 * c + d)
        tangents = tangents + h / 6 * (A + 2 * B + 2 * C + D)
    found = tangents.T @ (state - target)
    return {"start": found[:3], "coefficients": found[3:]}


def lorenz(rng: np.random.Generator, precision: str) -> Drawn:
    params = {
        "start": 5.0 * rng.standard_normal(3) + np.array([0.0, 0.0, 25.0]),
        "coefficients": np.array([10.0, 28.0, 8.0 / 3.0]) * (1.0 + 0.1 * rng.standard_normal(3)),
    }
    target = 5.0 * rng.standard_normal(3) + np.array([0.0, 0.0, 25.0])
    return Drawn(params, (target,), _lorenz_loss, _lorenz_gradient)


TUNING = (
    Family("logistic + L2", logistic, BOTH, meaning="4 weights, 8 examples"),
    Family("Rosenbrock", rosenbrock, BOTH, meaning="6 variables; one in ten at or near the minimum"),
    Family("poles", poles, BOTH, meaning="a/(θ − p) − log(θ − p), relative distance 1e-6 … 1"),
    Family("oscillation", waves, BOTH, meaning="sin(ωθ), ω to 1e2, and a ripple, ω to 1e4"),
)

HELD_OUT = (
    Family(
        "Gaussian process",
        gaussian_process,
        BOTH,
        held_out=True,
        analytic=False,
        meaning="likelihood by Cholesky",
    ),
    Family("mixture", mixture, BOTH, held_out=True, meaning="3 Gaussians, log-likelihood"),
    Family(
        "Lorenz",
        lorenz,
        BOTH,
        held_out=True,
        meaning="25 Runge–Kutta steps, start and coefficients",
    ),
)
