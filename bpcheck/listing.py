"""What a file has that could be compared, and what to type for each: the file is read, and nothing in it is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bpcheck.errors import InputError

__all__ = ["listing"]

RATES = ("lr", "eta", "rate", "alpha", "learning_rate", "step_size")
"""What people call a learning rate."""

WEIGHT_OR_BIAS = re.compile(
    r"(w|weights?|kernels?|coefs?|theta|b|bias|biases|intercepts?)_?\d*_?$", re.IGNORECASE
)
LOSS = re.compile(r"(^|_)(loss|cost|objective)(_|$)", re.IGNORECASE)
GRADIENT = re.compile(r"grad|backprop|back_prop|backward|bprop", re.IGNORECASE)

WIDTHS = (4, 5, 3)
"""A network to compare on: its three widths differ, so that no transpose goes unseen."""

SIZES: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"^(sizes|layers|widths|layer_(sizes|dims|widths)|dims|shape|architecture)$"), str(list(WIDTHS))),
    (re.compile(r"^(n_?)?(in|inputs?|features|x|d)(_|$)|(_|^)(in|inputs?|features)$"), str(WIDTHS[0])),
    (re.compile(r"hid|^(n_?)?(h|units|neurons)(_|$)"), str(WIDTHS[1])),
    (re.compile(r"^(n_?)?(out|outputs?|classes|y|k|o)(_|$)|(_|^)(out|outputs?|classes)$"), str(WIDTHS[2])),
    (re.compile(r"seed|random_state"), "0"),
    (re.compile(rf"^({'|'.join(RATES)})$"), "0.1"),
)
"""What to write for an argument of a constructor, by its name."""

TAKES = ("params", "x", "y")


@dataclass(frozen=True)
class _Function:
    """A function or method, as far as its text tells.

    Attributes
    ----------
    name : str
    takes : tuple of str
        Arguments that must be given, without ``self``.
    optional : tuple of str
    returns : int
        How many values its ``return`` gives at most: a pair is loss and gradient.
    """

    name: str
    takes: tuple[str, ...]
    optional: tuple[str, ...]
    returns: int

    @classmethod
    def of(cls, node: ast.FunctionDef, *, method: bool = False) -> _Function:
        arguments = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        required = arguments[: len(arguments) - len(node.args.defaults)]
        required += [
            argument.arg
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            if default is None
        ]
        given = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        skip = 1 if method else 0
        returns = [_count(one.value) for one in _own_statements(node) if isinstance(one, ast.Return)]
        optional = tuple(name for name in given if name not in required)
        return cls(node.name, tuple(required[skip:]), optional, max(returns, default=0))

    @property
    def text(self) -> str:
        """``name(a, b)``."""
        return f"{self.name}({', '.join((*self.takes, *(f'{name}=…' for name in self.optional)))})"

    @property
    def is_step(self) -> bool:
        """Whether it has a learning rate."""
        return any(name in RATES for name in (*self.takes, *self.optional))


@dataclass(frozen=True)
class _Class:
    """A class, as far as its text tells.

    Attributes
    ----------
    name : str
    is_module : bool
        Whether it is a module of PyTorch.
    arguments : tuple of str
        Those that its constructor must be given.
    methods : tuple of _Function
    attributes : tuple of str
        What is assigned to ``self``.
    dicts : mapping of str to tuple of str
        Attributes that hold dicts, with their keys as far as they are written out.
    """

    name: str
    is_module: bool
    arguments: tuple[str, ...]
    methods: tuple[_Function, ...]
    attributes: tuple[str, ...]
    dicts: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, node: ast.ClassDef) -> _Class:
        bodies = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        functions = [_Function.of(one, method=not _is_static(one)) for one in bodies]
        constructor = next((one.takes for one in functions if one.name == "__init__"), _fields(node))
        assigned = [target for body in bodies for target in _assigned(body)]
        dicts: dict[str, list[str]] = {}
        for name, key, is_dict in assigned:
            if is_dict or key:
                dicts.setdefault(name, []).extend([key] if key else [])
        return cls(
            node.name,
            any(ast.unparse(base).endswith("Module") for base in node.bases),
            constructor,
            tuple(one for one in functions if not one.name.startswith("_")),
            tuple(dict.fromkeys(name for name, key, _ in assigned if not key)),
            {name: tuple(dict.fromkeys(keys)) for name, keys in dicts.items()},
        )


def _is_static(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)


def _own_statements(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """Everything in a function but for what is in functions within it."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        one = waiting.pop(0)
        yield one
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(one)


