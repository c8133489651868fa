"""The steps of any network's backward pass: skip connections, flattening, convolutions, and the bugs of each."""

import numpy as np
import pytest
from choosing import some

import bpcheck
from bpcheck import Architecture, Verdict, mlp, tree
from bpcheck.check.agreement import judge
from bpcheck.diagnosis import CATALOGUE, Observation, diagnose
from bpcheck.diagnosis.hypothesis import standing
from bpcheck.diagnosis.layers.kinds import EQUATIONS, KINDS, kind_of, knows
from bpcheck.diagnosis.locate import locate
from bpcheck.diagnosis.mutant import program_of
from bpcheck.diagnosis.pattern import pattern
from bpcheck.diagnosis.step import Rules
from bpcheck.diagnosis.steps import COST_GRADIENT, PENALTY, RETURNED, backward, forward
from bpcheck.diagnosis.topmost import by_layer, compared
from bpcheck.errors import InputError
from bpcheck.network.layers import KINDS as SPECS
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, Skip
from bpcheck.network.layers.spec import LayerSpec
from bpcheck.reference import build
from bpcheck.report import schema
from bpcheck.result import Comparison
from bpcheck.search.cases.sample import GENERIC, random_case

RIGHT = Rules()
BOUND = 1e-11

SKIP = Architecture(
    (3,), (Dense(4, "sigmoid"), Skip((Dense(5, "tanh"), Dense(4, "sigmoid"))), Dense(2, "sigmoid"))
)
NESTED = Architecture(
    (3,),
    (
        Dense(4, "leaky_relu"),
        Skip((Dense(5, "tanh"), Skip((Dense(5, "relu"),)), Dense(4))),
        Skip((Dense(4, "tanh"),)),
    ),
    "mse",
    l2=0.2,
    penalize_bias=True,
)
CONV1 = Architecture(
    (2, 9),
    (Conv1d(2, 3, 2, 1, "tanh"), Conv1d(3, 2, 1, 0, "sigmoid"), Flatten(), Dense(4, "tanh"), Dense(3)),
    "cross_entropy",
)
CONV2 = Architecture(
    (2, 6, 7),
    (Conv2d(3, 3, (2, 1), 1, "tanh"), Conv2d(3, (2, 3), 2, (0, 1), "sigmoid"), Flatten(), Dense(2, "tanh")),
    l1=0.05,
    l2=0.1,
)
BOTH = Architecture(
    (2, 5, 4),
    (
        Conv2d(2, 3, padding=1, activation="tanh"),
        Skip((Conv2d(3, 3, padding=1, activation="tanh"), Conv2d(2, 1, activation="sigmoid"))),
        Flatten(),
        Dense(3, "sigmoid"),
        Dense(2),
    ),
)
NETWORKS = {"skip": SKIP, "nested": NESTED, "conv1d": CONV1, "conv2d": CONV2, "both": BOTH}

FORMULAS = [slug for slug, bug in CATALOGUE.items() if bug.rules is not None]
DENSE = {"BP1", "BP2", "BP3", "BP4"}
OF_LAYERS = [slug for slug in FORMULAS if CATALOGUE[slug].equation in set(EQUATIONS) - DENSE]
"""Bugs of skip connections, flattening and convolutions."""


def drawn(architecture, count=4, seed=0, **options):
    rng = np.random.default_rng(seed)
    return [random_case(rng, architecture, GENERIC, **options) for _ in range(count)]


def observed(rules, cases):
    """What code with these rules would be seen to answer; without the cases at which it would raise."""
    found = []
    for case in cases:
        f = forward(case)
        claimed = backward(f, rules)
        if claimed is not None:
            found.append(Observation(case, claimed, backward(f, RIGHT)))
    return found


def comparisons(observation):
    return [judge(path, observation.claimed[path], right, BOUND) for path, right in observation.right.items()]


def slugs(hypotheses):
    return [tuple(bug.slug for bug in h.bugs) for h in hypotheses]


def names(slug, cases):
    """The names that a planted bug gets; empty where it does not show."""
    bug = CATALOGUE[slug]
    seen = [o for o in observed(bug.rules, cases) if o.wrong]
    if not seen or any(not bug.needs <= o.traits for o in seen):
        return set()
    found = diagnose(seen[0].case, comparisons(seen[0]), seen)
    assert all(d.equation == CATALOGUE[d.bug].equation for d in found if d.bug)
    return {d.bug for d in found}


