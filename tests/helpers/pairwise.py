"""Fewer test cases: pairs of values in place of all combinations, and some of them slow."""

import itertools

import pytest


def all_pairs(*factors):
    """Return combinations of the factors' values in which each two of them meet at least once.

    Most faults need one value or two values that meet. Of k factors with v values there are v^k
    combinations, and little more than v^2 of them hold all such pairs. They are found greedily:
    a pair that has not been met yet, and then of each other factor the value that adds most pairs.
    The result is the same in each run.
    """
    if len(factors) < 2:
        raise ValueError("values of one factor meet no other: parametrize the test as usual")
    factors = [list(values) for values in factors]
    choices = [range(len(values)) for values in factors]
    pairs = itertools.combinations(enumerate(choices), 2)
    missing = {  # a dict keeps its order, a set does not
        ((first, i), (second, j)): None
        for (first, of_first), (second, of_second) in pairs
        for i, j in itertools.product(of_first, of_second)
    }
    found = []
    while missing:
        case = dict(next(iter(missing)))
        for factor, values in enumerate(choices):
            if factor not in case:
                added = [len(_met(case | {factor: value}) & missing.keys()) for value in values]
                case[factor] = added.index(max(added))
        for pair in _met(case):
            missing.pop(pair, None)
        found.append(tuple(values[case[factor]] for factor, values in enumerate(factors)))
    return found


def _met(case):
    """Return the pairs of values that meet in a case, which gives a value to some factors."""
    return set(itertools.combinations(sorted(case.items()), 2))


def parametrize_pairwise(**factors):
    """Parametrize a test by its arguments' values, each two of which meet in a case."""
    return pytest.mark.parametrize(list(factors), all_pairs(*factors.values()), ids=_describe)


def slow_except(*fast, of):
    """Return values to parametrize a test with, all of them slow but the fast ones."""
    return [value if value in fast else pytest.param(value, marks=pytest.mark.slow) for value in of]


def _describe(value):
    """Return a name for functions, types and containers, which pytest would only number."""
    if isinstance(value, dict | list | tuple):
        return str(value)
    return getattr(value, "__name__", None)
