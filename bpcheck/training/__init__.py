"""Training: an update rule, mini-batches, a schedule, early stopping, and a history of what the gradients did."""

from bpcheck.training.fit import accuracy, fit
from bpcheck.training.history import Epoch, Training, load
from bpcheck.training.stopping import EarlyStopping

__all__ = ["EarlyStopping", "Epoch", "Training", "accuracy", "fit", "load"]
