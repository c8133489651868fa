"""Every example runs as a script and says what it is there to say."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bpcheck
from bpcheck import mlp, tree
from bpcheck.reference import build

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
NEEDS_TORCH = {"wrong_autograd_function"}
# One in the default suite has a process of its own, which imports everything anew with warnings as errors;
# the others run as __main__ in this one, where warnings are errors too (filterwarnings in pyproject.toml).
IN_A_PROCESS = {"student_backprop", "wrong_autograd_function"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.torch if name in NEEDS_TORCH else ()) for name in SCRIPTS]
)
def test_every_example_runs_as_a_script_and_prints_a_verdict(name, capfd):
    if name not in IN_A_PROCESS:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        printed = capfd.readouterr()
        assert printed.err == ""
        assert any(verdict.name in printed.out for verdict in bpcheck.Verdict)
        return
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert any(verdict.name in done.stdout for verdict in bpcheck.Verdict)


@pytest.fixture
def case():
    architecture = mlp([3, 5, 4, 2])
    rng = np.random.default_rng(0)
    params = build(architecture).init(rng)
    for layer in params:
        layer["bias"] += rng.normal(size=layer["bias"].shape)
    return bpcheck.Case(architecture, params, rng.normal(size=(6, 3)), rng.normal(size=(6, 2)))


def wrong_tensors(backprop, case):
    """Paths of the tensors that are further from the reference than the two roundings together."""
    loss, gradient = backprop(*case.mutable())
    enclosure = build(case.architecture).enclose(case.params, case.x, case.y)
    assert abs(loss - enclosure.loss.mid) <= 2 * enclosure.loss.rad
    return [
        str(path)
        for path, leaf in tree.leaves(gradient)
        if not np.all(abs(leaf - enclosure.gradient[path].mid) <= 2 * enclosure.gradient[path].rad)
    ]


def test_the_student_is_right(load, case):
    assert wrong_tensors(load("student_backprop").backprop, case) == []


def test_the_bug_spoils_every_layer_below_the_output_and_nothing_else(load, case):
    assert wrong_tensors(load("student_bug").backprop, case) == [
        f"params[{layer}]['{name}']" for layer in (0, 1) for name in ("weight", "bias")
    ]


def test_the_two_students_differ_in_one_line(load):
    right, wrong = (
        (EXAMPLES / f"student_{name}.py").read_text(encoding="utf-8") for name in ("backprop", "bug")
    )
    code_right, code_wrong = (
        {line.split("#")[0].rstrip() for line in text.split("def backprop")[1].splitlines()}
        for text in (right, wrong)
    )
    assert [line.strip() for line in code_wrong - code_right if line.strip().startswith("delta")] == [
        'delta = delta @ params[number]["weight"]'
    ]


def test_compare_passes_the_student_and_finds_bp2_in_the_bug(load):
    assert bpcheck.compare(load("student_backprop").backprop).ok
    report = bpcheck.compare(load("student_bug").backprop)
    assert report.verdict is bpcheck.Verdict.DISAGREES
    assert report.diagnoses[0].equation == "BP2"


@pytest.mark.torch
def test_the_wrong_function_is_caught_below_itself_and_its_twin_passes(load):
    example = load("wrong_autograd_function")
    report = example.check(right=False)
    assert {comparison.path for comparison in report.comparisons if not comparison.verdict.ok} == {
        "params['hidden.weight']",
        "params['hidden.bias']",
    }
    assert example.check(right=True).ok
