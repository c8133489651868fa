"""Reports for people and machines: a page, a notebook's cell, pictures, progress, and the schema of the JSON.

Nothing is judged here. What a page shows besides the report (z, a and δ of the case, one derivative as a formula) it
asks the witnesses for.

>>> from bpcheck import report
>>> report.schema()["title"]
'A report of bpcheck'
"""

from bpcheck.report.schema import schema

__all__ = ["schema"]
