"""`python -m ncap_iac`: the command `ncap`. Nothing happens on import."""

import sys

from ncap_iac.cli import main

if __name__ == "__main__":
    sys.exit(main())
