"""A part of the kill-and-name matrix, as tests. The whole of it: ``python -m benchmarks.mutants``."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from choosing import some

from benchmarks.mutants import cell as cells
from benchmarks.mutants.__main__ import _right, _summed
from benchmarks.mutants.cell import measure
from benchmarks.mutants.settings import PLANTED, settings
from benchmarks.mutants.tables import AS_IT_SHOULD_BE, page, totals
from bpcheck.diagnosis import CATALOGUE
from bpcheck.reference import build

SEED = 20261130
"""Not the matrix's own, so that these are other networks than those of the committed table."""

MANY_CELLS = 4
"""Networks a bug: some 270 cells, a minute on two cores."""


def drawn(slug, count):
    rng = np.random.default_rng([SEED, list(CATALOGUE).index(slug)])
    every = list(settings(rng))
    return [every[i] for i in rng.choice(len(every), size=count, replace=False)]


TOO_FEW_DIGITS = {"epsilon-in-log", "clip-in-forward-only"}
"""A loss in float32 does not always have the digits to say which ε, or which limit, stands inside its logarithm."""


def complaint(cell, precision="float64"):
    """What a cell does not fulfil, in words; empty if nothing."""
    if cell.outcome == "unknown" and precision == "float32" and cell.slug in TOO_FEW_DIGITS:
        return ""
    if cell.outcome not in AS_IT_SHOULD_BE:
        return f"{cell.slug}: {cell.outcome}, {cell.verdict}, named {cell.named}"
    if cell.equation is False or cell.layer is False:
        return f"{cell.slug}: equation {cell.equation}, layer {cell.layer}, named {cell.named}"
    return ""


# Three bugs here, all of them in full: a cell takes half a second.
@pytest.mark.parametrize(
    "slug",
    some(
        PLANTED, default=lambda slug: slug in ("sum-for-mean", "hidden-derivative-missing", "bias-not-summed")
    ),
)
def test_a_planted_bug_is_found_and_named(slug):
    setting = drawn(slug, 1)[0]
    assert complaint(measure(slug, setting), setting.precision) == "", setting


@pytest.mark.full
@pytest.mark.parametrize("slug", PLANTED)
def test_a_planted_bug_is_found_and_named_in_many_networks(slug):
    said = {s: complaint(measure(slug, s), s.precision) for s in drawn(slug, MANY_CELLS)}
    assert {setting: words for setting, words in said.items() if words} == {}


@pytest.mark.full
def test_right_code_is_not_called_wrong():
    found = _summed(_right((SEED, 0, 18)))
    assert (found["runs"], found["flagged"], found["inconclusive"]) == (18, 0, 0)


# --- the matrix can fail ------------------------------------------------------------------------------


def planted_as(monkeypatch, slug, other):
    monkeypatch.setattr(cells, "CATALOGUE", {**CATALOGUE, slug: CATALOGUE[other]})
    return measure(slug, drawn(slug, 1)[0])


def test_a_bug_with_the_name_of_another_is_named_wrongly(monkeypatch):
    cell = planted_as(monkeypatch, "bias-not-summed", "sign-flipped")
    assert cell.outcome == "wrong"
    assert complaint(cell)


def right_program(params, x, y, architecture):
    network = build(architecture)
    return network.loss(params, x, y), network.gradient(params, x, y)


def test_right_code_that_is_planted_as_a_bug_is_silent_and_would_be_missed(monkeypatch):
    monkeypatch.setattr(type(CATALOGUE["sign-flipped"]), "program", lambda self: right_program)
    setting = drawn("sign-flipped", 1)[0]
    assert measure("sign-flipped", setting).outcome == "silent"
    monkeypatch.setattr(cells, "_shows", lambda *_: True)
    cell = measure("sign-flipped", setting)
    assert cell.outcome == "missed"
    assert complaint(cell)


def test_what_is_missed_left_open_or_named_wrongly_counts():
    outcomes = ["silent", "raises", "missed", "open", "wrong", "unknown", "tied", "first"]
    made = [
        {
            "slug": "zero",
            "outcome": o,
            "equation": o == "first",
            "layer": None,
            "verdict": "",
            "named": [],
            "setting": {},
        }
        for o in outcomes
    ]
    found = totals(made)
    assert found["shown"] == 6
    assert found["detected"] == pytest.approx(4 / 6)
    assert found["named"] == pytest.approx(2 / 6)
    assert found["named wrongly"] == pytest.approx(1 / 6)
    assert found["equation right"] == pytest.approx(1 / 4)
    text = page(
        {"command": "c", "seed": 1, "bpcheck": "0"},
        made,
        {"styles": ["a"], "runs": 2, "flagged": 1, "inconclusive": 0, "inconclusive by style": ""},
    )
    assert "1 called wrong" in text


# --- what is published ------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_has_the_numbers_of_the_table_and_the_table_meets_its_targets():
    kept = json.loads((ROOT / "benchmarks/results/mutants.json").read_text(encoding="utf-8"))
    found, page_ = kept["totals"], (ROOT / "docs/diagnosis.md").read_text(encoding="utf-8")
    assert found["detected"] == 1.0
    assert min(found["equation right"], found["layer right"]) >= 0.99
    assert found["named"] >= 0.95
    assert found["named wrongly"] <= 0.005
    assert kept["correct"]["runs"] >= 5_000
    assert kept["correct"]["flagged"] == 0
    rows = dict(re.findall(r"^\| ([a-z ,]+) \| ([\d.]+) % \|$", page_, flags=re.M))
    shares = {
        "seen": "detected",
        "equation right": "equation right",
        "layer right": "layer right",
        "named, alone or in a stated tie": "named",
        "said to be unknown": "unknown",
        "named wrongly": "named wrongly",
    }
    assert rows.keys() == shares.keys()
    for words, key in shares.items():
        assert float(rows[words]) == round(100 * found[key], 2), words
    assert f"Of {found['planted']:,} mutants {found['shown']:,} show" in page_
    assert f"{kept['correct']['inconclusive']}, all in float32" in page_
