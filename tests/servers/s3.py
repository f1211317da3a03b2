"""An object store that speaks S3, as a process of its own on loopback.

It is moto's server: of what the package registries offer it is the one whose conditional writes hold, on which Delta's
commits rest (rclone 1.75's ``serve s3`` lost commits under eight parallel writers). One request is served at a time,
so that a conditional write is as atomic as the real thing's. Signatures and policies are checked.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

BUCKET = "lab"
_PROGRAM = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""
_SETTING_UP = 4
"""Requests before signatures count: a bucket, a user, its policy and its key."""
_POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'


@dataclass(frozen=True)
class ObjectStore:
    """Where the store is and the key of its one user."""

    endpoint: str
    key_id: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        """What a user exports to reach it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }


def free_port() -> int:
    """A port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Return when something listens on ``port``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "the server ended before it listened"
            time.sleep(0.05)
        else:
            return
    raise TimeoutError


@contextmanager
def serving_s3() -> Iterator[ObjectStore]:
    """An object store with one empty bucket and one user."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(port)],
        env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_SETTING_UP)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        yield _set_up(f"http://127.0.0.1:{port}")
    finally:
        process.kill()  # it has nothing to put in order, and an open connection would hold back its end
        process.wait(30)


def _set_up(endpoint: str) -> ObjectStore:
    import boto3

    anyone = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **anyone).create_bucket(Bucket=BUCKET)
    people = boto3.client("iam", endpoint_url=endpoint, **anyone)
    people.create_user(UserName="lab")
    people.put_user_policy(UserName="lab", PolicyName="all", PolicyDocument=_POLICY)
    key = people.create_access_key(UserName="lab")["AccessKey"]
    return ObjectStore(endpoint, key["AccessKeyId"], key["SecretAccessKey"])
