"""compare_update(): an optimiser against the rule that it should be."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.agreement import RESOLUTION
from bpcheck.check.contract import Clock, HungError, guarded
from bpcheck.check.options import seed_or_drawn
from bpcheck.check.update.forms import Optimizer, Run, optimizer_of
from bpcheck.check.update.infer import PROBES, guesses, probe, row_of
from bpcheck.check.update.named import named
from bpcheck.check.update.scenario import NESTINGS, ORDINARY, Scenario, scenarios
from bpcheck.check.update.trajectory import Step, Trajectory, first_wrong, follows, judged
from bpcheck.errors import InputError, SubjectError
from bpcheck.reference.optimizer import Rule
from bpcheck.report.progress import Progress, progress_bar
from bpcheck.result import Comparison, DetectionLimit, Report
from bpcheck.tree import Tree
from bpcheck.verdict import Verdict

__all__ = ["compare_update"]


def compare_update(
    step: Any,
    *,
    rule: Rule | None = None,
    params: Tree = None,
    dtype: Any = np.float64,
    seed: int | None = None,
    time_limit: float | None = None,
    progress: Any = None,
) -> Report:
    """Hold an optimiser against the rule that it should be, step by step.

    Random parameters and gradients (of all sizes, zero, sparse, the same again, 200 of them in a row; saved and restored
    halfway where the state is handed out) are given to both. The rule starts each step from the parameters that the
    optimiser has reached; they must move alike to rounding, which is bounded by running the rule on balls.

    Parameters
    ----------
    step : callable, object or class
        ``step(params, gradient, state) -> (params, state)``, where the first state is None; or a class or an object with
        a method ``update``, ``step`` or ``apply`` ``(params, gradient)``, or such a function, that returns new parameters or
        changes them in place. A class is called, and an object copied, for each run, so that it begins anew. For
        torch.optim and Keras see :func:`bpcheck.from_optimizer`.
    rule : Rule, optional
        One of :mod:`bpcheck.reference.optimizer` with its hyperparameters, such as ``Adam(lr=0.01)``. None infers which
        rule it is, from its answers to gradients made for that, and says so: that cannot find a mistake which is another
        known rule.
    params : tree of arrays, optional
        Parameters whose nesting, shapes and dtype are used; random ones by default, in the first nesting that it takes of
        ``[{weight, bias}]``, ``{W1, b1, W2, b2}``, a list, and one array.
    dtype : dtype
        Of random parameters and gradients: float64 or float32.
    seed : int, optional
        Drawn and reported if not given.
    time_limit : float, optional
        Seconds.
    progress : bool or callable, optional
        As for :func:`bpcheck.compare`.

    Returns
    -------
    Report
        One comparison for each tensor, of the first step that is wrong; ``actual`` and ``expected`` are the changes of
        the parameters. A bug of ``bpcheck.diagnosis.UPDATES`` is named where the rule with that mistake takes exactly the
        steps that were taken.

    Raises
    ------
    InputError
        If an argument cannot be used as given.
    SubjectError
        If the optimiser raises; its exception is the ``__cause__``.

    Examples
    --------
    >>> from bpcheck.reference.optimizer import Momentum
    >>> def step(params, gradient, v):
    ...     old = [{n: 0.0 for n in layer} for layer in params] if v is None else v
    ...     v = [{n: 0.9 * old[k][n] + g for n, g in layer.items()} for k, layer in enumerate(gradient)]
    ...     return [{n: w - 0.1 * v[k][n] for n, w in layer.items()} for k, layer in enumerate(params)], v
    >>> compare_update(step, rule=Momentum(lr=0.1, momentum=0.9), seed=0).verdict
    <Verdict.AGREES>
    >>> print(compare_update(step, seed=0).inferred)
    Momentum(lr=0.1, momentum=0.9), from its steps; params [{weight, bias}]
    """
    if rule is not None and not isinstance(rule, Rule):
        raise InputError(
            f"rule is {tree.describe(rule)}; give one of bpcheck.reference.optimizer, such as Adam(lr=0.001), or None."
        )
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise InputError(f"dtype is {dtype!r}; float64 and float32 are compared.") from error
    if kind not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise InputError(f"dtype is {dtype!r}; float64 and float32 are compared.")
    used = seed_or_drawn(seed)
    optimizer, clock = optimizer_of(step), Clock.start(time_limit)
    with guarded(), progress_bar(progress, "stepping") as bar:
        check = _Check(optimizer, clock, np.random.default_rng(used), kind, params, bar)
        try:
            report = check.against(rule)
        except HungError:
            summary = "Stopped: the optimiser did not return within the time limit."
            report = Report(optimizer.name, Verdict.INCONCLUSIVE, summary=summary)
    return replace(report, seed=used, evaluations=check.calls)


@dataclass(eq=False)
class _Check:
    optimizer: Optimizer
    clock: Clock
    rng: np.random.Generator
    dtype: Any
    given: Tree
    bar: Progress
    calls: int = 0
    nesting: str = NESTINGS[0]
    warnings: list[str] = field(default_factory=list)
    gradient_changed: bool = False
    first: tuple[Run, Step] | None = None

    def against(self, rule: Rule | None) -> Report:
        self.nesting = self._nesting()
        inferred = "" if self.given is not None else f"params {self.nesting}"
        if rule is None:
            rule = self._inferred()
            if rule is None:
                return self._unknown()
            inferred = "; ".join([f"{_shown(rule)}, from its steps", *([inferred] if inferred else [])])
        trajectories: list[Trajectory] = []
        found: list[list[list[Comparison]]] = []
        for scenario in self._scenarios():
            try:
                trajectory = self._run(scenario)
            except _WrongFormError as error:
                wrong = Comparison(error.path, Verdict.WRONG_STRUCTURE, error.reason)
                return self._report(Verdict.WRONG_STRUCTURE, (wrong,), inferred=inferred)
            compared = judged(rule, trajectory)
            if scenario.same_arrays:
                self._keeps_gradients(compared)
                continue
            trajectories.append(trajectory)
            found.append(compared)
            if first_wrong(found[-1]) is not None:
                break
        return self._summed(rule, trajectories, found, inferred)

    def _keeps_gradients(self, compared: list[list[Comparison]]) -> None:
        """Right with new arrays at each step, as in the runs before, and wrong where they are used again."""
        if first_wrong(compared) is not None:
            self.warnings.append(
                "it keeps the gradient's own array, not a copy: its steps are wrong wherever the next gradient is written "
                "into the same array, as with gradients that are set to zero in place. Keep gradient.copy()"
            )

    # --- running -----------------------------------------------------------------------------------

    def _begun(self) -> Run:
        return Run(self.optimizer.fresh(), self.optimizer.name, self.clock)

    def _scenarios(self) -> Iterator[Scenario]:
        listed = list(
            scenarios(self.rng, self.nesting, self.dtype, like=self.given, saves=self.optimizer.keeps_state)
        )
        if not self.optimizer.begins_anew:
            self.warnings.append(
                "a function without a state cannot be told to begin anew: it was run once. If it remembers anything, give a "
                "class, an object, or step(params, gradient, state)"
            )
            alone = [one for one in listed if not (one.beside or one.same_arrays)]
            every = [gradient for one in alone for gradient in one.gradients]
            listed = [Scenario("gradients of every kind in a row", listed[0].params, every)]
        for i, scenario in enumerate(listed):
            self.bar.advance(i, len(listed), evaluations=self.calls)
            yield scenario

    def _run(self, scenario: Scenario) -> Trajectory:
        run, params, steps = self._begun(), tree.copy(scenario.params), []
        if self.first is not None:  # it remembers that step
            run, steps = self.first[0], [self.first[1]]
            params = steps[0].after
        run.same_arrays = scenario.same_arrays
        other = self._begun() if scenario.beside else None
        for i, gradient in enumerate(scenario.gradients):
            if scenario.saved_after == i:
                run.state, run.held = self._restored(run.state), None
            if other is not None:  # what it keeps must be its own, not its class's or its module's
                other(scenario.params, scenario.gradients[-1 - i])
            self.calls += 1
            new = run(params, gradient)
            _same_form(params, new)
            new = _copied(params, new)
            steps.append(Step(params, gradient, new))
            params = new
        self.gradient_changed |= run.gradient_changed
        return Trajectory(scenario.name, tuple(steps))

    def _restored(self, state: Any) -> Any:
        try:
            return copy.deepcopy(state)
        except (TypeError, copy.Error) as error:
            self.warnings.append(
                f"its state cannot be copied ({error}): whether it can be saved was not tried"
            )
            return state

    def _nesting(self) -> str:
        """The first form of parameters that one step of it takes; the caller's if there are such."""
        if self.given is not None:
            leaves = [leaf for _, leaf in tree.leaves(self.given)]
            if not leaves or any(
                not isinstance(leaf, np.ndarray) or leaf.dtype.kind != "f" for leaf in leaves
            ):
                raise InputError(
                    f"params is {tree.describe(self.given)}; give float arrays, nested in any way."
                )
            self.dtype = leaves[0].dtype
            return NESTINGS[0]
        errors = []
        for nesting in NESTINGS:
            scenario = next(scenarios(np.random.default_rng(0), nesting, self.dtype))
            try:
                run = self._begun()
                new = run(scenario.params, scenario.gradients[0])
                _same_form(scenario.params, new)
                if not self.optimizer.begins_anew:
                    self.first = (
                        run,
                        Step(scenario.params, scenario.gradients[0], _copied(scenario.params, new)),
                    )
            except (SubjectError, InputError, _WrongFormError) as error:
                errors.append(error)
                continue
            finally:
                self.calls += 1
            return nesting
        for nesting, why in zip(NESTINGS[:-1], errors, strict=False):
            if isinstance(why, _WrongFormError):
                return nesting  # it runs, and what it returns is said
        raise errors[0]

    def _inferred(self) -> Rule | None:
        if not self.optimizer.begins_anew:
            return None
        like = self.given
        if like is None:
            like = next(scenarios(np.random.default_rng(0), self.nesting, np.float64)).params
            if self.nesting == "one array":
                like = np.zeros(PROBES)
        if sum(np.size(leaf) for _, leaf in tree.leaves(like)) < PROBES:
            raise InputError(
                f"params holds fewer than {PROBES} numbers, too few to infer a rule from: give rule=, or larger arrays."
            )
        answers = probe(self._begun(), row_of(like))
        trial = self._run(next(scenarios(self.rng, self.nesting, self.dtype, like=self.given)))
        return next((rule for rule in guesses(answers) if follows(rule, [trial])), None)

    # --- reporting ---------------------------------------------------------------------------------

    def _unknown(self) -> Report:
        return self._report(
            Verdict.INCONCLUSIVE,
            summary="Its steps are those of no rule that is known, or of one whose numbers could not be read off.",
            remedies=(
                "say which rule it should be: rule=bpcheck.reference.optimizer.Adam(lr=…), for instance",
            ),
        )

    def _summed(
        self,
        rule: Rule,
        trajectories: Sequence[Trajectory],
        found: Sequence[list[list[Comparison]]],
        inferred: str,
    ) -> Report:
        wrong = first_wrong(found[-1])
        if wrong is None:
            limits = _limits(trajectories, found)
            verdict = Verdict.AGREES
            if not max(limits.values(), default=np.inf) <= RESOLUTION:
                verdict = Verdict.INCONCLUSIVE
            return self._passed(rule, found, limits, verdict, inferred)
        place = f"step {wrong + 1} of the run “{trajectories[-1].name}”"
        diagnosis = named(rule, trajectories, found[-1], wrong, place)
        return self._report(
            Verdict.worst(c.verdict for c in found[-1][wrong]),
            tuple(found[-1][wrong]),
            diagnoses=(diagnosis,),
            inferred=inferred,
            summary=f"Wrong in {place} (the numbers below are the changes of the parameters in that step).",
        )

    def _passed(
        self,
        rule: Rule,
        found: Sequence[list[list[Comparison]]],
        limits: dict[str, float],
        verdict: Verdict,
        inferred: str,
    ) -> Report:
        if verdict is Verdict.AGREES:
            steps = sum(len(one) for one in found)
            remedies: tuple[str, ...] = ()
            summary = (
                f"All {steps:,} steps of {len(found)} run{'s' * (len(found) != 1)} lie within the rounding of "
                f"{_shown(rule)}. What is compared is "
                "the change of the parameters in a step."
            )
        else:
            summary = "The steps are so small beside the parameters that their rounding hides them."
            remedies = ("compare with a larger learning rate, or in float64",)
        return self._report(
            verdict, tuple(found[0][0]), limits=limits, inferred=inferred, summary=summary, remedies=remedies
        )

    def _report(
        self,
        verdict: Verdict,
        comparisons: tuple[Comparison, ...] = (),
        *,
        limits: dict[str, float] | None = None,
        **rest: Any,
    ) -> Report:
        warnings = list(self.warnings)
        if self.gradient_changed:
            warnings.append(
                "it changes the gradient that it is given; whoever uses it afterwards has another one"
            )
        return Report(
            self.optimizer.name,
            verdict,
            comparisons,
            detection_limit=DetectionLimit(limits or {}),
            warnings=tuple(warnings),
            **rest,
        )


