"""A real server is killed under load, again and again, and a checker holds it to its promises."""
