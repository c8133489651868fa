"""The training loop: shuffled mini-batches, a rule, and what happened."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.options import seed_or_drawn
from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.names import places
from bpcheck.options import non_negative, whole
from bpcheck.reference.network import Network, as_network
from bpcheck.reference.optimizer import Rule, Schedule, global_norm
from bpcheck.report.progress import progress_bar
from bpcheck.training.history import Epoch, Training, as_dict, require_rule
from bpcheck.training.stopping import EarlyStopping
from bpcheck.tree import FloatArray, Tree

__all__ = ["accuracy", "fit"]


def fit(
    network: Network | Architecture,
    x: Any,
    y: Any,
    *,
    rule: Rule,
    epochs: int,
    batch: int = 32,
    params: Tree = None,
    schedule: Schedule | None = None,
    held_out: tuple[Any, Any] | None = None,
    stop: EarlyStopping | None = None,
    resume: Training | None = None,
    seed: int | None = None,
    progress: Any = None,
) -> Training:
    """Train a network by mini-batches.

    Parameters
    ----------
    network : Network or Architecture
    x : array of shape (N, *input_shape)
        (N, in) for dense networks, (N, channels, height, width) for images.
    y : array of shape (N, out)
    rule : Rule
        One of :mod:`bpcheck.reference.optimizer`; ``Clipped(rule=…)`` clips.
    epochs : int
        Passes over the data in all, those of ``resume`` included.
    batch : int
        Examples a step; all of them for full-batch, 1 for one example at a time. The last step of an epoch may have fewer.
    params : list, optional
        Where to start; drawn by ``network.init`` if not given. Not changed.
    schedule : callable, optional
        ``schedule(step) -> η``, with steps counted from 0 over all epochs; the rule's own η without it.
    held_out : (x, y), optional
        Examples that are not trained on; their loss, and accuracy if targets are one-hot, stand in the history.
    stop : EarlyStopping, optional
        Needs ``held_out``.
    resume : Training, optional
        A run to go on with, with the same data, rule and batch. The result is, to the last bit, that of a run which was
        never stopped, if ``schedule`` and ``held_out`` are the same too.
    seed : int, optional
        For initial parameters and shuffling; drawn and reported if not given. Not with ``resume``, which has its own.
    progress : bool or callable, optional
        As for :func:`bpcheck.compare`; counts epochs.

    Raises
    ------
    InputError
        If arguments do not fit one another. A run whose loss is no longer finite does not raise; it ends, and
        ``Training.stopped`` says so.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> from bpcheck.reference.optimizer import Momentum
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> run = fit(mlp([1, 1]), x, 3 * x + 1, rule=Momentum(lr=0.1), epochs=40, batch=8, seed=0)
    >>> bool(run.last.loss < 1e-6), run.history[0].number, run.stopped
    (True, 1, '')
    """
    built = as_network(network)
    epochs, batch = whole("epochs", epochs), whole("batch", batch)
    _usable(rule, held_out, stop, schedule)
    x, y = _data(built, x, y, "x", "y")
    fingerprint = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()[:16]
    if resume is None:
        start = _started(built, rule, params, fingerprint, seed, batch)
    elif seed is not None or params is not None:
        name = "params" if seed is None else "seed"
        raise InputError(f"{name}= and resume= exclude one another: the run that goes on has its own.")
    else:
        start = _goes_on(resume, built, rule, fingerprint, epochs, batch)
    held = None if held_out is None else _data(built, *held_out, "held_out[0]", "held_out[1]")
    loop = _Loop(built, rule, x, y, batch, schedule, held)
    with progress_bar(progress, "training") as bar, np.errstate(all="ignore"):
        for run in loop.epochs(start, epochs):
            bar.advance(run.last.number, epochs)
            why = _diverged(run.last) or ("" if stop is None else stop(run.history))
            if why:
                return replace(run, stopped=why)
    return replace(run, stopped="")


def accuracy(network: Network, params: Tree, x: FloatArray, y: FloatArray) -> float:
    """Share of examples whose largest output is the target's largest entry.

    Parameters
    ----------
    network : Network
    params : list
    x, y : (N, *input_shape), (N, classes)

    Examples
    --------
    >>> from bpcheck import mlp
    >>> from bpcheck.reference import build
    >>> params = [{"weight": np.eye(2), "bias": np.zeros(2)}]
    >>> accuracy(build(mlp([2, 2])), params, np.array([[3.0, 1.0], [0.0, 2.0]]), np.eye(2)[[0, 0]])
    0.5
    """
    output = network.trace(params, x, y).activations[-1]
    return float(np.mean(output.argmax(axis=1) == y.argmax(axis=1)))


@dataclass(frozen=True)
class _Loop:
    network: Network
    rule: Rule
    x: FloatArray
    y: FloatArray
    batch: int
    schedule: Schedule | None
    held: tuple[FloatArray, FloatArray] | None

    def epochs(self, run: Training, last: int) -> Iterator[Training]:
        """One state after each epoch."""
        rng = np.random.default_rng()
        rng.bit_generator.state = as_dict(run.random_state)
        while len(run.history) < last:
            run = self._epoch(run, rng)
            yield run

    def _epoch(self, run: Training, rng: np.random.Generator) -> Training:
        params, state, losses, norms = run.params, run.state, [], []
        order = rng.permutation(len(self.x))
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            before, t = params, state.step
            rate = None if self.schedule is None else non_negative(f"schedule({t})", self.schedule(t))
            loss, gradient = self.network.evaluate(params, self.x[rows], self.y[rows])
            losses.append(float(loss))
            norms.append([global_norm(own) for own in _numbered(self.network, gradient)])
            if not np.isfinite([losses[-1], *norms[-1]]).all():
                break
            params, state = self.rule.step(params, gradient, state, lr=rate)
        sizes = self.network.trace(before, self.x[rows], self.y[rows]).activations
        epoch = Epoch(
            len(run.history) + 1,
            float(np.mean(losses)),
            self.rule.lr if rate is None else rate,
            tuple(np.sqrt(np.mean(np.square(norms), axis=0)).tolist()),
            tuple(float(np.sqrt(np.mean(a**2))) for a in _numbered(self.network, sizes)),
            *self._held_out(params),
        )
        best = params if _is_best(epoch, run.history) else run.best
        return replace(
            run,
            params=params,
            best=best,
            state=state,
            history=(*run.history, epoch),
            random_state=rng.bit_generator.state,
        )

    def _held_out(self, params: Tree) -> tuple[float | None, float | None]:
        if self.held is None:
            return None, None
        y = self.held[1]
        one_hot = y.shape[1] > 1 and np.isin(y, (0.0, 1.0)).all() and (y.sum(axis=1) == 1).all()
        loss = float(self.network.loss(params, *self.held))
        return loss, accuracy(self.network, params, *self.held) if one_hot else None


def _numbered(network: Network, nested: list[Any]) -> list[Any]:
    """Of a list nested as the layers are, what belongs to those that books number, in their order."""
    every = zip(places(network.architecture), _flat(nested), strict=True)
    return [own for place, own in every if place.number is not None]


def _flat(nested: list[Any]) -> Iterator[Any]:
    for own in nested:
        yield from _flat(own) if isinstance(own, list) else [own]


def _is_best(epoch: Epoch, history: tuple[Epoch, ...]) -> bool:
    if epoch.held_out_loss is None:
        return True
    before = [one.held_out_loss for one in history if one.held_out_loss is not None]
    return epoch.held_out_loss < min(before, default=math.inf)


def _diverged(epoch: Epoch) -> str:
    numbers = (epoch.loss, *epoch.gradient_norms)
    if all(math.isfinite(number) for number in numbers):
        return ""
    what = "the loss" if not math.isfinite(epoch.loss) else "a gradient"
    return (
        f"stopped in epoch {epoch.number}: {what} is not finite any more. Lower the learning rate, or clip; "
        "bpcheck.gradient_health() shows whether errors explode on their way down"
    )


def _started(network: Network, rule: Rule, params: Tree, data: str, seed: int | None, batch: int) -> Training:
    used = seed_or_drawn(seed)
    rng = np.random.default_rng(used)
    first = network.init(rng)
    if params is not None:
        wanted = [(path, np.shape(leaf)) for path, leaf in tree.leaves(first)]
        given = [(path, np.shape(leaf)) for path, leaf in tree.leaves(params)]
        if wanted != given:
            raise InputError(
                f"params does not fit {network.architecture!r}: give what network.init(rng) gives."
            )
        if not all(np.isfinite(leaf).all() for _, leaf in tree.leaves(params)):
            raise InputError("params holds NaN or infinity; every parameter must be finite.")
        first = tree.copy(params)
    return Training(
        network, rule, first, first, rule.init(first), (), "", used, rng.bit_generator.state, data, batch
    )


def _data(network: Network, x: Any, y: Any, name_x: str, name_y: str) -> tuple[FloatArray, FloatArray]:
    arrays = []
    for name, value, shape in (
        (name_x, x, network.architecture.input_shape),
        (name_y, y, network.architecture.output_shape),
    ):
        try:
            array = np.ascontiguousarray(np.asarray(value, dtype=float))
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} is {tree.describe(value)}; give an array of numbers.") from error
        if array.shape[1:] != tuple(shape) or not len(array):
            needed = ", ".join(["examples", *map(str, shape)])
            raise InputError(f"{name} has shape {array.shape}; ({needed}) is needed.")
        if not np.isfinite(array).all():
            raise InputError(f"{name} holds NaN or infinity; every example must be finite.")
        arrays.append(array)
    if len(arrays[0]) != len(arrays[1]):
        raise InputError(
            f"{name_x} has {len(arrays[0])} examples and {name_y} {len(arrays[1])}: give one row of each for every example."
        )
    return arrays[0], arrays[1]


def _usable(rule: Any, held_out: Any, stop: Any, schedule: Any) -> None:
    require_rule(rule)
    if held_out is not None and (not isinstance(held_out, tuple) or len(held_out) != 2):
        raise InputError(f"held_out is {tree.describe(held_out)}; give a pair (x, y).")
    if stop is not None and held_out is None:
        raise InputError(
            "stop= needs held_out=(x, y): early stopping looks at examples that are not trained on."
        )
    for name, function, example in (
        ("stop", stop, "EarlyStopping(patience=5), for instance"),
        ("schedule", schedule, "a function of the step, such as step_decay(0.1, every=100)"),
    ):
        if function is not None and not callable(function):
            raise InputError(f"{name} is {tree.describe(function)}; give {example}.")


def _goes_on(run: Any, network: Network, rule: Rule, data: str, epochs: int, batch: int) -> Training:
    """The run that is resumed, if it is one, and one of the same kind."""
    if not isinstance(run, Training):
        raise InputError(f"resume is {tree.describe(run)}; give what fit() or load() returned.")
    if repr(run.rule) != repr(rule) or run.network.architecture != network.architecture:
        raise InputError(
            "resume= has another rule or network; begin anew with params=resume.params to change either."
        )
    if run.batch != batch:
        raise InputError(
            f"batch is {batch}, and resume= was trained with {run.batch}; give batch={run.batch}, or begin anew with "
            "params=resume.params."
        )
    if len(run.history) >= epochs:
        raise InputError(
            f"epochs is {epochs}, and resume= has {len(run.history)} already; epochs counts all of them."
        )
    if run.data != data:
        raise InputError(
            "resume= was trained on other data than these; give the same x and y, or begin anew with params=resume.params."
        )
    return run
