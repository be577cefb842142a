"""Runs the component: `python -m sensor_ingestion --work DIR`."""

import sys

from edgeml.runtime.main import main
from sensor_ingestion.options import SensorIngestionOptions
from sensor_ingestion.service import SensorIngestion

if __name__ == "__main__":
    sys.exit(main("com.edgeml.SensorIngestion", SensorIngestionOptions, SensorIngestion))
