"""
Where a model looks
===================

**Replace a cube of the brain by the mean of other people, and see how far the predicted age
moves.** :func:`~mresklearn.inspection.occlusion_map` needs nothing of the model but
``predict``.
"""

# %%
# Simulated stiffness at 8 mm, principal components and ridge regression; people that the model
# did not see are occluded.
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from mresklearn import MapLoader, MapMasker, MapScaler, make_mre_cohort, occlusion_map

cohort = make_mre_cohort(n_subjects=80, n_sites=2, maps=["stiffness"], voxel_size=8, random_state=0)
age = cohort.participants.age.to_numpy()
maps = MapLoader(voxel_size=8).fit_transform(cohort.maps)
model = make_pipeline(MapScaler(), MapMasker(), PCA(20, random_state=0), Ridge())
model.fit(maps[:50], age[:50])

effect = occlusion_map(model, maps[50:], size=3, score="absolute_change")
figure = effect.plot(title="Predicted age, in years")

# %%
# The cubes that move the prediction most; their centres in mm.
effect.patches.nlargest(3, "mean")[["x", "y", "z", "mean", "standard_error"]].round(1)
