"""A student's backpropagation, written by hand in NumPy, put to the test.

    python examples/student_backprop.py

The network: tanh in the hidden layers, a linear output, and as cost the mean over the batch of
½‖output − target‖². One example is one row. Any number of layers.
"""

import numpy as np

import bpcheck


def forward(params, x):
    """All activations: the input, each hidden layer, the output."""
    activations = [x]
    for number, layer in enumerate(params, start=1):
        z = activations[-1] @ layer["weight"].T + layer["bias"]
        activations.append(z if number == len(params) else np.tanh(z))
    return activations


def backprop(params, x, y):
    """The cost of a batch and its gradient, in the same layout as ``params``."""
    activations = forward(params, x)
    residual = activations[-1] - y
    loss = 0.5 * np.sum(residual**2) / len(x)

    gradients = []
    delta = residual / len(x)  # BP1: the output is linear, σ' = 1
    for number in reversed(range(len(params))):
        gradients.insert(
            0,
            {
                "weight": delta.T @ activations[number],  # BP4
                "bias": delta.sum(axis=0),  # BP3
            },
        )
        if number > 0:
            a = activations[number]
            delta = (delta @ params[number]["weight"]) * (1 - a**2)  # BP2, with tanh' = 1 − tanh²
    return loss, gradients


def main():
    # bpcheck draws networks of many shapes, asks this function for the gradient of each, and compares
    # it with its own, whose rounding error it knows.
    print(bpcheck.compare(backprop))


if __name__ == "__main__":
    main()
