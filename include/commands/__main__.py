"""``python -m include.commands`` is ``quietus``."""

from include.commands import main

main()
