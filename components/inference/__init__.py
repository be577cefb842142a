"""Inference: sensor batches in, one result a row out."""
