"""The numbers that a page shows, one by one, against those of the reference and of the caller."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from samples import sample

import bpcheck
from bpcheck.report.page.drawing import draw
from bpcheck.report.page.numbers import beside, show
from bpcheck.report.page.page import page
from bpcheck.report.page.replay import replay
from bpcheck.report.page.steps import steps
from bpcheck.report.page.tables import side_by_side
from bpcheck.report.page.walk import walk
from bpcheck.report.page.window import window


def trace_of(report):
    given = report.counterexample
    network = bpcheck.reference.build(given.architecture)
    return given, network.trace(given.params, given.x, given.y)


def said(node):
    return " ".join("".join(node.itertext()).split())


def boxes(report, example):
    """The texts of every unit's box: {(layer, place from above): [line, …]}, and the texts on the lines."""
    found = replay(report)
    root = ElementTree.fromstring(draw(found, window(found), example))
    listed, counts = {}, {}
    for group in root.iter("g"):
        if "data-layer" in group.attrib:
            layer = int(group.attrib["data-layer"])
            place = counts[layer] = counts.get(layer, -1) + 1
            # name and number stand apart in the box, not in the text
            lines = [said(text) for text in group.iter("text")]
            listed[layer, place] = [
                re.sub(r"^(z|a|δ right|δ yours|δ|target y)(?=[−\d])", r"\1 ", line) for line in lines
            ]
    labels = [said(text) for text in root.iter("text") if text.attrib.get("class") == "weight"]
    return listed, labels


@pytest.mark.parametrize("example", [0, 1, 2])
def test_every_number_in_the_drawing_is_the_one_of_its_unit(example):
    report = sample("2-3-2")
    given, trace = trace_of(report)
    listed, labels = boxes(report, example)
    x, y = given.x[example], given.y[example]
    for unit in range(2):
        assert listed[1, unit] == [f"unit {unit + 1}", f"a {show(x[unit])}"]
        z, a, delta = (
            values[1][example, unit] for values in (trace.pre_activations, trace.activations, trace.deltas)
        )
        assert listed[3, unit] == [
            f"unit {unit + 1} b {show(given.params[1]['bias'][unit], 3)}",
            f"z {show(z)}",
            f"a {show(a)}",
            f"target y {show(y[unit])}",
            f"δ {show(delta)} ✓",
        ]
    # the mistake of this sample: no slope in the hidden layer
    claimed = trace.deltas[1][example] @ given.params[1]["weight"]
    for unit in range(3):
        z, a, delta = (
            values[0][example, unit] for values in (trace.pre_activations, trace.activations, trace.deltas)
        )
        yours, right = beside(claimed[unit], delta)
        assert listed[2, unit] == [
            f"unit {unit + 1} b {show(given.params[0]['bias'][unit], 3)} ✗",
            f"z {show(z)}",
            f"a {show(a)}",
            f"δ right {right}",
            f"δ yours {yours} ✗",
        ]
    expected = [f"{show(w, 3)} ✗" for w in given.params[0]["weight"].flat]
    expected += [show(w, 3) for w in given.params[1]["weight"].flat]
    assert labels == expected


def test_a_single_wrong_entry_is_marked_on_its_line_and_nowhere_else():
    listed, labels = boxes(sample("one entry"), 0)
    assert ["✗" in label for label in labels] == [True] + [False] * 11
    assert not [line for lines in listed.values() for line in lines if "✗" in line]


def test_a_single_wrong_bias_is_marked_in_its_box_and_nowhere_else():
    report = sample("2-3-2")
    bias = report.comparisons[2]
    assert bias.path == "params[0]['bias']"
    claimed = np.array(bias.expected)
    claimed[1] += 0.5
    judged = bpcheck.check.agreement.judge(bias.path, claimed, bias.expected, bias.bound)
    comparisons = [c for c in report.comparisons if c.verdict.ok] + [judged]
    listed, labels = boxes(replace(report, comparisons=tuple(comparisons), diagnoses=()), 0)
    marked = [(place, line) for place, lines in listed.items() for line in lines if "✗" in line]
    assert [place for place, _ in marked] == [(2, 1)]
    assert marked[0][1].startswith("unit 2 b ")
    assert not [label for label in labels if "✗" in label]


def test_of_a_wide_layer_the_worst_unit_is_drawn():
    report = sample("large")
    seen = window(replay(report))
    units = {one.station.number: one.items for one in seen.seen}
    assert len(units) == 4
    checked = 0
    for comparison in report.comparisons:
        found = re.fullmatch(r"params\[(\d+)\]\['bias'\]", comparison.path)
        if found and int(found[1]) + 2 in units and not comparison.verdict.ok:
            assert comparison.worst_index[0] in units[int(found[1]) + 2]
            checked += comparison.worst_index[0] >= 6
    assert checked  # one at least that the first six would not have shown


