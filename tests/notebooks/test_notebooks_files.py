"""The notebooks as files: no outputs, nothing of a machine, generic kernel, one set-up cell for all."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
NOTEBOOKS = [ROOT / "notebooks" / f"{source.stem}.ipynb" for source in SOURCES]
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def text(cell):
    return "".join(cell["source"])


def test_every_notebook_has_a_source():
    assert sorted((ROOT / "notebooks").glob("*.ipynb")) == NOTEBOOKS
    assert len(NOTEBOOKS) >= 2


@each
def test_no_outputs_and_no_counters(path):
    for cell in cells(path):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@each
def test_the_kernel_is_generic_and_nothing_else_is_kept(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert not re.search(r"/home/|/root|/tmp|[A-Z]:\\\\", path.read_text(encoding="utf-8"))


@each
def test_ids_are_unique(path):
    ids = [cell["id"] for cell in cells(path)]
    assert len(set(ids)) == len(ids)


@each
def test_every_exercise_has_a_check_and_a_folded_solution_behind_it(path):
    exercises = 0
    for cell, after in zip(cells(path), [*cells(path)[1:], None], strict=True):
        tags = cell["metadata"].get("tags", [])
        if "exercise" in tags:
            exercises += 1
            assert re.fullmatch(r"check\.\w+\(.*\)", text(cell).splitlines()[-1])
            assert after["metadata"]["tags"] == ["solution"]
        if "solution" in tags:
            assert text(cell).startswith("<details><summary>Solution</summary>\n\n```python\n")
            assert text(cell).endswith("</details>")
    assert exercises >= 5


def setup(path):
    return next(text(cell) for cell in cells(path) if cell["cell_type"] == "code")


def test_the_set_up_cell_is_the_same_everywhere():
    assert len({setup(path) for path in NOTEBOOKS}) == 1


# The set-up cell on a machine without bpcheck, where %pip is recorded instead of run.
STAGE = """
import importlib.util, sys, types
real = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "bpcheck" else real(name)
magics = []
shell = types.SimpleNamespace(run_line_magic=lambda *words: magics.append(words))
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: shell)
"""


def run_setup(folder):
    code = f"{STAGE}\n{setup(NOTEBOOKS[0])}\nprint(magics)"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)


def test_without_bpcheck_the_set_up_cell_installs_what_lies_there(tmp_path):
    (tmp_path / "bpcheck-0.1.0-py3-none-any.whl").touch()
    assert "install -q" in run_setup(tmp_path).stdout
    assert "bpcheck-0.1.0-py3-none-any.whl" in run_setup(tmp_path).stdout

    clone = tmp_path / "a clone"
    (clone / "bpcheck").mkdir(parents=True)
    (clone / "bpcheck" / "__init__.py").touch()
    (clone / "notebooks").mkdir()
    assert f'install -q "{clone}"' in run_setup(clone / "notebooks").stdout


def test_without_anything_the_set_up_cell_says_what_to_do(tmp_path):
    done = run_setup(tmp_path)
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: bpcheck is not installed")
    assert "In Colab" in last


def test_with_bpcheck_the_set_up_cell_does_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", setup(NOTEBOOKS[0])], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