# --- the steps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_the_right_steps_give_the_reference_gradient(name):
    for case in drawn(NETWORKS[name]):
        right = dict(tree.leaves(build(case.architecture).gradient(case.params, case.x, case.y)))
        again = backward(forward(case), RIGHT)
        assert list(again) == list(right)
        for path, values in right.items():
            np.testing.assert_allclose(again[path], values, rtol=1e-11, atol=1e-12)


def test_every_kind_of_layer_has_its_steps():
    assert set(KINDS) == set(SPECS.values())
    for kind in KINDS.values():
        assert len({step.name for step in kind.steps}) == len(kind.steps)
        assert all(step.equation is not None and step.equation.title for step in kind.steps)


@pytest.mark.parametrize("spec", SPECS.values())
def test_a_parameter_has_an_equation_and_a_noun(spec):
    assert set(spec.roles.values()) == set(KINDS[spec].gradients) == set(KINDS[spec].nouns)
    assert (KINDS[spec].error is None) == (not spec.roles)


def test_the_schema_knows_every_equation():
    known = schema()["$defs"]["diagnosis"]["properties"]["equation"]["enum"]
    assert set(EQUATIONS) | {bug.equation for bug in CATALOGUE.values()} <= set(known)


def test_every_step_of_layers_has_a_bug_of_its_own():
    changed = {step for slug in FORMULAS for step in CATALOGUE[slug].rules.changed}
    assert changed == {COST_GRADIENT, PENALTY, RETURNED, *(s for kind in KINDS.values() for s in kind.steps)}


class Unknown(LayerSpec):
    kind = "unknown"

    def output_shape(self, shape):
        return shape


def test_a_kind_without_steps_is_said_to_be_one():
    assert not knows((Dense(2), Skip((Unknown(),))))
    with pytest.raises(InputError, match="diagnosis does not know the layer"):
        kind_of(Unknown())


# --- naming ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_right_code_has_no_bug(name):
    assert standing(observed(RIGHT, drawn(NETWORKS[name])), CATALOGUE.values()) == []


PLANTED = [
    ("skip-dropped", "skip"),
    ("skip-inner-dropped", "nested"),
    ("skip-doubled", "both"),
    ("flatten-channels-last", "both"),
    ("flatten-columns-first", "both"),
    ("conv-derivative-missing", "conv1d"),
    ("conv-bias-not-summed", "conv2d"),
    ("conv-bias-last-place", "conv1d"),
    ("conv-bias-averaged", "both"),
    ("kernel-gradient-flipped", "conv1d"),
    ("kernel-gradient-stride", "conv2d"),
    ("kernel-gradient-padding", "both"),
    ("kernel-last-place", "conv2d"),
    ("kernel-not-flipped", "conv2d"),
    ("kernel-channels-not-swapped", "conv2d"),
    ("stride-not-dilated", "conv2d"),
    ("padding-not-cropped", "conv2d"),
    ("overlap-assigned", "both"),
    ("overlap-fancy-index", "conv1d"),
    ("conv-error-not-propagated", "conv2d"),
]


@pytest.mark.parametrize(("slug", "name"), PLANTED)
def test_a_bug_of_a_layer_is_named(slug, name):
    assert names(slug, drawn(NETWORKS[name])) == {slug}


def test_every_bug_of_a_layer_is_planted():
    assert [slug for slug, _ in PLANTED] == OF_LAYERS


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        ("output-derivative-missing", "skip"),
        ("sum-for-mean", "conv1d"),
        ("hidden-derivative-missing", "both"),
        ("derivative-of-activation", "skip"),
        ("raw-error-propagated", "nested"),
        ("leaky-slope-lost", "nested"),
        ("error-not-propagated", "conv1d"),
        ("bias-not-summed", "both"),
        ("last-sample-wins", "conv2d"),
        ("penalty-sign", "conv2d"),
        ("penalty-not-on-bias", "nested"),
    ],
)
def test_the_bugs_of_dense_layers_are_named_among_others(slug, name):
    assert names(slug, drawn(NETWORKS[name])) == {slug}


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_every_bug_is_named_on_every_network_where_it_shows(name, seed):
    cases = drawn(NETWORKS[name], seed=seed)
    found = {slug: names(slug, cases) for slug in FORMULAS}
    assert all(named <= {slug, *CATALOGUE[slug].confused} for slug, named in found.items()), found
    assert all(not named or slug in named for slug, named in found.items()), found


