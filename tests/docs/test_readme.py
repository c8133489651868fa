"""The README's report is the one that its code yields; run this file as a script to renew it."""

import contextlib
import io
import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
PATTERN = re.compile(r"```python\n(?P<code>import numpy.*?)```\n\n```text\n(?P<report>.*?)```\n", re.DOTALL)


def actual(code):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {"__name__": "readme"})
    return out.getvalue()


def test_the_report_is_what_the_code_prints():
    found = PATTERN.search(README.read_text(encoding="utf-8"))
    assert found is not None
    assert found["report"] == actual(found["code"])


def test_the_report_names_the_planted_bug():
    found = PATTERN.search(README.read_text(encoding="utf-8"))
    for word in ("DISAGREES", "BP2", "(layer 2)", "hidden-derivative-missing"):
        assert word in found["report"]


def test_the_two_commands_are_the_ones_that_ci_runs():
    text = README.read_text(encoding="utf-8")
    script = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"```sh\n(.*?)\n```", text) == [
        "pip install . && bpcheck demo",
        "pip install -e '.[test]' && pytest",
    ]
    assert "README.md" in script  # it reads the commands from here


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    found = PATTERN.search(text)
    start, end = found.span("report")
    README.write_text(text[:start] + actual(found["code"]) + text[end:], encoding="utf-8")
