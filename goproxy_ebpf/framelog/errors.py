"""What a frame log, or a line of it, cannot be read for."""


class FrameLogError(Exception):
    """One sentence: the file is empty, no frame log, or newer than this program; the line is no line of a frame log."""


class NewerSchemaError(FrameLogError):
    """The header names a schema that this program does not know."""


class UnknownKindError(FrameLogError):
    """The line is one of a kind that this program does not know."""


class DerivedKindError(FrameLogError):
    """The line is a conclusion that an export adds (a fetch, a finding): drawn anew from the other lines, not read."""
