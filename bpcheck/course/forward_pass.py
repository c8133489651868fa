"""The exercises of notebook 1, *Notation and the forward pass*.

Every function takes what the reader wrote and returns an :class:`~bpcheck.course.Answer`. What is right
is computed by :mod:`bpcheck.reference` with a bound on its rounding; nothing is written down here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.agreement import judge
from bpcheck.course.answer import Answer, State
from bpcheck.course.exercise import SEED, Mistakes, Trial, call, compared, exact, hold, unusable
from bpcheck.course.networks import dense_layer, draw_case, draw_widths, enclosed_forward
from bpcheck.course.prediction import hold_predictions
from bpcheck.network.architecture import mlp
from bpcheck.network.dense_chain import dense_chain
from bpcheck.network.layers import Dense
from bpcheck.reference import build
from bpcheck.tree import FloatArray

__all__ = [
    "batch_gradient",
    "error_is_difference",
    "forward",
    "layer",
    "passport",
    "shapes",
    "unit",
    "update",
]

TRIALS = 6
"""Random networks an exercise: with widths that are never equal, one shows every mistake below."""

DEPTHS = (2, 3, 4)
"""L. A network of two layers has no hidden one, which trips up some loops."""


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


# --- 1. one unit ---------------------------------------------------------------------------------


def unit(function: Any) -> Answer:
    """``unit(W, a, b, j)``: the pre-activation z_j of one unit.

    Examples
    --------
    >>> unit(lambda W, a, b, j: W[j] @ a + b[j]).ok
    True
    >>> print(unit(lambda W, a, b, j: W[j] @ a).hint)
    The bias is missing: add b[j], once, after the sum.
    """
    trials = []
    rng = _rng()
    for _ in range(TRIALS):
        W, a, b = _layer(rng)
        j = int(rng.integers(len(b)))
        z, _ = dense_layer(Dense(len(b), "tanh"), {"weight": W, "bias": b}, a[None])
        about = f"for unit j = {j} of a layer from {len(a)} to {len(b)} units"
        trials.append(Trial.enclosed(about, (W, a, b, j), z[0, j], ("z_j",)))
    return hold("unit", function, trials, UNIT, checked=f"{TRIALS} units of random layers.")


def _layer(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    case = draw_case(rng, 2, batch=1)
    params = tree.copy(case.params)[0]
    return params["weight"], np.array(case.x[0]), params["bias"]


UNIT: Mistakes = {
    "The bias is missing: add b[j], once, after the sum.": lambda W, a, b, j: W[j] @ a,
    "The bias went into the sum, so it is counted once for every k. Add it once, after the sum.": (
        lambda W, a, b, j: np.sum(W[j] * a + b[j])
    ),
    "These are the terms of the sum, one for each k. Read literally, the formula has this mistake: "
    "add the terms up over k.": lambda W, a, b, j: W[j] * a + b[j],
    "You have all units of the layer. Pick the row j of W and the entry j of b.": (
        lambda W, a, b, j: W @ a + b
    ),
    "You took column j of W. Row j holds the weights into unit j: the first index says where a weight "
    "arrives, the second where it comes from.": lambda W, a, b, j: W[:, j] @ a + b[j],
    "You took column j of W. Row j holds the weights into unit j.": (
        lambda W, a, b, j: sum(W[k, j] * a[k] for k in range(len(a))) + b[j]
    ),
    "z is the sum before the activation. Leave σ for the next step.": (
        lambda W, a, b, j: np.tanh(W[j] @ a + b[j])
    ),
    "That is one term only. Add up over all k.": lambda W, a, b, j: W[j, j] * a[j] + b[j],
}


# --- 2. one layer --------------------------------------------------------------------------------


def layer(function: Any) -> Answer:
    """``layer(W, a, b)`` → ``(z, a_next)`` for one example, with σ = tanh.

    Examples
    --------
    >>> def right(W, a, b):
    ...     z = W @ a + b
    ...     return z, np.tanh(z)
    >>> layer(right).ok
    True
    """
    trials = []
    rng = _rng()
    for _ in range(TRIALS):
        W, a, b = _layer(rng)
        z, after = dense_layer(Dense(len(b), "tanh"), {"weight": W, "bias": b}, a[None])
        about = f"for a layer from {len(a)} to {len(b)} units"
        trials.append(Trial.enclosed(about, (W, a, b), [z[0], after[0]], ("z", "σ(z)")))
    return hold("layer", function, trials, LAYER, checked=f"{TRIALS} random layers, one example each.")


LAYER: Mistakes = {
    "The bias is missing: z = W a + b.": lambda W, a, b: (W @ a, np.tanh(W @ a)),
    "The two are swapped: return z first, then σ(z).": lambda W, a, b: (np.tanh(W @ a + b), W @ a + b),
    "The bias belongs inside σ: σ(W a + b), and z holds it already.": (
        lambda W, a, b: (W @ a, np.tanh(W @ a) + b)
    ),
    "Both are z. The second one is σ(z), entry by entry.": lambda W, a, b: (W @ a + b, W @ a + b),
    "σ here is tanh.": (
        lambda W, a, b: (W @ a + b, 1 / (1 + np.exp(-(W @ a + b)))),
        lambda W, a, b: (W @ a + b, np.maximum(W @ a + b, 0)),
    ),
    "W is transposed. W is (out, in): W @ a takes one number for each unit below and gives one for each "
    "unit of this layer.": lambda W, a, b: (W.T @ a + b, np.tanh(W.T @ a + b)),
    "a @ W multiplies along the wrong side of W. W is (out, in): write W @ a, or a @ W.T.": (
        lambda W, a, b: (a @ W + b, np.tanh(a @ W + b))
    ),
    "W * a multiplies entry by entry and adds nothing up. A matrix times a vector is W @ a.": (
        lambda W, a, b: (W * a + b, np.tanh(W * a + b))
    ),
    "z is a vector (out,), and so is b: no row or column is needed here.": (
        lambda W, a, b: (W @ a[:, None] + b[:, None], np.tanh(W @ a[:, None] + b[:, None]))
    ),
    "σ acts on z, not on the activation that comes in.": lambda W, a, b: (W @ a + b, W @ np.tanh(a) + b),
}


# --- 3. shapes -----------------------------------------------------------------------------------


def shapes(function: Any) -> Answer:
    """``shapes(widths)`` → ``[(shape of W², shape of b²), …]`` up to layer L.

    Examples
    --------
    >>> shapes(lambda n: [((n[l], n[l - 1]), (n[l],)) for l in range(1, len(n))]).ok
    True
    """
    trials = []
    rng = _rng()
    for layers in (*DEPTHS, *DEPTHS):
        widths, _ = draw_widths(rng, layers)
        right = [[p["weight"], p["bias"]] for p in mlp(widths).parameter_shapes]
        names = [f"the shape of {letter} of layer {n}" for n in range(2, layers + 1) for letter in "Wb"]
        # the numbers of a shape, as an array
        arrays = [[np.array(shape) for shape in pair] for pair in right]
        trials.append(Trial.exact(f"for widths {widths}", (widths,), arrays, tuple(names)))
    return hold("shapes", function, trials, SHAPES, checked=f"{len(trials)} networks of two to four layers.")


SHAPES: Mistakes = {
    "Every W is transposed: its first number is the layer's own width (out), its second the width below (in).": (
        lambda n: [((n[i - 1], n[i]), (n[i],)) for i in range(1, len(n))]
    ),
    "You begin at the input layer. Nothing leads into it: there is no W¹ and no b¹, and L layers have L − 1 of each.": (
        lambda n: [((n[0], n[0]), (n[0],))] + [((n[i], n[i - 1]), (n[i],)) for i in range(1, len(n))]
    ),
    "One layer too many: there are L − 1 weight matrices, and after layer L comes nothing.": (
        lambda n: [((n[(i + 1) % len(n)], n[i]), (n[(i + 1) % len(n)],)) for i in range(len(n))]
    ),
    "The last layer is missing: l runs from 2 to L, and L is included.": (
        lambda n: [((n[i], n[i - 1]), (n[i],)) for i in range(1, len(n) - 1)]
    ),
    "The layers are in reverse: L is just the last number, nothing counts from the end. Begin with layer 2.": (
        lambda n: [((n[i], n[i - 1]), (n[i],)) for i in range(1, len(n))][::-1]
    ),
    "(5) is the number 5. A tuple with one entry needs a comma: (5,).": (
        lambda n: [((n[i], n[i - 1]), n[i]) for i in range(1, len(n))]
    ),
    "A bias is a vector with one number for each unit of its layer: (n_l,).": (
        lambda n: [((n[i], n[i - 1]), (n[i], 1)) for i in range(1, len(n))]
    ),
    "The bias belongs to the layer it leads into: it has n_l entries, not n_{l−1}.": (
        lambda n: [((n[i], n[i - 1]), (n[i - 1],)) for i in range(1, len(n))]
    ),
}


# --- 4. the whole forward pass -------------------------------------------------------------------


def forward(function: Any) -> Answer:
    """``forward(params, x)`` → ``(zs, activations)`` of a batch: tanh in hidden layers, identity at the output.

    Examples
    --------
    >>> def right(params, x):
    ...     zs, activations = [], [x]
    ...     for number, layer in enumerate(params, start=2):
    ...         zs.append(activations[-1] @ layer["weight"].T + layer["bias"])
    ...         activations.append(zs[-1] if number == len(params) + 1 else np.tanh(zs[-1]))
    ...     return zs, activations
    >>> forward(right).ok
    True
    """
    trials = []
    rng = _rng()
    for layers in (*DEPTHS, *DEPTHS):
        case = draw_case(rng, layers, activation="tanh", output="identity")
        zs, activations = enclosed_forward(case.architecture, case.params, case.x)
        about = f"for widths {list(dense_chain(case.architecture).widths)} and a batch of {case.batch}"
        names = [f"z^{n}" for n in range(2, layers + 1)] + [f"a^{n}" for n in range(1, layers + 1)]
        arguments = (tree.copy(case.params), np.array(case.x))
        trials.append(Trial.enclosed(about, arguments, [zs, [exact(case.x), *activations]], tuple(names)))
    return hold(
        "forward",
        function,
        trials,
        FORWARD,
        checked=f"{len(trials)} random networks of two to four layers, in batches.",
    )


def _forward(
    params: Any,
    x: Any,
    *,
    affine: Callable[[Any, Any], Any] = lambda a, p: a @ p["weight"].T + p["bias"],
    hidden: Callable[[Any], Any] = np.tanh,
    output: Callable[[Any], Any] = lambda z: z,
) -> Any:
    """A forward pass of which any part may be replaced by a wrong one."""
    zs, activations = [], [x]
    for number, layer in enumerate(params):
        zs.append(affine(activations[-1], layer))
        activations.append((hidden if number < len(params) - 1 else output)(zs[-1]))
    return zs, activations


FORWARD: Mistakes = {
    "The bias is missing in every layer.": lambda p, x: _forward(p, x, affine=lambda a, q: a @ q["weight"].T),
    "The output layer is linear here: aᴸ = zᴸ. You applied tanh there too.": (
        lambda p, x: _forward(p, x, output=np.tanh)
    ),
    "The hidden layers lack their activation: a^l = tanh(z^l) for l < L.": (
        lambda p, x: _forward(p, x, hidden=lambda z: z)
    ),
    "The activation sits on the wrong layers: tanh belongs on the hidden ones, and the output is linear.": (
        lambda p, x: _forward(p, x, hidden=lambda z: z, output=np.tanh)
    ),
    "σ is tanh in this exercise.": (
        lambda p, x: _forward(p, x, hidden=lambda z: 1 / (1 + np.exp(-z))),
        lambda p, x: _forward(p, x, hidden=lambda z: np.maximum(z, 0)),
    ),
    "a¹ = x is missing in front of the activations. The way back needs it: ∂C/∂W² is made of δ² and a¹.": (
        lambda p, x: (_forward(p, x)[0], _forward(p, x)[1][1:])
    ),
    "The output is missing: aᴸ belongs to the activations, also where it equals zᴸ.": (
        lambda p, x: (_forward(p, x)[0], _forward(p, x)[1][:-1])
    ),
    "The two lists are swapped: return the z first.": lambda p, x: _forward(p, x)[::-1],
    "You stored z twice and lost a: append tanh(z) to the activations, and use it for the next layer.": (
        lambda p, x: (_forward(p, x)[0], [x, *_forward(p, x)[0]])
    ),
    "One example is one row. You hold the batch in columns, which is W @ A + b[:, None]. In rows it is A @ W.T + b.": (
        lambda p, x: ([z.T for z in _forward(p, x)[0]], [a.T for a in _forward(p, x)[1]])
    ),
    "One example is one row. Your z and a hold the batch in columns: in rows it is A @ W.T + b.": (
        lambda p, x: ([z.T for z in _forward(p, x)[0]], [x, *(a.T for a in _forward(p, x)[1][1:])])
    ),
    "a @ W does not fit: W is (out, in). For rows, write a @ W.T.": (
        lambda p, x: _forward(p, x, affine=lambda a, q: a @ q["weight"] + q["bias"])
    ),
    "W @ a takes one example as a column. For a batch in rows, write a @ W.T.": (
        lambda p, x: _forward(p, x, affine=lambda a, q: q["weight"] @ a + q["bias"])
    ),
    "Every layer got x. A layer's input is the activation of the layer below.": (
        lambda p, x: _forward(p, x, affine=lambda a, q: x @ q["weight"].T + q["bias"])
    ),
    "b[:, None] adds the biases along the batch. A row of the batch has one entry for each unit: plain b is right.": (
        lambda p, x: _forward(p, x, affine=lambda a, q: a @ q["weight"].T + q["bias"][:, None])
    ),
    "The input goes into W² as it is: no activation acts on x.": lambda p, x: _forward(p, np.tanh(x)),
    "The first activation is a¹ = x itself; you stored tanh(x), though you used x.": (
        lambda p, x: (_forward(p, x)[0], [np.tanh(x), *_forward(p, x)[1][1:]])
    ),
}


# --- 5. the passport -----------------------------------------------------------------------------


def passport(to_cs231n: Any, to_bishop: Any) -> Answer:
    """Two translations of a layer ``(W, b)`` of ours.

    ``to_cs231n(W, b)`` → ``(W, b)`` for ``x @ W + b``; ``to_bishop(W, b)`` → one matrix w for which
    ``w @ [1, z…]`` is the same, bias first.

    Examples
    --------
    >>> passport(lambda W, b: (W.T, b), lambda W, b: np.column_stack([b, W])).ok
    True
    """
    rng = _rng()
    stanford, bishop = [], []
    for _ in range(TRIALS):
        case = draw_case(rng, 2)
        params = tree.copy(case.params)[0]
        W, b, x = params["weight"], params["bias"], np.array(case.x)
        (z,), _ = enclosed_forward(
            mlp(dense_chain(case.architecture).widths, output="identity"), case.params, x
        )
        about = f"for a layer from {W.shape[1]} to {W.shape[0]} units"
        # what the book's own formula makes of the translated numbers must be our z
        stanford.append((about, (W, b), x, z))
        bishop.append((about, (W, b), np.column_stack([np.ones(len(x)), x]), z))

    def theirs(function: Any, formula: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        return lambda W, b, inputs: formula(function(W, b), inputs)

    for name, function, trials, formula, mistakes in (
        ("to_cs231n", to_cs231n, stanford, _cs231n, CS231N),
        ("to_bishop", to_bishop, bishop, _bishop, BISHOP),
    ):
        refused = unusable("passport", function)
        if refused is not None:
            return refused
        for about, arguments, *_ in trials:
            refused = call(function, arguments).refusal("passport", f"in {name} {about}")
            if refused is not None:
                return refused
        asked = [
            Trial.enclosed(f"in {name} {about}", (*arguments, inputs), z, ("z",))
            for about, arguments, inputs, z in trials
        ]
        answer = hold(
            "passport",
            theirs(function, formula),
            asked,
            {hint: theirs(wrong, formula) for hint, wrong in mistakes.items()},
            checked=f"{TRIALS} random layers, translated into either book's symbols and computed by its formula.",
        )
        if not answer.ok:
            return answer
    return answer


def _cs231n(translated: Any, x: Any) -> Any:
    W, b = translated
    return x.dot(W) + b


def _bishop(w: Any, z_with_one: Any) -> Any:
    # a_j = Σ_i w_ji z_i with z_0 = 1, for every row of the batch
    return z_with_one @ np.asarray(w).T


CS231N: Mistakes = {
    "CS231n stores W as (in, out) and multiplies from the other side: hand over W.T.": lambda W, b: (W, b),
    "W is right; b must come along unchanged.": lambda W, b: (W.T, np.zeros_like(b)),
    "The bias becomes no column: x @ W + b adds b to every row.": lambda W, b: (W.T, b[:, None]),
}
BISHOP: Mistakes = {
    "The bias comes first, as column 0: Bishop's sum begins with w_j0 z_0.": (
        lambda W, b: np.column_stack([W, b])
    ),
    "The bias is missing: it is w_j0, column 0.": lambda W, b: W,
    "The bias is missing: column 0 is w_j0, the bias of unit j.": (
        lambda W, b: np.column_stack([np.zeros_like(b), W])
    ),
    "Column 0 holds ones. The 1 is z_0; the weight w_j0 that it meets is the bias b_j.": (
        lambda W, b: np.column_stack([np.ones_like(b), W])
    ),
    "Bishop's w_ji leads from i to j, as our W does: it is not transposed.": lambda W, b: np.vstack([b, W.T]),
    "One row for each unit j, with the bias in front: the bias is a column here.": (
        lambda W, b: np.vstack([b, W])
    ),
}


# --- 6. δ is ∂C/∂z -------------------------------------------------------------------------------

PAIRS = (
    ("identity", "half_mse"),
    ("identity", "mse"),
    ("sigmoid", "half_mse"),
    ("sigmoid", "binary_cross_entropy"),
    ("softmax", "half_mse"),
    ("softmax", "cross_entropy"),
)
"""Output activations and losses that a textbook pairs, in the order of the notebook."""


def error_is_difference(prediction: Any) -> Answer:
    """For each pair of output and loss, whether δᴸ = aᴸ − y for one example.

    Parameters
    ----------
    prediction : dict of (output, loss) to bool

    Examples
    --------
    >>> print(error_is_difference({}))
    error_is_difference: not done yet
    <BLANKLINE>
      Still to be predicted: identity with half_mse, identity with mse, sigmoid with half_mse,
      sigmoid with binary_cross_entropy, softmax with half_mse, softmax with cross_entropy.
    """
    exercise = "error_is_difference"
    unknown = [key for key in prediction if key not in PAIRS] if isinstance(prediction, Mapping) else []
    if unknown:
        return Answer(exercise, State.WRONG, f"{unknown[0]!r} is none of the six pairs.")
    return hold_predictions(
        exercise,
        prediction,
        PAIRS,
        _delta_against_difference,
        key="(output, loss)",
        named=" with ".join,
        hint="δ is ∂C/∂z: differentiate the loss by a, then go on through σ.",
        checked=f"All {len(PAIRS)} hold, each measured on {TRIALS} random networks with one example.",
    )


def _delta_against_difference(pair: tuple[str, str]) -> tuple[bool, str]:
    """Whether δᴸ = aᴸ − y on every one of some random networks, and a sentence that shows it."""
    output, loss = pair
    rng = _rng()
    same, text = True, ""
    for _ in range(TRIALS):
        case = draw_case(rng, 3, batch=1, output=output, loss=loss)
        network = build(case.architecture)
        _, activations = enclosed_forward(case.architecture, case.params, case.x)
        # with one example, ∂C/∂bᴸ is δᴸ itself
        *_, delta = network.enclose(case.params, case.x, case.y).gradient.values()
        difference = activations[-1] - case.y
        bound = 2 * delta.rad + 2 * difference.rad[0]
        comparison = judge("δ", delta.mid, difference.mid[0], bound)
        if same:
            shown = (
                f"δᴸ = {np.round(delta.mid, 3).tolist()}, a − y = {np.round(difference.mid[0], 3).tolist()}"
            )
            text = f"{output} with {loss}: {shown}."
        same = same and comparison.verdict.ok
    return same, text


# --- 7. backpropagation does not train, and a batch is one step ------------------------------------

WIDTH_PAIRS = ((3, 2), (2, 4), (4, 3))


def batch_gradient(function: Any) -> Answer:
    """``batch_gradient(W, b, x, y)`` → ``(∂C/∂W, ∂C/∂b)`` of one linear layer with half MSE, for a batch.

    Examples
    --------
    >>> def right(W, b, x, y):
    ...     delta = (x @ W.T + b - y) / len(x)
    ...     return delta.T @ x, delta.sum(axis=0)
    >>> batch_gradient(right).ok
    True
    """
    exercise = "batch_gradient"
    refused = unusable(exercise, function)
    if refused is not None:
        return refused
    rng = _rng()
    trials = []
    for _ in range(TRIALS):
        case = draw_case(rng, 2, output="identity", loss="half_mse")
        params = tree.copy(case.params)[0]
        arguments = (params["weight"], params["bias"], np.array(case.x), np.array(case.y))
        gradient = list(build(case.architecture).enclose(case.params, case.x, case.y).gradient.values())
        about = f"for widths {list(dense_chain(case.architecture).widths)} and a batch of {case.batch}"
        trials.append(Trial.enclosed(about, arguments, gradient, ("∂C/∂W", "∂C/∂b")))
    if _is_the_seeds_loop(function, trials[0]):
        reason = (
            "As it stands, it moves W and b, example by example, and returns them. No gradient comes out."
        )
        return Answer(exercise, State.NOT_DONE, reason)
    answer = hold(exercise, function, trials, BATCH_GRADIENT, checked="")
    if not answer.ok:
        return answer

    def subject(params: Any, x: Any, y: Any) -> Any:
        W, b = params[0]["weight"], params[0]["bias"]
        residual = x @ W.T + b - y
        dW, db = function(W, b, x, y)
        return 0.5 * np.sum(residual**2) / len(x), [{"weight": dW, "bias": db}]

    architectures = [mlp(widths, output="identity", loss="half_mse") for widths in WIDTH_PAIRS]
    return compared(exercise, subject, architectures, of="batches")


SEED_ETA = 0.1
"""The learning rate of the loop that the notebook hands out."""


def _seeds_loop(W: Any, b: Any, x: Any, y: Any) -> Any:
    """What the handed-out loop returns: the parameters after one step for each example."""
    for x_i, y_i in zip(x, y, strict=True):
        delta = W @ x_i + b - y_i
        W = W - SEED_ETA * np.outer(delta, x_i)
        b = b - SEED_ETA * delta
    return W, b


def _one_at_a_time(W: Any, b: Any, x: Any, y: Any) -> Any:
    """The gradient as one would read it off the seed's loop."""
    W_after, b_after = _seeds_loop(W, b, x, y)
    return (W - W_after) / SEED_ETA, (b - b_after) / SEED_ETA


