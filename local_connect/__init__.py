"""A Posit Connect-compatible server for Python APIs on your own machine."""
