"""The search leaves nothing behind, says nothing on stdout, and works wherever it is called."""

import os
import random
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from students import make

import bpcheck
from bpcheck import Verdict, mlp
from bpcheck.network.dense_chain import dense_chain

ARCHITECTURE = mlp([3, 4, 2])


def test_the_same_seed_gives_the_same_report():
    first, second = (bpcheck.compare(make("hidden-derivative-missing"), seed=11) for _ in range(2))
    assert str(first) == str(second)
    assert first.to_json() == second.to_json()
    # 30 cases: one of every stratum
    agreeing = [bpcheck.compare(make(), seed=11, examples=30) for _ in range(2)]
    assert str(agreeing[0]) == str(agreeing[1])


@pytest.mark.full
def test_a_seed_that_was_drawn_is_reported_and_reproduces():
    first = bpcheck.compare(make("bias-not-summed"))
    again = bpcheck.compare(make("bias-not-summed"), seed=first.seed)
    assert str(first) == str(again)


def test_the_reproducer_reproduces():
    backprop = make("bias-not-summed")
    report = bpcheck.compare(backprop, seed=1)
    scope = {"backprop": backprop, "bpcheck": bpcheck}
    code = report.reproducer.replace("print(", "again = (")
    exec(code, scope)
    assert scope["again"].verdict is report.verdict
    assert scope["again"].diagnoses[0].equation == "BP3"


def legacy_state():
    return repr(np.random.get_state())  # noqa: NPY002 (the global state is what must not change)


def test_nothing_is_written_printed_or_changed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    before = legacy_state(), random.getstate(), np.geterr()
    for bug in (None, "sum-for-mean"):
        bpcheck.compare(make(bug), seed=0, examples=10)
        bpcheck.compare(
            make(bug), seed=0, examples=3, architectures=bpcheck.strategies.architectures(losses=["mse"])
        )
    assert os.listdir(tmp_path) == []
    assert capfd.readouterr() == ("", "")
    assert before == (legacy_state(), random.getstate(), np.geterr())


def test_a_subject_that_sets_numpy_errors_to_ignore_does_not_change_the_caller():
    core = make()

    def backprop(params, x, y, architecture):
        np.seterr(all="ignore")
        return core(params, x, y, architecture)

    before = np.geterr()
    assert bpcheck.compare(backprop, seed=0, examples=10).ok
    assert np.geterr() == before


def test_it_works_where_numpy_is_set_to_raise_and_the_subject_keeps_that_setting():
    core, seen = make(), []

    def backprop(params, x, y, architecture):
        seen.append(np.geterr()["over"])
        with np.errstate(all="ignore"):
            return core(params, x, y, architecture)

    with np.errstate(all="raise"):
        assert bpcheck.compare(backprop, seed=0, examples=10).ok
        assert not bpcheck.compare(make("sign-flipped"), architectures=ARCHITECTURE, seed=0, examples=5).ok
        assert np.geterr()["over"] == "raise"
    assert set(seen) == {"raise"}


@settings(max_examples=2, database=None, deadline=None)
@given(seed=st.integers(0, 100))
def test_it_works_inside_given(seed):
    assert bpcheck.compare(make(), seed=seed, examples=10).ok
    strategy = bpcheck.strategies.architectures(max_depth=2, losses=["mse"])
    assert bpcheck.compare(make(), seed=seed, examples=5, architectures=strategy).ok
    assert not bpcheck.compare(make("sign-flipped"), seed=seed, examples=5).ok


def test_it_works_in_threads():
    reports = {}

    def work(index):
        reports[index] = bpcheck.compare(make(None if index % 2 else "sign-flipped"), seed=index, examples=8)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reports[i].ok for i in range(4)] == [False, True, False, True]


def test_other_threads_keep_the_random_numbers_that_they_draw_between_calls():
    """Numbers that another thread draws meanwhile are not drawn a second time afterwards.

    (During a call of the subject itself nobody can tell whose draw moved the global generator.)
    """
    between, drawn = threading.Event(), threading.Event()

    def progress(done, total):
        between.set()
        drawn.wait(10)

    worker = threading.Thread(target=lambda: bpcheck.compare(make(), seed=0, examples=3, progress=progress))
    state = np.random.get_state()  # noqa: NPY002
    worker.start()
    assert between.wait(30)
    first = np.random.rand()  # noqa: NPY002
    drawn.set()
    worker.join()
    second = np.random.rand()  # noqa: NPY002
    np.random.set_state(state)  # noqa: NPY002
    assert first != second


def test_a_subject_that_draws_global_random_numbers_leaves_the_callers_stream_alone():
    core, seen = make(), []

    def backprop(params, x, y, architecture):
        seen.append(np.random.rand())  # noqa: NPY002
        return core(params, x, y, architecture)

    before = legacy_state()
    assert bpcheck.compare(backprop, seed=0, examples=10).ok
    assert legacy_state() == before
    assert len(set(seen)) == len(seen)  # and it does get new numbers at every call


def test_architectures_may_be_one_a_list_or_a_strategy():
    for pinned in (
        ARCHITECTURE,
        [ARCHITECTURE, mlp([2, 2], loss="mse")],
        bpcheck.strategies.architectures(max_depth=2),
        bpcheck.strategies.cases(max_depth=2, max_batch=3),
    ):
        assert bpcheck.compare(make(), architectures=pinned, examples=8, seed=0).ok
        assert not bpcheck.compare(make("sign-flipped"), architectures=pinned, examples=8, seed=0).ok


def test_another_implementation_can_be_the_reference():
    assert bpcheck.compare(make(order=-1), reference=make(), seed=0, examples=10).ok
    assert not bpcheck.compare(make(), reference=make("bias-not-summed"), seed=0, examples=10).ok


def test_real_data_and_real_parameters():
    from bpcheck.data import load_digits

    digits = load_digits()
    architecture = mlp([64, 12, 10], loss="cross_entropy", activation="relu", l2=1e-3)
    params = bpcheck.reference.build(architecture).init(np.random.default_rng(0))
    case = bpcheck.Case(architecture, params, digits.images[:20], digits.one_hot[:20])
    assert bpcheck.compare(make(), cases=[case], seed=0).ok
    report = bpcheck.compare(make("derivative-of-activation"), cases=[case], seed=0)
    assert report.ok  # ReLU' of a and of z are the same: this bug is silent here
    report = bpcheck.compare(make("hidden-derivative-missing"), cases=[case], seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert sum(dense_chain(report.counterexample.architecture).widths) <= 8
    assert "hidden-derivative-missing" in [d.bug for d in report.diagnoses]


def test_progress_goes_to_a_function():
    seen = []
    bpcheck.compare(make(), seed=0, examples=10, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (10, 10)


def test_a_time_limit_ends_a_slow_search_honestly():
    import time

    core = make()

    def slow(params, x, y, architecture):
        time.sleep(0.05)
        return core(params, x, y, architecture)

    report = bpcheck.compare(slow, seed=0, time_limit=0.5)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "time limit" in report.summary


@pytest.mark.parametrize("examples", [1, 5])
def test_few_examples_say_what_they_do_not_visit(examples):
    report = bpcheck.compare(make(), seed=0, examples=examples)
    assert any("do not visit all kinds" in sentence for sentence in report.unchecked)


def test_an_unreachable_resolution_is_inconclusive():
    report = bpcheck.compare(make(), architectures=ARCHITECTURE, seed=0, resolution=1e-15, examples=5)
    assert report.verdict is Verdict.INCONCLUSIVE
    with pytest.raises(bpcheck.GradientInconclusive):
        report.raise_for_disagreement()
