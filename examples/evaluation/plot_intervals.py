"""
Intervals that say what they rest on
====================================

**An interval for a known site is made from errors at that site; one for a new site from sites
left out, and it is wider.** :class:`~mresklearn.intervals.SiteConformalRegressor` wraps any
regressor.
"""

# %%
# Twelve sites train and calibrate; people of the thirteenth are predicted as people of a new
# site.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Ridge

from mresklearn.intervals import SiteConformalRegressor

rng = np.random.default_rng(4)
site = np.repeat([f"site-{number:02}" for number in range(13)], 24)
age = rng.uniform(20, 80, len(site))
shift = rng.normal(0, 5, 13)[np.repeat(np.arange(13), 24)]
features = (age + shift)[:, None] + rng.normal(0, 14, (len(site), 8))

known = site != "site-12"
train = known & (np.arange(len(site)) % 4 > 0)
model = SiteConformalRegressor(estimator=Ridge(), coverage=0.9, random_state=0)
model.fit(features[train], age[train], site=site[train])

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
for axis, rows, name in zip(
    axes, (known & ~train, ~known), ("known sites", "a new site"), strict=True
):
    rows = np.flatnonzero(rows)[:24]
    rows = rows[np.argsort(age[rows])]
    predicted, ends = model.predict(features[rows], return_interval=True, site=site[rows])
    low, high = ends.lower.to_numpy(), ends.upper.to_numpy()
    inside = (age[rows] >= low) & (age[rows] <= high)
    axis.errorbar(np.arange(24), predicted, [predicted - low, high - predicted], fmt="o", ms=4)
    axis.scatter(np.arange(24), age[rows], color="C1", marker="_", s=80, zorder=3)
    axis.set(title=f"{name}: {high.mean() - low.mean():.0f} years wide, {inside.sum()} of 24 hold")
    axis.set(xlabel="people, by age", xticks=[])
axes[0].set_ylabel("age (years): predicted with interval; true (-)")
plt.show()

# %%
print(model.summary())
