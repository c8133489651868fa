"""Update rules as pure functions: what is done with a gradient once it is right."""

from bpcheck.reference.optimizer.adam import Adam, AdamW
from bpcheck.reference.optimizer.clipped import Clipped
from bpcheck.reference.optimizer.clipping import (
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    global_norm,
)
from bpcheck.reference.optimizer.grouped import Grouped
from bpcheck.reference.optimizer.momentum import Momentum, Nesterov
from bpcheck.reference.optimizer.rmsprop import RMSprop
from bpcheck.reference.optimizer.rule import Rule, State
from bpcheck.reference.optimizer.schedule import Schedule, constant_rate, cosine, step_decay, warm_up
from bpcheck.reference.optimizer.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Clipped",
    "Grouped",
    "Momentum",
    "Nesterov",
    "RMSprop",
    "Rule",
    "Schedule",
    "State",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "constant_rate",
    "cosine",
    "global_norm",
    "step_decay",
    "warm_up",
]
