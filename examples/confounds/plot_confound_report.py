"""
All confounds in one report
===========================

**One call says what goes with age, what moves the images, and what a model carries of it.** The
figure of a :class:`~mresklearn.confounds.ConfoundReport` is read from left to right; its advice
is prose.
"""

# %%
# Sites differ in age and in their scanners, so that site is a confounder by construction.
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from mresklearn import MapLoader, RegionAverager, cross_validate_sites, make_mre_cohort
from mresklearn.confounds import ConfoundReport

cohort = make_mre_cohort(
    n_subjects=72, n_sites=6, voxel_size=8, site_age_correlation=0.5, random_state=0
)
people = cohort.participants[["age", "sex", "site"]]
maps = MapLoader(voxel_size=8).fit_transform(cohort.maps)
features = RegionAverager(labels=cohort.regions).fit_transform(maps)
results = cross_validate_sites(make_pipeline(Ridge()), features, people.age, site=people.site)

report = ConfoundReport(roles={"sex": "biological"}, n_permutations=99, random_state=0)
report.fit(people, features, prediction=results)
figure = report.plot()

# %%
# What to do about it, in words:
print(report.summary())
