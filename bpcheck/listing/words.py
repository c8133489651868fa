"""What to type for each function and class of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bpcheck.errors import InputError
from bpcheck.listing.source import RATES, Class, Function, read

__all__ = ["listing"]

WEIGHT_OR_BIAS = re.compile(
    r"(w|weights?|kernels?|coefs?|theta|b|bias|biases|intercepts?)_?\d*_?$", re.IGNORECASE
)
LOSS = re.compile(r"(^|_)(loss|cost|objective)(_|$)", re.IGNORECASE)
GRADIENT_ALONE = re.compile(r"grad", re.IGNORECASE)
GRADIENT = re.compile(r"grad|backprop|back_prop|backward|bprop", re.IGNORECASE)

WIDTHS = [4, 5, 3]
"""A network to compare on: its three widths differ, so that no transpose goes unseen."""

ARGUMENTS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"^(sizes|layers|widths|layer_(sizes|dims|widths)|dims|shape|architecture)$"), str(WIDTHS)),
    (re.compile(r"^(n_?)?(in|inputs?|features|x|d)(_|$)|(_|^)(in|inputs?|features)$"), str(WIDTHS[0])),
    (re.compile(r"hid|^(n_?)?(h|units|neurons)(_|$)"), str(WIDTHS[1])),
    (re.compile(r"^(n_?)?(out|outputs?|classes|y|k|o)(_|$)|(_|^)(out|outputs?|classes)$"), str(WIDTHS[2])),
    (re.compile(r"seed|random_state"), "0"),
    (re.compile(rf"^({'|'.join(RATES)})$"), "0.1"),
)
"""What to write for an argument of a constructor, by its name."""

ARGUMENTS_NEEDED, MOST_ARGUMENTS = 3, 4
"""params, x and y; or weights, biases, x and y."""

NETWORK = f", architectures=bpcheck.mlp({WIDTHS}, activation=..., loss=...)"
DOTS = "\n\n  In place of the dots: what your network is ('tanh', 'half_mse', …)"


def listing(file: str, name: str = "") -> str:
    """The functions, classes and methods of a file, each with the line to type.

    Parameters
    ----------
    file : str
    name : str
        A class, or ``Class.method``, of which alone to speak.

    Returns
    -------
    str
        Empty if ``name`` is a function, or is not there: then there is nothing to explain.

    Raises
    ------
    InputError
        If the file is not written in Python, or holds nothing of the kind, or a class lacks the method.
    """
    path = Path(file)
    functions, classes = read(path)
    if name:
        wanted, _, method = name.partition(".")
        return "".join(
            _of_a_class(path, _with(path, one, method), method) for one in classes if one.name == wanted
        )
    if not functions and not classes:
        raise InputError(f"{path.name} has no function and no class: write path/to/file.py:function.")
    blocks = [
        f"{path.name} was read, and not run. What in it can be compared, and how:",
        *_of_functions(file, path, functions),
        *(_of_a_class(path, one) for one in classes),
    ]
    return "\n\n".join(blocks)


# --- functions ---------------------------------------------------------------------------------------------------


def _kind(one: Function) -> str:
    """What a function seems to be; a pair is loss and gradient, or something that is not told."""
    if one.is_step and len(one.takes) + len(one.optional) > ARGUMENTS_NEEDED:
        return "step"
    if not ARGUMENTS_NEEDED <= len(one.takes) <= MOST_ARGUMENTS:
        return "other"
    if one.returns < 2 and GRADIENT_ALONE.search(one.name):
        return "gradient"
    return "loss" if one.returns < 2 and LOSS.search(one.name) else "pair"


def _of_functions(file: str, path: Path, functions: Sequence[Function]) -> Iterator[str]:
    found: dict[str, list[Function]] = {"pair": [], "gradient": [], "loss": [], "step": [], "other": []}
    for one in functions:
        found[_kind(one)].append(one)
    if found["pair"]:
        lines = "\n".join(f"  bpcheck compare {file}:{one.name}" for one in found["pair"])
        yield f"Functions of (params, x, y), which are to return the pair (loss, gradient): type\n\n{lines}"
    loss = found["loss"][0].name if found["loss"] else ""
    yield from (_of_a_gradient(path, one, loss) for one in found["gradient"])
    yield from (_of_a_step(path, one, loss) for one in found["step"])
    if loss and not (found["gradient"] or found["step"]):
        yield f"There is no gradient beside the loss: {_texts(found['loss'])}."
    if found["other"]:
        yield f"Not of this form, (params, x, y) or (weights, biases, x, y): {_texts(found['other'])}."


def _texts(functions: Sequence[Function]) -> str:
    return ", ".join(one.text for one in functions)


def _of_a_gradient(path: Path, one: Function, loss: str) -> str:
    call = f"bpcheck.from_parts(loss={loss or '...'}, gradient={one.name})"
    dots = "" if loss else "\n\n  In place of the dots: your function (params, x, y) -> loss."
    return f"{one.text} seems to return a gradient without a loss. {_script(path, [one.name, loss], [call])}{dots}"


def _of_a_step(path: Path, one: Function, loss: str) -> str:
    call = f"bpcheck.from_step({one.name}{f', loss={loss}' if loss else ''})"
    script = _script(path, [one.name, loss], [call], "" if loss else NETWORK)
    return f"{one.text} takes a step with a learning rate. {script}{'' if loss else f'{DOTS}.'}"


def _script(path: Path, names: Sequence[str], made: Sequence[str], options: str = "") -> str:
    """Lines to put into a file beside the one that was read."""
    *before, subject = made
    imported = ", ".join(name for name in names if name)
    lines = ["import bpcheck", f"from {path.stem} import {imported}", "", *before]
    lines += [f"subject = {subject}", f"print(bpcheck.compare(subject{options}))"]
    listed = "\n".join(f"    {line}".rstrip() for line in lines)
    return f"Put these lines into a file beside {path.name}, and run it with python:\n\n{listed}"


# --- classes -----------------------------------------------------------------------------------------------------


def _with(path: Path, found: Class, method: str) -> Class:
    """The class, if it has the method or none is named.

    Raises
    ------
    InputError
        If it has not.
    """
    methods = [one.name for one in found.methods]
    if method and not found.is_module and method not in methods:
        has = ", ".join(methods) or "no methods of its own"
        raise InputError(f"{path.name} has no {found.name}.{method}; {found.name} has {has}.")
    return found


def _of_a_class(path: Path, found: Class, method: str = "") -> str:
    """The adapter call for an object, with what its text tells filled in."""
    arguments = ", ".join(f"{name}={_value(name)}" for name in found.arguments)
    made = f"net = {found.name}({arguments})"
    if found.is_module:
        options = f", architectures=bpcheck.mlp({WIDTHS})"
        script = _script(path, [found.name], [made, "bpcheck.from_torch(net, ...)"], options)
        dots = (
            "  In place of the dots: the loss (output, y) -> number, and whatever your constructor is given."
        )
        return f"{found.name} is a PyTorch module. {script}\n\n{dots}"
    methods = _texts(found.methods)
    is_class = f"{found.name} is a class{f' with the methods {methods}' if methods else ''}. "
    asked = method or _named(found, GRADIENT)
    if asked in [
        one.name for one in found.methods if _kind(one) == "pair"
    ]:  # it takes the parameters, as it is
        return is_class + _script(path, [found.name], [made, f"net.{asked}"])
    call = f"bpcheck.from_object(net, {', '.join(_parts(found, method))})"
    return (
        f"{is_class}{_script(path, [found.name], [made, call], NETWORK)}{DOTS}, and what could not be read off the "
        "file. The widths must be those of the object."
    )


def _value(name: str) -> str:
    return next((value for pattern, value in ARGUMENTS if pattern.search(name.lower())), "...")


def _parts(found: Class, method: str) -> list[str]:
    """``params=``, ``loss=``, ``backward=`` and ``gradients=`` of an object."""
    names = [name for name in found.attributes if WEIGHT_OR_BIAS.match(name)]
    loss = _named(found, LOSS)
    return [
        f"params={repr(names) if names else _held(found)}",
        f"loss={loss!r}" if loss else "loss=...",
        *_gradients(found, names, method or _named(found, GRADIENT), loss),
    ]


def _named(found: Class, pattern: re.Pattern[str]) -> str:
    return next((one.name for one in found.methods if pattern.search(one.name)), "")


def _held(found: Class) -> str:
    """The dict that holds all parameters."""
    by_keys = [name for name, keys in found.dicts.items() if any(map(WEIGHT_OR_BIAS.match, keys))]
    by_name = [name for name in found.dicts if name.startswith(("param", "weight"))]
    return next((repr(name) for name in (*by_keys, *by_name)), "[...]")


def _gradients(found: Class, names: Sequence[str], backward: str, loss: str) -> list[str]:
    """Where the gradients are after a call: what a method returns, or attributes that it fills."""
    place = _pattern(found, names)
    if not place and any(one.name == backward and one.returns for one in found.methods):
        return [f"gradients={backward!r}"]
    place = place or next((n for n in found.attributes if n in ("grads", "gradients", "grad")), "")
    filled = [f"backward={backward!r}"] if backward not in ("", loss) else []
    return [*filled, f"gradients={place!r}" if place else "gradients=..."]


def _pattern(found: Class, names: Sequence[str]) -> str:
    """``d{}`` where every parameter has an attribute that is called so."""
    patterns = {attribute.replace(name, "{}", 1) for attribute in found.attributes for name in names[:1]}
    for pattern in sorted(patterns - {"{}"}):
        if "{}" in pattern and all(pattern.format(name) in found.attributes for name in names):
            return pattern
    return ""