def random_network(rng):
    """A small network with a convolution or two, of which one may stand in a skip connection."""
    axes = int(rng.integers(1, 3))
    convolution = (Conv1d, Conv2d)[axes - 1]

    def layer(channels):
        kernel, stride, padding = (rng.integers(low, high, axes) for low, high in ((1, 4), (1, 3), (0, 2)))
        activation = str(rng.choice(["tanh", "sigmoid", "softplus", "identity"]))
        return convolution(channels, tuple(kernel), tuple(stride), tuple(padding), activation)

    same = Skip((convolution(2, 3, padding=1, activation="tanh"), convolution(2, 1)))
    layers = [layer(2), same] if rng.random() < 0.5 else [layer(int(rng.integers(1, 4))), layer(2)]
    hidden = [Dense(int(rng.integers(2, 5)), "sigmoid")] if rng.random() < 0.5 else []
    shape = (int(rng.integers(1, 4)), *(int(n) for n in rng.integers(5, 8, axes)))
    return Architecture(shape, (*layers, Flatten(), *hidden, Dense(int(rng.integers(1, 4)))))


@pytest.mark.full
@pytest.mark.parametrize("seed", range(40))
def test_bugs_of_layers_are_named_on_random_networks(seed):
    rng = np.random.default_rng([seed, 14])
    cases = drawn(random_network(rng), count=3, seed=seed)
    for slug in OF_LAYERS:
        found = names(slug, cases)
        assert not found or (slug in found and found <= {slug, *CATALOGUE[slug].confused}), slug
    assert standing(observed(RIGHT, cases), CATALOGUE.values()) == []


@pytest.mark.full
def test_a_bug_shows_in_the_gradient_of_random_networks():
    """Negative control of the test above: each of these bugs changes the gradient of some of them."""
    shown = set()
    for seed in range(12):
        cases = drawn(random_network(np.random.default_rng([seed, 14])), count=1, seed=seed)
        shown |= {slug for slug in OF_LAYERS if any(o.wrong for o in observed(CATALOGUE[slug].rules, cases))}
    assert shown == set(OF_LAYERS)


SILENT = [
    ("skip-dropped", Architecture((3,), (Skip((Dense(3, "tanh"),)), Dense(2)))),
    ("skip-dropped", mlp([3, 4, 2])),
    ("stride-not-dilated", Architecture((1, 5), (Conv1d(2, 1), Conv1d(2, 3), Flatten()))),
    ("padding-not-cropped", Architecture((1, 5), (Conv1d(2, 1), Conv1d(2, 3, 2), Flatten()))),
    ("overlap-assigned", Architecture((1, 6), (Conv1d(2, 1), Conv1d(2, 3, 3, 1), Flatten()))),
    ("overlap-fancy-index", Architecture((1, 6), (Conv1d(2, 1), Conv1d(2, 3, 3, 1), Flatten()))),
    ("kernel-not-flipped", Architecture((1, 5), (Conv1d(2, 2), Conv1d(2, 1, 2, 1), Flatten()))),
    ("kernel-not-flipped", Architecture((1, 5), (Conv1d(2, 2), Flatten()))),
    ("conv-bias-not-summed", Architecture((1, 5), (Conv1d(2, 5), Flatten()))),
    ("kernel-gradient-stride", Architecture((1, 5), (Conv1d(2, 3, 1, 1), Flatten()))),
    ("kernel-gradient-padding", Architecture((1, 5), (Conv1d(2, 3, 2), Flatten()))),
    ("flatten-channels-last", Architecture((1, 5), (Conv1d(1, 3, 2), Flatten(), Dense(1)))),
]


@pytest.mark.parametrize(("slug", "architecture"), SILENT)
def test_where_a_bug_is_silent_it_gives_the_right_gradient(slug, architecture):
    assert all(not o.wrong for o in observed(CATALOGUE[slug].rules, drawn(architecture)))


def test_a_kernel_that_is_its_own_mirror_image_needs_no_flip():
    (case,) = drawn(CONV1, count=1)
    params = [{key: np.array(values) for key, values in layer.items()} for layer in case.params]
    params[1]["weight"][:] = params[1]["weight"][..., ::-1] + params[1]["weight"]
    (seen,) = observed(CATALOGUE["kernel-not-flipped"].rules, [bpcheck.Case(CONV1, params, case.x, case.y)])
    assert not seen.wrong


