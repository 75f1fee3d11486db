"""`python -m stadkit`, the same as `stadkit`."""

from stadkit.cli.app import main

main()
