"""Bugs of the update: the gradient is right, and what is done with it is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from bpcheck import tree
from bpcheck.diagnosis.bug import Hints
from bpcheck.diagnosis.words import sentence_case
from bpcheck.reference.optimizer import SGD, Adam, Clipped, Grouped, Momentum, Nesterov, RMSprop, Rule, State
from bpcheck.reference.optimizer.arithmetic import constant, power, sqrt
from bpcheck.reference.optimizer.rule import Slots
from bpcheck.tree import Tree

__all__ = ["UPDATES", "UpdateBug"]


Leaf = Callable[[Any, Any, Any, Slots, int, float], tuple[Any, Slots]]


@dataclass(frozen=True)
class UpdateBug:
    """A known mistake in an update, able to take the steps that code with it takes.

    Attributes
    ----------
    slug, title, explanation, hints
        As of :class:`bpcheck.diagnosis.bug.Bug`; the hints are its symptom, question and line.
    mutate : callable
        ``mutate(rule)`` is the rule with the mistake in it, or None where the rule has no place for it.
    silent : str
        Where it cannot be seen.

    Examples
    --------
    >>> bug = UPDATES["adam-no-bias-correction"]
    >>> bug.mutate(Adam()).bias_correction
    False
    """

    slug: str
    title: str
    explanation: str
    symptom: str
    question: str
    line: str
    mutate: Callable[[Any], Rule | None]
    silent: str = ""

    @property
    def hints(self) -> Hints:
        """Each telling more than the one before."""
        return self.symptom, self.question, self.line

    @property
    def sentence(self) -> str:
        """The explanation, as a sentence begins."""
        return sentence_case(self.explanation)


@dataclass(frozen=True, kw_only=True)
class _Instead(Rule):
    """A rule whose whole step, or whose equation for one array, is another one."""

    rule: Rule
    whole: Callable[..., tuple[Tree, State]] | None = None
    one: Leaf | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return self.rule.names

    def init(self, params: Tree) -> State:
        return self.rule.init(params)

    def step(
        self, params: Tree, gradient: Tree, state: State, *, lr: float | None = None
    ) -> tuple[Tree, State]:
        if self.whole is not None:
            return self.whole(self.rule, params, gradient, state)
        return super().step(params, gradient, state, lr=lr)

    def leaf(self, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        assert self.one is not None
        return self.one(self.rule, w, g, slots, t, lr)


Mutation: TypeAlias = Callable[[Any], Rule | None]
"""A rule with a mistake in it; None where there is no place for the mistake."""


def _step(whole: Callable[..., tuple[Tree, State]]) -> Mutation:
    return lambda rule: _Instead(rule=rule, whole=whole)


def _innermost(change: Mutation) -> Mutation:
    """A change of the rule that is clipped, or given to groups, if it is either."""

    def mutate(rule: Rule) -> Rule | None:
        if not isinstance(rule, Clipped | Grouped):
            return change(rule)
        inner = mutate(rule.rule)
        return None if inner is None else rule.but(rule=inner)

    return mutate


def _leaf(kind: type[Rule], one: Leaf, **needed: Any) -> Mutation:
    """Another equation for rules of one kind (and with some hyperparameters)."""

    def change(rule: Rule) -> Rule | None:
        if not isinstance(rule, kind) or any(getattr(rule, n) != v for n, v in needed.items()):
            return None
        shared = {name: getattr(rule, name) for name in ("lr", "weight_decay", "decoupled", "l1")}
        return _Instead(rule=rule, one=one, **shared)

    return _innermost(change)


def _but(kind: Any, changed: Callable[[Any], Mapping[str, Any] | None]) -> Mutation:
    """Other hyperparameters for rules of one kind."""

    def change(rule: Rule) -> Rule | None:
        other = changed(rule) if isinstance(rule, kind) else None
        return rule.but(**other) if other else None

    return _innermost(change)


def _set(kind: Any, name: str, value: Any) -> Mutation:
    """One hyperparameter of rules of one kind set to a value, where it is another."""
    return _but(kind, lambda rule: {name: value} if getattr(rule, name, value) != value else None)


def _up(rule: Rule, params: Tree, gradient: Tree, state: State) -> tuple[Tree, State]:
    new, after = rule.step(params, gradient, state)
    return tree.mapped(lambda w, moved: w * 2.0 - moved, params, new), after


def _nothing(rule: Rule, params: Tree, gradient: Tree, state: State) -> tuple[Tree, State]:
    return params, rule.step(params, gradient, state)[1]


def _forgetful(rule: Rule, params: Tree, gradient: Tree, state: State) -> tuple[Tree, State]:
    new, _ = rule.step(params, gradient, rule.init(params))
    return new, dataclasses.replace(state, step=state.step + 1)


def _summed(rule: Rule, params: Tree, gradient: Tree, state: State) -> tuple[Tree, State]:
    before = state.slots.get("sum of gradients")
    total = gradient if before is None else tree.mapped(lambda a, b: a + b, before, gradient)
    new, after = rule.step(params, total, state)
    return new, State(after.step, {**after.slots, "sum of gradients": total})


def _one_behind(rule: Rule, params: Tree, gradient: Tree, state: State) -> tuple[Tree, State]:
    before = state.slots.get("gradient before")
    if before is None:
        before = tree.mapped(lambda g: g * 0.0, gradient)
    new, after = rule.step(params, before, state)
    return new, State(after.step, {**after.slots, "gradient before": gradient})


def _momentum_sign(rule: Any, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
    return rule.leaf(w, g, {**slots, "v": -slots["v"]}, t, lr)  # type: ignore[no-any-return]


def _own_count(count: Callable[[int], int]) -> Leaf:
    return lambda rule, w, g, slots, t, lr: rule.leaf(w, g, slots, count(t), lr)


def _corrected(average: Any, beta: float, t: int) -> Any:
    """An average of Adam's without the share of its start at 0."""
    return average / (1 - power(constant(beta, average), t))


