"""The way of a visitor's request to content, and the connections that it comes and goes by.

May import `api`, `runtime`, `access`, `records` and `content`.
"""
