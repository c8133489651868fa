"""The pictures: what they show is what was measured; without matplotlib they say what to install."""

import sys

import numpy as np
import pytest
from choosing import some

from bpcheck import InputError, step_curve, taylor_remainder

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

W = np.array([0.3, -1.0, 2.0])


def f(w):
    return float(np.sum(np.sin(w)))


@pytest.fixture
def figures():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def assert_readable(*axes):
    """All text lies within the figure, and the legend hides no point."""
    axes[0].figure.canvas.draw()
    for ax in axes:
        _assert_readable(ax)


def _assert_readable(ax):
    figure = ax.figure
    inside = figure.bbox.padded(1.0)
    for text in [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_legend().get_texts()]:
        box = text.get_window_extent()
        assert inside.x0 <= box.x0 <= box.x1 <= inside.x1
        assert inside.y0 <= box.y0 <= box.y1 <= inside.y1
    legend = ax.get_legend().get_window_extent()
    for drawn in ax.lines:
        if drawn.get_marker() in ("o", "s", "D"):
            points = ax.transData.transform(
                np.ma.filled(np.column_stack(drawn.get_data()).astype(float), np.nan)
            )
            points = points[np.isfinite(points).all(axis=1)]
            assert not any(legend.contains(*point) for point in points)


@pytest.mark.parametrize("factor", some([1.0, 1.001, -1.0], default=lambda factor: factor == 1.001))
def test_taylor(figures, factor):
    found = taylor_remainder(f, lambda w: factor * np.cos(w), W, seed=0)
    ax = found.plot()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert any(f"order {found.second_order}" in text for text in texts(ax))
    drawn = next(
        line for line in ax.lines if line.get_marker() == "s" and line.get_markerfacecolor() != "white"
    )
    assert np.array_equal(drawn.get_ydata(), found.second[found.usable])
    assert_readable(ax)


def test_step_curve(figures):
    curve = step_curve(f, W, seed=0)
    ax = curve.plot()
    points = next(line for line in ax.lines if line.get_marker() == "o")
    assert np.array_equal(points.get_xdata(), curve.steps)
    mark = next(line for line in ax.lines if line.get_marker() == "D")
    assert mark.get_xdata()[0] == curve.estimate.step
    assert mark.get_ydata()[0] == curve.estimate.error
    assert_readable(ax)


@pytest.mark.full
def test_on_axes_of_the_caller(figures):
    _, (left, right) = figures.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    assert taylor_remainder(f, np.cos, W, seed=0).plot(left) is left
    assert step_curve(f, W, seed=0).plot(ax=right) is right
    assert_readable(left, right)
    assert len(figures.get_fignums()) == 1


@pytest.mark.full
def test_pictures_of_little(figures):
    linear = taylor_remainder(lambda w: float(w.sum()), np.ones_like, W, seed=0)
    assert_readable(linear.plot())  # no remainder above the noise
    constant = step_curve(lambda w: 1.0, W, seed=0)
    assert_readable(constant.plot())  # no error at all
    step = step_curve(lambda w: float(w[0] > 0.3), W, direction=np.ones(3))
    assert step.estimate.error == np.inf
    assert_readable(step.plot())


def test_without_matplotlib_the_numbers_are_there_and_the_picture_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    found = taylor_remainder(f, np.cos, np.ones(2), seed=0)
    assert round(found.second_order.value) == 2
    with pytest.raises(InputError, match=r"pip install 'bpcheck\[plot\]'"):
        found.plot()
