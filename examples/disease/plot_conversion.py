"""
Who converts, by the gap at the first visit
===========================================

**Curves of conversion say what a hazard ratio does not: how many, when, and how few are left at
the end.** :func:`~mresklearn.progression.conversion_curves` draws them with the numbers at
risk.
"""

# %%
# 150 people with mild impairment; ten years of gap double the hazard, and the study ends after
# six years.
import numpy as np
import pandas as pd

from mresklearn.progression import conversion_curves, conversion_model

rng = np.random.default_rng(0)
gap = rng.normal(0, 8, 150).round()
time = rng.exponential(9 / 2 ** (gap / 10))
end = rng.uniform(2, 6, 150)
people = pd.DataFrame({"gap": gap, "duration": np.minimum(time, end), "event": time <= end})
figure = conversion_curves(people, by="gap").plot()
figure.axes[0].set(
    xlabel="years since the first visit", title="By the gap (years) at the first visit"
)

# %%
# A Cox model of the same people, with a concordance that allows for having been fitted to them:
model = conversion_model(people, features=["gap"], n_resamples=100, random_state=0)
model.table.round(3)
