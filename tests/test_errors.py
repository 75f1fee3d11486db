"""Each error ends the run with the exit code that the documentation promises."""

import pytest

from stadkit import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.StadkitError, 1),
        (errors.VideoError, 1),
        (errors.UsageError, 2),
        (errors.AnnotationError, 2),
        (errors.WeightsError, 3),
        (errors.NothingMatchedError, 5),
    ],
)
def test_exit_codes(kind: type[errors.StadkitError], code: int) -> None:
    assert kind("what, where, what next").exit_code == code


def test_every_error_is_caught_as_one() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) == 6
    assert all(issubclass(kind, errors.StadkitError) for kind in kinds)
    # A bug's error must keep its traceback, so it must not look like a user's.
    assert not issubclass(errors.StadkitError, ValueError)
