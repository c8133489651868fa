"""docs/gradient_health.md shows what its script prints; the sentences quote the same numbers."""

import math
import re
from pathlib import Path

import pytest

import bpcheck
from bpcheck.health import findings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "gradient_health.md").read_text(encoding="utf-8")
SECTIONS = dict(zip(*[iter(re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))


@pytest.fixture(scope="module")
def example():
    import importlib.util

    path = DOCS.parent / "examples" / "gradient_health.py"
    spec = importlib.util.spec_from_file_location("example_gradient_health", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(section):
    return re.findall(r"```text\n(.*?)\n```", SECTIONS[section], re.DOTALL)


@pytest.mark.full
def test_every_table_is_what_the_script_makes(example):
    assert blocks("What happens at one layer") == [str(example.health(*example.NETWORKS["sigmoid"]))]
    assert blocks("Four networks") == [example.table_of_networks()]
    assert blocks("What else changes it") == [
        example.table_of_rules(),
        example.table_of_depths(),
        example.table_of_clipping(),
    ]


def test_the_sentences_quote_the_same_numbers(example):
    sigmoid, skips, relu, exploding, small = (example.health(*pair) for pair in example.NETWORKS.values())
    assert f"a straight line on a logarithmic axis, {sigmoid.total:.1e} at the bottom" in PAGE
    middle = sorted(layer.factor for layer in sigmoid.layers[:-1])[len(sigmoid.layers) // 2]
    assert f"leaves about {middle:.2f} of it" in PAGE
    verdicts = [each.verdict for each in (sigmoid, skips, relu, exploding, small)]
    assert verdicts == ["vanishing", "healthy", "healthy", "exploding", "healthy"]
    # "√2 a layer": what theory expects of He's weights beside the identity, below the last step
    theory = [layer.expected for layer in exploding.layers[1:-2]]
    assert sum(theory) / len(theory) == pytest.approx(2**0.5, rel=0.02)
    # "hundreds of times more slowly"
    assert 100 < 1 / example.health(example.without_skips("sigmoid", 5), jacobians=0).total < 1000


def test_the_limits_are_those_of_the_rules():
    steps = 19

    def limit(update):
        return (2.0**-24 / update) ** (1 / steps)

    assert findings.VANISHED == 2.0**-14
    assert findings.EXPLODED == 2.0**10
    assert f"= {limit(findings.TYPICAL_UPDATE):.1f} a layer at 20 layers" in PAGE
    low, high = limit(findings.TYPICAL_UPDATE * 10), limit(findings.TYPICAL_UPDATE / 10)
    assert f"to {low:.2f} or {high:.2f}" in PAGE


@pytest.mark.full
def test_training_shows_what_the_page_says(example):
    """The quick end of the table of training: one pass of the sigmoid stands still at chance, one of ReLU does not."""
    loss, right = example.trained(*example.NETWORKS["sigmoid"], 0.1, epochs=1)
    assert loss == pytest.approx(2.3026, rel=0.05)  # ln 10: nothing is known of the digit
    assert right < 0.2
    assert example.trained(*example.NETWORKS["relu"], 0.01, epochs=2)[0] < 2.0
    assert math.isnan(example.trained(*example.NETWORKS["relu, skips"], 0.1, epochs=1)[0])  # it diverges


def test_the_picture_is_there_and_shows_the_four():
    svg = (DOCS / "figures" / "gradient_health.svg").read_text(encoding="utf-8")
    for name in ("sigmoid", "sigmoid, skips", "relu", "relu, skips"):
        assert f">{name}<" in svg


def test_the_code_of_the_page_names_what_exists():
    names = set(re.findall(r"bpcheck\.(\w+)\(", PAGE))
    assert names <= set(bpcheck.__all__)
    health = bpcheck.gradient_health(bpcheck.mlp([2, 2, 1]), seed=0)
    for name in set(re.findall(r"`health\.(\w+)(?:\(\))?`", PAGE)):
        assert hasattr(health, name)
