"""Fine-tuning a model on one's own code, with proof that it helped."""
