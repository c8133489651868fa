"""Which layout does the subject speak? By what it accepts, then by its loss, then by its gradient.

A layout is tried by calling the subject in it, on a network of pairwise distinct widths and a batch of
yet another size: what raises, or returns no number, is out. The forward value tells apart what is left;
the gradient decides only between layouts that the forward value cannot tell apart. Nothing here changes
a number: whatever is chosen is then held against the reference on every case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck.conventions import PRESETS, Conventions
from bpcheck.conventions.nesting import VECTORS
from bpcheck.errors import InputError
from bpcheck.network.architecture import mlp
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain
from bpcheck.search.cases.sample import GENERIC, random_case
from bpcheck.search.cost.infer import DEPTHS, OUTPUTS, WIDTHS, probe_case
from bpcheck.search.dialect.candidates import (
    candidates,
    fitted,
    flat_vectors,
    variants,
)
from bpcheck.search.dialect.trial import (
    Trial,
    accepted,
    agrees,
    loss_fits,
    signed,
    with_network,
    with_networks,
)
from bpcheck.search.judging import Judge

__all__ = ["Reading", "said", "settle_cost", "settle_known", "settle_unknown"]


# The number of examples in a probe: the first that is no width of the network.
BATCHES = (4, 5, 7, 8, 9, 11, 13)

# Mixed into the seed: the probes of layouts leave the random cases of a seed as they are.
SALT = 0x1A707

ALONE = (
    "it was compared one example at a time: handed several as columns, it runs too, but then its gradient has another "
    "shape than its parameters. If it is meant for such batches, that is a bug: sum over the batch"
)

# More layouts than this in a question help nobody.
MOST_ASKED = 3


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
        trials, returned = accepted(judge, case)
        if trials:
            break
    else:
        return Reading(None, returned)
    batches, singles = _apart(trials)
    formed = [trial for trial in batches if trial.structured]
    known = with_networks(formed or batches, judge, rng, only)
    if _takes_batches(batches, [trial for trial in known if _is_mean(trial)]):
        trials, warning = batches, _asking_for_one(formed, singles)
    else:
        trials, warning = [*singles, *batches], ALONE if batches else ""
        known = with_networks(singles, judge, rng, only) or known

    def right(trial: Trial) -> bool:
        if trial.inference is None:
            return False
        network = dense_chain(trial.inference.template).with_widths(dense_chain(case.architecture).widths)
        return agrees(trial, random_case(rng, network, GENERIC, batch=case.batch))

    # Where no network is known either, no answer would lead to a verdict: what is computed is to be asked first.
    reading = _chosen(trials, known, right, ask=bool(known))
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


def settle_cost(judge: Judge, seed: int) -> Reading | None:
    """For a subject that answers in our layout though its loss fits nothing: targets ±1, or a penalty λ/2m."""
    rng = np.random.default_rng([seed, SALT])
    trial = Trial(judge.conventions, judge, True)
    found = with_network(trial, variants(judge.conventions), judge, rng)
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
    fresh = random_case(
        rng, case.architecture, GENERIC, batch=_batch_for(dense_chain(case.architecture).widths)
    )
    for tried in (fresh, case):
        trials, returned = accepted(judge, tried)
        if trials:
            break
    else:
        return Reading(None, returned)
    reading = _known([*trials, *signed(trials, tried, judge)], tried)
    judge.evaluations += sum(trial.judge.evaluations for trial in trials)
    return reading


def _known(trials: list[Trial], tried: Case) -> Reading:
    """The choice where the network is known."""
    exact = [trial for trial in trials if loss_fits(trial, fitted(tried, trial.conventions))]
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
        return _warned(_chosen(trials, exact, lambda trial: agrees(trial, tried)), warning)
    # It answers in ours: another layout must explain more than ours does.
    sure = [trial for trial in (exact or trials) if trial.structured and agrees(trial, tried)]
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
    return loss_fits(trial, fitted(described, divided), times=case.batch)


def _batch_for(widths: Sequence[int]) -> int:
    return next(batch for batch in BATCHES if batch not in widths)


def _chosen(
    trials: list[Trial], exact: list[Trial], right: Callable[[Trial], bool], *, ask: bool = True
) -> Reading:
    """The trial that forward value, form and gradient speak for, in this order; or a question (or, without, the first)."""
    tried = len(candidates()) + len(list(flat_vectors())) * any(
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
    if ask and not exact and not agreeing and len({_but_for_rows(trial.conventions) for trial in pool}) > 1:
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
