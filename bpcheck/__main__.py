"""``python -m bpcheck`` is the command line."""

import sys

from bpcheck.cli import main

if __name__ == "__main__":
    sys.exit(main())
