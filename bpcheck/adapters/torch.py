"""PyTorch modules as subjects: the loss by the module's forward pass, the gradient by autograd.

A hand-written ``torch.autograd.Function`` inside the module is what this is for: the loss never
calls its ``backward``, the gradient does, and finite differences of the loss tell whether they agree.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.precision import format_of
from bpcheck.subject import Answer, Subject
from bpcheck.tree import FloatArray, Path, Tree

__all__ = ["from_torch", "parameters"]


def from_torch(module: Any, loss: Callable[[Any, Any], Any], *, dtype: Any = None) -> Subject:
    r"""A subject from a PyTorch module and a loss.

    Two ways to use it. ``check_gradient(from_torch(module, loss), parameters(module), x, y)`` holds
    autograd's gradient against finite differences of the module's own loss. ``compare(from_torch(module,
    loss), architectures=[mlp([...])])`` holds it against the reference network; a module has fixed
    widths, so ``compare`` must be given architectures (or cases) of exactly these widths.

    Parameters
    ----------
    module : torch.nn.Module
        Copied now, and again for each call: the module, its ``.grad``, its buffers, its train or
        evaluation mode and its later changes play no part. The random state and the default dtype of
        PyTorch are put back after each call, so a dropout mask stays the same from call to call.
    loss : callable
        ``loss(output, target)`` that returns a tensor with one element: ``torch.nn.MSELoss()``,
        ``torch.nn.functional.cross_entropy``, … It sees the output and the target only: a penalty on
        the weights belongs inside the module.
    dtype : torch.dtype or name, optional
        The precision to compute in, whatever that of ``params``: ``torch.float32``, ``torch.float16``,
        ``torch.bfloat16``. ``compare`` judges such an answer by what rounding in that format does.

    Returns
    -------
    Subject
        It takes ``params, *inputs, target``. ``params`` is either a dict from the names of
        ``module.named_parameters()`` to arrays, as :func:`parameters` makes it, or the layout of
        :func:`bpcheck.mlp`: ``[{"weight": (out, in), "bias": (out,)}, …]``, one entry for each submodule
        that owns parameters, in their order. The gradient comes back in the same nesting, None where
        autograd left ``.grad`` empty.

        The copy computes in ``dtype`` or, without one, in the dtype of ``params``, whatever the module's own:
        float64 parameters (and :func:`parameters` returns float64) mean a check in float64.

    Raises
    ------
    InputError
        If PyTorch is not installed, ``module`` is not a module or cannot be copied, or ``loss`` is not
        callable, or ``dtype`` is no real floating type. The subject itself raises it for parameters that do
        not fit the module.

    Examples
    --------
    >>> import bpcheck
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> subject = from_torch(module, nn.MSELoss())
    >>> x, y = np.ones((2, 3)), np.zeros((2, 2))
    >>> bpcheck.check_gradient(subject, parameters(module), x, y, seed=0).ok
    True
    >>> bpcheck.compare(subject, architectures=bpcheck.mlp([3, 4, 2], loss="mse"), seed=0).ok
    True
    """
    _require_module(module)
    if not callable(loss):
        raise InputError(
            f"loss is {tree.describe(loss)}; pass a function (output, target) -> scalar tensor, "
            "such as torch.nn.MSELoss()."
        )
    original, original_loss = _copied(module, "module"), _copied(loss, "loss")
    asked = None if dtype is None else getattr(_torch(), format_of(dtype).name)

    def evaluate(params: Tree, args: tuple[Any, ...]) -> tuple[Any, list[Any]]:
        """The loss as a tensor, and the parameters of the copy in the order of the leaves."""
        if len(args) < 2:
            raise InputError(
                f"a PyTorch subject needs inputs and a target after the parameters, {len(args)} given: "
                "call it with (params, x, y)."
            )
        chosen = asked or _dtype(params)
        work, slots = _loaded(_copied(original, "module"), params, chosen)
        device = slots[0].parameter.device
        *inputs, target = (_tensor(argument, chosen, device) for argument in args)
        value = _converted(_copied(original_loss, "loss"), chosen)(work(*inputs), target)
        _require_scalar(value)
        return value, [slot.parameter for slot in slots]

    def ask_loss(params: Tree, *args: Any) -> float:
        with _undisturbed(asked or _dtype(params)):
            value, _ = evaluate(params, args)
            return float(value.detach())

    def answer(params: Tree, *args: Any) -> Answer:
        chosen = asked or _dtype(params)
        with _undisturbed(chosen):
            value, found = evaluate(params, args)
            if value.requires_grad:
                value.backward()
            gradient = tree.restore(params, [_gradient(parameter) for parameter in found])
            return Answer(float(value.detach()), gradient, precision=format_of(chosen).name)

    return Subject(f"{type(module).__name__} (PyTorch)", answer, ask_loss)


def parameters(module: Any, *, dtype: Any = np.float64) -> dict[str, FloatArray]:
    """The trainable parameters of a module as NumPy arrays, to hand to ``check_gradient``.

    Parameters
    ----------
    module : torch.nn.Module
    dtype : dtype
        The precision to check in. From float32 to float64 every value is kept exactly.

    Returns
    -------
    dict of str to array
        Copies, in the order of ``module.named_parameters()``, without those that have
        ``requires_grad=False``.

    Raises
    ------
    InputError
        If PyTorch is not installed, ``module`` is not a module, or nothing in it is trainable.

    Examples
    --------
    >>> from torch import nn
    >>> {name: array.shape for name, array in parameters(nn.Linear(3, 2)).items()}
    {'weight': (2, 3), 'bias': (2,)}
    """
    _require_module(module)
    # .double() first: NumPy has no bfloat16
    found = {
        name: np.array(parameter.detach().cpu().double().numpy(), dtype=dtype)
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }
    if not found:
        raise InputError(
            f"{type(module).__name__} has no trainable parameters: pass a module with at least one that "
            "has requires_grad=True."
        )
    return found


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError(
            "bpcheck.adapters.torch needs PyTorch, which is not installed: pip install torch"
        ) from error
    return torch


def _require_module(module: Any) -> None:
    if not isinstance(module, _torch().nn.Module):
        raise InputError(f"module is {tree.describe(module)}; pass a torch.nn.Module.")


def _require_scalar(value: Any) -> None:
    torch = _torch()
    if not isinstance(value, torch.Tensor) or value.numel() != 1 or value.is_complex():
        given = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)
        raise InputError(
            f"loss(output, target) returned {given}; it must return a real tensor with one element: "
            "take the mean or the sum over the batch."
        )


def _copied(value: Any, name: str) -> Any:
    """A deep copy, or an error that says what stands in the way."""
    try:
        return copy.deepcopy(value)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"{name} ({type(value).__name__}) cannot be copied: {error}. Keep only parameters, buffers and "
            "plain values in it, no results of earlier computations."
        ) from error


def _converted(loss: Any, dtype: Any) -> Any:
    """A loss that is a module (it may hold class weights) in the precision of the check."""
    return loss.to(dtype) if isinstance(loss, _torch().nn.Module) else loss


@contextmanager
def _undisturbed(dtype: Any) -> Iterator[None]:
    """Gradients on, the default dtype the one computed in, and all of PyTorch's state put back after."""
    torch = _torch()
    default = torch.get_default_dtype()
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        try:
            # so that a tensor that the module makes on the way, torch.zeros(n), has the right dtype
            torch.set_default_dtype(dtype)
            yield
        finally:
            torch.set_default_dtype(default)


