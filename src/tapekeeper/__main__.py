"""`python -m tapekeeper` is `tapekeeper`."""

from tapekeeper.cli import main

main()
