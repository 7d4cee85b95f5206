"""Fine-tuning of a checkpoint on one's own documents: data, training with PyLate, report."""
