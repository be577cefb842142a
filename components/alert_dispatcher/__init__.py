"""AlertDispatcher: decides by the alarm policy, and acts. README.md is its spec."""
