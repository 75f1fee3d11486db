# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check wheel wheel-check clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch --constraint constraints.txt
	$(PIP) --editable '.[dev]' --constraint constraints.txt
	touch .venv/ready

demo: .venv/ready  ## detect people and actions in the example video, and draw them
	$(BIN)/stadkit detect examples/room.mp4 --every 0.5 --output runs/demo --overwrite --save-video
	$(BIN)/python examples/contact_sheet.py runs/demo/room.mp4 runs/demo/sheet.png

test: check  ## lint, types and tests, as CI runs them

check: .venv/ready  ## the one check, the same for everybody
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy stadkit
	$(BIN)/python -m pytest -q -n 2 --dist loadfile  # one thread each

wheel: .venv/ready  ## build the wheel into dist/
	rm -rf build dist
	$(BIN)/python -m build --wheel

wheel-check: wheel  ## the wheel, in an empty environment, detects with the built-in model
	$(PYTHON) -m venv --clear build/empty
	build/empty/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl --constraint constraints.txt
	cd build/empty && bin/stadkit detect ../../examples/room.mp4 --output found --overwrite

clean:
	rm -rf .venv build dist runs *.egg-info
