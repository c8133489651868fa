"""The benchmark that judges bpcheck is judged itself: its truths, its counting, and one run from end to end."""

import json
import math
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
from choosing import some

from bpcheck import Report, Verdict, tree
from bpcheck.result import Comparison, DetectionLimit, Estimate

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)  # last: an installed bpcheck stays what is tested

from benchmarks.calibration import __main__ as command  # noqa: E402
from benchmarks.calibration import estimates, problem, runner, summary, verdicts  # noqa: E402
from benchmarks.calibration.families import FAMILIES, HELD_OUT, TUNING, find  # noqa: E402

if not problem.wide_enough():
    pytest.skip("long double is no wider than float64 here", allow_module_level=True)

EVERY = [(f, precision) for f in FAMILIES for precision in f.precisions]
# the hand-derived gradient in long double, against 60 digits: relative to the largest entry
ALLOWED = 1e-17


def _precise(number):
    """A long double as an exact sum of two floats."""
    high = float(number)
    return mpmath.mpf(high) + mpmath.mpf(float(number - np.longdouble(high)))


@pytest.mark.parametrize(
    ("family", "precision"),
    some(EVERY, default=lambda family, precision: precision == family.precisions[0]),
)
def test_the_exact_gradient_is_that_of_60_digits(family, precision):
    drawn = family.problem(precision, "test", 0, 0)
    leaves = [leaf for _, leaf in tree.leaves(drawn.exact)]
    entries = None
    if drawn.size > 12:  # 60 digits are slow: two entries of each tensor
        rng = np.random.default_rng(0)
        entries = [[tuple(int(rng.integers(n)) for n in leaf.shape) for _ in range(2)] for leaf in leaves]
    lowest, highest = problem.precise_gradient(drawn, entries=entries)
    with mpmath.workdps(problem.DIGITS):
        largest = max(abs(_precise(v)) for leaf in leaves for v in leaf.ravel())
        for exact, low, high in zip(leaves, lowest, highest, strict=True):
            assert exact.dtype == problem.EXACT
            for index, least in low.items():
                value, slack = _precise(exact[index]), ALLOWED * largest
                assert least - slack <= value <= high[index] + slack


def test_the_working_precision_is_what_the_name_says():
    for family, precision in EVERY:
        drawn = family.problem(precision, "test", 1, 0)
        claimed = drawn.gradient(drawn.params, *drawn.args)
        for (_, theta), (_, leaf) in zip(tree.leaves(drawn.params), tree.leaves(claimed), strict=True):
            assert theta.dtype == np.asarray(leaf).dtype == problem.DTYPES[precision]
        assert math.isfinite(float(drawn.loss(drawn.params, *drawn.args)))


def test_a_problem_is_made_again_from_its_number():
    first, again = (find("rnn").problem("float32", "check", 5, 1) for _ in range(2))
    other = find("rnn").problem("float32", "check", 6, 1)
    assert np.array_equal(first.params["bias"], again.params["bias"])
    assert not np.array_equal(first.params["bias"], other.params["bias"])


def test_names_are_unique_and_the_split_covers_everything():
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    assert not any("/" in name for name in names)
    assert all(not family.held_out for family in TUNING)
    assert all(family.held_out for family in HELD_OUT)


# --- negative controls -------------------------------------------------------------------------------------


def test_bars_that_are_too_narrow_are_counted_as_misses():
    def narrow(drawn, direction, sigma):
        truth, size = drawn.slope(direction)
        return Estimate(float(truth) + 1e-9 * size, truncation=1e-10 * size, rounding=0.0)

    def wide(drawn, direction, sigma):
        truth, size = drawn.slope(direction)
        return Estimate(float(truth) + 1e-9 * size, truncation=1e-8 * size, rounding=0.0)

    def silent(drawn, direction, sigma):
        return Estimate(math.nan, truncation=math.inf, rounding=0.0)

    def nan(drawn, direction, sigma):
        return Estimate(math.nan, truncation=1.0, rounding=0.0)

    schemes = {"narrow": narrow, "wide": wide, "silent": silent, "nan": nan}
    rows = [
        estimates.estimate_problem(find("poles").problem("float64", "test", k, 0), schemes) for k in (0, 1)
    ]
    record = summary.summarize({"estimate/poles/float64/0-2": rows})["estimate"][0]["schemes"]
    assert [record[name]["misses"] for name in schemes] == [2, 0, 0, 2]
    assert [record[name]["answers"] for name in schemes] == [2, 2, 0, 2]


class _Checker:
    """Sees errors above its own limit, states another one."""

    def __init__(self, drawn, sees, states):
        self.drawn, self.sees, self.states = drawn, sees, states

    def __call__(self, loss, gradient, params, *args, seed):
        # largest error of an entry, in units of the root mean square of its tensor
        error = max(
            float(abs(np.asarray(claimed) - exact).max() / np.sqrt(np.mean(np.asarray(exact, float) ** 2)))
            for (_, claimed), (_, exact) in zip(
                tree.leaves(gradient(params, *args)), tree.leaves(self.drawn.exact), strict=True
            )
        )
        verdict = Verdict.DISAGREES if error > self.sees else Verdict.AGREES
        compared = tuple(
            Comparison(
                str(path),
                verdict,
                detection_limit=self.states,
                reference_size=float(np.sqrt(np.mean(np.asarray(exact, float) ** 2))),
            )
            for path, exact in tree.leaves(self.drawn.exact, "params")
        )
        limits = {comparison.path: self.states for comparison in compared}
        return Report("fake", verdict, compared, detection_limit=DetectionLimit(limits))


