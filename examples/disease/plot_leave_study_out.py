"""
Compare patients with controls of their own study
=================================================

**The scanner of a study shifts the gap of its patients and its controls alike, so only controls
of the same study tell what the disease does.** :func:`~mresklearn.evaluation.leave_study_out`
leaves the whole study out of training.
"""

# %%
# Four studies, one of which has patients, and a scanner that makes everybody look twelve years
# older. The patients look six years older still.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Ridge

from mresklearn import leave_study_out

rng = np.random.default_rng(0)
study = np.repeat(["Atlas", "Lifespan", "Aging", "Memory"], 50)
diagnosis = np.where((study == "Memory") & (np.arange(200) % 2 == 0), "AD", "CN")
age = rng.uniform(50, 85, 200)
looks = age + 6 * (diagnosis == "AD") + 12 * (study == "Memory")
features = looks[:, None] + rng.normal(0, 8, (200, 8))
result = leave_study_out(Ridge(), features, age, study=study, diagnosis=diagnosis)
(comparison,) = result.comparisons.itertuples()

elsewhere = result.out_of_fold
rows = result.predictions
gaps = {
    "controls of\nother studies": (elsewhere.prediction - elsewhere.y).to_numpy(),
    "controls of\nthis study": rows.gap[rows.diagnosis == "CN"].to_numpy(),
    "patients of\nthis study": rows.gap[rows.diagnosis == "AD"].to_numpy(),
}
figure, axis = plt.subplots(figsize=(6.4, 4), layout="constrained")
for column, gap in enumerate(gaps.values()):
    axis.scatter(column + rng.uniform(-0.15, 0.15, len(gap)), gap, s=12, alpha=0.6)
    axis.hlines(gap.mean(), column - 0.3, column + 0.3, color="black", linewidth=2)
axis.axhline(0, color="0.6", linewidth=1, zorder=0)
axis.set(xticks=range(3), xticklabels=list(gaps), ylabel="brain-age gap (years)")
axis.set_title(
    f"Patients - controls of their study: {comparison.difference:.1f} years "
    f"({comparison.low:.1f} to {comparison.high:.1f})"
)
plt.show()
