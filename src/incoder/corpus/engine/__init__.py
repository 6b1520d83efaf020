"""Running tasks side by side, here or on a cluster, so that a killed run goes on where it was."""
