"""The pages of networks with skip connections, convolutions and flattening: drawing, steps, and every number in them."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace

import numpy as np
import pytest
from choosing import product
from samples import NETWORKS, Code, any_case, failing_network, sample
from test_report_numbers import said, step_texts
from test_report_page import Balanced

import bpcheck
from bpcheck import Architecture, Report, Verdict
from bpcheck.network.layers import Conv1d, Dense, Flatten, Skip
from bpcheck.network.layers.spec import LayerSpec
from bpcheck.report.page.claimed import BY_BIAS, BY_BUG, UNKNOWN
from bpcheck.report.page.drawing import draw
from bpcheck.report.page.formula import wrong_comparison, wrong_formula
from bpcheck.report.page.layers.kinds import KINDS
from bpcheck.report.page.layers.place import focus, reached, seen_by_kernel
from bpcheck.report.page.numbers import show
from bpcheck.report.page.page import fragment, page
from bpcheck.report.page.replay import replay
from bpcheck.report.page.steps import first_wrong, steps
from bpcheck.report.page.window import window as chosen

SMALL = ("skip", "nested skips", "conv1d", "conv2d", "skip around conv")
CONVOLUTIONS = ("conv1d", "conv2d", "skip around conv", "large conv")


def drawn(report, example=0):
    found = replay(report)
    return ElementTree.fromstring(draw(found, chosen(found), example))


def flat(trace):
    """Nested lists of layers in one list, None for layers that have nothing to say."""
    return [leaf for one in trace for leaf in (flat(one) if isinstance(one, list) else [one])]


def convolutions(found):
    return [layer for layer in found.every if layer.spec.kind.startswith("conv")]


# --- the code that is looked at is right but for its mistake -------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_without_a_mistake_the_code_agrees_and_with_one_it_does_not(name):
    given = any_case(NETWORKS[name], 2)
    network = bpcheck.reference.build(given.architecture)
    right = [leaf for _, leaf in bpcheck.tree.leaves(network.gradient(given.params, given.x, given.y))]
    loss, gradients = Code(given.architecture)(given.params, given.x, given.y)
    assert loss == pytest.approx(network.loss(given.params, given.x, given.y), rel=1e-12)
    for (_, claimed), expected in zip(bpcheck.tree.leaves(gradients), right, strict=True):
        np.testing.assert_allclose(claimed, expected, rtol=1e-10, atol=1e-12)
    assert sample(name).verdict is Verdict.DISAGREES


# --- every number ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_the_replay_has_the_numbers_of_the_reference(name):
    report = sample(name)
    given, found = report.counterexample, replay(report)
    network = bpcheck.reference.build(given.architecture)
    trace = network.trace(given.params, given.x, given.y)
    leaves = [layer for layer in found.every if not layer.inner]
    parts = zip(leaves, *map(flat, (trace.pre_activations, trace.activations, trace.deltas)), strict=True)
    for layer, z, a, delta in parts:
        if layer.params:
            np.testing.assert_array_equal(layer.z, z)
            np.testing.assert_array_equal(layer.a, a)
            np.testing.assert_allclose(layer.delta.right, delta, rtol=1e-12)
        else:
            np.testing.assert_array_equal(layer.a, layer.x.reshape(layer.a.shape))
    for layer in found.every:
        if layer.inner:
            np.testing.assert_allclose(layer.a, layer.x + layer.inner[-1].a, rtol=1e-12)
            np.testing.assert_allclose(
                layer.below.right, layer.down.right + layer.inner[0].below.right, rtol=1e-9, atol=1e-12
            )
    assert [layer.number for layer in leaves if layer.params] == list(
        range(2, 2 + sum(bool(layer.params) for layer in leaves))
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_no_two_things_have_one_name(name):
    found = replay(sample(name))
    assert len({layer.name for layer in found.every}) == len(found.every)
    sides = [
        step.equation.partition(" = ")[0] for step in steps(found) if step.kind in ("z", "a", "sum", "delta")
    ]
    assert len(set(sides)) == len(sides)
    comes = [step.equation for step in steps(found) if step.kind in ("arrival", "down")]
    comes = [re.sub(r"^[^:]*: ", "", equation).partition(" = ")[0] for equation in comes]
    assert len({re.sub(r"\[.*?\]", "", side) for side in comes}) == len(comes)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_sums_of_a_kernels_place_are_those_of_the_reference(name):
    report = sample(name)
    given, found = report.counterexample, replay(report)
    gradient = bpcheck.reference.build(given.architecture).gradient(given.params, given.x, given.y)
    leaves = {str(path): leaf for path, leaf in bpcheck.tree.leaves(gradient)}
    rng = np.random.default_rng(0)
    for layer in convolutions(found):
        weight, bias = layer.params["weight"], layer.params["bias"]
        for _ in range(20):
            o, *place = (int(rng.integers(n)) for n in layer.z.shape[1:])
            under = seen_by_kernel(layer, 0)[(slice(None), *place)]
            assert np.sum(under * weight[o]) + bias[o] == pytest.approx(
                layer.z[(0, o, *place)], rel=1e-10, abs=1e-12
            )
            o, c, *tap = (int(rng.integers(n)) for n in weight.shape)
            shares = [
                layer.delta.right[i, o] * seen_by_kernel(layer, i)[(c, ..., *tap)] for i in range(given.batch)
            ]
            right = leaves[str(layer.path.item("weight"))][(o, c, *tap)]
            assert np.sum(shares) == pytest.approx(right, rel=1e-10, abs=1e-12)
            c, *at = (int(rng.integers(n)) for n in layer.x.shape[1:])
            terms = [
                weight[(o, c, *tap)] * layer.delta.right[(0, o, *place)]
                for o in range(len(weight))
                for place, tap in reached(layer, tuple(at))
            ]
            assert sum(terms) == pytest.approx(layer.below.right[(0, c, *at)], rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_steps_show_their_numbers(name):
    report = sample(name)
    found, rows = replay(report), step_texts(report)
    layers = {layer.key: layer for layer in found.every}
    for step, row in zip(steps(found), rows, strict=True):
        parts = [node for node in row.iter("div") if "data-example" in node.attrib]
        if step.key not in layers:
            continue
        layer = layers[step.key]
        values = {"z": layer.z, "a": layer.a, "flatten": layer.a, "sum": layer.a, "delta": layer.delta.right}
        values |= {"arrival": layer.down.right, "down": layer.below.right}
        if step.kind == "gradient":
            assert bool(row.findall(".//p[@class='bad']")) is step.wrong
            continue
        for example, part in enumerate(parts):
            shown = said(part)
            first = values[step.kind][example].reshape(-1)[0]
            assert show(float(first)) in shown, (step.kind, shown)


def test_the_way_through_a_skip_connection():
    found = replay(sample("skip"))
    listed = [(step.kind, step.layer, step.equation) for step in steps(found)]
    assert listed[5:9] == [
        ("z", 4, "z⁴ = W⁴ a³ + b⁴"),
        ("a", 4, "a⁴ = tanh(z⁴)"),
        ("sum", 4, "h⁴ = a² + a⁴"),
        ("z", 5, "z⁵ = W⁵ h⁴ + b⁵"),
    ]
    assert listed[13:15] == [
        ("arrival", 4, "∂C/∂h⁴ = (W⁵)ᵀ δ⁵"),
        ("delta", 4, "BP2: δ⁴ = ∂C/∂h⁴ ⊙ σ'(z⁴)"),
    ]
    assert listed[18:20] == [
        ("down", 4, "skip path: ∂C/∂a² = ∂C/∂h⁴ + (W³)ᵀ δ³"),
        ("delta", 2, "BP2: δ² = ∂C/∂a² ⊙ σ'(z²)"),
    ]


def test_a_convolution_is_written_with_its_stride_and_padding():
    equations = [step.equation for step in steps(replay(sample("conv1d")))]
    assert "z²[o, i] = b²[o] + Σ W²[o, c, u] a¹[c, 2i + u − 1]" in equations
    text = Balanced(page(sample("conv1d"))).text
    assert "∂C/∂W²[o, c, u] = Σ δ²[o, i] a¹[c, 2i + u − 1]" in text
    flattened = [equation for equation in equations if "vec" in equation]
    assert flattened[0] == "vec(a²): 2 × 3 → 6"
    # below the first layer with weights nobody needs what comes down
    assert not [step for step in steps(replay(sample("conv1d"))) if step.kind == "down" and step.layer < 2]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_wrong_entry_is_the_one_that_is_shown_in_numbers(name):
    report = sample(name)
    found = replay(report)
    for layer in convolutions(found):
        comparison = layer.comparisons["weight"]
        if comparison.verdict.ok:
            continue
        assert focus(layer).entry == comparison.worst_index
        row = next(
            row for row, step in zip(step_texts(report), steps(found), strict=True)
            if (step.kind, step.key) == ("gradient", layer.key)
        )  # fmt: skip
        right = show(float(comparison.expected[comparison.worst_index]))
        entry = f"[{', '.join(map(str, comparison.worst_index))}]"
        assert f"{entry}: Σ δ · a = {right}" in said(row) or report.counterexample.batch > 1


# --- the drawing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conv1d", "conv2d", "skip around conv"])
def test_exactly_the_wrong_entries_of_a_kernel_are_marked(name):
    found = replay(sample(name))
    expected = sum(int(layer.wrong_gradient("weight").sum()) for layer in convolutions(found))
    assert expected
    # without a diagnosis no δ is known, and none is marked
    plain = replace(sample(name), diagnoses=())
    assert len(drawn(plain).findall(".//g[@class='wrong']")) == expected


def test_a_wrong_delta_of_a_map_is_marked_and_its_right_one_stands_beside_it():
    found = replay(sample("conv2d"))
    layer = found.every[0]
    assert found.source == BY_BUG
    assert layer.delta.wrong.all()
    picture = said(drawn(sample("conv2d")))
    assert "δ right" in picture
    assert "δ yours ✗" in picture
    marked = len(drawn(sample("conv2d")).findall(".//g[@class='wrong']"))
    assert marked == layer.wrong_gradient("weight").sum() + layer.delta[0].wrong.size
    row = next(
        row for row, step in zip(step_texts(sample("conv2d")), steps(found), strict=True)
        if (step.kind, step.key) == ("delta", layer.key)
    )  # fmt: skip
    assert said(row).count("(wrong)") == layer.delta.wrong.size


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("skip", "down", "skip path: ∂C/∂a² = ∂C/∂h⁴ + (W³)ᵀ δ³"),
        ("nested skips", "down", "skip path: ∂C/∂a² = ∂C/∂h³ + (W³)ᵀ δ³"),
        ("conv1d", "gradient", "convolution bias, kernel gradient: ∂C/∂b²[o] = Σ δ²[o, i]"),
        ("conv2d", "delta", "convolution error: δ² = ∂C/∂a² ⊙ σ'(z²)"),
    ],
)
def test_the_first_wrong_step_is_the_one_that_the_diagnosis_names(name, kind, says):
    listed = steps(replay(sample(name)))
    start = listed[first_wrong(listed)]
    assert (start.kind, start.equation[: len(says)]) == (kind, says)
    assert sample(name).diagnoses[0].equation in start.equation


@pytest.mark.parametrize("name", SMALL)
def test_of_right_code_nothing_is_marked(name):
    report = failing_network(name, "")
    assert report.verdict is Verdict.AGREES
    found = replay(report)
    picture = draw(found, chosen(found), 0)
    assert "✗" not in picture
    assert 'class="wrong"' not in picture
    assert first_wrong(steps(found)) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_every_number_of_the_drawing_is_inside_of_it_and_no_box_lies_on_another(name):
    root = drawn(sample(name))
    width, height = (float(root.attrib[key]) for key in ("width", "height"))
    for node in root.iter("text"):
        assert 0 <= float(node.attrib["x"]) <= width
        assert 0 <= float(node.attrib["y"]) <= height
    boxes = [
        tuple(float(group.find("rect").attrib[key]) for key in ("x", "y", "width", "height"))
        for group in root.iter("g")
        if "data-layer" in group.attrib
    ]
    for i, (x, y, w, h) in enumerate(boxes):
        assert y > 33  # below the headings
        for u, v, other, tall in boxes[:i]:
            assert x + w <= u or u + other <= x or y + h <= v or v + tall <= y


def test_a_skip_connection_is_an_arc_with_a_plus_for_every_sum():
    root = drawn(sample("nested skips"))
    plus = root.findall(".//g[@class='plus']")
    assert len(plus) == 4  # two sums of two units
    assert {said(node) for node in plus} == {"+"}
    arcs = [node.attrib["d"] for node in root.findall(".//path[@class='bypass']")]
    lanes = {re.search(r"M\d+ (\d+)H\d+V\d+$", d)[1] for d in arcs}
    assert len(arcs) == len(lanes) == 2  # one above the other


def test_the_numbers_under_the_kernel_are_framed():
    found = replay(sample("conv2d"))
    numbers = {(step.kind, step.key): n for n, step in enumerate(steps(found))}
    frames = drawn(sample("conv2d")).findall(".//rect[@data-during]")
    for layer in convolutions(found):
        during = [f for f in frames if int(f.attrib["data-during"]) == numbers["z", layer.key]]
        assert len(during) == 1 + layer.x.shape[1]  # the number, and what lies under the kernel in every map
        met = [f for f in frames if int(f.attrib["data-during"]) == numbers["gradient", layer.key]]
        assert len(met) == layer.z[0, 0].size
        assert all("moving" in f.attrib["class"] for f in met)


def test_of_large_maps_the_part_around_the_mistake_is_drawn():
    report = sample("large conv")
    words = Balanced(page(report)).text
    assert "of layer 2, 2 of 8 maps are drawn" in words
    assert re.search(r"of each map of layer 1, rows \d to \d and columns \d to \d are drawn", words)
    assert "of vec(a³), 12 of 16 units are drawn" in words
    assert len(page(report)) < 400_000


# --- the caller's δ ----------------------------------------------------------------------------------------


def test_the_bias_gives_away_a_dense_layers_delta_also_inside_a_skip_connection():
    found = replay(replace(sample("skip"), diagnoses=()))
    assert found.source == BY_BIAS
    assert all(layer.delta.yours is not None for layer in found.every if layer.params)
    wrong = [layer.number for layer in found.every if layer.delta.is_wrong]
    assert wrong == [2]  # below the skip connection, whose own path was forgotten
    listed = steps(found)
    start = listed[first_wrong(listed)]
    assert (start.kind, start.layer) == ("delta", 2)


def test_a_convolutions_bias_is_a_sum_and_gives_no_delta_away():
    plain = replace(sample("conv1d"), diagnoses=())
    found = replay(plain)
    assert found.every[0].delta.yours is None
    row = next(
        row for row, step in zip(step_texts(plain), steps(found), strict=True)
        if (step.kind, step.layer) == ("delta", 2)
    )  # fmt: skip
    assert "Yours: not known here, for these gradients do not give it away." in said(row)
    assert replay(replace(sample("conv2d"), diagnoses=())).source == UNKNOWN


# --- the page as a whole -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "render"), product(NETWORKS, [page, fragment]))
def test_a_page_of_any_network_is_whole(name, render):
    found = Balanced(render(sample(name)))
    assert "svg" in found.tags
    assert [value for key, value in found.attributes if key == "class" and value == "network"]
    for word in ("NaN", "undefined", "None", "∞", "<built", "object at"):
        assert word not in found.text
    if render is page:
        assert f'data-step="{len(steps(replay(sample(name)))) - 1}"' in page(sample(name))


TINY = {
    "skip": (
        Architecture((1,), (Dense(1), Skip((Dense(1, "tanh"),)), Dense(1))),
        "identity",
        "Wl_j_k is the weight",
    ),
    "conv1d": (
        Architecture((1, 3), (Conv1d(1, 2), Flatten(), Dense(1))),
        "kernel",
        "Wl_o_c_u is the weight at place u of the kernel",
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_the_formula_of_a_wrong_entry_has_the_right_value(name):
    network, mistake, words = TINY[name]
    given = any_case(network, 1)
    claimed = Code(network, mistake)(given.params, given.x, given.y)[1]
    right = bpcheck.reference.build(network).gradient(given.params, given.x, given.y)
    pairs = zip(bpcheck.tree.leaves(claimed), bpcheck.tree.leaves(right), strict=True)
    judged = tuple(bpcheck.check.agreement.judge(str(p), a, b, 1e-12) for (p, a), (_, b) in pairs)
    report = Report("f", Verdict.DISAGREES, judged, counterexample=given)
    comparison, formula = wrong_comparison(report), wrong_formula(report)
    assert formula.value == pytest.approx(float(comparison.expected[comparison.worst_index]), rel=1e-9)
    text = Balanced(page(report)).text
    assert formula.lines[-1][0].removeprefix("∂C/∂") in text
    assert words in text


@dataclass(frozen=True)
class Doubled(LayerSpec):
    """A kind of layer that no page draws."""

    kind = "doubled"

    def output_shape(self, shape):
        return shape


def test_a_kind_without_a_drawing_still_has_its_tables():
    assert Doubled not in KINDS
    network = Architecture((2,), (Dense(2), Skip((Doubled(),))))
    given = any_case(network, 1)
    right = np.ones((2, 2))
    judged = bpcheck.check.agreement.judge("params[0]['weight']", right + 1, right, 1e-12, name="W²")
    text = Balanced(page(Report("f", Verdict.DISAGREES, (judged,), counterexample=given))).text
    assert (
        "The page cannot draw Doubled layers yet; the evidence and the tables below hold all numbers." in text
    )
    assert "4 of 4 entries wrong" in text


def test_every_kind_of_layer_can_be_drawn():
    from bpcheck.network.layers.kinds import KINDS as SPECS

    assert set(KINDS) == set(SPECS.values())


def test_a_network_that_begins_with_flattening_or_ends_in_a_sum():
    for layers, shape in (
        ((Flatten(), Dense(2)), (1, 2, 2)),
        ((Dense(2, "tanh"), Skip((Dense(2, "tanh"),))), (2,)),
        ((Conv1d(1, 2), Flatten()), (1, 3)),
        ((Dense(3), Flatten(), Skip((Flatten(), Dense(3)))), (2,)),
    ):
        given = any_case(Architecture(shape, layers), 2)
        found = replay(Report("f", Verdict.DISAGREES, counterexample=given))
        text = Balanced(page(Report("f", Verdict.DISAGREES, counterexample=given))).text
        assert f"C = {show(found.cost)}" in text
        assert "target y" in text
