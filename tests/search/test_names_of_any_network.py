"""Hand-written code for skip connections and convolutions: its bugs get the names that the catalogue has for them."""

import pytest
from builders import BUGS, make_any
from choosing import some
from test_any_network import NETWORKS

import bpcheck
from bpcheck import Verdict
from bpcheck.diagnosis import CATALOGUE

NAMES = {
    "skip-dropped": {"skip-dropped"},
    "skip-doubled": {"skip-doubled"},
    "stride-ignored": {"stride-not-dilated"},
    "padding-not-cropped": {"padding-not-cropped"},
    "kernel-flipped": {"kernel-not-flipped"},
    "channels-mixed": {""},
    "bias-of-one-position": {"conv-bias-last-place"},
    "flatten-columns-first": {"flatten-columns-first"},
}
"""What each bug of the builders is called; the catalogue has no name for one of them."""

# with one axis of places, columns first and channels last are the same order
TIED = {("flatten-columns-first", "conv1d"): {"flatten-columns-first", "flatten-channels-last"}}

SHOWN = [
    (bug, name)
    for bug in BUGS
    for name in NETWORKS
    if (bug.startswith("skip-") and "skip" in name) or (not bug.startswith("skip-") and "conv" in name)
]


def test_every_bug_has_its_name_here():
    assert set(NAMES) == set(BUGS)
    assert set().union(*NAMES.values()) - {""} <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("bug", "name"), some(SHOWN, default=lambda bug, name: (bug, name) == ("kernel-flipped", "conv1d"))
)
def test_a_bug_of_hand_written_code_has_its_name(bug, name):
    report = bpcheck.compare(make_any(bug), architectures=NETWORKS[name], seed=0, examples=30)
    assert report.verdict is Verdict.DISAGREES
    assert {d.bug for d in report.diagnoses} == TIED.get((bug, name), NAMES[bug]), str(report)


@pytest.mark.full
def test_what_has_no_name_has_its_step():
    report = bpcheck.compare(
        make_any("channels-mixed"), architectures=NETWORKS["conv1d"], seed=0, examples=30
    )
    (found,) = report.diagnoses
    assert (found.equation, found.bug) == ("kernel gradient", "")
    assert "Look at how your code computes the kernel gradient in layer 2" in " ".join(str(report).split())
