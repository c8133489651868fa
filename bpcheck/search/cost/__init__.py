"""Which cost a subject computes: inferred from its forward values."""
