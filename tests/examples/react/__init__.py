"""flask-react-example: its API on both databases, its page, its command and its build."""
