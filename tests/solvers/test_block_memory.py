"""Memory that is lent to one block after another."""

import pickle

import numpy as np

from sklearn_mlce._solvers.block_memory import BlockMemory


def test_what_is_given_back_is_lent_again_as_zeros():
    lender = BlockMemory()
    first = lender.lend(0, (3, 4), np.float32)
    other = lender.lend(4, (3, 4), np.float32)
    assert not np.may_share_memory(first, other)
    first[:] = 7
    lender.give_back(0)
    smaller = lender.lend(8, (3, 3), np.float32)
    assert np.may_share_memory(first, smaller)
    assert smaller.flags.c_contiguous
    assert not smaller.any()
    lender.give_back(8)
    larger = lender.lend(11, (5, 4), np.float32)
    assert larger.shape == (5, 4)
    assert not larger.any()


def test_nothing_is_sent_to_a_process():
    lender = BlockMemory()
    lender.lend(0, (1000, 1000), np.float64)
    lender.give_back(0)
    sent = pickle.dumps(lender)
    assert len(sent) < 1000
    copy = pickle.loads(sent)
    copy.lend(1, (2, 2), np.float64)
    lender.give_back(1)  # lent elsewhere
    assert lender.lend(1, (2, 2), np.float64).shape == (2, 2)
