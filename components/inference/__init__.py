"""Inference: scores each row of the sensor batches."""
