"""Every kind of layer in balls, one kind a file: in reverse on matrices, and forward on numbers or series."""
