"""A real Kafka broker for tests, without containers: one KRaft node from Maven's jars.

What the adapter guards against are the client's and the broker's own habits, which no imitation has. So the tests talk
to a broker that can be stopped, killed, paused and started again on the same port and folder. The jars are copied once
into a cache (a temporary folder that is renamed when complete, under a file lock, so that parallel runs do not meet);
a broker needs about 200 MB and four seconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, final

POM = Path(__file__).parent / "kafka" / "pom.xml"
JAVA = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
START_S = 60.0
STOP_S = 30.0
STARTED = "Kafka Server started"
LOG = "-Dorg.slf4j.simpleLogger"
LOGGING = (f"{LOG}.defaultLogLevel=warn", f"{LOG}.log.kafka.server.KafkaRaftServer=info")

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={folder}/log
auto.create.topics.enable=false
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.cleaner.enable=false
num.network.threads=2
num.io.threads=2
"""


class BrokerError(Exception):
    """This machine cannot run a broker; the text says why."""


def jars() -> Path:
    """The folder with the broker's jars, filled on first use."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None:
        raise BrokerError("no `java` on the PATH")
    cache = Path.home() / ".cache" / "streamlearn-test"
    folder = cache / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        if maven is None:
            raise BrokerError("no `mvn` on the PATH to get Kafka's jars with")
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            # The pom is copied: Maven may write beside it.
            pom = Path(shutil.copy(POM, temporary))
            target = Path(temporary) / "jars"
            command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
            command += ["-DincludeScope=runtime", f"-DoutputDirectory={target}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if done.returncode != 0 or not any(target.glob("kafka_*.jar")):
                raise BrokerError(f"Maven could not get Kafka's jars: {(done.stdout + done.stderr)[-500:]}")
            target.rename(folder)
    return folder


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@final
class LocalBroker:
    """One broker in a folder of its own: `start`; `stop`, `kill`, `pause`, `restart` as a test likes; `discard`."""

    def __init__(
        self,
        properties: str = "",
        listeners: Mapping[str, tuple[str, int]] | None = None,
        format_options: Sequence[str] = (),
    ) -> None:
        """properties: further lines for server.properties. listeners: name → (security protocol, port) of further ones."""
        self._jars = jars()
        self._folder = Path(tempfile.mkdtemp(prefix="streamlearn-kafka-"))
        port, controller = free_ports(2)
        self.address = f"127.0.0.1:{port}"
        more = (listeners or {}).items()
        text = PROPERTIES.format(
            port=port,
            controller=controller,
            folder=self._folder,
            listeners="".join(f",{name}://127.0.0.1:{at}" for name, (_, at) in more),
            advertised="".join(f",{name}://localhost:{at}" for name, (_, at) in more),
            protocols="".join(f",{name}:{protocol}" for name, (protocol, _) in more),
        )
        text += properties
        (self._folder / "server.properties").write_text(text)
        self._process: subprocess.Popen[str] | None = None
        format_ = ["kafka.tools.StorageTool", "format", "-t", "streamlearn-test-clust", *format_options]
        done = subprocess.run(
            [*self._java(), *format_, "-c", str(self._folder / "server.properties")],
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        if done.returncode != 0:
            raise BrokerError(f"the broker's storage could not be formatted: {(done.stdout + done.stderr)[-500:]}")

    def _java(self) -> list[str]:
        return ["java", *JAVA, *LOGGING, "-cp", f"{self._jars}/*"]

    def start(self) -> LocalBroker:
        """Start, and return when clients can connect."""
        assert self._process is None
        self._process = subprocess.Popen(
            [*self._java(), "kafka.Kafka", str(self._folder / "server.properties")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        started = threading.Event()
        lines: list[str] = []
        threading.Thread(target=self._drain, args=(self._process.stdout, lines, started), daemon=True).start()
        if not started.wait(START_S) or STARTED not in "".join(lines[-1:]):
            self.kill()
            raise BrokerError(f"the broker did not start: {''.join(lines)[-800:]}")
        return self

    @staticmethod
    def _drain(output: IO[str], lines: list[str], started: threading.Event) -> None:
        """Read what the broker prints, so that it never blocks; `started` is set when it serves, or when it ended."""
        for line in output:
            if not started.is_set():
                lines.append(line)
                if STARTED in line:
                    started.set()
        started.set()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def stop(self) -> None:
        """As an operator does: SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a power cut does: SIGKILL."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Connections stay open and nothing answers."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def resume(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def restart(self) -> None:
        """On the same port and folder."""
        self.stop()
        self.start()

    def discard(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
