"""Runs the component: `python -m alert_dispatcher --work DIR`."""

import sys

from alert_dispatcher.options import AlertDispatcherOptions
from alert_dispatcher.service import AlertDispatcher
from edgeml.runtime.main import main

if __name__ == "__main__":
    sys.exit(main("com.edgeml.AlertDispatcher", AlertDispatcherOptions, AlertDispatcher))
