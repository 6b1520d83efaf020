"""The editing tools behind the port: from the fields of a body to changes, and running them."""
