"""The notebooks in a kernel: as handed out, with the folded solutions filled in, and with wrong answers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from wrong_answers import WRONG

pytestmark = pytest.mark.jupyter

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    import nbformat

    return nbformat.read(path, as_version=4)


def exercise(cell):
    """Name of the checker that an exercise ends with, or None."""
    if "exercise" not in cell.metadata.get("tags", []):
        return None
    return re.fullmatch(r"check\.(\w+)\(.*\)", cell.source.splitlines()[-1])[1]


def experiment(cell):
    return "experiments." in cell.source and exercise(cell) is None


def filled(path, answer):
    """The notebook with ``answer(name, solution)`` in place of each stub; the call of the checker stays.

    Without the cells of experiments: they take most of the time, depend on no answer, and have run as handed out.
    """
    notebook = read(path)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type != "code" or not experiment(cell)]
    for cell, after in zip(notebook.cells[:-1], notebook.cells[1:], strict=True):
        name = exercise(cell)
        if name is not None:
            solution = re.search(r"```python\n(.*?)\n```", after.source, re.DOTALL)[1]
            cell.source = f"{answer(name, solution)}\n\n\n{cell.source.splitlines()[-1]}"
    return notebook


def run(notebook, folder):
    """Execute from an empty kernel; what each exercise answered, by name."""
    from nbclient import NotebookClient

    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    answers = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type in ("stream", "execute_result"), output
            assert output.get("name") != "stderr", output.text  # a warning is an error
        if exercise(cell):
            (output,) = cell.outputs
            assert "text/html" in output.data
            answers[exercise(cell)] = output.data["text/plain"]
    return answers


def test_the_notebooks_are_what_their_sources_give():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "make_notebooks.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_an_edit_of_one_cell_changes_the_id_of_no_other(tmp_path):
    import importlib.util

    spec = importlib.util.spec_from_file_location("make_notebooks", ROOT / "tools" / "make_notebooks.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    import nbformat

    def ids(text):
        (tmp_path / "source.py").write_text(text, encoding="utf-8")
        return [cell.id for cell in nbformat.reads(make.notebook(tmp_path / "source.py"), as_version=4).cells]

    first = ids("# %%\nx = 1\n\n# %%\ny = 2\n\n# %%\nx = 1\n")
    second = ids("# %%\nx = 1\n\n# %%\ny = 3\n\n# %%\nx = 1\n")
    assert len(set(first)) == 3
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, False, True]


@each
def test_as_handed_out(path, tmp_path):
    answers = run(read(path), tmp_path)
    assert answers
    for name, said in answers.items():
        assert said.startswith(f"{name}: not done yet"), said


@each
def test_with_the_solutions(path, tmp_path):
    for name, said in run(filled(path, lambda name, solution: solution), tmp_path).items():
        assert said.startswith(f"{name}: right"), said


@each
def test_with_wrong_answers(path, tmp_path):
    for name, said in run(filled(path, lambda name, solution: WRONG[name][0]), tmp_path).items():
        assert re.match(f"{name}: (not right yet|your code stopped)", said), said
        assert WRONG[name][1] in " ".join(said.split()), said


@each
def test_an_answer_that_raises_does_not_stop_the_notebook(path, tmp_path):
    broken = []  # exercises whose answer is one function

    def answer(name, solution):
        if solution.count("def ") != 1:
            return solution
        broken.append(name)
        return re.sub(r"(def \w+\(.*?\):).*", r"\1\n    return 1 / 0  # oops", solution, flags=re.DOTALL)

    answers = run(filled(path, answer), tmp_path)
    assert broken
    for name in broken:
        said = answers[name]
        assert said.startswith(f"{name}: your code stopped with an error"), said
        assert "1 / 0 # oops" in " ".join(said.split())
        assert "Traceback" not in said


def test_no_wrong_answer_is_left_over():
    assert set(WRONG) == {name for path in NOTEBOOKS for cell in read(path).cells if (name := exercise(cell))}
