"""
Dynamic localised repulsion
===========================

**Early in training everybody repels an anchor, later only its neighbours in the embedding.**
That is ``loss="dynamic"`` of :class:`~mresklearn.estimators.ContrastiveEncoder`, after Träuble
et al. (2024); :func:`~mresklearn.nn.neighbour_count` is the schedule.
"""

# %%
# A batch of 32 people on the unit circle, and who repels one of them in the first epoch,
# half-way, and in the last of fifty.
import matplotlib.pyplot as plt
import numpy as np

from mresklearn.nn import neighbour_count

rng = np.random.default_rng(5)
angle = rng.uniform(0, 2 * np.pi, 32)
points = np.column_stack([np.cos(angle), np.sin(angle)])
similarity = points @ points[0]

figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
for axis, epoch in zip(axes, (1, 25, 50), strict=True):
    count = neighbour_count(epoch, max_epochs=50, batch_size=32, end=8)
    nearest = np.argsort(-similarity)[1 : count + 1]
    others = np.setdiff1d(np.arange(1, 32), nearest)
    axis.scatter(*points[others].T, facecolor="none", edgecolor="C0", label="no repulsion")
    axis.scatter(*points[nearest].T, color="C0", label="repels the anchor")
    axis.scatter(*points[0], color="C1", marker="*", s=240, zorder=3, label="anchor")
    axis.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.85", zorder=0))
    axis.set(title=f"epoch {epoch}: {count} repel", aspect="equal")
    axis.set(xlim=(-1.3, 1.3), ylim=(-1.2, 1.2))
    axis.set_axis_off()
figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()
