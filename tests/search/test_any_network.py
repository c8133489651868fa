"""Networks with skip connections and convolutions are sampled, shrunk, swept and reported like plain ones."""

from dataclasses import replace

import numpy as np
import pytest
from builders import BUGS, make_any
from choosing import some

import bpcheck
from bpcheck import Architecture, Case, InputError, SubjectError, Verdict, mlp, reference, tree
from bpcheck.network.layers import KINDS, Conv1d, Conv2d, Dense, Flatten, Skip
from bpcheck.search.cases.degenerate import hidden_by
from bpcheck.search.cases.experiment import experiments
from bpcheck.search.cases.layers.kinds import MOVES
from bpcheck.search.cases.passed import largest_logit
from bpcheck.search.cases.plan import planned
from bpcheck.search.cases.sample import LARGEST_LOGIT, STRATA, random_architecture, random_case
from bpcheck.search.cases.shrink import shrink

ONE = Dense(1)

SKIP = Architecture((3,), (Dense(4, "tanh"), Skip((Dense(5, "tanh"), Dense(4))), Dense(2)))
CONV1 = Architecture(
    (2, 9),
    (Conv1d(3, 3, 2, 1, "tanh"), Conv1d(2, 2, 2, 1, "sigmoid"), Flatten(), Dense(3, "tanh"), Dense(2)),
)
CONV2 = Architecture(
    (2, 6, 7),
    (Conv2d(3, 3, (2, 1), 1, "tanh"), Conv2d(2, (2, 3), 2, 1, "sigmoid"), Flatten(), Dense(2)),
)
SKIP_OF_CONV = Architecture(
    (2, 5, 4),
    (
        Conv2d(2, 3, padding=1, activation="tanh"),
        Skip((Conv2d(3, 3, padding=1, activation="tanh"), Conv2d(2, 1))),
        Conv2d(2, (2, 3), 2, 1, "relu"),
        Flatten(),
        Dense(2),
    ),
)
NETWORKS = {"skip": SKIP, "conv1d": CONV1, "conv2d": CONV2, "skip of conv2d": SKIP_OF_CONV}


def compared(bug, architecture, **options):
    return bpcheck.compare(make_any(bug), architectures=architecture, seed=0, examples=12, **options)


