"""
Which regions follow age, and which tell patients from controls
===============================================================

**The region that reads age best need not be the one that disease changes.**
:func:`~mresklearn.evaluation.regional_report` puts both beside each other.
"""

# %%
# One brain age per region of simulated stiffness maps, by ridge regression on the region's
# voxels. Each person is predicted by models of other people, trained on controls alone.
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from mresklearn import MapLoader, MapMasker, RegionalBrainAge, make_mre_cohort, regional_report

cohort = make_mre_cohort(
    n_subjects=90, n_sites=1, maps=["stiffness"], voxel_size=8, age_range=(50, 90),
    diagnoses={"AD": 0.3}, disease_effect=2, random_state=0,
)  # fmt: skip
people = cohort.participants
maps = MapLoader(voxel_size=8).fit_transform(cohort.maps)
names = dict(enumerate(cohort.region_names, start=1))
chosen = ["cortex_frontal", "cortex_temporal", "hippocampus", "thalamus", "putamen"]
model = RegionalBrainAge(
    estimator=make_pipeline(MapMasker(), Ridge(alpha=10)),
    labels=cohort.regions, names=names, regions=chosen,
)  # fmt: skip
predicted = np.empty((len(people), len(chosen)))
for train, test in KFold(3, shuffle=True, random_state=0).split(predicted):
    controls = train[people.diagnosis.iloc[train] == "CN"]
    predicted[test] = model.fit(maps[controls], people.age.iloc[controls]).predict(maps[test])

report = regional_report(
    predicted, people.age, diagnosis=people.diagnosis, sex=people.sex, n_resamples=300,
    labels=cohort.regions, names=names, regions=chosen, region_names=chosen,
)  # fmt: skip
figure = report.plot()
