"""How fast flowmgr is, and how much memory it takes: each figure as a ratio to a baseline.

``python -m tests.benchmarks [names...] [--quick]``; ``make bench`` runs all of it. A figure by
itself says more about the machine than about the code, so every one is set against a baseline that
was measured in the same run: another way to do the same work. pytest does not collect these;
`tests/unit/test_benchmarks.py` only looks whether they run.
"""
