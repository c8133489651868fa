"""Strategies for layers, one kind a file: what may stand at inputs of a given shape."""
