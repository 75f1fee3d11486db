"""Which engine looks at the videos: this process, or workers of Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stadkit.errors import UsageError

if TYPE_CHECKING:
    from stadkit.detection import Detector
    from stadkit.engine import RayExecutor

WORKERS = 2
PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def check_engine(engine: str, workers: int | None, address: str | None) -> None:
    """Raises UsageError for an engine that there is not, and for options of another one."""
    if engine not in ("local", "ray"):
        raise UsageError(f"--engine: there is no {engine!r}; say local or ray")
    if engine == "local":
        for name, value in (("--workers", workers), ("--address", address)):
            if value is not None:
                raise UsageError(f"{name}: the local engine is one process; say --engine ray, too")
        return
    from stadkit.engine import check_ray
    from stadkit.zoo.storage import is_offline

    if address is not None and is_offline():
        raise UsageError(
            "--address: offline mode is on (--offline or HF_HUB_OFFLINE); workers here need none"
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
    """Workers that look as this detector does, which was loaded by the name `model`, and the finder
    of its people by `people`; None: this process does. They have not started yet."""
    if engine == "local":
        return None
    import os

    from stadkit.console import console
    from stadkit.engine import RayExecutor, WorkerConfig

    finder = detector.person_detector or detector

    setup = WorkerConfig(
        model=model,
        sha256=detector.sha256,
        device=detector.device.type,  # which of a machine's is the cluster's to say
        precision=PRECISIONS[str(detector.precision).removeprefix("torch.")],
        folder=os.getcwd(),
        threads=threads,
        people=people,
        people_sha256=finder.sha256,
    )
    return RayExecutor(
        setup,
        workers or WORKERS,
        every=detector.every,
        batch=max(detector.card.batch, finder.card.batch),  # both get whole batches
        splits=not detector.card.tubelet,  # tubelets are joined over a whole video
        address=address,
        tell=console.print,
    )


def refuse_with_ray(engine: str, **given: object) -> None:
    """Raises UsageError for options, by name, that only the local engine knows."""
    for name, value in given.items():
        if engine == "ray" and value:
            raise UsageError(
                f"--{name.replace('_', '-')}: only with the local engine; on many machines use "
                "--shard"
            )
