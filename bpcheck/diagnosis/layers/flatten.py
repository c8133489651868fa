"""Flattening: on the way down every error returns to the place that its number came from."""

from __future__ import annotations

import numpy as np

from bpcheck.diagnosis.bug import Family
from bpcheck.diagnosis.step import Equation, Kind, Layer, Run, Step
from bpcheck.tree import FloatArray

__all__ = ["BUGS", "FLATTEN", "RESTORED"]

SHAPE = Equation(
    "shape restored",
    "flattening: ∂C/∂x has the shape of x, each entry where its number was",
    "flattening moves numbers and changes none, so each error goes back to where its number came from",
    "the shape of the error below the flattening",
)


RESTORED = Step("flatten", "shape restored", SHAPE, lambda run, layer, error: error.reshape(layer.x.shape))
"""``(run, layer, ∂C/∂(row)) -> ∂C/∂x``."""


def _pullback(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    return run.step(RESTORED, layer, error) if layer.sends_down else error


FLATTEN = Kind("flattening", _pullback, (RESTORED,), passed="through the flattening")


def _channels_last(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    channels, *places = layer.x.shape[1:]
    return np.moveaxis(error.reshape(len(error), *places, channels), -1, 1)


ROW = Family(
    RESTORED, "The dense layers are right, the layers below the flattening are wrong.", "The flattening"
)
ORDER = "in which order were the numbers put in a row?"
TAKEN_APART = (
    "Take the row apart by the shape that was flattened, in the same order: dx = dy.reshape(x.shape)."
)
BELOW = "no flattening, no parameters below it; one channel, one place"

BUGS = (
    ROW.bug(
        "flatten-channels-last",
        "flattened with the channels first, restored with them last",
        "the row was made of (channels, places) and taken apart as (places, channels): the errors come to other places.",
        ORDER,
        TAKEN_APART,
        _channels_last,
        silent=BELOW,
        confused=("flatten-columns-first",),
    ),
    ROW.bug(
        "flatten-columns-first",
        "flattened row by row, restored column by column",
        "the row was made with the last axis fastest and taken apart with the first axis fastest (order='F').",
        ORDER,
        TAKEN_APART,
        lambda run, layer, error: error.reshape(layer.x.shape, order="F"),
        silent=BELOW,
        confused=("flatten-channels-last",),
    ),
)
