"""The way of a bundle to a live process: check, environment, process, activation, and the records
of each.

May import `access`, `records` and `content`.
"""
