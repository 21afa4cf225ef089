"""Checkpoint files that are not what they should be, and disks that do not take them."""

import errno
import io
import json
import os
import stat
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from sklearn_mlce._network import checkpoint
from sklearn_mlce._network.array_archive import Damaged, open_regular
from sklearn_mlce._network.fingerprint import _is_read_whole
from tests.helpers.estimators import assert_same_scores, labelled_rows
from tests.network.test_checkpoints import assert_same_fit, deep

X, Y = labelled_rows()
UNUSABLE = (
    r"checkpoint.npz (is not a checkpoint, or is damaged|has format).*Delete it or set resume"
)


@pytest.fixture
def saved(tmp_path):
    """Path of the checkpoint of a fit that has not ended, whose best epoch is not its last."""
    deep(tmp_path, max_epochs=3, hidden_layer_sizes=(3,), early_stopping=True).fit(X, Y)
    return tmp_path / "checkpoint.npz"


def resume(path):
    """Fit as `saved` did, from its checkpoint."""
    parameters = {"max_epochs": 3, "hidden_layer_sizes": (3,), "early_stopping": True}
    return deep(path.parent, resume=True, **parameters).fit(X, Y)


def test_whatever_byte_is_flipped_the_weights_are_the_same_or_the_file_is_named(saved):
    whole, expected = saved.read_bytes(), resume(saved)
    rng = np.random.default_rng(0)
    errors = []
    for place in rng.choice(len(whole), 100, replace=False):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.integers(8)
        saved.write_bytes(flipped)
        try:
            assert_same_fit(resume(saved), expected)  # a time stamp, for example
        except ValueError as error:
            errors.append(str(error))
    assert len(errors) > 60
    assert all("checkpoint.npz" in error and "resume=False" in error for error in errors)


