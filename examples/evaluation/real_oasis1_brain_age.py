"""
Real maps: brain age from T1 over the adult life
================================================

**Principal components and ridge regression read age from T1 maps of healthy people, and pull
the oldest towards the middle.** OASIS-1 at 8 mm. This example needs real data.
"""

# %%
# The folder is found through the environment variable ``MRESKLEARN_DATA``. People with two
# sessions stay in one fold.
import os
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from mresklearn import MapLoader, MapMasker, MapScaler, brain_age_scores, load_cohort

folder = Path(os.environ["MRESKLEARN_DATA"]) / "oasis1_t1_4mm"
cohort = load_cohort(
    folder / "participants.csv",
    maps={"t1": "t1/{participant_id}_T1w.nii.gz"},
    participant_id="ID",
    columns={"age": "Age", "sex": "M/F"},
)
healthy = cohort.participants["dx"] == "CN"
people, files = cohort.participants[healthy], cohort.maps[healthy]
maps = MapLoader(voxel_size=8).fit_transform(files)
model = make_pipeline(
    MapScaler(), MapMasker(), PCA(40, random_state=0), RidgeCV([1, 10, 100, 1000])
)
folds = GroupKFold(5, shuffle=True, random_state=0)
predicted = cross_val_predict(model, maps, people.age, cv=folds, groups=people.subject)
scores = brain_age_scores(people.age, predicted)

figure, axis = plt.subplots(figsize=(4.8, 4.8), layout="constrained")
axis.plot([15, 100], [15, 100], color="0.6", linewidth=1)
axis.scatter(people.age, predicted, s=12, alpha=0.7)
axis.set(xlabel="true age (years)", ylabel="predicted age (years)", aspect="equal")
axis.set_title(f"OASIS-1, {len(people)} scans: MAE {scores.mae:.1f} years")
plt.show()
