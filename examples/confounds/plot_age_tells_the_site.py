"""
Read a site probe against age, not against guessing
===================================================

**Where sites differ in age, even features without any site effect tell the site.** So "site is
read better than by chance" is no sign of a scanner; the excess over what age alone says is.
"""

# %%
# Ten features that follow age, and nothing else, from four sites whose mean ages drift apart.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mresklearn import site_predictability

site = np.repeat(["A", "B", "C", "D"], 60)
centre = pd.Series({"A": -1.0, "B": -0.3, "C": 0.3, "D": 1.0}).loc[site].to_numpy()
rows = {}
for years in (0, 5, 10, 15, 20):  # half the distance of the oldest from the youngest site
    rng = np.random.default_rng(years)
    age = 50 + years * centre + rng.normal(0, 8, 240)
    features = age[:, None] + rng.normal(0, 5, (240, 10))
    rows[2 * years] = site_predictability(features, site, age=age)
table = pd.DataFrame(rows).T

figure, axis = plt.subplots(figsize=(6.4, 4), layout="constrained")
axis.plot(table.index, table.balanced_accuracy, marker="o", label="from the features")
axis.plot(table.index, table.age_floor, marker="s", label="from age alone (the floor)")
axis.axhline(0.25, color="0.4", linestyle=":", label="by guessing")
axis.set(xlabel="years between the youngest and the oldest site", ylim=(0, 1))
axis.set(
    ylabel="balanced accuracy of the site", title="No site effect at all, and yet the site is told"
)
axis.legend()
plt.show()