def test_any_bytes_are_refused_with_the_name_of_the_file(saved):
    whole = saved.read_bytes()
    contents = [whole[:n] for n in range(0, len(whole), len(whole) // 40)]
    contents += [os.urandom(200), b"PK\x05\x06" + bytes(18), b"\x93NUMPY"]
    for content in contents[1:]:
        saved.write_bytes(content)
        with pytest.raises(ValueError, match=UNUSABLE):
            resume(saved)


def members(path):
    """Return the members of an archive by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path, parts, compression=zipfile.ZIP_STORED):
    """Write an archive of members."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def array_bytes(array):
    """Return an array as the bytes of a file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array))
    return stream.getvalue()


def huge_header():
    """Return an array that claims 10**11 entries and has none."""
    stream = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**11,)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def change_about(parts, **state):
    """Change entries of the state that a checkpoint tells."""
    about = json.loads(str(np.load(io.BytesIO(parts["about.npy"]))))
    about["state"].update(state)
    return {"about.npy": array_bytes(json.dumps(about))}


def without_entry(parts, name):
    """Leave an entry out of the state that a checkpoint tells."""
    about = json.loads(str(np.load(io.BytesIO(parts["about.npy"]))))
    del about["state"][name]
    return {"about.npy": array_bytes(json.dumps(about))}


def of_format(parts, number):
    """Change the number of the format."""
    about = json.loads(str(np.load(io.BytesIO(parts["about.npy"]))))
    return {"about.npy": array_bytes(json.dumps(about | {"format": number}))}


BIAS = "last/weights/layers.0.bias.npy"
FAULTS = {
    "huge": lambda parts: {BIAS: huge_header()},
    "text": lambda parts: {BIAS: b"weights"},
    "objects": lambda parts: {BIAS: parts[BIAS].replace(b"'<f8'", b"'|O' ")},
    "other shape": lambda parts: {BIAS: array_bytes(np.zeros(4))},
    "other dtype": lambda parts: {BIAS: array_bytes(np.zeros(3, np.float16))},
    "integers": lambda parts: {BIAS: array_bytes(np.zeros(3, int))},
    "another name": lambda parts: {"last/weights/layers.9.bias.npy": parts[BIAS]},
    "a path": lambda parts: {"../../evil.npy": parts[BIAS]},
    "no array": lambda parts: {"readme.txt": b"hello"},
    "another moment": lambda parts: {"last/moments/layers.0.bias/other.npy": parts[BIAS]},
    "no JSON": lambda parts: {"about.npy": array_bytes("{")},
    "deep JSON": lambda parts: {"about.npy": array_bytes("[" * 10**5)},
    "numbers for JSON": lambda parts: {"about.npy": array_bytes(np.zeros(3))},
    "seed": lambda parts: change_about(parts, seed=-1),
    "seed of text": lambda parts: change_about(parts, seed="1"),
    "large seed": lambda parts: change_about(parts, seed=2**64),
    "larger seed": lambda parts: change_about(parts, seed=2**70),
    "true seed": lambda parts: change_about(parts, seed=True),
    "epochs before": lambda parts: change_about(parts, n_epochs_before=-1),
    "best epoch": lambda parts: change_about(parts, best_epoch=7),
    "no best epoch": lambda parts: change_about(parts, best_epoch=0),
    "finished": lambda parts: change_about(parts, finished=1),
    "a missing entry": lambda parts: without_entry(parts, "seed"),
    "an older format": lambda parts: of_format(parts, 3),
    "a later format": lambda parts: of_format(parts, 5),
    "losses": lambda parts: change_about(parts, losses=[None]),
    "scores": lambda parts: change_about(parts, scores=[1.0]),
    "unknown entry": lambda parts: change_about(parts, stopped_by=3),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_members_that_are_none_of_the_network_are_refused(fault, saved):
    parts = members(saved)
    write_members(saved, parts | FAULTS[fault](parts))
    with pytest.raises(ValueError, match=UNUSABLE):
        resume(saved)


def test_entries_are_taken_where_their_values_fit(saved):
    parts = members(saved)

    def fits(**state):
        changed = change_about(parts, **state)["about.npy"]
        return checkpoint._is_about(json.loads(str(np.load(io.BytesIO(changed)))))

    for state in ({"seed": 0}, {"seed": 2**64 - 1}, {"n_epochs_before": 5}, {"best_epoch": 1}):
        assert fits(**state)
    for state in ({"seed": 2**64}, {"seed": -1}, {"best_epoch": 0}, {"best_epoch": 4}):
        assert not fits(**state)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such links and pipes")
def test_a_link_or_pipe_that_takes_the_place_of_a_file_is_refused(saved, monkeypatch):
    link, pipe, status = saved.parent / "link", saved.parent / "pipe", os.stat(saved)
    link.symlink_to(saved)
    os.mkfifo(pipe)
    with open_regular(saved) as stream:
        assert stream.read() == saved.read_bytes()
    monkeypatch.setattr(os, "lstat", lambda path: status)  # as they were a moment before
    with pytest.raises(OSError, match="symbolic links"):
        open_regular(link)
    with pytest.raises(Damaged, match="special file"):
        open_regular(pipe)


def test_a_new_file_has_the_rights_that_new_files_have(tmp_path):
    stream, path = checkpoint._new_file(tmp_path)
    stream.close()
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_members_that_are_missing_compressed_or_twice_are_refused(saved):
    parts = members(saved)
    write_members(saved, {name: part for name, part in parts.items() if name != BIAS})
    with pytest.raises(ValueError, match=r"no array 'last/weights/layers.0.bias'"):
        resume(saved)
    write_members(saved, parts, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="is compressed, not an array, or larger"):
        resume(saved)
    write_members(saved, parts)
    with zipfile.ZipFile(saved, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(BIAS, parts[BIAS])
    with pytest.raises(ValueError, match="holds a name twice"):
        resume(saved)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
def test_links_pipes_and_directories_are_refused(saved):
    other = saved.with_name("other.npz")
    saved.rename(other)
    for make in (lambda: saved.symlink_to(other), lambda: os.mkfifo(saved), saved.mkdir):
        make()
        with pytest.raises(ValueError, match=r"it is a link or a special file\. Delete it"):
            resume(saved)
        saved.rmdir() if saved.is_dir() else saved.unlink()


def test_names_of_new_files_cannot_be_guessed_and_old_ones_are_not_followed(tmp_path, monkeypatch):
    names = []

    def replace(source, target, original=os.replace):
        names.append(os.path.basename(source))
        assert stat.S_ISREG(os.lstat(source).st_mode)
        original(source, target)

    monkeypatch.setattr(os, "replace", replace)
    deep(tmp_path, max_epochs=3).fit(X, Y)
    assert len(set(names)) == 3
    assert all(len(name) > 40 for name in names)


def test_other_labels_and_weights_are_those_of_another_fit(tmp_path):
    weight, labels = np.linspace(1, 2, len(X)), Y.copy()
    labels[5, 1] = 1 - labels[5, 1]
    options = {"max_epochs": 1, "hidden_layer_sizes": (3,)}
    model = deep(tmp_path, **options).fit(X, Y, sample_weight=weight)
    for y, other, name in (
        (Y, weight + 1e-9, "sample_weight"),
        (Y, None, "sample_weight"),
        (labels, weight, "labels"),
    ):
        with pytest.raises(ValueError, match=f"another fit: .*checksum of {name}"):
            deep(tmp_path, resume=True, **options).fit(X, y, sample_weight=other)
    again = deep(tmp_path, resume=True, **options).fit(X, Y, sample_weight=weight)
    assert_same_scores(again, model, X)
    deep(tmp_path, **options).fit(X, Y)
    with pytest.raises(ValueError, match=r"another fit: .*checksum of sample_weight"):
        deep(tmp_path, resume=True, **options).fit(X, Y, sample_weight=weight)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_every_cell_of_x_is_compared(container, tmp_path):
    deep(tmp_path).fit(container(X), Y)
    for place in np.ndindex(X.shape):
        if place[0] % 30 == 7:
            changed = X.copy()
            changed[place] += 1e-9
            with pytest.raises(ValueError, match="checksum of features"):
                deep(tmp_path, resume=True).fit(container(changed), Y)


def test_memory_maps_and_huge_features_are_compared_by_some_rows(tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert not _is_read_whole(mapped[3:])
    assert _is_read_whole(X)
    monkeypatch.setattr("sklearn_mlce._network.fingerprint._BYTES_READ", 10)
    assert not _is_read_whole(X)
    assert not _is_read_whole(sp.csr_array(X))


class Break(Callback):
    """Makes writing fail from an epoch on."""

    def __init__(self, epoch, monkeypatch, error):
        self.epoch, self.monkeypatch, self.error = epoch, monkeypatch, error

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            self.monkeypatch.setattr(checkpoint, "write_archive", self._fail)

    def _fail(self, *args):
        raise self.error


FULL = OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_keeps_the_epochs_of_a_first_fit(tmp_path, monkeypatch):
    model = deep(tmp_path, callbacks=[Break(4, monkeypatch, FULL)])
    warned = r"interrupted after epoch 4; .* epoch 4, the last.*checkpoint.npz cannot .*resume=True"
    with pytest.warns(ConvergenceWarning, match=warned), pytest.raises(OSError, match="No space"):
        model.fit(X, Y)
    monkeypatch.undo()
    assert model.n_iter_ == 4
    assert model.predict(X).shape == Y.shape
    assert os.listdir(tmp_path) == ["checkpoint.npz"]  # of epoch 3, whole
    assert_same_fit(deep(tmp_path, resume=True).fit(X, Y), deep(None).fit(X, Y))


def test_a_full_disk_leaves_an_earlier_fit(tmp_path, monkeypatch):
    model = deep(None).fit(X, Y)
    before = model.decision_function(X)
    model.set_params(checkpoint_dir=tmp_path, callbacks=[Break(4, monkeypatch, FULL)])
    with pytest.raises(OSError, match="cannot be written after epoch 4"):
        model.fit(X[:, :3], Y[:, :2])
    np.testing.assert_array_equal(model.decision_function(X), before)


def test_a_directory_that_cannot_be_written_is_refused_before_the_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"is no directory that can be written to .*another, or to"):
        deep(tmp_path / "file", callbacks=[Break(1, monkeypatch, FULL)]).fit(X, Y)

    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(checkpoint, "_new_file", refuse)
    with pytest.raises(OSError, match="Permission denied"):
        deep(tmp_path / "read-only").fit(X, Y)


class Remove(Callback):
    """Takes the directory away in the middle of an epoch."""

    def __init__(self, path):
        self.path = path

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) == 3 and self.path.exists():
            self.path.unlink()
            self.path.parent.rmdir()


def test_a_directory_that_vanishes_is_made_again(tmp_path):
    directory = tmp_path / "gone"
    model = deep(directory, callbacks=[Remove(directory / "checkpoint.npz")]).fit(X, Y)
    assert_same_fit(model, deep(None).fit(X, Y))
    assert (directory / "checkpoint.npz").exists()


def test_a_move_that_the_system_refuses_for_a_moment_is_tried_again(tmp_path, monkeypatch):
    calls = []

    def replace(source, target, original=os.replace):
        calls.append(source)
        if len(calls) < 3:
            raise PermissionError(errno.EACCES, "used by another process")
        original(source, target)

    monkeypatch.setattr(checkpoint, "_PAUSES", (0, 0, 0))
    monkeypatch.setattr(os, "replace", replace)
    deep(tmp_path, max_epochs=1).fit(X, Y)
    assert len(calls) == 3


class FitAnother(Callback):
    """Another fit, in the same directory, in the middle of this one."""

    def __init__(self, directory):
        self.directory = directory

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            deep(self.directory, random_state=9, max_epochs=2).fit(X, Y)


def test_two_fits_into_one_directory_are_told_and_both_end(tmp_path):
    model = deep(tmp_path, callbacks=[FitAnother(tmp_path)])
    with pytest.warns(UserWarning, match="was written by another fit meanwhile; .* of its own"):
        model.fit(X, Y)
    assert_same_fit(model, deep(None).fit(X, Y))
    other = deep(tmp_path, random_state=9, max_epochs=2, resume=True).fit(X, Y)
    assert_same_fit(other, deep(None, random_state=9, max_epochs=2).fit(X, Y))


class TooLarge(Callback):
    """A batch for which there is no memory."""

    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise self.error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried ..."),
        MemoryError(),
    ],
)
def test_a_batch_that_is_too_large_names_its_parameter(error):
    model = deep(None, callbacks=[TooLarge(1, error)])
    message = "batch of batch_size=16 rows did not fit .* Set batch_size=4 or less"
    with pytest.raises(MemoryError, match=message):
        model.fit(X, Y)
    assert not hasattr(model, "state_dict_")
    model.set_params(callbacks=[TooLarge(3, error)])
    with pytest.warns(ConvergenceWarning, match="after epoch 2"), pytest.raises(MemoryError):
        model.fit(X, Y)
    assert_same_scores(model, deep(None, callbacks=[StopAfter(2)]).fit(X, Y), X)


class StopAfter(Callback):
    """End the training after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        net.stop_asked = len(net.history) == self.epoch


def test_another_error_of_torch_passes_as_it_is():
    with pytest.raises(RuntimeError, match="some fault"):
        deep(None, callbacks=[TooLarge(2, RuntimeError("some fault"))]).fit(X, Y)


def test_a_changed_row_of_a_memory_map_is_refused(tmp_path):
    """All rows are read here, as 90 are fewer than those that are read of many."""
    for name, rows in {"X": X, "changed": np.vstack([X[:44], X[44] + 1e-9, X[45:]])}.items():
        np.save(tmp_path / f"{name}.npy", rows)
    mapped, changed = (
        np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("X", "changed")
    )
    whole = deep(tmp_path).fit(mapped, Y)
    with pytest.raises(ValueError, match="checksum of some features"):
        deep(tmp_path, resume=True).fit(changed, Y)
    assert_same_fit(deep(tmp_path, resume=True).fit(mapped, Y), whole)
