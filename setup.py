"""Maps the four service folders at the root to subpackages of `longshore` (pyproject.toml holds everything else).

The list is computed: a hand-kept one silently drops a new subpackage from the wheel.
"""

from setuptools import find_packages, setup

SERVICES = ("producers", "scorer", "monitor", "trainer")

package_dir = {"": "src"}
packages = find_packages("src")
for service in SERVICES:
    package_dir[f"longshore.{service}"] = service
    packages += [f"longshore.{service}"] + [f"longshore.{service}.{sub}" for sub in find_packages(service)]

setup(
    packages=packages,
    package_dir=package_dir,
    package_data={
        "longshore": ["py.typed", "local/*.toml", "local/*.lock"],
        "longshore.scorer.serving": ["assets/*", "assets/land/*"],
    },
)
