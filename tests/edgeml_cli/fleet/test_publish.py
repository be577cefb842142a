"""scripts/publish against S3 and Greengrass on loopback."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
import yaml

from edgeml_cli.build import package
from edgeml_cli.build.package import COMPONENTS, SUITE
from edgeml_cli.fleet import build_output, publish
from tests.edgeml_cli.fleet.conftest import BUCKET, REGION, Cloud
from tests.gglocal.recipes import RecipeFolder

Said = Callable[[], str]
ONE, OTHER = "com.edgeml.Inference", "com.edgeml.AlertDispatcher"
ORDER = [ONE, OTHER]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small build to change: two components, the one that the other needs with an artifact."""
    shelf = RecipeFolder(tmp_path / "greengrass-build")
    artifact = {"Artifacts": [{"Uri": "s3://BUCKET_NAME/inference.zip"}]}
    shelf.add(ONE, {"run": "true"}, "0.1.0", config={"threads": 1}, files={"inference.zip": "the artifact"}, manifest=artifact)
    shelf.add(OTHER, {"run": "true"}, "0.1.0", needs={ONE: "HARD"})
    return tmp_path / "greengrass-build"


def run(source: Path, *more: str) -> int:
    return publish.main(["--without-gdk", "--from", str(source), *more])


def change(source: Path, name: str = "com.edgeml.Inference") -> None:
    path = next((source / "artifacts" / name).rglob("*.zip"))
    path.write_bytes(path.read_bytes() + b"changed")


def test_publishes_all_with_artifacts_before_recipes_and_dependencies_before_the_suite(cloud: Cloud, version: str) -> None:
    assert publish.main(["--without-gdk", "--author", "Ada"]) == 0
    assert list(cloud.standin.components) == ["com.edgeml.AlertDispatcher", "com.edgeml.Inference", "com.edgeml.SensorIngestion", SUITE]
    for name in COMPONENTS:
        recipe = cloud.standin.components[name][version].recipe
        assert recipe["ComponentPublisher"] == "Ada"
        uris = [artifact["Uri"] for artifact in recipe["Manifests"][0]["Artifacts"]]
        assert all(uri.startswith(f"s3://{BUCKET}/{name}/{version}/") for uri in uris)
        assert not cloud.standin.components[name][version].faults, "an artifact was not there when the recipe came"


