"""All the examples, over HTTP only."""
