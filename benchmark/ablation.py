"""What each ingredient of a fast recipe is worth: the recipe without each in turn, for the same minutes.

    python benchmark/ablation.py --minutes 4 --seeds 3 --data_dir /data
    python benchmark/ablation.py --recipes stare-fast --minutes 6 --folds all --data_dir /data/stare

Every variant trains on the same folds and seeds as the recipe itself, as benchmark/time_to_score.py does it, and is
kept in the same file; the table goes into --page. Averaging over positions is scored with the weights that are there.
Nothing is scored on images that a data set keeps for testing, with one exception: where all folds of a retina are
measured (--folds all), the mean of their networks is, on the published test part, which none of them has seen.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from typing import List, Optional, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmark.kit.results import Record, command, write_section  # noqa: E402
from benchmark.time_to_score import Lab, parser, wanted  # noqa: E402
from benchmark.timed import rescored  # noqa: E402
from benchmark.timed.ablation_page import ablation_page  # noqa: E402
from benchmark.timed.cells import BY_FOLDS, FIXED, FOLDS, NONE, Cell, Subject, cells, subject, varied  # noqa: E402
from benchmark.timed.ingredients import AVERAGED, ENSEMBLE, SINGLE, trained  # noqa: E402
from utils.errors import UserError  # noqa: E402

SECTION = "ablation"
RECIPES = ("sstem-fast", "stare-fast")


class AblationLab(Lab):
    """Measures variants, and writes their table."""

    def write(self) -> None:
        """Write the table of ingredients."""
        write_section(self.flags.page, SECTION, ablation_page(self.book.records()))


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure what is asked for and not there yet, and write the table."""
    found = parser(str(__doc__), RECIPES)
    found.set_defaults(folds=["0"], minutes=[4.0], points=0)
    flags = found.parse_args(arguments)
    return command(lambda: _ablate(flags))


def _ablate(flags: argparse.Namespace) -> List[str]:
    bases = [subject(name) for name in flags.recipes]
    _require_folds(bases, flags.folds)
    variants = [varied(base, part.variant, part.changes) for base in bases for part in trained(base)]
    lab = AblationLab(flags, [*bases, *variants])
    own = cells(bases, wanted(flags), lab.kinds)
    failures = lab.measure([*own, *cells(variants, wanted(flags), lab.kinds)])
    for cell in own:
        _average(lab, cell)
    for _, members in itertools.groupby(own, lambda cell: cell._replace(fold=None)):
        _ensemble(lab, list(members))
    return failures


def _require_folds(bases: Sequence[Subject], folds: Sequence[str]) -> None:
    """Make sure that nothing is chosen on images that are reported."""
    for base in bases:
        if base.dataset in FIXED or NONE in folds:
            raise UserError(f"{base.recipe}, --folds {' '.join(folds)}: scored on what the data set keeps for testing",
                            "folds inside the training part", "give --folds 0, and recipes whose data sets have folds")


def _average(lab: Lab, cell: Cell) -> None:
    """Score a trained cell with its predictions averaged."""
    record = lab.found(cell)
    for part in AVERAGED:
        averaged = cell._replace(variant=part.variant)
        if record is not None and not _scored(lab, averaged, [record]):
            lab.keep(averaged, rescored.evaluated(record, cell, lab.place(cell), part.variant, part.flags))


def _ensemble(lab: Lab, members: Sequence[Cell]) -> None:
    """Score the mean of all folds' networks where there are images that none of them has seen."""
    known = [record for record in map(lab.found, members) if record is not None]
    single, together = (members[0]._replace(fold=None, variant=variant) for variant in (SINGLE, ENSEMBLE.variant))
    if members[0].dataset in BY_FOLDS or len(known) < FOLDS or _scored(lab, together, known):
        return
    for cell, record in zip((single, together), rescored.of_folds(known, members, lab.place(members[0]))):
        lab.keep(cell, record)


def _scored(lab: Lab, cell: Cell, trained: Sequence[Record]) -> bool:
    """Whether a cell that is scored by networks of others is there, and by the networks that these have now.

    No two trainings take the same minutes. Records of before all of them were kept tell those of the first alone.
    """
    found, minutes = lab.found(cell), [record["minutes"] for record in trained]
    if found is None or lab.flags.again:
        return False
    return bool(found.get("trained", [found["minutes"], *minutes[1:]]) == minutes)


if __name__ == "__main__":
    sys.exit(main())
