"""assert_gradient() in somebody's test suite: the failure shows the report and the test, and nothing of ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bpcheck

SOURCE = Path(bpcheck.__file__).parent

SUITE = """
import numpy as np
import bpcheck


def loss(w):
    return float(np.sum(np.sin(w)))


def test_wrong():
    bpcheck.assert_gradient(loss, np.sin, np.array([0.3, 1.0]), seed=0)


def test_undecided():
    bpcheck.assert_gradient(lambda w: loss(w) + 1e12, np.cos, np.array([0.3, 1.0]), seed=0, method="central")


def test_a_report_that_raises():
    bpcheck.check_gradient(loss, np.sin, np.array([0.3, 1.0]), seed=0).raise_for_disagreement()


def test_a_gradient_that_raises():
    bpcheck.assert_gradient(loss, lambda w: np.cos(w) @ np.ones(3), np.array([0.3, 1.0]), seed=0)


def test_an_option_that_does_not_exist():
    bpcheck.assert_gradient(loss, np.cos, np.array([0.3, 1.0]), seed=0, method="guess")


def test_right():
    bpcheck.assert_gradient(loss, np.cos, np.array([0.3, 1.0]), seed=0)
"""


@pytest.fixture(
    scope="module",
    params=["auto", *(pytest.param(style, marks=pytest.mark.full) for style in ("long", "short"))],
)
def output(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_mine.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--tb={request.param}",
            "test_mine.py",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE.parent),
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": "120",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # theirs, and not those that happen to be installed here
        },
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_it_shows_the_whole_report(output):
    assert "5 failed, 1 passed" in output
    assert "bpcheck: sin  DISAGREES" in output
    assert "to do" in output
    assert "allowed is what rounding alone can explain" in output
    assert "INCONCLUSIVE" in output
    assert "GradientInconclusive" in output
    assert "raised ValueError: matmul" in output
    assert "method" in output
    assert "InputError" in output


def test_it_shows_the_line_of_the_test_and_none_of_ours(output):
    assert "test_mine.py:11: GradientMismatch" in output or "test_mine.py:11: in test_wrong" in output
    assert str(SOURCE) not in output
    assert not re.search(r"bpcheck[/\\][\w/\\]+\.py", output)
    # not a line of code of the two functions that raise
    for line in ("report = check_gradient(", "report.raise_for_disagreement()\n\n", "raise (Gradient"):
        assert line not in output.replace("seed=0).raise_for_disagreement()", "")
