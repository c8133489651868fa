"""A network in the manner of Nielsen's book: column vectors, one example at a time, biases first.

    python examples/nielsen_style.py

Its ``backprop`` returns the pair (gradient of the biases, gradient of the weights) and no loss; the cost
is another method. The adapter is one call: it says where the parameters are and what returns what.
bpcheck finds out by itself that vectors are columns and that examples come one at a time.
"""

from itertools import pairwise

import numpy as np

import bpcheck


class Network:
    """Sigmoid everywhere, cost ½‖a − y‖² for one example."""

    def __init__(self, sizes, *, slip=False):
        rng = np.random.default_rng(0)
        self.biases = [rng.normal(size=(n, 1)) for n in sizes[1:]]
        self.weights = [rng.normal(size=(n, m)) for m, n in pairwise(sizes)]
        self.slip = slip

    def feedforward(self, a):
        for b, w in zip(self.biases, self.weights, strict=True):
            a = sigmoid(w @ a + b)
        return a

    def cost(self, x, y):
        return 0.5 * np.sum((self.feedforward(x) - y) ** 2)

    def backprop(self, x, y):
        activations = [x]
        for b, w in zip(self.biases, self.weights, strict=True):
            activations.append(sigmoid(w @ activations[-1] + b))
        error = (activations[-1] - y) * activations[-1] * (1 - activations[-1])
        nabla_b, nabla_w = [error], [error @ activations[-2].T]
        for k in range(2, len(activations)):
            a = activations[-k]
            # the slip: σ'(a) where σ'(z) = a (1 − a) is meant
            slope = sigmoid(a) * (1 - sigmoid(a)) if self.slip else a * (1 - a)
            error = (self.weights[-k + 1].T @ error) * slope
            nabla_b.insert(0, error)
            nabla_w.insert(0, error @ activations[-k - 1].T)
        return nabla_b, nabla_w


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


SIZES = [3, 5, 4, 2]


def check(network):
    """The adapter, and the network in bpcheck's words (an object has fixed widths)."""
    subject = bpcheck.from_object(network, params=["biases", "weights"], gradients="backprop", loss="cost")
    architecture = bpcheck.mlp(SIZES, activation="sigmoid", output="sigmoid")
    return bpcheck.compare(subject, architectures=architecture, seed=0)


def main():
    print(check(Network(SIZES)))
    print("\n\nThe same with σ'(a) for σ'(z):\n")
    print(check(Network(SIZES, slip=True)))


if __name__ == "__main__":
    main()
