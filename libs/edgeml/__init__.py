"""edgeml: what every component of the suite shares. See docs/architecture.md for the map of its modules."""

__version__ = "0.1.0"
