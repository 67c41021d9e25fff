"""What can stand in the way of a capture, each with what the user can do about it."""


class Refusal(Exception):
    """Something that this kernel or machine does not allow: what, why, and the remedy, one line each."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(f"{what}: {why}. {remedy}")
        self.what, self.why, self.remedy = what, why, remedy
