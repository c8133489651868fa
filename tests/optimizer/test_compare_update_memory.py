"""What an optimiser keeps, where, and for how long; and mistakes that only some gradients show."""

import numpy as np
import pytest
from choosing import some

import bpcheck
from bpcheck import Verdict
from bpcheck.reference.optimizer import SGD, Adam

RULE = Adam(lr=0.01)
PARAMS = {"W1": np.zeros(3), "b2": np.zeros(3)}  # two of one shape
SHARED = {"t": 0}


class Mine:
    """A right Adam; the mistakes below each change one method."""

    def __init__(self):
        self.kept, self.t = {}, 0

    def count(self):
        self.t += 1
        return self.t

    def key(self, name, value):
        return name

    def seen(self, name, g):
        return g

    def rate(self, t):
        return 0.01

    def update(self, params, grads):
        t = self.count()
        for name, value in params.items():
            g = self.seen(name, grads[name])
            m, v = self.kept.get(self.key(name, value), (0.0, 0.0))
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + (1 - 0.999) * g * g
            self.kept[self.key(name, value)] = m, v
            params[name] = value - self.rate(t) * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


class KeptByShape(Mine):
    def key(self, name, value):
        return value.shape


class CountedTogether(Mine):
    def count(self):
        SHARED["t"] += 1
        return SHARED["t"]


class ClippedAtAThousand(Mine):
    def seen(self, name, g):
        return np.clip(g, -1e3, 1e3)


class TinyIsNothing(Mine):
    def seen(self, name, g):
        return np.where(abs(g) < 1e-8, 0.0, g)


class InFloat32(Mine):
    def seen(self, name, g):
        return g.astype(np.float32).astype(float)


class SlowerLater(Mine):
    def rate(self, t):
        return 0.01 if t <= 100 else 0.001


class OtherBiases(Mine):
    def seen(self, name, g):
        return 2 * g if name == "b2" else g


def test_the_right_one_agrees():
    assert bpcheck.compare_update(Mine, rule=RULE, params=PARAMS, seed=1).verdict is Verdict.AGREES


@pytest.mark.parametrize(
    "mistake",
    some(
        [
            KeptByShape,
            CountedTogether,
            ClippedAtAThousand,
            TinyIsNothing,
            InFloat32,
            SlowerLater,
            OtherBiases,
        ],
        default=lambda mistake: mistake in (KeptByShape, TinyIsNothing),
    ),
)
def test_a_mistake_that_some_gradients_show_is_seen(mistake):
    report = bpcheck.compare_update(mistake, rule=RULE, params=PARAMS, seed=1)
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert report.diagnoses[0].bug == "", str(report)


def test_keeping_the_gradients_own_array_is_noted():
    class Keeps:
        def __init__(self):
            self.before = None

        def update(self, params, grads):
            for name in params:
                old = 0.0 if self.before is None else self.before[name]
                params[name] = params[name] - 0.1 * (grads[name] + 0.0 * old)
            self.before = grads

    assert bpcheck.compare_update(Keeps, rule=SGD(lr=0.1), params=PARAMS, seed=1).verdict is Verdict.AGREES

    class Uses(Keeps):
        def update(self, params, grads):
            before = self.before
            self.before = grads
            for name in params:
                params[name] = params[name] - 0.1 * (grads[name] if before is None else before[name])

    report = bpcheck.compare_update(Uses, rule=SGD(lr=0.1), params=PARAMS, seed=1)
    assert report.verdict is Verdict.DISAGREES


def test_the_gradient_may_come_first_and_the_state_may_be_left_out():
    def gradient_first(grads, params):
        return [p - 0.1 * g for p, g in zip(params, grads, strict=True)]

    def with_default(params, grads, state=None):
        return [p - 0.1 * g for p, g in zip(params, grads, strict=True)], state

    for step in (gradient_first, with_default):
        assert bpcheck.compare_update(step, rule=SGD(lr=0.1), seed=1).verdict is Verdict.AGREES


def test_a_number_returned_beside_a_change_in_place_is_no_parameter():
    def step(params, grads):
        for name in params:
            params[name] -= 0.1 * grads[name]
        return 3.5

    assert bpcheck.compare_update(step, rule=SGD(lr=0.1), seed=1).verdict is Verdict.AGREES


def test_coarser_parameters_are_a_wrong_structure():
    def step(params, grads, state):
        return [(p - 0.1 * g).astype(np.float32) for p, g in zip(params, grads, strict=True)], state

    assert bpcheck.compare_update(step, rule=SGD(lr=0.1), seed=1).verdict is Verdict.WRONG_STRUCTURE


def test_a_rate_of_a_tenth_is_a_rate_and_no_batch_of_ten():
    report = bpcheck.compare_update(
        lambda p, g, s: ([w - 0.01 * d for w, d in zip(p, g, strict=True)], s), rule=SGD(lr=0.1), seed=1
    )
    assert report.diagnoses[0].bug == ""
    assert "0.1 times" in report.diagnoses[0].hint
