"""
What harmonisation took, and what it left
=========================================

**Count the signal that stayed beside the site effect that went.**
:func:`~mresklearn.confounds.harmonization_report` compares tables of features on people whom
the harmoniser never saw.
"""

# %%
# Regional stiffness and damping ratio of simulated people at four sites, as measured, with
# ComBat, and with the directions of the sites' shifts projected out.
from mresklearn import ComBat, MapLoader, RegionAverager, SiteProjector, make_mre_cohort
from mresklearn.confounds import harmonization_report

cohort = make_mre_cohort(n_subjects=80, n_sites=4, voxel_size=8, random_state=0)
people = cohort.participants[["age", "sex", "site"]]
maps = MapLoader(voxel_size=8).fit_transform(cohort.maps)
regions = RegionAverager(labels=cohort.regions).fit_transform(maps)

report = harmonization_report(
    people,
    {"measured": regions, "ComBat": ComBat(), "projected": SiteProjector()},
    roles={"sex": "biological"},
    n_permutations=99,
    random_state=0,
)
figure = report.plot()

# %%
print(report.summary())
