"""A scalar engine in the manner of micrograd: every number is an object that knows how to go backward.

    python examples/scalar_engine.py

A neuron takes a list of numbers; the graph is built on the way and walked back. The adapter makes
scalars of the arrays that bpcheck hands over, one example at a time, and collects their gradients.
The slip is in the engine, not in one of the four equations: the report finds no name for it, but says
where it begins, and shows a network of one weight in which ½ r · r loses one of its two paths.
"""

import math

import numpy as np

import bpcheck


class Scalar:
    """A number, its gradient, and how to hand the gradient down."""

    def __init__(self, data, inputs=(), push=lambda gradient: ()):
        self.data, self.grad, self.inputs, self.push = float(data), 0.0, inputs, push

    def __add__(self, other):
        return Scalar(self.data + other.data, (self, other), lambda g: (g, g))

    def __mul__(self, other):
        return Scalar(self.data * other.data, (self, other), lambda g: (g * other.data, g * self.data))

    def tanh(self):
        t = math.tanh(self.data)
        return Scalar(t, (self,), lambda g: (g * (1 - t * t),))

    def backward(self, *, slip=False):
        order, seen = [], set()

        def visit(node):
            if id(node) not in seen:
                seen.add(id(node))
                for inner in node.inputs:
                    visit(inner)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for inner, gradient in zip(node.inputs, node.push(node.grad), strict=True):
                # the slip: = for +=, which loses all but one of the paths where a number is used twice
                inner.grad = gradient if slip else inner.grad + gradient


def network(layers, x):
    """Hidden layers with tanh, a linear output; layers are lists of (weights, bias) of each neuron."""
    for number, neurons in enumerate(layers, start=1):
        z = [sum((w * a for w, a in zip(weights, x, strict=True)), bias) for weights, bias in neurons]
        x = z if number == len(layers) else [value.tanh() for value in z]
    return x


def cost(outputs, y):
    """½ Σ (output − target)²."""
    r = [output + Scalar(-target) for output, target in zip(outputs, y, strict=True)]
    return sum((Scalar(0.5) * value * value for value in r), Scalar(0.0))


def arrays(neurons):
    """The gradients of one layer: of its weights, of its biases."""
    return np.array([[w.grad for w in row] for row, _ in neurons]), np.array(
        [bias.grad for _, bias in neurons]
    )


def backprop(params, x, y, *, slip=False):
    """The adapter: arrays in, arrays out; for one example, with params = [(W, b), (W, b), …]."""
    scalars = [[([*map(Scalar, row)], Scalar(c)) for row, c in zip(W, b, strict=True)] for W, b in params]
    loss = cost(network(scalars, [*map(Scalar, x)]), y)
    loss.backward(slip=slip)
    return loss.data, [arrays(neurons) for neurons in scalars]


def with_slip(params, x, y):
    return backprop(params, x, y, slip=True)


def main():
    print(bpcheck.compare(backprop, examples=30, seed=0))
    print("\n\nThe same with = for +=:\n")
    print(bpcheck.compare(with_slip, examples=30, seed=0))


if __name__ == "__main__":
    main()
