"""What a run's trace means: findings, each from one rule, and the one-word verdict above them."""

from .finding import Finding, Rule, Severity, Word
from .verdict import RULES, Verdict, verdict

__all__ = ["RULES", "Finding", "Rule", "Severity", "Verdict", "Word", "verdict"]
