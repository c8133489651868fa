"""The same problems for other tools, each with its default settings.

Estimators are given φ(t) = f(θ + t·v), where t = 1 is a relative step of about one: none could wish
for a better scaled line. Checkers are given the NumPy loss and gradient as a function with a
derivative of its own (``torch.autograd.Function``, ``jax.custom_vjp`` around ``pure_callback``, an
``autograd`` primitive): that is how each of them is used on a gradient written by hand.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.calibration.estimates import Row, counted, draw_direction, line, row
from benchmarks.calibration.problem import DTYPES, Problem
from benchmarks.calibration.verdicts import SIZES, plant
from bpcheck import tree

__all__ = ["CHECKERS", "ESTIMATORS", "PACKAGES", "THRESHOLD", "check_problem", "estimate_problem"]

PACKAGES = ("torch", "jax", "jaxlib", "scipy", "numdifftools", "jacobi", "autograd", "numpy")

THRESHOLD = 1e-6
"""``scipy.optimize.check_grad`` returns a number and leaves it to its user what is small. Its own example
shows 2.98e-8 for a right gradient; 1e-6 is our reading of "small" and the tolerance of autograd's checker."""

Pair = tuple[Callable[..., Any], Callable[..., Any]]
"""loss(params, *args) and gradient(params, *args)."""


# --- estimators: value and their own estimate of the error ------------------------------------------------


def _numdifftools(phi: Callable[[float], float]) -> tuple[float, float]:
    import numdifftools

    # it calls the function with arrays of one number
    found = numdifftools.Derivative(np.vectorize(phi, otypes=[float]), full_output=True)(0.0)
    return float(found.estimate), float(found.error_estimate)


def _jacobi(phi: Callable[[float], float]) -> tuple[float, float]:
    import jacobi

    value, error = jacobi.jacobi(phi, 0.0)
    return float(np.asarray(value).item()), float(np.asarray(error).item())


def _scipy_derivative(phi: Callable[[float], float]) -> tuple[float, float]:
    from scipy.differentiate import derivative

    found = derivative(np.vectorize(phi, otypes=[float]), 0.0)
    return float(found.df), float(found.error)


ESTIMATORS: dict[str, Callable[[Callable[[float], float]], tuple[float, float]]] = {
    "numdifftools.Derivative": _numdifftools,
    "jacobi.jacobi": _jacobi,
    "scipy.differentiate.derivative": _scipy_derivative,
}


def estimate_problem(problem: Problem) -> dict[str, Row]:
    """All estimators along one random direction."""
    direction = draw_direction(problem.params, problem.rng)
    truth, size = problem.slope(direction)
    found = {}
    for name, estimator in ESTIMATORS.items():
        phi, calls = counted(line(problem, direction))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                value, error = estimator(phi)
                found[name] = row(value, error, truth, size, calls[0])
            except Exception as problem_of_theirs:  # no answer, and the table says why
                found[name] = [None, float("inf"), calls[0], type(problem_of_theirs).__name__]
    return found


# --- checkers: does the right gradient pass, is the wrong one found? ------------------------------------------


def _flat(problem: Problem, pair: Pair, dtype: Any) -> tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]:
    """One vector instead of the tree, as scipy and autograd want it."""
    leaves = [np.asarray(leaf) for _, leaf in tree.leaves(problem.params)]
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def nest(vector: Any) -> Any:
        parts = np.split(np.asarray(vector), ends)
        shaped = [
            part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in zip(parts, leaves, strict=True)
        ]
        return tree.restore(problem.params, shaped)

    def loss(vector: Any) -> Any:
        return float(pair[0](nest(vector), *problem.args))

    def gradient(vector: Any) -> Any:
        found = [np.ravel(leaf) for _, leaf in tree.leaves(pair[1](nest(vector), *problem.args))]
        return np.concatenate(found).astype(dtype)

    return np.concatenate([leaf.ravel() for leaf in leaves]).astype(dtype), loss, gradient


def _scipy_check_grad(problem: Problem, pair: Pair, seed: int) -> bool:
    from scipy.optimize import check_grad

    x, loss, gradient = _flat(problem, pair, np.float64)
    return bool(check_grad(loss, gradient, x) <= THRESHOLD)


def _scipy_approx_fprime(problem: Problem, pair: Pair, seed: int) -> bool:
    from scipy.optimize import approx_fprime

    x, loss, gradient = _flat(problem, pair, np.float64)
    return bool(np.allclose(gradient(x), approx_fprime(x, loss)))


