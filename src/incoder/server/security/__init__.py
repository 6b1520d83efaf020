"""Who may call: hosts, web pages, keys. Decided before routing, on the raw request."""
