"""Runs the component: `python -m alert_dispatcher --work DIR`."""

import sys

from alert_dispatcher.options import AlertDispatcherOptions
from alert_dispatcher.service import AlertDispatcher
from edgeml.runtime import runner

if __name__ == "__main__":
    sys.exit(runner.main("com.edgeml.AlertDispatcher", AlertDispatcherOptions, AlertDispatcher))
