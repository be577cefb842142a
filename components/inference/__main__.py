"""Runs the component: `python -m inference --work DIR --artifacts DIR`."""

import sys

from edgeml.runtime import runner
from inference.options import InferenceOptions
from inference.service import Inference

sys.exit(runner.main("com.edgeml.Inference", InferenceOptions, Inference))
