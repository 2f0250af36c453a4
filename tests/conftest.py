"""Plugins every test may use; assertions of what tests share are explained like any test's."""

import pytest

pytest.register_assert_rewrite("tests.engines.contract", "tests.engines.bench")
pytest_plugins = ["pytest_jupyter.jupyter_server"]
