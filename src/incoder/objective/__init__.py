"""The training objective: masked documents, packed rows, and the loss."""
