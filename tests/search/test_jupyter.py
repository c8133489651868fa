"""compare() in a real Jupyter kernel: it answers, prints nothing of its own, and leaves nothing behind."""

import os

import pytest

pytestmark = pytest.mark.jupyter

CELLS = [
    """
import numpy as np
import bpcheck

def backprop(params, x, y):
    a = [x]
    for p in params[:-1]:
        a.append(np.tanh(a[-1] @ p["weight"].T + p["bias"]))
    r = (a[-1] @ params[-1]["weight"].T + params[-1]["bias"] - y) / len(x)
    loss, gradients = 0.5 * np.sum(r**2) * len(x), []
    for k in range(len(params) - 1, -1, -1):
        gradients.insert(0, {"weight": r.T @ a[k], "bias": r.sum(0)})
        r = (r @ params[k]["weight"]) * (1 - a[k] ** 2)
    return loss, gradients
""",
    "report = bpcheck.compare(backprop, seed=0)\nwith_limit = bpcheck.compare(backprop, seed=0, time_limit=60)",
    "wrong = bpcheck.compare(lambda p, x, y: (backprop(p, x, y)[0], backprop(p, x, -y)[1]), seed=0)",
    "strategy = bpcheck.strategies.architectures(losses=['half_mse'], activations=['tanh'], outputs=['identity'],"
    " reductions=['mean'], penalties=False)\n"
    "drawn = bpcheck.compare(backprop, architectures=strategy, seed=0, examples=20)",
    "print(report.verdict.name, with_limit.verdict.name, wrong.verdict.name, drawn.verdict.name)",
]


def test_it_works_in_a_notebook(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = ["".join(str(out.get("text", out)) for out in cell.outputs) for cell in notebook.cells]
    assert outputs == ["", "", "", "", "AGREES AGREES DISAGREES AGREES\n"]
    assert os.listdir(tmp_path) == []
