"""What a machine tries and must not manage: other people's files, the network, more memory or disk than it has."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ncap_iac.environments.offline import OFFLINE_VARIABLES
from ncap_iac.local.runner.firmware import remove_tree
from ncap_iac.local.runner.isolation import Isolation, strongest_isolation
from ncap_iac.local.runner.order import Cause, Rung
from tests.local.machines_support import Room, make_image

CLOSED = [found for rung in Rung if (found := strongest_isolation([rung])).can_close_network]
pytestmark = pytest.mark.skipif(not CLOSED, reason="no sandbox of this computer can close the network")

CONNECT = (
    "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 3).close(); print('rea' + 'ched')"
)
MIB = 1024 * 1024


def image_with(folder: Path, *, network: bool) -> Path:
    recipe = json.dumps({"name": "tiny", "network": network})
    return make_image(folder, name=f"network-{network}", files={"analysis/recipe.json": recipe})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("images")
    for network in (True, False):
        image_with(folder, network=network)
    yield folder
    remove_tree(folder)


def image_in(images: Path, *, network: bool) -> Path:
    return next(images.glob(f"*network-{network}"))


@pytest.fixture(params=CLOSED, ids=lambda isolation: isolation.rung.name.lower())
def isolation(request: pytest.FixtureRequest) -> Isolation:
    found: Isolation = request.param
    return found


@contextmanager
def room_of(folder: Path, image: Path, isolation: Isolation) -> Iterator[Room]:
    made = Room(folder / "instances", image, isolation)
    try:
        yield made
    finally:
        made.room.close()


class Echo:
    """A server on the host's loopback that sends back what it gets, once the sender has ended."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                end, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(end,), daemon=True).start()

    @staticmethod
    def _echo(end: socket.socket) -> None:
        with end:
            got = bytearray()
            while piece := end.recv(1 << 16):
                got += piece
            end.sendall(got)


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.listener.close()


def tried(room: Room, code: str, *words: str, endpoint: str = "http://127.0.0.1:1") -> str:
    """What a program of the image's Python prints on a machine whose cloud is at `endpoint`."""
    from ncap_iac.local.runner.machines import Machine

    quoted = " ".join(f"'{word}'" for word in words)
    script = f"#!/bin/sh\ncat > code.py <<'CODE'\n{code}\nCODE\n$NEUROCAAS_IMAGE/env/bin/python code.py {quoted}\n"
    environment = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}
    room.room.boot(Machine("i-1", room.image, script.encode(), 512 * MIB, "ip-1", environment))
    room.ended(timeout_s=30)
    return room.console()


def test_a_machine_cannot_connect_to_anything_but_its_cloud(
    tmp_path: Path, images: Path, isolation: Isolation, echo: Echo
) -> None:
    with room_of(tmp_path, image_in(images, network=False), isolation) as room:
        assert "reached" not in tried(room, CONNECT, str(echo.port))


def test_a_machine_reaches_its_cloud(tmp_path: Path, images: Path, isolation: Isolation, echo: Echo) -> None:
    with room_of(tmp_path, image_in(images, network=False), isolation) as room:
        endpoint = f"http://127.0.0.1:{echo.port}"
        assert "reached" in tried(room, CONNECT, str(echo.port), endpoint=endpoint)


def test_what_passes_the_gate_arrives_whole_in_both_directions(
    tmp_path: Path, images: Path, isolation: Isolation, echo: Echo
) -> None:
    code = """import hashlib, os, socket, sys
sent = os.urandom(32 << 20)
end = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
end.sendall(sent)
end.shutdown(socket.SHUT_WR)
got = bytearray()
while piece := end.recv(1 << 20):
    got += piece
print('same' if bytes(got) == sent else f'{len(got)} of {len(sent)}')
"""
    with room_of(tmp_path, image_in(images, network=False), isolation) as room:
        assert "same" in tried(room, code, str(echo.port), endpoint=f"http://127.0.0.1:{echo.port}")


