"""flask-cassandra-example, on a real node."""
