"""Code that never shows a gradient: one function that takes a step of gradient descent.

    python examples/only_a_step.py

bpcheck recovers the gradient as (before − after) / η, at two learning rates. One rate would do for the
right step; the second one shows the classic mistake of updating a layer before δ went through it, whose
error grows with η and hides at small ones.
"""

import numpy as np

import bpcheck


def train_step(params, x, y, lr, *, slip=False):
    """One step on ½‖output − y‖², averaged over the batch; tanh in the hidden layers. In place."""
    activations = [x]
    for number, layer in enumerate(params, start=1):
        z = activations[-1] @ layer["weight"].T + layer["bias"]
        activations.append(z if number == len(params) else np.tanh(z))
    delta = (activations[-1] - y) / len(x)
    for number in reversed(range(len(params))):
        layer = params[number]
        down = (delta @ layer["weight"]) * (1 - activations[number] ** 2)
        layer["weight"] -= lr * delta.T @ activations[number]
        layer["bias"] -= lr * delta.sum(axis=0)
        # the slip: the error of the layer below is computed from weights that are new already
        delta = (delta @ layer["weight"]) * (1 - activations[number] ** 2) if slip else down


def with_slip(params, x, y, lr):
    train_step(params, x, y, lr, slip=True)


def check(step):
    """The adapter is one call; without a loss the network has to be named."""
    return bpcheck.compare(bpcheck.from_step(step), architectures=bpcheck.mlp([3, 5, 4, 2]), seed=0)


def main():
    print(check(train_step))
    print("\n\nThe same with weights updated too early:\n")
    print(check(with_slip))


if __name__ == "__main__":
    main()
