"""Repositories of public hosts: listed through their APIs or from a list, then fetched into parquet."""
