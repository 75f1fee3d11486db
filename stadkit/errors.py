"""Errors that users can act on; anything else is a bug and keeps its traceback."""


class StadkitError(Exception):
    """Something the user can mend: prints as one line with what, where, what next.

    `exit_code` is the process's exit code when this ends the run:
    1 an input failed, 2 usage or bad annotation, 3 weights missing or unverified,
    5 nothing matched.
    """

    exit_code = 1


class UsageError(StadkitError):
    """A wrong option, name or config value."""

    exit_code = 2


class AnnotationError(StadkitError):
    """A file of labels, truth or predictions that cannot be read as what it claims to be."""

    exit_code = 2


class VideoError(StadkitError):
    """A video that cannot be read or written at all."""

    exit_code = 1


class WeightsError(StadkitError):
    """Weights that are missing, damaged, of another model, or do not match their checksum."""

    exit_code = 3


class NothingMatchedError(StadkitError):
    """Two inputs that share no video, time or label: an answer would be a silent zero."""

    exit_code = 5
