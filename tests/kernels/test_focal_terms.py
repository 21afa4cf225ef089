"""Powers of focal terms."""

import pytest
import torch

from sklearn_mlce._kernels.focal_terms import _power_


@pytest.mark.parametrize("exponent", [0, 0.5, 1, 2, 3, 4, 5.0, 8])
def test_powers_are_written_in_place(exponent):
    base = torch.tensor([0.0, 0.25, 0.5, 1.0, 3.0], dtype=torch.float64)
    expected = torch.tensor([value**exponent for value in base.tolist()], dtype=torch.float64)
    found = _power_(base, exponent)
    torch.testing.assert_close(found, expected)
    assert found.data_ptr() == base.data_ptr()