def _torch(fast: bool) -> Callable[[Problem, Pair, int], bool]:
    def check(problem: Problem, pair: Pair, seed: int) -> bool:
        import torch

        like, args = problem.params, problem.args
        leaves = [np.asarray(leaf) for _, leaf in tree.leaves(like)]
        dtype = getattr(torch, np.dtype(DTYPES[problem.precision]).name)

        def nest(tensors: Any) -> Any:
            return tree.restore(like, [t.detach().numpy().copy() for t in tensors])

        class HandWritten(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *tensors: Any) -> Any:
                ctx.save_for_backward(*tensors)
                return torch.tensor(float(pair[0](nest(tensors), *args)), dtype=dtype)

            @staticmethod
            def backward(ctx: Any, cotangent: Any) -> Any:
                found = [leaf for _, leaf in tree.leaves(pair[1](nest(ctx.saved_tensors), *args))]
                return tuple(
                    cotangent * torch.from_numpy(np.ascontiguousarray(leaf)).to(dtype) for leaf in found
                )

        torch.manual_seed(seed)
        inputs = [torch.tensor(leaf, dtype=dtype, requires_grad=True) for leaf in leaves]
        return bool(
            torch.autograd.gradcheck(HandWritten.apply, inputs, fast_mode=fast, raise_exception=False)
        )

    return check


def _jax(problem: Problem, pair: Pair, seed: int) -> bool:
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)  # float64 families; float32 arrays stay float32
    like, args = problem.params, problem.args
    leaves = [np.asarray(leaf) for _, leaf in tree.leaves(like)]
    number = jax.ShapeDtypeStruct((), leaves[0].dtype)
    shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]

    def nest(arrays: Any) -> Any:
        return tree.restore(like, [np.array(a) for a in arrays])

    @jax.custom_vjp
    def hand_written(*arrays: Any) -> Any:
        return jax.pure_callback(
            lambda *a: np.asarray(pair[0](nest(a), *args), dtype=number.dtype), number, *arrays
        )

    def backward(arrays: Any, cotangent: Any) -> Any:
        found = jax.pure_callback(
            lambda *a: [np.asarray(leaf, leaf.dtype) for _, leaf in tree.leaves(pair[1](nest(a), *args))],
            shapes,
            *arrays,
        )
        return tuple(cotangent * leaf for leaf in found)

    hand_written.defvjp(lambda *arrays: (hand_written(*arrays), arrays), backward)
    try:
        check_grads(hand_written, tuple(map(jax.numpy.asarray, leaves)), order=1, modes=("rev",))
    except AssertionError:
        return False
    return True


def _autograd(problem: Problem, pair: Pair, seed: int) -> bool:
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    x, loss, gradient = _flat(problem, pair, DTYPES[problem.precision])
    hand_written = primitive(loss)
    defvjp(hand_written, lambda answer, vector: lambda cotangent: cotangent * gradient(vector))
    state = np.random.get_state()  # noqa: NPY002 - autograd draws its direction from NumPy's global state
    np.random.seed(seed)  # noqa: NPY002
    try:
        check_grads(hand_written, modes=["rev"], order=1)(x)
    except AssertionError:
        return False
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return True


CHECKERS: dict[str, Callable[[Problem, Pair, int], bool]] = {
    "torch gradcheck": _torch(False),
    "torch gradcheck, fast": _torch(True),
    "jax check_grads": _jax,
    "scipy check_grad": _scipy_check_grad,
    "scipy approx_fprime": _scipy_approx_fprime,
    "autograd check_grads": _autograd,
}


def check_problem(problem: Problem) -> dict[str, Any]:
    """For each checker: whether the right gradient passes, and wrong ones of SIZES are rejected.

    ``[passed, [rejected, …]]``; a string in place of either says what was raised instead.
    """
    seed = int(problem.rng.integers(2**31))
    chosen = plant(problem, problem.rng)
    found: dict[str, Any] = {}
    for name, checker in CHECKERS.items():
        right = _asked(checker, problem, (problem.loss, problem.gradient), seed)
        wrong = None
        if chosen is not None:
            answers = [_asked(checker, problem, (problem.loss, chosen[0](size)), seed) for size in SIZES]
            wrong = [answer if isinstance(answer, str) else int(not answer) for answer in answers]
        found[name] = [right if isinstance(right, str) else int(right), wrong]
    _forget_compiled()
    return found


def _asked(
    checker: Callable[[Problem, Pair, int], bool], problem: Problem, pair: Pair, seed: int
) -> bool | str:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return checker(problem, pair, seed)
        except Exception as error:  # reported in the table, never counted as right or wrong
            return f"{type(error).__name__}: {str(error)[:160]}"


def _forget_compiled() -> None:
    import jax

    jax.clear_caches()
