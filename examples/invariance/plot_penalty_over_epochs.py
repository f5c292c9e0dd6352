"""
Watch what an embedding tells of the site
=========================================

**A penalty that works shows in the history of the fit: the site probe falls towards what age
alone tells.** One that does not work says so.
:class:`~mresklearn.estimators.DomainInvariantRegressor` keeps both, epoch by epoch.
"""

# %%
# Regional values of four sites, one of which shifts a third of the regions.
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mresklearn import ContrastiveEncoder, DomainInvariantRegressor

rng = np.random.default_rng(0)
site = np.repeat(["A", "B", "C", "D"], 40)
age = rng.uniform(20, 80, 160)
regions = rng.normal(size=(160, 12)) + age[:, None] / 20
regions[:, :4] += rng.normal(0, 2, (4, 4))[np.repeat(np.arange(4), 40)]

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
for axis, weight in zip(axes, (0.001, 3), strict=True):
    encoder = ContrastiveEncoder(loss="l1", balance="site", max_epochs=30, random_state=0)
    model = DomainInvariantRegressor(penalty_weight=weight, projection=None, encoder=encoder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(regions, age, site=site)
    for warning in caught:
        print(f"{warning.category.__name__}: {warning.message}")
    history = pd.DataFrame(model.history_).set_index("epoch")
    axis.plot(history.site_probe, label="site, read from the embedding")
    axis.plot(history.site_floor, color="C1", linestyle="--", label="site, from age alone")
    axis.set(xlabel="epoch", ylim=(0, 1), title=f"penalty_weight={weight}")
axes[0].set_ylabel("balanced accuracy of the site")
axes[0].legend(loc="lower left")
plt.show()
