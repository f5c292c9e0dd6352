"""
People of similar age lie together
==================================

**A contrastive loss orders the embedding by age, so that a straight line reads it.** The first
two principal components of people whom the network never saw, before and after training.
"""

# %%
# Simulated stiffness of 80 people; three quarters of them train a small network.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from mresklearn import ContrastiveEncoder, MapLoader, MapScaler, make_mre_cohort

cohort = make_mre_cohort(
    n_subjects=80, n_sites=2, maps=["stiffness"], voxel_size=8, site_effect=0, random_state=0
)
age = cohort.participants.age.to_numpy()
maps = MapLoader(voxel_size=8).fit_transform(cohort.maps)
train, test = train_test_split(np.arange(80), test_size=0.4, random_state=0)

figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.8), layout="constrained")
for axis, epochs, name in zip(
    axes, (1, 16), ("after one epoch", "after sixteen epochs"), strict=True
):
    encoder = ContrastiveEncoder(sigma=10, width=8, max_epochs=epochs, random_state=0)
    model = make_pipeline(MapScaler(), encoder).fit(maps[train], age[train])
    plane = PCA(2).fit(model.transform(maps[train])).transform(model.transform(maps[test]))
    points = axis.scatter(*plane.T, c=age[test], cmap="viridis", s=36, edgecolor="white")
    axis.set(title=name, xlabel="first component", ylabel="second component")
figure.colorbar(points, ax=axes, label="age (years)")
figure.suptitle("Embedding of people that the network never saw")
plt.show()
