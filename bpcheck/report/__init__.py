"""Reports for people and machines: they read results and compute nothing."""
