"""Which layout does the subject speak? By what it accepts, then by its loss, then by its gradient.

A layout is tried by calling the subject in it, on a network of pairwise distinct widths and a batch of
yet another size: what raises, or returns no number, is out. The forward value tells apart what is left;
the gradient decides only between layouts that the forward value cannot tell apart. Nothing here changes
a number: whatever is chosen is then held against the reference on every case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from bpcheck import tree
from bpcheck.architecture import Architecture, mlp
from bpcheck.case import Case
from bpcheck.check.contract import Asked, HungError, ask
from bpcheck.conventions import PRESETS, Conventions
from bpcheck.conventions.carry import nest, tensors_into
from bpcheck.conventions.nesting import FOLDED, NESTINGS, VECTORS
from bpcheck.errors import InputError, SubjectError
from bpcheck.result import Comparison
from bpcheck.search.infer import DEPTHS, OUTPUTS, WIDTHS, Inference, infer, observe, probe_case
from bpcheck.search.judging import Judge
from bpcheck.search.sample import GENERIC, random_case
from bpcheck.search.translate import translated
from bpcheck.verdict import Verdict

__all__ = [
    "Reading",
    "Trial",
    "candidates",
    "fitted",
    "said",
    "settle_cost",
    "settle_known",
    "settle_unknown",
    "variants",
]

# Keys that people write; the first of each nesting is what a Conventions value says without names=.
KEYED: dict[str, tuple[tuple[tuple[str, str] | None, int], ...]] = {
    "[{W, b}]": (
        (None, 1),
        (("W", "b"), 1),
        (("w", "b"), 1),
        (("weights", "biases"), 1),
        (("weights", "bias"), 1),
    ),
    "{[W], [b]}": ((None, 1), (("W", "b"), 1), (("coefs", "intercepts"), 1)),
    "{W1, b1, W2, b2}": (
        (None, 1),
        (None, 0),
        (("w{}", "b{}"), 1),
        (("w{}", "b{}"), 0),
        (("weight{}", "bias{}"), 1),
    ),
    "{W1, W2}": ((None, 1), (None, 0), (("w{}", "b{}"), 1)),
}
# So many layouts, far apart, are tried first: what raises the same at the same line in all is no matter of layout.
SAMPLED = 16

# What a wrong layout raises, or what checks its arguments: these may be the same in all but one layout.
LAYOUT_ERRORS = (TypeError, ValueError, LookupError, AttributeError, AssertionError)

# What people hand over part by part, f(weights, biases, x, y) or f(W1, b1, W2, b2, x, y).
SPREAD = ("([W], [b])", "([b], [W])", "[W1, b1, W2, b2]", "[W1, W2, b1, b2]")
GRADIENT_KEYS = ("{}", "d{}", "grad_{}", "{}_grad")

# Which shapes go together: a bias that is a column is added to columns, a row to rows.
SHAPES = (
    ("first", ("vector", "row")),
    ("last", ("column", "vector")),
    ("one", ("vector",)),
    ("one column", ("column",)),
    ("one row", ("vector", "row")),
)
ORIENTATIONS = ("out, in", "in, out")

# The number of examples in a probe: the first that is no width of the network.
BATCHES = (4, 5, 7, 8, 9, 11, 13)

# Where a finding says that there is no loss to look at.
NUMBERLESS = ("loss", "return value")

# Mixed into the seed: the probes of layouts leave the random cases of a seed as they are.
SALT = 0x1A707

ALONE = (
    "it was compared one example at a time: handed several as columns, it runs too, but then its gradient has another "
    "shape than its parameters. If it is meant for such batches, that is a bug: sum over the batch"
)

RETURNED = (
    "In most layouts the function raises. With conventions=bpcheck.{!r} it returns, but {}: {}. It must return the pair "
    "(loss, gradient); where loss and gradient are two functions, give bpcheck.from_parts(loss=..., gradient=...)."
)

# More layouts than this in a question help nobody.
MOST_ASKED = 3


_Only: TypeAlias = tuple[Sequence[int] | None, int | None]
"""The only widths and batch size that a subject takes."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A layout in which the subject gave an answer.

    Attributes
    ----------
    conventions : Conventions
    judge : Judge
        Of the translated subject.
    structured : bool
        Whether its gradient has the form that the layout says.
    inference : Inference or None
        What it computes, where nobody said.
    """

    conventions: Conventions
    judge: Judge
    structured: bool
    inference: Inference | None = None


@dataclass(frozen=True, eq=False)
class Reading:
    """What came of trying layouts.

    Attributes
    ----------
    trial : Trial or None
        The one to go on with; None if no layout was accepted, or several were and nothing tells them apart.
    text : str
        What was inferred and from what, or the question to ask.
    warning : str
        What the caller should know about the choice.
    """

    trial: Trial | None
    text: str
    warning: str = ""


@lru_cache(maxsize=1)
def candidates() -> tuple[Conventions, ...]:
    """Layouts to try, presets first; gradients nested as the parameters.

    Examples
    --------
    >>> [tried.params for tried in candidates()[:3]]
    ['[{W, b}]', '([b], [W])', '[W1, b1, W2, b2]']
    """
    plain = [preset.but(penalty=None) for preset in PRESETS.values()]
    return tuple(dict.fromkeys([Conventions(), *plain, *_combinations()]))


def _combinations() -> Iterator[Conventions]:
    nestings = [nesting for nesting in NESTINGS if nesting not in VECTORS]
    for nesting, targets in product(nestings, ("as given", "index")):
        folded = nesting in FOLDED
        for (batch, shapes), weight in product(SHAPES, ORIENTATIONS):
            for bias in ("folded first", "folded last") if folded else shapes:
                for (names, first), spread in product(KEYED.get(nesting, ((None, 1),)), (False, True)):
                    if spread and nesting not in SPREAD:
                        continue
                    yield Conventions(
                        weight=weight,
                        bias=bias,
                        batch=batch,
                        params=nesting,
                        names=names,
                        number_from=first,
                        targets=targets,
                        spread=spread,
                    )


def _readings_of_gradients(conventions: Conventions) -> Iterator[Conventions]:
    """The same layout with the gradient nested in other ways; its arrays are never reshaped."""
    for nesting in NESTINGS:
        if nesting in VECTORS or (nesting in FOLDED) != conventions.folded:
            continue
        own = "" if nesting == conventions.params else nesting
        if nesting not in KEYED:
            yield conventions.but(gradients=own)
            continue
        given = ((conventions.names, conventions.number_from),)
        for names, first in given if conventions.params in KEYED else KEYED[nesting]:
            for pattern in GRADIENT_KEYS:
                yield conventions.but(gradients=own, gradient_names=pattern, names=names, number_from=first)


def fitted(case: Case, conventions: Conventions) -> Case:
    """The case with targets that the convention can say: one-hot rows for indices, 0 and 1 for ±1.

    Examples
    --------
    >>> case = Case(mlp([1, 2]), [{"weight": [[1.0], [2.0]], "bias": [0.0, 0.0]}], [[1.0]], [[0.3, 0.7]])
    >>> fitted(case, Conventions(targets="index")).y
    array([[0., 1.]])
    """
    if conventions.targets == "index":
        return replace(case, y=np.eye(case.y.shape[1])[case.y.argmax(axis=1)])
    if conventions.targets == "±1":
        return replace(case, y=(case.y > 0).astype(float))
    return case


def settle_unknown(
    judge: Judge, seed: int, *, widths: Sequence[int] | None = None, batch: int | None = None
) -> Reading:
    """The layout of a subject of which nobody said what it computes.

    Parameters
    ----------
    judge : Judge
    seed : int
    widths : sequence of int, optional
        The only widths that it takes.
    batch : int, optional
        The only number of examples that it takes.

    Returns
    -------
    Reading
    """
    rng = np.random.default_rng([seed, SALT])
    trials: list[Trial] = []
    only = (widths, batch)
    for depth in DEPTHS if widths is None else (len(widths) - 1,):
        drawn = widths or [*(int(w) for w in rng.permutation(WIDTHS)[:depth]), OUTPUTS]
        case = probe_case(rng, mlp(drawn), batch or _batch_for(drawn), 1.0)
        trials, returned = _accepted(judge, case)
        if trials:
            break
    else:
        return Reading(None, returned)
    batches, singles = _apart(trials)
    formed = [trial for trial in batches if trial.structured]
    known = _with_networks(formed or batches, judge, rng, only)
    if _takes_batches(batches, [trial for trial in known if _is_mean(trial)]):
        trials, warning = batches, _asking_for_one(formed, singles)
    else:
        trials, warning = [*singles, *batches], ALONE if batches else ""
        known = _with_networks(singles, judge, rng, only) or known

    def right(trial: Trial) -> bool:
        if trial.inference is None:
            return False
        network = trial.inference.template.with_widths(case.architecture.widths)
        return _agrees(trial, random_case(rng, network, GENERIC, batch=case.batch))

    reading = _chosen(trials, known, right)
    judge.evaluations += sum(trial.judge.evaluations for trial in {*trials, *known})
    return _warned(reading, warning)


def _apart(trials: list[Trial]) -> tuple[list[Trial], list[Trial]]:
    """Layouts for a batch, and those for one example at a time in which the gradient has its form."""
    return (
        [trial for trial in trials if not trial.conventions.per_example],
        [trial for trial in trials if trial.conventions.per_example and trial.structured],
    )


def _takes_batches(batches: list[Trial], aware: list[Trial]) -> bool:
    """Whether a function is held to whole batches: one example at a time would hide a wrong 1/m and a lost sum.

    It is if it answers for rows, if its gradient has the right form for a batch, or if its loss is one of
    ``aware``, which count the batch. Only columns that are summed and never counted leave it open.
    """
    return bool(aware) or any(trial.structured or trial.conventions.batch == "first" for trial in batches)


def _asking_for_one(formed: list[Trial], singles: list[Trial]) -> str:
    """How to say that one example at a time is meant, where only then the gradient has its form."""
    if formed or not singles:
        return ""
    return (
        "handed one example at a time, its gradient has the shapes of its parameters; handed a batch, it runs and has "
        f"not. If one at a time is meant, say conventions=bpcheck.{singles[0].conventions!r}"
    )


def _warned(reading: Reading, warning: str) -> Reading:
    """The reading with its warning; that about one example at a time only if this was chosen."""
    single = reading.trial is not None and reading.trial.conventions.per_example
    return reading if warning == ALONE and not single else replace(reading, warning=warning)


def _is_mean(trial: Trial) -> bool:
    """Whether its loss counts the batch: a mean, or a mean with a penalty that is divided as well."""
    if trial.inference is None:
        return False
    return trial.inference.template.reduction == "mean" or trial.conventions.times_batch


def _with_networks(
    trials: list[Trial], judge: Judge, rng: np.random.Generator, only: _Only = (None, None)
) -> list[Trial]:
    """Those whose loss shows what they compute; with targets ±1 or a divided penalty only if none does without."""
    for ways in (lambda conventions: [conventions], variants):
        known = [
            found
            for trial in trials
            if (found := _with_network(trial, ways(trial.conventions), judge, rng, only))
        ]
        if known:
            return known
    return []


def settle_cost(judge: Judge, seed: int) -> Reading | None:
    """For a subject that answers in our layout though its loss fits nothing: targets ±1, or a penalty λ/2m."""
    rng = np.random.default_rng([seed, SALT])
    trial = Trial(judge.conventions, judge, True)
    found = _with_network(trial, variants(judge.conventions), judge, rng)
    if found is not None:
        said = (
            "targets −1 and 1" if found.conventions.targets == "±1" else "a penalty divided by the batch size"
        )
        return Reading(found, f"{said} (inferred from the loss)")
    return None


def settle_known(judge: Judge, seed: int, case: Case) -> Reading:
    """The layout of a subject that computes a given network.

    Parameters
    ----------
    judge : Judge
    seed : int
    case : Case
        On which something was wrong in our own layout.

    Returns
    -------
    Reading
    """
    rng = np.random.default_rng([seed, SALT])
    fresh = random_case(rng, case.architecture, GENERIC, batch=_batch_for(case.architecture.widths))
    for tried in (fresh, case):
        trials, returned = _accepted(judge, tried)
        if trials:
            break
    else:
        return Reading(None, returned)
    reading = _known([*trials, *_signed(trials, tried, judge)], tried)
    judge.evaluations += sum(trial.judge.evaluations for trial in trials)
    return reading


def _signed(trials: list[Trial], case: Case, judge: Judge) -> list[Trial]:
    """The same layouts with targets −1 and 1, where the loss is right for those and for nothing else."""
    if any(_loss_fits(trial, fitted(case, trial.conventions)) for trial in trials):
        return []
    found = []
    for trial in trials:
        if trial.conventions.targets == "as given":
            signs = trial.conventions.but(targets="±1")
            signed = Trial(signs, _judge_of(judge, signs), trial.structured)
            found += [signed] if _loss_fits(signed, fitted(case, signs)) else []
    return found


def _known(trials: list[Trial], tried: Case) -> Reading:
    """The choice where the network is known."""
    exact = [trial for trial in trials if _loss_fits(trial, fitted(tried, trial.conventions))]
    batches, singles = _apart(trials)
    formed = [trial for trial in batches if trial.structured]
    # The cost is pinned, so this is none that passes; but it shows that the batch is counted, and which layout it is.
    divided = [trial for trial in batches if _is_divided_mean(trial, tried)]
    if not any(trial in exact for trial in batches) and divided:
        exact = divided
    if _takes_batches(batches, [trial for trial in exact if trial in batches]):
        trials, warning = batches, _asking_for_one(formed, singles)
    else:
        trials, warning = [*singles, *batches], ALONE if batches else ""
    exact = [trial for trial in exact if trial in trials]
    if not any(trial.conventions.is_ours for trial in trials):
        return _warned(_chosen(trials, exact, lambda trial: _agrees(trial, tried)), warning)
    # It answers in ours: another layout must explain more than ours does.
    sure = [trial for trial in (exact or trials) if trial.structured and _agrees(trial, tried)]
    pool = sure or [trial for trial in exact if trial.structured]
    if not pool or any(trial.conventions.is_ours for trial in pool):
        return Reading(None, "", warning)
    return _warned(_chosen(trials, pool, lambda trial: True), warning)


def _is_divided_mean(trial: Trial, case: Case) -> bool:
    """Whether its loss is right for a batch, but for a penalty that is divided by its size: it counts the batch."""
    if not case.architecture.l2 or case.architecture.reduction != "mean":
        return False
    divided = trial.conventions.but(penalty="λ/2m")
    described = replace(case, architecture=divided.describe(case.architecture))
    return _loss_fits(trial, fitted(described, divided), times=case.batch)


def _batch_for(widths: Sequence[int]) -> int:
    return next(batch for batch in BATCHES if batch not in widths)


def _accepted(judge: Judge, case: Case) -> tuple[list[Trial], str]:
    """The layouts in which the subject answers, each with the first nesting that its gradient has.

    Where there is none, also what is wrong with what it returned in the first in which it returned at all.
    """
    found: list[Trial] = []
    returned: list[tuple[Conventions, Comparison]] = []
    counted = False
    if _raises_anyway(judge, case):
        return [], ""
    for conventions in _tried_on(case):
        if conventions.params in VECTORS and any(t.conventions.params not in VECTORS for t in found):
            break  # only where nothing else will do
        asked = _try(judge, conventions, case)
        if not isinstance(asked, Asked):
            continue
        if asked.loss is None or np.isnan(asked.loss):
            # Something that is no number came back for a whole batch: it runs on batches, and is held to them.
            counted = counted or not conventions.per_example
            amiss = [f for f in asked.findings if f.path in NUMBERLESS]
            if amiss:
                returned.append((conventions, amiss[0]))
                continue
        wrong = _leaves_misformed(asked, conventions, case)
        if wrong and not judge.subject.gradient_like_params:
            for other in _readings_of_gradients(conventions):
                again = _try(judge, other, case)
                fewer = wrong if not isinstance(again, Asked) else _leaves_misformed(again, other, case)
                if fewer < wrong:  # else what is said about the form would be said about the wrong containers
                    conventions, wrong = other, fewer
                if not wrong:
                    break
        found.append(Trial(conventions, _judge_of(judge, conventions), not wrong))
    kept = [trial for trial in found if not (counted and trial.conventions.per_example)]
    if kept or not returned or returned[0][0].is_ours:  # in ours it is looked at anyway
        return kept, ""
    conventions, finding = returned[0]
    return [], RETURNED.format(conventions, finding.path, finding.reason)


def _tried_on(case: Case) -> Iterator[Conventions]:
    """The layouts to try on a case: with one output there are no classes, but numbers (m,); flat vectors come last."""
    one = case.architecture.widths[-1] == 1
    for conventions in (*candidates(), *_flat_vectors()):
        yield conventions.but(targets="flat") if one and conventions.targets == "index" else conventions


def _flat_vectors() -> Iterator[Conventions]:
    """One array for all parameters: only code that knows its widths takes that."""
    batches = ("first", "last", "one", "one column")
    for params, weight, batch, targets in product(VECTORS, ORIENTATIONS, batches, ("as given", "index")):
        yield Conventions(params=params, weight=weight, batch=batch, targets=targets)


def _raises_anyway(judge: Judge, case: Case) -> bool:
    """Whether what the subject raises has nothing to do with the layout: the same in very different ones."""
    raised = set()
    for conventions in candidates()[:: len(candidates()) // SAMPLED]:
        error = _try(judge, conventions, case)
        if isinstance(error, Asked):
            return False
        cause = error.__cause__ or error
        if isinstance(cause, LAYOUT_ERRORS):
            return False
        line = cause.__traceback__
        while line is not None and line.tb_next is not None:
            line = line.tb_next
        raised.add((type(cause), str(cause), line and line.tb_lineno))
    return len(raised) == 1


def _judge_of(judge: Judge, conventions: Conventions) -> Judge:
    """A judge of the subject in a layout, which counts its own calls."""
    subject = judge.subject
    if not conventions.is_ours:
        subject = translated(subject, conventions, ignore=judge.declared.ignore)
    return replace(judge, subject=subject, conventions=conventions, evaluations=0)


def _try(judge: Judge, conventions: Conventions, case: Case) -> Asked | Exception:
    """One answer, or what was raised where the subject does not take such arguments."""
    if judge.clock.struck:
        raise HungError
    judge.evaluations += 1
    subject = _judge_of(judge, conventions).subject
    case = fitted(case, conventions)
    if judge.announce is not None:
        judge.announce(case)
    try:  # without the text of a reproducer, which takes longer than most subjects
        return ask(subject, case.params, (case.x, case.y), clock=judge.clock, architecture=case.architecture)
    except (SubjectError, InputError) as error:
        return error


def _leaves_misformed(asked: Asked, conventions: Conventions, case: Case) -> int:
    """How many tensors of the gradient have not the form that the layout says; 0 if nothing else is amiss either."""
    faults = [str(f.path) for f in asked.findings if f.verdict is Verdict.WRONG_STRUCTURE]
    if not faults:
        return 0
    wanted = nest(conventions, tensors_into(conventions, case.params), gradient=True)
    leaves = [str(path) for root in ("params", "gradient") for path, _ in tree.leaves(wanted, root)]
    return max(1, sum(any(leaf.startswith(fault) for fault in faults) for leaf in leaves))


def _loss_fits(trial: Trial, case: Case, times: float = 1.0) -> bool:
    """Whether the forward value, multiplied by ``times``, is the right one, within its rounding."""
    if trial.judge.subject.loss is None:
        return False
    try:
        asked = trial.judge.ask(case)
    except (SubjectError, InputError):
        return False
    loss = trial.judge.enclose(case, asked.precision).loss
    return asked.loss is not None and bool(
        abs(asked.loss * times - float(loss.mid)) <= 2 * float(loss.rad) + float(loss.kink)
    )


def _agrees(trial: Trial, case: Case) -> bool:
    try:
        scaling = trial.judge.scaling if trial.inference is None else trial.inference.scaling
        judge = replace(trial.judge, scaling=scaling, evaluations=0)
        verdict = judge(fitted(case, trial.conventions)).verdict
        trial.judge.evaluations += judge.evaluations
        return verdict.ok
    except (SubjectError, InputError):
        return False


def _with_network(
    trial: Trial,
    ways: Sequence[Conventions],
    judge: Judge,
    rng: np.random.Generator,
    only: _Only = (None, None),
) -> Trial | None:
    """The trial with what it computes, if its loss shows it when it is read in one of some ways."""
    for conventions in ways:
        own = _judge_of(judge, conventions)
        try:
            observations, fault = observe(own, rng, widths=only[0], batch=only[1])
            found = fault or infer(own, rng, observations)
        except InputError:
            continue
        finally:
            judge.evaluations += own.evaluations
        if isinstance(found, Inference) and (not conventions.times_batch or _is_divided(found.template)):
            return Trial(conventions, replace(own, evaluations=0), trial.structured, found)
    return None


def variants(conventions: Conventions) -> list[Conventions]:
    """What the loss may show beside the layout: targets of −1 and 1, a penalty divided by the batch size."""
    signs = [conventions.but(targets="±1")] if conventions.targets == "as given" else []
    return signs if conventions.per_example else [*signs, conventions.but(penalty="λ/2m")]


def _is_divided(template: Architecture) -> bool:
    """Whether m times the cost is a sum over the batch with a penalty: only then is it divided by m."""
    return template.reduction == "sum" and template.l2 > 0


def _chosen(trials: list[Trial], exact: list[Trial], right: Callable[[Trial], bool]) -> Reading:
    """The trial that forward value, form and gradient speak for, in this order; or a question."""
    tried = len(candidates()) + len(list(_flat_vectors())) * any(
        t.conventions.params in VECTORS for t in trials
    )
    # What has neither the right loss nor the form of its parameters speaks for nothing.
    trials = trials if exact else [trial for trial in trials if trial.structured]
    if not trials:
        return Reading(None, "")
    pool = exact or trials
    by = "loss" if exact and len(exact) < len(trials) else ""
    formed = [trial for trial in pool if trial.structured]
    if formed and len(formed) < len(pool):
        pool, by = formed, f"{by} and the shapes of its gradient" if by else "the shapes of its gradient"
    agreeing = [trial for trial in pool if right(trial)] if len(pool) > 1 else []
    if agreeing and len(agreeing) < len(pool):
        pool, by = agreeing, f"{by} and its gradient" if by else "gradient"
    if not exact and not agreeing and len({_but_for_rows(trial.conventions) for trial in pool}) > 1:
        return Reading(None, _question(pool))
    trial = pool[0]
    if len(trials) == 1:
        why = f"the only one of {tried} layouts tried that it accepts"
        why += ", and its loss fits" if exact else ""
    else:
        told = f", told apart by {'its ' if not by.startswith('the') else ''}{by}" if by else ""
        why = f"it accepts {len(trials)} of {tried} layouts tried{told}"
    return Reading(trial, f"layout: {trial.conventions.words} (inferred: {why})")


def _but_for_rows(conventions: Conventions) -> Conventions:
    """The same for biases (n,) and (1, n): beside rows both are added alike, so nothing has to be asked."""
    return conventions.but(bias="vector") if conventions.bias == "row" else conventions


def _question(pool: list[Trial]) -> str:
    shown = [f"conventions=bpcheck.{trial.conventions!r}" for trial in pool[:MOST_ASKED]]
    more = f", or one of {len(pool) - MOST_ASKED} more" if len(pool) > MOST_ASKED else ""
    return (
        f"The function accepts {len(pool)} layouts, and neither its loss nor its gradient tells which one is meant. "
        f"Which is it: {', or '.join(shown)}{more}?"
    )


def said(conventions: Any) -> Conventions | None:
    """What the caller gave: a value, the name of a preset, or None for "infer".

    Raises
    ------
    InputError
        If it is anything else.

    Examples
    --------
    >>> said("keras").weight
    'in, out'
    >>> said("infer") is None
    True
    """
    if conventions is None or (isinstance(conventions, str) and conventions == "infer"):
        return None
    if isinstance(conventions, Conventions):
        return conventions
    if isinstance(conventions, str) and conventions in PRESETS:
        return PRESETS[conventions]
    raise InputError(
        f"conventions is {conventions!r}; give bpcheck.Conventions() or another such value, one of "
        f"{', '.join(map(repr, PRESETS))}, or 'infer'."
    )
