"""The stages of a build, one file each: read, find copies, write; and of encoding: encode, shuffle."""
