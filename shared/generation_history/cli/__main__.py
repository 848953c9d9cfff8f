"""`python -m generation_history.cli` is `generation-history`."""

from generation_history.cli.entry import main

main()
