"""Which layout does the subject speak? By what it accepts, then by its loss, then by its gradient.

What raises, or returns no number, on a network of pairwise distinct widths and a batch of yet another size is out. The
forward value tells apart what is left; the gradient decides only between layouts that the forward value cannot tell apart.
Nothing here changes a number: whatever is chosen is then held against the reference on every case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bpcheck.conventions import Conventions
from bpcheck.conventions.nesting import VECTORS
from bpcheck.network.architecture import mlp
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain
from bpcheck.search.cases.sample import GENERIC, random_case
from bpcheck.search.cost.observe import DEPTHS, OUTPUTS, WIDTHS, probe_case
from bpcheck.search.dialect.candidates import candidates
from bpcheck.search.dialect.hearing import Furthest, hear
from bpcheck.search.dialect.trial import Trial, agrees, loss_fits, signed, with_networks
from bpcheck.search.judging import Judge

__all__ = ["Reading", "settle_cost", "settle_known", "settle_unknown"]


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
    furthest : Furthest or None
        Where no layout was accepted, the attempt that got furthest of those in which it raised.
    """

    trial: Trial | None
    text: str
    warning: str = ""
    furthest: Furthest | None = None


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
    hearing, case = hear(judge, _probes(rng, widths, batch))
    if case is None:
        return Reading(None, hearing.returned, furthest=hearing.furthest)
    heard = _Heard.of(hearing.trials)

    def known(trials: Sequence[Trial]) -> list[Trial]:
        return with_networks(trials, judge, [seed, SALT, 1], (widths, batch))

    for_batches = known(heard.formed or heard.batches)
    trials, warning = heard.meant([trial for trial in for_batches if _counts_the_batch(trial)])
    exact = (known(heard.singles) or for_batches) if warning == ALONE or not heard.batches else for_batches

    def right(trial: Trial) -> bool:
        if trial.inference is None:
            return False
        network = dense_chain(trial.inference.template).with_widths(dense_chain(case.architecture).widths)
        return agrees(trial, random_case(rng, network, GENERIC, batch=case.batch))

    # Where no network is known either, no answer would lead to a verdict: what is computed is to be asked first.
    reading = _chosen(trials, exact, right, ask=bool(exact))
    judge.evaluations += sum(trial.judge.evaluations for trial in {*trials, *exact})
    if (
        reading.trial is None
    ):  # it answers by chance: with neither a loss that is known nor a gradient of the right form
        reading = replace(reading, furthest=hearing.furthest)
    return _warned(reading, warning)


def _probes(rng: np.random.Generator, widths: Sequence[int] | None, batch: int | None) -> Iterator[Case]:
    for depth in DEPTHS if widths is None else (len(widths) - 1,):
        drawn = widths or [*(int(w) for w in rng.permutation(WIDTHS)[:depth]), OUTPUTS]
        yield probe_case(rng, mlp(drawn), batch or _batch_for(drawn), 1.0)


@dataclass(frozen=True, eq=False)
class _Heard:
    """The accepted layouts for a batch, and those for one example at a time in which the gradient has its form."""

    batches: list[Trial]
    singles: list[Trial]

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> _Heard:
        return cls(
            [trial for trial in trials if not trial.conventions.per_example],
            [trial for trial in trials if trial.conventions.per_example and trial.structured],
        )

    @property
    def formed(self) -> list[Trial]:
        """Those for a batch in which the gradient has its form."""
        return [trial for trial in self.batches if trial.structured]

    def meant(self, aware: Sequence[Trial]) -> tuple[list[Trial], str]:
        """The layouts to choose from, and what to say of that.

        A function is held to whole batches, as one example at a time would hide a wrong 1/m and a lost sum, if it answers
        for rows, if its gradient has the right form for a batch, or if its loss is one of ``aware``, which count the
        batch. Only columns that are summed and never counted leave it open.
        """
        rows = any(trial.conventions.batch == "first" for trial in self.batches)
        if aware or rows or self.formed:
            return self.batches, self._asking_for_one()
        return [*self.singles, *self.batches], ALONE if self.batches else ""

    def _asking_for_one(self) -> str:
        """How to say that one example at a time is meant, where only then the gradient has its form."""
        if self.formed or not self.singles:
            return ""
        return (
            "handed one example at a time, its gradient has the shapes of its parameters; handed a batch, it runs and has "
            f"not. If one at a time is meant, say conventions=bpcheck.{self.singles[0].conventions!r}"
        )


def _warned(reading: Reading, warning: str) -> Reading:
    """The reading with its warning; that about one example at a time only if this was chosen."""
    single = reading.trial is not None and reading.trial.conventions.per_example
    return reading if warning == ALONE and not single else replace(reading, warning=warning)


def _counts_the_batch(trial: Trial) -> bool:
    """Whether its loss is a mean, or a mean with a penalty that is divided as well."""
    inference = trial.inference
    return inference is not None and (inference.template.reduction == "mean" or inference.divided)


