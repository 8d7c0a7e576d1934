"""The REST surface, the servers and the command line."""
