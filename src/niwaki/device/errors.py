"""The error of the runner: one line for standard error, and the exit code that goes with it."""


class DeviceError(Exception):
    """A problem that whoever started the runner can understand and mend.

    `exit_code`: 1 the self-test failed; 2 bad input; 3 no camera; 4 a recording cannot be written; 5 the library cannot
    be loaded.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code
