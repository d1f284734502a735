"""Prints the expected numbers of src/scores/tests.rs, computed by scikit-learn and NumPy.

    pip install numpy scikit-learn && python3 scores.py
"""

import numpy as np
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

# Rows: the target's class; columns: the predicted one. Class 3 is never predicted, class 4 in no target.
confusion = np.array([
    [900, 60, 30, 0, 10],
    [80, 700, 20, 0, 0],
    [50, 40, 110, 0, 0],
    [7, 0, 3, 0, 0],
    [0, 0, 0, 0, 0],
])
target = np.concatenate([np.repeat(row, counts.sum()) for row, counts in enumerate(confusion)])
predicted = np.concatenate([np.repeat(np.arange(5), counts) for counts in confusion])
for name, score in [("iou", jaccard_score), ("dice", f1_score), ("precision", precision_score), ("recall", recall_score)]:
    print(name, score(target, predicted, labels=range(5), average=None, zero_division=0).tolist())
print("accuracy", (target == predicted).mean())

# Confidences and hits, sorted into ten bins of equal width as Guo et al. do; the error from single pixels.
generator = np.random.default_rng(0)
confidence = generator.uniform(0.3, 1.0, 1000).round(3)
correct = generator.uniform(0, 1, 1000) < confidence ** 2
bins = np.minimum((confidence * 10).astype(int), 9)
error = sum(
    (bins == b).mean() * abs(correct[bins == b].mean() - confidence[bins == b].mean()) for b in np.unique(bins)
)
for b in range(10):
    of = bins == b
    print("bin", b, round(float(confidence[of].sum()), 6), int(correct[of].sum()), int(of.sum()))
print("calibration error", error)