def drawn(architecture, kind="generic", **options):
    return random_case(np.random.default_rng(0), architecture, kind, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_right_code_agrees(name):
    report = compared(None, NETWORKS[name])
    assert report.verdict is Verdict.AGREES, str(report)


def shrunk(*layers, input_shape):
    return Architecture(input_shape, layers)


def without_activations(architecture):
    """A tanh stays where without it a wrong error would show in the weights alone: that is another failure."""

    def bare(layer):
        return Skip(tuple(map(bare, layer.layers))) if layer.inner else layer.before_activation()

    return replace(architecture, layers=tuple(map(bare, architecture.layers)))


BELOW = {2: Conv1d(1, 1), 3: Conv2d(1, 1)}
"""The layer whose gradient shows what is wrong with the error that comes down to it."""

SMALLEST = [
    ("skip-dropped", "skip", shrunk(ONE, Skip((ONE,)), input_shape=(1,))),
    ("skip-doubled", "skip", shrunk(ONE, Skip((ONE,)), input_shape=(1,))),
    (
        "skip-dropped",
        "skip of conv2d",
        shrunk(BELOW[3], Skip((Conv2d(1, 1),)), Flatten(), input_shape=(1, 1, 1)),
    ),
    ("stride-ignored", "conv1d", shrunk(BELOW[2], Conv1d(1, 1, 2), Flatten(), input_shape=(1, 3))),
    ("stride-ignored", "conv2d", shrunk(BELOW[3], Conv2d(1, 1, (1, 2)), Flatten(), input_shape=(1, 1, 3))),
    (
        "padding-not-cropped",
        "conv1d",
        shrunk(BELOW[2], Conv1d(1, 1, padding=1), Flatten(), ONE, input_shape=(1, 1)),
    ),
    (
        "padding-not-cropped",
        "conv2d",
        shrunk(BELOW[3], Conv2d(1, 1, padding=(0, 1)), Flatten(), ONE, input_shape=(1, 1, 1)),
    ),
    ("kernel-flipped", "conv1d", shrunk(BELOW[2], Conv1d(1, 2), Flatten(), input_shape=(1, 2))),
    ("channels-mixed", "conv1d", shrunk(Conv1d(1, 1), Flatten(), input_shape=(2, 1))),
    ("channels-mixed", "skip of conv2d", shrunk(Conv2d(1, 1), Flatten(), input_shape=(2, 1, 1))),
    ("bias-of-one-position", "conv2d", shrunk(Conv2d(1, 1), Flatten(), input_shape=(1, 1, 2))),
    ("flatten-columns-first", "conv1d", shrunk(Conv1d(2, 1), Flatten(), ONE, input_shape=(1, 2))),
]


@pytest.mark.parametrize(
    ("bug", "name", "smallest"),
    some(
        SMALLEST,
        default=lambda bug, name, _: (
            (bug, name) in (("skip-dropped", "skip"), ("padding-not-cropped", "conv2d"))
        ),
    ),
)
def test_a_bug_is_shrunk_to_the_smallest_network_that_fails_alike(bug, name, smallest):
    report = compared(bug, NETWORKS[name])
    case = report.counterexample
    assert report.verdict is Verdict.DISAGREES
    assert without_activations(case.architecture) == smallest, str(report)
    assert case.batch == 1
    numbers = np.concatenate([np.ravel(leaf) for _, leaf in tree.leaves(case.params)])
    assert set(numbers) <= {0.0, 1.0}


def test_every_bug_is_tried():
    assert {bug for bug, _, _ in SMALLEST} == set(BUGS)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bug", BUGS)
def test_every_bug_on_every_network(bug, name, seed):
    report = bpcheck.compare(make_any(bug), architectures=NETWORKS[name], seed=seed, examples=30)
    needed = {"skip-dropped": "skip", "skip-doubled": "skip"}.get(bug, "conv")
    assert (report.verdict is Verdict.DISAGREES) == (needed in name), str(report)
    if report.counterexample is not None:
        assert len(report.counterexample.architecture.layers) <= 4
        assert report.counterexample.batch == 1


@pytest.mark.full
@pytest.mark.parametrize(
    ("bug", "architecture"),
    [
        pytest.param("skip-dropped", SKIP, id="skip"),
        pytest.param("stride-ignored", CONV1, id="conv1d", marks=pytest.mark.full),
    ],
)
def test_code_for_one_network_keeps_its_layers(bug, architecture):
    backprop = make_any(bug)

    def fixed(params, x, y):
        assert [np.shape(leaf) for _, leaf in tree.leaves(params)] == shapes
        return backprop(params, x, y, architecture)

    shapes = [leaf.shape for _, leaf in tree.leaves(drawn(architecture).params)]
    case = bpcheck.compare(fixed, architectures=architecture, seed=0, examples=12).counterexample
    assert case.architecture.layers == architecture.layers
    assert case.batch == 1
    numbers = np.concatenate([np.ravel(leaf) for _, leaf in tree.leaves(case.params)])
    assert np.mean(numbers == 0) > 0.5


def test_a_candidate_that_the_code_takes_for_another_network_does_not_fail_alike():
    """Code of fixed activations answers for networks without a layer too, with another loss: that is no smaller case."""

    def fixed(params, x, y):
        names = ["tanh", "sigmoid", "identity"][-len(params) :]
        described = Architecture(
            x.shape[1:], tuple(Dense(len(p["bias"]), n) for p, n in zip(params, names, strict=True))
        )
        loss, gradient = make_any()(params, x, y, described)
        gradient[0]["bias"] = gradient[0]["bias"] * 1.5
        return loss, gradient

    network = Architecture((3,), (Dense(4, "tanh"), Dense(3, "sigmoid"), Dense(2)))
    report = bpcheck.compare(fixed, architectures=network, seed=0, examples=12)
    case = report.counterexample
    # from the input up layers may go: what is left has its activations; the last hidden one is never taken for the first
    assert [layer.activation for layer in case.architecture.layers] in (["identity"], ["sigmoid", "identity"])
    loss, _ = fixed(case.params, case.x, case.y)
    assert loss == pytest.approx(bpcheck.reference.build(case.architecture).loss(case.params, case.x, case.y))


def test_shrinking_without_a_loss_keeps_the_layers_that_only_their_place_tells():
    seen = []

    def fails(candidate):
        seen.append(candidate.architecture)
        return True

    shrink(drawn(CONV2), fails)
    kinds = [type(layer) for layer in CONV2.layers]
    assert all([type(layer) for layer in architecture.layers] == kinds for architecture in seen)
    assert all(
        [layer.per_axis[1:] for layer in architecture.layers[:2]]
        == [layer.per_axis[1:] for layer in CONV2.layers[:2]]
        for architecture in seen
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_what_always_fails_shrinks_to_one_number(name):
    case = shrink(drawn(NETWORKS[name]), lambda candidate: True, free=True)
    assert case.architecture == mlp([1, 1])
    assert case.batch == 1
    assert all((leaf == 0).all() for _, leaf in tree.leaves(case.params))


@pytest.mark.parametrize("name", ["skip", "conv1d"])
def test_what_never_fails_alike_stays_as_it_is(name):
    case = drawn(NETWORKS[name])
    assert shrink(case, lambda candidate: False, free=True) is case


def test_what_stays_of_the_parameters_belongs_to_what_stays_of_the_network():
    """A channel less below a Flatten: the columns of its positions go, the others stay where they belong."""
    architecture = Architecture((1, 3), (Conv1d(2, 1), Flatten(), Dense(1)))
    params = [
        {"weight": [[[2.0]], [[3.0]]], "bias": [0.0, 0.0]},
        {},
        {"weight": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], "bias": [0.0]},
    ]
    case = Case(architecture, params, [[[7.0, 8.0, 9.0]]], [[0.0]])
    plan = planned(architecture)
    assert plan.sizes == (1, 3, 2, 1, 1)
    fewer_channels = plan.resized((1, 3, 1, 1, 1)).of(case)
    assert fewer_channels.params[2]["weight"].tolist() == [[1.0, 2.0, 3.0]]
    shorter = plan.resized((1, 2, 2, 1, 1)).of(case)
    assert shorter.x.tolist() == [[[7.0, 8.0]]]
    assert shorter.params[2]["weight"].tolist() == [[1.0, 2.0, 4.0, 5.0]]
    assert plan.resized((1, 3, 2, 4, 1)).of(case) is None  # a kernel longer than the input
    longer = plan.resized((1, 3, 3, 1, 1)).of(case)
    assert longer.params[2]["weight"].tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 1.0, 1.0]]


