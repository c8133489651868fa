"""Somebody's Adam, as it stands in many a notebook, and what compare_update() says of it.

Run it: ``python examples/my_adam.py``
"""

import numpy as np

import bpcheck
from bpcheck.reference.optimizer import Adam

LR, BETA1, BETA2, EPSILON = 0.01, 0.9, 0.999, 1e-8


class MyAdam:
    """Adam for a dict of arrays, which it changes in place."""

    corrected = True

    def __init__(self):
        self.m, self.v, self.t = {}, {}, 0

    def update(self, params, grads):
        self.t += 1
        for name, g in grads.items():
            self.m[name] = BETA1 * self.m.get(name, 0.0) + (1 - BETA1) * g
            self.v[name] = BETA2 * self.v.get(name, 0.0) + (1 - BETA2) * g**2
            m, v = self.m[name], self.v[name]
            if self.corrected:
                m, v = m / (1 - BETA1**self.t), v / (1 - BETA2**self.t)
            params[name] -= LR * m / (np.sqrt(v) + EPSILON)


class HastyAdam(MyAdam):
    """The same without the corrections for the start at 0: a common slip, and it trains."""

    corrected = False


def check(optimizer):
    return bpcheck.compare_update(optimizer, rule=Adam(lr=LR), seed=0)


if __name__ == "__main__":
    print(check(MyAdam))
    print("\n\nThe same without bias correction:\n")
    print(check(HastyAdam))
    print("\n\nThe first one again, without being told what it is:\n")
    print(bpcheck.compare_update(MyAdam, seed=0))
