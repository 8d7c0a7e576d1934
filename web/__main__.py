"""`python -m web` is `flowmgr`."""

from web.cli import main

main(prog_name="flowmgr")
