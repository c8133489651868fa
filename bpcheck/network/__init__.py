"""Networks as pure data: layers, architectures, and the cases that are looked at."""
