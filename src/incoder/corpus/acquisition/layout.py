"""The names of the files and folders that a fetch writes into its folder."""

DATABASE = "state.sqlite"
FILES = "files"
MANIFEST = "manifest.parquet"
STAGING = "staging"  # files that are not in their place yet; leftovers of a killed run are removed