def test_the_layers_around_a_skip_connection_keep_its_width():
    plan = planned(SKIP)
    assert plan.widths == (3, 4, 5, 4, 2)
    narrower = plan.of_widths((3, 2, 5, 4, 2)).architecture()
    assert narrower.layers == (Dense(2, "tanh"), Skip((Dense(5, "tanh"), Dense(2))), Dense(2))
    assert plan.with_hidden(0).architecture() == Architecture((3,), (Dense(2),))
    assert planned(CONV2).with_hidden(0).architecture() == Architecture((2, 6, 7), (Flatten(), Dense(2)))


@pytest.mark.parametrize("kind", STRATA)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_stratum_of_every_network(name, kind):
    architecture = NETWORKS[name]
    case = drawn(architecture, kind)
    assert case.batch == {"batch of one": 1, "equal widths": 2}.get(kind, case.batch)
    assert all((leaf != 0).all() for _, leaf in tree.leaves(case.params))
    positive = all((leaf > 0).all() for _, leaf in [*tree.leaves(case.params), (None, case.x)])
    assert positive == (kind == "pre-activations of one sign")
    if kind == "saturated":
        assert 5 < largest_logit(case) <= LARGEST_LOGIT


def test_logits_stay_where_cross_entropy_has_digits():
    layers = (Conv2d(3, 3, padding=1), Flatten(), Dense(3, "softmax"))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        for kind in STRATA:
            case = random_case(rng, Architecture((2, 6, 7), layers, loss="cross_entropy"), kind)
            assert largest_logit(case) <= LARGEST_LOGIT + 1e-9


@pytest.mark.parametrize("name", NETWORKS)
def test_a_template_keeps_its_layers_and_varies_their_sizes(name):
    template = NETWORKS[name]
    rng = np.random.default_rng(0)
    networks = [random_architecture(rng, "generic", template=template) for _ in range(10)]
    assert len(set(networks)) > 5
    for network in networks:
        assert [type(layer) for layer in network.layers] == [type(layer) for layer in template.layers]
    equal = random_architecture(rng, "equal widths", template=template)
    assert len(set(planned(equal).widths)) == 1
    assert len(set(equal.input_shape[1:])) <= 1
    assert random_architecture(rng, "one output", template=template).outputs == 1


