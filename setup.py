"""What pyproject.toml has no words for: the package also carries the demonstrations and pictures that ship in log/."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["quantilizers*"]), "quantilizers.log"],
    package_dir={"quantilizers.log": "log"},
)
