"""`python -m p4cats` is the `p4cats` command."""

from p4cats.cli import main

main()
