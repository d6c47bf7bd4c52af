"""A machine in every sandbox this computer offers: what it sees, what it may, how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncap_iac.environments.offline import OFFLINE_VARIABLES
from ncap_iac.local.runner.firmware import remove_tree
from ncap_iac.local.runner.isolation import Isolation, strongest_isolation
from ncap_iac.local.runner.order import Cause, Rung
from tests.local.machines_support import Room, make_image, wait_for

MIB = 1024 * 1024
LINUX = sys.platform == "linux"


def working_rungs() -> list[Rung]:
    return [rung for rung in Rung if strongest_isolation([rung]).rung is rung]


RUNGS = working_rungs()
SANDBOXES = [rung for rung in RUNGS if rung is not Rung.PROCESS]
OWN_VIEW = [rung for rung in RUNGS if rung.holders]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = make_image(tmp_path_factory.mktemp("images"), files={"analysis/greeting.txt": "hello\n"})
    yield folder
    remove_tree(folder)


@pytest.fixture
def room(request: pytest.FixtureRequest, tmp_path: Path, image: Path) -> Iterator[Room]:
    made = Room(tmp_path / "instances", image, Isolation(request.param, shutil.which("bwrap")))
    yield made
    made.room.close()


every_rung = pytest.mark.parametrize("room", RUNGS, indirect=True, ids=lambda rung: rung.name.lower())
every_sandbox = pytest.mark.parametrize("room", SANDBOXES, indirect=True, ids=lambda rung: rung.name.lower())
own_view = pytest.mark.parametrize("room", OWN_VIEW, indirect=True, ids=lambda rung: rung.name.lower())
any_rung = pytest.mark.parametrize("room", RUNGS[:1], indirect=True, ids=lambda rung: rung.name.lower())


@every_rung
def test_user_data_runs_with_the_image_and_a_scratch_folder_of_its_own(room: Room) -> None:
    script = (
        "#!/bin/sh\ncat $NEUROCAAS_IMAGE/analysis/greeting.txt\necho x > file && pwd && echo $HOME && cat $HOME/file\n"
    )
    report, console = room.run(script)
    scratch = str(room.folder / "i-1" / "scratch")
    assert console.splitlines()[:4] == ["hello", scratch, scratch, "x"]
    assert (report.cause, report.exit_status) == (Cause.FINISHED, 0)
    assert room.happened() == ["started", "ending", "ended"]


@every_rung
def test_a_machine_gets_only_the_environment_variables_of_the_contract(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the developer's own")
    _, console = room.run("#!/bin/sh\nenv | sed 's/=.*//' | sort\n")
    names = set(console.splitlines()) - {"PWD", "OLDPWD", "SHLVL", "_"}
    expected = {"AWS_REGION", "HOME", "LANG", "NEUROCAAS_IMAGE", "NEUROCAAS_ISOLATION", "PATH", "TMPDIR"}
    expected |= set(OFFLINE_VARIABLES)
    assert {name for name in names if not name.startswith("[machine]")} == expected


@every_rung
def test_the_exit_status_of_user_data_is_reported(room: Room) -> None:
    report, _ = room.run("#!/bin/sh\nexit 3\n")
    assert report.exit_status == 3


@every_rung
def test_an_interpreter_of_the_image_runs(room: Room) -> None:
    _, console = room.run("#!/bin/sh\n$NEUROCAAS_IMAGE/env/bin/python -I -c 'import ctypes, json; print(6 * 7)'\n")
    assert console.splitlines()[0] == "42"


@every_sandbox
def test_a_machine_cannot_write_to_its_image(room: Room) -> None:
    # chmod first: the sandbox has to refuse, not the file's mode (for root modes mean nothing)
    _, console = room.run("#!/bin/sh\nchmod u+w $NEUROCAAS_IMAGE; echo x > $NEUROCAAS_IMAGE/x || echo refused\n")
    assert "refused" in console
    assert not (room.image / "x").exists()


@every_sandbox
def test_a_machine_cannot_read_files_of_the_user(room: Room, tmp_path: Path) -> None:
    secret = tmp_path / "credentials"
    secret.write_text("a secret of the user\n")
    home = Path.home()
    _, console = room.run(f"#!/bin/sh\ncat {secret} || echo hidden\nls -A {home} | sed 's/^/home: /'\n")
    assert "a secret" not in console
    assert "hidden" in console
    seen = {line.removeprefix("home: ") for line in console.splitlines() if line.startswith("home: ")}
    assert seen <= set(Path(sys.base_prefix).parts), "of the home at most the way to the interpreter is seen"


@own_view
def test_a_machine_sees_only_its_own_processes(room: Room) -> None:
    _, console = room.run("#!/bin/sh\nls /proc | grep -c '^[0-9]'\n")
    assert int(console.splitlines()[0]) < 10


@own_view
def test_two_machines_have_each_their_own_tmp(room: Room) -> None:
    room.run("#!/bin/sh\necho x > /tmp/of-the-first\n")
    room.boot("#!/bin/sh\nls /tmp | grep -c of-the-first\n", "i-2")
    room.ended("i-2")
    assert room.console("i-2").splitlines()[0] == "0"


@every_sandbox
def test_a_machine_gains_no_privilege(room: Room) -> None:
    _, console = room.run("#!/bin/sh\ngrep NoNewPrivs /proc/self/status\n")
    assert console.split()[1] == "1"


@pytest.mark.skipif(not LINUX or os.getuid() != 0, reason="capabilities are root's")
@every_rung
def test_a_machine_of_root_cannot_reboot_the_host(room: Room) -> None:
    """Only looked up, never tried."""
    cap_sys_boot = 1 << 22
    _, console = room.run("#!/bin/sh\ngrep CapEff /proc/self/status\n")
    assert int(console.split()[1], 16) & cap_sys_boot == 0


@every_rung
def test_shutdown_now_ends_the_machine_before_its_next_line(room: Room) -> None:
    report, console = room.run("#!/bin/sh\nshutdown -h now\nsleep 30\necho still here\n")
    assert report.cause is Cause.POWER
    assert "still here" not in console


@any_rung
def test_a_shutdown_timer_ends_a_machine_that_hangs(room: Room) -> None:
    report, console = room.run("#!/bin/sh\nshutdown -h +0\nsleep 600\n")
    assert report.cause is Cause.POWER
    assert "goes off now" in console


@any_rung
def test_a_shutdown_timer_can_be_taken_back(room: Room) -> None:
    report, _ = room.run("#!/bin/sh\nshutdown -h +90\nshutdown -c\nexit 4\n")
    assert (report.cause, report.exit_status) == (Cause.FINISHED, 4)


@every_rung
def test_a_terminated_machine_is_told_first_and_may_put_its_things_in_order(room: Room) -> None:
    child = "sh -c 'trap \"echo tidied; exit 0\" TERM; echo ready; while :; do sleep 0.05; done'"
    room.boot(f"#!/bin/sh\n{child}\necho next line\n")
    wait_for(lambda: "ready" in room.console())
    room.room.end("i-1")
    assert room.ended().cause is Cause.TERMINATED
    assert "tidied" in room.console()
    assert "next line" not in room.console()


@every_rung
def test_no_process_of_a_machine_survives_it(room: Room, tmp_path: Path) -> None:
    """A daemon that leaves its session and its parent is found all the same."""
    mark = f"{tmp_path.name}-sleeper"
    daemon = (
        "import os\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        f"os.execvp('sleep', ['{mark}', '300'])\n"
    )
    python = "$NEUROCAAS_IMAGE/env/bin/python -I d.py"
    room.boot(f"#!/bin/sh\ncat > d.py <<'END'\n{daemon}END\n{python}\necho ready; sleep 300\n")
    wait_for(lambda: "ready" in room.console())
    wait_for(lambda: processes_named(mark))
    room.room.end("i-1")
    room.ended()
    assert processes_named(mark) == []


def warden_of(pid: str) -> int:
    """The first process above this one that is of this project."""
    while b"runner.nursery" not in Path(f"/proc/{pid}/cmdline").read_bytes() or has_sandbox_above(pid):
        pid = parent_of(pid)
    return int(pid)


def has_sandbox_above(pid: str) -> bool:
    """Processes that hold namespaces are forks of the warden and look like it."""
    above = parent_of(parent_of(pid))
    return b"runner.nursery" in Path(f"/proc/{above}/cmdline").read_bytes()


def parent_of(pid: str) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]


def processes_named(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if line.startswith(mark.encode()):
            found.append(folder.name)
    return found


@any_rung
def test_machines_end_when_their_warden_is_killed(room: Room, tmp_path: Path) -> None:
    mark = f"{tmp_path.name}-orphan"
    python = "$NEUROCAAS_IMAGE/env/bin/python"
    room.boot(f'#!/bin/sh\n{python} -I -c \'import os; os.execvp("sleep", ["{mark}", "300"])\'\n')
    wait_for(lambda: processes_named(mark))
    os.kill(warden_of(processes_named(mark)[0]), signal.SIGKILL)
    report = room.ended()
    assert report.cause is Cause.LOST
    wait_for(lambda: not processes_named(mark))


@every_rung
def test_a_process_that_takes_too_much_memory_is_killed_like_on_a_full_machine(room: Room) -> None:
    hog = "bytearray(b'x') * (120 * 1024 * 1024); __import__('time').sleep(20)"
    script = f'#!/bin/sh\n$NEUROCAAS_IMAGE/env/bin/python -I -c "x = {hog}"\necho status $?\n'
    report, console = room.run(script, memory_bytes=80 * MIB)
    assert "out of memory: killed python" in console
    assert "status 137" in console
    assert report.exit_status == 0, "only the process that took the memory is killed"


@any_rung
def test_shared_memory_is_not_counted_once_a_process(room: Room) -> None:
    program = (
        "import mmap, os, time\n"
        "m = mmap.mmap(-1, 60 * 1024 * 1024)\n"
        "m.write(b'x' * len(m))\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n"
        "        sum(m[i] for i in range(0, len(m), 4096)); time.sleep(0.4); os._exit(0)\n"
        "[os.wait() for _ in range(3)]\n"
        "print('all well')\n"
    )
    script = f"#!/bin/sh\ncat > p.py <<'END'\n{program}END\n$NEUROCAAS_IMAGE/env/bin/python -I p.py\n"
    _, console = room.run(script, memory_bytes=160 * MIB)
    assert "all well" in console


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
@every_rung
def test_a_machine_can_be_given_one_core(room: Room) -> None:
    core = min(os.sched_getaffinity(0))
    room.boot("#!/bin/sh\nnproc\n", core=core)
    room.ended()
    assert room.console().splitlines()[0] == "1"


@any_rung
def test_a_machine_without_a_script_stays_up_until_it_is_ended(room: Room) -> None:
    room.boot("just some text")
    wait_for(lambda: "started" in room.happened())
    time.sleep(0.3)
    assert room.happened() == ["started"]
    room.room.end("i-1")
    assert room.ended().cause is Cause.TERMINATED


@every_rung
def test_an_interpreter_that_does_not_exist_is_said_on_the_console(room: Room) -> None:
    report, console = room.run("#!/no/such/interpreter\n")
    assert report.exit_status not in (0, None)
    assert "No such file" in console


@any_rung
def test_only_the_console_outlives_a_machine(room: Room) -> None:
    room.run("#!/bin/sh\nmkdir -p deep/er; chmod 500 deep\n")
    assert [path.name for path in (room.folder / "i-1").iterdir()] == ["console.log"]


@any_rung
def test_a_full_disk_is_the_reason_why_a_machine_does_not_start(room: Room, tmp_path: Path) -> None:
    full = Room(tmp_path / "full", room.image, Isolation(Rung.PROCESS), free=lambda _: 5 * MIB)
    report, _ = full.run("#!/bin/sh\n")
    assert report.cause is Cause.BROKEN
    assert "is full" in report.message
    assert full.happened() == ["ended"]


@any_rung
def test_an_image_that_was_changed_does_not_boot(room: Room, tmp_path: Path) -> None:
    changed = make_image(tmp_path, files={"analysis/workflow.py": "print(1)\n"})
    (changed / "analysis" / "workflow.py").chmod(0o644)
    (changed / "analysis" / "workflow.py").write_text("print(2)  # and more\n")
    report, _ = Room(tmp_path / "i", changed, Isolation(Rung.PROCESS)).run("#!/bin/sh\n")
    assert report.cause is Cause.BROKEN
    assert "analysis/workflow.py was changed" in report.message


@any_rung
def test_a_flood_of_output_does_not_fill_the_disk(room: Room) -> None:
    _, console = room.run("#!/bin/sh\nhead -c 30000000 /dev/zero | tr '\\0' 'x'; echo; echo the end\n")
    assert (room.folder / "i-1" / "console.log").stat().st_size <= 8 * MIB
    assert "the end" in console


@any_rung
def test_closing_the_room_ends_all_machines(room: Room) -> None:
    room.boot("#!/bin/sh\nsleep 300\n")
    room.boot("#!/bin/sh\nsleep 300\n", "i-2")
    wait_for(lambda: "started" in room.happened() and "started" in room.happened("i-2"))
    room.room.close()
    assert {room.ended(name).cause for name in ("i-1", "i-2")} == {Cause.LOST}


@any_rung
def test_a_machine_told_to_end_while_it_boots_ends(room: Room) -> None:
    room.boot("#!/bin/sh\nsleep 300\n")
    room.room.end("i-1")
    assert room.ended().cause is Cause.TERMINATED


def test_there_is_always_a_rung_and_the_strongest_comes_first() -> None:
    assert strongest_isolation(search_path="/nowhere").rung is next(
        rung for rung in RUNGS if rung is not Rung.BUBBLEWRAP
    )
    assert strongest_isolation([]).rung is Rung.PROCESS


@any_rung
def test_machines_live_on_when_the_nursery_is_killed_and_the_next_boot_gets_another(room: Room, tmp_path: Path) -> None:
    mark = f"{tmp_path.name}-first"
    python = "$NEUROCAAS_IMAGE/env/bin/python"
    room.boot(f'#!/bin/sh\n{python} -I -c \'import os; os.execvp("sleep", ["{mark}", "300"])\'\n')
    wait_for(lambda: processes_named(mark))
    nursery = parent_of(str(warden_of(processes_named(mark)[0])))
    os.kill(int(nursery), signal.SIGKILL)
    room.boot("#!/bin/sh\necho second\n", "i-2")
    room.ended("i-2")
    assert "second" in room.console("i-2")
    assert processes_named(mark)
