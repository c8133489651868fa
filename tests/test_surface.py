"""The surface: what import loads, what exists, and that the house stands as it is drawn."""

import subprocess
import sys

import pytest

import bpcheck


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_loads_numpy_and_nothing_heavier():
    code = (
        "import sys; before = set(sys.modules); import bpcheck; after = set(sys.modules) - before;"
        "print(sorted({name.partition('.')[0] for name in after} - set(sys.stdlib_module_names)))"
    )
    assert set(eval(run(code))) <= {"bpcheck", "numpy"}


PUBLIC = (
    "compare check_gradient assert_gradient derivative mlp Architecture Case from_joint from_parts from_step "
    "from_torch from_object from_layer Conventions Verdict Report Estimate GradientMismatch GradientInconclusive "
    "SubjectError reference strategies symbolic numeric certified certify check_line diagnosis diagnose check_vjp "
    "check_jvp locate Location "
    "check_every_entry check_low_precision taylor_remainder step_curve gradient_health GradientHealth"
)


@pytest.mark.parametrize("name", PUBLIC.split(" "))
def test_public_names_exist_and_are_listed(name):
    assert getattr(bpcheck, name) is not None
    assert name in dir(bpcheck)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bpcheck.nothing


def test_every_public_name_has_a_docstring_with_an_example_or_is_an_error():
    for name in bpcheck.__all__:
        value = getattr(bpcheck, name)
        if name.startswith("__"):
            continue
        assert value.__doc__, name
        is_error = isinstance(value, type) and issubclass(value, Exception)
        if (
            callable(value)
            and not is_error
            and name not in ("Subject", "Answer", "Comparison", "Diagnosis", "Report")
        ):
            assert ">>>" in value.__doc__, name


@pytest.mark.full
def test_torch_is_only_loaded_when_used():
    out = run("import sys, bpcheck; bpcheck.from_torch; bpcheck.compare; print('torch' in sys.modules)")
    assert out.strip() == "False"
