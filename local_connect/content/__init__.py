"""What runs inside content's own process, on content's own Python.

Standard library and lent packages only, syntax of Python 3.9. It imports no other package of
local-connect: the server starts `process.py` and `lifeline.py` as scripts, by their paths, and
`process.py` loads `wsgi.py` or `asgi.py` by its path too.
"""
