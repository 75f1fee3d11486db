"""Engines that process videos: this process, or Ray workers.

An engine takes tasks as workers become free, and yields each with its result.
"""

from stadkit.engine.executor import RayExecutor
from stadkit.engine.ray_pool import check_ray
from stadkit.engine.worker import TaskResult, VideoTask, WorkerConfig, run_task

__all__ = [
    "RayExecutor",
    "TaskResult",
    "VideoTask",
    "WorkerConfig",
    "check_ray",
    "run_task",
]
