"""
Known sites and new sites are two questions
===========================================

**Folds that hold people of every site say nothing of a site that is new.**
:func:`~mresklearn.model_selection.cross_validate_sites` answers both, with the same rows and
models.
"""

# %%
# Damping ratio differs between scanners far more than stiffness does, in published maps and so
# in simulated ones.
import matplotlib.pyplot as plt
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import MapLoader, RegionAverager, cross_validate_sites, make_mre_cohort

cohort = make_mre_cohort(n_subjects=80, n_sites=5, voxel_size=8, site_effect=2, random_state=1)
people = cohort.participants
maps = MapLoader(voxel_size=8).fit_transform(cohort.maps)
regions = RegionAverager(labels=cohort.regions).fit_transform(maps)
model = make_pipeline(StandardScaler(), RidgeCV(alphas=[0.1, 1, 10, 100]))
results = cross_validate_sites(model, regions, people.age, site=people.site, n_repeats=3)

table = results.sites.mae.unstack(0)
figure, axis = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for row, (known, new) in enumerate(zip(table.within_site, table.leave_one_site_out, strict=True)):
    axis.plot([known, new], [row, row], color="0.7", zorder=0)
axis.scatter(table.within_site, range(5), label="site known from training", s=40)
axis.scatter(
    table.leave_one_site_out, range(5), marker="D", label="site left out of training", s=40
)
axis.set(yticks=range(5), yticklabels=table.index, xlabel="mean absolute error (years)")
change = (table.leave_one_site_out - table.within_site).sort_values()
axis.set_title(f"{change.index[-1]} is {change.iloc[-1]:.1f} years worse when it is new")
figure.legend(loc="outside lower center", ncols=2)
plt.show()

# %%
results.summary.round(2)
