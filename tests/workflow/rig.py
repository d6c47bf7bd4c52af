"""An instance in miniature for the tests: an object store and a metadata service that speak HTTP, and an image."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

PROTOCOLS = Path(__file__).resolve().parents[2] / "protocols"
BUCKET = "lds"
JOB = "demo/results/job__lds_t1"
MANIFEST = "demo/jobs/job__lds_t1/launch-0.json"
STATUS = f"{JOB}/logs/DATASET_NAME:x.csv_STATUS.txt"


@dataclass
class Store:
    """Objects of a bucket by key, as the HTTP front serves them; ``refuse`` counts down failing writes of a key."""

    objects: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    writes: list[tuple[str, bytes]] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, key: str, body: bytes | str) -> str:
        self.objects[key] = body.encode() if isinstance(body, str) else body
        return self.etag(key)

    def etag(self, key: str) -> str:
        return hashlib.md5(self.objects[key]).hexdigest()

    def document(self, key: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.objects[key])
        return document

    def states(self, key: str) -> list[dict[str, Any]]:
        return [json.loads(body) for written, body in self.writes if written == key]


class S3Front(BaseHTTPRequestHandler):
    """GetObject, HeadObject and PutObject with their conditions, and ListObjectVersions."""

    protocol_version = "HTTP/1.1"
    store: Store

    def do_GET(self) -> None:
        key = self._key()
        asked = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "versions" in asked:
            self._answer(200, self._versions(asked["prefix"][0]))
            return
        wanted = self.headers.get("If-Match", "").strip('"')
        if key not in self.store.objects:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif wanted and wanted != self.store.etag(key):
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self._answer(200, self.store.objects[key], key)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        key = self._key()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.store.lock:
            if self.store.refuse.get(key, 0) > 0:
                self.store.refuse[key] -= 1
                self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            elif self.headers.get("If-None-Match") == "*" and key in self.store.objects:
                self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            else:
                self.store.objects[key] = body
                prefix = "x-amz-meta-"
                self.store.labels[key] = {k.lower(): v for k, v in self.headers.items() if k.lower().startswith(prefix)}
                self.store.writes.append((key, body))
                self._answer(200, b"", key)

    def _versions(self, prefix: str) -> bytes:
        found = "".join(
            f"<Version><Key>{quote(key)}</Key><IsLatest>true</IsLatest><VersionId>null</VersionId></Version>"
            for key in sorted(self.store.objects)
            if key.startswith(prefix)
        )
        return f"<ListVersionsResult><EncodingType>url</EncodingType>{found}</ListVersionsResult>".encode()

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")

    def _answer(self, status: int, body: bytes, key: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if key is not None:
            self.send_header("ETag", f'"{self.store.etag(key)}"')
            for name, value in self.store.labels.get(key, {}).items():
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class MetadataFront(BaseHTTPRequestHandler):
    """IMDSv2: refuses a read without the token it gave out, and answers first with ``refusals``, if any."""

    answers: dict[str, str]
    refusals: ClassVar[list[int]] = []

    def do_PUT(self) -> None:
        self._answer(200 if self.headers.get("X-aws-ec2-metadata-token-ttl-seconds") else 400, "the-token")

    def do_GET(self) -> None:
        if self.refusals:
            self._answer(self.refusals.pop(), "")
            return
        if self.headers.get("X-aws-ec2-metadata-token") != "the-token":
            self._answer(401, "")
            return
        value = self.answers.get(self.path.removeprefix("/latest/meta-data/"))
        self._answer(404 if value is None else 200, value or "")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(front: type[BaseHTTPRequestHandler], **attributes: object) -> Iterator[str]:
    """A server with handler ``front`` on a free port of the loopback; yields its address."""
    handler = type(front.__name__, (front,), attributes)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Rig:
    """Store, metadata and image of one instance; ``boot`` runs the real command on it."""

    store: Store
    metadata: dict[str, str]
    folder: Path
    s3_url: str
    metadata_url: str

    @property
    def environ(self) -> dict[str, str]:
        """What the machine gives user data, with the tool's source folder in place of an installed tool."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "NEUROCAAS_IMAGE": str(self.folder / "image"),
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.s3_url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata_url,
            "PYTHONPATH": str(PROTOCOLS),
        }

    def analysis(self, script: str) -> None:
        """The environment's analysis is this shell script; $1 data, $2 config, $3 results."""
        (self.folder / "image/analysis/run.sh").write_text(script)

    def manifest(self, **changes: object) -> None:
        """A launch of one dataset, ``x.csv``, with config ``c.json``, both in the store."""
        document = {
            "schemaVersion": 1,
            "bucket": BUCKET,
            "group": "demo",
            "job": "job__lds_t1",
            "resultPrefix": JOB,
            "versionId": "v-0",
            "environment": "iae:lds@sha256:00",
            "command": None,
            "workingDirectory": None,
            "config": {"key": "demo/configs/c.json", "etag": self.store.put("demo/configs/c.json", '{"a": 1}')},
            "durationMinutes": 5,
            "attempts": [
                {
                    "index": 0,
                    "attempt": 1,
                    "dataset": "demo/inputs/x.csv",
                    "etag": self.store.put("demo/inputs/x.csv", "1,2\n"),
                    "label": "x.csv",
                }
            ],
        }
        self.store.put(MANIFEST, json.dumps({**document, **changes}))

    def start(self) -> subprocess.Popen[str]:
        """The real command as a process of its own."""
        argv = [sys.executable, "-m", "workflow.boot", f"s3://{BUCKET}/{MANIFEST}"]
        return subprocess.Popen(argv, env=self.environ, stderr=subprocess.PIPE, text=True)


@contextmanager
def make_rig(folder: Path) -> Iterator[Rig]:
    """A rig whose image holds a shell script as analysis."""
    store = Store()
    credentials = {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAX", "SecretAccessKey": "s", "Token": "t"}
    metadata = {
        "instance-id": "i-0123456789abcdef0",
        "ami-launch-index": "0",
        "placement/region": "us-east-1",
        "iam/security-credentials/": "role",
        "iam/security-credentials/role": json.dumps({**credentials, "Expiration": "2099-01-01T00:00:00Z"}),
    }
    (folder / "home").mkdir()
    (folder / "image/env/bin").mkdir(parents=True)
    (folder / "image/analysis").mkdir()
    (folder / "image/analysis/recipe.json").write_text(json.dumps({"workflow": ["sh", "run.sh"]}))
    with serving(S3Front, store=store) as s3_url, serving(MetadataFront, answers=metadata) as metadata_url:
        yield Rig(store, metadata, folder, s3_url, metadata_url)
