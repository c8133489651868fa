"""Mutants: every bug of the catalogue planted on purpose, and what is said of it."""
