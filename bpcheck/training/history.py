"""What a training run leaves behind, in memory and as a file: arrays and a line of JSON, nothing that is executed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.names import FIRST_LAYER
from bpcheck.reference import build
from bpcheck.reference.network import Network
from bpcheck.reference.optimizer import Rule, State
from bpcheck.tree import Tree

__all__ = ["Epoch", "Training", "load"]

FORMAT = 1
"""Of the file; another one is refused."""

SAVED_AS_THEY_ARE = ("stopped", "seed", "random_state", "data", "batch")
"""Fields of a run that JSON has a form for."""


@dataclass(frozen=True)
class Epoch:
    """One pass over the data.

    Its layers are those that :func:`bpcheck.network.names.places` numbers, from layer 2 up (the input is layer 1):
    layers inside a skip connection one by one, and none for a flatten layer, which has no parameters.

    Attributes
    ----------
    number : int
        Counts from 1.
    loss : float
        Mean over the mini-batches, each taken before its update; larger than at the end of the epoch.
    learning_rate : float
        η of its last step; with :class:`~bpcheck.reference.optimizer.Grouped`, of the parameters that no group takes.
    gradient_norms : tuple of float
        For each layer, ‖∂C/∂(W, b)‖₂ as root mean square over the mini-batches.
    activation_norms : tuple of float
        For each layer, the root mean square of its activations for the last mini-batch.
    held_out_loss, held_out_accuracy : float or None
        On the data held out, after the epoch; accuracy where the targets are one-hot.
    """

    number: int
    loss: float
    learning_rate: float
    gradient_norms: tuple[float, ...]
    activation_norms: tuple[float, ...]
    held_out_loss: float | None = None
    held_out_accuracy: float | None = None


def _frozen(params: Tree) -> Tree:
    return tree.restore(params, [tree.freeze(leaf) for _, leaf in tree.leaves(params)])


def _read_only(values: Any) -> Any:
    if not isinstance(values, Mapping):
        return values
    return MappingProxyType({name: _read_only(value) for name, value in values.items()})


def as_dict(values: Any) -> Any:
    """Mappings within mappings as dicts of our own."""
    return {name: as_dict(value) for name, value in values.items()} if isinstance(values, Mapping) else values


@dataclass(frozen=True, eq=False)
class Training:
    """Where a training run stands: enough to go on as if it had never stopped.

    Attributes
    ----------
    network : Network
    rule : Rule
    params : list
        After the last step.
    best : list
        Of the epoch with the lowest loss on the data held out; ``params`` where nothing was held out.
    state : State
        Of the rule.
    history : tuple of Epoch
    stopped : str
        Why it ended before the last epoch, or ``""``.
    seed : int
    random_state : mapping
        Of the generator that shuffles.
    data : str
        A fingerprint of x and y.
    batch : int
        Examples a step.

    All arrays are read-only, so that the run goes on from where it stood: copy what you want to change.
    """

    network: Network
    rule: Rule
    params: Tree
    best: Tree
    state: State
    history: tuple[Epoch, ...]
    stopped: str
    seed: int
    random_state: Mapping[str, Any]
    data: str
    batch: int

    def __post_init__(self) -> None:
        slots = {name: _frozen(slot) for name, slot in self.state.slots.items()}
        for name, value in (
            ("params", _frozen(self.params)),
            ("best", _frozen(self.best)),
            ("state", State(self.state.step, slots)),
            ("random_state", _read_only(self.random_state)),
        ):
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """To be copied and pickled, which a mapping proxy alone cannot be."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Training, (*{**values, "random_state": as_dict(self.random_state)}.values(),)

    @property
    def last(self) -> Epoch:
        """The last epoch."""
        return self.history[-1]

    def save(self, path: str | FilePath) -> FilePath:
        """Write everything to an ``.npz`` file; :func:`bpcheck.training.load` reads it.

        Parameters
        ----------
        path : str or Path
            Replaced if it is there, but only by a complete file.
        """
        return _save(self, path)

    def __str__(self) -> str:
        last = self.last
        held = "" if last.held_out_loss is None else f", held out {last.held_out_loss:.4g}"
        right = "" if last.held_out_accuracy is None else f", {last.held_out_accuracy:.1%} right"
        lines = [f"{last.number} epochs, loss {last.loss:.4g}{held}{right}, seed {self.seed}"]
        if self.stopped:
            lines.append(self.stopped)
        lines.append("layer  ‖∂C/∂(W, b)‖  activations")
        rows = zip(last.gradient_norms, last.activation_norms, strict=True)
        for number, (slope, size) in enumerate(rows, FIRST_LAYER):
            lines.append(f"{number:5d}  {slope:12.3g}  {size:11.3g}")
        return "\n".join(lines)