def _count(value: ast.expr | None) -> int:
    if value is None or (isinstance(value, ast.Constant) and value.value is None):
        return 0
    return len(value.elts) if isinstance(value, ast.Tuple) else 1


def _fields(node: ast.ClassDef) -> tuple[str, ...]:
    """The fields of a dataclass that have no default: its constructor is not written."""
    return tuple(
        one.target.id
        for one in node.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.value is None
    )


def _assigned(node: ast.FunctionDef) -> Iterator[tuple[str, str, bool]]:
    """What is assigned to ``self``: the attribute, the key if it is an entry of a dict, and whether it is a dict."""
    for one in _own_statements(node):
        targets = one.targets if isinstance(one, ast.Assign) else []
        targets = [one.target] if isinstance(one, ast.AnnAssign | ast.AugAssign) else targets
        value = getattr(one, "value", None)
        for target in targets:
            for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(part, ast.Attribute) and _is_self(part.value):
                    yield part.attr, "", isinstance(value, ast.Dict)
                    for key in value.keys if isinstance(value, ast.Dict) else ():
                        if isinstance(key, ast.Constant):
                            yield part.attr, str(key.value), True
                elif isinstance(part, ast.Subscript) and isinstance(part.value, ast.Attribute):
                    if _is_self(part.value.value) and isinstance(part.slice, ast.Constant | ast.JoinedStr):
                        key = part.slice.value if isinstance(part.slice, ast.Constant) else ""
                        yield part.value.attr, key if isinstance(key, str) else "", isinstance(key, str)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


