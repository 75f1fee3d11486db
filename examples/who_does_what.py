"""Python API example: prints each person's best action, once per second.

python examples/who_does_what.py examples/room.mp4
"""

import sys

import numpy as np

import stadkit


def main(path: str) -> None:
    detector = stadkit.load("mestad-nano")
    for people in detector.detect(path, every=1.0):
        for time, box, scores in zip(people.time, people.box, people.action, strict=True):
            best = int(np.argmax(scores))
            corners = " ".join(f"{side:.2f}" for side in box)
            print(f"{time:6.2f} s  box {corners}  {people.classes[best]:<12} {scores[best]:.2f}")


if __name__ == "__main__":
    main(sys.argv[1])
