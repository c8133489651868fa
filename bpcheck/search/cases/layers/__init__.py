"""What the search knows of each kind of layer: its sizes, what is smaller and plainer, and what of its parameters stays."""
