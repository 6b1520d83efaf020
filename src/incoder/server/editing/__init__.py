"""The editing tools over HTTP: from the fields of a body to changes, and running them."""
