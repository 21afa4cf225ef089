"""Speed and quality of sklearn-mlce beside the tools that people use today.

Run ``python -m benchmarks`` from the repository root; ``benchmarks/README.md`` says what the tables
show.
"""
