"""What looks like a table of pyarrow, which the tests do without."""

import numpy as np
import pandas as pd


class Table:
    """The parts of a pyarrow Table that tell it from a DataFrame."""

    def __init__(self, values, names):
        self.columns, self.column_names = list(values.T), list(names)
        self.shape = values.shape
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self._values, dtype=dtype)

    def to_pandas(self):
        return pd.DataFrame(self._values, columns=self.column_names)


Table.__module__ = "pyarrow.lib"
