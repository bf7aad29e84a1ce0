"""Commands for the operator of a stack in AWS. `python -m ops --help` lists them; the Makefile calls them."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class CommandError(Exception):
    """The command cannot continue. The message states the problem and what to do next."""

    def __init__(self, problem, next_step):
        super().__init__(f"{problem}\n\nWhat to do next: {next_step}")


def is_confirmed(question):
    """Whether the operator answers yes. Without a terminal, the answer is no."""
    try:
        return input(f"{question} [y/N]: ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
