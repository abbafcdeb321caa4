"""A whole SLURM of one node for the tests: own folders, own ports, own key, no systemd, no root needed."""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=20
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def programs() -> dict[str, str]:
    """Paths of the daemons, which Debian puts where a user's PATH does not look; without those that are not installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return {name: found for name in PROGRAMS if (found := shutil.which(name, path=path))}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Slurm:
    """The three daemons as children of this process."""

    def __init__(self, folder: Path):
        self.folder, self.config = folder, folder / "slurm.conf"
        self.daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        """Write key and configuration; start munged, slurmctld, slurmd; wait until the node takes jobs."""
        paths, host = programs(), socket.gethostname().partition(".")[0]
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)  # munged insists
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        controller_port, node_port = free_ports(2)
        self.config.write_text(
            CONFIG.format(
                folder=self.folder,
                host=host,
                user=getpass.getuser(),
                controller_port=controller_port,
                node_port=node_port,
            )
        )
        munge = [
            f"--{part}={self.folder}/munge.{part.partition('-')[0]}" for part in ("socket", "key-file", "pid-file")
        ]
        munge += [f"--{part}={self.folder}/munged.{part.partition('-')[0]}" for part in ("log-file", "seed-file")]
        self._launch(paths["munged"], "--foreground", *munge)
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._launch(paths["slurmctld"], "-D", "-f", str(self.config))
        self._launch(paths["slurmd"], "-D", "-f", str(self.config), "-N", host)
        self._wait(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%t"), "slurmd")

    def _launch(self, program: str, *words: str) -> None:
        log = (self.folder / f"{Path(program).name}.out").open("w")
        environment = {**os.environ, "SLURM_CONF": str(self.config)}
        self.daemons.append(
            subprocess.Popen([program, *words], stdout=log, stderr=log, env=environment, start_new_session=True)
        )

    def _wait(self, ready, what: str) -> None:
        for _ in range(300):
            if ready():
                return
            if any(daemon.poll() is not None for daemon in self.daemons):
                break
            time.sleep(0.1)
        logs = "\n".join(p.read_text(errors="replace")[-1000:] for p in self.folder.glob("*.out"))
        raise RuntimeError(f"{what} does not answer:\n{logs}")

    def ask(self, *words: str) -> str:
        """Output of a client command; empty where it fails."""
        environment = {**os.environ, "SLURM_CONF": str(self.config)}
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False).stdout

    def stop(self) -> None:
        """Cancel what is left and end exactly the processes that were started here."""
        numbers = self.ask("squeue", "-h", "-r", "-o", "%i").split()
        if numbers:
            self.ask("scancel", "--signal=KILL", *numbers)
            self.ask("scancel", *numbers)
            for _ in range(100):
                if not self.ask("squeue", "-h").strip():
                    break
                time.sleep(0.1)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.kill(daemon.pid, signal.SIGKILL)
                daemon.wait()
