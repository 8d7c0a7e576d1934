"""Activities: the user's functions that tasks run, and the ways of running them."""
