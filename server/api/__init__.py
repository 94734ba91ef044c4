"""The HTTP application: routes, limits before a handler runs, and the document that describes them."""
