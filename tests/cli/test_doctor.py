"""`stadkit doctor`."""

import json

from typer.testing import CliRunner

from stadkit import zoo
from stadkit.cli.app import app


def test_facts_for_people_and_machines() -> None:
    facts = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert facts["versions"]["torch"]
    assert facts["video"]["h264 writing"] is True
    assert facts["weights"].keys() == zoo.CARDS.keys()
    assert "auto precision" in CliRunner().invoke(app, ["doctor"]).stdout
