"""The parts of numeric/locate: directions that hide nothing, short ladders that are honest, moments, formulas."""

import math

import numpy as np
import pytest

from bpcheck.numeric import Central
from bpcheck.numeric.locate import Block, Prober, Search, SpentError
from bpcheck.numeric.locate import peel as peel_module
from bpcheck.numeric.locate.blocks import CHUNK, blocks, dot, norm
from bpcheck.numeric.locate.decode import Found, Part, decode, halves
from bpcheck.numeric.locate.direction import LEAST, SPAN, draw, typical
from bpcheck.numeric.locate.fault import Sight
from bpcheck.numeric.locate.hypotheses import explanations
from bpcheck.numeric.locate.rungs import one_rung, pair_error, three_rungs
from bpcheck.tree import Path

U = 2.0**-53
W = Path("w")
WHOLE = (slice(None), slice(None))


def seeds(number=0):
    return np.random.SeedSequence(number)


def problem(claimed, theta, f, **options):
    block = Block(W, theta, claimed, U, None, seeds(options.pop("seed", 0)))
    prober = Prober({W: theta}, lambda arrays: float(f(arrays[W])), center=float(f(theta)), **options)
    return prober, block


def quadratic(shape=(7, 11), seed=0):
    """½ Σ c w² and more, its parameters and gradient."""
    rng = np.random.default_rng(seed)
    c, theta = np.array(rng.uniform(1.0, 2.0, shape)), np.array(rng.standard_normal(shape))
    return theta, c * np.cos(theta), lambda w: float(np.sum(c * np.sin(w)))


# --- blocks and directions -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, CHUNK + 1), (2, 3, CHUNK // 2), (CHUNK + 7,)])
def test_blocks_cover_every_entry_once_in_small_pieces(shape):
    seen = np.zeros(shape, np.int8)
    for piece in blocks(shape):
        assert seen[piece].size <= CHUNK
        seen[piece] += 1
    assert (seen == 1).all()


def test_sums_over_blocks_keep_their_digits():
    x = np.random.default_rng(0).standard_normal((3, CHUNK))
    assert dot(x, x) == pytest.approx(math.fsum((x * x).ravel()), rel=1e-14)
    assert norm(x) == pytest.approx(math.sqrt(dot(x, x)), rel=1e-15)


def test_a_direction_moves_every_entry_by_at_least_half():
    claim = np.random.default_rng(0).standard_normal(10**5) ** 3
    v = draw(claim, typical(claim), seeds()) / np.clip(typical(claim) / abs(claim), 1 / SPAN, SPAN)
    assert abs(v).min() >= LEAST * (1 - 1e-6)
    assert abs(v).max() <= LEAST + 1 + 1e-6
    assert abs(np.mean(v)) < 0.02
    # density of |r| uniform: the stated bound on several errors needs it
    assert np.histogram(abs(v), 10, (0.5, 1.5))[0] == pytest.approx(10**4, rel=0.05)


def test_two_equal_errors_do_not_cancel_more_often_than_stated():
    tau, count = 0.05, 0
    for seed in range(2000):
        count += abs(float(draw(np.ones(2), 1.0, seeds(seed)).sum())) <= tau
    # of signs alone half of the pairs would be 0
    assert 0 < count <= 2000 * tau + 3 * math.sqrt(2000 * tau)
    assert Sight(1.0, 1.0, 1).several(0.05) == 2.0 / 0.05


