"""The page of a report as text: what stands in it, that nothing can break out of it, and that its numbers are right."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest
from choosing import each, product, some
from samples import MAKERS, backprop, case, failing, in_float32, sample

import bpcheck
from bpcheck import Case, Comparison, Diagnosis, Report, Verdict, mlp
from bpcheck.diagnosis import CATALOGUE
from bpcheck.diagnosis.step import Rules
from bpcheck.diagnosis.steps import backward, forward
from bpcheck.errors import InputError
from bpcheck.network.architecture import LOSSES
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.report.page.claimed import BY_BIAS, BY_BUG, UNKNOWN
from bpcheck.report.page.drawing import draw
from bpcheck.report.page.formula import wrong_formula
from bpcheck.report.page.page import fragment, page
from bpcheck.report.page.replay import replay
from bpcheck.report.page.steps import first_wrong, steps
from bpcheck.report.page.window import window
from bpcheck.report.page.wrong import wrong_entries
from bpcheck.report.text import TITLES

VOID = {"meta", "br", "input", "hr"}


class Balanced(HTMLParser):
    """Every element is closed in turn; collects tags, attributes and text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.mark.parametrize(("name", "render"), product(MAKERS, [page, fragment]))
def test_every_report_makes_a_page_that_is_closed_and_asks_nobody(name, render):
    html = render(sample(name))
    found = Balanced(html)
    assert TITLES[sample(name).verdict] in found.text
    assert not {"link", "img", "iframe", "object", "base", "form"} & set(found.tags)
    outside = [
        value
        for key, value in found.attributes
        if key in ("src", "href", "action", "data", "poster", "srcset")
    ]
    assert outside == []
    assert "url(" not in html
    assert "@import" not in html
    # the only addresses are names, which nobody fetches
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) <= {"http://www.w3.org/1998/Math/MathML"}


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&</style>"


def hostile():
    wrong = Comparison(
        HOSTILE,
        Verdict.DISAGREES,
        HOSTILE,
        np.zeros((1, 1)),
        np.ones((1, 1)),
        np.zeros((1, 1)),
        (0, 0),
        name=HOSTILE,
    )
    return Report(
        HOSTILE,
        Verdict.DISAGREES,
        (wrong, replace(wrong, actual=None, expected=None, bound=None)),
        (Diagnosis("BP4", HOSTILE, HOSTILE, (HOSTILE,), HOSTILE, 2),),
        case((1, 1), 1),
        HOSTILE,
        warnings=(HOSTILE,),
        inferred=HOSTILE,
        summary=HOSTILE,
        remedies=(HOSTILE,),
    )


@pytest.mark.parametrize("render", [page, fragment])
@pytest.mark.parametrize("verdict", [Verdict.DISAGREES, Verdict.AGREES])
def test_a_callers_text_is_only_text(render, verdict):
    report = replace(
        hostile(), verdict=verdict, detection_limit=bpcheck.result.DetectionLimit({HOSTILE: 1e-9})
    )
    plain = replace(report, **dict.fromkeys(("subject", "reproducer", "inferred", "summary"), ""))
    found, harmless = Balanced(render(report)), Balanced(render(plain))
    assert found.tags.count("script") == harmless.tags.count("script") == (render is page)
    assert found.tags.count("style") == 1
    assert "img" not in found.tags
    assert not [key for key, _ in found.attributes if key.startswith("on")]
    assert found.text.count("<img src=x onerror=alert(1)>") >= 5


def test_the_page_starts_with_the_verdict_and_what_to_do():
    words = Balanced(page(sample("2-3-2"))).text
    order = [
        "DISAGREES",
        "To do:",
        "BP2",
        "hidden-derivative-missing",
        CATALOGUE["hidden-derivative-missing"].title,
        "step by step",
        "The evidence",
        "Number by number",
        "as a formula",
        "to paste",
    ]
    places = [words.index(word) for word in order]
    assert places == sorted(places)


def test_reports_without_a_network_have_no_walk_and_say_what_they_know():
    for name, words in (
        ("agrees", ["AGREES", "would have been seen", "every gradient entry"]),
        (
            "inconclusive",
            ["INCONCLUSIVE", "Leave the constant out of the loss", "Ask for a coarser resolution"],
        ),
        ("black box", ["DISAGREES", "params['w']", "1 of 108 entries"]),
        ("kink", ["AGREES (at a kink)"]),
    ):
        html = page(sample(name))
        assert 'class="walk"' not in html
        for word in words:
            assert word in Balanced(html).text
    assert 'class="bad"' not in page(sample("agrees"))


