"""Packages of a job in a container come from its image alone, never from the machine that started the run."""

import sys

HOST_PACKAGES = "/mnt/snakemake_searchpaths/"  # where Snakemake binds the packages of the environment that started it


def leave_host_packages(search_path: list[str]) -> None:
    """Take the host's packages out of a search path, in place, so that a package which the image lacks is not borrowed.

    Snakemake puts them there to load itself, which is done by the time a step begins. Without a container there are none.
    """
    search_path[:] = [entry for entry in search_path if not f"{entry}/".startswith(HOST_PACKAGES)]


leave_host_packages(sys.path)
