"""The JSON of a report against its published schema."""

import json
from pathlib import Path

import jsonschema
import pytest
from samples import MAKERS, VERDICTS, case, sample

import bpcheck
from bpcheck import Architecture, Case, Report, Verdict
from bpcheck.diagnosis import CATALOGUE
from bpcheck.network.layers import Dense, Skip
from bpcheck.report import schema
from bpcheck.result import SCHEMA_VERSION

VALIDATOR = jsonschema.Draft202012Validator(schema())


def errors(data):
    return [error.message for error in VALIDATOR.iter_errors(data)]


def test_the_schema_is_one_and_is_the_file_in_the_package():
    jsonschema.Draft202012Validator.check_schema(schema())
    file = Path(bpcheck.__file__).parent / "report" / "report.schema.json"
    assert json.loads(file.read_text(encoding="utf-8")) == schema()
    assert schema()["$defs"]["report"]["properties"]["schema_version"] == {
        **schema()["$defs"]["report"]["properties"]["schema_version"],
        "const": SCHEMA_VERSION,
    }
    docs = Path(bpcheck.__file__).parent.parent / "docs" / "reports.md"
    assert "../bpcheck/report/report.schema.json" in docs.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MAKERS)
def test_real_reports_follow_it(name):
    assert errors(json.loads(sample(name).to_json())) == []


def test_there_is_a_real_report_of_every_verdict():
    assert {name: sample(name).verdict for name in VERDICTS} == VERDICTS
    assert set(VERDICTS.values()) == set(Verdict)


def test_every_equation_of_the_catalogue_is_known_to_it():
    known = schema()["$defs"]["diagnosis"]["properties"]["equation"]["enum"]
    assert {bug.equation for bug in CATALOGUE.values()} <= set(known)
    assert [v.name for v in Verdict] == schema()["$defs"]["verdict"]["enum"]


def test_a_network_with_skip_connections_and_a_penalty_follows_it():
    layers = (Dense(2, "relu"), Skip((Dense(3), Skip((Dense(3),)), Dense(2))))
    network = Architecture((2,), layers, "mse", l2=0.5, penalize_bias=True)
    import numpy as np

    params = bpcheck.reference.build(network).init(np.random.default_rng(0))
    given = Case(network, params, [[1.0, 2.0]], [[0.0, 1.0]], seed=3)
    assert errors(json.loads(Report("f", Verdict.DISAGREES, counterexample=given).to_json())) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verdict", "RIGHT"),
        ("verdict", None),
        ("schema_version", 2),
        ("ok", "yes"),
        ("seed", -1),
        ("warnings", [1]),
        ("comparisons", [{}]),
        ("counterexample", {}),
        ("more", 1),
    ],
)
def test_it_refuses_what_is_no_report(key, value):
    data = json.loads(sample("2-3-2").to_json())
    assert errors({**data, key: value})
    del data[key if key in data else "subject"]
    assert errors(data)


def test_numbers_that_json_does_not_have_are_null():
    text = sample("not finite").to_json()
    strict = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert any(c["actual"] is None and c["expected"] is not None for c in strict["comparisons"])


def test_the_case_can_be_read_back():
    data = json.loads(sample("2-3-2").to_json())["counterexample"]
    network = Architecture.from_json(json.dumps(data["architecture"]))
    assert Case(network, data["params"], data["x"], data["y"]) == case((2, 3, 2), 3)
