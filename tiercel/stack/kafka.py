"""Apache Kafka for the native stack: one KRaft node from its published Java artifacts, fetched once by Maven."""

import base64
import hashlib
import shutil
import socket
import struct
import uuid
from pathlib import Path
from typing import Final

from tiercel.stack import packages, process
from tiercel.stack.layout import HOST, PROJECT, Layout, settle_port

NAME: Final = "kafka"
NEEDS: Final = (packages.JAVA, packages.MAVEN)
READY_SECONDS: Final = 90  # 3 s on an idle machine; log recovery after a kill takes longer
STOP_SECONDS: Final = 45
ANSWER_SECONDS: Final = 3

# One question of Kafka's protocol: metadata (API 3, version 1) of no topic, without a client id.
CORRELATION: Final = 7
METADATA_REQUEST: Final = struct.pack(">ihhihi", 14, 3, 1, CORRELATION, -1, 0)
METADATA_ANSWER: Final = struct.Struct(">iii")  # its size, the correlation, how many brokers; the rest is not read

NATIVE: Final = PROJECT / "deploy" / "native"


def start(layout: Layout) -> None:
    """Fetch the artifacts if they are missing, format the storage if it is new, start the broker."""
    libraries = _fetch(layout)
    folder = layout.folder(NAME)
    properties = _write_properties(layout, folder)
    java = [packages.find("java") or "java"]
    classes = ["-cp", f"{libraries}/*", f"-Dlog4j2.configurationFile={NATIVE / 'log4j2.properties'}"]
    if not (folder / "data" / "meta.properties").exists():
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        format_storage = ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id, "-c", str(properties)]
        process.run([*java, *classes, *format_storage])
    process.start(
        [
            *java,
            "-Xms256m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *classes,
            "kafka.Kafka",
            str(properties),
        ],
        pid_file=layout.pid_file(NAME),
        log=layout.log(NAME),
    )
    process.wait_until_ready(
        NAME, lambda: answers(layout), pid_file=layout.pid_file(NAME), log=layout.log(NAME), seconds=READY_SECONDS
    )


def answers(layout: Layout) -> bool:
    """Whether the broker serves its cluster's metadata with a broker in it."""
    address = (HOST, layout.ports[NAME])
    try:
        with socket.create_connection(address, timeout=ANSWER_SECONDS) as connection:
            connection.sendall(METADATA_REQUEST)
            answer = connection.recv(METADATA_ANSWER.size, socket.MSG_WAITALL)
    except OSError:
        return False
    if len(answer) < METADATA_ANSWER.size:
        return False
    _, correlation, brokers = METADATA_ANSWER.unpack(answer)
    return bool(correlation == CORRELATION and brokers > 0)


def stop(layout: Layout) -> bool:
    """Stop it cleanly; False if it was not running."""
    return process.stop(layout.pid_file(NAME), seconds=STOP_SECONDS)


def environment(layout: Layout) -> dict[str, str]:
    """The settings that point to it."""
    return {"TIERCEL_KAFKA_BOOTSTRAP": f"{HOST}:{layout.ports[NAME]}"}


def _fetch(layout: Layout) -> Path:
    """The folder of the Java artifacts, filled again only when the list of them changed."""
    libraries = layout.root / "kafka-libs"
    listed = hashlib.sha256((NATIVE / "pom.xml").read_bytes()).hexdigest()
    complete = libraries / ".complete"
    if complete.exists() and complete.read_text() == listed:
        return libraries
    print("kafka: fetching its Java artifacts with Maven, once (55 MB)")
    shutil.rmtree(libraries, ignore_errors=True)
    process.run(
        [
            packages.find("mvn") or "mvn",
            *("-q", "-B", "-f", str(NATIVE / "pom.xml"), "dependency:copy-dependencies"),
            *("-DincludeScope=runtime", f"-DoutputDirectory={libraries}"),
        ]
    )
    complete.write_text(listed)
    return libraries


def _write_properties(layout: Layout, folder: Path) -> Path:
    """The settings of `deploy/native/server.properties`, and what only this machine knows."""
    port = settle_port(layout, NAME)
    controller = settle_port(layout, "kafka_controller")
    local = {
        "log.dirs": str(folder / "data"),
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller}",
    }
    properties = folder / "server.properties"
    lines = [f"{name}={value}" for name, value in local.items()]
    properties.write_text((NATIVE / "server.properties").read_text() + "\n" + "\n".join(lines) + "\n")
    return properties
