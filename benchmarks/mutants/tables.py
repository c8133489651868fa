"""The matrix as a table: what was seen, where it was said to be, what it was called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.mutants.settings import PLANTED
from bpcheck.diagnosis import CATALOGUE

__all__ = ["AS_IT_SHOULD_BE", "page", "totals"]

AS_IT_SHOULD_BE = ("silent", "raises", "tied", "first")

DECIDED = ("missed", "open", "wrong", "unknown", "tied", "first")


def totals(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Shares over all cells that are neither silent nor raise, as the targets have them."""
    counts = Counter(cell["outcome"] for cell in cells)
    shown = sum(counts[outcome] for outcome in DECIDED)
    seen = [cell for cell in cells if cell["outcome"] in DECIDED[2:]]
    equation = [cell["equation"] for cell in seen if cell["equation"] is not None]
    layer = [cell["layer"] for cell in seen if cell["layer"] is not None]
    share = lambda part, whole: part / whole if whole else float("nan")  # noqa: E731
    return {
        "planted": len(cells),
        "silent": counts["silent"],
        "raises": counts["raises"],
        "shown": shown,
        "detected": share(len(seen), shown),
        "left open": share(counts["open"], shown),
        "equation right": share(sum(equation), len(equation)),
        "layer right": share(sum(layer), len(layer)),
        "named": share(counts["first"] + counts["tied"], shown),
        "named alone": share(counts["first"], shown),
        "unknown": share(counts["unknown"], shown),
        "named wrongly": share(counts["wrong"], shown),
    }


def _percent(value: float) -> str:
    return f"{100.0 * value:.2f} %".replace("100.00", "100")


def page(header: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], correct: Mapping[str, Any]) -> str:
    """The whole page, in Markdown."""
    found = totals(cells)
    lines = [
        "# Mutants",
        "",
        f"Made by `{header['command']}`, seed {header['seed']}, bpcheck {header['bpcheck']}. Every bug of the catalogue, "
        "planted in networks of every activation with every loss; widths, batch, reduction, penalty and precision drawn at "
        "random. `compare()` is told the network and is given five random cases, as if they were the caller's own.",
        "",
        "| | of the mutants that show | target |",
        "| --- | ---: | ---: |",
        f"| detected | {_percent(found['detected'])} | 100 % |",
        f"| … left open (INCONCLUSIVE) | {_percent(found['left open'])} | |",
        f"| equation right | {_percent(found['equation right'])} | ≥ 99 % |",
        f"| layer right | {_percent(found['layer right'])} | ≥ 99 % |",
        f"| bug named, alone or in a stated tie | {_percent(found['named'])} | ≥ 95 % |",
        f"| … alone | {_percent(found['named alone'])} | |",
        f"| said to be unknown | {_percent(found['unknown'])} | |",
        f"| named wrongly | {_percent(found['named wrongly'])} | ≤ 0.5 % |",
        "",
        f"{found['planted']:,} planted, {found['shown']:,} show. The others are silent in all five cases (the "
        f"answer is right there, {found['silent']:,}) or raise an exception, as NumPy does where shapes do not fit "
        f"({found['raises']:,}).",
        "",
        f"Right code in {len(correct['styles'])} styles that look wrong, {correct['runs']:,} random networks: "
        f"{correct['flagged']} called wrong, {correct['inconclusive']} left open"
        + (f" ({correct['inconclusive by style']})." if correct["inconclusive"] else "."),
        "",
        "| bug | equation | show | detected | equation | layer | alone | tied | unknown | wrong name |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for slug in PLANTED:
        bug = CATALOGUE[slug]
        own = [cell for cell in cells if cell["slug"] == slug]
        counts = Counter(cell["outcome"] for cell in own)
        t = totals(own)
        right = lambda key, t=t: "" if t[key] != t[key] else _percent(t[key])  # noqa: E731
        lines.append(
            f"| {slug} | {bug.equation or 'its tensor’s'} | {t['shown']} | {right('detected')} | "
            f"{right('equation right')} | {right('layer right')} | {counts['first']} | {counts['tied']} | "
            f"{counts['unknown']} | {counts['wrong']} |"
        )
    wrong = [cell for cell in cells if cell["outcome"] in ("wrong", "missed", "open")]
    if wrong:
        lines += ["", "Missed, left open, or named wrongly:", ""]
        lines += [
            f"- {cell['slug']}: {cell['verdict']} {', '.join(cell['named']) or '(no name)'}, in {cell['setting']}"
            for cell in wrong
        ]
    return "\n".join(lines) + "\n"
