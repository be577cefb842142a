"""`python -m sensor_ingestion --work DIR`, as the recipe runs it."""

import sys

from edgeml import app
from sensor_ingestion.options import Options
from sensor_ingestion.service import SensorIngestion

if __name__ == "__main__":
    sys.exit(app.main("com.edgeml.SensorIngestion", Options, SensorIngestion))