# --- in one layer only, and two at once ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "index", "where"),
    [
        ("skip-dropped", 0, "in skip connection 1 only"),
        ("skip-dropped", 1, "in skip connection 2 only"),
        ("hidden-derivative-missing", 1, "in layer 3 only"),
        ("raw-error-propagated", 2, "on the way down from layer 4 only"),
        ("penalty-sign", 4, "in layer 6 only"),
    ],
)
def test_a_bug_in_one_layer_of_a_network_with_skip_connections(slug, index, where):
    rules = CATALOGUE[slug].rules.only(lambda layer: layer.index == index)
    found = standing(observed(rules, drawn(NESTED)), CATALOGUE.values())
    assert slugs(found) == [(slug,)]
    assert found[0].where == where


@pytest.mark.parametrize(
    ("slug", "index", "where"),
    [
        ("conv-bias-averaged", 0, "in layer 2 only"),
        ("kernel-last-place", 1, "in layer 3 only"),
        ("bias-last-example", 2, "in layer 4 only"),
    ],
)
def test_a_bug_in_one_layer_of_a_convolutional_network(slug, index, where):
    rules = CATALOGUE[slug].rules.only(lambda layer: layer.index == index)
    found = standing(observed(rules, drawn(CONV1)), CATALOGUE.values())
    assert slugs(found) == [(slug,)]
    assert found[0].where == where


def test_two_bugs_of_two_kinds_at_once():
    pair = ("bias-not-summed", "kernel-gradient-flipped")
    rules = CATALOGUE[pair[0]].rules.with_(CATALOGUE[pair[1]].rules)
    assert slugs(standing(observed(rules, drawn(CONV1)), CATALOGUE.values())) == [pair]


# --- location ------------------------------------------------------------------------------------------------


def located(slug, architecture, rules=None):
    seen = next(o for o in observed(rules or CATALOGUE[slug].rules, drawn(architecture)) if o.wrong)
    return locate(seen.case, comparisons(seen))


@pytest.mark.parametrize(
    ("slug", "name", "equation", "layer"),
    [
        ("output-derivative-missing", "skip", "BP1", 5),
        ("hidden-derivative-missing", "skip", "BP2", 4),
        ("skip-dropped", "skip", "BP2", 2),
        ("skip-dropped", "nested", "BP2", 5),
        ("bias-not-summed", "skip", "BP3", 5),
        ("last-sample-wins", "conv1d", "BP4", 5),
        ("error-not-propagated", "conv1d", "BP2", 4),
        ("conv-derivative-missing", "conv1d", "convolution error", 3),
        ("kernel-not-flipped", "conv1d", "convolution error", 2),
        ("flatten-channels-last", "conv2d", "convolution error", 3),
        ("conv-bias-averaged", "conv2d", "convolution bias", 3),
        ("kernel-last-place", "both", "kernel gradient", 4),
        ("penalty-sign", "nested", "penalty", None),
    ],
)
def test_the_topmost_wrong_layer_and_its_step(slug, name, equation, layer):
    found = located(slug, NETWORKS[name])
    assert (found.equation, found.layer, found.bug) == (equation, layer, "")


def test_what_comes_down_to_a_wrong_layer_is_said():
    told = located("skip-dropped", SKIP).evidence
    assert "from layer 3 and past the skip connection that begins with it" in told[1]
    told = located("flatten-channels-last", CONV2).evidence
    assert told[1].endswith("from layer 4 through the flattening")
    assert located("kernel-not-flipped", CONV1).evidence[1].endswith("from layer 3")
    # a chain of dense layers needs no such sentence: BP2 says it
    chain = located("error-not-propagated", mlp([3, 4, 2])).evidence
    assert not any("comes down" in text for text in chain)


def test_where_biases_are_set_aside_delta_cannot_be_told():
    (seen,) = observed(CATALOGUE["kernel-last-place"].rules, drawn(CONV1, count=1))
    found = locate(seen.case, [c for c in comparisons(seen) if c.path != "params[1]['bias']"])
    assert (found.equation, found.layer) == ("", 3)
    assert "the biases of layer 3 were not compared" in found.evidence[0]
    without = locate(seen.case, [c for c in comparisons(seen) if not c.path.startswith("params[1]")])
    assert (without.equation, without.layer) == ("", None)


