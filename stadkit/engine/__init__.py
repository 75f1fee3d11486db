"""Where videos are looked at: in this process, or by workers of a cluster.

An engine takes tasks one by one as it has room for them, and gives each back with what was found.
"""

from stadkit.engine.executor import RayExecutor
from stadkit.engine.ray_pool import check_ray
from stadkit.engine.worker import TaskResult, VideoTask, WorkerConfig, look

__all__ = [
    "RayExecutor",
    "TaskResult",
    "VideoTask",
    "WorkerConfig",
    "check_ray",
    "look",
]
