"""Workers of Ray: on this machine, or on a cluster whose address is given.

Ray is imported when it is asked for, and its usage reports to its makers are switched off.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from stadkit.engine.worker import TaskResult, VideoTask, Worker, WorkerConfig
from stadkit.errors import StadkitError, UsageError

STARTS = 3  # of workers in a row that are lost before they are ready
ANSWER = 10.0  # seconds that a cluster has to answer
PATIENCE = 60.0  # seconds without news until it is said what is waited for
MEMORY = 512 << 20  # bytes for what is on its way; a long video's table is some 30 MB


def check_ray() -> None:
    """Raises UsageError where Ray is not installed."""
    if find_spec("ray") is None:
        raise UsageError('--engine ray: Ray is not installed; pip install "stadkit[ray]"')


def _knock(address: str) -> None:
    """Raises OSError where nothing answers at HOST:PORT, UsageError where it is none."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UsageError(f"--address: {address!r} is no HOST:PORT, such as head:6379, nor auto")
    socket.create_connection((host, int(port)), timeout=ANSWER).close()


class RayPool:
    """So many actors, each of which holds the model; a lost one is replaced."""

    def __init__(
        self, setup: WorkerConfig, count: int, address: str | None, tell: Callable[[str], None]
    ) -> None:
        """`address` None: on this machine. Raises StadkitError where no cluster answers."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        self._ray: Any = ray  # whose types are not there where it is not installed
        self._setup, self._count, self._tell = setup, count, tell
        self._idle: list[Any] = []  # actors
        self._names: dict[Any, str] = {}  # actor -> host:process, of those that are ready
        self._starting: dict[Any, Any] = {}  # reference to come -> actor
        self._working: dict[Any, Any] = {}
        self._starts = 0
        self._connect(address)
        try:
            self._threads = self._share_of_threads(local=address is None)
            self._resources = self._shares(local=address is None)
            for _ in range(count):
                self._start()
        except BaseException:
            self.close()
            raise

    @property
    def free(self) -> int:
        """How many have nothing to do."""
        return len(self._idle)

    @property
    def busy(self) -> list[str]:
        """HOST:PROCESS of each worker that has something to do."""
        return [self._names[actor] for actor in self._working.values()]

    def submit(self, work: VideoTask) -> Any:
        """Have a free worker do it; what it is known by until it comes back."""
        actor = self._idle.pop()
        reference = actor.look.remote(work)
        self._working[reference] = actor
        return reference

    def wait(self) -> list[tuple[Any, TaskResult | None]]:
        """What has come back, None of a worker that was lost; empty where there are new workers.

        Raises StadkitError where workers cannot start.
        """
        references = [*self._working, *self._starting]
        done, _ = self._ray.wait(references, num_returns=1, timeout=PATIENCE)
        if not done and not self._names:
            self._tell(f"waiting for {self._count} workers: does the cluster have room for them?")
        back = []
        for reference in done:
            if reference in self._starting:
                self._started(reference)
            else:
                back.append((reference, self._looked(reference)))
        return back

    def close(self) -> None:
        """End the workers; and Ray, which was started or connected to for them."""
        for actor in [*self._starting.values(), *self._idle, *self._working.values()]:
            self._ray.kill(actor)
        self._ray.shutdown()

    def _connect(self, address: str | None) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address is not None:
                _knock(address)  # Ray itself waits for minutes
                self._ray.init(address=address, **quiet)
                return
            self._ray.init(
                address="local",
                num_cpus=self._count,
                include_dashboard=False,
                object_store_memory=MEMORY,
                **quiet,
            )
        except (OSError, ValueError, RuntimeError, self._ray.exceptions.RayError) as error:
            where = address or "this machine"
            why = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
            hint = "; is it running, and RAY_AUTH_TOKEN its token?" if address else ""
            raise StadkitError(f"--engine ray: no Ray at {where} ({why}){hint}") from error

    def _shares(self, local: bool) -> dict[str, float]:
        """CPUs and GPUs that each worker asks for, so that all of them find room.

        On this machine Ray is told of one CPU a worker; how many threads each has is our choice.
        """
        share = {"num_cpus": 1.0 if local else float(self._threads)}
        if self._setup.device == "cuda":
            gpus = int(self._ray.cluster_resources().get("GPU", 0))
            if not gpus:
                raise UsageError("--engine ray: Ray knows of no GPU there; try --device cpu")
            share["num_gpus"] = 1 / -(-self._count // gpus)
        return share

    def _share_of_threads(self, local: bool) -> int:
        """CPU threads of each worker: as asked, else what the smallest machine has, shared by the
        workers that it may get."""
        if self._setup.threads:
            return self._setup.threads
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cpus = [node["CPU"] for node in nodes if "CPU" in node]
        if local:
            cpus = [float(os.cpu_count() or 1)]
        crowd = -(-self._count // max(len(cpus), 1))
        return max(1, int(min(cpus, default=1.0)) // crowd)

    def _start(self) -> None:
        actor = self._ray.remote(Worker).options(**self._resources).remote(self._setup)
        self._starting[actor.ready.remote(self._threads)] = actor

    def _started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        got = self._get(reference)
        if got is None:
            self._starts += 1
            if self._starts >= STARTS:
                raise StadkitError(
                    f"--engine ray: workers end before they are ready, {STARTS} in a row, for lack "
                    "of memory perhaps; try fewer --workers"
                )
            self._replace(actor)
            return
        self._starts = 0
        name, error = got
        if error is not None:
            raise error
        self._names[actor] = name
        self._idle.append(actor)

    def _looked(self, reference: Any) -> TaskResult | None:
        actor = self._working.pop(reference)
        got: TaskResult | None = self._get(reference)
        if got is not None:
            self._idle.append(actor)
            return got
        self._tell(f"worker {self._names.pop(actor)} was lost; its work is done again")
        self._replace(actor)
        return None

    def _get(self, reference: Any) -> Any:
        """What a worker gave; None where it was lost. A bug of ours keeps its traceback."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError:
            raise
        except errors.RayError:
            return None

    def _replace(self, actor: Any) -> None:
        self._ray.kill(actor)  # if it is only out of reach, it must not go on
        self._start()
