"""The benchmarks, a file each: the row of its file, the prompt of each method, and how answers are judged."""
