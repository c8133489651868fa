"""Random terms of the index calculus, and worlds to read them in.

Every choice is made by a ``random.Random``: Hypothesis passes one that it can shrink, the tests of planted bugs pass
seeds. The simplest choice comes first in each list, so that shrinking ends at short terms.
"""

import itertools
import random

import sympy
from sympy import Rational

from bpcheck.symbolic.index import (
    Definition,
    Diff,
    Index,
    Layer,
    Member,
    Size,
    Tensor,
    TotalIs,
    Unknown,
    UnknownValue,
    VectorFunction,
    VectorValue,
    Widths,
    World,
    kronecker,
    total,
)
from bpcheck.symbolic.index.domain import Digits
from bpcheck.symbolic.index.interpret import Reading, points
from bpcheck.symbolic.index.term import indices_of

n, l, m, s, T = Widths("n"), Layer("l"), Size("m"), Size("s"), Size("T")  # noqa: E741  # the field's letter
j, k, p = (Index(name, n(l)) for name in "jkp")
i, q = (Index(name, n(l + 1)) for name in "iq")
e, f = (Index(name, m) for name in "ef")
t, r = (Index(name, T, lower=2) for name in "tr")
u, v = (Index(name, s - 1, lower=0) for name in "uv")
j_of_m = Index("j", m)  # the same name, another range
INDICES = (j, k, p, i, q, e, f, t, r, u, v, j_of_m)

x, w, b, y, h = (Tensor(name) for name in ("x", "w", "b", "y", "h"))
a, z, W, delta = (Tensor(name, superscripts=1) for name in ("a", "z", "W", "delta"))
sigma, C, g = Unknown("sigma"), VectorFunction("C"), VectorFunction("g")
penalty = sympy.Symbol("lambda", positive=True)


# Three within one another take seconds; the fourth takes a minute.
MOST_DERIVATIVES = 3


def ordered(parts):
    """In an order that is the same in every process, also for indices of one name."""
    return sorted(
        parts, key=lambda part: (str(part), sorted(str((one, one.upper)) for one in part.atoms(Index)))
    )


def index(rng, scope):
    """An index, of those bound around it more often than not."""
    return rng.choice(scope) if scope and rng.random() < 0.7 else rng.choice(INDICES)


def position(rng, scope):
    """What stands in the place of an index: mostly an index."""
    one = index(rng, scope)
    kind = rng.randint(0, 11)
    if kind == 8:
        return one + rng.choice((1, -1))
    if kind == 9:
        return s * one + index(rng, scope)
    if kind == 10:
        return rng.choice((sympy.Integer(1), m, T))
    if kind == 11:
        return (one - index(rng, scope)) / s
    return one


def entry(rng, scope):
    """One entry of a tensor, which may be one that is defined."""
    layer = rng.choice((l, l + 1, l - 1))
    kind = rng.randint(0, 8)
    if kind < 3:
        return x[position(rng, scope)]
    if kind == 3:
        return w[position(rng, scope), position(rng, scope)]
    if kind == 4:
        units = (i, q) if layer == l + 1 else (j, k, p)
        return rng.choice((a, z))[layer, fitting(rng, scope, units)]
    if kind == 5:
        return W[layer, position(rng, scope), position(rng, scope)]
    if kind == 6:
        return y[fitting(rng, scope, (j, k, p))] if rng.random() < 0.5 else b[position(rng, scope)]
    if kind == 7:
        return h[fitting(rng, scope, (e, f)), fitting(rng, scope, (t, r, k))]
    return delta[layer, fitting(rng, scope, (j, k, p))]


def fitting(rng, scope, indices):
    """An index of the range for which a tensor is defined; sometimes another one, of which nothing is said."""
    if rng.random() < 0.1:
        return position(rng, scope)
    bound = [one for one in scope if one in indices]
    return rng.choice(bound or indices)


def condition(rng, scope):
    """A Kronecker delta, often ill-typed, or a Member."""
    kind = rng.randint(0, 5)
    if kind == 0:
        return kronecker(index(rng, scope), index(rng, scope))
    if kind == 1:
        return kronecker(position(rng, scope), position(rng, scope))
    if kind == 2:
        return kronecker(s * index(rng, scope) + index(rng, scope), index(rng, scope))
    if kind == 3:
        return kronecker(index(rng, scope), rng.choice((1, 2, m, n(l), T)))
    if kind == 4:
        return Member((index(rng, scope) - index(rng, scope)) / s, 0, rng.choice((m, n(l))) - 1)
    return Member(
        position(rng, scope), rng.choice((0, 1, 2)), rng.choice((n(l), T, s, m - 1, sympy.Integer(2)))
    )