# --- the numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["2-3-2", "one entry", "unnamed, batch", "large", "named bug"])
def test_the_replay_has_the_numbers_of_the_reference(name):
    report = sample(name)
    given, found = report.counterexample, replay(report)
    network = bpcheck.reference.build(given.architecture)
    trace = network.trace(given.params, given.x, given.y)
    gradient = network.gradient(given.params, given.x, given.y)
    assert found.cost == network.loss(given.params, given.x, given.y)
    for k, layer in enumerate(found.layers):
        np.testing.assert_array_equal(layer.z, trace.pre_activations[k])
        np.testing.assert_array_equal(layer.a, trace.activations[k])
        np.testing.assert_allclose(
            layer.delta.right.sum(axis=0), gradient[k]["bias"], rtol=1e-12, atol=1e-300
        )
        if layer.delta.yours is not None:  # it is made of the caller's own gradient
            np.testing.assert_allclose(
                layer.delta.yours.sum(axis=0), layer.comparisons["bias"].actual, rtol=1e-9, atol=1e-12
            )


@pytest.mark.parametrize(
    ("name", "source", "known"),
    [
        ("2-3-2", BY_BUG, [True, True]),
        ("one entry", BY_BIAS, [False, True]),  # W² is not δ² aᵀ, so b² is no witness for δ²
        ("unnamed, batch", UNKNOWN, [False, False]),
    ],
)
def test_the_callers_delta_is_shown_only_where_it_is_known(name, source, known):
    found = replay(sample(name))
    assert found.source == source
    assert [layer.delta.yours is not None for layer in found.layers] == known
    assert source in page(sample(name))


def test_a_bug_that_does_not_give_the_callers_gradient_is_no_witness_of_delta():
    report = sample("unnamed, batch")
    named = replace(report, diagnoses=(replace(report.diagnoses[0], bug="hidden-derivative-missing"),))
    assert replay(named).source == UNKNOWN


@pytest.mark.parametrize("penalty", [{"l1": 0.25}, {"l2": 0.5}])
def test_a_penalty_on_the_weights_does_not_hide_delta(penalty):
    given = case((2, 3, 2), 1, **penalty)
    network = bpcheck.reference.build(given.architecture)
    right = dict(bpcheck.tree.leaves(network.gradient(given.params, given.x, given.y)))
    judged = tuple(bpcheck.check.agreement.judge(path, a, a, 1e-12) for path, a in right.items())
    found = replay(Report("f", Verdict.DISAGREES, judged, counterexample=given))
    assert found.source == BY_BIAS
    assert all(layer.delta.yours is not None and not layer.delta.is_wrong for layer in found.layers)
    biased = replace(given, architecture=replace(given.architecture, penalize_bias=True))
    assert replay(Report("f", Verdict.DISAGREES, judged, counterexample=biased)).source == UNKNOWN


@pytest.mark.parametrize(
    ("mistake", "batch", "source"),
    [({"entry": 1.5}, 1, BY_BIAS), ({"slope": False}, 1, BY_BUG), ({"slope": False}, 3, BY_BUG)],
)
def test_the_rounding_of_float32_is_no_wrong_delta(mistake, batch, source):
    report = failing(batch=batch, precision=in_float32, **mistake)
    found = replay(report)
    assert report.verdict is Verdict.DISAGREES
    assert found.source == source
    assert not found.layers[-1].delta.is_wrong
    assert found.layers[0].delta.is_wrong == ("slope" in mistake)


def test_two_mistakes_at_once_have_one_delta():
    rules = CATALOGUE["hidden-derivative-missing"].rules.with_(CATALOGUE["bias-absent"].rules)
    given = case((2, 3, 2), 3)
    predicted = backward(forward(given), rules)
    right = backward(forward(given), Rules())
    judged = tuple(
        bpcheck.check.agreement.judge(path, predicted[path], right[path], 1e-12) for path in predicted
    )
    both = tuple(
        Diagnosis(CATALOGUE[s].equation, "", s) for s in ("hidden-derivative-missing", "bias-absent")
    )
    found = replay(Report("f", Verdict.DISAGREES, judged, both, given))
    assert found.source == BY_BUG
    assert found.layers[0].delta.wrong.all()
    assert not found.layers[1].delta.is_wrong


def test_the_wrong_delta_is_marked_and_the_right_one_is_not():
    found = replay(sample("2-3-2"))
    assert found.layers[0].delta.wrong.all()
    assert not found.layers[1].delta.is_wrong
    listed = steps(found)
    start = first_wrong(listed)
    assert (listed[start].kind, listed[start].layer) == ("delta", 2)
    assert f'data-start="{start}"' in page(sample("2-3-2"))


