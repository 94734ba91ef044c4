from pathlib import Path

import pytest

from tests.faults import migration
from tests.faults.migration import check_killed


@pytest.mark.timeout(3600 if migration.KILLS > 20 else 600)
def test_killed_at_random_moments_the_result_is_the_uninterrupted_one(tmp_path: Path) -> None:
    check_killed(tmp_path, "parquet")