def test_publishing_twice_changes_nothing(cloud: Cloud, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(source) == 0
    before, calls = cloud.objects(), len(cloud.standin.asked("CreateComponentVersion"))
    capsys.readouterr()
    assert run(source) == 0
    assert capsys.readouterr().out.count("published already, with the same bytes") == len(ORDER)
    assert (cloud.objects(), len(cloud.standin.asked("CreateComponentVersion"))) == (before, calls)


@pytest.mark.parametrize("what", ["an artifact", "a recipe"])
def test_other_bytes_under_a_published_version_are_refused_before_anything_is_uploaded(
    cloud: Cloud, source: Path, said: Said, what: str
) -> None:
    assert run(source) == 0
    before = cloud.objects()
    if what == "an artifact":
        change(source)
    else:
        path = source / "recipes" / f"{ONE}-0.1.0.json"
        path.write_text(path.read_text().replace('"threads": 1', '"threads": 2'))
    assert run(source) == 1
    assert said() == (
        "publish: com.edgeml.Inference 0.1.0 is published with other bytes, which stay; give it another version: the suite with"
        " scripts/version, a model in its bundle; nothing was uploaded\n"
    )
    assert cloud.objects() == before


def test_one_refused_version_holds_back_all(cloud: Cloud, source: Path, said: Said) -> None:
    assert run(source) == 0
    change(source)
    RecipeFolder(source).add(OTHER, {"run": "false"}, "0.2.0")
    before = cloud.objects()
    assert run(source) == 1
    assert "is published with other bytes" in said()
    assert cloud.objects() == before and list(cloud.standin.components[OTHER]) == ["0.1.0"]


def test_an_artifact_that_was_not_built_is_one_sentence(cloud: Cloud, source: Path, said: Said) -> None:
    next(source.rglob("*.zip")).unlink()
    assert run(source) == 1
    assert "names the artifact inference.zip, which is not in" in said()
    assert cloud.standin.calls == []


def test_what_gdk_alone_published_is_compared_too(cloud: Cloud, source: Path, said: Said) -> None:
    assert run(source) == 0
    for key in cloud.objects():
        if key.startswith("claims/"):
            cloud.client("s3").delete_object(Bucket=BUCKET, Key=key)
    assert run(source) == 0
    change(source)
    assert run(source) == 1
    assert "is published with other bytes" in said()


# 5 things are written: 2 claims, then the artifact and the recipe of the one, and the recipe of the other.
@pytest.mark.parametrize("after", [2, 3, 4, 5])
def test_an_interrupted_publish_is_finished_by_the_next(cloud: Cloud, source: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Interrupted before the `after`th thing that is written."""
    left = [after]

    def stop(model: object, **_: object) -> None:
        if getattr(model, "name", "") in ("PutObject", "CreateComponentVersion"):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

    real = boto3.Session.client

    def client(session: boto3.Session, name: str, **options: object) -> object:
        made = real(session, name, **options)  # type: ignore[call-overload]
        made.meta.events.register("before-call", stop)
        return made

    with monkeypatch.context() as patched:
        patched.setattr(boto3.Session, "client", client)
        with pytest.raises(KeyboardInterrupt):  # which `edgeml_cli.command` turns into a sentence and 130
            run(source)
    assert left[0] == 0
    assert run(source) == 0
    assert list(cloud.standin.components) == ORDER
    assert not any(each.faults for versions in cloud.standin.components.values() for each in versions.values())


def test_an_unfinished_publish_of_other_bytes_is_taken_over_only_when_told(cloud: Cloud, source: Path, said: Said) -> None:
    item = next(each for each in build_output.read(source, BUCKET) if each.name == "com.edgeml.Inference")
    publish.RecipeFolder(cloud.client("s3"), BUCKET).take(item)
    change(source)
    before = cloud.objects()
    assert run(source) == 1
    assert "other bytes are being published as com.edgeml.Inference 0.1.0" in said()
    assert cloud.objects() == before
    assert run(source, "--take-over") == 0


def test_two_at_once_publish_the_same(cloud: Cloud, source: Path) -> None:
    codes: list[int] = []
    both = [threading.Thread(target=lambda: codes.append(run(source))) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert codes == [0, 0]
    assert list(cloud.standin.components) == ORDER


def test_of_two_at_once_with_other_bytes_one_is_refused_and_the_other_whole(cloud: Cloud, source: Path, tmp_path: Path) -> None:
    other = shutil.copytree(source, tmp_path / "other")
    change(other)
    codes: dict[Path, int] = {}
    both = [threading.Thread(target=lambda place=place: codes.update({place: run(place)})) for place in (source, other)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(codes.values()) == [0, 1]
    winner = next(place for place, code in codes.items() if code == 0)
    assert run(winner) == 0, "what is published is not what the winner has"
    assert list(cloud.standin.components) == ORDER


def test_one_component_alone_and_several_versions_of_it(cloud: Cloud, source: Path, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        RecipeFolder(source).add("com.edgeml.Model.Pump", {"run": "true"}, version)
    assert run(source, "--component", "com.edgeml.Model.Pump") == 0
    assert {name: list(versions) for name, versions in cloud.standin.components.items()} == {"com.edgeml.Model.Pump": ["1.0.0", "1.1.0"]}


def test_an_object_that_went_missing_or_was_overwritten_is_restored(cloud: Cloud, source: Path) -> None:
    assert run(source) == 0
    before, s3 = cloud.objects(), cloud.client("s3")
    s3.delete_object(Bucket=BUCKET, Key=f"{ONE}/0.1.0/inference.zip")
    assert run(source) == 0
    assert cloud.objects() == before
    s3.put_object(Bucket=BUCKET, Key=f"{ONE}/0.1.0/inference.zip", Body=b"not it")
    assert run(source) == 0
    assert cloud.objects() == before


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no AWS credentials are found"),
        ({"AWS_PROFILE": "nobody"}, "name another with AWS_PROFILE"),
        ({"AWS_ENDPOINT_URL_GREENGRASSV2": "http://127.0.0.1:9"}, "see whether the service exists in that region"),
    ],
)
def test_a_machine_that_cannot_speak_to_aws_is_one_sentence(
    cloud: Cloud, source: Path, said: Said, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str | None], sentence: str
) -> None:
    for name, value in wrong.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    assert run(source) == 1
    assert sentence in said()
    if "AWS_PROFILE" not in wrong and "AWS_ACCESS_KEY_ID" not in wrong:
        assert cloud.objects() == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--region", "us-east"], "'us-east' is no AWS region"),
        (["--region", "eu-west-1"], "there is no bucket edgeml-components-eu-west-1-123456789012; make it with scripts/cloud/deploy"),
        (["--region", "eu-west-1", "--bucket", BUCKET], f"the bucket {BUCKET} is in us-east-1"),
        (["--bucket", "nobodys"], "there is no bucket nobodys"),
        (["--component", "com.edgeml.Suit"], "com.edgeml.Suit is not in the build; there are com.edgeml.Inference"),
        (["--from", "nowhere"], "holds no recipe; make it with scripts/build"),
    ],
)
def test_a_mistake_is_one_sentence(cloud: Cloud, source: Path, said: Said, arguments: list[str], sentence: str) -> None:
    assert run(source, *arguments) == 1
    assert sentence in said()
    assert cloud.objects() == {} and not cloud.standin.components


def test_a_bucket_of_another_account_is_refused(cloud: Cloud, source: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    role = cloud.client("sts").assume_role(RoleArn="arn:aws:iam::210987654321:role/other", RoleSessionName="other")["Credentials"]
    other = boto3.client(
        "s3",
        region_name=REGION,
        aws_access_key_id=role["AccessKeyId"],
        aws_secret_access_key=role["SecretAccessKey"],
        aws_session_token=role["SessionToken"],
    )
    other.create_bucket(Bucket="theirs")
    monkeypatch.setenv("MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS", "false")
    assert run(source, "--bucket", "theirs") == 1
    assert "the bucket theirs is not of account 123456789012, or these credentials may not read it; name another" in said()
    assert not cloud.standin.components


def test_a_component_that_greengrass_cannot_make_is_one_sentence(cloud: Cloud, source: Path, said: Said) -> None:
    assert run(source) == 0
    cloud.standin.components[ONE]["0.1.0"].faults = {"s3://b/k": "Cannot access s3://b/k: AccessDenied"}
    assert run(source) == 1
    assert re.search(r"could not make com\.edgeml\.Inference .*AccessDenied; mend that, then run `aws greengrassv2 delete", said())


def test_the_fingerprint_is_of_the_content_and_not_of_the_file(source: Path) -> None:
    first = {item.name: item.fingerprint for item in build_output.read(source, BUCKET)}
    path = source / "recipes" / f"{ONE}-0.1.0.json"
    document = json.loads(path.read_text())
    path.unlink()
    path.with_suffix(".yaml").write_text(yaml.safe_dump(dict(reversed(document.items())), sort_keys=False))
    assert {item.name: item.fingerprint for item in build_output.read(source, BUCKET)} == first
    change(source)
    assert {item.name for item in build_output.read(source, BUCKET) if item.fingerprint != first[item.name]} == {"com.edgeml.Inference"}


def test_a_circle_is_refused(source: Path) -> None:
    RecipeFolder(source).add(ONE, {"run": "true"}, "0.1.0", needs={OTHER: "HARD"})
    with pytest.raises(publish.FleetError, match=r"com\.edgeml\.AlertDispatcher, com\.edgeml\.Inference depend on each other in a circle"):
        build_output.read(source, BUCKET)


def test_the_author_and_region_of_the_configuration_stand_where_none_is_given() -> None:
    wanted = publish.Wanted.read(package.ROOT)
    assert (wanted.bucket, wanted.region) == ("edgeml-components", REGION)
