"""A Posit Connect-compatible server for Python APIs on your own machine."""

from importlib.metadata import version

__version__ = version("local-connect")
