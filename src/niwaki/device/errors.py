"""The runner's only error: one line that names the thing, the value and what to do, and its exit code."""

DONE, SELFTEST_FAILED, BAD_INPUT, NO_CAMERA, NO_ROOM, NO_LIBRARY = range(6)
INTERRUPTED, TERMINATED, HUNG_UP = 130, 143, 129  # 128 and the signal's number, as shells count


class DeviceError(Exception):
    """A problem that the user can understand and fix. `exit_code` is what the runner returns."""

    def __init__(self, message: str, exit_code: int = BAD_INPUT) -> None:
        super().__init__(message)
        self.exit_code = exit_code
