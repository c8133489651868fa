"""A training run as a file: plain arrays and a line of JSON, nothing that is executed when it is read."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.architecture import Architecture
from bpcheck.errors import InputError
from bpcheck.reference import build
from bpcheck.reference.network import Network
from bpcheck.reference.optimizer import Rule, State
from bpcheck.training.history import Epoch, Training, plain
from bpcheck.tree import Tree

__all__ = ["load", "save"]

FORMAT = 1
"""Of the file; another one is refused."""


def save(training: Training, path: str | FilePath) -> FilePath:
    """See :meth:`bpcheck.training.Training.save`."""
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
        "stopped": training.stopped,
        "seed": training.seed,
        "random_state": plain(training.random_state),
        "data": training.data,
        "batch": training.batch,
    }
    arrays["about"] = np.array(json.dumps(about))
    beside = target.with_name(f".{target.name}.part")
    try:
        with beside.open("wb") as file:
            np.savez(file, **arrays)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
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
    ...     again = load(run.save(pathlib.Path(folder) / "run.npz"), network, SGD(lr=0.5))
    >>> again.history == run.history
    True
    """
    built = build(network) if isinstance(network, Architecture) else network
    if not isinstance(built, Network):
        raise InputError(
            f"network is {tree.describe(network)}; give bpcheck.mlp([...]), or what is built from one."
        )
    if not isinstance(rule, Rule):
        raise InputError(
            f"rule is {tree.describe(rule)}; give one of bpcheck.reference.optimizer, such as Adam(lr=0.001)."
        )
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


def _read(path: FilePath) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays, and what stands beside them."""
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
    return Training(
        network,
        rule,
        taken("params"),
        taken("best"),
        state,
        history,
        about["stopped"],
        about["seed"],
        about["random_state"],
        about["data"],
        about["batch"],
    )


def _epoch(data: dict[str, Any]) -> Epoch:
    norms = {name: tuple(data[name]) for name in ("gradient_norms", "activation_norms")}
    return Epoch(**{**data, **norms})