def _root_missing(rule: Any, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
    _, kept = rule.leaf(w, g, slots, t, lr)
    m, v = g, kept["v"]
    if isinstance(rule, Adam):
        m, v = _corrected(kept["m"], rule.beta1, t), _corrected(v, rule.beta2, t)
    return w - constant(lr, w) * m / (v + constant(rule.epsilon, w)), kept


def _one_correction(which: str) -> Leaf:
    def one(rule: Any, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        _, kept = rule.leaf(w, g, slots, t, lr)
        m, v = kept["m"], kept["v"]
        if which == "m":
            m = _corrected(m, rule.beta1, t)
        else:
            v = _corrected(v, rule.beta2, t)
        return w - constant(lr, w) * m / (sqrt(v) + constant(rule.epsilon, w)), kept

    return one


def _shrunk(rule: Rule, by: float) -> Rule:
    """A rule without its decay, after which the weights shrink by a share of themselves."""

    def whole(inner: Rule, params: Tree, gradient: Tree, state: State) -> tuple[Tree, State]:
        new, after = inner.step(params, gradient, state)
        return tree.mapped(lambda w, moved: moved - w * by, params, new), after

    return _Instead(rule=rule.but(weight_decay=0.0), whole=whole)


def _decay_without_rate(rule: Rule) -> Rule | None:
    return _shrunk(rule, rule.weight_decay) if rule.weight_decay and rule.decoupled else None


def _decay_sign(rule: Rule) -> Rule | None:
    if not rule.weight_decay:
        return None
    if rule.decoupled:
        return _shrunk(rule, -rule.lr * rule.weight_decay)

    def whole(inner: Rule, params: Tree, gradient: Tree, state: State) -> tuple[Tree, State]:
        return inner.step(
            params, tree.mapped(lambda g, w: g - w * rule.weight_decay, gradient, params), state
        )

    return _Instead(rule=rule.but(weight_decay=0.0), whole=whole)


def _without_look_ahead(rule: Rule) -> Rule | None:
    if not isinstance(rule, Nesterov):
        return None
    return Momentum(**{f.name: getattr(rule, f.name) for f in dataclasses.fields(Momentum)})


def _has_averages(rule: Rule) -> bool:
    return _has_averages(rule.rule) if isinstance(rule, Clipped | Grouped) else bool(rule.names)


def _moves_averages(rule: Rule) -> bool:
    """Whether it matters to a rule if weights decay beside its averages or through them."""
    return bool(rule.weight_decay) and not isinstance(rule, SGD)


def _swapped(rule: Any) -> Mapping[str, Any] | None:
    names = ("decay",) if isinstance(rule, RMSprop) else ("beta1", "beta2") if isinstance(rule, Adam) else ()
    # 1 − 0 is no share: nothing would be kept of a new gradient
    return {name: 1.0 - getattr(rule, name) for name in names if getattr(rule, name) > 0}


BUGS = (
    UpdateBug(
        "update-sign",
        "uphill",
        "the step goes up the gradient instead of down.",
        "Every parameter moves the right distance in the wrong direction.",
        "Which sign stands before η?",
        "Subtract: w −= η g.",
        _step(_up),
    ),
    UpdateBug(
        "rebound-not-updated",
        "nothing moves",
        "the new value was bound to a local name, and the parameters stayed as they were.",
        "No parameter changes.",
        "Does the caller see the new arrays?",
        "Change arrays in place (w -= lr * g), or return the new ones.",
        _step(_nothing),
    ),
    UpdateBug(
        "accumulated",
        "gradients that are never reset",
        "the k-th step is taken with the sum of all gradients so far.",
        "The first step is right, and the steps grow.",
        "When are the gradients set to zero?",
        "Set the gradients to zero before each backward pass.",
        _step(_summed),
        "the first step",
    ),
    UpdateBug(
        "gradient-of-the-step-before",
        "one step behind",
        "each step uses the gradient of the step before.",
        "The first step does nothing, and every later one is the one that should have been before.",
        "Is the gradient computed before or after it is used?",
        "Compute the gradient first, then step.",
        _step(_one_behind),
        "equal gradients",
    ),
    UpdateBug(
        "state-lost",
        "the state begins anew at every step",
        "the running averages are set to their start at every step.",
        "The first step is right, and every later one is a first step.",
        "Where are the running averages kept between two steps?",
        "Keep the state: create it once, outside the step.",
        lambda rule: _Instead(rule=rule, whole=_forgetful) if _has_averages(rule) else None,
        "the first step",
    ),
    UpdateBug(
        "momentum-sign",
        "the momentum against the gradient",
        "what is kept of the past enters with the wrong sign: v ← g − μv.",
        "The first step is right, the second is too small where it should be larger.",
        "With which sign does the old v enter the new one?",
        "v ← μv + g with w ← w − ηv; or v ← μv − ηg with w ← w + v: not one line of each.",
        _leaf(Momentum, _momentum_sign),
        "the first step",
    ),
    UpdateBug(
        "nesterov-lookahead-missing",
        "momentum without the look ahead",
        "the step is that of plain momentum: the gradient is not taken ahead.",
        "Steps are too small by ημ times the change of v.",
        "Which of v and g + μv is the step taken along?",
        "Step along g + μv with the new v.",
        _innermost(_without_look_ahead),
    ),
    UpdateBug(
        "momentum-average-for-sum",
        "an average of gradients for their sum",
        "v is an average, v ← μv + (1 − μ)g, where a sum is meant: every step is 1 − μ of what it should be.",
        "Every step is the same fraction of the right one.",
        "Does the new gradient enter v whole, or with 1 − μ?",
        "v ← μv + g. (Or multiply η by 1/(1 − μ), and call the average meant.)",
        _set(Momentum, "form", "average"),
    ),
    UpdateBug(
        "momentum-sum-for-average",
        "a sum of gradients for their average",
        "v is a sum, v ← μv + g, where an average is meant: every step is 1/(1 − μ) of what it should be.",
        "Every step is the same multiple of the right one.",
        "Does the new gradient enter v whole, or with 1 − μ?",
        "v ← μv + (1 − μ)g.",
        _but(Momentum, lambda rule: {"form": "sum"} if rule.form == "average" else None),
    ),
    UpdateBug(
        "adam-no-bias-correction",
        "m and v not corrected",
        "the averages m and v, which start at 0, are used as they are.",
        "The first step is (1 − β₁)/√(1 − β₂) times the right one, 3.16 at the usual βs; late steps are right.",
        "How large are m and v after one step, beside g and g²?",
        "Use m/(1 − β₁ᵗ) and v/(1 − β₂ᵗ), t counted from 1.",
        _set(Adam, "bias_correction", False),
        "late steps",
    ),
    UpdateBug(
        "adam-only-m-corrected",
        "v not corrected",
        "m is divided by 1 − β₁ᵗ, and v is not.",
        "The first step is 1/√(1 − β₂) times the right one, 32 at the usual β₂.",
        "Which of the two averages start at 0?",
        "Correct both: m/(1 − β₁ᵗ) and v/(1 − β₂ᵗ).",
        _leaf(Adam, _one_correction("m"), bias_correction=True, amsgrad=False),
        "late steps",
    ),
    UpdateBug(
        "adam-only-v-corrected",
        "m not corrected",
        "v is divided by 1 − β₂ᵗ, and m is not.",
        "The first step is 1 − β₁ times the right one, a tenth at the usual β₁.",
        "Which of the two averages start at 0?",
        "Correct both: m/(1 − β₁ᵗ) and v/(1 − β₂ᵗ).",
        _leaf(Adam, _one_correction("v"), bias_correction=True, amsgrad=False),
        "late steps",
    ),
    UpdateBug(
        "adam-step-not-counted",
        "t stays 1",
        "the corrections are those of the first step at every step.",
        "The first step is right, every later one is too small or too large.",
        "Where does t grow?",
        "Count the steps: t ← t + 1 before the corrections.",
        _leaf(Adam, _own_count(lambda t: 1), bias_correction=True),
        "the first step",
    ),
    UpdateBug(
        "adam-step-ahead",
        "t is one too large",
        "the corrections are those of the next step.",
        "The first step is wrong, late ones are right.",
        "Is t 1 or 2 at the first step?",
        "t is 1 at the first step: count it once.",
        _leaf(Adam, _own_count(lambda t: t + 1), bias_correction=True),
        "late steps",
    ),
    UpdateBug(
        "adam-epsilon-inside-root",
        "ε inside the root",
        "ε was added under the root.",
        "Steps are wrong where the gradient is small, and right where it is large.",
        "What is ε added to?",
        "Add it to the root: √v̂ + ε. (Both forms are in use, but one number means another ε in each.)",
        _set(Adam, "epsilon_at", "inside"),
        "gradients far above √ε",
    ),
    UpdateBug(
        "adam-epsilon-uncorrected",
        "ε beside the uncorrected root",
        "ε was added to √v before its correction, as in the paper's second form.",
        "Early steps are wrong where the gradient is small.",
        "Is v corrected before or after ε is added?",
        "Divide v by 1 − β₂ᵗ first. (Keras does it the other way.)",
        _but(
            Adam,
            lambda rule: (
                {"epsilon_at": "uncorrected"}
                if rule.bias_correction and rule.epsilon_at != "uncorrected"
                else None
            ),
        ),
        "gradients far above ε, late steps",
    ),
    UpdateBug(
        "epsilon-outside-root",
        "ε outside the root",
        "ε was added to the root instead of under it.",
        "Steps are wrong where the gradient is small, and right where it is large.",
        "What is ε added to?",
        "Add it under the root, √(v + ε), as the rule that was given says.",
        _set(Rule, "epsilon_at", "outside"),
        "gradients far above √ε",
    ),
    UpdateBug(
        "rmsprop-epsilon-inside-root",
        "ε inside the root",
        "ε was added under the root.",
        "Steps are wrong where the gradient is small, and right where it is large.",
        "What is ε added to?",
        "Add it to the root: √v + ε. (Keras has √(v + ε).)",
        _set(RMSprop, "epsilon_at", "inside"),
        "gradients far above √ε",
    ),
    UpdateBug(
        "rmsprop-decay-swapped",
        "ρ and 1 − ρ exchanged",
        "the past got the weight of the new gradient, and the new gradient that of the past.",
        "The averages forget at once.",
        "Which of ρ and 1 − ρ stands before the old average?",
        "v ← ρv + (1 − ρ)g².",
        _but(Rule, _swapped),
        "ρ = ½",
    ),
    UpdateBug(
        "adam-betas-exchanged",
        "β₁ and β₂ exchanged",
        "β₁ was used for the squares and β₂ for the mean.",
        "The first step is right, later ones are too small.",
        "Which β belongs to m?",
        "β₁, usually 0.9, belongs to m; β₂, usually 0.999, to v.",
        _but(
            Adam,
            lambda rule: {"beta1": rule.beta2, "beta2": rule.beta1} if rule.beta1 != rule.beta2 else None,
        ),
        "the first step",
    ),
    UpdateBug(
        "root-missing",
        "the root forgotten",
        "the gradient was divided by the mean square instead of its root.",
        "The step grows where the gradient is small: twice the gradient, half the step.",
        "What has the unit of a gradient, v or √v?",
        "Divide by √v + ε.",
        lambda rule: (
            _leaf(Adam, _root_missing, bias_correction=True, amsgrad=False)(rule)
            or _leaf(RMSprop, _root_missing, centered=False, momentum=0.0)(rule)
        ),
        "gradients of size 1",
    ),
    UpdateBug(
        "amsgrad-missing",
        "the largest v not kept",
        "v itself was used instead of the largest v so far.",
        "The first steps are right; steps are too large after a large gradient has been.",
        "Can the v that divides ever become smaller?",
        "Keep max(largest, v), and divide by its root.",
        _set(Adam, "amsgrad", False),
        "gradients that grow",
    ),
    UpdateBug(
        "rmsprop-not-centered",
        "the mean not subtracted",
        "the mean square was used instead of the variance.",
        "The step is too small where the gradient stays the same.",
        "What stands under the root, the mean of g² or that less the square of the mean?",
        "√(v − m²).",
        _set(RMSprop, "centered", False),
        "the mean of the gradients is 0",
    ),
    UpdateBug(
        "weight-decay-missing",
        "no weight decay",
        "the weights do not decay.",
        "What is missing is in proportion to the weights.",
        "Where does λ enter?",
        "Add λw to the gradient, or shrink w by ηλw, as the rule says.",
        _set(Rule, "weight_decay", 0.0),
        "λ = 0, weights 0",
    ),
    UpdateBug(
        "l1-missing",
        "no L1 penalty",
        "nothing draws the weights towards 0.",
        "What is missing is the same amount for every weight, with its sign.",
        "Where does λ₁ enter?",
        "Add λ₁ sign(w) to the gradient.",
        _set(Rule, "l1", 0.0),
        "λ₁ = 0",
    ),
    UpdateBug(
        "l1-as-l2",
        "L2 for L1",
        "λ₁w was added to the gradient instead of λ₁ sign(w).",
        "What is wrong is larger for large weights.",
        "What is the derivative of |w|?",
        "|w| has the derivative sign(w).",
        lambda rule: rule.but(l1=0.0, weight_decay=rule.l1) if rule.l1 and not rule.weight_decay else None,
        "λ₁ = 0, weights of size 1",
    ),
    UpdateBug(
        "weight-decay-coupled",
        "the decay passed through the averages",
        "λw was added to the gradient, where it should act on the weights alone: Adam with a penalty for AdamW.",
        "Weights with large gradients decay too little.",
        "Does λw go through m and v?",
        "w ← w − ηλw beside the step; leave the gradient alone.",
        _but(
            Rule,
            lambda rule: {"decoupled": False} if _moves_averages(rule) and rule.decoupled else None,
        ),
        "plain gradient descent",
    ),
    UpdateBug(
        "weight-decay-decoupled",
        "the decay beside the averages",
        "the weights shrink beside the step, where λw should be part of the gradient: AdamW for Adam with a penalty.",
        "Weights with large gradients decay too much.",
        "Does λw go through m and v?",
        "g ← g + λw before anything else.",
        _but(
            Rule,
            lambda rule: {"decoupled": True} if _moves_averages(rule) and not rule.decoupled else None,
        ),
        "plain gradient descent",
    ),
    UpdateBug(
        "weight-decay-sign",
        "weights that grow",
        "the decay has the wrong sign: the weights grow.",
        "What is wrong is twice the decay, in proportion to the weights.",
        "Does λw make w smaller?",
        "g + λw, or w − ηλw.",
        _decay_sign,
        "λ = 0, weights 0",
    ),
    UpdateBug(
        "weight-decay-without-rate",
        "a decay without η",
        "w shrinks by λw at every step instead of ηλw.",
        "What is wrong is in proportion to the weights, and does not depend on η.",
        "Does η stand before λ?",
        "w ← w − ηλw.",
        _decay_without_rate,
        "η = 1",
    ),
    UpdateBug(
        "clip-per-tensor-for-global",
        "each tensor clipped by its own norm",
        "each tensor was clipped by its own norm instead of all by the norm of all.",
        "Tensors with small gradients are too large beside the others.",
        "Over which entries does the norm run?",
        "One norm over all tensors, one factor for all of them.",
        lambda rule: rule.but(by="norm") if isinstance(rule, Clipped) and rule.by == "global norm" else None,
        "one tensor, gradients below the limit",
    ),
    UpdateBug(
        "groups-ignored",
        "one rule for all parameters",
        "all parameters are treated alike, although some have a rule of their own.",
        "Only the parameters of a group are wrong.",
        "Which parameters does each rule get?",
        "Give the group its own rate and decay: biases are often not to decay.",
        lambda rule: rule.rule if isinstance(rule, Grouped) and rule.groups else None,
        "groups with the same rule",
    ),
    UpdateBug(
        "clip-missing",
        "nothing clipped",
        "the gradient is not clipped.",
        "Steps are too large where the gradient is.",
        "Is the clipped gradient the one that is used?",
        "Use what the clipping returns.",
        lambda rule: rule.rule if isinstance(rule, Clipped) else None,
        "gradients below the limit",
    ),
)


UPDATES: Mapping[str, UpdateBug] = MappingProxyType({bug.slug: bug for bug in BUGS})
