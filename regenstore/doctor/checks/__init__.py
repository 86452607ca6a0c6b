"""All checks of doctor, in the order in which their findings are shown."""

from __future__ import annotations

from regenstore.doctor.check import Check
from regenstore.doctor.checks.generators import generators, sandbox
from regenstore.doctor.checks.git_setup import attributes, conversions, git_filter, hooks, settings, tables
from regenstore.doctor.checks.left_behind import left_behind
from regenstore.doctor.checks.programs import git_blobs, git_version, versions
from regenstore.doctor.checks.remotes import remotes
from regenstore.doctor.checks.repositories import repositories, roots
from regenstore.doctor.checks.results import database, lfs_pointers, manifests, takes
from regenstore.doctor.checks.rights import rights
from regenstore.doctor.checks.store import kept_aside, linking, store
from regenstore.doctor.checks.surroundings import surroundings

CHECKS = (
    Check("versions", "Python and SQLite", versions),
    Check("git_version", "the version of Git", git_version),
    Check("git_blobs", "how Git's blobs are read", git_blobs),
    Check("git_filter", "the filter and merge driver in Git's configuration", git_filter, in_worktree=True),
    Check("surroundings", "the environment of this command", surroundings),
    Check("settings", "the names of regenstore's settings", settings),
    Check("tables", "the tables of regenstore.toml", tables, in_worktree=True),
    Check("conversions", "Git settings that would make media again", conversions, in_worktree=True),
    Check("attributes", "Git's attributes", attributes, in_worktree=True),
    Check("hooks", "Git's hooks", hooks, in_worktree=True),
    Check("roots", "the refs and other roots of this repository", roots),
    Check("generators", "plug-ins and declared generators", generators),
    Check("sandbox", "the isolation of generators", sandbox),
    Check("store", "the store", store),
    Check("rights", "the rights of a shared store", rights),
    Check("database", "the result database", database),
    Check("takes", "the takes of Git's index and HEAD", takes, in_worktree=True),
    Check("lfs_pointers", "pointers of Git LFS among the media", lfs_pointers, in_worktree=True),
    Check("linking", "how media are placed from the store", linking, in_worktree=True),
    Check("repositories", "the repositories that use the store", repositories),
    Check("kept_aside", "the trash and the quarantine", kept_aside),
    Check("left_behind", "leftovers of killed processes", left_behind),
    Check("manifests", "the manifests of gc", manifests),
    Check("remotes", "the remotes", remotes),
)
