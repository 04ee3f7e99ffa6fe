"""Who a request is from, what they may do, and which addresses are this server's.

May import `records` and `content`.
"""
