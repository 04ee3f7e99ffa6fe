"""What the server keeps: its database, the versions of its schema, and the data directory's lock.

May import `content`.
"""
