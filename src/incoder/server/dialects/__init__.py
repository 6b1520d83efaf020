"""The dialects: each a file that maps bodies to calls, and answers to JSON."""
