"""Start, watch and stop one server process. Stops only what it started.

A process id alone proves nothing: after a reboot, or just later, it may be somebody else's. So the
record of a process holds its start time and the boot it was started in, and every process carries a
mark in its environment by which children that outlived it are found.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from include.model.errors import NotReachable
from include.sandbox.stack.places import Account, Places, unprivileged

MARK = "QUIETUS_STACK"
# What a process takes over from whoever starts it. Another shell's values are no reason for a restart.
AMBIENT = ("HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_children: dict[int, subprocess.Popen[bytes]] = {}  # so that our own dead children are reaped


@dataclass(frozen=True)
class Spec:
    """What to run. Its ``fingerprint`` changes when a running process no longer is what is wanted."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    as_nobody: bool = False  # drop privileges if we are root
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)  # in turn, then SIGKILL
    patience: float = 20.0  # seconds after each of them
    also: str = ""  # what else a change of must restart it: a configuration file's content
    inherited_mark: bool = True  # false: it overwrites its environment and ends its children itself

    @property
    def fingerprint(self) -> str:
        environment = sorted((name, value) for name, value in self.env.items() if name not in AMBIENT)
        said = json.dumps([self.argv, environment, str(self.cwd), self.also])
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True)
class Identity:
    """A process that cannot be confused with another."""

    pid: int
    started: int  # clock ticks since boot, proc(5) field 22
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """None if there is no such process, or only its remains (a zombie)."""
        try:
            # The second field is the name in brackets, which may itself hold spaces and brackets.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        if fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]), boot_id())

    def alive(self) -> bool:
        child = _children.get(self.pid)
        if child is not None and child.poll() is not None:
            del _children[self.pid]
        return self.boot == boot_id() and Identity.of(self.pid) == self

    def send(self, what: signal.Signals) -> None:
        """Signal it, if it is still the same process."""
        if self.alive():
            try:
                os.kill(self.pid, what)
            except ProcessLookupError:
                return

    def ended_within(self, seconds: float) -> bool:
        return wait_until(lambda: not self.alive(), seconds)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def wait_until(holds: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """True as soon as ``holds()``; False if it does not within that time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


def marked(mark: str, name: str) -> list[Identity]:
    """Every live process of that server of that sandbox, found by the mark in its environment."""
    wanted = f"{MARK}={mark}/{name}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # gone meanwhile, or not ours to look at
        if wanted in environment.split(b"\0"):
            identity = Identity.of(int(entry.name))
            if identity is not None:
                found.append(identity)
    return found


def read_record(path: Path) -> tuple[Identity, str] | None:
    """Whom we started under that name, and with which fingerprint."""
    try:
        said = json.loads(path.read_text("utf-8"))
        return Identity(said["pid"], said["started"], said["boot"]), said["fingerprint"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def is_running(places: Places, name: str) -> bool:
    """True if a process that we started under that name runs, whatever its spec."""
    recorded = read_record(places.run / f"{name}.json")
    return recorded is not None and recorded[0].alive()


@dataclass
class Process:
    """One server: its spec, its record on disk, its log."""

    spec: Spec
    places: Places

    @property
    def record(self) -> Path:
        return self.places.run / f"{self.spec.name}.json"

    @property
    def log(self) -> Path:
        return self.places.logs / f"{self.spec.name}.log"

    @property
    def identity(self) -> Identity | None:
        """Who it is, if it runs and we started it."""
        recorded = read_record(self.record)
        return recorded[0] if recorded and recorded[0].alive() else None

    @property
    def running(self) -> bool:
        return self.identity is not None

    @property
    def up_to_date(self) -> bool:
        """Running, and just as the spec wants it."""
        recorded = read_record(self.record)
        return bool(recorded and recorded[1] == self.spec.fingerprint and recorded[0].alive())

    def start(self) -> bool:
        """Start it, or leave it alone if it runs as wanted. True if it was started.

        One that runs with another spec is stopped first. ``wait`` tells when it can be used.
        """
        if self.up_to_date:
            return False
        self.stop()
        account = unprivileged() if self.spec.as_nobody else Account()
        environment = {**self.spec.env, MARK: f"{self.places.mark}/{self.spec.name}"}
        with self.log.open("ab") as log:
            self.log.chmod(0o600)
            child = subprocess.Popen(
                self.spec.argv,
                env=environment,
                cwd=self.spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C is not for it
                **account,
            )
        _children[child.pid] = child
        identity = Identity.of(child.pid)
        if identity is None:
            raise self._died()
        fresh = self.record.with_name(self.record.name + ".new")
        fresh.write_text(json.dumps({**asdict(identity), "fingerprint": self.spec.fingerprint}), "utf-8")
        fresh.replace(self.record)
        return True

    def wait(self, ready: Callable[[], bool], seconds: float) -> None:
        """Until ``ready()``. Raises NotReachable if it ends before, or takes longer than ``seconds``."""
        outcome: list[bool] = []

        def settled() -> bool:
            if ready():
                outcome.append(True)
            elif not self.running:
                outcome.append(False)
            return bool(outcome)

        if not wait_until(settled, seconds):
            raise NotReachable(
                f"not ready after {seconds:.0f} s", about=self.spec.name, next_step=f"see {self.log}"
            )
        if not outcome[0]:
            raise self._died()

    def _died(self) -> NotReachable:
        return NotReachable("ended while starting", about=self.spec.name, next_step=f"see {self.log}")

    def stop(self) -> bool:
        """Stop it and whatever it left behind. True if there was anything to stop."""
        leader = self.identity
        if leader is not None:
            for what in (*self.spec.stop_signals, signal.SIGKILL):
                leader.send(what)
                if leader.ended_within(self.spec.patience):
                    break
            else:
                raise NotReachable(
                    "does not end, not even killed",
                    about=self.spec.name,
                    next_step=f"look at process {leader.pid}",
                )
        left = self._stragglers()
        for what in (signal.SIGTERM, signal.SIGKILL):
            for one in left:
                one.send(what)
            if wait_until(lambda: not any(one.alive() for one in left), 5.0):
                break
        self.record.unlink(missing_ok=True)
        return leader is not None or bool(left)

    def _stragglers(self) -> list[Identity]:
        return marked(self.places.mark, self.spec.name) if self.spec.inherited_mark else []
