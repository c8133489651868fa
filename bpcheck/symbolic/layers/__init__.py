"""The forward pass of every kind of layer as a formula, one kind a file. No derivative is written here."""
