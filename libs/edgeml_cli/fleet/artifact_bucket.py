"""The artifact bucket: uploads artifacts, verifies their digests, and holds the claims of component versions.

A claim is an object `claims/<name>/<version>.json` with the fingerprint of the content to publish. It is written only if it
does not exist yet. If two publishers have different content for one version, one of them fails before anything is uploaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from botocore.exceptions import ClientError

from edgeml_cli.fleet.build_output import BuiltComponent
from edgeml_cli.fleet.errors import NOT_FOUND, FleetError, code

NEW_VERSION_HINT = "publish under a new version: set the suite's with edgeml dev version, a model's in its bundle"
LOST_RACE = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class ArtifactBucket:
    """One bucket."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self.bucket = s3, bucket

    def claimed_fingerprint(self, item: BuiltComponent) -> str | None:
        """The fingerprint in the claim of a component version; None if there is no claim."""
        return self._read_claim(item)[0]

    def claim(self, item: BuiltComponent, replace: bool = False) -> None:
        """Claim a component version for this content. Idempotent.

        Args:
            replace: replace a claim for different content.

        Raises:
            FleetError: the version is claimed for different content.
        """
        tag = self._read_claim(item)[1] if replace else None
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        body = json.dumps({"fingerprint": item.fingerprint, "digests": dict(item.digests)}, indent=2)
        try:
            self._s3.put_object(Bucket=self.bucket, Key=_claim_key(item), Body=body.encode(), ContentType="application/json", **condition)
            return
        except ClientError as fault:
            if code(fault) not in LOST_RACE:
                raise
        if self.claimed_fingerprint(item) != item.fingerprint:
            raise FleetError(claim_conflict(item))

    def digest(self, item: BuiltComponent, file: str) -> str | None:
        """SHA-256 of an artifact in the bucket, in hexadecimal; None if it does not exist."""
        try:
            head = self._s3.head_object(Bucket=self.bucket, Key=item.key(file), ChecksumMode="ENABLED")
            checksum = head.get("ChecksumSHA256", "")
            if checksum and "-" not in checksum:
                return base64.b64decode(checksum).hex()
            body, digest = self._s3.get_object(Bucket=self.bucket, Key=item.key(file))["Body"], hashlib.sha256()
        except ClientError as fault:
            if code(fault) in NOT_FOUND:
                return None
            raise
        for chunk in body.iter_chunks(2**20):
            digest.update(chunk)
        return digest.hexdigest()

    def missing(self, item: BuiltComponent) -> list[str]:
        """The artifacts that are missing from the bucket or differ there."""
        return [file for file, digest in item.digests.items() if self.digest(item, file) != digest]

    def put(self, item: BuiltComponent, file: str) -> None:
        """Upload an artifact; the service verifies its digest."""
        with item.files[file].open("rb") as content:
            self._s3.put_object(
                Bucket=self.bucket,
                Key=item.key(file),
                Body=content,
                ChecksumSHA256=base64.b64encode(bytes.fromhex(item.digests[file])).decode(),
            )

    def _read_claim(self, item: BuiltComponent) -> tuple[str | None, str | None]:
        try:
            found = self._s3.get_object(Bucket=self.bucket, Key=_claim_key(item))
        except ClientError as fault:
            if code(fault) in NOT_FOUND:
                return None, None
            raise
        try:
            return str(json.loads(found["Body"].read())["fingerprint"]), found["ETag"]
        except (ValueError, KeyError, TypeError):
            return "", found["ETag"]


def claim_conflict(item: BuiltComponent) -> str:
    return (
        f"another publish of {item} with different content is in progress or was not finished; {NEW_VERSION_HINT}; or give --take-over"
        " if you are sure that nobody else is publishing it"
    )


def _claim_key(item: BuiltComponent) -> str:
    return f"claims/{item.name}/{item.version}.json"
