"""Figures behind the constants of the index calculus, over all of `derivations/`.

python benchmarks/index_calculus.py

Prints, for every derivation: seconds (processor time) of the three checks, the number of ways in which bound
indices had to be numbered, the rounds in which denominators were multiplied out, subexpressions and random numbers
that were kept, and the largest difference between two equal sides in 60-digit numbers, relative to the larger one.
"""

from __future__ import annotations

import importlib
import math
import time
from unittest import mock

from bpcheck.symbolic.index import Digits, Exact, is_zero
from bpcheck.symbolic.index.canonical import Rewriter
from bpcheck.symbolic.index.domain import random_fraction
from bpcheck.symbolic.index.substitute import indices_of
from derivations import COURSE, load

# the functions of the same names hide the modules
check = importlib.import_module("bpcheck.symbolic.index.check")
canonical = importlib.import_module("bpcheck.symbolic.index.canonical")


def timed(work):
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(derivation):
    indices_of.cache_clear()
    random_fraction.cache_clear()
    numberings, rounds, differences = [1], [0], [0.0]
    orders, denominators = Rewriter._orders, canonical._denominators

    def counted(self, monomial):
        found = list(orders(self, monomial))
        numberings.append(len(found))
        return found

    class Watched(Digits):
        def same(self, left, right):
            differences.append(float(abs(left - right) / max(abs(left), abs(right), 1)))
            return super().same(left, right)

    def forms():
        for before, step in derivation.pairs():
            found = []

            def watched(monomials, found=found):
                found.append(denominators(monomials))
                return found[-1]

            with (
                mock.patch.object(Rewriter, "_orders", counted),
                mock.patch.object(canonical, "_denominators", watched),
            ):
                assert is_zero(before - step.after, derivation.given)
            run = 0
            for cleared in found:  # rounds in a row; an empty one ends a try
                run = run + 1 if cleared else 0
                rounds.append(run)

    def instances(domain):
        for before, step in derivation.pairs():
            assert check._holds(before, step.after, derivation.given, domain, 0)[0]

    seconds = timed(forms), timed(lambda: instances(Exact())), timed(lambda: instances(Watched()))
    kept = indices_of.cache_info().currsize, random_fraction.cache_info().currsize
    return seconds, max(numberings), max(rounds), kept, max(differences)


def main():
    print("  form  plain digits  numberings rounds subexpr. numbers log10 diff")
    for name in COURSE:
        for derivation in load(name):
            seconds, numberings, rounds, (terms, numbers), difference = measure(derivation)
            spent = " ".join(f"{part:6.2f}" for part in seconds)
            digits = f"{math.log10(difference):.0f}" if difference else "exact"
            print(
                f"{spent} {numberings:11d} {rounds:6d} {terms:8d} {numbers:7d} {digits:>10}  {derivation.title}"
            )


if __name__ == "__main__":
    main()