class _WrongFormError(Exception):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


def _same_form(before: Tree, after: Tree) -> None:
    """Refuse new parameters that are nested or shaped otherwise."""
    old, new = dict(tree.leaves(before)), dict(tree.leaves(after))
    for path, leaf in old.items():
        if path not in new:
            raise _WrongFormError(str(path), "it is missing in the new parameters")
        if np.shape(new[path]) != leaf.shape:
            raise _WrongFormError(
                str(path), f"the new parameter has shape {np.shape(new[path])}, the old one {leaf.shape}"
            )
        if not isinstance(new[path], np.ndarray | np.generic):  # NumPy makes scalars of arrays without axes
            raise _WrongFormError(str(path), f"the new parameter is {tree.describe(new[path])}, no array")
        if leaf.dtype.kind == "f" and np.finfo(new[path].dtype).eps > np.finfo(leaf.dtype).eps:
            raise _WrongFormError(
                str(path),
                f"the new parameter is {new[path].dtype}, the old one {leaf.dtype}. If it computes in {new[path].dtype} on "
                f"purpose, compare with dtype={new[path].dtype}",
            )
    extra = next((path for path in new if path not in old), None)
    if extra is not None:
        raise _WrongFormError(str(extra), "the old parameters have no such entry")


def _copied(before: Tree, after: Tree) -> Tree:
    """New parameters of the same form, as arrays of our own."""
    new = dict(tree.leaves(after))
    return tree.restore(before, [np.array(new[path]) for path, _ in tree.leaves(before)])


