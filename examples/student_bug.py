"""The same backpropagation with one of the commonest bugs: σ'(z) is forgotten in the hidden layers.

    python examples/student_bug.py

The code runs, training even makes progress, and nothing looks wrong: the gradient of the last layer
is right, the ones below are not. The report names the equation to look at.
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
    """The cost of a batch and what should be its gradient."""
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
            delta = delta @ params[number]["weight"]  # BP2, but where is (1 − tanh²)?
    return loss, gradients


def main():
    print(bpcheck.compare(backprop))


if __name__ == "__main__":
    main()
