from __future__ import annotations

import pytest

from gglocal.core.config_store import ConfigConflict, ConfigStore, KeyNotFound

ONE = "com.test.One"


def store(**configuration: object) -> ConfigStore:
    made = ConfigStore()
    made.set_default(ONE, configuration)
    return made


def test_merge_writes_leaf_by_leaf() -> None:
    config = store(a={"b": 1, "c": [1, 2]}, d=None)
    config.merge(ONE, {"a": {"b": 5, "e": {}}}, 10)
    assert config.get(ONE) == {"a": {"b": 5, "c": [1, 2], "e": {}}, "d": None}
    assert config.get(ONE, ["a", "c"]) == [1, 2]


def test_merge_ignores_older_timestamps() -> None:
    config = store(a=1)
    config.merge(ONE, {"a": 2}, 100)
    config.merge(ONE, {"a": 3, "b": 3}, 99)
    assert config.get(ONE) == {"a": 2, "b": 3}
    config.merge(ONE, {"a": 4}, 100)
    assert config.get(ONE, ["a"]) == 4


def test_default_replaces_older_defaults_but_no_set_values() -> None:
    config = store(a=1, b=1)
    config.merge(ONE, {"a": 2}, 50)
    config.set_default(ONE, {"a": 9, "b": 9})
    assert config.get(ONE) == {"a": 2, "b": 9}


@pytest.mark.parametrize(("path", "value"), [(["a"], {"x": 1}), (["a", "x"], 1), (["m"], 1), ([], 5)])
def test_merge_rejects_a_map_over_a_value_and_a_value_over_a_map(path: list[str], value: object) -> None:
    config = store(a=1, m={"x": 1})
    with pytest.raises(ConfigConflict):
        config.merge(ONE, value, 10, path)
    assert config.get(ONE) == {"a": 1, "m": {"x": 1}}


def test_watchers_are_called_for_each_changed_leaf_below_their_key() -> None:
    config, all_of_it, one, other = store(a={"b": 1, "c": 1}, d=1), [], [], []
    config.subscribe(ONE, [], lambda component, path: all_of_it.append((component, path)))
    config.subscribe(ONE, ["a", "b"], lambda component, path: one.append(path))
    end = config.subscribe(ONE, ["d"], lambda component, path: other.append(path))
    config.merge(ONE, {"a": {"b": 2, "c": 1, "new": 1}, "d": 2}, 10)
    assert all_of_it == [(ONE, ["a", "b"]), (ONE, ["a", "new"]), (ONE, ["d"])]
    assert one == [["a", "b"]]
    end()
    config.merge(ONE, {"d": 3}, 11)
    assert other == [["d"]]


def test_missing_key_cannot_be_read_or_watched() -> None:
    config = store(a=1)
    for path in (["x"], ["a", "x"]):
        with pytest.raises(KeyNotFound):
            config.get(ONE, path)
        with pytest.raises(KeyNotFound):
            config.subscribe(ONE, path, lambda component, path: None)
    with pytest.raises(KeyNotFound):
        config.get("com.test.Unknown")


def test_reset_removes_a_subtree() -> None:
    config = store(a={"b": 1}, c=1)
    config.reset(ONE, ["a", "b"])
    config.reset(ONE, ["nothing", "here"])
    assert config.get(ONE) == {"a": {}, "c": 1}
    config.reset(ONE)
    assert config.components() == []


def test_snapshot_restores_values_and_timestamps() -> None:
    config, again = store(a={"b": [1, {"c": 2}]}, d=1), ConfigStore()
    config.merge(ONE, {"d": 2, "e": {}}, 1_000)
    again.load(config.snapshot())
    again.merge(ONE, {"d": 3}, 999)
    assert again.get(ONE) == {"a": {"b": [1, {"c": 2}]}, "d": 2, "e": {}}
