"""Where results are written out and drawn: a result knows only a name, the surface says which code does it.

A result must not import what shows it (arrows run down only), and ``import bpcheck`` must not load it either. So
the surface leaves an address here, ``"bpcheck.report.page:page"``, which is imported when it is first needed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

__all__ = ["register", "rendering"]

_ADDRESSES: dict[str, str] = {}


def register(name: str, address: str) -> None:
    """Say where a rendering lives.

    Parameters
    ----------
    name : str
        ``"page"`` or ``"notebook"``.
    address : str
        ``"module:function"``; the function takes a report and gives text.

    Examples
    --------
    >>> register("shout", "builtins:repr")
    >>> rendering("shout")("δ")
    "'δ'"
    """
    _ADDRESSES[name] = address


def rendering(name: str) -> Callable[..., str]:
    """The function that was registered under a name, imported now.

    Parameters
    ----------
    name : str

    Returns
    -------
    callable
        Takes a report and gives text.

    Examples
    --------
    >>> rendering("page").__module__
    'bpcheck.report.page.page'
    """
    module, _, function = _ADDRESSES[name].partition(":")
    found: Callable[..., str] = getattr(importlib.import_module(module), function)
    return found
