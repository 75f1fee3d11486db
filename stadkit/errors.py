"""Errors that users can act on; any other exception is a bug and keeps its traceback."""


class StadkitError(Exception):
    """An error the user can fix; prints as one line: what, where, and what to do next.

    `exit_code` is the process's exit code when the error ends the run:
    1 an input failed, 2 usage or bad annotation, 3 weights missing or unverified,
    5 nothing matched.
    """

    exit_code = 1


class UsageError(StadkitError):
    """A wrong option, name or config value."""

    exit_code = 2


class AnnotationError(StadkitError):
    """A labels, truth or predictions file that is not valid in its format."""

    exit_code = 2


class VideoError(StadkitError):
    """A video that cannot be read or written at all."""

    exit_code = 1


class WeightsError(StadkitError):
    """Weights that are missing, damaged, for another model, or fail their checksum."""

    exit_code = 3


class NothingMatchedError(StadkitError):
    """Two inputs that share no video, time or label: the score would be a silent zero."""

    exit_code = 5
