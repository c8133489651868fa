"""Asking f, vjp and jvp: copies in, answers taken apart, a record of what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.arguments import Arguments, Outputs
from bpcheck.check.contract import Clock, HungError, changed, from_its_own_frame, guarded_call, where_raised
from bpcheck.errors import InputError, SubjectError
from bpcheck.numeric.noise import UNIT_ROUNDOFF
from bpcheck.result import Comparison
from bpcheck.tree import FloatArray, Tree
from bpcheck.verdict import Verdict

__all__ = ["Questions"]

# What f may raise where it has no value, away from the point itself: log of a negative number, a matrix
# that is not positive definite.
NO_VALUE = (ArithmeticError, ValueError, np.linalg.LinAlgError)


@dataclass(eq=False)
class Questions:
    """The caller's functions at one point, called on copies only.

    Attributes
    ----------
    f, vjp, jvp : callable
    arguments : Arguments
    clock : Clock
    evaluations : int
        Calls so far, of all three.
    findings : list of Comparison
        What is wrong in itself: forms, changed arguments. Judged tensors are added to it later.
    warnings : list of str
    claim_roundoff : float
        U of the coarsest precision in any answer of vjp or jvp.
    outputs : Outputs
    base : (numbers of the output,) array
        f at the point itself.
    """

    f: Callable[..., Any]
    vjp: Callable[..., Any] | None
    jvp: Callable[..., Any] | None
    arguments: Arguments
    clock: Clock
    evaluations: int = 0
    findings: list[Comparison] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    claim_roundoff: float = UNIT_ROUNDOFF
    outputs: Outputs = field(init=False)
    base: FloatArray = field(init=False)

    def start(self) -> None:
        """Call f at the point itself and learn its form."""
        arguments = self.arguments.copies()
        returned = self.call("f", self.f, arguments)
        self.outputs = Outputs.of(returned)
        self.base = self.outputs.vector(returned)
        for name, before, after in zip(self.arguments.names, self.arguments.copies(), arguments, strict=True):
            self.find([replace(c, path=f"{c.path} of f") for c in changed(before, after, name)])
        count = int(np.count_nonzero(~np.isfinite(self.base)))
        if count:
            reason = (
                f"{count} of {self.base.size} numbers that f returns at the point itself are NaN or infinite"
            )
            self.find([Comparison("output", Verdict.NONFINITE, reason)])

    def call(self, name: str, function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        """Call one of the functions with arguments that are ours to lose."""
        if self.clock.struck:
            raise HungError
        self.evaluations += 1
        try:
            return guarded_call(lambda: function(*given), self.clock)
        except (HungError, InputError):
            raise
        except (Exception, SystemExit) as error:
            raise SubjectError(
                f"{name} raised {type(error).__name__}: {error}{where_raised(error)}"
            ) from from_its_own_frame(error)

    def evaluate(self, steps: Mapping[int, FloatArray]) -> FloatArray:
        """F moved by ``steps`` as a long vector; NaN where it has no value."""
        try:
            returned = self.call("f", self.f, self.arguments.moved(steps))
        except SubjectError as error:
            if not isinstance(error.__cause__, NO_VALUE):
                raise
            self.warn(
                "f raised at some of the points around (it has no value there, or does not take every value "
                f"of its arguments): {error.__cause__}"
            )
            return np.full(self.base.shape, math.nan)
        return self.outputs.vector(returned)

    def pull(self, row: FloatArray, *, watch: bool = False, steps: Any = None) -> dict[int, FloatArray]:
        """The claim of vjp for one cotangent, sorted into blocks; what is wrong goes to the findings."""
        assert self.vjp is not None
        arguments = self.arguments.copies() if steps is None else self.arguments.moved(steps)
        cotangent = self.outputs.nest(row)
        returned = self.call("vjp", self.vjp, (*arguments, cotangent))
        arrays, findings, leaves = self.arguments.take_apart(returned)
        self.note_precision(leaves)
        if watch:
            findings += self.watch("vjp", arguments, cotangent, self.outputs.nest(row), "cotangent")
            memory = [leaf for value in arguments for _, leaf in tree.leaves(value)]
            if any(
                isinstance(leaf, np.ndarray)
                and isinstance(other, np.ndarray)
                and np.shares_memory(leaf, other)
                for leaf in leaves
                for other in memory
            ):
                self.warn("vjp returns an array that shares its memory with an argument; return a new one.")
        self.find(findings)
        return arrays

    def push(self, steps: Mapping[int, FloatArray], *, watch: bool = False, at: Any = None) -> FloatArray:
        """The claim of jvp for one tangent, as a long vector."""
        assert self.jvp is not None
        arguments = self.arguments.copies() if at is None else self.arguments.moved(at)
        tangent = self.arguments.tangent(steps)
        returned = self.call("jvp", self.jvp, (*arguments, tangent))
        fault = self.tangent_fault(returned)
        if fault:
            self.find([Comparison("return value of jvp", Verdict.WRONG_STRUCTURE, fault)])
            return np.full(self.base.shape, math.nan)
        if watch:
            self.find(self.watch("jvp", arguments, tangent, self.arguments.tangent(steps), "tangent"))
        self.note_precision([leaf for _, leaf in tree.leaves(returned)])
        return self.outputs.vector(returned, "jvp")

    def tangent_fault(self, returned: Any) -> str:
        """What keeps the answer of jvp from being a tangent of the output, or nothing."""
        leaves = list(tree.leaves(returned, "output"))
        if [path for path, _ in leaves] != list(self.outputs.paths):
            return f"it is {tree.describe(returned)}, but it must be nested as the output of f"
        for (path, leaf), shape in zip(leaves, self.outputs.shapes, strict=True):
            if (
                not isinstance(leaf, np.ndarray | np.generic | int | float)
                or np.asarray(leaf).dtype.kind not in "fiu"
            ):
                return f"{path} of it is {tree.describe(leaf)}, but an array of floats is needed"
            if np.shape(leaf) != shape:
                return f"{path} of it has shape {np.shape(leaf)}, but f returns {path} with shape {shape}"
        return ""

    def watch(
        self, name: str, arguments: tuple[Any, ...], given: Tree, kept: Tree, what: str
    ) -> list[Comparison]:
        """What a call changed that is not its own."""
        found = []
        for argument, before, after in zip(
            self.arguments.names, self.arguments.copies(), arguments, strict=True
        ):
            found += changed(before, after, argument)
        found += changed(kept, given, what)
        return [replace(c, path=f"{c.path} of {name}") for c in found]

    def find(self, findings: list[Comparison]) -> None:
        """Keep what is wrong, once."""
        known = {comparison.path for comparison in self.findings}
        self.findings += [finding for finding in findings if finding.path not in known]

    def warn(self, text: str) -> None:
        """Keep a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def note_precision(self, leaves: list[Any]) -> None:
        """Remember the coarsest precision of a claim."""
        for leaf in leaves:
            dtype = getattr(leaf, "dtype", None)
            if dtype is not None and dtype.kind == "f":
                self.claim_roundoff = max(self.claim_roundoff, float(np.finfo(dtype).eps) / 2)

    @property
    def roundoff(self) -> float:
        """U of the coarsest argument or output."""
        dtypes = [block.array.dtype for block in self.arguments.blocks] + list(self.outputs.dtypes)
        return max(UNIT_ROUNDOFF, *(float(np.finfo(dtype).eps) / 2 for dtype in dtypes))

    @property
    def broken(self) -> bool:
        """Whether something was found that makes numbers meaningless."""
        return any(not comparison.verdict.ok for comparison in self.findings)
