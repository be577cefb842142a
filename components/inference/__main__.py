import sys

from edgeml.runtime import runner
from inference.options import Options
from inference.service import Inference

sys.exit(runner.main("com.edgeml.Inference", Options, Inference))
