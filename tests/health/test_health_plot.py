"""The pictures show what was measured; without matplotlib they say what to install."""

import subprocess
import sys

import numpy as np
import pytest

from bpcheck import gradient_health, mlp

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def figures():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_one_network_shows_three_sizes(figures):
    health = gradient_health(mlp([8] * 12, activation="sigmoid"), seed=0)
    ax = health.plot()
    assert ax.get_yscale() == "log"
    assert ax.get_title(loc="left").replace("\n", " ") == health.words
    activation, error, gradient = ax.lines
    assert np.array_equal(activation.get_ydata(), [layer.activation_rms for layer in health.layers])
    assert np.array_equal(error.get_ydata(), [layer.error_rms for layer in health.layers])
    assert np.array_equal(gradient.get_ydata(), [layer.weight_gradient_rms for layer in health.layers])
    assert np.array_equal(error.get_xdata(), range(2, 13))
    assert_inside(ax)


@pytest.mark.full
def test_several_networks_share_a_picture(figures):
    _, ax = figures.subplots(layout="constrained")
    for name in ("sigmoid", "relu", "tanh"):
        health = gradient_health(mlp([8] * 12, activation=name), seed=0)
        assert health.plot(ax, label=name) is ax
        assert ax.lines[-1].get_ydata()[-1] == 1.0
        assert ax.lines[-1].get_ydata()[0] == health.total
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["sigmoid", "relu", "tanh"]
    assert len({(line.get_color(), line.get_marker()) for line in ax.lines}) == 3
    assert len(figures.get_fignums()) == 1
    assert_inside(ax)


@pytest.mark.full
def test_zeros_and_overflow_leave_gaps_and_no_warning(figures):
    nothing = gradient_health(mlp([1, 1, 1]), [{"weight": [[0.0]], "bias": [1.0]}] * 2, [[2.0]], [[1.0]])
    nothing.plot().figure.canvas.draw()
    nothing.plot(label="nothing").figure.canvas.draw()
    params = [{"weight": [[1e200]], "bias": [0.0]}] * 3
    gradient_health(
        mlp([1, 1, 1, 1], activation="relu"), params, [[1e10]], [[1.0]]
    ).plot().figure.canvas.draw()


def assert_inside(ax):
    ax.figure.canvas.draw()
    inside = ax.figure.bbox.padded(1.0)
    title = next(text for text in (ax._left_title, ax.title) if text.get_text())
    for text in [title, ax.xaxis.label, ax.yaxis.label, *ax.get_legend().get_texts()]:
        box = text.get_window_extent()
        assert inside.x0 <= box.x0 <= box.x1 <= inside.x1
        assert inside.y0 <= box.y0 <= box.y1 <= inside.y1


@pytest.mark.full
def test_without_matplotlib_the_numbers_are_there_and_the_picture_says_what_to_install():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import bpcheck\n"
        "health = bpcheck.gradient_health(bpcheck.mlp([2, 2, 1]), seed=0)\n"
        "print(health.verdict)\n"
        "for options in ({}, {'label': 'one'}):\n"
        "    try:\n        health.plot(**options)\n    except bpcheck.InputError as error:\n        print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[0] == "healthy"
    assert out.count("pip install 'bpcheck[plot]'") == 2
