"""Packaging that pyproject.toml cannot express: the package also carries the demonstrations and pictures in log/."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["quantilizers*"]), "quantilizers.log"],
    package_dir={"quantilizers.log": "log"},
)
