// Code to begin with. The first one is what a first visit shows.

export interface Example {
  readonly title: string;
  readonly path: string;
  readonly text: string;
}

export const EXAMPLES: readonly [Example, ...Example[]] = [
  {
    title: "A class with two holes",
    path: "point.py",
    text: `class Point:
    def __init__(self, x, y):
        self.x = x
        <FILL>

    def __add__(self, other):
        return Point(self.x + other.x, <FILL>)

    def __sub__(self, other):
        return Point(self.x - other.x, self.y - other.y)
`,
  },
  {
    title: "A name that later code uses",
    path: "lines.py",
    text: `def read_lines(path):
    with open(path) as file:
        <FILL>
    return [line.strip() for line in lines]
`,
  },
  {
    title: "Parameters, from the body",
    path: "scale.py",
    text: `def scale(<FILL>):
    """Multiply each value by a factor."""
    return [value * factor for value in values]
`,
  },
  {
    title: "A docstring and a line",
    path: "words.py",
    text: `def count_words(path):
    """<FILL>"""
    counts = {}
    with open(path) as file:
        for line in file:
            for word in <FILL>:
                counts[word] = counts.get(word, 0) + 1
    return counts
`,
  },
];
