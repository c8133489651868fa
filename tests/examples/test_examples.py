"""Every example runs as a script and says what it is there to say."""

import ast
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from choosing import some

import bpcheck
from bpcheck import mlp, tree
from bpcheck.reference import build

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
NEEDS_TORCH = {"wrong_autograd_function"}
# One of them has a process of its own, which imports everything anew with warnings as errors;
# the others run as __main__ in this one, where warnings are errors too (filterwarnings in pyproject.toml).
IN_A_PROCESS = {"student_backprop", "wrong_autograd_function"}
# The default suite runs these; what the others consist of is tested below, function by function.
QUICK = {"only_a_step", "student_bug"}
# what an example prints that has no Verdict, because it checks no gradient
OTHER_VERDICTS = {"gradient_health": ("vanishing", "healthy", "exploding")}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.torch if name in NEEDS_TORCH else () if name in QUICK else pytest.mark.full,
        )
        for name in SCRIPTS
    ],
)
def test_every_example_runs_as_a_script_and_prints_a_verdict(name, capfd):
    if name not in IN_A_PROCESS:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        printed = capfd.readouterr()
        assert printed.err == ""
        if name in OTHER_VERDICTS:
            assert all(word in printed.out for word in OTHER_VERDICTS[name])
        else:
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


@pytest.mark.parametrize(
    ("name", "right", "wrong", "bug"),
    some(
        [
            ("cs231n_style", "loss_and_grads", "with_slip", "penalty-doubled"),
            ("scalar_engine", "backprop", "with_slip", ""),
        ],
        default=lambda name, *_: name == "cs231n_style",
    ),
)
def test_functions_in_other_layouts_agree_as_they_are_and_their_slips_do_not(load, name, right, wrong, bug):
    example = load(name)
    assert bpcheck.compare(getattr(example, right), examples=12, seed=1).ok
    report = bpcheck.compare(getattr(example, wrong), examples=12, seed=1)
    assert report.verdict is bpcheck.Verdict.DISAGREES
    assert report.diagnoses[0].bug == bug


def test_an_object_with_columns_agrees_and_its_slip_is_named(load):
    example = load("nielsen_style")
    network = example.Network(example.SIZES)
    before = [w.copy() for w in (*network.weights, *network.biases)]
    assert example.check(network).ok
    assert all(np.array_equal(a, b) for a, b in zip(before, (*network.weights, *network.biases), strict=True))
    report = example.check(example.Network(example.SIZES, slip=True))
    assert report.verdict is bpcheck.Verdict.DISAGREES
    assert report.diagnoses[0].bug == "derivative-of-activation"


def test_a_step_agrees_and_weights_that_are_updated_too_early_do_not(load):
    example = load("only_a_step")
    assert example.check(example.train_step).ok
    report = example.check(example.with_slip)
    assert report.verdict is bpcheck.Verdict.DISAGREES
    assert any("grows with the rate" in warning for warning in report.warnings)
    assert report.diagnoses[0].bug == "weights-updated-first"


# Adapters of the examples: what stands between the caller's code and bpcheck. Five lines at most, says the README.
ADAPTERS = {
    "nielsen_style": "check",
    "scalar_engine": "backprop",
    "only_a_step": "check",
    "sklearn_mlp": "backprop",
}


@pytest.mark.parametrize(("name", "function"), ADAPTERS.items())
def test_an_adapter_has_five_lines_at_most(name, function):
    nodes = ast.walk(ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8")))
    node = next(node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == function)
    body = node.body[1:] if ast.get_docstring(node) else node.body
    assert sum(statement.end_lineno - statement.lineno + 1 for statement in body) <= 5