@pytest.mark.full
def test_a_list_and_a_strategy_of_networks_of_any_kind():
    listed = bpcheck.compare(make_any(), architectures=list(NETWORKS.values()), seed=0, examples=12)
    assert listed.verdict is Verdict.AGREES
    strategy = bpcheck.strategies.architectures(
        kinds=list(KINDS),
        losses=["half_mse"],
        reductions=["mean"],
        outputs=["identity"],
        penalties=False,
        max_depth=3,
    )
    assert bpcheck.compare(make_any(), architectures=strategy, seed=0, examples=12).verdict is Verdict.AGREES
    wrong = bpcheck.compare(make_any("channels-mixed"), architectures=strategy, seed=0, examples=12)
    assert wrong.verdict is Verdict.DISAGREES
    assert sum(leaf.size for _, leaf in tree.leaves(wrong.counterexample.params)) == 3


@pytest.mark.parametrize("name", ["skip", "conv1d"])
def test_the_reproducer_runs(name):
    report = compared("skip-doubled" if name == "skip" else "bias-of-one-position", NETWORKS[name])
    printed = []
    names = {"backprop": make_any("skip-doubled" if name == "skip" else "bias-of-one-position")}
    exec(report.reproducer.replace("print(", "printed.append("), {**names, "printed": printed})
    assert printed[0].verdict is Verdict.DISAGREES
    assert printed[0].counterexample.architecture == report.counterexample.architecture


# --- sweeps and notes --------------------------------------------------------------------------------------


def only_for(condition):
    """Right code, but for a factor in the networks and batches that the condition is true of."""

    def backprop(params, x, y, architecture):
        loss, gradient = make_any()(params, x, y, architecture)
        factor = 1.5 if condition(x, architecture) else 1.0
        return loss, tree.restore(gradient, [factor * leaf for _, leaf in tree.leaves(gradient)])

    return backprop


def depth(architecture):
    return sum(bool(shapes) for shapes in architecture.parameter_shapes)


def test_networks_with_other_outputs_and_batches_tell_explanations_apart():
    case = drawn(CONV2, batch=4)
    told = [other for _, other in experiments(case, None, np.random.default_rng(0), free=False)]
    assert [other.y.shape for other in told] == [(5, 2), (4, 4), (5, 4)]
    *same, deeper = [other for _, other in experiments(case, None, np.random.default_rng(0), free=True)]
    assert len(same) == 3
    assert [type(layer) for layer in deeper.architecture.layers] == [Conv2d, Conv2d, Flatten, Dense, Dense]


HIDDEN = [
    ("no case has a hidden layer", Architecture((2, 3), (Flatten(), Dense(2)))),
    ("widths are equal", Architecture((2,), (Skip((Dense(2, "tanh"), Dense(2))), Dense(2)))),
    ("one unit", Architecture((2, 3), (Conv1d(1, 2, activation="tanh"), Flatten(), Dense(1)))),
    ("one output", Architecture((2, 5), (Conv1d(3, 2, activation="tanh"), Flatten(), Dense(1)))),
    ("activation but the identity", Architecture((2, 5), (Conv1d(3, 2), Flatten(), Dense(2)))),
    (
        "kernel has one position",
        Architecture((2, 5), (Conv1d(3, 1, 2, activation="tanh"), Flatten(), Dense(2))),
    ),
    ("has stride 1", Architecture((2, 5), (Conv1d(3, 2, padding=1, activation="tanh"), Flatten(), Dense(2)))),
    ("has padding", Architecture((2, 5), (Conv1d(3, 3, 2, activation="tanh"), Flatten(), Dense(2)))),
    ("overlap", Architecture((2, 5), (Conv1d(3, 2, 2, padding=1, activation="tanh"), Flatten(), Dense(2)))),
    ("ends at the edge", Architecture((2, 5), (Conv1d(3, 3, 2, activation="tanh"), Flatten(), Dense(2)))),
    (
        "image and kernel is square",
        Architecture((2, 5, 5), (Conv2d(3, 3, 2, activation="tanh"), Flatten(), Dense(2))),
    ),
]


