"""The benchmarks; `scripts/benchmark.py` runs them."""
