"""The complex step through a network, evaluating again only what a parameter touches: what layers say, and identities."""
