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
    path: "node.py",
    text: `class Node:
    def __init__(self, value):
        self.value = value
        <FILL>

    def add(self, child):
        self.children.append(child)
`,
  },
  {
    title: "Names that the body uses",
    path: "invert.py",
    text: `def invert(mapping):
    inverted = {}
    for <FILL> in mapping.items():
        inverted[value] = key
    return inverted
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
