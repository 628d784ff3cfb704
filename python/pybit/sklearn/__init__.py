# SPDX-License-Identifier: Apache-2.0
"""BiT in scikit-learn: images to features, and classifiers of images.

    from pybit.sklearn import BitClassifier, BitFeatures

    model = make_pipeline(BitFeatures("BiT-M-R50x1", cache="features/"), LogisticRegression())
    model.fit(paths, labels)

Needs scikit-learn, which `import pybit` does not import.
"""

try:
    import sklearn as _sklearn  # noqa: F401
    from sklearn.utils.validation import validate_data as _validate_data  # noqa: F401
except ImportError as e:
    raise ImportError(
        "pybit.sklearn needs scikit-learn 1.6 or newer: pip install scikit-learn, or 'big-transfer[sklearn]'"
    ) from e

from pybit.sklearn.classifier import BitClassifier
from pybit.sklearn.features import BitFeatures

__all__ = ["BitClassifier", "BitFeatures"]
