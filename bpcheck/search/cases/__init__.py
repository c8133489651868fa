"""Where compare() looks: random cases in strata, the caller's own, and the smallest that still fails."""