def _dtype(params: Tree) -> Any:
    """PyTorch's name for the widest dtype in ``params``."""
    torch = _torch()
    if {getattr(getattr(leaf, "dtype", None), "name", "") for _, leaf in tree.leaves(params)} == {"bfloat16"}:
        return torch.bfloat16
    widest = np.result_type(*tree.arrays(params).values())
    known = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}
    if widest.name not in known:
        raise InputError(f"params are {widest.name}, which PyTorch does not have: use float64 or float32.")
    return known[widest.name]


@dataclass(frozen=True, eq=False)
class _Slot:
    """One leaf of the caller's parameters and where in the module it goes."""

    path: Path
    array: FloatArray
    name: str
    parameter: Any


def _loaded(module: Any, params: Tree, dtype: Any) -> tuple[Any, list[_Slot]]:
    """The module with ``params`` inside, in ``dtype``, and the slots in the order of the leaves."""
    torch = _torch()
    module.to(dtype)
    module.zero_grad(set_to_none=True)
    slots = _slots(module, params)
    for slot in slots:
        needed = tuple(slot.parameter.shape)
        if slot.array.shape != needed:
            raise InputError(
                f"{slot.path} has shape {slot.array.shape}, but {slot.name!r} of the module needs {needed}. "
                "The widths of a module are fixed: with compare(), pass architectures=[mlp([...])] of these "
                "widths, or cases=."
            )
        with torch.no_grad():
            slot.parameter.copy_(torch.from_numpy(np.array(slot.array, order="C")))
    return module, slots


