"""A step in a container takes no package from the machine that started the run."""

from __future__ import annotations

from job_packages import leave_host_packages


def test_the_hosts_packages_leave_the_search_path() -> None:
    path = [
        "/opt/phi_deid/scripts",
        "/mnt/snakemake_searchpaths/item_0",
        "/usr/lib/python3",
        "/mnt/snakemake_searchpaths/item_1/",
    ]
    leave_host_packages(path)
    assert path == ["/opt/phi_deid/scripts", "/usr/lib/python3"]


def test_a_search_path_outside_a_container_stays() -> None:
    path = ["", "/srv/env/lib/python3.11/site-packages", "/mnt/snakemake_searchpaths_of_mine"]
    leave_host_packages(path)
    assert path == ["", "/srv/env/lib/python3.11/site-packages", "/mnt/snakemake_searchpaths_of_mine"]
