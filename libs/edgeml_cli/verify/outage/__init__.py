"""Runs the real AlertDispatcher, with its SQLite file on disk, through outages of IoT Core and kills: `edgeml dev outage`.

offline_test       hours without IoT Core          crash_test     kills at random instants
undelivered_test   alerts that the broker rejects  recording_bus  the bus and IoT Core
generated_results  the input
"""
