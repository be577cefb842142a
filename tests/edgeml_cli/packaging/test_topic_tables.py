"""The recipes and READMEs of this checkout hold what the records of the topics say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeml.messages import topics
from edgeml_cli.build import topic_tables
from edgeml_cli.build.package import COMPONENTS, ROOT, BuildError


def test_recipes_and_readmes_are_up_to_date() -> None:
    changed = [str(path.relative_to(ROOT)) for path in topic_tables.outdated(ROOT)]
    assert changed == [], f"differ from edgeml.messages.topics; run: {topic_tables.COMMAND}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for path, _, _ in topic_tables.places(ROOT):
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def test_copies_are_rewritten_where_they_differ(copy: Path) -> None:
    recipe, readme = copy / "recipes" / "com.edgeml.Inference.yaml", copy / "components" / "inference" / "README.md"
    right = {path: path.read_text() for path in (recipe, readme)}
    recipe.write_text(right[recipe].replace("            - edgeml/sensors\n", ""))
    readme.write_text(right[readme].replace("| in | `edgeml/control` |", "| out | `edgeml/control` |"))
    assert topic_tables.outdated(copy) == right


def test_a_file_without_a_place_is_named(copy: Path) -> None:
    readme = copy / "components" / "inference" / "README.md"
    readme.write_text("# com.edgeml.Inference\n")
    with pytest.raises(BuildError, match=f"{readme} has no table of topics"):
        topic_tables.outdated(copy)


def test_check_changes_nothing_and_names_the_command(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(topic_tables, "ROOT", copy)
    assert topic_tables.main(["--check"]) == 0
    readme = copy / "components" / "inference" / "README.md"
    wrong = readme.read_text().replace("| in | `edgeml/control` |", "| out | `edgeml/control` |")
    readme.write_text(wrong)
    assert topic_tables.main(["--check"]) == 1
    assert f"components/inference/README.md differs from edgeml.messages.topics; run: {topic_tables.COMMAND}" in capsys.readouterr().err
    assert readme.read_text() == wrong
    assert topic_tables.main([]) == 0 and topic_tables.main(["--check"]) == 0


def test_records_name_the_components_that_are_built() -> None:
    assert set(topics.COMPONENTS) == set(COMPONENTS)


def test_grants_are_those_of_the_records_that_name_a_component(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = topics.COMPONENTS[:2]
    records = (
        topics.Topic("edgeml/a", (), "", publishers={one: ""}, subscribers={two: ""}),
        topics.Topic("edgeml/b", (), "", publishers={one: "", two: ""}, subscribers={one: "if it is on"}),
        topics.Topic("edgeml/self/{component}", (), "", publishers={one: ""}, subscribers={one: ""}),
        topics.Topic("edgeml/{thing}/c", (), "", publishers={one: ""}, subscribers={topics.PEOPLE: ""}, cloud=True),
    )
    monkeypatch.setattr(topics, "TOPICS", records)
    pubsub, proxy = "aws.greengrass.ipc.pubsub", "aws.greengrass.ipc.mqttproxy"
    assert topic_tables.grants(one) == {
        (pubsub, "aws.greengrass#PublishToTopic"): ["edgeml/a", "edgeml/b", "edgeml/self/SensorIngestion"],
        (pubsub, "aws.greengrass#SubscribeToTopic"): ["edgeml/b", "edgeml/self/SensorIngestion"],
        (proxy, "aws.greengrass#PublishToIoTCore"): ["edgeml/+/c"],
    }
    assert topic_tables.grants(two) == {
        (pubsub, "aws.greengrass#PublishToTopic"): ["edgeml/b"],
        (pubsub, "aws.greengrass#SubscribeToTopic"): ["edgeml/a"],
    }


def test_topics_in_iot_core_are_granted_for_any_thing() -> None:
    grants = topic_tables.grants("com.edgeml.SensorIngestion")
    assert grants["aws.greengrass.ipc.mqttproxy", "aws.greengrass#PublishToIoTCore"] == ["edgeml/+/captures"]
    assert grants["aws.greengrass.ipc.mqttproxy", "aws.greengrass#SubscribeToIoTCore"] == ["edgeml/+/captures"]
