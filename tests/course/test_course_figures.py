"""The figures without a browser: self-contained, escaped, packaged, and their numbers those of bpcheck."""

import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import sympy

import bpcheck
from bpcheck.course import experiments
from bpcheck.course.figure import figure
from bpcheck.course.figures import CONVENTIONS, FUNCTIONS, network_figure, paths_figure, step_figure
from bpcheck.course.update_figures import (
    chart,
    descent_figure,
    first_steps_figure,
    health_figure,
    minima_figure,
    noise_figure,
    progress_figure,
    schedules_figure,
    stopping_figure,
)
from bpcheck.reference.optimizer import Momentum

FIGURES = {
    "network": network_figure,
    "paths": paths_figure,
    "step": step_figure,
    "descent": descent_figure,
    "minima": minima_figure,
    "noise": noise_figure,
    "first steps": first_steps_figure,
    "schedules": schedules_figure,
    "health": health_figure,
}
CHARTS = {"noise", "first steps", "schedules", "health"}
MADE = {}


def made(name):
    if name not in MADE:
        MADE[name] = FIGURES[name]()
    return MADE[name]


def data(name):
    text = re.search(r"const DATA = (.*);\n", made(name).page)[1]
    return json.loads(text)


class Frame(HTMLParser):
    """The iframe's attributes, entities resolved."""

    def handle_starttag(self, tag, attributes):
        assert tag == "iframe"
        self.attributes = dict(attributes)


@pytest.mark.parametrize("name", FIGURES)
def test_the_frame_holds_the_page_unchanged(name):
    frame = Frame()
    frame.feed(made(name)._repr_html_())
    assert frame.attributes["srcdoc"] == made(name).page
    assert frame.attributes["title"] == made(name).title
    assert "width:100%" in frame.attributes["style"]


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_comes_from_outside(name):
    page = made(name).page.replace("http://www.w3.org/2000/svg", "")  # the name of SVG, not an address
    assert not re.search(r"https?:|//\w+\.\w|url\(|@import|<link|\ssrc=|fetch\(|XMLHttp|import\(", page)
    assert len(page) < 40_000


@pytest.mark.parametrize("name", FIGURES)
def test_no_placeholder_is_left(name):
    assert not re.search(r"/\*[A-Z]+\*/|<!--[A-Z]+-->", made(name).page)


def test_text_in_the_data_cannot_end_the_script():
    page = figure("step", "A <title> & more", {"functions": [], "text": "</script><b>"}, height=1).page
    assert "</script><b>" not in page
    assert "<title>A &lt;title&gt; &amp; more</title>" in page


def test_it_can_be_saved(tmp_path):
    made("step").save(tmp_path / "figure.html")
    assert (tmp_path / "figure.html").read_text(encoding="utf-8") == made("step").page


def test_the_pages_are_part_of_the_package():
    names = {entry.name for entry in resources.files("bpcheck.course").joinpath("pages").iterdir()}
    assert {"frame.html", "frame.css", "frame.js"} <= names
    assert {f"{name}.{end}" for name in {"chart", *FIGURES} - CHARTS for end in ("html", "js")} <= names


def test_the_network_is_computed_by_the_reference():
    told = data("network")
    a = np.array(told["a"][0])
    for number, layer in enumerate(told["params"]):
        z = a @ np.array(layer["weight"]).T + layer["bias"]
        a = np.tanh(z) if number == 0 else z
        assert np.allclose(z, told["z"][number + 1], rtol=1e-14, atol=1e-14)
        assert np.allclose(a, told["a"][number + 1], rtol=1e-14, atol=1e-14)


def test_the_errors_of_the_paths_are_measured_ones():
    told = data("paths")
    for layer, (deltas, measured) in enumerate(zip(told["deltas"], told["measured"], strict=True), start=2):
        assert np.allclose(deltas, measured, rtol=1e-13, atol=1e-15)
        assert len(deltas) == told["widths"][layer - 1]
        assert min(map(abs, deltas)) > 1e-3  # three decimals show every one of them
    # by hand, from the numbers that the script has: BP1, then BP2
    delta = np.array(told["gradient"]) * told["slopes"][-1]
    for number in (2, 1):
        assert np.allclose(delta, told["deltas"][number], rtol=1e-13)
        delta = (delta @ np.array(told["weights"][number])) * told["slopes"][number - 1]
    assert np.allclose(delta, told["deltas"][0], rtol=1e-13)


def test_the_paths_have_a_square_matrix_and_one_that_is_not():
    shapes = [np.shape(w) for w in data("paths")["weights"]]
    assert shapes[1][0] == shapes[1][1]
    assert shapes[2][0] != shapes[2][1]


def letters(html):
    """A symbol without its indices: ``W`` of ``Wˡⱼₖ``."""
    return re.sub(r"<su[bp]>.*?</su[bp]>|<[^>]*>|\{\w\}", "", html)


