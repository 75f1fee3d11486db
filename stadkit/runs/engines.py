"""The engine that processes the videos: this process, or Ray workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stadkit.errors import UsageError

if TYPE_CHECKING:
    from stadkit.detection import Detector
    from stadkit.engine import RayExecutor

WORKERS = 2
PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def check_engine(engine: str, workers: int | None, address: str | None) -> None:
    """Raises UsageError for an unknown engine, and for options of another one."""
    if engine not in ("local", "ray"):
        raise UsageError(f"--engine {engine!r}: unknown engine; use local or ray")
    if engine == "local":
        for name, value in (("--workers", workers), ("--address", address)):
            if value is not None:
                raise UsageError(f"{name}: only with --engine ray")
        return
    from stadkit.engine import check_ray
    from stadkit.zoo.storage import is_offline

    if address is not None and is_offline():
        raise UsageError(
            "--address: offline mode is on (--offline or HF_HUB_OFFLINE); omit it to use workers "
            "on this machine"
        )

    check_ray()


def pick_engine(
    engine: str,
    workers: int | None,
    address: str | None,
    model: str,
    detector: Detector,
    threads: int,
    people: str = "",
) -> RayExecutor | None:
    """Workers with the same detector, which are started on first use; None: the local engine.

    `model`, `people`: the names by which the detector and its person detector were loaded.
    """
    if engine == "local":
        return None
    import os

    from stadkit.console import console
    from stadkit.engine import RayExecutor, WorkerConfig

    finder = detector.person_detector or detector

    config = WorkerConfig(
        model=model,
        sha256=detector.sha256,
        device=detector.device.type,  # the cluster picks one of a machine's devices
        precision=PRECISIONS[str(detector.precision).removeprefix("torch.")],
        folder=os.getcwd(),
        threads=threads,
        people=people,
        people_sha256=finder.sha256,
    )
    return RayExecutor(
        config,
        workers or WORKERS,
        every=detector.every,
        batch=max(detector.card.batch, finder.card.batch),  # both get whole batches
        splits=not detector.card.tubelet,  # tubelets are joined over a whole video
        address=address,
        report=console.print,
    )


def refuse_with_ray(engine: str, **options: object) -> None:
    """Raises UsageError for options, by name, that only the local engine supports."""
    for name, value in options.items():
        if engine == "ray" and value:
            raise UsageError(
                f"--{name.replace('_', '-')}: only with the local engine; for many machines use "
                "--shard"
            )
