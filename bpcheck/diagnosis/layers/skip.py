"""Skip connections: x + f(x). Two paths lead up, so two errors come down, and they add."""

from __future__ import annotations

from bpcheck.diagnosis.bug import Family
from bpcheck.diagnosis.step import Equation, Kind, Layer, Run, Step
from bpcheck.tree import FloatArray

__all__ = ["BUGS", "PLUS_ONE", "SKIP"]

SKIP_PATH = Equation(
    "skip path",
    "skip connection y = x + f(x): ∂C/∂x = ∂C/∂y + (∂f/∂x)ᵀ ∂C/∂y",
    "x reaches the cost on two paths, past f and through it; what comes down on both is added",
    "the error below the skip connection",
)


PLUS_ONE = Step("skip", "the +1", SKIP_PATH, lambda run, layer, error, through: error + through)
"""``(run, layer, ∂C/∂y, what comes down through f) -> ∂C/∂x``."""


def _pullback(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    through = run.down(layer.inner, error)
    return run.step(PLUS_ONE, layer, error, through) if layer.sends_down else error


SKIP = Kind(
    "skip connection", _pullback, (PLUS_ONE,), passed="and past the skip connection that begins with it"
)


PATHS = Family(
    PLUS_ONE,
    "What lies above the skip connection is right, and so are the layers inside it; the layers below it are wrong.",
    "The skip connection",
)
BOTH = "on how many paths does x reach y = x + f(x), and what does each send back?"
BELOW = "no skip connection; no parameters below it"

BUGS = (
    PATHS.bug(
        "skip-dropped",
        "the +1 of a skip connection forgotten",
        "below a skip connection only the error that came down through f is used; the one past f, the +1, is lost.",
        BOTH,
        "Add the error of the output to what comes down through f: dx = dy + (what f sends down).",
        lambda run, layer, error, through: through,
        silent=BELOW,
    ),
    PATHS.bug(
        "skip-inner-dropped",
        "only the +1 of a skip connection",
        "below a skip connection only the error past f is used; the one that came down through f is lost.",
        BOTH,
        "Add what comes down through f to the error of the output: dx += …, not dx = ….",
        lambda run, layer, error, through: error,
        silent=BELOW,
        confused=("conv-error-not-propagated",),
    ),
    PATHS.bug(
        "skip-doubled",
        "the +1 of a skip connection twice",
        "the error past f is added twice on its way down a skip connection.",
        BOTH,
        "Add the error of the output once: dx = dy + (what f sends down).",
        lambda run, layer, error, through: 2.0 * error + through,
        silent=BELOW,
    ),
)
