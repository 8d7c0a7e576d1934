"""`python -m web` is `flowmgr`."""

from web.entry import main

main()
