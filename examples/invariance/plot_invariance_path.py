"""
Choose the weight of a penalty by sites left out
================================================

**Error at new sites against what is left of the site, weight by weight.** The ringed setting is
the largest weight within one standard error of the best:
:func:`~mresklearn.evaluation.invariance_path` never looks at the test site.
"""

# %%
# Four sites; a perceptron on regional values, with conditional MMD of rising weight.
import numpy as np

from mresklearn import ContrastiveEncoder, DomainInvariantRegressor, invariance_path

rng = np.random.default_rng(0)
site = np.repeat(list("ABCD"), 30)
age = rng.uniform(20, 80, 120)
regions = rng.normal(size=(120, 12)) + age[:, None] / 20
regions[:, :4] += rng.normal(0, 1.5, (4, 4))[np.repeat(np.arange(4), 30)]

encoder = ContrastiveEncoder(loss="l1", max_epochs=8, random_state=0)
model = DomainInvariantRegressor(projection=None, encoder=encoder)
path = invariance_path(model, regions, age, site=site, values=(0, 0.1, 0.3, 1))
figure = path.plot()

# %%
path.table.round(2)
