"""Sentences with indices in them, as HTML: ``W^{l+1}_{kj}`` becomes a formula (MathML)."""

from __future__ import annotations

import re
from html import escape

__all__ = ["prose"]

# One letter with an index or two. Names in code (to_cs231n, x_test) have more letters on either side.
_SCRIPTED = re.compile(
    r"(?<![\w'\"])(?P<letter>[A-Za-zα-ωΣ∇])(?=[\^_])"
    r"(?:\^(?P<above>\{[^}]*\}|\w))?(?:_(?P<below>\{[^}]*\}|\w))?(?![\w^])"
)

_OPEN = (
    '<math style="font-size:1.1em">'  # the letters of mathematical fonts are smaller than their neighbours
)


def prose(sentence: str) -> str:
    """A sentence for a page, escaped.

    Examples
    --------
    >>> prose("δ_j < 1")
    '<math style="font-size:1.1em"><msub><mi>δ</mi><mrow><mi>j</mi></mrow></msub></math> &lt; 1'
    >>> prose("to_cs231n(W, b)")
    'to_cs231n(W, b)'
    """

    def scripted(match: re.Match[str]) -> str:
        letter, above, below = match["letter"], match["above"], match["below"]
        if not above and not below:
            return match[0]
        base = f"<mo>{letter}</mo>" if letter in "Σ∇" else f"<mi>{letter}</mi>"
        tag = f"m{'sub' if below else ''}{'sup' if above else ''}"
        scripts = "".join(_script(script) for script in (below, above) if script)
        return f"{_OPEN}<{tag}>{base}{scripts}</{tag}></math>"

    return _SCRIPTED.sub(scripted, escape(sentence, quote=False))


def _script(script: str) -> str:
    signs = []
    for sign in script.strip("{}").replace(" ", ""):
        kind = "mi" if sign.isalpha() else "mn" if sign.isdigit() else "mo"
        signs.append(f"<{kind}>{sign}</{kind}>")
    return f"<mrow>{''.join(signs)}</mrow>"
