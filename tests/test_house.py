"""Every wing knows every layer, activation and loss, and no modules import one another in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from choosing import product

import bpcheck
from bpcheck import Case, certified, mlp, numeric, reference, symbolic
from bpcheck.certified import series
from bpcheck.certified.activation import LOW_SLOPE, SMOOTH
from bpcheck.certified.exact import is_rational
from bpcheck.certified.loss import LOSS as CERTIFIED_LOSS
from bpcheck.check import witness
from bpcheck.check.agreement import agree
from bpcheck.network.architecture import DEFAULT_OUTPUT, LOSSES
from bpcheck.network.layers import KINDS, Dense, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.loss import LOSS
from bpcheck.strategies.values import case_from_seed


def imports(source, modules):
    """The modules of ours that a file names in any import, also within functions and for type checkers alone."""
    named = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            named |= {name if name in modules else node.module for name in inner}
    return named & set(modules)


def circle(sources):
    """Modules that import one another in a circle, if there are any."""
    graph = TopologicalSorter({module: imports(source, sources) for module, source in sources.items()})
    try:
        graph.prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_each_other():
    root, sources = Path(bpcheck.__file__).parents[1], {}
    for path in root.glob("bpcheck/**/*.py"):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        sources[name.removesuffix(".__init__")] = path.read_text("utf-8")
    assert "bpcheck.network.layers.kinds" in imports(sources["bpcheck.network.architecture"], sources)
    assert circle(sources) == []


@pytest.mark.parametrize(
    "back",
    [
        "import bpcheck.a",
        "from bpcheck import a",
        "def late():\n    from bpcheck.a import f",
        "if TYPE_CHECKING:\n    from bpcheck.a import f",
    ],
)
def test_a_circle_would_be_found(back):
    sources = {
        "bpcheck": "",
        "bpcheck.a": "from bpcheck.b import g",
        "bpcheck.b": "import bpcheck.c",
        "bpcheck.c": "",
    }
    assert circle(sources) == []
    assert set(circle({**sources, "bpcheck.c": back})) == {"bpcheck.a", "bpcheck.b", "bpcheck.c"}


@pytest.mark.parametrize("wing", [reference, symbolic, certified], ids=lambda wing: wing.__name__)
def test_every_wing_has_every_kind_of_layer(wing):
    table = import_module(f"{wing.__name__}.layers.kinds").LAYERS
    assert set(table) == set(KINDS.values())


def test_the_reference_has_every_activation_and_loss():
    assert set(ACTIVATION) == set(ACTIVATIONS)
    assert set(LOSS) == set(LOSSES) == set(DEFAULT_OUTPUT)
    assert {name for name, loss in LOSS.items() if loss.fused_output} == {
        "binary_cross_entropy",
        "cross_entropy",
    }


def test_the_certified_witness_has_every_kind_and_says_which_have_fractions():
    everywhere = {"identity", "softmax"}  # no formula of one unit
    assert set(SMOOTH) | set(LOW_SLOPE) | everywhere == set(ACTIVATIONS)
    assert set(series.ACTIVATION) | {"softmax"} == set(ACTIVATIONS)
    assert set(CERTIFIED_LOSS) == set(series.LOSS) == set(LOSSES)
    # what exact() refuses, because it is not rational: nothing else
    refused = {name for name in ACTIVATIONS if not is_rational(mlp([2, 3, 1], activation=name))}
    assert refused == {"tanh", "sigmoid", "softplus", "gelu", "silu", "softmax"}
    assert {name for name in LOSSES if not is_rational(mlp([2, 1], loss=name))} == {
        "binary_cross_entropy",
        "cross_entropy",
    }


def agreed(case: Case):
    network = reference.build(case.architecture)
    said = [
        witness.testify(case),
        symbolic.testify(case),
        certified.testify(case),
        numeric.complex_step(
            lambda params: network.cost(params, case.x, case.y), case.params, rng=np.random.default_rng(0)
        ),
    ]
    return all(
        c.verdict.ok for i, first in enumerate(said) for second in said[:i] for c in agree(first, second)
    )


@pytest.mark.parametrize(("activation", "place"), product(ACTIVATIONS, ["hidden", "output"]))
def test_every_witness_knows_every_activation(activation, place):
    options = {"activation": activation} if place == "hidden" else {"output": activation}
    assert agreed(case_from_seed(mlp([2, 3, 2], **options), 2, 7))


@pytest.mark.parametrize(
    ("loss", "reduction", "output"), product(LOSSES, ["mean", "sum"], [None, "identity"])
)
def test_every_witness_knows_every_loss(loss, reduction, output):
    assert agreed(case_from_seed(mlp([2, 2, 3], loss=loss, reduction=reduction, output=output), 3, 8))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.full),
        {"l1": 0.25},
        pytest.param({"l2": 0.5, "penalize_bias": True}, marks=pytest.mark.full),
    ],
)
def test_every_witness_knows_skip_connections_and_penalties(options):
    from bpcheck import Architecture

    layers = (Dense(3, "tanh"), Skip((Dense(2, "sigmoid"), Skip((Dense(2, "silu"),)), Dense(3))), Dense(2))
    assert agreed(case_from_seed(Architecture((2,), layers, "mse", **options), 2, 9))


# --- functions that can be read ------------------------------------------------------------------------

PACKAGE = Path(bpcheck.__file__).parent
LATER = (PACKAGE / "check", PACKAGE / "numeric")  # one engine is to take their place
MOST_PARAMETERS = 8


def parameters(function):
    """Names of the parameters of a function, without self and cls."""
    a = function.args
    named = [
        *a.posonlyargs,
        *a.args,
        *a.kwonlyargs,
        *(each for each in (a.vararg, a.kwarg) if each is not None),
    ]
    return [each.arg for each in named if each.arg not in ("self", "cls")]


def crowded(source):
    """Names of the private functions and methods with more parameters than anybody keeps in mind."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("_")
        and not node.name.startswith("__")
        and len(parameters(node)) > MOST_PARAMETERS
    ]


def test_no_private_function_has_more_than_eight_parameters():
    found = {
        str(file.relative_to(PACKAGE)): names
        for file in PACKAGE.rglob("*.py")
        if not any(file.is_relative_to(later) for later in LATER)
        and (names := crowded(file.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_nine_parameters_would_be_seen():
    assert crowded("class A:\n    def _f(self, a, b, c, d, *, e, f, g, h, i): pass") == ["_f"]
    assert crowded("class A:\n    def _f(self, a, b, c, d, *, e, f, g, h): pass") == []