RULES = [slug for slug, bug in CATALOGUE.items() if bug.rules and bug.kinds <= {"dense"}]


@pytest.mark.parametrize("slug", each(RULES, of=lambda slug: [CATALOGUE[slug].equation]))
def test_every_bug_of_the_catalogue_can_be_drawn(slug):
    options = {"l2": 0.5} if CATALOGUE[slug].equation == "penalty" else {}
    given = case((3, 3, 3, 3), 3, activation="tanh", output="sigmoid", loss="half_mse", **options)
    predicted = CATALOGUE[slug].predict(given)
    assert predicted is not None  # as many examples as units: every shape fits
    network = bpcheck.reference.build(given.architecture)
    right = dict(bpcheck.tree.leaves(network.gradient(given.params, given.x, given.y)))
    comparisons = tuple(
        bpcheck.check.agreement.judge(path, predicted[path], right[path], 1e-12) for path in right
    )
    diagnosis = Diagnosis(CATALOGUE[slug].equation, "", slug)
    report = Report("f", Verdict.worst(c.verdict for c in comparisons), comparisons, (diagnosis,), given)
    found = replay(report)
    for layer in found.layers:
        if CATALOGUE[slug].equation not in ("BP1", "BP2"):
            assert not layer.delta.is_wrong
    Balanced(page(report))


def test_a_factor_that_loss_and_gradient_share_is_in_the_right_delta_too():
    given = case((2, 3, 2), 3)
    report = bpcheck.compare(backprop(slope=False), cases=[given], seed=0)
    doubled = tuple(
        c if c.expected is None else replace(c, actual=2 * c.actual, expected=2 * c.expected)
        for c in report.comparisons
    )
    once, twice = replay(report), replay(replace(report, comparisons=doubled))
    for one, two in zip(once.layers, twice.layers, strict=True):
        np.testing.assert_allclose(two.delta.right, 2 * one.delta.right, rtol=1e-12)
        np.testing.assert_allclose(two.delta.yours, 2 * one.delta.yours, rtol=1e-12)


@pytest.mark.parametrize(
    "layout", some(["cs231n", "nielsen", "keras"], default=lambda layout: layout == "nielsen")
)
def test_in_any_layout_the_walk_is_the_same(layout):
    given, conventions = case((2, 2, 2), 1), bpcheck.Conventions.preset(layout).but(targets="as given")
    ours = failing_in_another_layout(given, bpcheck.Conventions())
    theirs = failing_in_another_layout(given, conventions)
    assert theirs.diagnoses[0].path != ours.diagnoses[0].path
    one, other = replay(ours), replay(theirs)
    assert other.culprit.number == one.culprit.number == 2
    assert other.source == one.source
    for right, found in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(found.delta.wrong, right.delta.wrong)
        np.testing.assert_allclose(found.delta.yours, right.delta.yours, rtol=1e-12)
    assert draw(other, window(other), 0) == draw(one, window(one), 0)
    assert "nothing was compared" not in page(theirs)
    formula, comparison = (
        wrong_formula(theirs),
        next(c for c in theirs.comparisons if c.path == theirs.diagnoses[0].path),
    )
    assert formula.entry == comparison.path + str(list(comparison.worst_index))
    assert formula.value == pytest.approx(float(comparison.expected[comparison.worst_index]), rel=1e-12)


def failing_in_another_layout(given, conventions):
    from bpcheck.search.dialect.callers_words import in_callers_words

    report = bpcheck.compare(backprop(slope=False), cases=[given], seed=0)
    return in_callers_words(report, conventions)


def test_a_penalty_stands_in_the_formula_as_it_was_written():
    given = case((1, 1), 1, l2=0.1)
    report = bpcheck.compare(backprop(), cases=[given], seed=0)
    formula = wrong_formula(report)
    assert "0.1*W2_1_1" in formula.lines[-1][1]


@pytest.mark.parametrize("name", ["2-3-2", "one entry", "named bug"])
def test_the_formula_has_the_right_value(name):
    report = sample(name)
    found = wrong_formula(report)
    path = report.diagnoses[0].path
    comparison = next(c for c in report.comparisons if c.path == path)
    assert wrong_entries(comparison)[comparison.worst_index]
    assert found.entry == path + str(list(comparison.worst_index))
    if found.note:
        assert "share of the first example" in found.note
        one = replace(report.counterexample, x=report.counterexample.x[:1], y=report.counterexample.y[:1])
        network = bpcheck.reference.build(one.architecture)
        right = dict(bpcheck.tree.leaves(network.gradient(one.params, one.x, one.y)))
        expected = next(array for p, array in right.items() if str(p) == path)[comparison.worst_index]
    else:
        expected = comparison.expected[comparison.worst_index]
    assert found.value == pytest.approx(float(expected), rel=1e-12)


