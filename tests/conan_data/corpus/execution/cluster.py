"""A Slurm cluster of one node on the loopback interface: munged, slurmctld and slurmd, started by hand."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conan_data.corpus.execution.touch import is_alive, wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
MinJobAge=300
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """What is not installed here, or why the daemons cannot be started; empty where a cluster can be had."""
    paths = os.environ["PATH"] + ":/usr/sbin"
    lacking = [name for name in PROGRAMS if not shutil.which(name, path=paths)]
    if lacking:
        return f"not installed: {', '.join(lacking)} (Debian: slurm-wlm, munge)"
    return "" if os.getuid() == 0 else "the daemons need root"


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[None]:
    """Runs the daemons below `folder` (its path must be short) and points `SLURM_CONF` at them."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    config = folder / "slurm.conf"
    config.write_text(
        CONFIG.format(
            host=socket.gethostname(), folder=folder, controller_port=free_port(), node_port=free_port()
        )
    )
    os.environ["SLURM_CONF"] = str(config)
    try:
        options = {"socket": "munge.socket", "pid-file": "munged.pid", "seed-file": "munge.seed"} | {
            "log-file": "munged.log",
            "key-file": "munge.key",
        }
        daemon("munged", "--force", *(f"--{name}={folder / file}" for name, file in options.items()))
        daemon("slurmctld")
        daemon("slurmd")
        until = time.monotonic() + 60
        while "idle" not in subprocess.run(["sinfo", "-h"], capture_output=True, text=True).stdout:
            assert time.monotonic() < until, (folder / "slurmctld.log").read_text()
            time.sleep(0.2)
        yield
    finally:
        for name in ("slurmd", "slurmctld", "munged"):
            path = folder / f"{name}.pid"
            if path.exists():
                pid = int(path.read_text())
                os.kill(pid, signal.SIGTERM)
                wait_for(lambda pid=pid: not is_alive(pid))
        del os.environ["SLURM_CONF"]


def daemon(program: str, *args: str) -> None:
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    assert path is not None
    subprocess.run([path, *args], check=True, timeout=60, stdout=subprocess.DEVNULL)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
