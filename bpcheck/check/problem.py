"""A subject at one point: its loss and its claim at moved copies of the parameters, guarded and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.contract import (
    Asked,
    Clock,
    HungError,
    ask,
    changed,
    from_its_own_frame,
    guarded_call,
    where_raised,
)
from bpcheck.check.lines import relative_steps
from bpcheck.check.structure import scalar_loss
from bpcheck.errors import InputError, SubjectError
from bpcheck.numeric import measure_noise
from bpcheck.numeric.grid import Grid
from bpcheck.numeric.noise import coarse_part, is_coarse
from bpcheck.result import Comparison
from bpcheck.subject import Subject
from bpcheck.tree import FloatArray, Path, Tree, rms

__all__ = ["Problem", "aside", "moved", "pasteable", "size"]

# More parameters than this are no longer something to paste.
MOST_TO_PASTE = 100

# Noise is measured along this many directions and the largest value counts: one may run along a
# flat valley of the loss.
NOISE_DIRECTIONS = 3

# Relative steps at which it is seen how much the loss changes at all: a zero is held against that, not
# against anything claimed. Large enough to leave a stationary point, smaller if the loss ends there.
VARIATION_STEPS = (1 / 8, 1 / 64, 1 / 512)

ASIDE = 1e-3
"""How far the parameters are moved away from a kink to look at the gradient beside it, relative to each: far beyond
every rounding, and so little that hardly another kink is met (a thousandth)."""

BESIDE = 2.0**-10
"""Noise is measured this relative step beside the parameters: exactly at a kink the jump of the slope passes for
noise (measured: 2e-11 instead of 3e-15 for a ReLU network with 20 of 300 units at 0)."""


@dataclass(eq=False)
class Problem:
    """What is checked, and where.

    Attributes
    ----------
    subject : Subject
    params : tree
    args : tuple
    theta : mapping of Path to array
        The leaves of ``params``.
    rng : numpy.random.Generator
        For the directions along which noise is measured.
    clock : Clock
    evaluations : int
        Calls of loss and gradient so far.
    noise : float
        Standard deviation of the noise in the loss, once measured.
    coarse : dict of Path to float
        The same where a tensor alone is moved, if a part of the loss is computed in a coarser format: its steps are
        noise where that part depends on the tensor, and none elsewhere.
    variation : float
        How much the loss changes per relative step of one, once measured.
    level : float
        The loss at the parameters themselves.
    grid : Grid
        The values of the loss met so far: where they are rounded to a grid, close to θ too few steps of it are met for
        their noise to be measured.
    has_tables : bool
        Whether the loss stood still and then jumped along some line.
    is_coarse : bool
        Whether all values of the loss that were seen with everything moved are short: rounded to some decimals,
        or to a coarser format.
    """

    subject: Subject
    params: Tree
    args: tuple[Any, ...]
    theta: Mapping[Path, FloatArray]
    rng: np.random.Generator
    clock: Clock
    evaluations: int = 0
    noise: float = 0.0
    coarse: dict[Path, float] = field(default_factory=dict)
    variation: float = 0.0
    level: float = 0.0
    grid: Grid = field(default_factory=Grid)
    has_tables: bool = False
    is_coarse: bool = True
    _nearby: list[Mapping[Path, FloatArray]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of parameters."""
        return sum(array.size for array in self.theta.values())

    @property
    def roundoff(self) -> float:
        """U of the coarsest parameter."""
        return max(float(np.finfo(array.dtype).eps) for array in self.theta.values()) / 2

    def _call(self, arrays: Mapping[Path, Any]) -> tuple[Any, Any, tuple[Any, ...]]:
        """What the loss returns at copies, and the copies as it left them."""
        if self.clock.struck:
            raise HungError
        self.evaluations += 1
        params = tree.restore(self.params, [np.array(array) for array in arrays.values()])
        args = tuple(tree.copy(argument) for argument in self.args)
        evaluate = self.subject.loss
        assert evaluate is not None
        try:
            value = guarded_call(lambda: evaluate(params, *args), self.clock)
        except (HungError, InputError):
            raise
        except (Exception, SystemExit) as error:
            raise SubjectError(
                f"the loss of {self.subject.name} raised {type(error).__name__}: {error}{where_raised(error)}",
                reproducer=pasteable(f"loss of {self.subject.name}", params),
            ) from from_its_own_frame(error)
        return value, params, args

    def loss(self, arrays: Mapping[Path, FloatArray], *, watch: list[Comparison] | None = None) -> float:
        """The caller's loss at perturbed copies; ``watch`` collects arguments that it changes."""
        value, params, args = self._call(arrays)
        if watch is not None:
            given = tree.restore(self.params, list(arrays.values()))
            watch += changed(given, params, "params in the loss")
            watch += changed(list(self.args), list(args), "args of the loss")
        number, fault = scalar_loss(value)
        if fault:
            raise InputError(f"the loss of {self.subject.name} cannot be differenced: {fault}.")
        self.grid.add(number)
        return number

    def complex_loss(self, params: Tree) -> Any:
        """Whatever the loss returns at complex parameters."""
        return self._call(dict(tree.leaves(params)))[0]

    def claim(self, arrays: Mapping[Path, FloatArray]) -> Mapping[Path, FloatArray]:
        """The caller's gradient at moved copies; NaN where it is not of the right form there."""
        if self.clock.struck:
            raise HungError
        self.evaluations += 1
        asked: Asked = ask(
            self.subject,
            tree.restore(self.params, [np.array(array) for array in arrays.values()]),
            self.args,
            clock=self.clock,
        )
        return {
            path: np.asarray(asked.gradient.get(path, np.full(array.shape, np.nan)))
            for path, array in self.theta.items()
        }

    # --- along a line ----------------------------------------------------------------------------

    def at(self, path: Path, step: FloatArray) -> dict[Path, FloatArray]:
        """All leaves, one of them moved by ``step``."""
        arrays = dict(self.theta)
        arrays[path] = moved(self.theta[path], step)
        return arrays

    def along(self, path: Path, direction: FloatArray) -> Callable[[float], float]:
        """φ(t) = loss(θ + t·direction), moving one tensor only."""
        return lambda t: self.loss(self.at(path, t * direction))

    def slope(self, path: Path, direction: FloatArray) -> Callable[[float], float]:
        """The claimed φ'(t) along the same line."""

        def claimed(t: float) -> float:
            return float(np.sum(self.claim(self.at(path, t * direction))[path] * direction))

        return claimed

    # --- what is measured once -------------------------------------------------------------------

    def measure(self) -> None:
        """Noise and variation of the loss, each along several directions of all parameters."""
        self.level = self.loss(self.theta)
        self.noise = max(self.fresh_noise() for _ in range(NOISE_DIRECTIONS))
        # every direction moves all parameters: a part in a coarser format shows along one of them
        line = self._everywhere()
        if self._coarse_part(line) > self.noise:
            for path, array in self.theta.items():
                step = relative_steps(array) * self.rng.standard_normal(array.shape)
                found = self._coarse_part(lambda t, path=path, step=step: self.at(path, t * step))  # type: ignore[misc]
                self.coarse[path] = found
        seen: list[float] = []
        self.variation = max(self._vary(seen) for _ in range(NOISE_DIRECTIONS))
        self.is_coarse = is_coarse(seen)

    def _everywhere(self) -> Callable[[float], dict[Path, FloatArray]]:
        """A line on which every parameter moves, in proportion to its tensor."""
        directions = {
            path: relative_steps(a) * self.rng.standard_normal(a.shape) for path, a in self.theta.items()
        }
        return lambda t: {path: moved(a, t * directions[path]) for path, a in self.theta.items()}

    def noise_of(self, path: Path) -> float:
        """The noise of the loss where one tensor moves."""
        return max(self.noise, self.coarse.get(path, 0.0), self.grid.noise)

    def _coarse_part(self, line: Callable[[float], Mapping[Path, FloatArray]]) -> float:
        return coarse_part(lambda t: self.loss(line(t)), self.level, self.noise, self.roundoff)

    def fresh_noise(self, path: Path | None = None) -> float:
        """The noise of the loss along one random direction of all parameters; with that of coarse parts for a tensor."""
        least = 0.0 if path is None else self.coarse.get(path, 0.0)
        line = self._everywhere()
        beside = BESIDE if np.isfinite(self.loss(line(BESIDE))) else 0.0
        found = measure_noise(lambda t: self.loss(line(beside + t)), roundoff=self.roundoff, parts=False)
        return max(found, least, self.grid.noise)

    def _vary(self, seen: list[float]) -> float:
        line = self._everywhere()
        for step in VARIATION_STEPS:
            value = self.loss(line(step))
            if np.isfinite(value):
                seen.append(value)
                return float(abs(value - self.level)) / step
        return 0.0

    def nearby(self, points: int, spacing: float) -> list[Mapping[Path, FloatArray]]:
        """The claim at equispaced points around θ (asked for once): their scatter is its rounding."""
        if not self._nearby:
            line = self._everywhere()
            middle = points // 2
            self._nearby = [self.claim(line(k * spacing)) for k in range(-middle, points - middle)]
        return self._nearby


def moved(theta: FloatArray, step: FloatArray) -> FloatArray:
    """θ + step, rounded once to the precision of the parameter; what that does to f is measured as noise."""
    return np.asarray(np.asarray(theta, dtype=float) + step).astype(theta.dtype)


def aside(theta: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A random step away from a kink: a thousandth of each entry, of the tensor's size where that is 0."""
    sizes = np.where(theta == 0.0, size(theta), abs(theta))
    return np.asarray(ASIDE * sizes * rng.standard_normal(theta.shape))


def size(theta: FloatArray) -> float:
    """What counts as a relative step of 1 for a tensor: its root mean square, 1 if it is zero."""
    return rms(np.asarray(theta, dtype=float)) or 1.0


def pasteable(name: str, params: Tree) -> str:
    """The parameters at which something raised, to paste, unless they are too many."""
    text = "...  # those of the call, too many to print"
    if sum(np.size(leaf) for _, leaf in tree.leaves(params)) <= MOST_TO_PASTE:
        with np.printoptions(floatmode="unique", threshold=MOST_TO_PASTE):
            text = repr(params).replace("array(", "np.array(").replace("dtype=float", "dtype=np.float")
    return f"import numpy as np\n\nparams = {text}\n# call the {name} with params and your further arguments"
