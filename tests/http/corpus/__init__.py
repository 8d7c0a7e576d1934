"""Bad requests, generated from tables: a module for each kind."""
