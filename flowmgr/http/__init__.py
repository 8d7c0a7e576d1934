"""Tasks that make an HTTP request: what they may reach, how they ask, and what they return.

- `flowmgr.http.runner`: `HttpRunner`, which makes the requests of one task, and `HttpResources`.
- `flowmgr.http.addresses`: which addresses may be connected to.

Nothing is imported here, so that the settings can know the rules without loading an HTTP client.
"""
