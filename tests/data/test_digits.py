"""The digits that come with the package are scikit-learn's, number by number."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from bpcheck.data import load_digits

TOOL = Path(__file__).parents[2] / "tools" / "make_digits.py"


@pytest.fixture(scope="module")
def digits():
    return load_digits()


@pytest.fixture(scope="module")
def original():
    from sklearn import datasets

    return datasets.load_digits()


def test_images_are_the_originals_scaled_to_the_unit_interval(digits, original):
    assert digits.images.dtype == np.float64
    np.testing.assert_array_equal(digits.images * 16, original.data)
    assert digits.images.min() == 0.0
    assert digits.images.max() == 1.0


def test_labels_are_the_originals(digits, original):
    np.testing.assert_array_equal(digits.labels, original.target)


def test_every_class_is_there_as_often_as_in_the_source(digits):
    # counts of the test part in the UCI description of the data set (optdigits.names)
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_one_hot_has_a_single_one_in_the_column_of_the_label(digits):
    assert digits.one_hot.shape == (1797, 10)
    np.testing.assert_array_equal(digits.one_hot.sum(axis=1), 1.0)
    np.testing.assert_array_equal(digits.one_hot.argmax(axis=1), digits.labels)


@pytest.mark.parametrize("name", ["images", "labels", "one_hot"])
def test_arrays_are_read_only(digits, name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(digits, name)[0] = 0


def test_the_tool_makes_the_committed_arrays_again_and_the_same_bytes_each_time(tmp_path):
    made = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for file in made:
        runpy.run_path(str(TOOL))["make"](file)
    assert made[0].read_bytes() == made[1].read_bytes()
    committed = TOOL.parents[1] / "bpcheck" / "data" / "digits.npz"
    with np.load(made[0]) as again, np.load(committed) as stored:
        assert sorted(again.files) == sorted(stored.files) == ["images", "labels"]
        for name in stored.files:
            assert stored[name].dtype == np.uint8
            np.testing.assert_array_equal(again[name], stored[name])
