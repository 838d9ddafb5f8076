"""How fast a sweep is, each way of running it beside the others: docs/benchmarks.md."""
