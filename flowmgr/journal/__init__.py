"""Where flows and executions are kept: one protocol, one module for each implementation."""
