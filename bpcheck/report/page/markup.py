"""HTML and SVG as values: text is escaped unless it was made here, so a caller's words can never become markup."""

from __future__ import annotations

import re
from html import escape
from typing import Any

__all__ = ["Html", "join", "prose", "scrolling", "tag"]

# Elements that have no end tag; for any other one a missing end tag would swallow what follows.
VOID = frozenset({"br", "hr", "input", "meta"})


class Html(str):
    """Text that is markup already.

    Examples
    --------
    >>> Html("<b>2</b>")
    '<b>2</b>'
    """

    __slots__ = ()


def join(*parts: Any, between: str = "") -> Html:
    """Parts one after another; what is not markup is escaped, None is left out.

    Examples
    --------
    >>> join("a < b", Html("<br>"), None)
    'a &lt; b<br>'
    """
    return Html(
        between.join(
            part if isinstance(part, Html) else escape(str(part)) for part in parts if part is not None
        )
    )


# The notation of our own sentences, δ^l and W^{l+1} and ∇_a: a letter of the book, and an index made of l or L.
UPPER = re.compile(r"(?<![\w'])([CWabzδ])\^(?:([lL])(?!\w)|\{([lL][^{}<>&]{0,4})\})")
LOWER = re.compile(r"∇_(\w)")


def prose(text: str) -> Html:
    """A sentence of ours with its indices set high and low; escaped like any other text.

    Examples
    --------
    >>> prose("δ^l = (W^{l+1})ᵀ δ^{l+1} < x^2")
    'δ<sup>l</sup> = (W<sup>l+1</sup>)ᵀ δ<sup>l+1</sup> &lt; x^2'
    """
    raised = UPPER.sub(lambda found: f"{found[1]}<sup>{found[2] or found[3]}</sup>", escape(text))
    return Html(LOWER.sub(r"∇<sub>\1</sub>", raised))


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """An element.

    Parameters
    ----------
    name : str
    *children
        Markup, or text to be escaped; None is left out.
    **attributes
        ``class_`` is ``class``, ``aria_label`` is ``aria-label``; None and False are left out, True stands
        alone, and a float is a pixel: it is rounded.

    Examples
    --------
    >>> tag("td", "a < b", class_="wrong", hidden=True)
    '<td class="wrong" hidden>a &lt; b</td>'
    """
    written = []
    for key, value in attributes.items():
        word = key.rstrip("_").replace("_", "-")
        if value is True:
            written.append(f" {word}")
        elif value is not None and value is not False:
            shown = f"{value:.0f}" if isinstance(value, float) else str(value)
            written.append(f' {word}="{escape(shown)}"')
    head = f"<{name}{''.join(written)}>"
    return Html(head if name in VOID else f"{head}{join(*children)}</{name}>")


def scrolling(label: str, *children: Any, name: str = "div", class_: str | None = "scroll") -> Html:
    """What may be wider than the page: it scrolls, the keyboard reaches it, and a screen reader is told what it is.

    Examples
    --------
    >>> scrolling("Table of the limits", "…")
    '<div class="scroll" tabindex="0" role="group" aria-label="Table of the limits">…</div>'
    """
    return tag(name, *children, class_=class_, tabindex="0", role="group", aria_label=label)
