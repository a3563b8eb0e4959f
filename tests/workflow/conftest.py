import shutil

import pytest
from copied import finish_campaign
from made_once import made_once


@pytest.fixture(scope="module")
def tree(tmp_path_factory, worker_id):
    """A copy of this project with the tiny campaign done in it, for one file of tests."""
    template = made_once(tmp_path_factory, worker_id, "tiny", finish_campaign)
    return shutil.copytree(template, tmp_path_factory.mktemp("tree") / "project", symlinks=True)