def leaf(rng, scope):
    kind = rng.randint(0, 9)
    if kind < 6:
        return entry(rng, scope)
    if kind == 6:
        return condition(rng, scope)
    if kind == 7:
        return rng.choice((Rational(2), Rational(-1), Rational(1, 2), Rational(-3, 2), sympy.sqrt(2)))
    if kind == 8:
        return rng.choice((m, n(l), penalty, index(rng, scope)))
    return entry(rng, scope) * condition(rng, scope)


def positive(rng, depth, scope):
    """Something that is at least 1/2 everywhere, for roots, logarithms and denominators."""
    kind = rng.randint(0, 6)
    if kind == 0:
        return 1 + entry(rng, scope) ** 2
    if kind == 5:
        return x[position(rng, scope)] ** 2  # of size 1/4 at least: x itself is never defined
    if kind == 6:
        return (entry(rng, scope) ** 2 + 1) * x[index(rng, scope)] ** 2
    if kind == 1:
        return sympy.exp(sympy.tanh(term(rng, depth, scope)))
    if kind == 2:
        bound = rng.choice(INDICES)
        return 1 + total(term(rng, depth, (*scope, bound)) ** 2, bound)
    if kind == 3:
        bound = rng.choice(INDICES)
        return sympy.exp(entry(rng, scope)) + total(sympy.exp(2 * entry(rng, (*scope, bound)) / 3), bound)
    return 2 + sympy.tanh(term(rng, depth, scope))


def array(rng, depth, scope):
    """An unknown function of a whole array: its value or a partial derivative."""
    binders = tuple(rng.sample(INDICES, rng.choice((1, 1, 2))))
    body = term(rng, depth, (*scope, *binders)) if rng.random() < 0.3 else entry(rng, binders)
    components = tuple(index(rng, scope) for _ in range(rng.choice((0, 0, 1))))
    partials = [tuple(position(rng, scope) for _ in binders) for _ in range(rng.choice((0, 0, 1, 2)))]
    return VectorValue(rng.choice("Cg"), components, partials, binders, body)


def term(rng, depth, scope=()):
    """A term; every node of the grammar may come up at every place."""
    if depth <= 0:
        return leaf(rng, scope)
    kind = rng.randint(0, 16)
    below = depth - 1
    if kind <= 1:
        return leaf(rng, scope)
    if kind <= 3:
        return term(rng, below, scope) + term(rng, below, scope)
    if kind <= 6:
        return term(rng, below, scope) * term(rng, below, scope)
    if kind <= 10:
        bound = rng.choice((*INDICES, *scope))  # shadows an outer one now and then
        return total(term(rng, below, (*scope, bound)), bound)
    if kind == 11:
        return term(rng, below, scope) ** rng.choice((2, 2, 3))
    if kind == 12:
        power = rng.choice((-1, -1, -2, Rational(1, 2), Rational(-1, 2), Rational(3, 2), Rational(-1, 3)))
        return positive(rng, below, scope) ** power
    if kind == 13:
        wrap = rng.choice((sympy.tanh, lambda inside: sympy.exp(inside / 4), None))
        inside = leaf(rng, scope) + rng.choice((0, 1)) * leaf(rng, scope)
        return sympy.log(positive(rng, below, scope)) if wrap is None else wrap(inside)
    if kind == 14:
        return UnknownValue("sigma", rng.choice((0, 0, 1, 2)), term(rng, below, scope))
    if kind == 15:
        return array(rng, below, scope)
    return derivative(rng, below, scope)


def derivative(rng, depth, scope=()):
    return by_an_entry(rng, term(rng, depth, scope), scope)


def by_an_entry(rng, inside, scope):
    """The derivative by an entry of a tensor that occurs, at other places; now and then by any."""
    entries = ordered(inside.atoms(sympy.Indexed))
    if not entries or rng.random() < 0.15:
        return Diff(inside, entry(rng, scope))
    variable = rng.choice(entries)
    count = getattr(variable.base, "superscripts", 0)
    below = (one if rng.random() < 0.2 else position(rng, scope) for one in variable.indices[count:])
    return Diff(inside, variable.base[(*variable.indices[:count], *below)])


def closed(expression, keep=()):
    """Summed over every free index that is not to stay."""
    return total(expression, *ordered(indices_of(expression) - set(keep)))


