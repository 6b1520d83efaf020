"""Count the words of a text file and print the most common ones."""

import <FILL>
import sys
from collections import Counter


class WordCounter:
    def __init__(self, path, encoding="utf-8"):
        self.path = path
        self.encoding = <FILL>
        self.counts = Counter()

    def __len__(self):
        return len(<FILL>)

    def read(self):
        with open(self.path, encoding=self.encoding) as <FILL>:
            for line in file:
                self.counts.update(line.split())
        return self


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="the text file")
    parser.add_argument("--top", type=int, default=10, help="how many words to print")
    return <FILL>


def main():
    args = parse_args()
    counter = WordCounter(args.path).read()
    for word, count in counter.counts.most_common(args.top):
        print(f"{count:8d} {word}")
    print(f"{len(counter)} different words", file=sys.stderr)
    return 0


if __name__ == <FILL>:
    sys.exit(main())
