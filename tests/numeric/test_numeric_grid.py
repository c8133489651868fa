"""The grid on which the values of a function lie."""

import numpy as np
import pytest

from bpcheck.numeric.grid import Grid


def _grid(values):
    grid = Grid()
    for value in values:
        grid.add(float(value))
    return grid


@pytest.mark.parametrize("quantum", [1 / 32, 0.1, 1e-3, 7.0])
def test_rounded_values_show_their_grid(quantum):
    t = np.linspace(0.0, 3.0, 20_000 if quantum < 0.01 else 200)
    values = (
        np.round(np.sin(t) * (8.0 if quantum > 1.0 else 1.0) * (5.0 if quantum > 1.0 else 1.0) / quantum)
        * quantum
    )
    assert _grid(values).quantum == pytest.approx(quantum, rel=1e-9)


@pytest.mark.parametrize(
    "values",
    [
        np.sin(np.linspace(0.0, 3.0, 200)),  # differ wherever it is asked
        np.repeat(np.sin(np.linspace(0.0, 3.0, 20)), 9),  # met often, but on no grid
        np.where(np.linspace(-1.0, 1.0, 200) > 0.3, 1.0, 0.0),  # one step: one gap
        np.maximum(np.expm1(np.linspace(-1.0, 0.1, 200)), 0.0),  # stands still on one side
        np.round(np.sin(np.linspace(0.0, 3.0, 20_000)), 4),  # so fine that it is measured as noise
        [np.nan, np.inf] * 50,
        [],
    ],
)
def test_no_grid(values):
    assert _grid(values).quantum == 0.0
    assert _grid(values).noise == 0.0
