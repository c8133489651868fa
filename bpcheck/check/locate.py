"""locate(): where a claimed gradient is wrong, in some hundred evaluations of the loss, whatever its size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.call_forms import parse
from bpcheck.check.contract import (
    Clock,
    HungError,
    ask,
    from_its_own_frame,
    guarded,
    guarded_call,
    where_raised,
)
from bpcheck.check.location import Finding, Limit, Location, finding, nonfinite, sizes_of
from bpcheck.check.options import resolution_or_default, seed_or_drawn
from bpcheck.check.problem import aside, moved
from bpcheck.check.structure import scalar_loss
from bpcheck.errors import InputError, SubjectError
from bpcheck.numeric.locate import Block, Evaluate, Prober, Search, SpentError
from bpcheck.report.progress import Progress, progress_bar
from bpcheck.subject import Subject
from bpcheck.tree import FloatArray, Path, Tree
from bpcheck.verdict import Verdict

__all__ = ["locate", "locate_in"]

OPTIONS = ("resolution", "seed", "time_limit", "max_evaluations", "progress")

# Entries that are NaN or infinite are told one by one up to here.
MOST_NONFINITE = 8

# What a search of a correct gradient takes, for the progress bar: the noise once, two directions a tensor.
EVALUATIONS_NOISE = 70
EVALUATIONS_TENSOR = 12


def locate(
    *arguments: Any,
    resolution: float | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
    max_evaluations: int | None = None,
    progress: Any = None,
    **named: Any,
) -> Location:
    r"""Find the entries, rows, columns and tensors of a gradient that are wrong.

    Call it as ``locate(loss, gradient, params, *args)``, or as ``locate(subject, params, *args)`` with any
    Subject or a function that returns ``(loss, gradient)``. It evaluates the loss some 100 to 200 times for
    one wrong entry among ten or ten million, where differences entry by entry take two each.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args) -> number``. It is given read-only arrays, most of them the same ones at
        each call; if it writes into them, or cannot take them, it is given copies.
    gradient : callable
        ``gradient(params, *args)``, nested and shaped as ``params``.
    params : tree of float arrays
        Any nesting of dict, list, tuple, dataclass; or one array. One copy is made of it, and one more
        of the tensor that is being looked at.
    *args
        Handed on unchanged (as copies).
    resolution : float, optional
        Errors below this share of a typical entry of their tensor are not pursued. Without it
        everything that rises above the error bars is.
    seed : int, optional
        For the random directions; drawn and reported if not given.
    time_limit : float, optional
        Seconds, after which what is known so far is returned.
    max_evaluations : int, optional
        Calls of the loss after which what is known so far is returned.
    progress : bool or callable, optional
        As for :func:`bpcheck.compare`.

    Returns
    -------
    Location
        Every finding in it was confirmed by a measurement of its own whose error bar excludes the claim.

    Raises
    ------
    InputError
        If an argument cannot be used as given, or the gradient does not have the form of the parameters.
    SubjectError
        If one of the functions raises.

    Notes
    -----
    Each tensor is moved along random directions v; ⟨ĝ, v⟩ is held against a difference quotient of the loss.
    Where they differ, the direction is multiplied by a ramp along each axis: if the error e sits in one
    row x, ⟨e, v∘ramp⟩ / ⟨e, v⟩ is the ramp at x. Errors that do not sit in one place are tried against
    formulas (scaled, transposed, …), or the tensor is split at random. See ``bpcheck/numeric/locate``.

    Examples
    --------
    >>> import numpy as np
    >>> def loss(w):
    ...     return float(np.sum(np.sin(w)))
    >>> def gradient(w):
    ...     g = np.cos(w)
    ...     g[17, 3] *= 2
    ...     return g
    >>> location = locate(loss, gradient, np.linspace(-1, 1, 200).reshape(20, 10), seed=0)
    >>> [(finding.place, finding.kind) for finding in location.findings]
    [('params[17, 3]', 'entry')]
    >>> location.complete
    True
    """
    subject, params, args = parse(arguments, named, function="locate", options=OPTIONS)
    resolution = None if resolution is None else resolution_or_default(resolution)
    _check_evaluations(max_evaluations)
    used = seed_or_drawn(seed)
    if subject.loss is None:
        raise InputError(
            f"{subject.name} has no loss to difference; give one, for example from_step(step, loss=loss)."
        )
    theta = {path: _private(array) for path, array in tree.arrays(params).items()}
    clock = Clock.start(time_limit)
    with guarded(), progress_bar(progress, "locating") as bar:
        try:
            asked = ask(subject, params, args, clock=clock)
        except HungError:
            warning = "the gradient was not returned within the time limit"
            return Location((), False, {}, 1, used, (warning,), subject.name)
        warnings = [*subject.notes, *asked.warnings]
        for flaw in asked.findings:
            if flaw.verdict is Verdict.WRONG_STRUCTURE:
                raise InputError(f"the gradient cannot be searched: {flaw.path}: {flaw.reason}.")
            warnings.append(f"{flaw.path}: {flaw.reason}")
        lean = _Lean(subject, params, tuple(_shown(argument) for argument in args), theta, clock)
        return locate_in(
            subject.name,
            theta,
            asked.gradient,
            evaluate=lean,
            rounding=float(np.finfo(asked.dtype).eps) / 2.0,
            error=asked.error,
            args=args,
            resolution=resolution,
            seed=used,
            max_evaluations=max_evaluations,
            bar=bar,
            warnings=warnings,
            further_warnings=lean.warnings,
            claim=lambda arrays: _claim_at(subject, params, args, clock, arrays),
        )


def _claim_at(
    subject: Subject, params: Tree, args: tuple[Any, ...], clock: Clock, arrays: Mapping[Path, FloatArray]
) -> Mapping[Path, FloatArray]:
    """The claimed gradient at other parameters."""
    there = tree.restore(params, [np.array(array) for array in arrays.values()])
    return ask(subject, there, args, clock=clock).gradient


def locate_in(
    name: str,
    theta: Mapping[Path, FloatArray],
    claimed: Mapping[Path, FloatArray],
    *,
    evaluate: Evaluate,
    rounding: float = 2.0**-53,
    error: Mapping[Path, FloatArray] | None = None,
    args: tuple[Any, ...] = (),
    noise: float = 0.0,
    resolution: float | None = None,
    seed: int = 0,
    max_evaluations: int | None = None,
    bar: Progress | None = None,
    warnings: Any = (),
    further_warnings: list[str] | None = None,
    claim: Callable[[Mapping[Path, FloatArray]], Mapping[Path, FloatArray]] | None = None,
) -> Location:
    """Search a claimed gradient by a loss that is evaluated by somebody else.

    Parameters
    ----------
    name : str
        Of what is checked.
    theta, claimed : mapping of Path to array
        Parameters and the gradient claimed for them, of the same paths. Neither is changed.
    evaluate : callable
        The loss at a mapping like ``theta``, in which one tensor is moved and read-only. Whatever it
        raises passes through, but :class:`~bpcheck.check.contract.HungError`, which ends the search.
    rounding : float
        u of the arithmetic that the claim was computed in.
    error : mapping of Path to array, optional
        Further error that the owner of the claim admits.
    args : tuple
        Of the loss: a factor that equals the length of one of their axes is named after it.
    noise : float
        σ of the loss where it is known; measured first if 0.
    resolution, seed, max_evaluations
        As for :func:`locate`.
    bar : Progress, optional
    warnings : sequence of str
        To be repeated in the answer.
    further_warnings : list of str, optional
        The same, but filled while ``evaluate`` runs.
    claim : callable, optional
        The gradient claimed at such a mapping: asked where kinks might explain what looks wrong.

    Returns
    -------
    Location
    """

    def laid_out(
        at: Mapping[Path, FloatArray], gradient: Mapping[Path, FloatArray], *spawn: int
    ) -> list[Block]:
        return [
            Block(
                path,
                at[path],
                gradient[path],
                max(rounding, _stored_precision(gradient[path])),
                None if error is None or not np.any(error[path]) else error[path],
                np.random.SeedSequence(seed, spawn_key=(*spawn, number)),
            )
            for number, path in enumerate(theta)
        ]

    @cache
    def there() -> tuple[Prober, dict[Path, Block]] | None:
        """The same search beside θ."""
        rng = np.random.default_rng([seed, 1])
        shifted = {path: moved(array, aside(array, rng)) for path, array in theta.items()}
        try:
            gradient = claim(shifted) if claim is not None else {}
            center = evaluate(shifted)
        except (SubjectError, InputError):
            return None
        if set(gradient) != set(theta) or not math.isfinite(center):
            return None
        assert prober is not None
        left = None if max_evaluations is None else max(max_evaluations - prober.evaluations - 1, 0)
        other = Prober(shifted, evaluate, center=center, noise=prober.noise, most=left)
        probers.append(other)
        return other, {block.path: block for block in laid_out(shifted, gradient, 1)}

    def beside_theta(block: Block) -> tuple[Prober, Block] | None:
        found = there()
        return None if found is None else (found[0], found[1][block.path])

    probers: list[Prober] = []
    tensors = laid_out(theta, claimed)
    search: Search | None = None
    prober: Prober | None = None
    reason = ""
    try:
        center = evaluate(theta)
        if not math.isfinite(center):
            raise InputError(
                f"the loss is {center} at the given parameters: a gradient can only be looked at where it is finite."
            )
        expected = EVALUATIONS_NOISE + EVALUATIONS_TENSOR * len(tensors)

        def advance(done: int) -> None:
            if bar is not None:
                bar.advance(done, max(expected, done + EVALUATIONS_TENSOR))

        prober = Prober(theta, evaluate, center=center, noise=noise, most=max_evaluations, advance=advance)
        probers.append(prober)
        search = Search(
            prober, tensors, np.random.default_rng(seed), resolution=resolution, beside=beside_theta
        )
        search.run()
    except SpentError:
        reason = f"stopped after {max_evaluations} evaluations, as many as were allowed"
    except HungError:
        reason = "stopped at the time limit"
    return _location(
        name, tensors, search, probers, args, resolution, seed, reason, [*warnings], further_warnings
    )


def _location(
    name: str,
    tensors: list[Block],
    search: Search | None,
    probers: Sequence[Prober],
    args: tuple[Any, ...],
    resolution: float | None,
    seed: int,
    reason: str,
    warnings: list[str],
    further: list[str] | None,
) -> Location:
    findings = [found for block in tensors for found in _nonfinite(block)]
    limits: dict[str, Limit] = {}
    whole: set[Path] = set()
    if search is not None:
        findings += [finding(fault, sizes_of(args)) for fault in search.faults]
        limits = {str(path): Limit.of(sight) for path, sight in search.sights.items()}
        whole = {f.path for f in search.faults if all(isinstance(i, slice) for i in f.index)}
        warnings += [f"{path}: {why}" for path, why in search.blind.items()]
    if reason:
        warnings.append(reason)
    warnings += further or []
    missing = [b.path for b in tensors if b.theta.size and str(b.path) not in limits and b.path not in whole]
    if resolution is not None:
        for path, limit in limits.items():
            if limit.typical > 0.0 and not limit.relative <= resolution:
                warnings.append(
                    f"{path}: only errors above {limit.relative:.1e} of an entry are visible, {resolution:.1e} was asked "
                    "for; a loss in float64, without a large constant, and on a smaller batch shows more"
                )
    blind = bool(search is None or search.blind)
    coarse = resolution is not None and any(
        lim.typical > 0.0 and not lim.relative <= resolution for lim in limits.values()
    )
    evaluations = 1 + sum(1 + prober.evaluations for prober in probers)
    return Location(
        tuple(findings),
        not (missing or blind or reason or coarse),
        limits,
        evaluations,
        seed,
        tuple(dict.fromkeys(warnings)),
        name,
    )


def _check_evaluations(max_evaluations: object) -> None:
    if max_evaluations is not None and (
        isinstance(max_evaluations, bool)
        or not isinstance(max_evaluations, int | np.integer)
        or max_evaluations < 1
    ):
        raise InputError(f"max_evaluations is {max_evaluations!r}; give a whole number above 0, or None.")


def _private(array: FloatArray) -> FloatArray:
    """A leaf in the order in which it is worked on, not to be written to."""
    kept = np.ascontiguousarray(array).reshape(array.shape)
    kept.setflags(write=False)
    return kept


def _shown(argument: Tree) -> Tree:
    """A copy of an argument whose arrays are read-only."""
    copied = tree.copy(argument)
    for _, leaf in tree.leaves(copied):
        if isinstance(leaf, np.ndarray):
            leaf.setflags(write=False)
    return copied


@dataclass(eq=False)
class _Lean:
    """The caller's loss, given read-only arrays without copying them, as long as it takes them so."""

    subject: Subject
    params: Tree
    args: tuple[Any, ...]
    theta: Mapping[Path, FloatArray]
    clock: Clock
    copies: bool = False
    checked: bool = False
    warnings: list[str] = field(default_factory=list)

    def __call__(self, arrays: Mapping[Path, FloatArray]) -> float:
        if self.clock.struck:
            raise HungError
        if self.copies:
            return self._number(arrays, copies=True)
        try:
            value = self._number(arrays, copies=False)
        except (SubjectError, InputError):
            # it may have tried to write, or to hand an array to code that wants a writable one
            value = self._number(arrays, copies=True)
            self._from_now_on("the loss does not take read-only arrays")
            return value
        if not self.checked:
            self.checked = True
            if self._changed():
                self._from_now_on("the loss changes its parameters in place")
                return self._number(arrays, copies=True)
        return value

    def _changed(self) -> bool:
        """Whether code outside NumPy wrote into what was read-only; our copy is then made good again."""
        given = dict(tree.leaves(self.params))
        changed = False
        for path, array in self.theta.items():
            if not np.array_equal(array, np.asarray(given[path])):
                changed = True
                array.setflags(write=True)
                array[...] = given[path]
                array.setflags(write=False)
        return changed

    def _from_now_on(self, why: str) -> None:
        self.copies = True
        self.warnings.append(
            f"{why}: it was given fresh copies of everything at each call, which takes longer"
        )

    def _number(self, arrays: Mapping[Path, FloatArray], *, copies: bool) -> float:
        kept = [np.array(array) if copies else array for array in arrays.values()]
        params = tree.restore(self.params, kept)
        args = tuple(tree.copy(argument) for argument in self.args) if copies else self.args
        evaluate = self.subject.loss
        assert evaluate is not None
        try:
            value = guarded_call(lambda: evaluate(params, *args), self.clock)
        except (HungError, InputError):
            raise
        except (Exception, SystemExit) as error:
            raise SubjectError(
                f"the loss of {self.subject.name} raised {type(error).__name__}: {error}{where_raised(error)}"
            ) from from_its_own_frame(error)
        number, fault = scalar_loss(value)
        if fault:
            raise InputError(f"the loss of {self.subject.name} cannot be differenced: {fault}.")
        return number


