"""The benchmarks, a file each: the fields of a row, the prompts, and how completions are judged."""
