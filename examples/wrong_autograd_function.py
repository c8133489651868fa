"""A torch.autograd.Function with a backward pass written by hand, and a slip in it.

    python examples/wrong_autograd_function.py

Autograd believes what ``backward`` says. bpcheck does not: it moves every parameter a little, looks at
what the loss does, and compares. Needs PyTorch: ``pip install torch``.
"""

import numpy as np

import bpcheck
from bpcheck.adapters.torch import from_torch, parameters


def network(*, right):
    """A small network with swish(z) = z · sigmoid(z) as a Function of its own."""
    import torch  # imported here so that the other examples run without it

    class Swish(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z * torch.sigmoid(z)

        @staticmethod
        def backward(ctx, gradient):
            (z,) = ctx.saved_tensors
            s = torch.sigmoid(z)
            if right:
                return gradient * (s + z * s * (1 - s))  # the product rule
            return gradient * s * (1 - s)  # sigmoid's derivative, not swish's

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = torch.nn.Linear(3, 5)
            self.output = torch.nn.Linear(5, 2)

        def forward(self, x):
            return self.output(Swish.apply(self.hidden(x)))

    torch.manual_seed(0)
    return Network()


def check(*, right):
    """Hold autograd's gradient against finite differences of the loss."""
    import torch

    module = network(right=right)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    return bpcheck.check_gradient(from_torch(module, torch.nn.MSELoss()), parameters(module), x, y)


def main():
    print("With the slip:\n")
    print(check(right=False))
    print("\n\nWith the product rule:\n")
    print(check(right=True))


if __name__ == "__main__":
    main()
