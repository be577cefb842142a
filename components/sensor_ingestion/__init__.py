"""SensorIngestion: publishes the readings of machines."""
