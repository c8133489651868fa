"""How the page shows each kind of layer: its steps, their numbers, and its drawing; one kind a file."""
