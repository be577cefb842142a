"""The configuration of all components: a tree of leaves with timestamps, as in Nucleus Lite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

Watcher = Callable[[str, list[str]], None]


MAX_DEPTH = 100
"""Levels of maps."""


class KeyNotFound(KeyError):
    """The key path does not exist."""


class ConfigConflict(Exception):
    """A value would replace a map, or a map a value."""


class _Node:
    """A map (`children` is a dict) or a leaf (`children` is None)."""

    __slots__ = ("children", "value", "timestamp", "watchers")

    def __init__(self) -> None:
        self.children: dict[str, _Node] | None = {}
        self.value: Any = None
        self.timestamp = 0
        self.watchers: list[Watcher] = []

    def plain(self) -> Any:
        if self.children is None:
            return self.value
        return {key: child.plain() for key, child in self.children.items()}


class ConfigStore:
    """`{component: configuration}`; timestamps are milliseconds since the epoch, and the newer one wins, leaf by leaf.

    A list is one leaf. Watchers are called for each leaf after it has changed, with its complete key path. A reset removes the
    watchers of the key without notice.
    """

    def __init__(self) -> None:
        self._components: dict[str, _Node] = {}

    def components(self) -> list[str]:
        return list(self._components)

    def get(self, component: str, key_path: Sequence[str] = ()) -> Any:
        """The value or map at `key_path`.

        Raises:
            KeyNotFound: the key path does not exist.
        """
        return self._find(component, key_path).plain()

    def merge(self, component: str, value: Any, timestamp: int, key_path: Sequence[str] = ()) -> int:
        """Merge a map, or write a leaf, at `key_path`; returns the number of leaves ignored because the stored ones are newer.

        Raises:
            ConfigConflict: a map meets a value. Leaves written before it remain, as on a device.
        """
        stale = 0
        for leaf, new in _leaves(value, list(key_path)):
            if not leaf and not isinstance(new, dict):
                raise ConfigConflict("the whole configuration of a component must be a map")
            stale += not self._write(component, leaf, new, timestamp)
        return stale

    def set_default(self, component: str, value: dict[str, Any], *, keep_old: bool = False) -> None:
        """Merge a recipe's `DefaultConfiguration`; values set by deployments or components take precedence.

        Args:
            keep_old: earlier defaults take precedence, too.
        """
        self._components.setdefault(component, _Node())
        for leaf, new in _leaves(value, []):  # a recipe's depth has been checked
            try:
                if not (keep_old and self._has(component, leaf)):
                    self._write(component, leaf, new, 0)
            except ConfigConflict:
                continue

    def reset(self, component: str, key_path: Sequence[str] = ()) -> None:
        """Remove `key_path` and everything below it, if it exists."""
        if not key_path:
            self._components.pop(component, None)
            return
        try:
            parent = self._find(component, key_path[:-1])
        except KeyNotFound:
            return
        if parent.children is not None:
            parent.children.pop(key_path[-1], None)

    def subscribe(self, component: str, key_path: Sequence[str], callback: Watcher) -> Callable[[], None]:
        """Call `callback(component, key path of a changed leaf)`; returns a function that ends it.

        Raises:
            KeyNotFound: `key_path` does not exist yet.
        """
        watchers = self._find(component, key_path).watchers
        watchers.append(callback)
        return lambda: watchers.remove(callback) if callback in watchers else None

    def drop_watchers(self) -> None:
        """Drop every subscription without notice."""
        nodes = list(self._components.values())
        while nodes:
            node = nodes.pop()
            node.watchers.clear()
            nodes += node.children.values() if node.children is not None else ()

    def snapshot(self) -> dict[str, Any]:
        """The whole store as JSON data for `load`: a leaf is `[value, timestamp]`, a map is an object."""
        return {name: _dump(node) for name, node in self._components.items()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restore a snapshot. Watchers remain, and are called for each leaf whose value changes."""
        for name in [name for name in self._components if name not in snapshot]:
            del self._components[name]
        for name, dumped in snapshot.items():
            node = self._components.setdefault(name, _Node())
            for leaf, watchers in _restore_node(node, dumped, [], []):
                for watcher in watchers:
                    watcher(name, leaf)

    def load(self, snapshot: dict[str, Any]) -> None:
        """Replace the whole store with a snapshot."""
        self._components = {name: _load_node(dumped) for name, dumped in snapshot.items()}

    def _find(self, component: str, key_path: Sequence[str]) -> _Node:
        node = self._components.get(component)
        for key in key_path:
            node = node.children.get(key) if node is not None and node.children is not None else None
        if node is None:
            raise KeyNotFound("/".join((component, *key_path)))
        return node

    def _has(self, component: str, key_path: Sequence[str]) -> bool:
        try:
            self._find(component, key_path)
        except KeyNotFound:
            return False
        return True

    def _write(self, component: str, key_path: list[str], value: Any, timestamp: int) -> bool:
        """Write a leaf or an empty map; False: the stored leaf is newer and remains."""
        node, created = self._components.get(component), False
        if node is None:
            node = self._components[component] = _Node()
        nodes = [node]
        for key in key_path:
            if node.children is None:
                raise ConfigConflict(f"{'/'.join(key_path)} of {component}: {key!r} would be below a value")
            created = key not in node.children
            node = node.children.setdefault(key, _Node())
            nodes.append(node)
        where = f"{'/'.join(key_path)} of {component}"
        if isinstance(value, dict):
            if node.children is None:
                raise ConfigConflict(f"{where} is a value and cannot become a map")
            return True
        if node.children is not None and not created:
            raise ConfigConflict(f"{where} is a map and cannot become a value")
        if not created and node.timestamp > timestamp:
            return False
        changed = created or not _same(node.value, value)
        node.children, node.value, node.timestamp = None, value, timestamp
        if changed:
            for watcher in [each for one in nodes for each in one.watchers]:
                watcher(component, list(key_path))
        return True


def _leaves(value: Any, key_path: list[str]) -> Iterator[tuple[list[str], Any]]:
    if len(key_path) > MAX_DEPTH:
        raise ConfigConflict(f"maps are nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, [*key_path, key])
    else:
        yield key_path, value


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def _dump(node: _Node) -> Any:
    if node.children is None:
        return [node.value, node.timestamp]
    return {key: _dump(child) for key, child in node.children.items()}


def _restore_node(node: _Node, dumped: Any, path: list[str], above: list[Watcher]) -> list[tuple[list[str], list[Watcher]]]:
    """Restore a node from a snapshot; returns each changed leaf with its watchers."""
    watchers = [*above, *node.watchers]
    if isinstance(dumped, list):
        changed = node.children is not None or not _same(node.value, dumped[0])
        node.children, (node.value, node.timestamp) = None, dumped
        return [(path, watchers)] if changed else []
    if node.children is None:
        node.children, node.value = {}, None
    for key in [key for key in node.children if key not in dumped]:
        del node.children[key]
    found = []
    for key, child in dumped.items():
        found += _restore_node(node.children.setdefault(key, _Node()), child, [*path, key], watchers)
    return found


def _load_node(dumped: Any) -> _Node:
    node = _Node()
    if isinstance(dumped, list):
        node.children, (node.value, node.timestamp) = None, dumped
    else:
        node.children = {key: _load_node(child) for key, child in dumped.items()}
    return node
