"""
Which region a model cannot do without
======================================

**Importance with an interval over people, so that a small difference between regions is not
read as one.** :func:`~mresklearn.inspection.region_importance` measures the rise of the error
when a region is replaced by the mean of other people.
"""

# %%
# The same kind of model as for an occlusion map, asked region by region.
import matplotlib.pyplot as plt
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from mresklearn import MapLoader, MapMasker, MapScaler, make_mre_cohort, region_importance

cohort = make_mre_cohort(
    n_subjects=100, n_sites=1, maps=["stiffness"], voxel_size=8, random_state=0
)
age = cohort.participants.age.to_numpy()
maps = MapLoader(voxel_size=8).fit_transform(cohort.maps)
model = make_pipeline(MapScaler(), MapMasker(), PCA(20, random_state=0), Ridge())
model.fit(maps[:50], age[:50])

names = dict(enumerate(cohort.region_names, start=1))
table = region_importance(
    model, maps[50:], age[50:], regions=cohort.regions, region_names=names, n_resamples=500
)
table = table.iloc[::-1].assign(row=range(len(table)))

figure, axis = plt.subplots(figsize=(7, 4.8), layout="constrained")
clear = table.p_adjusted < 0.05
for rows, color, label in ((clear, "C0", "adjusted p < 0.05"), (~clear, "0.55", "not told from 0")):
    part = table[rows]
    error = [part.importance - part.ci_low, part.ci_high - part.importance]
    axis.errorbar(part.importance, part.row, xerr=error, fmt="o", color=color, label=label)
axis.axvline(0, color="0.3", linewidth=1)
axis.set(yticks=table.row, yticklabels=table.index.str.replace("_", " "))
axis.set(xlabel="rise of the error without the region (years)")
axis.set_title("White matter is the largest region, and the one most missed")
axis.legend(loc="center right")
plt.show()
