"""The settings of each client, and a test of the running server with each client's real requests."""
