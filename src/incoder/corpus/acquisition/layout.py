"""The names that a fetch gives to what it writes into its folder."""

DATABASE = "state.sqlite"
FILES = "files"
MANIFEST = "manifest.parquet"
STAGING = "staging"  # what is not in its place yet; what a killed run left there is removed