def _is_the_seeds_loop(function: Any, trial: Trial) -> bool:
    """Whether it still is what was handed out: parameters changed in place, one example after the other."""
    outcome = call(function, trial.arguments)
    if not outcome.changed or not isinstance(outcome.value, tuple) or len(outcome.value) != 2:
        return False
    return all(map(np.array_equal, outcome.value, _seeds_loop(*trial.arguments)))


OF_RESIDUALS: Mapping[str, Callable[[Any, Any], Any]] = {
    "The mean over the batch is missing: C is a mean, so both sums are divided by m, the number of rows of x.": (
        lambda r, x: (r.T @ x, r.sum(axis=0))
    ),
    "The bias is averaged, the weights are only summed. Divide both by m.": (
        lambda r, x: (r.T @ x, r.mean(axis=0))
    ),
    "The weights are averaged, the bias is only summed. Divide both by m.": (
        lambda r, x: (r.T @ x / len(x), r.sum(axis=0))
    ),
    "∂C/∂b has one row for each example. One b serves all of them: average over the batch (axis 0).": (
        lambda r, x: (r.T @ x / len(x), r / len(x))
    ),
    "∂C/∂W is transposed: it has the shape of W, (out, in).": lambda r, x: (x.T @ r / len(x), r.mean(axis=0)),
    "That is the last example's gradient. Average over all of them.": (
        lambda r, x: (np.outer(r[-1], x[-1]), r[-1])
    ),
    "The sign is turned: δ is a − y. Going downhill is the optimiser's business, not the gradient's.": (
        lambda r, x: (-r.T @ x / len(x), -r.mean(axis=0))
    ),
    "You have divided by m twice.": (
        lambda r, x: (
            r.T @ x / len(x) ** 2,
            r.mean(axis=0) / len(x),
        )
    ),
}
"""Mistakes made with z − y of a batch, and x."""