def test_the_symbols_are_those_of_the_notation_page():
    page = (Path(__file__).parents[2] / "docs" / "notation.md").read_text(encoding="utf-8")
    table = page[page.index("## The same symbol elsewhere") :]
    rows = [
        [cell.strip(" *") for cell in line.split("|")[1:-1]] for line in table.splitlines() if line[:1] == "|"
    ]
    column = {name: rows[0].index(name) for name in ("Nielsen", "Goodfellow", "Bishop", "CS231n", "PyTorch")}
    column["Ours"] = 0
    found = {
        key: next(row for row in rows if row[0].startswith(key)) for key in ("Wˡ", "bˡ", "zˡ", "aˡ, ac", "σ")
    }
    # what a table cell begins with, without bold and without indices
    expected = {
        "ours": ("Ours", "W b z a σ"),
        "nielsen": ("Nielsen", "w b z a σ"),
        "goodfellow": ("Goodfellow", "W b a h f"),
        "bishop": ("Bishop", "w w a z h"),
        "cs231n": ("CS231n", "W b scores h f"),
        "pytorch": ("PyTorch", "weight bias – output nn.Tanh"),
    }
    for convention in CONVENTIONS:
        name, words = expected[convention.key]
        for key, word in zip(found, words.split(), strict=True):
            assert found[key][column[name]].lstrip("*`").startswith(word), (name, key)
        ours = [letters(t) for t in (convention.weight, convention.bias, convention.pre, convention.act)]
        if name != "PyTorch":
            assert [*ours, letters(convention.sigma)] == words.split()
        else:
            assert [ours[0], ours[1], ours[3]] == ["weight", "bias", "output"]
        assert convention.transposed == ("in, out" in found["Wˡ"][column[name]])


@pytest.mark.parametrize("curve", FUNCTIONS, ids=lambda curve: curve.key)
def test_second_and_third_derivatives(curve):
    x = sympy.Symbol("x")
    formula = {
        "exp": sympy.exp(x),
        "wave": sympy.sin(50 * x),
        "offset": sympy.exp(x) + 10**6,
        "near": x + sympy.sin(x),
        "kink": x + sympy.sin(x),
    }[curve.key]
    at = sympy.nsimplify(curve.at)
    assert float(curve.f(curve.at)) == pytest.approx(float(formula.subs(x, at)), rel=1e-13)
    assert curve.second == pytest.approx(float(formula.diff(x, 2).subs(x, at)), rel=1e-7, abs=1e-12)
    assert curve.third == pytest.approx(float(formula.diff(x, 3).subs(x, at)), rel=1e-7)


def test_the_bar_that_is_drawn_holds():
    for told in data("step")["functions"]:
        if told["interval"]:
            assert told["bpcheck"]["interval"] == pytest.approx([1.0, 2.0])
        else:
            assert told["bpcheck"]["off"] <= told["bpcheck"]["error"]


def series(figure):
    views = json.loads(re.search(r"const DATA = (.*);\n", figure.page)[1])["views"]
    return [{one["name"]: one["points"] for one in view["series"]} for view in views]


def test_a_chart_holds_its_points_and_no_text_of_it_is_markup():
    view = {
        "label": "<i>",
        "x": {"label": "x"},
        "y": {"label": "y"},
        "series": {"<b>": [(1, 2 / 3)]},
        "says": ["</p>"],
    }
    made = chart("Points", [view])
    assert series(made) == [{"<b>": [[1, 0.66667]]}]
    assert "</p>" not in made.page.split("const DATA")[1].split("\n")[0]


def test_the_first_steps_are_those_of_the_formula():
    (told,) = series(made("first steps"))
    for t, size in told["Adam without the corrections"]:
        assert size == pytest.approx((1 - 0.9**t) / np.sqrt(1 - 0.999**t), rel=1e-4)
    assert all(size == pytest.approx(1, rel=1e-4) for _, size in told["Adam"])
    assert "the first is 3.16 η" in made("first steps").page


def test_the_health_chart_ends_at_one_and_falls_for_the_sigmoid():
    (told,) = series(made("health"))
    assert set(told) == set(experiments.DEEP)
    assert all(points[-1][1] == 1 for points in told.values())
    assert told["sigmoid"][0][1] < 1e-11
    assert told["relu, skips"][0][1] > 1000


def test_a_run_is_drawn_against_examples_and_against_steps():
    run = experiments.progress_of(700, 0.5, steps=4)
    by_examples, by_steps = series(progress_figure([run]))
    (name,) = by_steps
    assert [x for x, _ in by_steps[name]] == [1, 2, 4]
    assert [x for x, _ in by_examples[name]] == [700, 1400, 2800]


def test_the_stopping_figure_says_which_epoch_was_best():
    run = experiments.overfitted(Momentum(lr=0.05), epochs=3)
    (told,) = series(stopping_figure(run))
    assert len(told["training"]) == len(told["held out"]) == 3
    assert "is lowest in epoch 3" in stopping_figure(run).page


def test_the_course_is_reached_lazily():
    assert bpcheck.course.forward_pass.unit(...).state is bpcheck.course.State.NOT_DONE
