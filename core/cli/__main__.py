"""`python -m core.cli`: how a program starts another of its own commands, whatever is on the PATH."""

from core.cli import main

main()
