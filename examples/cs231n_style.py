"""A network in the manner of Stanford's course CS231n: a dict of parameters, class indices, (loss, grads).

    python examples/cs231n_style.py

Weights are (in, out), y holds the number of the right class, the loss has a penalty. No adapter is
needed: the function is handed over as it is, and bpcheck reads its layout off what it accepts.
"""

import numpy as np

import bpcheck

REG = 0.1


def loss_and_grads(params, X, y, *, slip=False):
    """Two layers or more with ReLU, softmax at the end, ½ · REG · ‖W‖² on top."""
    depth = len(params) // 2
    inputs = [X]
    for k in range(1, depth + 1):
        scores = inputs[-1] @ params[f"W{k}"] + params[f"b{k}"]
        inputs.append(np.maximum(scores, 0))
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    examples = np.arange(len(X))
    loss = -log_p[examples, y].mean()
    loss += sum(0.5 * REG * np.sum(params[f"W{k}"] ** 2) for k in range(1, depth + 1))

    dscores = np.exp(log_p)
    dscores[examples, y] -= 1
    dscores /= len(X)
    grads = {}
    for k in range(depth, 0, -1):
        # the slip: the ½ of the penalty is forgotten in its derivative
        grads[f"W{k}"] = inputs[k - 1].T @ dscores + (2 if slip else 1) * REG * params[f"W{k}"]
        grads[f"b{k}"] = dscores.sum(axis=0)
        dscores = (dscores @ params[f"W{k}"].T) * (inputs[k - 1] > 0)
    return loss, grads


def with_slip(params, X, y):
    return loss_and_grads(params, X, y, slip=True)


def main():
    print(bpcheck.compare(loss_and_grads, seed=0))
    print("\n\nThe same with 2 · REG · W as the derivative of ½ · REG · ‖W‖²:\n")
    print(bpcheck.compare(with_slip, seed=0))


if __name__ == "__main__":
    main()
