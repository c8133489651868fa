"""Somebody else's backpropagation: the one inside scikit-learn, on handwritten digits.

    python examples/sklearn_mlp.py

scikit-learn writes its backward pass by hand, in NumPy. Its method ``_backprop`` is private, so this
example may need a change for versions other than 1.9. Two things are shown:

- MLPClassifier: loss and gradient are right, to the last digits that rounding leaves.
- MLPRegressor with several outputs: the loss is averaged over the outputs and the gradient is not, so
  one is the number of outputs times too large for the other. A known bug, reported in 2017 as
  scikit-learn issue 8349 and still in 1.9. With one output nobody can see it.
"""

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

import bpcheck
from bpcheck.data import load_digits
from bpcheck.network.dense_chain import dense_chain

ALPHA = 0.3  # scikit-learn's l2 penalty: ½ · alpha · ‖W‖² / (number of examples)


def backprop_of(model):
    """scikit-learn's backward pass as ``f((coefs, intercepts), x, y) -> (loss, gradient)``, in its own layout."""

    def backprop(params, x, y):
        model.coefs_, model.intercepts_ = params
        none = [None] * len(model.coefs_)
        loss, coefs, intercepts = model._backprop(x, y, None, [x, *none], [*none], [*none], [*none])
        return loss, (coefs, intercepts)

    backprop.__name__ = f"{type(model).__name__}._backprop"
    return backprop


def in_its_layout(case):
    """Coefficients (in, out) and intercepts, as scikit-learn keeps them."""
    params, x, y = case.mutable()
    return ([layer["weight"].T.copy() for layer in params], [layer["bias"] for layer in params]), x, y


def random_params(architecture, seed=0):
    """Numbers that are all nonzero: a bias of 0 would hide what is wrong with it."""
    rng = np.random.default_rng(seed)
    return [
        {"weight": rng.normal(0, 0.3, shapes["weight"]), "bias": rng.normal(0, 0.3, shapes["bias"])}
        for shapes in architecture.parameter_shapes
    ]


def classifier_case(batch=32, activation="tanh"):
    """A batch of digits, and the network in bpcheck's words."""
    digits = load_digits()
    architecture = bpcheck.mlp([64, 12, 7, 10], activation=activation, loss="cross_entropy", l2=ALPHA)
    x, y = digits.images[:batch], digits.one_hot[:batch]
    return bpcheck.Case(architecture, random_params(architecture), x, y)


def classifier(case, alpha=ALPHA):
    """MLPClassifier with the shape of the case; one step of training makes it allocate its arrays."""
    activation = case.architecture.layers[0].activation
    model = MLPClassifier(
        hidden_layer_sizes=dense_chain(case.architecture).widths[1:-1],
        activation={"sigmoid": "logistic"}.get(activation, activation),
        alpha=alpha,
        random_state=0,
    )
    return model.partial_fit(case.x, case.y.argmax(axis=1), classes=np.arange(10))


def regressor_case(outputs):
    """Learn the first few columns of the one-hot targets as plain numbers."""
    digits = load_digits()
    architecture = bpcheck.mlp([64, 6, outputs], activation="tanh", loss="half_mse")
    return bpcheck.Case(
        architecture, random_params(architecture), digits.images[:20], digits.one_hot[:20, :outputs]
    )


def regressor(case):
    """MLPRegressor with the shape of the case."""
    model = MLPRegressor(
        hidden_layer_sizes=dense_chain(case.architecture).widths[1:-1],
        activation="tanh",
        alpha=0.0,
        random_state=0,
    )
    return model.partial_fit(case.x, case.y if case.y.shape[1] > 1 else case.y[:, 0])


def main():
    case = classifier_case()
    print("MLPClassifier on 32 digits, against bpcheck's reference network:\n")
    print(bpcheck.compare(backprop_of(classifier(case)), cases=[case], conventions="sklearn"))

    case = regressor_case(outputs=3)
    params, x, y = in_its_layout(case)
    print("\n\nMLPRegressor with 3 outputs: does its gradient belong to its own loss?\n")
    print(bpcheck.check_gradient(backprop_of(regressor(case)), params, x, y))


if __name__ == "__main__":
    main()