# --- what to type ------------------------------------------------------------------------------------------------


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
        If the file is not written in Python, or holds nothing of the kind.
    """
    path = Path(file)
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read as Python: {error}.") from error
    functions = [_Function.of(node) for node in body if isinstance(node, ast.FunctionDef)]
    functions = [function for function in functions if not function.name.startswith("_")]
    classes = [_Class.of(node) for node in body if isinstance(node, ast.ClassDef)]
    if name:
        wanted, _, method = name.partition(".")
        found = next((one for one in classes if one.name == wanted), None)
        return "" if found is None else _of_a_class(path, found, method)
    if not functions and not classes:
        raise InputError(f"{path.name} has no function and no class: write path/to/file.py:function.")
    blocks = [
        f"{path.name} was read, and not run. What in it can be compared, and how:",
        *_of_functions(file, path, functions),
        *(_of_a_class(path, one) for one in classes),
    ]
    return "\n\n".join(block for block in blocks if block)


def _of_functions(file: str, path: Path, functions: Sequence[_Function]) -> Iterator[str]:
    steps = [one for one in functions if one.is_step and len(one.takes) + len(one.optional) > len(TAKES)]
    able = [one for one in functions if len(one.takes) >= len(TAKES) and one not in steps]
    joint = [one for one in able if one.returns >= 2]
    losses = [one for one in able if one not in joint and LOSS.search(one.name)]
    gradients = [one for one in able if one not in joint and one not in losses and GRADIENT.search(one.name)]
    rest = [one for one in able if one not in (*joint, *losses, *gradients)]
    lines = [f"  bpcheck compare {file}:{one.name}" for one in (*joint, *rest)]
    if lines:
        yield "Functions of (params, x, y) that return the pair (loss, gradient): type\n\n" + "\n".join(lines)
    for one in gradients:
        loss = losses[0].name if losses else "..."
        call = f"bpcheck.from_parts(loss={loss}, gradient={one.name})"
        names = [one.name, *(other.name for other in losses[:1])]
        dots = "" if losses else "\n\n  In place of the dots: your function (params, x, y) -> loss."
        yield f"{one.text} returns no loss beside its gradient. {_script(path, names, [call])}{dots}"
    for one in steps:
        loss = f", loss={losses[0].name}" if losses else ""
        network = "" if losses else f", architectures=bpcheck.mlp({list(WIDTHS)}, activation=..., loss=...)"
        names = [one.name, *(other.name for other in losses[:1])]
        said = "" if losses else "\n\n  In place of the dots: what your network is ('tanh', 'half_mse', …)."
        call = f"bpcheck.from_step({one.name}{loss})"
        yield f"{one.text} takes a step with a learning rate. {_script(path, names, [call], network)}{said}"
    others = [one.text for one in functions if one not in (*able, *steps)]
    if others:
        yield f"Not of this form, which needs three arguments: {', '.join(others)}."


def _script(path: Path, names: Sequence[str], made: Sequence[str], options: str = "") -> str:
    """Lines to put into a file beside the one that was read."""
    *before, subject = made
    lines = ["import bpcheck", f"from {path.stem} import {', '.join(names)}", "", *before]
    lines += [f"subject = {subject}", f"print(bpcheck.compare(subject{options}))"]
    listed = "\n".join(f"    {line}".rstrip() for line in lines)
    return f"Put these lines into a file beside {path.name}, and run it with python:\n\n{listed}"


def _of_a_class(path: Path, found: _Class, method: str = "") -> str:
    """The adapter call for an object, with what its text tells filled in."""
    arguments = {name: _value(name) for name in found.arguments}
    made = f"net = {found.name}({', '.join(f'{name}={value}' for name, value in arguments.items())})"
    if found.is_module:
        call, options = "bpcheck.from_torch(net, ...)", f", architectures=bpcheck.mlp({list(WIDTHS)})"
        dots = "  In place of the dots: the loss (output, y) -> number, and whatever your constructor is given."
        return f"{found.name} is a PyTorch module. {_script(path, [found.name], [made, call], options)}\n\n{dots}"
    call = f"bpcheck.from_object(net, {', '.join(_parts(found, method))})"
    options = f", architectures=bpcheck.mlp({list(WIDTHS)}, activation=..., loss=...)"
    script = _script(path, [found.name], [made, call], options)
    listed = ", ".join(one.text for one in found.methods)
    return (
        f"{found.name} is a class{f' with the methods {listed}' if listed else ''}. {script}\n\n"
        "  In place of the dots: what your network is ('tanh', 'half_mse', …), and what could not be read off the file. The "
        "widths must be those of the object."
    )


def _value(name: str) -> str:
    return next((value for pattern, value in SIZES if pattern.search(name.lower())), "...")


def _parts(found: _Class, method: str) -> list[str]:
    """``params=``, ``loss=``, ``backward=`` and ``gradients=`` of an object."""
    names = [name for name in found.attributes if WEIGHT_OR_BIAS.match(name)]
    held = next((name for name, keys in found.dicts.items() if any(map(WEIGHT_OR_BIAS.match, keys))), "")
    held = held or next((name for name in found.dicts if name.startswith(("param", "weight"))), "")
    params = repr(held) if held and not names else repr(names) if names else "[...]"
    parts = [f"params={params}"]
    loss = next((one for one in found.methods if LOSS.search(one.name)), None)
    parts += [f"loss={loss.name!r}"] if loss is not None else ["loss=..."]
    backward = [one for one in found.methods if one.name == method] or [
        one for one in found.methods if GRADIENT.search(one.name)
    ]
    pattern = _pattern(found, names)
    whole = next((name for name in found.attributes if name in ("grads", "gradients", "grad")), "")
    if backward and backward[0].returns and not pattern:
        return [*parts, f"gradients={backward[0].name!r}"]
    if backward and backward[0] is not loss:
        parts.append(f"backward={backward[0].name!r}")
    return [*parts, f"gradients={(pattern or whole)!r}" if pattern or whole else "gradients=..."]


def _pattern(found: _Class, names: Sequence[str]) -> str:
    """``d{}`` where every parameter has an attribute that is called so."""
    for attribute in found.attributes:
        for name in names[:1]:
            before, there, after = attribute.partition(name)
            pattern = f"{before}{{}}{after}"
            if there and pattern != "{}" and all(pattern.format(n) in found.attributes for n in names):
                return pattern
    return ""
