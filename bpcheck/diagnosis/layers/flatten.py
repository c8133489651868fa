"""Flattening: on the way down every error returns to the place that its number came from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bpcheck.diagnosis.bug import Bug, Hints
from bpcheck.diagnosis.step import Equation, Kind, Layer, Rules, Run, Step
from bpcheck.tree import FloatArray

__all__ = ["BUGS", "FLATTEN", "RESTORED"]

SHAPE = Equation(
    "shape restored",
    "flattening: ∂C/∂x has the shape of x, each entry where its number was",
    "flattening moves numbers and changes none, so each error goes back to where its number came from",
    "the shape of the error below the flattening",
)


def _restored(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    return error.reshape(layer.x.shape)


RESTORED = Step("flatten", "shape restored", SHAPE, _restored)
"""``(run, layer, ∂C/∂(row)) -> ∂C/∂x``."""


def _pullback(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    return run.step(RESTORED, layer, error) if layer.sends_down else error


FLATTEN = Kind("flattening", _pullback, (RESTORED,), passed="through the flattening")


def _channels_last(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    channels, *places = layer.x.shape[1:]
    return np.moveaxis(error.reshape(len(error), *places, channels), -1, 1)


def _columns_first(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    return error.reshape(layer.x.shape, order="F")


def _bug(
    slug: str,
    title: str,
    explanation: str,
    rule: Callable[[Run, Layer, FloatArray], FloatArray],
    confused: tuple[str, ...],
) -> Bug:
    hints = Hints(
        "The dense layers are right, the layers below the flattening are wrong.",
        "The flattening: in which order were the numbers put in a row?",
        "Take the row apart by the shape that was flattened, in the same order: dx = dy.reshape(x.shape).",
    )
    rules = Rules().but(RESTORED, rule)
    silent = "no flattening, no parameters below it; one channel, one place"
    return Bug(slug, title, SHAPE.name, explanation, hints, rules, silent=silent, confused=confused)


BUGS = (
    _bug(
        "flatten-channels-last",
        "flattened with the channels first, restored with them last",
        "the row was made of (channels, places) and taken apart as (places, channels): the errors come to other places.",
        _channels_last,
        ("flatten-columns-first",),
    ),
    _bug(
        "flatten-columns-first",
        "flattened row by row, restored column by column",
        "the row was made with the last axis fastest and taken apart with the first axis fastest (order='F').",
        _columns_first,
        ("flatten-channels-last",),
    ),
)