# --- patterns --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["skip", "conv1d", "both"])
def test_an_example_that_counts_twice_is_named_in_any_network(name):
    network, seen = build(NETWORKS[name]), []
    for case in drawn(NETWORKS[name]):
        right = dict(tree.leaves(network.gradient(case.params, case.x, case.y)))
        own = dict(tree.leaves(network.gradient(case.params, case.x[1:2], case.y[1:2])))
        seen.append(Observation(case, {p: v + own[p] / case.batch for p, v in right.items()}, right))
    assert pattern(seen)[0] == "one-example-wrong"
    twice = [Observation(o.case, {p: 1.5 * v for p, v in o.right.items()}, o.right) for o in seen]
    assert pattern(twice) is None


# --- the whole way -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_right_steps_agree_in_a_comparison(name):
    report = bpcheck.compare(program_of(RIGHT), architectures=NETWORKS[name], seed=0, examples=5)
    assert report.verdict is Verdict.AGREES


@pytest.mark.parametrize(
    ("slug", "name"),
    some(
        [("skip-dropped", "nested"), ("stride-not-dilated", "conv2d"), ("hidden-derivative-missing", "both")],
        default=lambda slug, name: name == "nested",
    ),
)
def test_a_comparison_names_them(slug, name):
    report = bpcheck.compare(CATALOGUE[slug].program(), architectures=NETWORKS[name], seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert [(d.equation, d.bug) for d in report.diagnoses] == [(CATALOGUE[slug].equation, slug)], str(report)
    assert EQUATIONS[CATALOGUE[slug].equation].title.split(":")[0] in str(report)


THERE = {"nested": {"batch", "outputs", "hidden", "penalty", "l2"}, "both": {"batch", "outputs", "hidden"}}
"""What a bug can be about in two of the networks."""


@pytest.mark.full
@pytest.mark.parametrize(
    ("slug", "name"),
    [(slug, name) for name in THERE for slug in CATALOGUE if CATALOGUE[slug].needs <= THERE[name]],
)
def test_a_comparison_never_misnames(slug, name):
    try:
        report = bpcheck.compare(CATALOGUE[slug].program(), architectures=NETWORKS[name], seed=0, examples=10)
    except bpcheck.SubjectError:
        return  # its shapes do not fit
    named = {d.bug for d in report.diagnoses} - {""}
    assert named <= {slug, *CATALOGUE[slug].confused}, str(report)


PROMISED_IN = {"cast-to-float32": "skip"}
PROMISES = [
    "one-entry-wrong",
    "nan-entry",
    "wrong-shape-broadcasts",
    "cast-to-float32",
    "gradient-aliases-parameter",
    "input-mutated",
    "accumulated",
    "one-example-wrong",
    "right-only-for-batch-1",
]


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        pytest.param(slug, name, marks=() if PROMISED_IN.get(slug) == name else pytest.mark.full)
        for slug in PROMISES
        for name in ("skip", "conv1d", "both")
    ],
)
def test_bugs_that_are_no_formula_are_named_in_any_network(slug, name):
    report = bpcheck.compare(CATALOGUE[slug].program(), architectures=NETWORKS[name], seed=0, examples=10)
    assert report.verdict.severity >= Verdict.DISAGREES.severity
    assert [d.bug for d in report.diagnoses] == [slug], str(report)


def test_every_entry_of_a_convolution_has_its_bug_named():
    (case,) = drawn(CONV1, count=1)

    def checked(program):
        def gradient(params, x, y):
            return program(params, x, y, CONV1)[1]

        return bpcheck.check_every_entry(CONV1, case.params, case.x, case.y, gradient=gradient, seed=0)

    assert checked(program_of(RIGHT)).ok
    report = checked(CATALOGUE["kernel-gradient-flipped"].program())
    assert [(d.equation, d.bug) for d in report.diagnoses] == [("kernel gradient", "kernel-gradient-flipped")]


@pytest.mark.parametrize(
    ("upper", "prefix"), [(True, ""), (False, "nothing wrong was found above this layer; ")]
)
def test_biases_that_were_not_compared_are_called_so_and_nothing_above_is_called_right(upper, prefix):
    found = [
        Comparison(f"params[{k}]['weight']", verdict, "as it is")
        for k, verdict in ((0, Verdict.DISAGREES), (1, Verdict.DISAGREES if upper else Verdict.INCONCLUSIVE))
    ]
    architecture = mlp([2, 3, 2])
    layers = compared(architecture, found)
    assert layers is not None
    said = by_layer(architecture, layers)
    number = 3 if upper else 2
    assert said.evidence[0] == (
        f"{prefix}the biases of layer {number} were not compared, so whether its δ is wrong cannot be told"
    )
