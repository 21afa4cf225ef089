"""The benchmarks read the public sets and make features as their README says."""

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks import datasets
from benchmarks.__main__ import main


def write_set(path, **features):
    np.savez(
        path,
        Y_indices=np.array([0, 1, 1], np.int32),
        Y_indptr=np.array([0, 1, 2, 3, 3]),
        Y_shape=np.array([4, 2]),
        train_index=np.array([0, 1]),
        val_index=np.array([2]),
        test_index=np.array([3]),
        **features,
    )


def test_validation_rows_train_and_statistics_come_from_them_alone(tmp_path, monkeypatch):
    X = np.array([[0.0, 1.0], [2.0, np.nan], [4.0, 3.0], [100.0, np.nan]], np.float32)
    write_set(tmp_path / "dense.npz", X=X)
    monkeypatch.setenv("SKLEARN_MLCE_DATA", str(tmp_path))
    dataset = datasets.load("dense")
    assert dataset.Y_train.dtype == np.int64
    assert dataset.Y_train.toarray().tolist() == [[1, 0], [0, 1], [0, 1]]
    np.testing.assert_allclose(dataset.X_train.mean(axis=0), 0, atol=1e-12)
    # The mean replaces what is missing, and lies at 0 once standardised.
    assert dataset.X_train[1, 1] == pytest.approx(0)
    assert dataset.X_test[0, 1] == pytest.approx(0)
    assert dataset.X_test[0, 0] == pytest.approx((100 - 2) / np.std([0, 2, 4]))


def test_codes_of_nominal_columns_become_columns(tmp_path):
    X = np.array([[0.0, 5.0], [2.0, 6.0], [1.0, 7.0], [2.0, 8.0]], np.float32)
    write_set(tmp_path / "mixed.npz", X=X, nominal=np.array([True, False]))
    raw, *_ = datasets.read(tmp_path / "mixed.npz")
    expected = [[5, 1, 0, 0], [6, 0, 0, 1], [7, 0, 1, 0], [8, 0, 0, 1]]
    np.testing.assert_array_equal(raw, expected)


def test_sparse_rows_have_unit_norm_and_text_becomes_tfidf(tmp_path):
    X = sp.csr_matrix(np.array([[3.0, 4.0], [0, 2], [1, 0], [5, 12]], np.float32))
    parts = {"X_data": X.data, "X_indices": X.indices, "X_indptr": X.indptr, "X_shape": X.shape}
    write_set(tmp_path / "sparse.npz", **parts)
    raw, _, train, test = datasets.read(tmp_path / "sparse.npz")
    X_train, X_test = datasets.featurise(raw, train, test)
    np.testing.assert_allclose(X_train.toarray(), [[0.6, 0.8], [0, 1], [1, 0]])
    np.testing.assert_allclose(X_test.toarray(), [[5 / 13, 12 / 13]])

    texts = ["red fox", "red fox", "blue fox \u00fc", "red dog"]
    joined = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, joined)])
    text_bytes = np.frombuffer(b"".join(joined), np.uint8)
    write_set(tmp_path / "text.npz", text_bytes=text_bytes, text_offsets=offsets)
    raw, _, train, test = datasets.read(tmp_path / "text.npz")
    assert raw == texts
    # "fox", "red" and "red fox" occur in two training texts; "blue" and "dog" do not.
    X_train, X_test = datasets.featurise(raw, train, test)
    assert X_train.shape == (3, 3)
    assert X_test.nnz == 1


def test_sparse_features_are_in_order(tmp_path, monkeypatch):
    parts = {
        "X_data": np.array([3.0, 4.0, 1.0, 1.0, 1.0], np.float32),
        "X_indices": np.array([1, 0, 0, 0, 1]),
        "X_indptr": np.array([0, 2, 3, 4, 5]),
        "X_shape": (4, 2),
    }
    write_set(tmp_path / "unordered.npz", **parts)
    monkeypatch.setenv("SKLEARN_MLCE_DATA", str(tmp_path))
    X = datasets.load("unordered").X_train
    datasets.load.cache_clear()
    assert X.indices.tolist() == [0, 1, 0, 0]
    np.testing.assert_allclose(X[0].toarray(), [[0.8, 0.6]])


def test_absent_data_say_what_to_set(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SKLEARN_MLCE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="Set SKLEARN_MLCE_DATA="):
        datasets.load("absent")
    datasets.load.cache_clear()
    status = main(["linear", "--sets", "yeast", "--no-peers", "--out", str(tmp_path)])
    assert status == 2
    assert "yeast.npz does not exist" in capsys.readouterr().err
