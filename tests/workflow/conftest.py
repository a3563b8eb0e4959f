import shutil

import pytest
from copied import finished_campaign


@pytest.fixture(scope="module")
def tree(tmp_path_factory, worker_id):
    """A copy of this project with the tiny campaign done in it, for one file of tests."""
    template = finished_campaign(tmp_path_factory, worker_id)
    return shutil.copytree(template, tmp_path_factory.mktemp("tree") / "project", symlinks=True)