def step_texts(report):
    root = ElementTree.fromstring(
        # what HTML may write and XML may not: attributes without a value, and an element without an end
        re.sub(r"<hr>|<br>", "", re.sub(r" (hidden|disabled|open)(?=[ >])", r' \1="1"', walk(replay(report))))
    )
    return list(root.iter("li"))


def test_every_step_says_its_numbers_for_every_example():
    report = sample("2-3-2")
    given, trace = trace_of(report)
    rows = step_texts(report)
    listed = steps(replay(report))
    network = bpcheck.reference.build(given.architecture)
    for step, row in zip(listed, rows, strict=True):
        if step.kind == "cost":
            assert f"C = {show(network.loss(given.params, given.x, given.y))}" in said(row)
        if step.kind not in ("input", "z", "a", "delta"):
            continue
        parts = [node for node in row.iter("div") if "data-example" in node.attrib]
        assert len(parts) == 3
        for example, part in enumerate(parts):
            k = step.layer - 2
            if step.kind != "delta":
                source = {"input": [given.x], "z": trace.pre_activations, "a": trace.activations}[step.kind]
                values = source[0 if step.kind == "input" else k][example]
                assert said(part).endswith(f"= ({', '.join(show(v) for v in values)})")
                continue
            right = trace.deltas[k][example]
            claimed = right if k == 1 else trace.deltas[1][example] @ given.params[1]["weight"]
            pairs = [
                beside(c, r) if k == 0 else (show(r), show(r)) for c, r in zip(claimed, right, strict=True)
            ]
            table = [[said(cell) for cell in line] for line in part.iter("tr")]
            mark = "✗ {} (wrong)" if k == 0 else "{}"
            assert table[1] == ["yours", *(mark.format(yours) for yours, _ in pairs)]
            assert table[2] == ["right", *(right for _, right in pairs)]


def test_the_steps_of_layers_that_are_not_drawn_say_so():
    titles = [said(row.find("p")) for row in step_texts(sample("large"))]
    seen = [one.station.number for one in window(replay(sample("large"))).seen]
    for title in titles:
        layer = int(re.search(r"layer (\d+)|the cost", title)[1] or seen[-1])
        assert ("(not drawn)" in title) is (layer not in seen)


def test_both_tables_hold_every_number_in_its_place():
    for comparison in sample("2-3-2").comparisons[1:]:
        tables = ElementTree.fromstring(f"<div>{side_by_side(comparison)}</div>").findall("table")
        for table, values, is_mine in zip(
            tables, (comparison.actual, comparison.expected), (True, False), strict=True
        ):
            cells = [[said(cell) for cell in row.findall("td")] for row in table.find("tbody")]
            wrong = not comparison.verdict.ok
            for i, row in enumerate(cells):
                for j, cell in enumerate(row):
                    index = (i, j) if comparison.actual.ndim == 2 else (i,)
                    pair = beside(comparison.actual[index], comparison.expected[index])
                    text = pair[0 if is_mine else 1] if wrong else show(values[index])
                    assert cell == (f"✗ {text} (wrong)" if wrong and is_mine else text)
            assert np.size(values) == sum(map(len, cells))


def test_the_table_of_the_evidence_holds_the_worst_entries():
    report = sample("2-3-2")
    html = page(report)
    root = ElementTree.fromstring(re.search(r'<table class="evidence">.*?</table>', html, re.DOTALL)[0])
    rows = [[said(cell) for cell in row] for row in root.find("tbody")]
    for row, comparison in zip(rows, report.comparisons, strict=True):
        index = comparison.worst_index
        yours, right = float(comparison.actual[index]), float(comparison.expected[index])
        ok = comparison.verdict.ok
        assert row[1:3] == ([show(yours, 6), show(right, 6)] if ok else list(beside(yours, right)))
        assert row[3:5] == [show(abs(yours - right), 2), show(float(comparison.bound[index]), 2)]
        assert row[5] == ("✓ ok" if ok else "✗ disagrees")
        place = f"[{', '.join(map(str, index))}]" if index else ""
        assert row[0].startswith(comparison.path + place)


def test_a_page_forbids_itself_the_network():
    assert 'Content-Security-Policy" content="default-src &#x27;none&#x27;' in page(sample("empty"))
