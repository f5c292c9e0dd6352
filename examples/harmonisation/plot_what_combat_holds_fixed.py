"""
Without age held fixed, ComBat takes ageing for the scanner
===========================================================

**Where an old and a young site differ, part of the difference is age.** ``target="ignore"``
removes it with the site effect; the default of :class:`~mresklearn.harmonization.ComBat` holds
it fixed in training and still needs no age of new people.
"""

# %%
# Twenty regions that soften with age, measured at a site of younger and a site of older people.
# The scanner of the second site reads higher by 0.3 kPa.
import matplotlib.pyplot as plt
import numpy as np

from mresklearn import ComBat

rng = np.random.default_rng(0)
site = np.repeat(["young site", "old site"], 60)
age = np.concatenate([rng.uniform(20, 60, 60), rng.uniform(45, 85, 60)])
truth = 3.2 - 0.01 * age[:, None] + rng.normal(0, 0.12, (120, 20))
measured = truth + 0.3 * (site == "old site")[:, None]

tables = {
    "measured": measured,
    'target="ignore"': ComBat(target="ignore").fit_transform(measured, age, site=site),
    'target="auto"': ComBat().fit_transform(measured, age, site=site),
}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", sharex=True, sharey=True)
for axis, (name, table) in zip(axes, tables.items(), strict=True):
    for label, marker in (("young site", "o"), ("old site", "^")):
        rows = site == label
        axis.scatter(age[rows], table[rows, 0], s=14, marker=marker, alpha=0.8, label=label)
    slope = np.polyfit(age, table.mean(axis=1), 1)[0]
    axis.set(title=f"{name}: {1000 * slope:.1f} Pa a year", xlabel="age (years)")
axes[0].set_ylabel("stiffness of one region (kPa)")
axes[0].legend(loc="upper right")
figure.suptitle("Softening with age; the truth is -10 Pa a year")
plt.show()
