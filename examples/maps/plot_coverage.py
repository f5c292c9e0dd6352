"""
Look at coverage before comparing voxels
========================================

**Studies cover the brain unequally, so a voxel that one study lacks tells the study.** Regional
means over what is there, with :class:`~mresklearn.maps.RegionAverager`, ask less of the edges.
"""

# %%
# Simulated studies crop the brain at the bottom and at the top, each in its own way.
import matplotlib.pyplot as plt
import numpy as np

from mresklearn import MapLoader, RegionAverager, make_mre_cohort

cohort = make_mre_cohort(n_subjects=45, n_sites=3, maps=["stiffness"], voxel_size=8, random_state=1)
site = cohort.participants.site.to_numpy()
maps = MapLoader(voxel_size=8).fit_transform(cohort.maps)
inside = np.asarray(maps)[:, 0] != 0  # background is exactly zero

figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained", sharey=True)
middle = inside.shape[1] // 2
for axis, name in zip(axes, np.unique(site), strict=True):
    share = inside[site == name].mean(axis=0)[middle]
    image = axis.imshow(
        np.ma.masked_equal(share, 0).T, origin="lower", cmap="cividis", vmin=0, vmax=1
    )
    axis.set_title(name)
    axis.set_axis_off()
figure.colorbar(image, ax=axes, shrink=0.8, label="share of people with brain here")
figure.suptitle("The lower and the upper end of the brain are missing, study by study")
plt.show()

# %%
# The averager says which regions too few people have, and leaves regions with too little brain
# empty in a person, instead of filling them with zeros:
names = dict(enumerate(cohort.region_names, start=1))
regions = RegionAverager(labels=cohort.regions, names=names, missing="nan")
table = regions.set_output(transform="pandas").fit_transform(maps)
missing = table.isna().groupby(site).mean().T
missing[missing.any(axis=1)].round(2)
