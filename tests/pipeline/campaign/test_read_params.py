"""params.yaml names a scale, and may name images; what it lacks is said in one line."""

import pytest

from pipeline.campaign.read_params import read_params
from pipeline.core.errors import UserError


@pytest.mark.parametrize(
    "content, expected",
    (
        ("scale: smoke\n", {"scale": "smoke", "data": None}),
        ("scale: laptop\ndata: /images\n", {"scale": "laptop", "data": "/images"}),
    ),
)
def test_params_name_scale_and_images(tmp_path, content, expected):
    (tmp_path / "params.yaml").write_text(content)
    assert read_params(tmp_path / "params.yaml") == expected


@pytest.mark.parametrize("content", ("", "scale:\n", "skale: smoke\n", "[smoke]\n", "smoke\n"))
def test_params_without_a_scale_are_one_line(tmp_path, content):
    (tmp_path / "params.yaml").write_text(content)
    with pytest.raises(UserError, match="^params.yaml names no scale: "):
        read_params(tmp_path / "params.yaml")


def test_params_that_are_no_yaml_or_missing_are_one_line(tmp_path):
    with pytest.raises(UserError, match="^params.yaml can't be read .*: git checkout brings it back"):
        read_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("scale: [\n")
    with pytest.raises(UserError, match="^params.yaml is not valid YAML: line 2: "):
        read_params(tmp_path / "params.yaml")
