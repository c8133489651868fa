"""Is one line of a derivation equal to the next? Three opinions, and a counterexample where it is not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy

from bpcheck.errors import BpcheckError, InputError
from bpcheck.symbolic.index.canonical import is_zero
from bpcheck.symbolic.index.domain import Digits, Domain, Exact
from bpcheck.symbolic.index.given import Definition, Fact, Given, validate
from bpcheck.symbolic.index.interpret import Reading, World, points, symbols_of
from bpcheck.symbolic.index.render import text
from bpcheck.symbolic.index.substitute import indices_of
from bpcheck.symbolic.index.term import Layer, Size, expression_of

__all__ = ["Contradiction", "Counterexample", "Line", "check_line"]

# Sizes of the three instances: a column for each size that occurs. Width 1 and equal widths hide index errors (a
# transposed square matrix has a shape that fits), so any two sizes differ in at least one instance, and up to six
# differ in at least two; none is 1 in all. Sizes above 3 find no more of the planted mistakes of `derivations/`,
# and cost more.
INSTANCES = tuple(zip(*(
    *((1, 2, 3), (2, 3, 1), (3, 1, 2), (2, 1, 3), (3, 2, 1), (1, 3, 2)),
    *((2, 2, 3), (3, 3, 2), (1, 2, 2), (2, 3, 3), (3, 2, 2), (2, 1, 2), (3, 1, 3), (1, 3, 3), (2, 2, 1), (3, 3, 1)),
), strict=True))  # fmt: skip

# Values of the free indices tried in each instance. A wrong index shows at the first that is not special;
# three in each of three instances find every planted mistake of `derivations/` (tests/derivations).
POINTS = 3

# A counterexample with more numbers is worked out by a computer, not by hand.
NUMBERS_SHOWN = 12


class Contradiction(BpcheckError):
    """The rewriter calls two terms equal and the interpreter finds different numbers: a bug in bpcheck."""


@dataclass(frozen=True)
class Counterexample:
    """Sizes and numbers at which two terms differ.

    Attributes
    ----------
    sizes : mapping of str to int
        ``{"n(l)": 2, "m": 1}``.
    at : mapping of str to int
        The free indices.
    before, after : float
        Complex where a root or a logarithm of a negative number is taken.
    seed : int
        All entries and unknown functions are drawn from it.
    numbers : mapping of str to float
        The entries and scalars that were drawn, as they are printed: ``{"W^{l+1}_{12}": 0.5}``.
    """

    sizes: Mapping[str, int]
    at: Mapping[str, int]
    before: float | complex
    after: float | complex
    seed: int
    numbers: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        sizes = ", ".join(f"{name} = {value}" for name, value in self.sizes.items())
        place = ", ".join(f"{name} = {value}" for name, value in self.at.items())
        where = " at ".join(part for part in (sizes, place) if part)
        values = f"the first is {self.before:.6g} and the second {self.after:.6g}"
        lines = [f"with {where} {values} (seed {self.seed})" if where else f"{values} (seed {self.seed})"]
        if 0 < len(self.numbers) <= NUMBERS_SHOWN:
            lines.append(
                "where " + ", ".join(f"{name} = {value:.6g}" for name, value in self.numbers.items())
            )
        return "\n  ".join(lines)


@dataclass(frozen=True)
class Line:
    """What three checks say of ``before = after``.

    Attributes
    ----------
    before, after : term
    canonical : bool
        The two have one canonical form: they are equal for all sizes, functions and numbers.
    instances : bool
        Plain SymPy finds them equal at several unequal sizes, exactly.
    digits : bool
        So do numbers of 60 digits, with other unknown functions.
    counterexample : Counterexample or None
        The smallest found, where they differ.
    """

    before: Any
    after: Any
    canonical: bool
    instances: bool
    digits: bool
    counterexample: Counterexample | None = None

    @property
    def ok(self) -> bool:
        """Whether all three agree that the line holds."""
        return self.canonical and self.instances and self.digits

    def __bool__(self) -> bool:
        return self.ok

    @property
    def undecided(self) -> bool:
        """No counterexample, but no proof either."""
        return not self.canonical and self.counterexample is None

    def __str__(self) -> str:
        line = f"{text(self.before)} = {text(self.after)}"
        if self.ok:
            return f"holds: {line}\n  for all sizes, functions and numbers; also in every instance tried"
        if self.undecided:
            return (
                f"not decided: {line}\n  it holds in every instance tried, but the calculus has no proof. "
                "Write the step in smaller steps, or give the fact that it needs."
            )
        return f"wrong: {line}\n  {self.counterexample}"


def check_line(before: Any, after: Any, given: Iterable[Fact] = (), *, seed: int = 0) -> Line:
    """Hold one line of a derivation against the next.

    Parameters
    ----------
    before, after : term
        Expressions made of the names of :mod:`bpcheck.symbolic.index`.
    given : iterable of Definition and TotalIs
        What the line may use.
    seed : int
        For the numbers of the instances.

    Returns
    -------
    Line
        ``bool(line)`` is True where the line is proved. Printed, it says what was found, with a
        counterexample where there is one.

    Raises
    ------
    InputError
        For expressions outside the calculus, for a right side with a free index that the left side
        lacks, and where no instance can be tried: a denominator that is 0 in all of them.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Diff, Index, Size, Tensor, total
    >>> n, x = Size("n"), Tensor("x")
    >>> j, k = Index("j", n), Index("k", n)
    >>> bool(check_line(Diff(total(x[k] ** 2, k), x[j]), 2 * x[j]))
    True
    >>> print(check_line(Diff(total(x[k] ** 2, k), x[j]), x[j]))
    wrong: ∂(Σ_k x_k²)/∂x_j = x_j
      with n = 1 at j = 1 the first is 3.03125 and the second 1.51562 (seed 0)
      where x_1 = 1.51562
    """
    facts = validate(given)
    what = "a line of a derivation is an expression of bpcheck.symbolic.index"
    before, after = (expression_of(side, what) for side in (before, after))
    extra = indices_of(after) - indices_of(before)
    if extra and after != 0:
        names = ", ".join(sorted(map(str, extra)))
        raise InputError(
            f"{text(after)} has the free index {names}, which {text(before)} has not. Sum over it with "
            "total(…, index), or put the index that was meant."
        )
    canonical = is_zero(before - after, facts)
    instances, first = _holds(before, after, facts, Exact(), seed)
    digits, second = _holds(before, after, facts, Digits(), seed)
    found = first or second
    if canonical and found is not None:
        raise Contradiction(
            f"the calculus proves {text(before)} = {text(after)}; this is a bug in bpcheck, please report it with these "
            f"two expressions: {found}."
        )
    return Line(
        before, after, canonical, instances, digits, found and _smallest(before, after, facts, seed, found)
    )


def _holds(
    before: Any, after: Any, given: Given, domain: Domain, seed: int
) -> tuple[bool, Counterexample | None]:
    compared = 0
    for number, sizes in enumerate(INSTANCES):
        world = _world(before, after, given, seed + number, sizes)
        count, found = _differ(before, after, world, domain)
        compared += count
        if found is not None:
            return False, found
    if not compared:
        raise InputError(
            f"{text(before)} = {text(after)} cannot be tried: at every size from 1 to 3, an index has an empty range "
            "or a denominator is 0."
        )
    return True, None


def _differ(before: Any, after: Any, world: World, domain: Domain) -> tuple[int, Counterexample | None]:
    """How many values were compared, and where two terms have different values in an instance."""
    indices = sorted(indices_of(before) | indices_of(after), key=str)
    places = list(points(indices, world))
    if len(places) > POINTS:
        places = random.Random(world.seed).sample(places, POINTS)
    reading, compared = Reading(world, domain), 0
    for at in places:
        try:
            left, right = (reading.value(side, at) for side in (before, after))
        except ArithmeticError:  # 1/0: there is nothing to compare
            continue
        compared += 1
        if not domain.same(left, right):
            alone = Reading(world, domain)  # what this one place needs, and nothing of the places before
            for side in (before, after):
                alone.value(side, at)
            widths = symbols_of(_parts(before, after, world.given), sympy.core.function.AppliedUndef)
            return compared, Counterexample(
                {
                    **{str(w): int(world.whole(w, {})) for w in widths},
                    **{str(s): v for s, v in world.sizes.items()},
                },
                {str(index): value for index, value in at.items()},
                domain.as_float(left),
                domain.as_float(right),
                world.seed,
                _drawn(alone, before, after),
            )
    return compared, None


def _drawn(reading: Reading, before: Any, after: Any) -> dict[str, float]:
    """The numbers that were drawn, under the names that a reader knows."""
    parts = _parts(before, after, reading.world.given)
    tensors = {e.base.name: e.base for part in parts for e in part.atoms(sympy.Indexed)}
    named = {}
    for (name, where), value in sorted(reading.drawn.items(), key=str):
        if name not in tensors:
            named[text(sympy.Symbol(name))] = float(reading.domain.as_float(value).real)
            continue
        above = getattr(tensors[name], "superscripts", 0)
        layers = [_layer(number, reading.world) for number in where[:above]]
        named[text(tensors[name][(*layers, *where[above:])])] = float(reading.domain.as_float(value).real)
    return named


def _layer(number: Any, world: World) -> Any:
    """The layer that a number stands for: l + 1 for 101."""
    for layer, value in world.layers.items():
        if abs(number - value) < LAYERS_APART // 2:
            return layer + (number - value)
    return number


def _parts(before: Any, after: Any, given: Given) -> list[Any]:
    """All expressions whose sizes an instance must fix."""
    sides = [before, after]
    for fact in given:
        sides += [fact.left, fact.right] if isinstance(fact, Definition) else [fact.entry, fact.over]
    return sides


# Layers are told apart by number: l = 100 and L = 200 leave room for l − 1, l + 1 and L − 1.
LAYERS_APART = 100


def _world(before: Any, after: Any, given: Given, seed: int, chosen: Sequence[int]) -> World:
    parts = _parts(before, after, given)
    layers = {layer: LAYERS_APART * place for place, layer in enumerate(symbols_of(parts, Layer), start=1)}
    widths = symbols_of(parts, sympy.core.function.AppliedUndef)
    sizes = symbols_of(parts, Size)
    if len(widths) + len(sizes) > len(chosen):
        raise InputError(
            f"a line may have at most {len(chosen)} different sizes; this one has {len(widths) + len(sizes)}."
        )
    blank = World({}, layers, {})
    columns = iter(chosen)
    numbered = {(w.func.__name__, int(blank.whole(w.args[0], {}))): next(columns) for w in widths}
    return World({size: next(columns) for size in sizes}, layers, numbered, seed, given)


def _smallest(before: Any, after: Any, given: Given, seed: int, found: Counterexample) -> Counterexample:
    """A counterexample with as little as possible of everything, for people to work through by hand."""
    parts = _parts(before, after, given)
    count = len(symbols_of(parts, Size)) + len(symbols_of(parts, sympy.core.function.AppliedUndef))
    choices: Iterable[tuple[int, ...]] = itertools.islice(
        sorted(itertools.product((1, 2, 3), repeat=count), key=sum), SMALL_INSTANCES
    )
    for choice in choices:
        world = _world(before, after, given, seed, choice)
        _, smaller = _differ(before, after, world, Exact())
        if smaller is not None:
            return smaller
    return found


# Enough for all sizes 1 and 2 of five different sizes; a counterexample beyond is shown as it was found.
SMALL_INSTANCES = 32
