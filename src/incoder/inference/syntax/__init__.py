"""As much of a file's syntax as a hole needs: which string, comment or bracket is open where it begins."""
