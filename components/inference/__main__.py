import sys

from edgeml import app
from inference.options import Options
from inference.service import Inference

sys.exit(app.main("com.edgeml.Inference", Options, Inference))
