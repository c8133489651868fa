"""The layers of the reference network, forward and backward side by side, one kind a file."""
