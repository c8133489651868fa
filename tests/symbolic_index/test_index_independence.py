"""The interpreter is a second opinion only if it borrows nothing from the rewriter."""

import ast
import importlib
import inspect
import pathlib
import subprocess
import sys

import pytest

from bpcheck.symbolic import index

HERE = pathlib.Path(index.__file__).parent
REWRITER = {"substitute", "derive", "canonical"}


def imports(module):
    """The modules of the calculus that a module imports, anywhere in it, and those that these import."""
    found, pending = set(), [module]
    while pending:
        for node in ast.walk(ast.parse((HERE / f"{pending.pop()}.py").read_text())):
            paths = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                paths = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for path in paths:
                name = path.removeprefix("bpcheck.symbolic.index.").partition(".")[0]
                if (
                    path.startswith("bpcheck.symbolic.index.")
                    and (HERE / f"{name}.py").exists()
                    and name not in found
                ):
                    found.add(name)
                    pending.append(name)
    return found


@pytest.mark.parametrize("module", ["interpret", "domain", "term", "given"])
def test_the_interpreter_imports_nothing_of_the_rewriter(module):
    assert not imports(module) & REWRITER


def test_the_test_sees_imports():
    assert imports("check") >= REWRITER
    assert "term" in imports("interpret")


def test_the_interpreter_calls_nothing_of_the_rewriter():
    """Not by another way either: no name of its namespace was made there."""
    for name in ("interpret", "domain"):
        module = importlib.import_module(f"bpcheck.symbolic.index.{name}")
        homes = {
            getattr(value, "__module__", None)
            for value in vars(module).values()
            if not inspect.ismodule(value)
        }
        assert not homes & {f"bpcheck.symbolic.index.{part}" for part in REWRITER}


@pytest.mark.full
def test_it_evaluates_with_the_rewriter_taken_away():
    """In a process of its own: no rewriter, and a term with sums, a derivative and a definition has its value."""
    program = f"""
import importlib.util, pathlib, sys, types
for part in {sorted(REWRITER)!r}:
    sys.modules["bpcheck.symbolic.index." + part] = None  # an import of it fails
package = types.ModuleType("bpcheck.symbolic.index")
package.__path__ = [{str(HERE)!r}]
import bpcheck.symbolic
sys.modules["bpcheck.symbolic.index"] = package
from bpcheck.symbolic.index.term import Diff, Index, Size, Tensor, Unknown, total
from bpcheck.symbolic.index.given import Definition
from bpcheck.symbolic.index.interpret import World, evaluate
from bpcheck.symbolic.index.domain import Exact
n, x, a = Size("n"), Tensor("x"), Tensor("a")
j, k = Index("j", n), Index("k", n)
world = World({{n: 2}}, {{}}, {{}}, given=(Definition(a[k], x[k] ** 2),), values={{("x", (1,)): 3, ("x", (2,)): 5}})
print(evaluate(Diff(total(a[k] * x[k], k), x[j]), world, Exact(), {{j: 2}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "75"), done.stderr
