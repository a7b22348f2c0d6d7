"""``python -m laterank`` is the command ``laterank``."""

import sys

from laterank.cli import main

if __name__ == "__main__":
    sys.exit(main())
