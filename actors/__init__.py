"""The execution runtime: runs a plan as supervised actors that pass typed messages."""
