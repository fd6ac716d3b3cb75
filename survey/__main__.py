"""Captures every architecture of the survey, and writes the page that compares them with their definitions.

python -m survey                       what has no row yet
python -m survey --only 'timm/.*vit'   these anew, beside the others
python -m survey --page                the page only, from the rows there are
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from survey.measure import Row
from survey.members import MEMBERS
from survey.page import write_page
from survey.run import Survey

_ROOT = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; return 0."""
    parser = argparse.ArgumentParser(
        prog="python -m survey", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="REGEX", help="measure these anew: library/family/model")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    options = parser.parse_args(arguments)
    if not options.page:
        Survey(MEMBERS, _ROOT / "results" / "architectures.csv").run(options.only, _tell)
    print(write_page(_ROOT))
    return 0


def _tell(row: Row) -> None:
    seconds = row["capture_seconds"]
    took = "" if seconds is None else f" {seconds:.1f} s"
    print(f"{row['library']} {row['model']}: {row['verdict']}{took}. {row['reason'] or ''}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
