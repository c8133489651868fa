"""The course: exercises that answer by themselves, and figures to play with, for the notebooks.

One file for each notebook (:mod:`~bpcheck.course.forward_pass`, :mod:`~bpcheck.course.four_equations`,
:mod:`~bpcheck.course.checking_a_gradient`, :mod:`~bpcheck.course.updates`); every public function in it takes
what a reader wrote and returns an :class:`Answer`. The files beside them are what they share:
:mod:`~bpcheck.course.answer` is the noun, :mod:`~bpcheck.course.exercise` puts questions to a reader's function
and recognises mistakes, :mod:`~bpcheck.course.line` does so with a line of a derivation,
:mod:`~bpcheck.course.display` shows derivations, :mod:`~bpcheck.course.figure` is the frame of all figures, and
:mod:`~bpcheck.course.experiments` trains small things, to see what is true of a sentence about training.
"""

from bpcheck.course import checking_a_gradient, forward_pass, four_equations, updates
from bpcheck.course.answer import Answer, State
from bpcheck.course.display import show
from bpcheck.course.figure import Figure

__all__ = [
    "Answer",
    "Figure",
    "State",
    "checking_a_gradient",
    "forward_pass",
    "four_equations",
    "show",
    "updates",
]