def _power(sees, states):
    drawn = find("mlp small").problem("float64", "test", 3, 0)
    return verdicts.power_problem(drawn, _Checker(drawn, sees, states))


def test_a_planted_error_is_found_at_its_size():
    row = _power(sees=2e-5, states=2e-5)
    assert row["found"] == [1, 1, 0, 0]
    assert row["passed"] == [0, 0, 1, 1]
    assert row["violations"] == []
    # a tensor times 1 + s has entries that are off by more than s root mean squares
    assert 1e-6 < row["smallest"] < 1e-4


def test_a_wrong_gradient_that_passes_above_the_stated_limit_is_a_violation():
    row = _power(sees=1e-3, states=1e-9)
    assert {size for size, *_ in row["violations"]} >= {1e-4, 1e-6, 1e-8}


def test_a_right_gradient_called_wrong_is_a_false_alarm():
    drawn = find("mlp small").problem("float64", "test", 3, 0)
    rows = [verdicts.check_problem(drawn, _Checker(drawn, sees, 1e-9)) for sees in (1e-3, 1e-30)]
    record = summary.summarize({"check/mlp small/float64/0-2": rows})["check"][0]
    assert record["false_alarms"] == record["violations"] == 1
    assert record["checks"] == 2


def test_a_planted_error_leaves_the_gradient_it_came_from_alone():
    drawn = find("rnn").problem("float32", "test", 0, 0)
    make, path, _ = verdicts.plant(drawn, np.random.default_rng(0))
    right, wrong = (g(drawn.params, *drawn.args) for g in (drawn.gradient, make(0.5)))
    differing = [
        str(where)
        for (where, a), (_, b) in zip(tree.leaves(right, "params"), tree.leaves(wrong, "params"), strict=True)
        if not np.array_equal(a, b)
    ]
    assert differing == [path]


# --- from end to end ---------------------------------------------------------------------------------------


@pytest.mark.full
def test_a_quick_run_writes_its_tables_and_goes_on_where_it_stopped(tmp_path, capsys):
    options = [
        "--quick",
        "--tune",
        "--only",
        "Rosenbrock",
        "--precision",
        "float64",
        "--checks",
        "3",
        "--estimates",
        "1",
    ]
    options += ["--levels", "estimate,check,power", "--workers", "1", "--out", str(tmp_path)]
    options += ["--state", str(tmp_path / "state.jsonl")]
    command.main(options)
    table = (tmp_path / "calibration.md").read_text()
    assert "Rosenbrock, float64" in table
    assert "Development run" in table
    first = json.loads((tmp_path / "calibration.json").read_text())
    assert first["check"][0]["checks"] == 3
    assert first["check"][0]["false_alarms"] == 0
    state = (tmp_path / "state.jsonl").read_text()
    (tmp_path / "state.jsonl").write_text(state[:-20])  # stopped while the last line was written
    command.main(options)
    again = json.loads((tmp_path / "calibration.json").read_text())
    assert {k: again[k] for k in ("estimate", "check", "power")} == {
        k: first[k] for k in ("estimate", "check", "power")
    }
    assert "tasks are in" in capsys.readouterr().err


@pytest.mark.full
def test_results_of_two_states_of_the_code_are_not_mixed(tmp_path):
    state = tmp_path / "state.jsonl"
    state.write_text(json.dumps({"seed": 0, "fingerprint": "another", "versions": {}}) + "\n")
    with pytest.raises(SystemExit, match="another"):
        runner.run([], seed=0, workers=1, state=state)


@pytest.mark.full
def test_what_was_measured_of_other_tools_outlives_another_bpcheck(tmp_path):
    state = tmp_path / "state.jsonl"
    runner.run([], seed=0, workers=1, state=state)
    header = json.loads(state.read_text())
    rows = [{"task": f"{kind}/rnn/float64/0-1", "rows": [1]} for kind in ("check", "peer check")]
    for field, kept in (("fingerprint", ["peer check/rnn/float64/0-1"]), ("fingerprint_others", [])):
        old = {**header, field: "another"}
        state.write_text("".join(json.dumps(line) + "\n" for line in (old, *rows)))
        runner.run([], seed=0, workers=1, state=state, fresh=True)
        assert list(runner.read(state)[1]) == kept


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--levels", "all"], "no level 'all'"),
        (["--only", "nothing like it"], "leaves no family"),
        (["--tune", "--seed", "20260"], "below 1000"),
        (["--replay", "rnn"], "kind/family/precision/number"),
        (["--replay", "check/rmm/float64/0"], "no family 'rmm'"),
    ],
)
def test_a_wrong_option_is_explained(options, says):
    with pytest.raises(SystemExit, match=says):
        command.main(options)
