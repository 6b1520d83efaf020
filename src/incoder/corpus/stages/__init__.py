"""The stages, one file each: read, find_duplicates and write for a build; encode for encoding."""