def settle_cost(judge: Judge, seed: int) -> Reading | None:
    """For a subject that answers in our layout though its loss fits nothing: targets of −1 and 1."""
    if judge.conventions.targets != "as given":
        return None
    signs = Trial(judge.conventions.but(targets="±1"), judge, True)
    found = with_networks([signs], judge, [seed, SALT])
    return Reading(found[0], "targets −1 and 1 (inferred from the loss)") if found else None


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
    batch = _batch_for(dense_chain(case.architecture).widths)
    fresh = random_case(rng, case.architecture, GENERIC, batch=batch)
    hearing, tried = hear(judge, (fresh, case))
    if tried is None:
        return Reading(None, hearing.returned, furthest=hearing.furthest)
    trials = [*hearing.trials, *signed(hearing.trials, tried, judge)]
    reading = _known(trials, tried)
    judge.evaluations += sum(trial.judge.evaluations for trial in trials)
    return reading


def _known(accepted: list[Trial], case: Case) -> Reading:
    """The choice where the network is known."""
    heard = _Heard.of(accepted)
    exact = [trial for trial in accepted if loss_fits(trial, case)]
    aware = [trial for trial in heard.batches if trial in exact]
    if not aware:
        # The cost is pinned, so this is none that passes; but it shows that the batch is counted, and which layout it is.
        aware = [trial for trial in heard.batches if _is_divided_mean(trial, case)]
        exact = aware or exact
    trials, warning = heard.meant(aware)
    exact = [trial for trial in exact if trial in trials]
    if not any(trial.conventions.is_ours for trial in trials):
        return _warned(_chosen(trials, exact, lambda trial: agrees(trial, case)), warning)
    better = _better_than_ours(trials, exact, case)
    if not better:
        return Reading(None, "", warning)
    return _warned(_chosen(trials, better, lambda trial: True), warning)


def _better_than_ours(trials: list[Trial], exact: list[Trial], case: Case) -> list[Trial]:
    """For a subject that answers in ours as well: what explains more than ours does."""
    formed = [trial for trial in (exact or trials) if trial.structured]
    sure = [trial for trial in formed if agrees(trial, case)]
    pool = sure or (formed if exact else [])
    return [] if any(trial.conventions.is_ours for trial in pool) else pool


def _is_divided_mean(trial: Trial, case: Case) -> bool:
    """Whether its loss is right for a batch, but for a penalty that is divided by its size: it counts the batch."""
    if not case.architecture.l2 or case.architecture.reduction != "mean":
        return False
    divided = trial.conventions.but(penalty="λ/2m")
    other = Trial(divided, replace(trial.judge, conventions=divided), trial.structured)
    described = replace(case, architecture=divided.describe(case.architecture))
    return loss_fits(other, described, times=case.batch)


def _batch_for(widths: Sequence[int]) -> int:
    return next(batch for batch in BATCHES if batch not in widths)


def _chosen(
    trials: list[Trial], exact: list[Trial], right: Callable[[Trial], bool], *, ask: bool = True
) -> Reading:
    """The trial that forward value, form and gradient speak for, in this order; or a question (or, without, the first)."""
    # What has neither the right loss nor the form of its parameters speaks for nothing.
    trials = trials if exact else [trial for trial in trials if trial.structured]
    if not trials:
        return Reading(None, "")
    by_loss = ["its loss"] if exact and len(exact) < len(trials) else []
    pool, by_form = _narrowed(exact or trials, lambda trial: trial.structured, "the shapes of its gradient")
    pool, by_gradient = _narrowed(pool, right, "its gradient")
    if ask and not exact and _are_really_several(pool) and not right(pool[0]):
        return Reading(None, _question(pool))
    why = _why(trials, exact, by_loss + by_form + by_gradient)
    return Reading(pool[0], f"layout: {pool[0].conventions.words} (inferred: {why})")


def _are_really_several(pool: list[Trial]) -> bool:
    """Whether they differ in more than biases (n,) and (1, n): beside rows both are added alike."""
    return len({_but_for_rows(trial.conventions) for trial in pool}) > 1


def _narrowed(
    pool: list[Trial], speaks: Callable[[Trial], bool], words: str
) -> tuple[list[Trial], list[str]]:
    """Those that something speaks for, and its name if there are others; all of them, if it speaks for none."""
    kept = [trial for trial in pool if speaks(trial)] if len(pool) > 1 else pool
    return (kept, [words]) if kept and len(kept) < len(pool) else (pool, [])


def _why(trials: Sequence[Trial], exact: Sequence[Trial], told: Sequence[str]) -> str:
    known = _count(vectors=False)
    if any(trial.conventions.params in VECTORS for trial in trials):
        known += _count(vectors=True)
    if len(trials) == 1:
        return (
            f"the only one of {known} known layouts that it accepts{', and its loss fits' if exact else ''}"
        )
    return f"it accepts {len(trials)} of {known} known layouts" + (
        f", told apart by {' and '.join(told)}" if told else ""
    )


def _count(*, vectors: bool) -> int:
    return sum(1 for _ in candidates(outputs=OUTPUTS, vectors=vectors))


def _but_for_rows(conventions: Conventions) -> Conventions:
    """The same for biases (n,) and (1, n)."""
    return conventions.but(bias="vector") if conventions.bias == "row" else conventions


def _question(pool: list[Trial]) -> str:
    shown = [f"conventions=bpcheck.{trial.conventions!r}" for trial in pool[:MOST_ASKED]]
    more = f", or one of {len(pool) - MOST_ASKED} more" if len(pool) > MOST_ASKED else ""
    return (
        f"The function accepts {len(pool)} layouts, and neither its loss nor its gradient tells which one is meant. "
        f"Which is it: {', or '.join(shown)}{more}?"
    )
