"""SensorIngestion: publishes what machines measure."""
