"""A subject that speaks another layout, behind one that speaks ours: everything after it need not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.structure import match, scalar_loss
from bpcheck.conventions import Conventions
from bpcheck.conventions.convert import (
    carry_x,
    carry_y,
    gradient_like,
    nest,
    params_into,
    tensors_back,
    tensors_into,
)
from bpcheck.subject import Answer, Subject
from bpcheck.tree import FloatArray, Tree

__all__ = ["Form", "translated"]


def translated(
    subject: Subject, conventions: Conventions, *, ignore: frozenset[str] = frozenset()
) -> Subject:
    """The subject with our parameters, inputs and targets carried into its layout and its gradient back.

    What the subject does to its arguments is carried back as well, so that it is still found; what is
    wrong with the form of its gradient is said in its own words.

    Parameters
    ----------
    subject : Subject
    conventions : Conventions
    ignore : frozenset of str
        Tensors that need not have a gradient of the right form: nobody looks at it.

    Returns
    -------
    Subject

    Examples
    --------
    >>> from bpcheck.subject import from_joint
    >>> columns = from_joint(lambda params, x, y: (0.0, [(np.ones((2, 3)), x[:2])]))
    >>> ours = translated(columns, Conventions(batch="last", bias="column", params="[(W, b)]"))
    >>> layer = {"weight": np.zeros((2, 3)), "bias": np.zeros(2)}
    >>> ours.answer([layer], np.array([[5.0, 6.0, 7.0]]), np.zeros((1, 2))).gradient[0]["bias"]
    array([5., 6.])
    """
    translator = _Translator(subject, conventions, ignore)
    return replace(subject, answer=translator.answer)


@dataclass(frozen=True, eq=False)
class Form:
    """The form that a gradient must have in a layout.

    Attributes
    ----------
    conventions : Conventions
    like : mapping of str to array
        The parameters in the subject's shapes, by slot.
    as_params : bool
        Whether it is nested as parameters are, whatever the conventions say of gradients.
    """

    conventions: Conventions
    like: Mapping[str, Any]
    as_params: bool

    @property
    def _is_as_params(self) -> bool:
        other = self.conventions.gradients or self.conventions.gradient_names != "{}"
        return self.as_params or not other

    @property
    def root(self) -> str:
        """What its paths start with."""
        return "params" if self._is_as_params else "gradient"

    @property
    def wanted(self) -> Tree:
        """A tree of this form."""
        return nest(self.conventions, self.like, gradient=not self._is_as_params)

    def ours(self, leaves: Sequence[Any]) -> Tree:
        """Leaves of such a tree, in order, as a gradient in our layout."""
        tensors = gradient_like(self.conventions, leaves, self.like, gradient=not self._is_as_params)
        return tensors_back(self.conventions, tensors)

    def amiss(self, gradient: Tree, ignore: frozenset[str]) -> int:
        """How many tensors of a gradient are not as they must be."""
        wanted, root = self.wanted, self.root
        faults = [f.path for f in match(gradient, wanted, root=root).findings if f.path not in ignore]
        if not faults:
            return 0
        paths = [str(path) for path, _ in tree.leaves(wanted, root)]
        return max(1, sum(any(path.startswith(fault) for fault in faults) for path in paths))


@dataclass(frozen=True, eq=False)
class _Translator:
    subject: Subject
    conventions: Conventions
    ignore: frozenset[str]

    def answer(self, params: Any, x: Any, y: Any, **options: Any) -> Answer:
        """One answer in our layout: of the whole batch, or the mean of those of its examples."""
        inputs, targets = carry_x(self.conventions, x), carry_y(self.conventions, y)
        answers = []
        for index, (one_x, one_y) in enumerate(zip(inputs, targets, strict=True)):
            work = params_into(self.conventions, params)
            handed = (tree.copy(one_x), tree.copy(one_y))
            raw = self.subject.answer(*(work if self.conventions.spread else (work,)), *handed, **options)
            if not isinstance(raw, Answer):
                return raw  # refused by whoever asks
            answers.append(self._back(raw, params, work))
            rows = slice(index, index + 1) if self.conventions.per_example else slice(None)
            self._give_back(work, handed, (one_x, one_y), (params, x[rows], y[rows]))
        factor = float(len(x)) if self.conventions.times_batch and not self.conventions.per_example else 1.0
        return _mean(answers, factor)

    def _back(self, raw: Answer, params: Any, work: Tree) -> Answer:
        """One raw answer with its gradient in our layout, or with what is wrong with its form."""
        like = tensors_into(self.conventions, params)
        form = Form(self.conventions, like, as_params=self.subject.gradient_like_params)
        matched = match(raw.gradient, form.wanted, root=form.root)
        faults = tuple((f.path, f.reason) for f in matched.findings if f.path not in self.ignore)
        if faults:
            return replace(raw, gradient=None, error=None, faults=faults, returned=raw.gradient)
        # what is ignored may be missing
        found = [
            matched.arrays[path] if path in matched.arrays else np.zeros(np.shape(leaf))
            for path, leaf in tree.leaves(form.wanted, form.root)
        ]
        notes = raw.notes
        if aliased := _aliased(raw.gradient, work, form.root):
            notes += (
                f"{aliased} shares its memory with a parameter: the next update will change both. Return a new array.",
            )
        return replace(
            raw,
            gradient=form.ours(found),
            error=None if raw.error is None else form.ours([leaf for _, leaf in tree.leaves(raw.error)]),
            notes=notes,
            returned=raw.gradient,
        )

    def _give_back(self, work: Tree, handed: Any, before: Any, ours: Any) -> None:
        """Do to our arguments what the call did to its own, so that whoever compares them sees it."""
        params, x, y = ours
        like = tensors_into(self.conventions, params)
        matched = match(work, nest(self.conventions, like))
        if matched.findings:
            params.clear()  # entries came or went, or have another shape
            return
        # Always "as parameters": these are the parameters.
        after = tensors_back(
            self.conventions,
            gradient_like(self.conventions, list(matched.arrays.values()), like, gradient=False),
        )
        for layer, changed in zip(params, after, strict=True):
            for name, leaf in changed.items():
                if not np.array_equal(layer[name], leaf, equal_nan=True):
                    layer[name][...] = leaf
        for was, now, own in zip(before, handed, (x, y), strict=True):
            if isinstance(was, np.ndarray) and not np.array_equal(was, now, equal_nan=now.dtype.kind == "f"):
                own += 1.0  # another number than before, whatever it was changed into


def _aliased(gradient: Tree, work: Tree, root: str) -> str:
    """The first leaf of the gradient that lies in a parameter's memory, or an empty string."""
    memory = [leaf for _, leaf in tree.leaves(work) if isinstance(leaf, np.ndarray)]
    return next(
        (
            str(path)
            for path, leaf in tree.leaves(gradient, root)
            if isinstance(leaf, np.ndarray) and any(np.shares_memory(leaf, other) for other in memory)
        ),
        "",
    )


