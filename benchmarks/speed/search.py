"""What compare() costs before its first verdict: calls of the subject, seconds, and the walk to the first call.

    python -m benchmarks.speed.search

Calls are counted by the function itself, so that probing, shrinking and naming are in them. The walk counts the calls of
Python functions of bpcheck, and the files that they lie in, from compare() to the first line of the caller's function.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import bpcheck
from benchmarks.speed._timing import once, seconds

__all__ = ["CASES", "cost", "walk"]

PACKAGE = os.path.dirname(bpcheck.__file__)


def network(weights: list[Any], biases: list[Any], x: Any, y: Any) -> tuple[float, list[Any], list[Any]]:
    """Half mean squared error of tanh layers: examples as rows, weights (in, out), biases (n,)."""
    a = [x]
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = a[-1] @ w + b
        a.append(z if k == len(weights) - 1 else np.tanh(z))
    d, dw, db = (a[-1] - y) / len(x), [], []
    for k in reversed(range(len(weights))):
        dw.insert(0, a[k].T @ d)
        db.insert(0, d.sum(axis=0))
        d = (d @ weights[k].T) * (1 - a[k] ** 2)
    return 0.5 * float(np.sum((a[-1] - y) ** 2)) / len(x), dw, db


def ours(params: Any, x: Any, y: Any) -> Any:
    loss, dw, db = network([p["weight"].T for p in params], [p["bias"] for p in params], x, y)
    return loss, [{"weight": w.T, "bias": b} for w, b in zip(dw, db, strict=True)]


def misspelt(params: Any, x: Any, y: Any) -> Any:
    params[0]["weigth"]
    return ours(params, x, y)


def always_raising(params: Any, x: Any, y: Any) -> Any:
    raise KeyError("W1")


def misspelt_in_a_dict(params: Any, x: Any, y: Any) -> Any:
    depth = len(params) // 2
    weights = [params[f"W{k}"] for k in range(1, depth + 1)]
    biases = [params[f"b{k}"] for k in range(1, depth + 1)]
    loss, dw, db = network(weights, biases, x, y)
    params["W1 "]
    return loss, {"W1": dw[0], "b1": db[0]}


def dict_of_names(params: Any, x: Any, y: Any) -> Any:
    depth = len(params) // 2
    weights = [params[f"w{k}"] for k in range(1, depth + 1)]
    biases = [params[f"b{k}"] for k in range(1, depth + 1)]
    loss, dw, db = network(weights, biases, x, y)
    return loss, {f"d{n}{k}": g for n, found in (("w", dw), ("b", db)) for k, g in enumerate(found, 1)}


def lists_apart(biases: Any, weights: Any, x: Any, y: Any) -> Any:
    loss, dw, db = network(weights, biases, x, y)
    return loss, (db, dw)


def columns(params: Any, x: Any, y: Any) -> Any:
    loss, dw, db = network([w.T for w, _ in params], [b.ravel() for _, b in params], x.T, y.T)
    return loss, [(w.T, b.reshape(-1, 1)) for w, b in zip(dw, db, strict=True)]


def column_at_a_time(params: Any, x: Any, y: Any) -> Any:
    biases, weights = params
    a = [x]
    for w, b in zip(weights, biases, strict=True):
        a.append(np.tanh(w @ a[-1] + b))
    d, dw, db = (a[-1] - y) * (1 - a[-1] ** 2), [], []
    for k in reversed(range(len(weights))):
        dw.insert(0, d @ a[k].T)
        db.insert(0, d)
        d = (weights[k].T @ d) * (1 - a[k] ** 2)
    return 0.5 * float(np.sum((a[-1] - y) ** 2)), (db, dw)


def step_of_pairs(params: Any, x: Any, y: Any, lr: float) -> Any:
    _, dw, db = network([w for w, _ in params], [b for _, b in params], x, y)
    return [(w - lr * g, b - lr * h) for (w, b), g, h in zip(params, dw, db, strict=True)]


def loss_of_pairs(params: Any, x: Any, y: Any) -> float:
    return network([w for w, _ in params], [b for _, b in params], x, y)[0]


def folded(params: Any, x: Any, y: Any) -> Any:
    loss, dw, db = network([w[:-1] for w in params], [w[-1] for w in params], x, y)
    return loss, [np.vstack([w, b]) for w, b in zip(dw, db, strict=True)]


CASES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "right, in bpcheck's layout": (ours, {}),
    "right, the same, layout pinned": (ours, {"conventions": bpcheck.Conventions()}),
    "one key misspelt": (misspelt, {}),
    "one key misspelt in a dict": (misspelt_in_a_dict, {}),
    "always raises": (always_raising, {}),
    "right, a dict w1, b1, …, gradients dw1, …": (dict_of_names, {}),
    "right, f(biases, weights, x, y)": (lists_apart, {}),
    "right, pairs, examples as columns": (columns, {}),
    "right, columns one at a time": (column_at_a_time, {}),
    "right, biases folded": (folded, {}),
    "right, a step of pairs": (step_of_pairs, {"loss": loss_of_pairs}),
}


def cost(name: str) -> tuple[str, int, float]:
    """What came out, how often the function was called, and the CPU seconds, with ten examples."""
    function, options = CASES[name]
    calls = 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        return function(*arguments, **named)

    counted.__name__ = function.__name__
    loss = options.get("loss")
    # from_step looks at the signature: the wrapper's is free
    subject = counted if loss is None else bpcheck.from_step(counted, loss=loss)
    said = {key: value for key, value in options.items() if key != "loss"}

    def work() -> str:
        try:
            return bpcheck.compare(subject, seed=0, examples=10, **said).verdict.name
        except bpcheck.SubjectError as error:
            return str(error).splitlines()[0]

    spent, outcome = once(work)
    return outcome, calls, spent


def walk(function: Callable[..., Any] = ours) -> tuple[int, list[str]]:
    """Calls of bpcheck's functions from compare() to the first line of the caller's, and the files they lie in."""
    calls, files = 0, set()

    class ReachedError(BaseException):
        """The caller's function was called."""

    def subject(params: Any, x: Any, y: Any) -> Any:
        sys.setprofile(None)
        raise ReachedError

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls += 1
            files.add(os.path.relpath(frame.f_code.co_filename, PACKAGE))

    subject.__name__ = function.__name__
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        bpcheck.compare(subject, seed=0)
    except ReachedError:
        pass
    finally:
        sys.setprofile(before)
    return calls, sorted(files)


def main() -> None:
    """Print both tables."""
    walk()  # what is imported on demand is imported now
    calls, files = walk()
    print(f"to the first call: {calls} calls in {len(files)} files")
    for name in files:
        print(f"  {name}")
    cost("right, in bpcheck's layout")
    print(f"\n{'':44s} {'calls':>6s}  {'CPU':>8s}")
    for name in CASES:
        outcome, called, spent = cost(name)
        print(f"{name:44s} {called:6d}  {seconds(spent):>8s}  {outcome[:90]}")


if __name__ == "__main__":
    main()
