"""scripts/docker.sh: --mount and --secret are lines of CSV, and a path may hold what CSV knows."""

from __future__ import annotations

import csv

import pytest
from shell import call

PATHS = ["/plain", "/with space/부품", "/a,b", '/say "so"', '/",",target=/etc', "/a=b", "/it's"]


@pytest.mark.parametrize("path", PATHS)
def test_a_mount_has_the_path_in_one_field_whatever_it_holds(path):
    said = call("sh", "-euc", '. scripts/python.sh; . scripts/docker.sh; bind "$1" "$1" readonly', "sh", path).stdout
    assert next(csv.reader([said.rstrip("\n")])) == ["type=bind", f"source={path}", f"target={path}", "readonly"]


def test_a_folder_of_the_project_is_mounted_where_the_image_has_it(project):
    folder = project.rename(project.with_name("a, b"))
    sources = ". scripts/python.sh; . scripts/docker.sh; . scripts/training.sh"
    said = call("sh", "-euc", f"{sources}; here result", cwd=folder)
    assert said.stdout == f'type=bind,"source={folder}/result",target=/app/result\n'
