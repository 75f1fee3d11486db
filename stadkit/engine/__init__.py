"""Where videos are looked at: in this process, or by workers of a cluster.

An engine takes tasks one by one as it has room for them, and gives each back with what was found.
"""

from stadkit.engine.ray_pool import check_ray
from stadkit.engine.spread import Spread
from stadkit.engine.work import Looked, Work, look, look_here
from stadkit.engine.worker import Setup

__all__ = ["Looked", "Setup", "Spread", "Work", "check_ray", "look", "look_here"]
