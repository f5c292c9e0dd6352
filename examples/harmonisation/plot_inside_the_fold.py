"""
Harmonise inside the fold
=========================

**A harmoniser that was fitted to the very people who are tested hides the site from every
check.** The site is then read *less* well than age alone reads it, which no honest procedure
does.
"""

# %%
# The same new people of four sites with ComBat fitted to other people of these sites, as in a
# cross-validation, and with ComBat fitted to themselves.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mresklearn import ComBat, site_predictability

rng = np.random.default_rng(1)
site = np.repeat(["A", "B", "C", "D"], 60)
age = rng.uniform(20, 80, 240)
scanner = pd.DataFrame(rng.normal(0, 1, (4, 15)), index=list("ABCD")).loc[site].to_numpy()
features = -0.03 * age[:, None] + scanner + rng.normal(0, 1, (240, 15))
old, new = np.arange(0, 240, 2), np.arange(1, 240, 2)

honest = ComBat().fit(features[old], age[old], site=site[old])
tables = {
    "not harmonised": features[new],
    "ComBat fitted to others": honest.transform(features[new], site=site[new]),
    "ComBat fitted to the same (a leak)": ComBat().fit_transform(
        features[new], age[new], site=site[new]
    ),
}
probes = {name: site_predictability(x, site[new], age=age[new]) for name, x in tables.items()}
probes = pd.DataFrame(probes).T.iloc[::-1]

figure, axis = plt.subplots(figsize=(7.4, 2.8), layout="constrained")
axis.barh(probes.index, probes.balanced_accuracy)
axis.axvline(probes.age_floor.iloc[0], color="C1", label="from age alone")
axis.set(xlim=(0, 1), xlabel="balanced accuracy of the site", title="What is left of the site")
axis.legend(loc="lower right")
plt.show()
