"""The fold of a run's log records: everything that a report, a rule or an export can know of a run."""

from .connection import ConnectionTrace, Settings
from .losses import GapTotal, Losses
from .process import ProcessRun
from .proof import Proof, ProofSide
from .trace import Trace
from .windows import Grants, Window

__all__ = [
    "ConnectionTrace",
    "GapTotal",
    "Grants",
    "Losses",
    "ProcessRun",
    "Proof",
    "ProofSide",
    "Settings",
    "Trace",
    "Window",
]
