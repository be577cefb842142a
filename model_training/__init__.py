"""What trained the model bundle that ships: data, synthetic faults, network, export, evaluation."""
