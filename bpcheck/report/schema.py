"""The published form of a report's JSON, for whoever reads it with another program."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

__all__ = ["schema"]


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what ``Report.to_json()`` and ``--json`` write.

    It is the file ``report.schema.json`` beside this one. ``schema_version`` in a report says which version it
    follows; this is the schema of version 1.

    Examples
    --------
    >>> schema()["$defs"]["report"]["properties"]["schema_version"]["const"]
    1
    """
    text = resources.files("bpcheck.report").joinpath("report.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
