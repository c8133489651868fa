"""Every name, file and line that docs/notation.md points to is there.

A link such as [`code`](../file.py#L12) must lead to the line that holds that code. When lines have moved,

    python tests/docs/test_notation.py

writes the right numbers into the page.
"""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "notation.md"
TEXT = PAGE.read_text(encoding="utf-8")

CODE_LINK = re.compile(r"\[`([^`]+)`\]\(([^)#]+)#L(\d+)\)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
BACKTICKS = re.compile(r"`([^`\n]+)`")
NAMES = sorted({name for code in BACKTICKS.findall(TEXT) for name in re.findall(r"^bpcheck(?:\.\w+)+", code)})
FILES = sorted({code for code in BACKTICKS.findall(TEXT) if re.fullmatch(r"[\w.-]+(/[\w.-]+)+", code)})
TARGETS = sorted({target for target in LINK.findall(TEXT) if "://" not in target})


def line_of(code, file):
    """Number of the only line of a file that holds this code."""
    lines = (PAGE.parent / file).read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines, start=1) if code in line]
    if len(found) != 1:
        raise LookupError(
            f"{code!r} is on lines {found} of {file}, not on exactly one: mend docs/notation.md."
        )
    return found[0]


def relinked(text):
    """The page with the line numbers that are right now."""
    return CODE_LINK.sub(lambda m: f"[`{m[1]}`]({m[2]}#L{line_of(m[1], m[2])})", text)


def anchors(text):
    """Anchors that GitHub makes of the headings: lower case, no punctuation, dashes for spaces."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def resolve(name):
    """The object behind a dotted name: import as much as possible, then take attributes."""
    parts = name.split(".")
    value = importlib.import_module(parts[0])
    for count, part in enumerate(parts[1:], start=2):
        found = hasattr(value, part)
        value = getattr(value, part) if found else importlib.import_module(".".join(parts[:count]))
    return value


@pytest.mark.parametrize("name", NAMES)
def test_every_name_exists(name):
    assert resolve(name) is not None


def test_every_file_in_backticks_exists():
    assert [file for file in FILES if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("target", TARGETS)
def test_every_relative_link_resolves(target):
    file, _, anchor = target.partition("#")
    if file:
        assert (PAGE.parent / file).is_file()
    else:
        assert anchor in anchors(TEXT)


@pytest.mark.parametrize(("code", "file", "line"), [m.groups() for m in CODE_LINK.finditer(TEXT)])
def test_every_link_to_code_leads_to_its_line(code, file, line):
    assert int(line) == line_of(code, file), "run: python tests/docs/test_notation.py"


def test_the_four_equations_are_linked():
    equations = importlib.import_module("bpcheck.reference.layers.four_equations")
    for name in equations.__all__:
        assert f"`bpcheck.reference.layers.four_equations.{name}`" in TEXT


def test_every_displayed_equation_is_followed_by_a_link_to_code():
    after = re.split(r"^\$\$.*\$\$$", TEXT, flags=re.MULTILINE)[1:]
    assert len(after) >= 8
    for rest in after:
        first = next(line for line in rest.splitlines() if line.strip())
        assert first.startswith("→ [`"), first


def test_a_dead_name_and_a_moved_line_would_be_seen():
    with pytest.raises(ModuleNotFoundError):
        resolve("bpcheck.reference.layers.four_equations.bp5")
    with pytest.raises(LookupError, match="mend"):
        line_of("return delta.T @ something_else", "../bpcheck/reference/layers/four_equations.py")


if __name__ == "__main__":
    PAGE.write_text(relinked(TEXT), encoding="utf-8")
