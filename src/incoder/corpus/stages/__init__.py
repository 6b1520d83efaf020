"""The stages, one file each: of a build, read, find copies and write; of encoding, encode."""
