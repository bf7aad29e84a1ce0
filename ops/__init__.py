"""The operator's commands for a stack in AWS: `python -m ops --help` lists them, the Makefile calls them."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Stop(Exception):
    """The command cannot go on: what is wrong, and what to do next."""

    def __init__(self, wrong, next_step):
        super().__init__(f"{wrong}\n\nWhat to do next: {next_step}")