@pytest.mark.parametrize(
    ("warning", "architecture"), HIDDEN, ids=[text.replace(" ", "_") for text, _ in HIDDEN]
)
def test_what_a_case_hides_is_said_of_any_network(warning, architecture):
    case = drawn(architecture)
    assert any(warning in text for text in hidden_by([case]))
    # a network that hides nothing beside it is enough
    generic = drawn(CONV2)
    assert not any(warning in text for text in hidden_by([case, generic]))
    assert hidden_by([generic]) == []


def test_what_the_callers_networks_hide_is_said_too():
    square = Architecture((2, 5, 5), (Conv2d(3, 3, 2, activation="tanh"), Flatten(), Dense(2)))
    for architectures, says in ((square, True), ([square], True), ([square, CONV2], False), (CONV2, False)):
        report = bpcheck.compare(make_any(), architectures=architectures, seed=0, examples=1)
        assert any("is square" in text for text in report.unchecked) is says


def test_every_sentence_about_convolutions_is_tried():
    texts = [text for _, architecture in HIDDEN for text in hidden_by([drawn(architecture)])]
    assert {warning for warning, _ in HIDDEN} <= {w for w, _ in HIDDEN for text in texts if w in text}
    assert len({text for text in texts if "convolution" in text or "kernel" in text}) == 6


@pytest.mark.parametrize(
    ("bug", "condition"),
    [
        ("right-only-for-batch-1", lambda x, a: len(x) > 1),
        ("right-only-for-depth-1", lambda x, a: depth(a) > 1),
    ],
)
@pytest.mark.parametrize("name", ["skip", "conv2d"])
def test_what_is_right_for_some_inputs_only_is_swept(bug, condition, name):
    from bpcheck.check.contract import Clock
    from bpcheck.search.cases.sweep import sweep
    from bpcheck.search.judging import Judge
    from bpcheck.subject import as_subject

    judge = Judge(as_subject(only_for(condition)), 1e-3, Clock.start(None))
    found = sweep(judge, drawn(NETWORKS[name]), np.random.default_rng(0))
    assert found is not None
    assert found[0] == bug
    always = Judge(as_subject(only_for(lambda x, a: True)), 1e-3, Clock.start(None))
    assert sweep(always, drawn(NETWORKS[name]), np.random.default_rng(0)) is None


# --- layouts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["skip", "conv2d"])
def test_code_that_reads_another_layout_is_told_which_one_is_spoken(name):
    def flat(params, x, y):
        return 0.0, params["W1"]

    with pytest.raises(
        SubjectError, match=r"in bpcheck's own layout, params\[k\] being the layer's"
    ) as raised:
        bpcheck.compare(flat, architectures=NETWORKS[name], seed=0)
    assert "In every other layout" not in str(raised.value)
    with pytest.raises(SubjectError, match="In every other layout that is known"):
        bpcheck.compare(lambda params, x, y: params.nothing, architectures=mlp([3, 2]), seed=0)


@pytest.mark.parametrize("name", ["skip", "conv2d"])
def test_conventions_of_dense_layers_are_refused_for_other_ones(name):
    with pytest.raises(InputError, match=r"lay out dense layers alone, and this network has (Skip|Conv2d)\("):
        bpcheck.compare(make_any(), architectures=NETWORKS[name], conventions="keras", seed=0)
    summed = bpcheck.Conventions(reduction="mean")  # about the cost alone
    report = bpcheck.compare(
        make_any(), architectures=NETWORKS[name], conventions=summed, seed=0, examples=12
    )
    assert report.verdict is Verdict.AGREES


def test_every_kind_of_layer_has_its_moves():
    assert set(MOVES) == set(KINDS.values())


def test_what_the_given_network_hides_is_said_of_it_and_not_of_the_smallest_case():
    network = Architecture((1, 4, 4), (Conv2d(2, 2, activation="tanh"), Flatten(), Dense(2)))
    right = reference.build(network)

    def half(params, x, y):
        gradient = right.gradient(params, x, y)
        gradient[0]["bias"] = gradient[0]["bias"] / 2
        return right.loss(params, x, y), gradient

    report = bpcheck.compare(half, architectures=network, seed=0, examples=30)
    assert any("in the network given, every image and kernel is square" in text for text in report.unchecked)
