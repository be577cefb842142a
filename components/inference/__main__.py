import sys

from edgeml.runtime import runner
from inference.options import InferenceOptions
from inference.service import Inference

sys.exit(runner.main("com.edgeml.Inference", InferenceOptions, Inference))
