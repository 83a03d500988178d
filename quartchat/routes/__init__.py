"""HTTP: parse at the edge, one call, answer. What all routes share is in `routes.http`."""
