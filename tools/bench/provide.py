"""Get the programs that are measured: from Debian, from its newest suite, or from PyPI, apart from the system's own.

What is installed stays in a directory and is used again; delete it to have newer ones.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.measure import Command, run
from tools.programs import ToolError, apt_get, find, install_missing

NEWEST_SUITE = "unstable"


@dataclass(frozen=True)
class Provider:
    """Installs below `place`. `sources` has directories with a project's source, by project, to use instead of PyPI."""

    place: Path
    sources: Mapping[str, Path] = field(default_factory=dict)

    def from_debian(self, program: str, package: str) -> str:
        """Return the path of a program of the system, after installing its package if need be."""
        install_missing({program: package})
        return find(program, package)

    def from_pypi(
        self, program: str, project: str, requirements: Sequence[str] = (), *, build_packages: Sequence[str] = ()
    ) -> str:
        """Return the path of a program in a virtual environment of its own.

        `requirements`, if there are any, take the place of those that the project itself names: old projects name
        what cannot be installed any more. What has no binary on PyPI needs `build_packages`, Debian packages.
        """
        source = self.sources.get(project)
        wanted = str(source.resolve()) if source else project
        environment = self.place / (f"{project}-source" if source else project)
        path = environment / "bin" / program
        if not path.exists():
            print(f"  install {project} into {environment} …", flush=True)
            run(Command((sys.executable, "-m", "venv", "--clear", str(environment))))
            pip = (str(environment / "bin/python"), "-m", "pip", "install", "--quiet")
            if requirements:
                run(Command((*pip, *requirements)))
                run(Command((*pip, "--no-deps", "--no-build-isolation", wanted)))
            else:
                _install(Command((*pip, wanted)), build_packages)
        if not path.exists():
            raise ToolError(f"{project} from PyPI has no program {program}")
        return str(path)

    def newest_from_debian(self, program: str, package: str) -> str:
        """Return the path of a program out of the package in Debian's newest suite, which is unpacked, not installed.

        Fetched from where apt gets the system's own packages, with lists of its own, so that the system never sees
        the other suite. Only for programs that need no libraries of that suite.
        """
        root = self.place / f"{package}-{NEWEST_SUITE}"
        path = root / "usr/bin" / program
        if not path.exists():
            print(f"  fetch {package} of Debian's {NEWEST_SUITE} suite …", flush=True)
            place = self.place / "apt"
            for directory in ("lists/partial", "cache/archives/partial"):
                (place / directory).mkdir(parents=True, exist_ok=True)
            (place / "newest.list").write_text(f"deb {_debian_mirror()} {NEWEST_SUITE} main\n")
            options = [
                f"Dir::Etc::sourcelist={place}/newest.list",
                "Dir::Etc::sourceparts=-",
                f"Dir::State::lists={place}/lists",
                f"Dir::Cache={place}/cache",
                "Acquire::Languages=none",
                "APT::Sandbox::User=root",
            ]
            apt = (find("apt-get", "apt"), "-qq", *(word for option in options for word in ("-o", option)))
            run(Command((*apt, "update")))
            for old in place.glob("*.deb"):
                old.unlink()
            run(Command((*apt, "download", package), cwd=place))
            deb = next(place.glob("*.deb"))
            run(Command(("dpkg-deb", "-x", str(deb), str(root))))
        return str(path)


def _install(pip: Command, build_packages: Sequence[str]) -> None:
    try:
        run(pip)
    except ToolError:
        if not build_packages:
            raise
        apt_get("install", build_packages)
        run(pip)


def _debian_mirror() -> str:
    """Return where apt gets Debian's packages."""
    line = "$(ORIGIN) $(COMPONENT) $(REPO_URI)"
    apt = Command((find("apt-get", "apt"), "indextargets", "--format", line, "Created-By: Packages"))
    return mirror_in(run(apt).stdout)


def mirror_in(listed: str) -> str:
    """Return Debian's mirror from lines of origin, component and URI; raise ToolError if there is none."""
    for origin, component, uri in (entry.split() for entry in listed.splitlines() if len(entry.split()) == 3):  # noqa: PLR2004
        if origin == "Debian" and component == "main" and "security" not in uri:
            return uri
    raise ToolError("apt gets no packages from a Debian mirror here (or has no lists yet: apt-get update)")
