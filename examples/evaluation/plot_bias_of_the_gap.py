"""
The gap depends on age until its bias is taken out
==================================================

**Every predictor with errors makes the young older and the old younger.** A line, fitted to
out-of-fold predictions for controls, takes that out; corrected ages are for looking at gaps and
refuse to be scored.
"""

# %%
# Ridge regression on noisy features; people are predicted by models that did not see them.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import KFold

from mresklearn.metrics import BrainAgeBiasCorrector

rng = np.random.default_rng(0)
age = rng.uniform(20, 80, 200)
features = age[:, None] + rng.normal(0, 30, (200, 6))
predicted, fold = np.empty(200), np.empty(200)
for number, (train, test) in enumerate(KFold(5, shuffle=True, random_state=0).split(features)):
    predicted[test] = Ridge().fit(features[train], age[train]).predict(features[test])
    fold[test] = number

corrector = BrainAgeBiasCorrector(method="de_lange").fit(predicted, age, fold=fold)
corrected = corrector.transform(predicted, age)

figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained", sharey=True)
for axis, gap, name in zip(
    axes, (predicted - age, corrected.years - age), ("as predicted", "corrected"), strict=True
):
    axis.scatter(age, gap, s=14, alpha=0.7)
    axis.axhline(0, color="0.3", linewidth=1)
    line = np.polyfit(age, gap, 1)
    axis.plot([20, 80], np.polyval(line, [20, 80]), color="C1", linewidth=2)
    axis.set(xlabel="age (years)", title=f"{name}: {line[0]:+.2f} years of gap per year")
axes[0].set_ylabel("brain-age gap (years)")
plt.show()

# %%
# Errors of corrected ages would look good for any model, even a useless one, so that asking for
# them is refused:
try:
    mean_absolute_error(age, corrected)
except Exception as error:
    print(error)
