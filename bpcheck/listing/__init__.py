"""What a file has that could be compared, and what to type for each: the file is read, and nothing in it is run."""

from bpcheck.listing.words import listing

__all__ = ["listing"]
