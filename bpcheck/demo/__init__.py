"""``bpcheck demo``: the whole path on real digits, in a few seconds."""

from bpcheck.demo.show import show

__all__ = ["show"]
