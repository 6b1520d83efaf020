"""Filling holes, completing and scoring with a loaded model."""
