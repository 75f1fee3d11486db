"""Speed and memory on this machine, measured."""