def _limits(
    trajectories: Sequence[Trajectory], found: Sequence[Sequence[Sequence[Comparison]]]
) -> dict[str, float]:
    """What an error of a step must be, beside the step, to be seen for certain at its best place.

    Huge gradients do not count: with them even a step is seen that rounding hides in all training.
    """
    best: dict[str, float] = {}
    for trajectory, run in zip(trajectories, found, strict=True):
        for step, compared in zip(trajectory.steps, run, strict=True):
            if any(np.max(abs(leaf), initial=0.0) > ORDINARY for _, leaf in tree.leaves(step.gradient)):
                continue
            for c in compared:
                if c.verdict.ok and c.expected is not None and np.any(c.expected):
                    best[c.path] = min(best.get(c.path, np.inf), c.detection_limit)
    return best


def _shown(rule: Rule) -> str:
    """The rule with what differs from its defaults, η always."""
    default = type(rule)()
    said = [f"lr={rule.lr:g}"] if hasattr(rule, "lr") else []
    for name in rule.__dataclass_fields__:
        value = getattr(rule, name)
        if name != "lr" and (value != getattr(default, name) or name in ("momentum", "beta1", "beta2")):
            said.append(f"{name}={_shown(value) if isinstance(value, Rule) else repr(value)}")
    return f"{type(rule).__name__}({', '.join(said)})"
