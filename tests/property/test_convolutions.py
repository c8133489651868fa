"""On networks with convolutions all witnesses agree: on the loss and on every gradient entry.

None of them shares a line of the convolution with another, and a planted fault in any one breaks the agreement.
"""

import numpy as np
import pytest
from choosing import product

from bpcheck import Verdict, certified, numeric, reference, symbolic, tree
from bpcheck.certified.exact import is_rational
from bpcheck.certified.layers import affine
from bpcheck.certified.layers import convolution as certified_convolution
from bpcheck.check import witness
from bpcheck.check.agreement import agree
from bpcheck.network.architecture import Architecture
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, Skip
from bpcheck.reference.layers import convolution as reference_convolution
from bpcheck.result import Testimony
from bpcheck.strategies.values import case_from_seed
from bpcheck.symbolic import oracle
from bpcheck.symbolic.layers.convolution import ConvolutionFormula

NETWORKS = {
    "one axis": Architecture(
        (2, 6), (Conv1d(2, 3, stride=2, padding=1, activation="tanh"), Flatten(), Dense(2)), "mse"
    ),
    "pixels that nobody sees, windows of the border alone": Architecture(
        (1, 6), (Conv1d(2, 2, stride=4, padding=2, activation="softplus"), Conv1d(1, 1), Flatten())
    ),
    "nothing is square": Architecture(
        (2, 4, 3),
        (
            Conv2d(2, (3, 2), stride=(2, 1), padding=(1, 0), activation="relu"),
            Flatten(),
            Dense(2, "identity"),
        ),
        l2=0.5,
    ),
    "two in a row": Architecture(
        (1, 3, 4),
        (
            Conv2d(2, 2, padding=1, activation="leaky_relu"),
            Conv2d(2, (2, 3), stride=2, padding=1),
            Flatten(),
            Dense(1),
        ),
        l2=0.25,
        penalize_bias=True,
    ),
    "around them a skip connection": Architecture(
        (2, 2, 3),
        (
            Skip((Conv2d(1, 3, padding=1, activation="leaky_relu"), Conv2d(2, (3, 1), padding=(1, 0)))),
            Flatten(),
        ),
        reduction="sum",
    ),
    "classes": Architecture(
        (1, 3, 3), (Conv2d(2, 2, activation="silu"), Flatten(), Dense(2, "softmax")), "cross_entropy", l1=0.25
    ),
}

BATCHES = (1, 3)


def by_definition(case):
    """The complex step through a forward pass of plain loops, for every parameter."""
    loops = {
        "relu": lambda z: z * (z.real > 0),
        "leaky_relu": lambda z: np.where(z.real > 0, z, 0.01 * z),
        "identity": lambda z: z,
    }

    def convolved(spec, params, x):
        kernel, stride, padding = spec.per_axis
        padded = np.pad(x, [(0, 0), *((n, n) for n in padding)])
        z = np.zeros(spec.output_shape(x.shape), dtype=complex)
        for o, *p in np.ndindex(z.shape):
            window = tuple(slice(s * i, s * i + k) for s, i, k in zip(stride, p, kernel, strict=True))
            z[(o, *p)] = (params["weight"][o] * padded[(slice(None), *window)]).sum() + params["bias"][o]
        return z

    def cost(params):
        total = 0.0
        for a, y in zip(case.x, case.y, strict=True):
            for spec, own in zip(case.architecture.layers, params, strict=True):
                if isinstance(spec, Flatten):
                    a = a.reshape(-1)
                    continue
                dense = isinstance(spec, Dense)
                z = own["weight"] @ a + own["bias"] if dense else convolved(spec, own, a)
                a = loops[spec.activation](z)
            total += ((a - y) ** 2).sum() / 2 / case.batch
        penalty = case.architecture.l2 / 2
        return total + sum(
            penalty * (leaf**2).sum()
            for path, leaf in tree.leaves(params)
            if "weight" in str(path) or case.architecture.penalize_bias
        )

    step = 1e-30
    params = tree.restore(case.params, [leaf.astype(complex) for _, leaf in tree.leaves(case.params)])
    gradient, error = {}, {}
    for path, leaf in tree.leaves(params):
        found = np.zeros(leaf.shape)
        for index in np.ndindex(leaf.shape):
            leaf[index] += step * 1j
            found[index] = cost(params).imag / step
            leaf[index] = leaf[index].real
        gradient[path] = found
        error[path] = np.full(found.shape, 1e-12 * max(1.0, abs(found).max()))
    loss = float(cost(params).real)
    return Testimony("loops", loss, 1e-12 * max(1.0, abs(loss)), gradient, error)


def perturbed(case):
    network = reference.build(case.architecture)
    return numeric.complex_step(
        lambda params: network.cost(params, case.x, case.y), case.params, rng=np.random.default_rng(0)
    )


def disagrees(first, second):
    return Verdict.worst(c.verdict for c in agree(first, second)) is Verdict.DISAGREES


