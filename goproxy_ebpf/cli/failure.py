"""What ends a command early: one line on standard error and a status. ``main`` prints it; nobody else does."""

import importlib.util


class Failure(Exception):
    """It could not be done. ``status`` is what the program ends with."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class UsageProblem(Failure):
    """It was asked for in a way that makes no sense: status 2."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 2)


def require(command: str, *modules: str) -> None:
    """Raises Failure (125) where a module of the ``capture`` extra is not installed, as in a plain pip install."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            missing = f"{command} needs the Python module {module}, which is not installed"
            raise Failure(f"{missing}: `sudo scripts/install` from a checkout sets up all of it", 125)


def because(error: OSError) -> str:
    """``No such file or directory``: the system's own word for it."""
    return error.strerror or str(error) or type(error).__name__