def _stored_precision(claim: FloatArray) -> float:
    """U of float32 for a claim that is float64 by type, but holds float32 numbers only."""
    if not claim.size or not claim.any():
        return 0.0
    single = float(np.finfo(np.float32).eps) / 2.0
    finite = claim[np.isfinite(claim)]
    return single if np.array_equal(finite, finite.astype(np.float32).astype(claim.dtype)) else 0.0


def _nonfinite(block: Block) -> list[Finding]:
    """What needs no evaluation to be seen."""
    wrong = ~np.isfinite(block.claimed)
    count = int(np.count_nonzero(wrong))
    if not count:
        return []
    where = np.argwhere(wrong)
    first = tuple(int(i) for i in where[0])
    if count <= MOST_NONFINITE:
        places = [tuple(int(i) for i in at) for at in where]
        return [
            nonfinite(block.path, at, float(block.claimed[at]), f"claimed {float(block.claimed[at])}")
            for at in places
        ]
    # a row or a column, if that is what they are
    index = tuple(
        int(axis[0]) if axis.min() == axis.max() and n > 1 else slice(None)
        for axis, n in zip(where.T, block.shape, strict=True)
    )
    share = "every entry is" if wrong[index].all() else f"{count} of {wrong[index].size} entries are"
    example = f"[{', '.join(map(str, first))}]"
    return [nonfinite(block.path, index, math.nan, f"{share} NaN or infinite, the first at {example}")]