DRAWN = [*((a, "half_mse") for a in ACTIVATIONS), *(("sigmoid", loss) for loss in LOSSES)]
DRAWN_HERE = (("sigmoid", "cross_entropy"),)


@pytest.mark.parametrize(
    ("activation", "loss"),
    some(DRAWN, default=lambda activation, loss: (activation, loss) in DRAWN_HERE),
)
def test_every_activation_and_loss_can_be_drawn(activation, loss):
    given = case((2, 2, 2), 2, activation=activation, loss=loss) if "entropy" not in loss else None
    if given is None:
        network = mlp((2, 2, 2), activation=activation, loss=loss)
        plain = case((2, 2, 2), 2)
        given = Case(network, plain.params, plain.x, np.eye(2))
    network = bpcheck.reference.build(given.architecture)
    right = network.gradient(given.params, given.x, given.y)
    comparison = bpcheck.check.agreement.judge(
        "params[0]['weight']", right[0]["weight"] + 1.0, right[0]["weight"], 1e-12, name="W²"
    )
    report = Report("f", Verdict.DISAGREES, (comparison,), (), given)
    text = Balanced(page(report)).text
    assert "4 of 4 entries wrong" in text
    found = wrong_formula(report)
    if found is not None and found.value is not None and not found.note:
        assert found.value == pytest.approx(float(comparison.expected[comparison.worst_index]), rel=1e-9)


def test_a_difference_in_the_last_digits_can_be_seen():
    right = np.array([1.0, 2.0])
    comparison = bpcheck.check.agreement.judge("w", right * (1 + 1e-9), right, 1e-15)
    text = Balanced(page(Report("f", Verdict.DISAGREES, (comparison,)))).text
    assert "✗ 1.000000001" in text


# --- what is left out --------------------------------------------------------------------------------


def test_a_large_network_is_drawn_in_part_and_says_so():
    report = sample("large")
    words = Balanced(page(report)).text
    assert "layers 3 to 6 of 6 are drawn" in words
    assert "6 of 30 units are drawn" in words
    assert "of 12 examples, 8 can be seen" in words
    assert "The tables show rows" in words
    assert "as a formula" not in words
    assert len(page(report)) < 1_000_000


def test_many_tensors_are_cut_with_a_count():
    right = np.ones(2)
    many = tuple(
        bpcheck.check.agreement.judge(f"w[{k}]", right + (k == 99), right, 1e-12) for k in range(100)
    )
    words = Balanced(page(Report("f", Verdict.DISAGREES, many))).text
    evidence, _, numbers = words.partition("The evidence")[2].partition("Number by number")
    for section in (evidence, numbers):
        assert "w[99]" in section  # the wrong one is not among those left out
        assert "w[50]" not in section
        assert "76 more tensors are left out" in section


def test_a_heat_map_of_a_large_tensor_shows_the_worst_of_each_block():
    right = np.zeros((300, 100))
    wrong = right.copy()
    wrong[299, 99] = 1.0
    comparison = bpcheck.check.agreement.judge("w", wrong, right, 1e-12, fallback=1.0)
    html = page(Report("f", Verdict.DISAGREES, (comparison,)))
    assert "One square stands for up to 10 × 4 entries" in html
    assert "1 of 30000 entries is wrong" in html
    assert html.count('class="cross"') == 1
    assert "rows 292 to 299 of 0 to 299, columns 95 to 99 of 0 to 99" in html


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3,), (2, 3), (2, 3, 4)])
def test_tensors_of_every_shape(shape):
    right = np.ones(shape)
    comparison = bpcheck.check.agreement.judge("w", right + 1, right, 1e-12)
    for render in (page, fragment):
        Balanced(render(Report("f", comparison.verdict, (comparison,))))


def test_numbers_that_are_not_finite_are_shown_as_such():
    comparison = bpcheck.check.agreement.judge("w", [np.nan, np.inf, 1.0], [1.0, 1.0, 1.0], 1e-12)
    words = Balanced(page(Report("f", Verdict.NONFINITE, (comparison,)))).text
    assert "✗ NaN" in words
    assert "✗ ∞" in words
    assert "2 of 3 entries wrong" in words


def test_an_overflowing_network_is_a_page_too():
    given = Case(mlp([1, 1]), [{"weight": [[1e300]], "bias": [0.0]}], [[1e300]], [[0.0]])
    words = Balanced(page(Report("f", Verdict.INCONCLUSIVE, counterexample=given))).text
    assert "INCONCLUSIVE" in words
    assert "∞" in words


