"""How a variable is renamed: its occurrences, and everything else that may know it by its name."""
