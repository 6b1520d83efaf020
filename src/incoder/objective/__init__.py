"""What training learns from: masked documents, packed rows, and the loss."""