def facts(rng):
    """Definitions and facts: none, those of a network, and random ones."""
    kind = rng.randint(0, 7)
    network = (
        Definition(a[l, k], sigma(z[l, k])),
        Definition(z[l + 1, i], total(W[l + 1, i, k] * a[l, k], k) + b[i]),
    )
    if kind <= 2:
        return ()
    if kind == 3:
        return network
    if kind == 4:
        return (*network, Definition(delta[l, k], Diff(C(z[l + 1, i], over=i), z[l, k])))
    if kind == 5:
        return (TotalIs(y[k], over=k, value=rng.choice((1, Rational(1, 2), m))),)
    if kind == 6:
        return Definition(y[k], sympy.exp(x[k]) / total(sympy.exp(x[p]) + x[k] ** 2, p)), TotalIs(
            h[e, k], over=k, value=1
        )
    right = term(rng, 1, (e, t))
    if right.has(h):
        right = right.xreplace({old: w[old.indices] for old in right.atoms(sympy.Indexed) if old.base == h})
    return (Definition(h[e, t], closed(right, (e, t)) if indices_of(right) - {e, t} else right),)


def _about(fact):
    return fact.left if isinstance(fact, Definition) else fact.entry


def problem(rng, depth=3, *, of=term, most=MOST_DERIVATIVES):
    """A term and what is given with it."""
    given = facts(rng)
    inside = term(rng, depth)
    if given and rng.random() < 0.7:  # what is given is about something that occurs
        bound = rng.choice((j, k, p, e))
        about = _about(rng.choice(given))
        places = tuple(alike(rng, one, bound) if one in INDICES else one for one in about.indices)
        inside = rng.choice((0, 1)) * inside + total(about.base[places] * term(rng, 1, (bound,)), bound)
    expression = by_an_entry(rng, inside, ()) if of is derivative else inside
    if derivatives(expression) > most:
        return problem(rng, depth, of=of, most=most)
    return expression, given


def alike(rng, pattern, bound):
    """Mostly an index of the same range: a definition holds in its range, and a derivative refuses what may lie outside."""
    same = [one for one in (bound, *INDICES) if (one.lower, one.upper) == (pattern.lower, pattern.upper)]
    return rng.choice(same) if rng.random() < 0.9 else index(rng, (bound,))


def derivatives(expression):
    """How many derivatives stand within one another; each triples the digits that the interpreter computes with."""
    own = 0
    if isinstance(expression, UnknownValue):
        own = expression.order
    elif isinstance(expression, VectorValue):
        own = len(expression.partials)
    elif isinstance(expression, Diff):
        own = 1
    return own + max(map(derivatives, expression.args), default=0)


# --- worlds ---------------------------------------------------------------------------------------------

# Sizes of n(l−1), n(l), n(l+1), m, s, T: all unequal somewhere, 1 somewhere (then 2 … T is empty).
SIZES = ((2, 3, 2, 1, 2, 3), (1, 2, 3, 2, 1, 2), (3, 1, 2, 3, 2, 1))
HERE = 10  # the number of layer l


def world(number, given=(), seed=0):
    below, here, above, of_m, of_s, of_t = SIZES[number]
    widths = {("n", HERE - 1): below, ("n", HERE): here, ("n", HERE + 1): above}
    return World({m: of_m, s: of_s, T: of_t}, {l: HERE}, widths, seed, given)


def places(free, world, limit=6):
    """Values of free indices: all, or as many as the limit, spread over them."""
    every = list(points(ordered(free), world))
    return every if len(every) <= limit else random.Random(limit).sample(every, limit)


NO_VALUE = "no value"


def value_of(reading, expression, at):
    try:
        return reading.value(expression, at)
    except ArithmeticError:  # 1/0 or log 0
        return NO_VALUE


def differs(left, right, given=(), *, domains=(Digits,), worlds=(0, 1, 2), limit=6):
    """Where the interpreter finds two terms unequal, or None; and how many values it compared."""
    compared = 0
    for domain, number in itertools.product(domains, worlds):
        arithmetic = domain()
        reading = Reading(world(number, given, seed=number), arithmetic)
        for at in places(indices_of(left) | indices_of(right), reading.world, limit):
            compared += 1
            first, second = value_of(reading, left, at), value_of(reading, right, at)
            if first is NO_VALUE or second is NO_VALUE:
                if first is not second:
                    return (domain.__name__, number, at, first, second), compared
            elif not arithmetic.same(first, second):
                return (domain.__name__, number, at, first, second), compared
    return None, compared


# --- the same term in other words -----------------------------------------------------------------------


