"""Judges: hold a claim against what it should be, and decide by the error bounds."""
