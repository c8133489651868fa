"""Reports for people and machines: a page, a notebook's cell, pictures, progress, and the schema of the JSON.

Nothing is judged here. What a page shows besides the report (z, a and δ of the case, one derivative as a formula) it
asks the witnesses for.

>>> from bpcheck import report
>>> report.schema()["title"]
'A report of bpcheck'
"""

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
