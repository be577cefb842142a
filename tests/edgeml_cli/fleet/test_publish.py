"""`edgeml fleet publish` against S3 and Greengrass on loopback."""

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
    """A small build of two components, one of which depends on the other; the dependency has an artifact."""
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


def test_artifacts_and_dependencies_are_published_first(cloud: Cloud, version: str) -> None:
    assert publish.main(["--without-gdk", "--author", "Ada"]) == 0
    assert list(cloud.greengrass.components) == ["com.edgeml.AlertDispatcher", "com.edgeml.Inference", "com.edgeml.SensorIngestion", SUITE]
    for name in COMPONENTS:
        recipe = cloud.greengrass.components[name][version].recipe
        assert recipe["ComponentPublisher"] == "Ada"
        uris = [artifact["Uri"] for artifact in recipe["Manifests"][0]["Artifacts"]]
        assert all(uri.startswith(f"s3://{BUCKET}/{name}/{version}/") for uri in uris)
        assert not cloud.greengrass.components[name][version].faults, "a recipe was published before its artifact"


def test_publishing_twice_changes_nothing(cloud: Cloud, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(source) == 0
    before, calls = cloud.objects(), len(cloud.greengrass.operations("CreateComponentVersion"))
    capsys.readouterr()
    assert run(source) == 0
    assert capsys.readouterr().out.count("already published with identical content") == len(ORDER)
    assert (cloud.objects(), len(cloud.greengrass.operations("CreateComponentVersion"))) == (before, calls)


@pytest.mark.parametrize("what", ["an artifact", "a recipe"])
def test_different_content_of_a_published_version_is_rejected_before_uploading(cloud: Cloud, source: Path, said: Said, what: str) -> None:
    assert run(source) == 0
    before = cloud.objects()
    if what == "an artifact":
        change(source)
    else:
        path = source / "recipes" / f"{ONE}-0.1.0.json"
        path.write_text(path.read_text().replace('"threads": 1', '"threads": 2'))
    assert run(source) == 1
    assert said() == (
        "edgeml fleet publish: com.edgeml.Inference 0.1.0 is already published with different content, and "
        "published versions are immutable;"
        " publish under a new version: set the suite's with edgeml dev version, a model's in its bundle; nothing was uploaded\n"
    )
    assert cloud.objects() == before


def test_one_rejected_version_prevents_publishing(cloud: Cloud, source: Path, said: Said) -> None:
    assert run(source) == 0
    change(source)
    RecipeFolder(source).add(OTHER, {"run": "false"}, "0.2.0")
    before = cloud.objects()
    assert run(source) == 1
    assert "is already published with different content" in said()
    assert cloud.objects() == before and list(cloud.greengrass.components[OTHER]) == ["0.1.0"]


def test_missing_artifact_is_reported_in_one_sentence(cloud: Cloud, source: Path, said: Said) -> None:
    next(source.rglob("*.zip")).unlink()
    assert run(source) == 1
    assert "the artifact inference.zip is not in" in said()
    assert cloud.greengrass.calls == []


def test_versions_published_by_gdk_are_compared(cloud: Cloud, source: Path, said: Said) -> None:
    assert run(source) == 0
    for key in cloud.objects():
        if key.startswith("claims/"):
            cloud.client("s3").delete_object(Bucket=BUCKET, Key=key)
    assert run(source) == 0
    change(source)
    assert run(source) == 1
    assert "is already published with different content" in said()


# Five writes: two claims, then the artifact and the recipe of one component, and the recipe of the other.
@pytest.mark.parametrize("after", [2, 3, 4, 5])
def test_interrupted_publish_is_completed_by_the_next(cloud: Cloud, source: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """The publish is interrupted before its `after`th write."""
    remaining = [after]

    def stop(model: object, **_: object) -> None:
        if getattr(model, "name", "") in ("PutObject", "CreateComponentVersion"):
            remaining[0] -= 1
            if remaining[0] == 0:
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
    assert remaining[0] == 0
    assert run(source) == 0
    assert list(cloud.greengrass.components) == ORDER
    assert not any(each.faults for versions in cloud.greengrass.components.values() for each in versions.values())


def test_unfinished_publish_is_taken_over_only_on_request(cloud: Cloud, source: Path, said: Said) -> None:
    item = next(each for each in build_output.read(source, BUCKET) if each.name == "com.edgeml.Inference")
    publish.ArtifactBucket(cloud.client("s3"), BUCKET).claim(item)
    change(source)
    before = cloud.objects()
    assert run(source) == 1
    assert "another publish of com.edgeml.Inference 0.1.0 with different content is in progress" in said()
    assert cloud.objects() == before
    assert run(source, "--take-over") == 0


def test_concurrent_publishers_of_identical_content_succeed(cloud: Cloud, source: Path) -> None:
    codes: list[int] = []
    both = [threading.Thread(target=lambda: codes.append(run(source))) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert codes == [0, 0]
    assert list(cloud.greengrass.components) == ORDER


def test_one_of_two_concurrent_publishers_with_different_content_fails(cloud: Cloud, source: Path, tmp_path: Path) -> None:
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
    assert run(winner) == 0, "the published content differs from the winner's"
    assert list(cloud.greengrass.components) == ORDER


def test_several_versions_of_one_component_are_published(cloud: Cloud, source: Path, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        RecipeFolder(source).add("com.edgeml.Model.Pump", {"run": "true"}, version)
    assert run(source, "--component", "com.edgeml.Model.Pump") == 0
    assert {name: list(versions) for name, versions in cloud.greengrass.components.items()} == {"com.edgeml.Model.Pump": ["1.0.0", "1.1.0"]}


def test_missing_or_overwritten_artifact_is_restored(cloud: Cloud, source: Path) -> None:
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
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no AWS credentials found"),
        ({"AWS_PROFILE": "nobody"}, "set AWS_PROFILE to another profile"),
        ({"AWS_ENDPOINT_URL_GREENGRASSV2": "http://127.0.0.1:9"}, "check that the service exists in this region"),
    ],
)
def test_missing_access_to_aws_is_reported_in_one_sentence(
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
        (["--region", "us-east"], "'us-east' is not an AWS region"),
        (["--region", "eu-west-1"], "there is no bucket edgeml-components-eu-west-1-123456789012; create it with edgeml cloud deploy"),
        (["--region", "eu-west-1", "--bucket", BUCKET], f"the bucket {BUCKET} is in us-east-1"),
        (["--bucket", "nobodys"], "there is no bucket nobodys"),
        (["--component", "com.edgeml.Suit"], "com.edgeml.Suit is not in the build; it contains com.edgeml.Inference"),
        (["--from", "nowhere"], "contains no recipes; create them with edgeml build"),
    ],
)
def test_invalid_arguments_are_reported_in_one_sentence(
    cloud: Cloud, source: Path, said: Said, arguments: list[str], sentence: str
) -> None:
    assert run(source, *arguments) == 1
    assert sentence in said()
    assert cloud.objects() == {} and not cloud.greengrass.components


def test_bucket_of_another_account_is_rejected(cloud: Cloud, source: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert "the bucket theirs does not belong to account 123456789012, or these credentials cannot read it; choose another" in said()
    assert not cloud.greengrass.components


def test_component_rejected_by_greengrass_is_reported_in_one_sentence(cloud: Cloud, source: Path, said: Said) -> None:
    assert run(source) == 0
    cloud.greengrass.components[ONE]["0.1.0"].faults = {"s3://b/k": "Cannot access s3://b/k: AccessDenied"}
    assert run(source) == 1
    assert re.search(r"could not create com\.edgeml\.Inference .*AccessDenied; correct this, run `aws greengrassv2 delete", said())


def test_fingerprint_depends_on_content_only(source: Path) -> None:
    first = {item.name: item.fingerprint for item in build_output.read(source, BUCKET)}
    path = source / "recipes" / f"{ONE}-0.1.0.json"
    document = json.loads(path.read_text())
    path.unlink()
    path.with_suffix(".yaml").write_text(yaml.safe_dump(dict(reversed(document.items())), sort_keys=False))
    assert {item.name: item.fingerprint for item in build_output.read(source, BUCKET)} == first
    change(source)
    assert {item.name for item in build_output.read(source, BUCKET) if item.fingerprint != first[item.name]} == {"com.edgeml.Inference"}


def test_circular_dependency_is_rejected(source: Path) -> None:
    RecipeFolder(source).add(ONE, {"run": "true"}, "0.1.0", needs={OTHER: "HARD"})
    with pytest.raises(publish.FleetError, match=r"circular dependency between com\.edgeml\.AlertDispatcher, com\.edgeml\.Inference"):
        build_output.read(source, BUCKET)


def test_publish_config_of_the_project() -> None:
    wanted = publish.PublishConfig.read(package.ROOT)
    assert (wanted.bucket, wanted.region) == ("edgeml-components", REGION)
