"""How a subject lays out its numbers: found by trial, translated, and told in the caller's own words."""
