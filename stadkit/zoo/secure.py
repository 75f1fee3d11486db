"""Addresses followed without leaving encryption."""

from __future__ import annotations

import urllib.request
from typing import Any

from stadkit.errors import WeightsError

SECURE = "https:"  # how addresses begin whose answers nobody changes on the way


class StaysSecure(urllib.request.HTTPRedirectHandler):
    """Leads from an encrypted address to encrypted ones alone, at each step.

    The last address does not tell: who sits on a step in the clear leads where he wants.
    """

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """As its base has it; raises WeightsError for a step to an address in the clear."""
        if req.full_url.startswith(SECURE) and not newurl.startswith(SECURE):
            fp.close()
            raise WeightsError(
                f"{req.full_url}: leads to {newurl}, which is not encrypted; not downloaded"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)
