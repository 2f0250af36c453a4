"""Assertions of the shared suite are explained like any test's."""

import pytest

pytest.register_assert_rewrite("tests.engines.contract", "tests.engines.bench")
