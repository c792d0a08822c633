"""The doctor: whether this machine can bring a stack up, and what earlier runs have left behind."""

from fullspan.doctor.check import Check, Level, exit_code
from fullspan.doctor.examination import Examination, examine
from fullspan.doctor.residue import Found, Residue, find_residue

__all__ = ["Check", "Examination", "Found", "Level", "Residue", "examine", "exit_code", "find_residue"]
