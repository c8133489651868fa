"""The command line as a user meets it: exit codes, files, what goes where.

What only a process can show (the exit code that a shell sees, the file descriptors, a crash) is tested on
real ones: :func:`process`. The rest calls ``main()`` here, in :func:`bpcheck`; the subject has a process of its
own there too, but one that is forked with everything imported.
"""

import json
import multiprocessing
import os
import re
import subprocess
import sys
import sysconfig
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from bpcheck import __version__
from bpcheck.cli import main
from bpcheck.report import schema

CODE = """
import os
import numpy as np

print("printed while importing")


def good(params, x, y):
    a = [x]
    for p in params[:-1]:
        a.append(np.tanh(a[-1] @ p["weight"].T + p["bias"]))
    r = (a[-1] @ params[-1]["weight"].T + params[-1]["bias"] - y) / len(x)
    loss, gradients = 0.5 * np.sum(r**2) * len(x), []
    for k in range(len(params) - 1, -1, -1):
        gradients.insert(0, {"weight": r.T @ a[k], "bias": r.sum(0)})
        r = (r @ params[k]["weight"]) * (1 - a[k] ** 2)
    return loss, gradients


def bad(params, x, y):
    loss, gradients = good(params, x, y)
    for g in gradients:
        g["bias"] = g["bias"] * 0
    return loss, gradients


def one_entry(params, x, y):
    loss, gradients = good(params, x, y)
    gradients[0]["weight"][0, 0] *= 1.01
    return loss, gradients


def incomplete(params, x, y):
    loss, gradients = good(params, x, y)
    return loss, gradients[:-1] + [{"weight": gradients[-1]["weight"]}]


def raises(params, x, y):
    raise KeyError("W1")


def hangs(params, x, y):
    while True:
        pass


def crashes(params, x, y):
    os.abort()


def talks_badly(params, x, y):
    print("chatter")
    return bad(params, x, y)


def odd(params, x, y):
    loss, gradients = good(params, x, y)
    return loss**1.5, gradients


def not_finite(params, x, y):
    loss, gradients = good(params, x, y)
    gradients[0]["bias"][0] = np.nan
    return loss, gradients
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "code.py").write_text(textwrap.dedent(CODE))
    return tmp_path


def process(folder, *arguments, program=(sys.executable, "-m", "bpcheck")):
    """The exit code and the output of a real process, started the way a user starts it."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # it would hide a __pycache__ in the user's folder
    return subprocess.run(
        [*program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        encoding="utf-8",
        env=environment,
    )


@pytest.fixture(scope="session")
def forks():
    """A context whose processes start in milliseconds: what they are given is pickled, as for spawned ones."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bpcheck.process", "bpcheck.diagnosis", "scipy.special", "pytest"])
    first = context.Process(target=os.getpid)  # starts the server here, and in no test's time limit
    first.start()
    first.join()
    assert first.exitcode == 0
    return context


@pytest.fixture
def bpcheck(folder, forks, monkeypatch, capsys):
    """``main()`` in the folder, with what a process would give back; the subject is in another process."""

    def get_context(method):
        assert method == "spawn"
        return forks

    def run(*arguments):
        try:
            code = main(arguments)
        except SystemExit as stop:  # argparse's own way out
            code = stop.code
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    monkeypatch.chdir(folder)
    monkeypatch.setattr("bpcheck.process.multiprocessing", SimpleNamespace(get_context=get_context))
    return run


@pytest.mark.parametrize(
    ("function", "code", "words"),
    [
        ("good", 0, ["AGREES"]),
        ("bad", 1, ["DISAGREES", "BP3", "bias-absent"]),
        ("one_entry", 1, ["DISAGREES", "BP4"]),
        ("incomplete", 1, ["WRONG STRUCTURE", "['bias']", "there is no gradient for it"]),
        ("not_finite", 1, ["NOT FINITE"]),
        ("odd", 3, ["INCONCLUSIVE", "fits no network"]),
    ],
)
def test_reports_and_exit_codes(bpcheck, folder, function, code, words):
    done = bpcheck("compare", f"code.py:{function}", "--seed", "1", "--examples", "30")
    assert done.returncode == code, done.stdout + done.stderr
    for word in words:
        assert word in done.stdout
    assert done.stdout.startswith(f"bpcheck: {function}")
    assert sorted(os.listdir(folder)) == ["code.py"]


@pytest.mark.parametrize(
    ("function", "words"), [("raises", ["KeyError", "W1", "Case("]), ("crashes", ["SIGABRT", "Case("])]
)
def test_a_subject_that_raises_or_crashes_is_wrong(bpcheck, function, words):
    done = bpcheck("compare", f"code.py:{function}", "--seed", "1")
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr
    assert "bpcheck/search" not in done.stderr  # no traceback from our inside


def test_a_subject_that_hangs_is_ended_and_reported(bpcheck, folder):
    start = time.monotonic()
    done = bpcheck("compare", "code.py:hangs", "--timeout", "1", "--json", "report.json")
    assert 1 <= time.monotonic() - start < 5
    assert done.returncode == 3
    assert "ended after 1 s" in done.stdout
    report = json.loads((folder / "report.json").read_text())
    assert report["verdict"] == "INCONCLUSIVE"
    assert report["counterexample"] is not None
    assert isinstance(report["seed"], int)


def test_the_whole_report_is_in_the_json_and_what_the_subject_prints_stays_out_of_stdout(folder):
    done = process(folder, "compare", "code.py:talks_badly", "--seed", "1", "--json", "report.json")
    assert done.returncode == 1
    assert "DISAGREES" in done.stdout
    assert "chatter" not in done.stdout
    assert "printed while importing" not in done.stdout
    assert "chatter" in done.stderr
    assert sorted(os.listdir(folder)) == ["code.py", "report.json"]  # and no __pycache__
    report = json.loads((folder / "report.json").read_text())
    assert report["verdict"] == "DISAGREES"
    assert report["diagnoses"][0]["equation"] == "BP3"
    assert report["seed"] == 1
    assert report["counterexample"]["architecture"]["loss"] == "half_mse"


def test_the_report_is_written_as_a_page_too(bpcheck, folder):
    done = bpcheck("compare", "code.py:bad", "--seed", "1", "--html", "report.html", "--json", "report.json")
    assert done.returncode == 1
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert json.loads((folder / "report.json").read_text())["reproducer"].splitlines()[0] in page
    assert "bias-absent" in page
    assert sorted(os.listdir(folder)) == ["code.py", "report.html", "report.json"]


def test_the_case_at_which_a_subject_hung_is_drawn(bpcheck, folder):
    assert bpcheck("compare", "code.py:hangs", "--timeout", "1", "--html", "report.html").returncode == 3
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "ended after 1 s" in page
    assert 'class="network"' in page


def test_without_a_report_there_is_no_page_and_that_is_said(bpcheck, folder):
    done = bpcheck("compare", "code.py:raises", "--seed", "1", "--html", "report.html")
    assert done.returncode == 1
    assert "--html wrote nothing" in done.stderr
    assert sorted(os.listdir(folder)) == ["code.py"]


def test_json_of_a_subject_that_raised(bpcheck, folder):
    bpcheck("compare", "code.py:raises", "--seed", "1", "--json", "report.json")
    report = json.loads((folder / "report.json").read_text())
    assert report["ok"] is False
    assert report["verdict"] is None
    assert "KeyError" in report["error"]
    validator = jsonschema.Draft202012Validator(schema())
    assert validator.is_valid(report)
    assert not validator.is_valid({**report, "ok": True})


def test_options_pin_the_network(bpcheck):
    options = ["--activation", "tanh", "--loss", "half_mse", "--reduction", "mean", "--output", "identity"]
    sizes = ["--widths", "3,4,2", "--batch", "5", "--examples", "10", "--seed", "2"]
    done = bpcheck("compare", "code.py:good", *options, *sizes)
    assert done.returncode == 0
    assert "10 cases" in done.stdout
    assert "seed 2" in done.stdout
    assert bpcheck("compare", "code.py:good", "--loss", "huber", *sizes).returncode == 1
    done = bpcheck("compare", "code.py:good", *sizes, "--resolution", "1e-15")
    assert done.returncode == 3
    assert "inferred" in done.stdout


def test_batch_and_widths_reach_the_subject(bpcheck, folder):
    (folder / "code.py").write_text(
        CODE
        + """
def fixed(params, x, y):
    assert x.shape == (7, 3) and [len(p["bias"]) for p in params] == [4, 2]
    return good(params, x, y)
"""
    )
    done = bpcheck("compare", "code.py:fixed", "--widths", "3,4,2", "--batch", "7", "--examples", "5")
    assert done.returncode == 0, done.stdout + done.stderr


COLUMNS = """
import numpy as np

def columns(params, x, y):
    biases, weights = params
    a = [x]
    for b, w in zip(biases, weights):
        a.append(np.tanh(w @ a[-1] + b))
    delta, db, dw = (a[-1] - y) * (1 - a[-1] ** 2), [], []
    for k in range(len(weights) - 1, -1, -1):
        db.insert(0, delta)
        dw.insert(0, delta @ a[k].T)
        delta = (weights[k].T @ delta) * (1 - a[k] ** 2)
    return 0.5 * np.sum((a[-1] - y) ** 2), (db, dw)
"""


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 0),
        (["--widths", "3,4,2"], 0),
        (["--conventions", "nielsen"], 0),
        (["--conventions", "nielsen", "--output", "tanh", "--batch", "3"], 0),
        (["--conventions", "keras"], 1),
    ],
)
def test_another_layout_is_inferred_or_named(bpcheck, folder, options, code):
    (folder / "columns.py").write_text(COLUMNS)
    done = bpcheck("compare", "columns.py:columns", "--examples", "5", "--seed", "1", *options)
    assert done.returncode == code, done.stdout + done.stderr


def test_a_tensor_may_be_frozen_or_approximate(bpcheck, folder):
    (folder / "frozen.py").write_text(
        "from students import good\n"
        "def frozen(params, x, y):\n"
        "    loss, gradients = good(params, x, y)\n"
        "    gradients[0]['weight'] *= 0.5\n"
        "    return loss, gradients\n"
    )
    (folder / "students.py").write_text((folder / "code.py").read_text())
    few = ("compare", "frozen.py:frozen", "--examples", "5", "--seed", "1")
    assert bpcheck(*few).returncode == 1
    for option in ("--ignore", "--approximate"):
        done = bpcheck(*few, option, "params[0]['weight']")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Not held to it, as declared: params[0]['weight']" in " ".join(done.stdout.split())
    done = bpcheck(*few, "--ignore", "params[0]['weight']", "--ignore", "W1")
    assert done.returncode == 2
    assert "no such tensor" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["compare", "code.py:good", "--conventions", "numpy"], "choose from"),
        (["compare", "nothing.py:f"], "no file"),
        (["compare", "code.py:good", "--loss", "foo"], "choose from"),
        (["compare", "code.py:good", "--widths", "3"], "at least input and output"),
        (["compare", "code.py:good", "--widths", "a,b"], "2,3,1"),
        (["compare", "code.py:good", "--examples", "0"], "less than 1"),
        (["compare", "code.py:good", "--timeout", "-1"], "positive"),
        (["compare", "code.py:good", "--json", "no/such/folder/r.json"], "no folder"),
        (["compare", "code.py:good", "--html", "no/such/folder/r.html"], "no folder"),
        (["compare", "code.py:good", "--html", "."], "is a folder"),
        (["compare", "code.py:good", "--json", "."], "is a folder"),
        (["compare", "code.py:good", "--output", "relu", "--loss", "cross_entropy"], "logits"),
        ([], "COMMAND"),
    ],
)
def test_usage_errors_exit_with_2_and_say_how(folder, arguments, word, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    try:
        code = main(arguments)
    except SystemExit as stop:  # argparse's own way out
        code = stop.code
    assert code == 2
    assert word in capsys.readouterr().err


def test_a_usage_error_that_the_child_finds_exits_with_2(bpcheck):
    done = bpcheck("compare", "code.py:missing")
    assert done.returncode == 2
    assert "it has good, bad" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_does_not_import_is_the_subjects_fault(bpcheck, folder):
    (folder / "broken.py").write_text("1 / 0\n")
    done = bpcheck("compare", "broken.py:f")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_the_demo_names_equation_layer_and_bug(bpcheck, folder):
    done = bpcheck("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("AGREES", "1,210 weights", "BP2", "(layer 2)", "hidden-derivative-missing"):
        assert word in done.stdout
    held_out = re.search(r"([\d.]+)% of the 297 images held out", done.stdout)
    assert float(held_out[1]) >= 95.0
    assert sorted(os.listdir(folder)) == ["code.py"]


def test_version(bpcheck):
    done = bpcheck("--version")
    assert done.returncode == 0
    assert done.stdout == f"bpcheck {__version__}\n"


@pytest.mark.full
def test_the_installed_script_gives_the_shell_its_exit_code(folder):
    script = Path(sysconfig.get_path("scripts")) / "bpcheck"
    done = process(folder, "compare", "nothing.py:f", program=[script])
    assert done.returncode == 2
    assert done.stderr.startswith("bpcheck: there is no file 'nothing.py'")


# --- what there is in a file --------------------------------------------------------------------------------------

HOLDS = """
import numpy as np
import this_module_does_not_exist

raise SystemExit("the file is read, and not run")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def convolve(x, w, b, stride, padding):
    return x


def backprop(params, x, y):
    return 0.0, params


def _private(params, x, y):
    return 0.0, params


def cost(params, x, y):
    return 0.0


def gradient_of_cost(params, x, y):
    return params


def train_step(params, x, y, lr):
    return params


class Net:
    def __init__(self, n_in, n_hidden, n_out, colour, *, seed=0):
        self.W1, self.b1 = np.ones((n_in, n_hidden)), np.zeros(n_hidden)
        self.W2 = np.ones((n_hidden, n_out))
        self.b2 = np.zeros(n_out)
        self.cache = None

    def loss(self, x, y):
        return 0.0

    def backward(self):
        self.dW1 = self.db1 = self.dW2 = self.db2 = 0


class Holder:
    def __init__(self, sizes):
        self.params = {}
        for k in range(len(sizes) - 1):
            self.params[f"W{k}"] = 0

    def compute_loss(self, x, y):
        return 0.0

    def gradients(self, x, y):
        return dict(self.params)


class Module(torch.nn.Module):
    pass
"""


@pytest.fixture
def holds(folder):
    (folder / "holds.py").write_text(HOLDS)
    return folder


def test_without_a_function_everything_in_the_file_is_listed_with_the_line_to_type(bpcheck, holds):
    done = bpcheck("compare", "holds.py")
    assert done.returncode == 2
    assert "was read, and not run" in done.stdout
    for line in (
        "bpcheck compare holds.py:backprop",
        "from holds import gradient_of_cost, cost",
        "bpcheck.from_parts(loss=cost, gradient=gradient_of_cost)",
        "bpcheck.from_step(train_step, loss=cost)",
        "net = Net(n_in=4, n_hidden=5, n_out=3, colour=...)",
        "params=['W1', 'b1', 'W2', 'b2'], loss='loss', backward='backward', gradients='d{}')",
        "net = Holder(sizes=[4, 5, 3])",
        "bpcheck.from_object(net, params='params', loss='compute_loss', gradients='gradients')",
        "bpcheck.from_torch(net, ...)",
        "Not of this form, (params, x, y) or (weights, biases, x, y): sigmoid(z), convolve(x, w, b, stride, padding)",
    ):
        assert line in done.stdout, line
    assert "_private" not in done.stdout


@pytest.mark.parametrize("named", ["Net", "Net.backward", "Holder.gradients"])
def test_a_class_or_a_method_gets_its_adapter_call_written_out(bpcheck, holds, named):
    done = bpcheck("compare", f"holds.py:{named}")
    assert done.returncode == 2
    assert f"net = {named.partition('.')[0]}(" in done.stdout
    assert "bpcheck.from_object(net, params=" in done.stdout
    assert "backprop" not in done.stdout


def test_the_lines_that_are_written_out_run(holds, bpcheck):
    (holds / "works.py").write_text(
        textwrap.dedent("""
            import numpy as np


            class Net:
                def __init__(self, n_in, hidden, n_out):
                    n = np.random.default_rng(0).normal
                    self.W1, self.b1 = n(size=(n_in, hidden)), n(size=hidden)
                    self.W2, self.b2 = n(size=(hidden, n_out)), n(size=n_out)

                def loss(self, x, y):
                    h = np.tanh(x @ self.W1 + self.b1)
                    d = (h @ self.W2 + self.b2 - y) / len(x)
                    e = (d @ self.W2.T) * (1 - h**2)
                    self.dW1, self.db1, self.dW2, self.db2 = x.T @ e, e.sum(0), h.T @ d, d.sum(0)
                    return 0.5 * np.sum(d**2) * len(x)
        """)
    )
    text = bpcheck("compare", "works.py:Net").stdout
    code = textwrap.dedent("\n".join(line for line in text.splitlines() if line.startswith("    ")))
    told = {}
    sys.path.insert(0, str(holds))
    try:
        exec(code.replace("activation=..., loss=...", "").replace("print(", "report = ("), told)
    finally:
        sys.path.remove(str(holds))
        sys.modules.pop("works", None)
    assert told["report"].ok, told["report"]


ANY_PARAMETERS = """
class Net:
    @property
    def depth(self):
        return 2

    def backprop(self, params, x, y):
        return 0.0, params

    @staticmethod
    def other(params, x, y):
        return 0.0, params
"""


@pytest.mark.parametrize(
    ("named", "method"), [("Net", "backprop"), ("Net.backprop", "backprop"), ("Net.other", "other")]
)
def test_a_method_that_is_handed_the_parameters_is_compared_as_it_is(bpcheck, folder, named, method):
    (folder / "any.py").write_text(ANY_PARAMETERS)
    text = bpcheck("compare", f"any.py:{named}").stdout
    assert f"subject = net.{method}\n" in text
    assert "from_object" not in text
    assert "depth" not in text


def test_a_method_that_is_not_there_is_refused(bpcheck, holds):
    done = bpcheck("compare", "holds.py:Net.nothing")
    assert done.returncode == 2
    assert "holds.py has no Net.nothing; Net has loss, backward." in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", "has no function and no class"),
        ("def f(:\n", "empty.py cannot be read as Python"),
        ("def f(:\n", "(empty.py, line 1)"),
    ],
)
def test_a_file_that_holds_nothing_to_compare_is_refused(bpcheck, folder, text, says):
    (folder / "empty.py").write_text(text)
    done = bpcheck("compare", "empty.py")
    assert done.returncode == 2
    assert says in done.stderr
