"""The artifact bucket: objects by their digests, and who publishes which bytes under which version.

A claim is an object of its own, `claims/<name>/<version>.json`, with the fingerprint of what is published. It is written only where
there is none, so of two publishers of different bytes one is told before either has uploaded anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from botocore.exceptions import ClientError

from edgeml_cli.fleet.build_output import Item
from edgeml_cli.fleet.errors import MISSING, FleetError, code

OTHER = "give it another version: the suite with edgeml dev version, a model in its bundle"
LOST_RACE = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class ArtifactBucket:
    """One bucket."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self.bucket = s3, bucket

    def claim(self, item: Item) -> str | None:
        """The fingerprint that is claimed for a component version; None: none."""
        return self._claim(item)[0]

    def take(self, item: Item, over: bool = False) -> None:
        """Claim a component version for these bytes; again is no error.

        Args:
            over: replace a claim of other bytes.

        Raises:
            FleetError: other bytes are claimed, now or just now.
        """
        tag = self._claim(item)[1] if over else None
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        body = json.dumps({"fingerprint": item.fingerprint, "digests": dict(item.digests)}, indent=2)
        try:
            self._s3.put_object(Bucket=self.bucket, Key=_claim_key(item), Body=body.encode(), ContentType="application/json", **condition)
            return
        except ClientError as fault:
            if code(fault) not in LOST_RACE:
                raise
        if self.claim(item) != item.fingerprint:
            raise FleetError(claimed_by_others(item))

    def digest(self, item: Item, file: str) -> str | None:
        """SHA-256 of an artifact in the bucket, in hexadecimal; None: it is not there."""
        try:
            head = self._s3.head_object(Bucket=self.bucket, Key=item.key(file), ChecksumMode="ENABLED")
            told = head.get("ChecksumSHA256", "")
            if told and "-" not in told:
                return base64.b64decode(told).hex()
            body, digest = self._s3.get_object(Bucket=self.bucket, Key=item.key(file))["Body"], hashlib.sha256()
        except ClientError as fault:
            if code(fault) in MISSING:
                return None
            raise
        for chunk in body.iter_chunks(2**20):
            digest.update(chunk)
        return digest.hexdigest()

    def missing(self, item: Item) -> list[str]:
        """The artifacts that are not in the bucket, or with other bytes."""
        return [file for file, digest in item.digests.items() if self.digest(item, file) != digest]

    def put(self, item: Item, file: str) -> None:
        """Upload an artifact; the service checks what arrives against its digest."""
        with item.files[file].open("rb") as content:
            self._s3.put_object(
                Bucket=self.bucket,
                Key=item.key(file),
                Body=content,
                ChecksumSHA256=base64.b64encode(bytes.fromhex(item.digests[file])).decode(),
            )

    def _claim(self, item: Item) -> tuple[str | None, str | None]:
        try:
            found = self._s3.get_object(Bucket=self.bucket, Key=_claim_key(item))
        except ClientError as fault:
            if code(fault) in MISSING:
                return None, None
            raise
        try:
            return str(json.loads(found["Body"].read())["fingerprint"]), found["ETag"]
        except (ValueError, KeyError, TypeError):
            return "", found["ETag"]


def claimed_by_others(item: Item) -> str:
    return (
        f"other bytes are being published as {item}, or were once and it was not finished; {OTHER}; or give --take-over when you know that"
        " nobody else publishes it"
    )


def _claim_key(item: Item) -> str:
    return f"claims/{item.name}/{item.version}.json"
