"""`python -m quantilizers` is `python quantilizer.py`."""

import sys

from quantilizer import main

if __name__ == "__main__":
    sys.exit(main())
