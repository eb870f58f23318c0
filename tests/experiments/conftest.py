"""Plans of whole experiments are long tests, as the goldens are, which plan every preset of each."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name.startswith("test_a_plan_tests_no_claim"):
            item.add_marker(pytest.mark.slow)
