"""`python -m incoder`."""

from incoder.cli.main import main

main()