def _of_residuals(wrong: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda W, b, x, y: wrong(x @ W.T + b - y, x)


BATCH_GRADIENT: Mistakes = {
    **{hint: _of_residuals(wrong) for hint, wrong in OF_RESIDUALS.items()},
    "That is the loop of the seed: each example sees parameters that the one before has moved.": (
        _one_at_a_time,
        lambda W, b, x, y: [g / len(x) for g in _one_at_a_time(W, b, x, y)],
    ),
}


# --- 8. the update -------------------------------------------------------------------------------

LEARNING_RATES = (0.5, 0.125, 0.25, 2.0, 0.0625, 1.5)
"""Never 1 and never 1/m: a learning rate that is left out would not show."""


def update(function: Any) -> Answer:
    """``update(w, gradients, batch, eta)`` → w after one step of mini-batch gradient descent.

    Examples
    --------
    >>> update(lambda w, gradients, batch, eta: w - eta * gradients[batch].mean(axis=0)).ok
    True
    """
    trials = []
    rng = _rng()
    for eta in LEARNING_RATES:
        case = draw_case(rng, 2)
        w = np.array(case.params[0]["weight"])
        examples, m = len(w) + 7, case.batch
        gradients = rng.uniform(-1.0, 1.0, (examples, *w.shape))
        batch = rng.permutation(examples)[:m]
        right = exact(w) - exact(gradients[batch]).sum(axis=0) / m * eta
        about = f"for {examples} training examples, a batch of {m} and η = {eta}"
        trials.append(Trial.enclosed(about, (w, gradients, batch, eta), right, ("w",)))
    return hold("update", function, trials, UPDATE, checked=f"{len(trials)} random batches.")


UPDATE: Mistakes = {
    "You averaged over all training examples. m counts the examples of the batch, and the sum runs over them alone.": (
        lambda w, g, batch, eta: w - eta * g.mean(axis=0)
    ),
    "The sum runs over the batch, but you divided by the number of all training examples.": (
        lambda w, g, batch, eta: w - eta * g[batch].sum(axis=0) / len(g)
    ),
    "The sum is not divided by m.": lambda w, g, batch, eta: w - eta * g[batch].sum(axis=0),
    "The learning rate is missing. The seed's n cannot stand for it and for the example at once: read η/m.": (
        lambda w, g, batch, eta: w - g[batch].mean(axis=0)
    ),
    "You read n as a number of examples: n/m is no step size. The factor is η/m.": (
        lambda w, g, batch, eta: w - len(g) / len(batch) * g[batch].sum(axis=0)
    ),
    "You read n as the index: every example got another factor. The factor is η/m for all of them.": (
        lambda w, g, batch, eta: w - sum(n / len(batch) * g[n] for n in batch)
    ),
    "The step goes uphill: subtract it.": lambda w, g, batch, eta: w + eta * g[batch].mean(axis=0),
    "Divided by m twice: mean() has done it already.": (
        lambda w, g, batch, eta: w - eta / len(batch) * g[batch].mean(axis=0)
    ),
    "mean() without an axis averages over the weights too. Each weight has its own mean: axis=0.": (
        lambda w, g, batch, eta: w - eta * g[batch].mean()
    ),
    "You took the first m examples. `batch` says which examples are in it: gradients[batch].": (
        lambda w, g, batch, eta: w - eta * g[: len(batch)].mean(axis=0)
    ),
}
