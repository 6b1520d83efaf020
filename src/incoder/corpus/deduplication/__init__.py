"""Duplicates of documents: found in one pass as in the paper, exactly in any order, and near-duplicates."""
