"""Ways to draw a span, a file each: `draw(text, rng)` returns a span of a block, or None if it has none."""
