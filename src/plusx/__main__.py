"""`python -m plusx` is `plusx`."""

from plusx.cli import main

main()
