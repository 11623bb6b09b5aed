"""HTTP: connections, routes, who may ask, the page."""
