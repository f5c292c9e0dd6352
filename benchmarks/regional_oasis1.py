"""Which regions follow age and which tell dementia, by one brain-age model per region on OASIS-1.

T1 at 4 mm. Ridge regression on the voxels of each region, for healthy people of all ages in five
folds of whole persons; people with dementia are predicted by the models of every fold, averaged.
`regional_report` then compares them with healthy people of their age and sex, from 60 on.

    MRESKLEARN_DATA=/path/to/data python benchmarks/regional_oasis1.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from _results import store
from diagnosis_oasis1 import FROM_AGE, STRUCTURES, labels, people
from tqdm import tqdm

from mresklearn import RegionalBrainAge, StratifiedSiteKFold, regional_report

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "regional_oasis1.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    maps, table = people()
    age, subject = table.age.to_numpy(float), table.subject.to_numpy()
    healthy = np.flatnonzero(table.dx == "CN")
    sick = np.flatnonzero(table.dx != "CN")
    predicted = np.zeros((len(table), len(STRUCTURES)))
    folds = StratifiedSiteKFold(5, random_state=options.seed)
    frame = table.iloc[healthy].assign(site="OASIS-1")
    parts = list(folds.split(frame, age[healthy], subject[healthy]))
    for train, test in tqdm(parts, desc="folds"):
        model = RegionalBrainAge(labels=labels(), regions=STRUCTURES)
        model.fit(maps[healthy[train]], age[healthy[train]])
        predicted[healthy[test]] = model.predict(maps[healthy[test]])
        predicted[sick] += model.predict(maps[sick]) / len(parts)
    old = np.flatnonzero(age >= FROM_AGE)
    report = regional_report(
        predicted[old], age[old],
        diagnosis=np.where(table.dx.iloc[old] == "CN", "CN", "dementia"),
        sex=table.sex.to_numpy()[old], groups=subject[old],
        region_names=list(model.region_names_), labels=labels(), regions=STRUCTURES,
        random_state=options.seed,
    )  # fmt: skip
    print(report.table.to_string(float_format="{:.2f}".format))
    report.plot().savefig(PICTURE, dpi=110, bbox_inches="tight")
    store(
        "regional_oasis1",
        {"people": report.n_people, "table": report.table.to_dict("index")},
        seed=options.seed,
        settings=vars(options),
    )


if __name__ == "__main__":
    main()