def test_a_machine_has_the_network_if_its_recipe_asks_for_it(
    tmp_path: Path, images: Path, isolation: Isolation, echo: Echo
) -> None:
    with room_of(tmp_path, image_in(images, network=True), isolation) as room:
        assert "reached" in tried(room, CONNECT, str(echo.port))


def test_libraries_are_told_that_there_is_no_network(tmp_path: Path, images: Path, isolation: Isolation) -> None:
    code = (
        "import os; print(sorted(set(os.environ) & {'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE', 'HF_DATASETS_OFFLINE'}))"
    )
    with room_of(tmp_path / "shut", image_in(images, network=False), isolation) as room:
        assert str(sorted(OFFLINE_VARIABLES)) in tried(room, code)
    with room_of(tmp_path / "open", image_in(images, network=True), isolation) as room:
        assert "[]" in tried(room, code)


def test_a_machine_cannot_read_keys_of_the_user(tmp_path: Path, images: Path, isolation: Isolation) -> None:
    key = tmp_path / "home" / ".ssh" / "id_ed25519"
    key.parent.mkdir(parents=True)
    key.write_text("PRIVATE KEY")
    with room_of(tmp_path, image_in(images, network=False), isolation) as room:
        code = "import sys\nfor path in sys.argv[1:]:\n    print(open(path).read())"
        assert "PRIVATE KEY" not in tried(room, code, str(key))


def test_a_machine_cannot_write_the_image_even_by_changing_rights_first(
    tmp_path: Path, images: Path, isolation: Isolation
) -> None:
    image = image_in(images, network=False)
    code = """import os
path = os.environ['NEUROCAAS_IMAGE'] + '/analysis/recipe.json'
for attempt in (lambda: os.chmod(path, 0o666), lambda: open(path, 'w').write('forged'), lambda: os.unlink(path)):
    try:
        attempt()
    except OSError as error:
        print('refused', error.errno)
"""
    before = (image / "analysis" / "recipe.json").read_bytes()
    with room_of(tmp_path, image, isolation) as room:
        assert "refused" in tried(room, code)
    assert (image / "analysis" / "recipe.json").read_bytes() == before


def test_memory_beyond_the_machine_s_is_refused(tmp_path: Path, images: Path, isolation: Isolation) -> None:
    code = "import time\nheld = bytearray(b'x') * (900 << 20)\ntime.sleep(5)\nprint('sur' + 'vived')"
    with room_of(tmp_path, image_in(images, network=False), isolation) as room:
        console = tried(room, code)
    assert "out of memory: killed" in console
    assert "survived" not in console


def test_shared_memory_is_full_before_the_computer_s_is(tmp_path: Path, images: Path, isolation: Isolation) -> None:
    if not isolation.rung.holders:
        pytest.skip("this rung shares /dev/shm with the host")
    code = """import sys
try:
    with open('/dev/shm/filler', 'wb') as file:
        for _ in range(2000):
            file.write(b'x' * (1 << 20))
except OSError as error:
    print(error)
"""
    with room_of(tmp_path, image_in(images, network=False), isolation) as room:
        assert "No space left on device" in tried(room, code)


def test_a_machine_ends_in_time_although_a_connection_is_open(
    tmp_path: Path, images: Path, isolation: Isolation, echo: Echo
) -> None:
    code = f"import socket, time\nend = socket.create_connection(('127.0.0.1', {echo.port}))\ntime.sleep(600)"
    with room_of(tmp_path, image_in(images, network=False), isolation) as room:
        from ncap_iac.local.runner.machines import Machine

        script = f'#!/bin/sh\n$NEUROCAAS_IMAGE/env/bin/python -c "{code}" & sleep 1; shutdown -h now; sleep 60\n'
        environment = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{echo.port}"}
        room.room.boot(Machine("i-1", room.image, script.encode(), 512 * MIB, "ip-1", environment))
        assert room.ended(timeout_s=15).cause is Cause.POWER


@pytest.mark.skipif(sys.platform != "linux", reason="the rungs are Linux's")
def test_the_weakest_rung_says_that_it_closes_nothing() -> None:
    assert strongest_isolation([Rung.PROCESS]) == Isolation(Rung.PROCESS, can_close_network=False)
