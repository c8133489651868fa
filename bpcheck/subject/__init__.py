"""Subjects: whatever is being checked, behind one small interface.

:func:`from_joint`, :func:`from_parts` and :func:`from_step` wrap plain functions; adapters for
objects, layers and frameworks live in ``bpcheck.adapters``.
"""

from bpcheck.subject.functions import NotAPair, as_subject, from_joint, from_parts
from bpcheck.subject.step import STEP_RATES, from_step
from bpcheck.subject.value import Answer, Subject

__all__ = [
    "STEP_RATES",
    "Answer",
    "NotAPair",
    "Subject",
    "as_subject",
    "from_joint",
    "from_parts",
    "from_step",
]
