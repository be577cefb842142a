"""The rolling capture: rows kept on the device for training."""
