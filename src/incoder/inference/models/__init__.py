"""The catalogue of models, fetching from the hub, and loading."""
