"""What local Connect and the examples cost; `make bench` runs it and writes docs/benchmarks.md."""
