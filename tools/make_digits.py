"""Make bpcheck/data/digits.npz from scikit-learn's copy of the UCI digits.

Run it with ``python tools/make_digits.py``; it needs scikit-learn. The arrays are the same every time,
and so are the bytes of the file for one version of NumPy and zlib (no time is written into it).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).parents[1] / "bpcheck" / "data" / "digits.npz"


def make(target: Path) -> None:
    """Write the images (0 … 16) and labels (0 … 9), both as bytes."""
    bunch = load_digits()
    images, labels = bunch.data.astype(np.uint8), bunch.target.astype(np.uint8)
    if not (np.array_equal(images, bunch.data) and np.array_equal(labels, bunch.target)):
        raise SystemExit("the digits are no longer whole numbers below 256: they do not fit into bytes.")
    np.savez_compressed(target, images=images, labels=labels)


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(
        description="Make digits.npz from scikit-learn's copy of the UCI digits."
    )
    parser.add_argument("--out", type=Path, default=TARGET, help="where to write (default: %(default)s)")
    target = parser.parse_args().out
    make(target)
    print(f"{target.name}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
