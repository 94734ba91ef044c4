"""The HTTP application: routes, the checks before a handler runs, and the OpenAPI document."""
