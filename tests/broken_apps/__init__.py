"""Small apps, each wrong in one way, which the contract must reject: the tests of the tests.

Each is a module in apps/ that takes a sound example, imported as `sound`, and breaks one thing of
it. faults.toml says which example that is, and by which tests the app must be rejected.
"""
