"""A pool of Ray workers, on this machine or on a cluster.

Ray is imported on use, and its usage reporting is switched off.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from stadkit.engine.worker import TaskResult, VideoTask, Worker, WorkerConfig
from stadkit.errors import StadkitError, UsageError

MAX_FAILED_STARTS = 3  # consecutive workers lost before they are ready
CONNECT_TIMEOUT = 10.0  # seconds
REPORT_AFTER = 60.0  # seconds without a ready worker until that is reported
OBJECT_STORE_BYTES = 512 << 20  # results in transit; a long video's table is some 30 MB


def check_ray() -> None:
    """Raises UsageError if Ray is not installed."""
    if find_spec("ray") is None:
        raise UsageError('--engine ray: Ray is not installed; pip install "stadkit[ray]"')


def _check_reachable(address: str) -> None:
    """Raises OSError if nothing listens at HOST:PORT, UsageError for a malformed address."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UsageError(f"--address {address!r}: give HOST:PORT, such as head:6379, or auto")
    socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT).close()


class RayPool:
    """`count` actors, each holding the model; a lost one is replaced."""

    def __init__(
        self, config: WorkerConfig, count: int, address: str | None, report: Callable[[str], None]
    ) -> None:
        """`address` None: this machine. Raises StadkitError if no cluster answers."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        self._ray: Any = ray  # untyped, as it may not be installed
        self._config, self._count, self._report = config, count, report
        self._idle: list[Any] = []  # actors
        self._names: dict[Any, str] = {}  # ready actor -> host:process
        self._starting: dict[Any, Any] = {}  # pending reference -> actor
        self._working: dict[Any, Any] = {}
        self._failed_starts = 0
        self._connect(address)
        try:
            self._threads = self._share_of_threads(local=address is None)
            self._resources = self._resources_per_worker(local=address is None)
            for _ in range(count):
                self._start()
        except BaseException:
            self.close()
            raise

    @property
    def free(self) -> int:
        """The number of idle workers."""
        return len(self._idle)

    @property
    def busy(self) -> list[str]:
        """HOST:PROCESS of each busy worker."""
        return [self._names[actor] for actor in self._working.values()]

    def submit(self, task: VideoTask) -> Any:
        """Start a task on an idle worker; returns the reference under which it comes back."""
        actor = self._idle.pop()
        reference = actor.run.remote(task)
        self._working[reference] = actor
        return reference

    def wait(self) -> list[tuple[Any, TaskResult | None]]:
        """Wait for results, None for a lost worker; empty if only new workers became ready.

        Raises StadkitError if workers cannot start.
        """
        references = [*self._working, *self._starting]
        done, _ = self._ray.wait(references, num_returns=1, timeout=REPORT_AFTER)
        if not done and not self._names:
            self._report(
                f"waiting for {self._count} workers: does the cluster have free resources for them?"
            )
        back = []
        for reference in done:
            if reference in self._starting:
                self._on_started(reference)
            else:
                back.append((reference, self._on_finished(reference)))
        return back

    def close(self) -> None:
        """Stop the workers, and shut down or disconnect from Ray."""
        for actor in [*self._starting.values(), *self._idle, *self._working.values()]:
            self._ray.kill(actor)
        self._ray.shutdown()

    def _connect(self, address: str | None) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address is not None:
                _check_reachable(address)  # Ray itself waits for minutes
                self._ray.init(address=address, **quiet)
                return
            self._ray.init(
                address="local",
                num_cpus=self._count,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **quiet,
            )
        except (OSError, ValueError, RuntimeError, self._ray.exceptions.RayError) as error:
            where = address or "this machine"
            why = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
            hint = "; is it running, and is RAY_AUTH_TOKEN right?" if address else ""
            raise StadkitError(f"--engine ray: no Ray at {where} ({why}){hint}") from error

    def _resources_per_worker(self, local: bool) -> dict[str, float]:
        """CPUs and GPUs that each worker reserves, so that all of them fit.

        On this machine Ray gets one CPU per worker; the number of threads is set separately.
        """
        resources = {"num_cpus": 1.0 if local else float(self._threads)}
        if self._config.device == "cuda":
            gpus = int(self._ray.cluster_resources().get("GPU", 0))
            if not gpus:
                raise UsageError("--engine ray: Ray reports no GPU there; try --device cpu")
            resources["num_gpus"] = 1 / -(-self._count // gpus)
        return resources

    def _share_of_threads(self, local: bool) -> int:
        """CPU threads per worker, as configured.

        By default the smallest machine's CPUs, divided by the workers it may get.
        """
        if self._config.threads:
            return self._config.threads
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cpus = [node["CPU"] for node in nodes if "CPU" in node]
        if local:
            cpus = [float(os.cpu_count() or 1)]
        per_machine = -(-self._count // max(len(cpus), 1))
        return max(1, int(min(cpus, default=1.0)) // per_machine)

    def _start(self) -> None:
        actor = self._ray.remote(Worker).options(**self._resources).remote(self._config)
        self._starting[actor.ready.remote(self._threads)] = actor

    def _on_started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        answer = self._get(reference)
        if answer is None:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise StadkitError(
                    f"--engine ray: {MAX_FAILED_STARTS} workers in a row died while starting, "
                    "perhaps out of memory; try fewer --workers"
                )
            self._replace(actor)
            return
        self._failed_starts = 0
        name, error = answer
        if error is not None:
            raise error
        self._names[actor] = name
        self._idle.append(actor)

    def _on_finished(self, reference: Any) -> TaskResult | None:
        actor = self._working.pop(reference)
        result: TaskResult | None = self._get(reference)
        if result is not None:
            self._idle.append(actor)
            return result
        self._report(f"worker {self._names.pop(actor)} was lost; its task will be repeated")
        self._replace(actor)
        return None

    def _get(self, reference: Any) -> Any:
        """A worker's answer; None if the worker was lost. Bugs keep their traceback."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError:
            raise
        except errors.RayError:
            return None

    def _replace(self, actor: Any) -> None:
        self._ray.kill(actor)  # it may only be unreachable, and must not continue
        self._start()
