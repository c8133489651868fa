"""Calibration: whether the error bars hold, whether right is called wrong, how small an error is seen.

``python -m benchmarks.calibration --help`` says how to run it; ``benchmarks/README.md`` what it shows.
"""
