"""``latelite doctor``: check this machine."""

from __future__ import annotations

import argparse

from latelite.commands.console import EPILOG, FAILED, OK, Commands, common, print_report, table


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "doctor", parents=[common()], help="check this machine, and give advice", epilog=EPILOG
    )
    command.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from latelite import doctor

    facts = doctor.facts()
    findings = doctor.findings(facts)
    report = {"facts": facts, "findings": [{"level": f.level, "text": f.text} for f in findings]}
    print_report(options, report, "\n".join([table(facts), "", *(f"{f.level:>7}: {f.text}" for f in findings)]))
    return FAILED if any(finding.level == "problem" for finding in findings) else OK
