"""What runs inside content's own process, on content's own Python.

Its one rule: standard library and lent packages only, in the syntax of Python 3.9. Ruff checks the
syntax, and tests/content/test_pythons.py runs it on every Python of the machine.

Lent are waitress, or uvicorn and what that needs: `process.py` imports them from the server's
installation and then takes them out of the app's reach. debugpy, where a debugger is to attach,
stays within reach, as it imports what it needs bit by bit. `process.py` imports no other package of
local-connect: the server starts it and `lifeline.py` as scripts, by their paths, and it loads the
others by their paths too.
"""
