"""The kinds of layers as pure data, one a file; :mod:`bpcheck.layers` is their public name."""

from bpcheck.network.layers.convolution import Conv1d, Conv2d
from bpcheck.network.layers.dense import Dense
from bpcheck.network.layers.flatten import Flatten
from bpcheck.network.layers.kinds import KINDS
from bpcheck.network.layers.skip import Skip
from bpcheck.network.layers.spec import LayerSpec

__all__ = ["KINDS", "Conv1d", "Conv2d", "Dense", "Flatten", "LayerSpec", "Skip"]
