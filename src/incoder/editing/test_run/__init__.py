"""Test runs: a user's command runs on a changed file, and none of its files or processes outlive it."""
