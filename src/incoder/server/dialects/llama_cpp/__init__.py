"""llama.cpp's server, as its editor plugins and other clients speak to it."""
