"""Adapters: frameworks as subjects. The only place in bpcheck that names a framework.

Importing an adapter does not import its framework; the first use does.
"""
