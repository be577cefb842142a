"""Runs the component: `python -m inference --work DIR --artifacts DIR`."""

import sys

from edgeml.runtime.main import main
from inference.options import InferenceOptions
from inference.service import Inference

sys.exit(main("com.edgeml.Inference", InferenceOptions, Inference))