def _mean(answers: list[Answer], factor: float) -> Answer:
    """The answer for a batch from those of its examples; the first that has no number stands for all."""
    odd = next((a for a in answers if a.loss is not None and scalar_loss(a.loss)[1]), None)
    if odd is not None or (len(answers) == 1 and factor == 1.0):
        return odd or answers[0]
    notes = tuple(dict.fromkeys(note for a in answers for note in a.notes))
    # where a form is wrong the loss is what it is all the same: it tells what is computed
    whole = next((a for a in answers if a.faults), None) or _mean_gradient(answers, factor)
    return replace(whole, loss=_mean_loss(answers, factor), notes=notes)


def _mean_loss(answers: list[Answer], factor: float) -> Any:
    losses = [a.loss for a in answers]
    return None if any(loss is None for loss in losses) else _averaged(losses, factor).reshape(())[()]


def _mean_gradient(answers: list[Answer], factor: float) -> Answer:
    first = answers[0]
    return replace(
        first,
        gradient=_average([a.gradient for a in answers], factor),
        error=None if first.error is None else _average([a.error for a in answers], factor),
        returned=answers[-1].returned,
    )


def _average(trees: list[Tree], factor: float) -> Tree:
    columns = zip(*([leaf for _, leaf in tree.leaves(one)] for one in trees), strict=True)
    return tree.restore(trees[0], [_averaged(list(column), factor) for column in columns])


def _averaged(values: list[Any], factor: float) -> FloatArray:
    """The mean times a whole number, in the precision of the values."""
    total = np.asarray(values[0])
    for value in values[1:]:
        total = total + np.asarray(value)
    dtype = total.dtype if total.dtype.kind == "f" else np.dtype(float)
    return np.asarray(total * dtype.type(factor) / dtype.type(len(values)), dtype=dtype)
