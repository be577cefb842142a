"""The real AlertDispatcher on a real SQLite file, with an IoT Core that goes away and a process that is killed.

`feed`: results made to order. `link`: the bus and IoT Core. `offline` and `kill`: the two runs. `python -m edgeml_cli.verify.outage` is the command.
"""
