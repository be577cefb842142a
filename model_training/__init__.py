"""Data sets, training, export and evaluation of model bundles, and the bundle that the suite ships."""