def test_directions_are_the_same_for_the_same_seed_and_leave_out_what_is_not_finite():
    claim = np.array([1.0, np.nan, 0.0, np.inf])
    first, again, other = (draw(claim, 1.0, seeds(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first[1] == first[3] == 0.0
    assert abs(first[2]) >= LEAST * SPAN * (1 - 1e-6)  # a claimed 0 moves, and more than others


# --- short ladders -------------------------------------------------------------------------------

FUNCTIONS = {
    "exp": (np.exp, 1.0),
    "sin": (lambda t: np.sin(3 * t + 0.4), 3 * math.cos(0.4)),
    "log": (lambda t: np.log(2 + t), 0.5),
    "rational": (lambda t: 1 / (1 + t), -1.0),
}


@pytest.mark.parametrize(("f", "truth"), FUNCTIONS.values(), ids=FUNCTIONS.keys())
@pytest.mark.parametrize("step", [0.29, 0.05, 1e-3, 1e-5])
def test_three_rungs_enclose_the_derivative(f, truth, step):
    rungs = three_rungs(f, step, noise=2e-16, roundoff=U)
    assert abs(rungs.estimate.value - truth) <= rungs.estimate.error
    assert rungs.estimate.evaluations == 6


def test_the_step_for_the_next_direction_narrows_the_bar():
    step, bars = 0.29, []
    for _ in range(6):
        rungs = three_rungs(np.exp, step, noise=2e-16, roundoff=U)
        step = rungs.next_step
        bars.append(rungs.estimate.error)
    assert bars[-1] < 1e-11 < bars[0]


@pytest.mark.parametrize("distance", [1e-2, 3e-3, 1e-3])
def test_a_kink_among_the_rungs_widens_the_bar(distance):
    rungs = three_rungs(lambda t: math.exp(t) + max(t - distance, 0.0), 0.02, noise=2e-16, roundoff=U)
    assert abs(rungs.estimate.value - 1.0) <= rungs.estimate.error


def test_a_pair_has_the_error_that_was_foretold_and_a_hole_has_none():
    curvature = three_rungs(np.exp, 0.01, noise=2e-16, roundoff=U).curvature
    assert curvature == pytest.approx(1 / 6, rel=0.1)
    estimate = one_rung(np.exp, curvature, noise=2e-16, roundoff=U)
    assert abs(estimate.value - 1.0) <= estimate.error <= 1.5 * pair_error(curvature, 2e-16)
    assert three_rungs(lambda t: math.nan, 0.1, noise=1e-16, roundoff=U).estimate.error == math.inf
    assert one_rung(lambda t: math.inf, 1.0, noise=1e-16, roundoff=U).error == math.inf


def test_short_ladders_cover_what_a_full_one_says():
    theta, gradient, f = quadratic()
    prober, block = problem(gradient, theta, f)
    prober.measure_noise(block)
    for _ in range(30):
        probe = prober.probe(block, block.new_family())
        assert not probe.seen
        assert probe.bar < 1e-9
    assert prober.evaluations < 30 * 7 + 60


# --- moments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40,), (7, 11), (3, 4, 5), (1, 6), (6, 1), ()])
@pytest.mark.parametrize("corner", ["first", "last", "inside"])
def test_moments_find_one_error(shape, corner):
    theta, gradient, f = quadratic(shape)
    at = {
        "first": (0,) * len(shape),
        "last": tuple(n - 1 for n in shape),
        "inside": tuple(n // 2 for n in shape),
    }[corner]
    claimed = np.array(gradient)
    claimed[at] += 0.01
    prober, block = problem(claimed, theta, f)
    prober.measure_noise(block)
    assert decode(prober, block, Part(prober.probe(block, block.new_family()))).index == at


def test_moments_find_the_row_of_a_wrong_row_and_nothing_of_two():
    theta, gradient, f = quadratic((20, 30))
    claimed = gradient.copy()
    claimed[13] *= 1.5
    prober, block = problem(claimed, theta, f)
    prober.measure_noise(block)
    assert decode(prober, block, Part(prober.probe(block, block.new_family()))).index == (13, None)
    claimed[2] *= 0.5
    prober, block = problem(claimed, theta, f)
    prober.measure_noise(block)
    assert decode(prober, block, Part(prober.probe(block, block.new_family()))).index == (None, None)


def test_a_faint_error_is_followed_by_many_ramps():
    rng = np.random.default_rng(3)
    theta, gradient, f = quadratic((60, 50))
    claimed = gradient.copy()
    claimed[41, 7] += 3000.0
    prober, block = problem(claimed, theta, lambda w: f(w) + 2e-2 * rng.standard_normal(), noise=2e-2)
    probe = prober.probe(block, block.new_family(), full=True)
    assert probe.seen
    assert abs(probe.value) < 60 * probe.bar  # too few bars for one ramp to tell 60 rows apart
    assert decode(prober, block, Part(probe)).index == (41, 7)


def test_halves_add_up_to_the_whole():
    theta, gradient, f = quadratic((16, 16))
    claimed = gradient * (1 + 0.1 * np.random.default_rng(1).standard_normal((16, 16)))
    prober, block = problem(claimed, theta, f)
    prober.measure_noise(block)
    whole = Part(prober.probe(block, block.new_family()))
    decode(prober, block, whole)  # measures the moments
    first, second = halves(prober, block, whole, np.random.default_rng(0))
    for half in (first, second):
        fresh = prober.probe(block, half.probe.family, half.probe.weights)
        assert abs(fresh.value - half.probe.value) <= fresh.bar + half.probe.bar
        for moment in half.moments.values():
            again = prober.probe(block, moment.family, moment.weights)
            assert abs(again.value - moment.value) <= again.bar + moment.bar
    assert first.probe.value + second.probe.value == pytest.approx(whole.probe.value, rel=1e-9)


# --- formulas ------------------------------------------------------------------------------------


def explained(claimed, shape=(6, 6), others=None):
    theta, gradient, f = quadratic(shape)
    prober, block = problem(claimed(gradient, theta), theta, f)
    prober.measure_noise(block)
    probes = [prober.probe(block, block.new_family()) for _ in range(3)]
    return explanations(block, WHOLE, probes, others(gradient) if others else {}), gradient


FORMULAS = {
    "scaled": lambda g, w: -3 * g,
    "transposed": lambda g, w: g.T,
    "flipped along axis 0": lambda g, w: g[::-1],
    "flipped along axis 1": lambda g, w: g[:, ::-1],
    "rotated by 180°": lambda g, w: g[::-1, ::-1],
    "shifted by 1 along axis 0": lambda g, w: np.roll(g, 1, 0),
    "shifted by -1 along axis 1": lambda g, w: np.roll(g, -1, 1),
    "off by a multiple of the parameters": lambda g, w: g + 0.01 * w,
    "off by a multiple of the signs of the parameters": lambda g, w: g - 0.01 * np.sign(w),
    "off by a constant": lambda g, w: g + 0.5,
    "transposed, scaled": lambda g, w: 2 * g.T,
}


@pytest.mark.parametrize(("name", "claimed"), FORMULAS.items(), ids=FORMULAS.keys())
def test_formulas_are_told_from_stored_probes_and_give_the_right_gradient(name, claimed):
    found, gradient = explained(claimed)
    assert found[0].hypothesis == name
    assert found[0].accident < 1e-6
    np.testing.assert_allclose(found[0].values, gradient, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "claimed"),
    {
        "transposed and reshaped": lambda g, w: np.ascontiguousarray(g.T).reshape(g.shape),
        "reshaped in the other order": lambda g, w: g.reshape(-1, order="F").reshape(g.shape),
    }.items(),
)
def test_wrong_orders_of_a_rectangle(name, claimed):
    found, gradient = explained(claimed, (4, 9))
    assert name in {explanation.hypothesis for explanation in found}
    np.testing.assert_allclose(found[0].values, gradient)


def test_the_gradient_of_another_tensor_is_recognised():
    found, _ = explained(lambda g, w: np.cos(w), others=lambda g: {Path("b"): g.T, Path("c"): g[:2]})
    assert found[0].hypothesis == "that of b, transposed"


@pytest.mark.parametrize("shape", [(6, 6), (4, 9)])
def test_no_formula_fits_a_random_error(shape):
    rng = np.random.default_rng(5)
    assert explained(lambda g, w: g + 0.1 * rng.standard_normal(g.shape), shape)[0] == []


def test_no_formula_is_believed_where_the_gradient_is_zero():
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((5, 5))
    prober, block = problem(rng.standard_normal((5, 5)), theta, lambda w: 1.0 + 0.0 * w.sum())
    prober.measure_noise(block)
    probes = [prober.probe(block, block.new_family()) for _ in range(3)]
    assert all(probe.seen for probe in probes)
    assert explanations(block, WHOLE, probes, {}) == []


# --- the search ----------------------------------------------------------------------------------


def test_a_wrong_decoding_is_not_believed(monkeypatch):
    """Negative control of the confirmation: every decoding names an entry that is right."""
    theta, gradient, f = quadratic((12, 12))
    claimed = gradient.copy()
    claimed[3, 4] *= 1.1
    monkeypatch.setattr(peel_module, "decode", lambda prober, block, part: Found((7, 7), part.probe))
    prober, block = problem(claimed, theta, f)
    search = Search(prober, [block], np.random.default_rng(0))
    search.run()
    assert all(fault.index != (7, 7) for fault in search.faults)


def test_an_entry_at_a_kink_may_have_any_slope_between():
    theta = np.zeros(3)
    prober, block = problem(np.array([0.3, -1.0, 1.0]), theta, lambda w: float(np.sum(abs(w))))
    prober.measure_noise(block)
    assert not any(prober.entry(block, (k,)).wrong for k in range(3))
    prober, block = problem(np.array([1.7, 0.0, 0.0]), theta, lambda w: float(np.sum(abs(w))))
    prober.measure_noise(block)
    assert prober.entry(block, (0,)).wrong


@pytest.mark.parametrize(("jump", "excused"), [(1e-3, False), (1.0, True)])
def test_a_kink_excuses_what_its_jump_explains(jump, excused):
    theta = np.array([0.0, 1.0, -2.0, 0.5])
    claimed = np.array([1.0, 2.0, 3.0, 4.0]) + 0.5
    prober, block = problem(
        claimed, theta, lambda w: w @ np.array([1.0, 2.0, 3.0, 4.0]) + jump * abs(w[0]) / 2.0
    )
    prober.measure_noise(block)
    assert prober.is_kinked(block, (None,)) is excused


def test_kinks_that_cancel_along_one_direction_do_not_along_four():
    # along a single one 12 of these 200 do
    found = []
    for seed in range(200):
        r = np.random.default_rng(seed).standard_normal(16)
        prober, block = problem(r, np.zeros(16), lambda w, r=r: r @ np.maximum(w, 0.0), seed=seed)
        prober.noise = U
        found.append(prober.is_kinked(block, (None,)))
    assert all(found)


def test_one_entry_agrees_with_the_full_ladder():
    theta, gradient, f = quadratic((3, 3))
    prober, block = problem(2 * gradient, theta, f)
    prober.measure_noise(block)
    for index in np.ndindex(3, 3):
        entry = prober.entry(block, index)

        def phi(t, index=index):
            moved = theta.copy()
            moved[index] += t
            return f(moved)

        truth = Central()(phi)
        assert abs(entry.value - truth.value) <= entry.bar + truth.error
        assert abs(entry.value - gradient[index]) <= entry.bar
        assert entry.wrong


def test_the_budget_is_kept_to_the_last_evaluation():
    theta, gradient, f = quadratic()
    calls = []
    prober, block = problem(gradient, theta, lambda w: calls.append(1) or f(w), most=50)
    calls.clear()
    with pytest.raises(SpentError):
        Search(prober, [block], np.random.default_rng(0)).run()
    assert len(calls) == prober.evaluations == 50


def test_only_the_tensor_that_is_looked_at_is_copied():
    a, b = Path("a"), Path("b")
    theta = {a: np.arange(6.0), b: np.ones((2, 3))}
    seen = []

    def evaluate(arrays):
        seen.append({path: arrays[path] is theta[path] for path in theta})
        assert not any(array.flags.writeable for path, array in arrays.items() if array is not theta[path])
        return float(np.sum(np.sin(arrays[a])) + np.sum(arrays[b] ** 2))

    prober = Prober(theta, evaluate, center=evaluate(theta))
    tensors = [
        Block(p, theta[p], g, U, None, seeds(k))
        for k, (p, g) in enumerate({a: np.cos(theta[a]), b: 2 * theta[b]}.items())
    ]
    Search(prober, tensors, np.random.default_rng(0)).run()
    assert all(sum(kept.values()) == 1 for kept in seen[1:])


def test_float32_steps_are_the_ones_really_made():
    theta = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    c = np.random.default_rng(1).standard_normal((8, 8))
    # a loss that is linear and computed in float64: along the steps really made it has no error but its own
    prober, block = problem(c, theta, lambda w: 1.0 + float(np.sum(c * w.astype(float))))
    prober.measure_noise(block)
    line = prober._line(block, WHOLE, block.direction(block.new_family()))
    assert abs((line.psi(0.1) - line.psi(-0.1)) / 0.2) < 1e-13
    assert abs((line.phi(0.1) - line.phi(-0.1)) / 0.2 - line.claimed * line.scale) > 1e-9
