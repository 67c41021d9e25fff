"""What a capture file cannot be read for."""


class CaptureFileError(Exception):
    """One sentence for the person who named the file: it is empty, no capture, or newer than this program."""


class KeyLogError(CaptureFileError):
    """The same of the key log beside it: it holds no secret."""