def _slots(module: Any, params: Tree) -> list[_Slot]:
    arrays = tree.arrays(params)
    named = dict(module.named_parameters())
    if isinstance(params, dict) and all(isinstance(key, str) for key in params):
        names = _own_names(named, params)
    elif isinstance(params, list | tuple) and all(isinstance(layer, dict) for layer in params):
        names = _layer_names(named, params)
    else:
        raise InputError(
            f"params is {tree.describe(params)}, but a dict of names is needed, as "
            "bpcheck.adapters.torch.parameters(module) makes it, or a list of "
            "{'weight': ..., 'bias': ...} with one entry a layer."
        )
    slots = []
    for path, array in arrays.items():
        if path not in names:
            raise InputError(
                f"{path} is nested too deeply: one array for each parameter of the module is needed."
            )
        slots.append(_Slot(path, array, names[path], named[names[path]]))
    return slots


def _own_names(named: dict[str, Any], params: dict[str, Any]) -> dict[Path, str]:
    """Paths such as ``params['0.weight']`` to the names in them."""
    trainable = {name for name, parameter in named.items() if parameter.requires_grad}
    _same("params", list(params), trainable, set(named))
    return {Path("params").item(name): name for name in params}


def _layer_names(named: dict[str, Any], params: Any) -> dict[Path, str]:
    """Paths such as ``params[0]['weight']`` to names such as ``0.weight``, layer by layer."""
    owners: dict[str, dict[str, str]] = {}
    for name in named:
        owner, _, key = name.rpartition(".")
        owners.setdefault(owner, {})[key] = name
    if len(owners) != len(params):
        raise InputError(
            f"params has {len(params)} layers, but the module has {len(owners)} that own parameters "
            f"({', '.join(map(repr, owners))}): give one entry for each, in this order."
        )
    names = {}
    for index, (layer, keys) in enumerate(zip(params, owners.values(), strict=True)):
        path = Path("params").item(index)
        _same(str(path), list(layer), set(keys), set(keys))
        names.update({path.item(key): name for key, name in keys.items()})
    return names


def _same(path: str, given: list[str], needed: set[str], allowed: set[str]) -> None:
    missing, extra = sorted(needed - set(given)), sorted(set(given) - allowed)
    if missing or extra:
        raise InputError(
            f"{path} has the keys {sorted(given)}, but the module needs {sorted(needed)} "
            f"(missing: {missing or 'none'}, unknown: {extra or 'none'})."
        )


def _tensor(value: Any, dtype: Any, device: Any) -> Any:
    """An input as a tensor: floats in the dtype of the check, whole numbers (classes, tokens) as int64."""
    torch = _torch()
    array = np.array(value, order="C")
    if array.dtype.kind == "f":
        return torch.from_numpy(array.astype(float)).to(device=device, dtype=dtype)
    if array.dtype.kind in "iu":
        return torch.from_numpy(array.astype(np.int64)).to(device)
    if array.dtype.kind == "b":
        return torch.from_numpy(array).to(device)
    raise InputError(f"an input is {tree.describe(value)}; pass arrays of real numbers.")


def _gradient(parameter: Any) -> FloatArray | None:
    """``.grad`` as a NumPy array, None if autograd never reached the parameter."""
    if parameter.grad is None:
        return None
    found = parameter.grad.detach().to_dense().cpu()
    # float32 holds every bfloat16, which NumPy does not know
    return np.array((found.float() if found.dtype is _torch().bfloat16 else found).numpy())
