"""`python -m service` is the `exportgate` command."""

from service.cli import main

main()