def _save(training: Training, path: str | FilePath) -> FilePath:
    target = _file(path)
    arrays: dict[str, Any] = {}
    trees = {"params": training.params, "best": training.best, **_slots(training.state)}
    for name, one in trees.items():
        arrays.update({f"{name}:{leaf_path}": leaf for leaf_path, leaf in tree.leaves(one)})
    about = {
        "format": FORMAT,
        "architecture": repr(training.network.architecture),
        "rule": repr(training.rule),
        "step": training.state.step,
        "slots": sorted(training.state.slots),
        "history": [asdict(epoch) for epoch in training.history],
        **{name: as_dict(getattr(training, name)) for name in SAVED_AS_THEY_ARE},
    }
    arrays["about"] = np.array(json.dumps(about))
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{target} cannot be written: {error.strerror or error}.") from error
    return target


def _file(path: Any) -> FilePath:
    try:
        target = FilePath(path)
    except TypeError as error:
        raise InputError(f"path is {tree.describe(path)}; give the name of a file.") from error
    if not target.name:
        raise InputError(f"path is {str(path)!r}; give the name of a file.")
    return target


def _slots(state: State) -> dict[str, Tree]:
    return {f"slot {name}": slot for name, slot in state.slots.items()}


def load(path: str | FilePath, network: Network | Architecture, rule: Rule) -> Training:
    """Read a training run that :meth:`bpcheck.training.Training.save` wrote.

    Parameters
    ----------
    path : str or Path
    network : Network or Architecture
        The one that was trained.
    rule : Rule
        The one that trained it.

    Returns
    -------
    Training
        To be given to :func:`bpcheck.training.fit` as ``resume=``.

    Raises
    ------
    InputError
        If the file cannot be read, is no such file, or is that of another network or rule.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from bpcheck import mlp
    >>> from bpcheck.reference import build
    >>> from bpcheck.reference.optimizer import SGD
    >>> from bpcheck.training import fit
    >>> network, x = build(mlp([1, 1])), np.linspace(-1, 1, 8)[:, None]
    >>> run = fit(network, x, 2 * x, rule=SGD(lr=0.5), epochs=2, batch=4, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loaded = load(run.save(pathlib.Path(folder) / "run.npz"), network, SGD(lr=0.5))
    >>> loaded.history == run.history
    True
    """
    built = build(network) if isinstance(network, Architecture) else network
    if not isinstance(built, Network):
        raise InputError(
            f"network is {tree.describe(network)}; give bpcheck.mlp([...]), or what is built from one."
        )
    require_rule(rule)
    held, about = _read(_file(path))
    if about.get("format") != FORMAT:
        raise InputError(f"{path} has the format {about.get('format')}; this version reads {FORMAT}.")
    for name, given in (("architecture", built.architecture), ("rule", rule)):
        if about.get(name) != repr(given):
            raise InputError(f"{path} was trained with the {name} {about.get(name)}, not with {given!r}.")
    try:
        return _training(built, rule, held, about)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is no whole training run: {type(error).__name__}, {error}. Save it again."
        ) from error


def require_rule(rule: Any) -> None:
    """Refuse what is no update rule."""
    if not isinstance(rule, Rule):
        raise InputError(
            f"rule is {tree.describe(rule)}; give one of bpcheck.reference.optimizer, such as Adam(lr=0.001)."
        )


def _read(path: FilePath) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays, and the JSON that was saved with them."""
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise InputError(f"{path} is no saved training run: it holds a single array.")
        with file:
            held = {name: file[name] for name in file.files}
        about = json.loads(str(held.pop("about")))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (KeyError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} is no saved training run, or a broken one.") from error
    if not isinstance(about, dict):
        raise InputError(f"{path} is no saved training run, or a broken one.")
    return held, about


def _training(network: Network, rule: Rule, held: dict[str, Any], about: dict[str, Any]) -> Training:
    like = network.init(np.random.default_rng(0))

    def taken(name: str) -> Tree:
        found = []
        for leaf_path, leaf in tree.leaves(like):
            array = held[f"{name}:{leaf_path}"]
            if array.shape != leaf.shape or array.dtype.kind != "f":
                raise ValueError(
                    f"{name}:{leaf_path} is {array.dtype} of shape {array.shape}, not {leaf.shape}"
                )
            found.append(array)
        return tree.restore(like, found)

    history = tuple(_epoch(one) for one in about["history"])
    state = State(about["step"], {name: taken(f"slot {name}") for name in about["slots"]})
    rest = {name: about[name] for name in SAVED_AS_THEY_ARE}
    return Training(network, rule, taken("params"), taken("best"), state, history, **rest)


def _epoch(data: dict[str, Any]) -> Epoch:
    norms = {name: tuple(data[name]) for name in ("gradient_norms", "activation_norms")}
    return Epoch(**{**data, **norms})