def renamed(expression, names=None, fresh=None):
    """Every bound index under a name that occurs nowhere; written without any function of the rewriter."""
    names, fresh = names or {}, fresh or itertools.count()

    def bind(indices):
        return {one: Index(f"new{next(fresh)}", one.upper, lower=one.lower) for one in indices}

    def rewrite(part, names):
        return renamed(part, names, fresh)

    if isinstance(expression, sympy.Sum):
        # the innermost stands first; where one index is bound twice, it is the innermost that counts
        inner, limits = dict(names), []
        for limit in reversed(expression.limits):
            new = bind(limit[:1])
            inner |= new
            limits.insert(0, new[limit[0]])
        return total(rewrite(expression.function, inner), *limits)
    if isinstance(expression, VectorValue):
        new = bind(expression.binders)
        return VectorValue(
            expression.name,
            [rewrite(one, names) for one in expression.components],
            [[rewrite(one, names) for one in partial] for partial in expression.partials],
            [new[one] for one in expression.binders],
            rewrite(expression.body, {**names, **new}),
        )
    if isinstance(expression, Index):
        return names.get(expression, expression)
    if not expression.args or isinstance(expression, sympy.IndexedBase):
        return expression
    return expression.func(*(rewrite(argument, names) for argument in expression.args))


def reworded(rng, expression):
    """An equal term: sums split, nested the other way, products multiplied out, factors moved in and out."""
    if isinstance(expression, sympy.Sum):
        body = reworded(rng, expression.function)
        limits = [limit[0] for limit in expression.limits]
        if len(set(limits)) == len(limits):
            rng.shuffle(limits)
        if isinstance(body, sympy.Add):
            return sympy.Add(*(total(part, *limits) for part in body.args))
        if isinstance(body, sympy.Mul) and len(limits) == 1:
            outside = [part for part in body.args if limits[0] not in indices_of(part) and rng.random() < 0.7]
            inside = [part for part in body.args if part not in outside]
            return sympy.Mul(*outside, total(sympy.Mul(*inside), *limits))
        return total(body, *limits)
    if isinstance(expression, VectorValue):
        return VectorValue(
            expression.name,
            expression.components,
            expression.partials[::-1],
            expression.binders,
            reworded(rng, expression.body),
        )
    if isinstance(expression, (sympy.Indexed, sympy.KroneckerDelta, Member)) or not expression.args:
        return expression
    parts = [reworded(rng, argument) for argument in expression.args]
    if isinstance(expression, Diff):
        return Diff(parts[0], expression.variable)
    sums = [part for part in parts if isinstance(part, sympy.Add)]
    if isinstance(expression, sympy.Mul) and sums and rng.random() < 0.7:
        parts.remove(sums[0])
        return sympy.Add(*(sympy.Mul(part, *parts) for part in sums[0].args))
    if isinstance(expression, sympy.Pow) and expression.args[1].is_Integer and expression.args[1] > 1:
        return (
            parts[0] * sympy.Pow(parts[0], expression.args[1] - 1)
            if rng.random() < 0.5
            else expression.func(*parts)
        )
    return expression.func(*parts)


def spoiled(rng, expression):
    """A term with one slip of the pen: another index, another order of a derivative, a sum or a factor lost."""
    spots = [part for part in sympy.preorder_traversal(expression) if _slips(part)]
    if not spots:
        return expression * 2
    spot = rng.choice(spots)
    return _replaced(expression, spot, rng.choice(_slips(spot)))


def _slips(part):
    if isinstance(part, sympy.Indexed):
        count = getattr(part.base, "superscripts", 0)
        above, below = part.indices[:count], list(part.indices[count:])
        slips = [part.base[(*above, *below[::-1])]] if len(set(below)) > 1 else []
        return [*slips, part.base[(*above, *(k if one == j else j for one in below))]]
    if isinstance(part, sympy.Sum):
        return (
            [part.function]
            if len(part.limits) == 1 and part.limits[0][0] not in indices_of(part.function)
            else []
        )
    if isinstance(part, UnknownValue):
        return [UnknownValue(part.name, part.order + 1, part.argument)]
    if isinstance(part, sympy.Mul):
        return [sympy.Mul(*part.args[1:]), -part]
    if isinstance(part, sympy.Pow) and part.args[1].is_Rational:
        return [part.args[0] ** (part.args[1] + 1)]
    return []


def _replaced(expression, old, new):
    """The first place of a part that holds another one; nothing is renamed."""
    if expression == old:
        return new
    if isinstance(expression, VectorValue):
        parts = [*expression.args[:4], _replaced(expression.body, old, new)]
        return VectorValue(expression.name, *parts[1:])
    if not expression.args or isinstance(expression, sympy.Indexed):
        return expression
    if isinstance(expression, sympy.Sum):
        return total(_replaced(expression.function, old, new), *(limit[0] for limit in expression.limits))
    if isinstance(expression, Diff):
        return Diff(_replaced(expression.expression, old, new), expression.variable)
    return expression.func(*(_replaced(argument, old, new) for argument in expression.args))