@pytest.mark.parametrize(("batch", "network"), product(BATCHES, NETWORKS.values()))
def test_all_witnesses_agree(network, batch):
    case = case_from_seed(network, batch, 5)
    said = [witness.testify(case), perturbed(case), symbolic.testify(case), certified.testify(case)]
    for i, first in enumerate(said):
        for second in said[:i]:
            assert all(c.verdict.ok for c in agree(first, second)), (first.witness, second.witness)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_the_two_routes_of_the_certified_witness_agree(network, batch):
    case = case_from_seed(network, batch, 6)
    count = sum(leaf.size for _, leaf in tree.leaves(case.params))
    assert certified.confirm(case) == certified.Confirmation(count)


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if is_rational(network)])
def test_the_fractions_round_to_what_the_balls_say(name):
    case = case_from_seed(NETWORKS[name], 3, 7)
    exact, said = certified.exact(case), certified.testify(case)
    assert float(exact.loss) == said.loss
    for path, fractions in exact.gradient.items():
        assert [float(fraction) for fraction in fractions.flat] == said.gradient[path].ravel().tolist()


def test_which_have_fractions():
    rational = {name for name, network in NETWORKS.items() if is_rational(network)}
    assert rational == {"nothing is square", "two in a row", "around them a skip connection"}


@pytest.mark.parametrize("name", ["nothing is square", "two in a row"])
def test_all_witnesses_agree_with_plain_loops(name):
    case = case_from_seed(NETWORKS[name], 3, 8)
    loops = by_definition(case)
    for said in (witness.testify(case), symbolic.testify(case), certified.testify(case)):
        assert all(c.verdict.ok for c in agree(loops, said)), said.witness


# --- negative controls ---------------------------------------------------------------------------

CASE = case_from_seed(NETWORKS["two in a row"], 3, 9)


def overwritten(windows, seen, numbers, count):
    """Windows that overlap overwrite one another instead of adding up."""
    entries = certified_convolution._entries(windows).reshape(-1, *seen.shape)
    pixels = np.zeros((len(entries), count + 1), dtype=object)
    for place, pixel in np.ndenumerate(seen):
        pixels[:, pixel] = entries[(slice(None), *place)]
    return certified_convolution._matrix(numbers, pixels[:, :count], rows=len(entries))


PULLBACK_FAULTS = {
    "the padding is not cropped": lambda right: (
        lambda windows, seen, numbers, count: right(windows, np.minimum(seen, count - 1), numbers, count)
    ),
    "windows overwrite one another": lambda right: overwritten,
    "the kernel is flipped": lambda right: (
        lambda windows, seen, numbers, count: right(windows, seen[:, ::-1], numbers, count)
    ),
    "the last window is left out": lambda right: (
        lambda windows, seen, numbers, count: right(
            windows, np.vstack([seen[:-1], np.full_like(seen[-1:], count)]), numbers, count
        )
    ),
}


class TestPlantedFaults:
    def caught(self):
        others = witness.testify(CASE), symbolic.testify(CASE)
        assert not disagrees(*others)
        said = certified.testify(CASE)
        return all(disagrees(said, other) for other in others) and bool(certified.confirm(CASE).contradicted)

    def test_without_a_fault_nothing_is_caught(self):
        assert not self.caught()
        assert certified.confirm(CASE).ok

    @pytest.mark.parametrize("fault", PULLBACK_FAULTS)
    def test_in_the_certified_pullback_to_the_input(self, fault, monkeypatch):
        wrong = PULLBACK_FAULTS[fault](certified_convolution._pixels)
        monkeypatch.setattr(certified_convolution, "_pixels", wrong)
        assert self.caught()

    @pytest.mark.parametrize("equation", ["_weight_gradient", "_bias_gradient"])
    def test_in_the_certified_gradients_of_the_parameters(self, equation, monkeypatch):
        """The first window is left out."""
        right = getattr(affine, equation)

        def wrong(numbers, delta, rows):
            rows = numbers.matrix(
                rows.nrows(), rows.ncols(), [0] * rows.ncols() + rows.entries()[rows.ncols() :]
            )
            return right(numbers, delta, rows)

        monkeypatch.setattr(affine, equation, wrong)
        assert self.caught()

    def test_in_the_certified_forward_pass(self, monkeypatch):
        """It is consistent with itself: the kernel is flipped on the way up and on the way down."""
        right = certified_convolution._pixels_of_windows
        monkeypatch.setattr(certified_convolution, "_pixels_of_windows", lambda *of: right(*of)[:, ::-1])
        assert self.caught()

    def test_in_the_second_route(self, monkeypatch):
        right = certified_convolution.ConvolutionLayer.part
        monkeypatch.setattr(
            certified_convolution.ConvolutionLayer,
            "part",
            lambda self, params, x, unit: right(self, params, x[..., ::-1], unit),
        )
        assert certified.confirm(CASE).contradicted

    def test_in_the_formula(self, monkeypatch):
        right = ConvolutionFormula._place
        monkeypatch.setattr(
            ConvolutionFormula, "_place", lambda self, p, q: [i + 1 for i in right(self, p, q)]
        )
        oracle._compiled.cache_clear()
        try:
            faulty = symbolic.testify(CASE)
        finally:
            monkeypatch.undo()
            oracle._compiled.cache_clear()
        assert disagrees(faulty, certified.testify(CASE))
        assert disagrees(faulty, witness.testify(CASE))

    def test_in_the_reference(self, monkeypatch):
        """Of the kernel that lies on the errors, the places are not turned around."""
        right = reference_convolution.error_below
        monkeypatch.setattr(
            reference_convolution, "error_below", lambda weight, *of: right(weight[:, :, ::-1, ::-1], *of)
        )
        faulty = witness.testify(CASE)
        assert disagrees(faulty, certified.testify(CASE))
        assert disagrees(faulty, symbolic.testify(CASE))
