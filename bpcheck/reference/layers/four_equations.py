r"""The four equations of backpropagation. Every dense backward pass goes through these functions.

Notation (the whole of it is in ``docs/notation.md``): layers count from 1, the input, to L, the
output; ``z^l = W^l a^{l-1} + b^l``; ``a^l = σ(z^l)``; ``δ^l = ∂C/∂z^l``, the error. A batch has one
example a *row*, so ``a @ W.T`` stands for W a, and C is the cost of the whole batch: where it is a
mean, the factor 1/m is already in ∂C/∂a^L and appears nowhere below.

Source: M. Nielsen, *Neural Networks and Deep Learning* (2015), chapter 2; the Jacobian form of BP1
follows from the multivariate chain rule and is needed for softmax, where σ' as a vector does not exist.

All four accept NumPy arrays, and balls (:mod:`bpcheck.reference.numbers.ball`) to bound their own rounding.
"""

from __future__ import annotations

from typing import TypeVar

from bpcheck.reference.numbers.ball import Ball
from bpcheck.tree import FloatArray

__all__ = ["bp1_output_error", "bp2_hidden_error", "bp3_bias_gradient", "bp4_weight_gradient"]

Numbers = TypeVar("Numbers", FloatArray, Ball)


def bp1_output_error(cost_gradient: Numbers, derivative: Numbers) -> Numbers:
    r"""BP1, the error of the output: δ^L = ∇_a C ⊙ σ'(z^L), or Jᵀ ∇_a C.

    Index form: δ^L_j = (∂C/∂a^L_j) σ'(z^L_j) if σ acts on each neuron alone; in general
    δ^L_j = Σ_k (∂C/∂a^L_k) (∂a^L_k/∂z^L_j), by the chain rule over every a^L_k that depends on z^L_j.

    Parameters
    ----------
    cost_gradient : (m, n)
        ∂C/∂a^L, one row an example.
    derivative : (m, n) or (m, n, n)
        σ'(z^L), or the Jacobians J[i, k, j] = ∂a_k/∂z_j (softmax).

    Returns
    -------
    (m, n)
        δ^L = ∂C/∂z^L.

    Examples
    --------
    >>> import numpy as np
    >>> bp1_output_error(np.array([[2.0, -1.0]]), np.array([[0.25, 0.5]]))
    array([[ 0.5, -0.5]])
    """
    if derivative.ndim == 3:
        return (cost_gradient[:, None, :] @ derivative)[:, 0, :]
    return cost_gradient * derivative


def bp2_hidden_error(weight: Numbers, delta: Numbers, derivative: Numbers | None = None) -> Numbers:
    r"""BP2, the error of a hidden layer: δ^l = ((W^{l+1})ᵀ δ^{l+1}) ⊙ σ'(z^l).

    Index form: δ^l_j = Σ_k W^{l+1}_{kj} δ^{l+1}_k σ'(z^l_j): z^l_j reaches the cost through every
    z^{l+1}_k, and ∂z^{l+1}_k/∂z^l_j = W^{l+1}_{kj} σ'(z^l_j).

    A network of layers hands the bracket down and lets the layer below multiply by its own σ';
    ``derivative=None`` (σ' = 1) is that half, ∂C/∂a^l.

    Parameters
    ----------
    weight : (n_{l+1}, n_l)
        W^{l+1}.
    delta : (m, n_{l+1})
        δ^{l+1}.
    derivative : (m, n_l) or (m, n_l, n_l), optional
        σ'(z^l) or its Jacobians.

    Returns
    -------
    (m, n_l)
        δ^l = ∂C/∂z^l.

    Examples
    --------
    >>> import numpy as np
    >>> bp2_hidden_error(np.array([[1.0, 2.0]]), np.array([[3.0]]), np.array([[0.5, 1.0]]))
    array([[1.5, 6. ]])
    """
    bracket = delta @ weight  # rows: (Wᵀδ)ᵀ = δᵀW
    return bracket if derivative is None else bp1_output_error(bracket, derivative)


def bp3_bias_gradient(delta: Numbers) -> Numbers:
    r"""BP3, the gradient of the biases: ∂C/∂b^l = δ^l, summed over the batch.

    Index form: ∂C/∂b^l_j = Σ_i δ^l_{ij}, because ∂z^l_{ij}/∂b^l_j = 1 for every example i.

    Parameters
    ----------
    delta : (m, n)
        δ^l.

    Returns
    -------
    (n,)

    Examples
    --------
    >>> import numpy as np
    >>> bp3_bias_gradient(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([4., 6.])
    """
    return delta.sum(axis=0)  # type: ignore[no-any-return]


def bp4_weight_gradient(delta: Numbers, previous_activation: Numbers) -> Numbers:
    r"""BP4, the gradient of the weights: ∂C/∂W^l = δ^l (a^{l-1})ᵀ, summed over the batch.

    Index form: ∂C/∂W^l_{jk} = Σ_i δ^l_{ij} a^{l-1}_{ik}, because ∂z^l_{ij}/∂W^l_{jk} = a^{l-1}_{ik}.

    Parameters
    ----------
    delta : (m, n_l)
        δ^l.
    previous_activation : (m, n_{l-1})
        a^{l-1}; the input x for the first layer.

    Returns
    -------
    (n_l, n_{l-1})

    Examples
    --------
    >>> import numpy as np
    >>> bp4_weight_gradient(np.array([[2.0]]), np.array([[3.0, 4.0]]))
    array([[6., 8.]])
    """
    return delta.T @ previous_activation
