"""The lines of a frame log as JSON Schema (draft 2020-12), made out of the records themselves.

``schema.json`` beside this file is what ``scripts/schema`` writes; a test makes it anew and expects no difference.
"""

from pathlib import Path
from typing import Any

import msgspec

from goproxy_ebpf.records.log import SCHEMA, LogRecord

PATH = Path(__file__).with_name("schema.json")


def rendered() -> bytes:
    """The schema of one line, as the file has it."""
    schema: dict[str, Any] = msgspec.json.schema(LogRecord)
    header = schema["$defs"]["Header"]
    # The default is written in any case (``lines``), and readers may rely on it.
    header["properties"]["schema"] = {"const": SCHEMA}
    header["required"] = ["kind", "schema", *(name for name in header["required"] if name != "kind")]
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"One line of a frame log, {SCHEMA}",
        "description": "A frame log is a file of such lines, in time order: a header first, a summary last. "
        "Fields that a line leaves out have their defaults. Kinds and fields may be added without a new number.",
        **schema,
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"