def test_at_a_kink_the_formula_has_no_value():
    given = Case(
        mlp([1, 1, 1], activation="relu"),
        [{"weight": [[1.0]], "bias": [0.0]}, {"weight": [[1.0]], "bias": [0.0]}],
        [[0.0]],
        [[1.0]],
    )
    comparison = bpcheck.check.agreement.judge("params[0]['bias']", [3.0], [-0.5], 1e-12)
    report = Report("f", Verdict.DISAGREES, (comparison,), counterexample=given)
    assert wrong_formula(report).value is None
    assert "Heaviside(z) is 1 for z > 0" in Balanced(page(report)).text


# --- the notebook's cell -----------------------------------------------------------------------------


def test_the_cells_styles_stay_inside():
    html = sample("2-3-2")._repr_html_()
    style = re.sub(r"/\*.*?\*/", "", re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1], flags=re.DOTALL)
    selectors = [s.strip() for rule in re.findall(r"([^{}]+)\{[^{}]*\}", style) for s in rule.split(",")]
    assert len(selectors) > 50
    for selector in selectors:
        assert ".bpcheck-report" in selector
        assert re.match(r"(body[\[.][^ ]+ )?\.bpcheck-report\b", selector), selector
    assert "<script" not in html
    assert " id=" not in html


def test_the_dark_colours_of_the_page_and_of_the_cell_are_the_same():
    folder = resources.files("bpcheck.report.page")
    cell, alone = (folder.joinpath(n).read_text(encoding="utf-8") for n in ("page.css", "page_alone.css"))
    dark = [
        dict(re.findall(r"(--[\w-]+): (#\w+)", text)) for text in (cell.split("body.vscode-dark")[1], alone)
    ]
    light = dict(re.findall(r"(--[\w-]+): (#\w+)", cell.split("body[")[0]))
    assert dark[0] == dark[1]
    assert set(light) == set(dark[0])


def test_a_notebook_is_told_where_the_steps_are():
    assert "to_html(" in sample("2-3-2")._repr_html_()
    assert "to_html(" not in sample("agrees")._repr_html_()


# --- writing -----------------------------------------------------------------------------------------


def test_it_is_written_or_returned(tmp_path):
    report = sample("2-3-2")
    assert report.to_html(tmp_path / "r.html") is None
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == report.to_html() == page(report)
    assert report.to_html(str(tmp_path / "s.html")) is None
    assert failing().to_html() == report.to_html()  # the same report, the same page


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    report = sample("empty")
    with pytest.raises(InputError, match="a folder; name a file in it"):
        report.to_html(tmp_path)
    with pytest.raises(InputError, match=r"there is no folder .*nowhere'; make it first"):
        report.to_html(tmp_path / "nowhere" / "r.html")
    with pytest.raises(InputError, match=r"path is 3; give the name of a file, such as 'report.html'"):
        report.to_html(3)


def test_a_file_system_that_refuses_is_told(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    with pytest.raises(InputError, match=r"cannot be written \(Permission denied\); choose a place"):
        sample("empty").to_html(tmp_path / "r.html")


@pytest.mark.parametrize(
    "check",
    [
        lambda c, claimed: bpcheck.check_every_entry(
            c.architecture, c.params, c.x, c.y, gradient=claimed, seed=0
        ),
        lambda c, claimed: bpcheck.certify(c.architecture, c.params, c.x, c.y, claimed),
    ],
    ids=["check_every_entry", "certify"],
)
def test_a_network_that_was_given_is_drawn_and_not_called_the_smallest(check):
    given = case((3, 4, 2), 3)
    claimed = bpcheck.reference.build(given.architecture).gradient(given.params, given.x, given.y)
    right = check(given, claimed)
    claimed[0]["weight"] = claimed[0]["weight"] * np.where(np.eye(4, 3) > 0, 1.5, 1.0)
    wrong = check(given, claimed)
    assert (right.ok, right.counterexample) == (True, None)
    assert wrong.counterexample == given
    text = Balanced(page(wrong)).text
    assert "The network, step by step" in text
    assert "smallest" not in text


def test_a_network_of_which_nobody_looks_at_every_number_is_not_kept():
    given = case((300, 70, 2), 2)
    claimed = bpcheck.reference.build(given.architecture).gradient(given.params, given.x, given.y)
    claimed[1]["bias"] = claimed[1]["bias"] * 2
    report = bpcheck.check_every_entry(
        given.architecture, given.params, given.x, given.y, gradient=claimed, seed=0
    )
    assert (report.ok, report.counterexample) == (False, None)
