"""The checks of scikit-learn that an estimator of ours cannot pass, each with its reason."""

_ROWS_ARE_DRAWN = (
    "a row of weight 2 and a row that is there twice are drawn differently into batches, dropout "
    "masks and held-out rows; full batches without dropout pass"
)

_WHERE_ROWS_ARE_DRAWN = {
    "check_sample_weight_equivalence_on_dense_data": _ROWS_ARE_DRAWN,
    "check_sample_weight_equivalence_on_sparse_data": _ROWS_ARE_DRAWN,
}


def expected_failures(estimator):
    """Return the name and reason of each check that the estimator is expected to fail."""
    parameters = estimator.get_params()
    draws_rows = parameters.get("dropout", 0) > 0 or parameters.get("early_stopping", False)
    return _WHERE_ROWS_ARE_DRAWN if draws_rows else {}
