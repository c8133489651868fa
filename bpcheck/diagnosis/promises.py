"""Bugs of code rather than of formulas: what is returned, changed, kept, or right for some inputs only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis.bug import Bug, Program
from bpcheck.diagnosis.step import Gradient, Rules, Run
from bpcheck.diagnosis.steps import RETURNED, forward
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain, is_dense_chain
from bpcheck.network.names import places, role_of

__all__ = ["BUGS"]

PLANTED_FACTOR = 1.001
"""By what mutants with one wrong entry or example are off: a relative 1e-3, the resolution of all checks."""


Plant: TypeAlias = Callable[[Program], Program]


def _after(change: Callable[[Any, Any, Any, Any, Architecture], Any]) -> Plant:
    """Right code that does something more at its end: ``change(gradient, params, x, y, architecture) -> gradient``."""

    def plant(right: Program) -> Program:
        def program(params: Any, x: Any, y: Any, architecture: Architecture) -> tuple[Any, Any]:
            loss, gradient = right(params, x, y, architecture)
            return loss, change(gradient, params, x, y, architecture)

        return program

    return plant


def _weights(architecture: Architecture, gradient: Any) -> list[Any]:
    """The gradients of all weights, from the input up."""
    return [leaf for path, leaf in tree.leaves(gradient) if role_of(architecture, path) == "weight"]


# --- what is returned -------------------------------------------------------------------------------------------


def _entry(value: Callable[[Any], Any]) -> Plant:
    def change(gradient: Any, params: Any, x: Any, y: Any, architecture: Architecture) -> Any:
        weight = _weights(architecture, gradient)[-1]
        index = (0, *[-1] * (weight.ndim - 1))
        weight[index] = value(weight[index])
        return gradient

    return _after(change)


def _as_column(gradient: Any, params: Any, x: Any, y: Any, architecture: Architecture) -> Any:
    leaves = [
        leaf[:, None] if role_of(architecture, path) == "bias" else leaf
        for path, leaf in tree.leaves(gradient)
    ]
    return tree.restore(gradient, leaves)


def _rounded_to(kind: Any) -> Plant:
    return _after(lambda gradient, *call: tree.mapped(lambda g: g.astype(kind).astype(g.dtype), gradient))


def _aliased(gradient: Any, params: Any, x: Any, y: Any, architecture: Architecture) -> Any:
    leaves = []
    for (path, own), (_, given) in zip(tree.leaves(gradient), tree.leaves(params), strict=True):
        if role_of(architecture, path) == "bias":  # the parameters' memory is used for the answer
            given[...] = own
            leaves.append(given)
        else:
            leaves.append(own)
    return tree.restore(gradient, leaves)


def _reversed(run: Run, gradient: Gradient) -> Gradient | None:
    layers = [layer for layer in run.forward.leaves if layer.params]
    found: Gradient = {}
    for layer, other in zip(layers, reversed(layers), strict=True):
        if set(layer.params) != set(other.params):
            return None
        found |= {layer.place(key): gradient[other.place(key)] for key in layer.params}
    if any(found[path].shape != values.shape for path, values in gradient.items()):
        return None
    return {path: found[path] for path in gradient}


# --- what is changed or kept ------------------------------------------------------------------------------------


def _mutating(gradient: Any, params: Any, x: Any, y: Any, architecture: Architecture) -> Any:
    x -= x.mean(axis=0)  # centred in place
    return gradient


def _accumulating(right: Program) -> Program:
    kept: dict[tuple[Any, ...], Any] = {}

    def change(gradient: Any, params: Any, x: Any, y: Any, architecture: Architecture) -> Any:
        key = (x.shape, *(leaf.shape for _, leaf in tree.leaves(params)))
        if key in kept:
            gradient = tree.mapped(np.add, gradient, kept[key])
        kept[key] = tree.copy(gradient)
        return gradient

    return _after(change)(right)


def _random(right: Program) -> Program:
    rng = np.random.default_rng(0)

    def dropped(leaf: Any) -> Any:
        """Dropout that was left on: each entry is kept with probability ½."""
        return leaf * (2.0 * (rng.random(leaf.shape) < 0.5)).astype(leaf.dtype)

    return _after(lambda gradient, *call: tree.mapped(dropped, gradient))(right)


# --- what is asked of no formula: memory, and the range of numbers -----------------------------------------------


def _reads_memory(right: Program) -> Program:
    def program(params: Any, x: Any, y: Any, architecture: Architecture) -> tuple[Any, Any]:
        flat = x.ravel(order="K")  # as the numbers lie in memory, whatever their indices are
        return right(params, flat.reshape(x.shape), y, architecture)

    return program


def _unshifted(gradient: Any, params: Any, x: Any, y: Any, architecture: Architecture) -> Any:
    if architecture.output != "softmax" and architecture.loss != "cross_entropy":
        return gradient
    f = forward(Case(architecture, params, x, y))
    inside = architecture.output == "softmax" and not f.fused
    with np.errstate(all="ignore"):
        weights = np.exp(f.leaves[-1].saved.pre_activation if inside else f.logits)
        whole = weights / weights.sum(axis=1, keepdims=True)
    return gradient if np.isfinite(whole).all() else tree.mapped(lambda leaf: leaf * np.nan, gradient)


# --- what is right for some inputs only ---------------------------------------------------------------------------


def _one_example(right: Program) -> Program:
    def change(gradient: Any, params: Any, x: Any, y: Any, architecture: Architecture) -> Any:
        if len(x) == 1:
            return gradient
        _, own = right(params, x[1:2], y[1:2], architecture.without_penalty)  # the second one counts twice
        share = 1.0 / len(x) if architecture.reduction == "mean" else 1.0
        return tree.mapped(lambda a, b: np.asarray(a + share * b, dtype=a.dtype), gradient, own)

    return _after(change)(right)


def _has_hidden_layer(architecture: Architecture, batch: int) -> bool:
    return sum(bool(place.parameters) for place in places(architecture)) > 1


def _has_equal_widths(architecture: Architecture, batch: int) -> bool:
    return is_dense_chain(architecture) and len(set(dense_chain(architecture).widths)) == 1


def _wrong_where(condition: Callable[[Architecture, int], bool]) -> Plant:
    """Right code that forgets half of the gradient of the weights where a condition on network and batch holds."""

    def change(gradient: Any, params: Any, x: Any, y: Any, architecture: Architecture) -> Any:
        if condition(architecture, len(x)):
            for weight in _weights(architecture, gradient):
                weight *= 0.5
        return gradient

    return _after(change)


def _bug(
    slug: str, title: str, explanation: str, symptom: str, question: str, line: str, plant: Plant, **more: Any
) -> Bug:
    """A mistake of code: one of the contract where nothing else is said."""
    hints = (symptom, question, line)
    return Bug(
        slug, title, explanation=explanation, hints=hints, plant=plant, **{"equation": "contract"} | more
    )


BUGS = (
    _bug(
        "one-entry-wrong",
        "one entry wrong",
        "all entries are right but one.",
        "One single number of the gradient is wrong.",
        "Is some entry written a second time, or treated apart?",
        "Look for an index that is written by hand, and for loops that begin or end one too early.",
        _entry(lambda value: value * PLANTED_FACTOR),
        confused=("never-written-entry",),
        equation="",
    ),
    _bug(
        "never-written-entry",
        "one entry never written",
        "one entry is 0 and should not be: it may never be written.",
        "One single number of the gradient is 0, and should not be.",
        "Does the loop reach the first and the last index?",
        "Let the loop run over all indices; allocate with np.zeros, so that what is forgotten can be seen.",
        _entry(lambda value: 0.0 * value),
        confused=("one-entry-wrong",),
        equation="",
    ),
    _bug(
        "nan-entry",
        "NaN in one entry",
        "one entry is not a number.",
        "One single number of the gradient is NaN.",
        "Where is 0/0, ∞ − ∞ or 0·∞ computed?",
        "Look for a division by a count or a norm that can be 0.",
        _entry(lambda value: np.nan),
    ),
    _bug(
        "inf-entry",
        "infinity in one entry",
        "one entry is infinite.",
        "One single number of the gradient is infinite.",
        "Where is something divided by 0, or exp of a large number taken?",
        "Look for a division by what can be 0, and for exp without a shift by the maximum.",
        _entry(lambda value: np.inf),
    ),
    _bug(
        "wrong-shape-broadcasts",
        "a column for a vector",
        "a gradient has another shape than its parameter: NumPy broadcasts it in the update without a word.",
        "A gradient is not shaped as its parameter is.",
        "Which shape has each gradient, and which has its parameter?",
        "Return each gradient in the shape of its parameter: (n,) beside (n, 1) turns the update into an (n, n) matrix.",
        _after(_as_column),
    ),
    Bug(
        "swapped-layers",
        "the layers' gradients in another order",
        "contract",
        "the gradients of the layers are returned in reverse order.",
        (
            "The gradients of two layers stand in one another's place.",
            "In which order does the backward pass go through the layers, and in which are they returned?",
            "Reverse the list before it is returned, or write by index.",
        ),
        Rules().but(RETURNED, _reversed),
        silent="raises, or is of wrong shape, unless widths are equal; one layer",
    ),
    _bug(
        "cast-to-float32",
        "float32 on the way",
        "something was stored in float32 on the way.",
        "All numbers are off by up to 6e-8 of their size, a rounding of float32.",
        "Which arrays are not float64?",
        "Compute in float64 throughout, or return float32 to be judged as such.",
        _rounded_to(np.float32),
    ),
    _bug(
        "cast-to-float16",
        "float16 on the way",
        "something was stored in float16 on the way.",
        "All numbers are off by up to 5e-4 of their size, a rounding of float16.",
        "Which arrays are not float64?",
        "Compute in float64 throughout, or return float16 to be judged as such.",
        _rounded_to(np.float16),
    ),
    _bug(
        "gradient-aliases-parameter",
        "the gradient in the parameter's memory",
        "the returned array is the parameter's own memory: the call changes the parameter.",
        "After the call the parameters hold the gradient.",
        "Are the returned arrays new ones?",
        "Allocate new arrays for the gradient.",
        _after(_aliased),
        confused=("input-mutated",),
    ),
    _bug(
        "input-mutated",
        "arguments changed",
        "x, y or the parameters change during the call.",
        "What the call was given is another array afterwards.",
        "Which lines assign in place (-=, [...] =, sort)?",
        "Work on copies of the arguments.",
        _after(_mutating),
    ),
    _bug(
        "accumulated",
        "sums that are never reset",
        "the k-th call returns the sum of k gradients.",
        "The first call is right, the second is twice as large.",
        "When are the sums set to zero?",
        "Start every call with fresh zeros.",
        _accumulating,
        silent="the first call",
    ),
    _bug(
        "nondeterministic",
        "two calls differ",
        "two calls with the same arguments give two answers.",
        "The same question is answered differently each time.",
        "What is random, or kept between calls?",
        "Switch off dropout and fix the seed while gradients are checked.",
        _random,
    ),
    _bug(
        "memory-order-assumed",
        "memory read in the wrong order",
        "an array is read as it lies in memory, not by its indices.",
        "Right for arrays in C order, wrong for the same numbers as a transpose or a slice has them.",
        "Where does the order in memory enter (order='K', .view(), pointers)?",
        "Put a = np.ascontiguousarray(a) before it; np.reshape, np.ravel and @ go by index and need nothing.",
        _reads_memory,
        silent="arrays in C order",
    ),
    _bug(
        "no-max-shift",
        "softmax without the shift by the maximum",
        "exp of a large logit overflows, and ∞/∞ is NaN.",
        "Exact for logits of ordinary size, NaN for large ones.",
        "How large may z get before exp(z) overflows?",
        "Subtract the largest logit of each example first: z - z.max(axis=1, keepdims=True) where examples are rows.",
        _after(_unshifted),
        silent="logits below 700",
        equation="BP1",
    ),
    _bug(
        "one-example-wrong",
        "one example wrong",
        "the gradient is right but for what one example of the batch adds to it.",
        "What is wrong is the share of one single example.",
        "Are all examples treated alike: first, last, of one class?",
        "Look for loops over examples that begin or end one too early, and for examples that are treated apart.",
        _one_example,
        silent="batch of one",
    ),
    _bug(
        "right-only-for-batch-1",
        "right for one example only",
        "the gradient is right for a batch of one and wrong for more.",
        "One example: right. Two or more: wrong.",
        "Where does the batch size enter?",
        "Write the formula for one example with its indices, then sum over the batch.",
        _wrong_where(lambda architecture, batch: batch > 1),
        silent="batch of one",
        equation="",
    ),
    _bug(
        "right-only-for-depth-1",
        "right without a hidden layer only",
        "the gradient is right without a hidden layer and wrong with one.",
        "One layer: right. Two or more: wrong.",
        "What changes where the error has to pass through a layer?",
        "Check the step from layer l + 1 to layer l, and which layers it reaches.",
        _wrong_where(_has_hidden_layer),
        silent="no hidden layer",
        equation="",
    ),
    _bug(
        "wrong-only-for-equal-widths",
        "wrong for equal widths only",
        "the gradient is right where widths differ and wrong where they are equal.",
        "Distinct widths: right. Equal widths: wrong.",
        "Which code asks for a shape, or relies on one?",
        "Look for tests whether shapes are equal, and for broadcasts that only equal lengths allow.",
        _wrong_where(_has_equal_widths),
        silent="widths that differ",
        equation="",
    ),
)
